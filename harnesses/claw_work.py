"""claw's tools, and the look that is taken at its work before it stops.

Knows nothing of APIs. A tool more is a function and a line in `_own`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

from pytest_ale.harness import Work
from pytest_ale.outside import Bridge, Said, Tool, bridges
from pytest_ale.text import shorten

from . import claw_words as words
from .claw import PREFIX
from .claw_agent import Agent, Do, Tools, aside
from .claw_memory import Memory
from .claw_mind import Lost, Mind, Refused

__all__ = ["Mind", "hand_over", "of_bridges"]

TURNS, SCREEN_TURNS = 1000, 80
CHECKS = 2  # times that its work is looked at, and it is sent back to it
SAID = 4000  # characters of its last words, and of what is missing
LISTED = 40_000  # characters of the listing: names and sizes, and how texts begin
LISTING = r"""cd %s && find . -type f -printf '%%s bytes  %%P\n' | sort -k3 | head -n 200
find . -type f -size -64k | sort | head -n 20 | while read -r f; do
  grep -Iq . "$f" && printf '\n--- %%s\n' "$f" && head -c 1500 "$f"; done; true"""


def hand_over(work: Work) -> None:
    """Do the task."""
    hint = words.SCREEN_HINT if work.has_desktop else ""
    minutes = max(round(work.limit / 60), 1)
    main = words.MAIN.format(output=work.sandbox.output, screen=hint, minutes=minutes)
    with ExitStack() as stack:
        hands = stack.enter_context(bridges(work))
        mind = stack.enter_context(closing(Mind(work)))
        memory = Memory(main, work.prompt, work.agent.knobs)
        tools = {**of_bridges(hands), **_own(memory, hands[0])}
        if work.has_desktop:
            screen = stack.enter_context(closing(Mind(work, work.agent.knobs["screen_model"])))
            tools |= _on_screen(work, screen, hands[1])
        check = Check(work, mind, hands[0])
        Agent(work, mind, memory, work.story, tools, TURNS, check).run()


def of_bridges(hands: Sequence[Bridge]) -> Tools:
    """The machine's by their own names; on the desktop's, a screen is seen by the name."""

    def through(bridge: Bridge, tool: Tool) -> tuple[Tool, Do]:
        named = replace(tool, name=PREFIX[bridge.name] + tool.name)
        return named, lambda id, given: bridge.call(tool.name, given)

    found = (through(bridge, tool) for bridge in hands for tool in bridge.tools)
    return {tool.name: (tool, do) for tool, do in found}


def _own(memory: Memory, machine: Bridge) -> Tools:
    """What it does in its own head, and its eyes."""

    def plan(id: str, text: str) -> Said:
        memory.plan = text
        return Said(("Your plan is kept.",))

    def note(id: str, text: str) -> Said:
        memory.notes.append(text)
        return Said((f"Noted; you have {len(memory.notes)} notes.",))

    def look(id: str, path: str) -> Said:
        return machine.look(path)

    return {
        "plan": _tool("plan", "Write down your plan, or put a new one in its place.", "text", plan),
        "note": _tool("note", "Keep something that must not be forgotten.", "text", note),
        "look": _tool("look", "See a picture in a file (PNG, JPEG or GIF).", "path", look),
    }


def _on_screen(work: Work, mind: Mind, desktop: Bridge) -> Tools:
    """An agent of its own for what is done on the screen; its story is within the worker's."""

    def use_screen(id: str, task: str) -> Said:
        story = work.story.subagent(f"screen-{id}", "screen", call=id, model=mind.name)
        story.user(task)
        memory = Memory(words.SCREEN, task, work.agent.knobs)
        agent = Agent(work, mind, memory, story, of_bridges([desktop]), SCREEN_TURNS)
        try:
            return Said((agent.run(),))
        except (Lost, Refused) as error:
            return Said((f"The assistant gave up: {error}",), failed=True)

    return {"use_screen": _tool("use_screen", words.USE_SCREEN, "task", use_screen)}


def _tool(name: str, about: str, argument: str, do: Callable[[str, str], Said]) -> tuple[Tool, Do]:
    """A tool of ours: each takes one text."""
    schema = {"type": "object", "required": [argument], "additionalProperties": False}
    schema |= {"properties": {argument: {"type": "string"}}}

    def checked(id: str, given: Mapping[str, object]) -> Said:
        if not isinstance(text := given.get(argument), str):
            return Said((f"{name}: {argument!r} is missing; it is a text.",), failed=True)
        return do(id, text)

    return Tool(name, about, schema), checked


@dataclass
class Check:
    """Somebody who knows the task alone looks at what is in the output folder."""

    work: Work
    mind: Mind
    machine: Bridge
    _left: int = CHECKS

    def __call__(self, said: str) -> str:
        """What is to be said to the worker instead of letting it stop; "" for nothing."""
        self._left -= 1
        with suppress(Lost, Refused, TimeoutError):  # its work is done all the same
            return self._missing(shorten(said, SAID)) if self._left >= 0 else ""
        return ""

    def _missing(self, said: str) -> str:
        output = self.work.sandbox.output
        seen = self.machine.call("run_command", {"command": LISTING % shlex.quote(output)})
        text = "\n".join(part for part in seen.parts if isinstance(part, str))
        if not (listed := shorten(text.removeprefix("exit code 0").strip(), LISTED)):
            return words.NOTHING.format(output=output) if self._left == CHECKS - 1 else ""
        asked = f"The task:\n{self.work.prompt}\n\nIn {output}:\n{listed}\n\nLast words:\n{said}"
        found = aside(self.mind, self.work.story, "check", words.CHECKER, asked)
        missing = [line for line in found.splitlines() if line.strip().startswith("MISSING:")]
        return words.MISSING.format(missing=shorten("\n".join(missing), SAID)) if missing else ""
