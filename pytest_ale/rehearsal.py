"""Rehearsal: what a scripted model says to have an agent work, where agents differ.

Knows no agent, and nothing of what is looked at: `ale agents --check` and the conformance suite
(testing/conformance.py) make their scripts of it, ours and third parties' alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ale.testing.script import Call, Say, Step, Turn

__all__ = ["Rehearsal", "Said"]

Said = Sequence[Step | Turn]


@dataclass(frozen=True)
class Rehearsal:
    """The usual; one whose tools are not called, or are called in another way, has a subclass."""

    shell: str = "shell"  # the tool that runs a command line
    write: tuple[str, str, str] | None = None  # that writes a file; its arguments: path, text
    screen: str = "desktop.{}"  # what a tool of the bridge is called
    more: Mapping[str, object] = field(default_factory=dict)  # what every call is to have
    first: Said = ()  # what it counts as said by its model before it asks

    def runs(self, line: str) -> Said:
        """Have a command line run in the task's folder."""
        return [Call(self.shell, {"command": line, **self.more})]

    def writes(self, path: str, text: str) -> Said:
        """Have a file written; nothing where it has no tool for that."""
        if not self.write:
            return []
        tool, where, what = self.write
        return [Call(tool, {where: path, what: text, **self.more})]

    def finds(self, *tools: str) -> Said:
        """Have it look for tools of the bridge that it does not offer by itself."""
        return []

    def uses(self, tool: str, **arguments: object) -> Call:
        """Have a tool of the bridge called."""
        return Call(self.screen.format(tool), {**arguments, **self.more})

    def ends(self) -> Said:
        return [Say("Done.")]

    def told(self, name: str, arguments: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """How such a call stands in the trajectory, where that is not as the model made it."""
        return name, arguments
