"""What programs share whose tools are of the usual kinds: a shell, and files written and edited.

Knows no program: what each calls its tools, it says itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pytest_ale.again import noted, task_folder
from pytest_ale.harness import Agent, BadAgent
from pytest_ale.program import Brief, Program
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import Json, word
from pytest_ale.trajectory import ToolCall

__all__ = ["Simple", "Tools", "served"]

SHELL_SECONDS = 600.0


@dataclass(frozen=True)
class Tools:
    """Names of tools, and of the arguments that say what they do."""

    shell: Mapping[str, str] = field(default_factory=dict)  # command
    cwd: str = ""  # the argument that says where a command is run
    behind: str = ""  # and the one that says that it is left running
    write: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # path, text
    edit: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)  # path, old, new
    every: str = ""  # the argument of an edit that says: all that is like it
    looks: frozenset[str] = frozenset()  # what leaves the sandbox as it is


class Simple(Program):
    """A program that is to be told its model, with such tools."""

    does: ClassVar[Tools]

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent(
                f"agent {self.name} has no model of its own here: --ale-agent={agent.label}:MODEL"
            )

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """Do a call again; False for one that changes nothing, or had failed; else a Fault."""
        name, given = call.function_name, call.arguments
        if name in self.does.shell:
            return self._run(word(given, self.does.shell[name]), given, sandbox)
        if name in self.does.looks or noted(call).get("is_error"):
            return False
        if name in self.does.write:
            path, text = (word(given, key) for key in self.does.write[name])
            sandbox.write(_place(path, sandbox), text)
        elif name in self.does.edit:
            self._edit(call, sandbox)
        else:
            return super().again(call, sandbox, folder)
        return True

    def _run(self, command: str, given: Json, sandbox: RecordingSandbox) -> bool:
        """One may fail, or not end, again."""
        if not command:
            return False
        if self.does.behind and given.get(self.does.behind) is True:
            command = f"setsid bash -c {shlex.quote(command)} </dev/null >/dev/null 2>&1 &"
        where = _place(word(given, self.does.cwd), sandbox).rstrip("/")
        with suppress(SandboxError):
            sandbox.exec(["bash", "-c", command], cwd=where, timeout=SHELL_SECONDS)
        return True

    def _edit(self, call: ToolCall, sandbox: RecordingSandbox) -> None:
        keys = self.does.edit[call.function_name]
        path, old, new = (word(call.arguments, key) for key in keys)
        place = _place(path, sandbox)
        held = sandbox.read(place).decode(errors="replace") if old else ""
        if old not in held:
            raise Fault(f"the recorded edit of {path} cannot be done again: its text is not there")
        most = -1 if self.does.every and call.arguments.get(self.does.every) else 1
        sandbox.write(place, held.replace(old, new, most) if old else new)


def _place(path: str, sandbox: RecordingSandbox) -> str:
    if path.startswith("~/"):
        return f"{sandbox.home}/{path[2:]}"
    return path if path.startswith("/") else f"{task_folder(sandbox)}/{path}"


def served(brief: Brief, **more: object) -> Mapping[str, Json]:
    """The MCP servers as most programs have them in a file, each with what else it is to say."""
    return {
        name: {"command": server.command, "args": list(server.args), **more}
        for name, server in brief.servers.items()
    }
