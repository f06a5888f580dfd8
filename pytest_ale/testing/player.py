"""Plays a script: which turn a request is at, what it is told, and what was not as expected.

Knows nothing of HTTP, nor of the APIs' shapes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

from pytest_ale.testing.answer import Answer, Api, Called
from pytest_ale.testing.conversation import Asked, Tool
from pytest_ale.testing.script import (
    Call,
    Expect,
    Fault,
    Say,
    Script,
    Slow,
    Think,
    Turn,
    Usage,
    WrongJson,
)
from pytest_ale.testing.tools import arguments, find

__all__ = ["Played", "Player"]

SIDE = "OK"
OVER = "The script is over."


@dataclass(frozen=True)
class Played:
    """What one request is told; `turn` is None for one that has no part in the main script."""

    turn: int | None
    answer: Answer
    fault: Fault | None = None
    slow: Slow | None = None


class Player:
    """One script for all conversations; only faults are counted, per conversation.

    `others` are scripts for those conversations whose prompts hold a word.
    """

    def __init__(self, script: Script, others: Mapping[str, Script] | None = None) -> None:
        self.script = script
        self._others = {word: Player(each) for word, each in (others or {}).items()}
        self.failures: list[str] = []
        self._played: set[int] = set()
        self._faults: Counter[tuple[str, int, int]] = Counter()
        self._ids = count(1)

    @property
    def unused(self) -> list[Turn]:
        """The turns that nobody was told, up to one that nobody can get past."""
        found = []
        for number, turn in enumerate(self.script.turns):
            if number not in self._played:
                found.append(turn)
            if turn.refused_for_ever:
                break
        return found

    def fail(self, why: str) -> None:
        if why not in self.failures:  # a request that is sent again fails again
            self.failures.append(why)

    def done(self, turn: int | None) -> None:
        """The answer of a turn went out whole."""
        if turn is not None:
            self._played.add(turn)

    def play(self, asked: Asked, api: Api, conversation: str) -> Played:
        for word, other in self._others.items():
            if word in asked.system or word in asked.prompt:
                return replace(other.play(asked, api, conversation), turn=None)
        if self.script.calls and not asked.tools:
            return Played(None, self._answer(asked, (Say(SIDE),), Usage()))
        number = self.script.turn_at(asked.results, asked.replies)
        if number == len(self.script.turns):
            so_far = f"{asked.results} tool results and {asked.replies} replies"
            self.fail(f"the script has no turn for a request after {so_far}")
            return Played(None, self._answer(asked, (Say(OVER),), Usage()))
        return self._turn(number, asked, api, conversation)

    def _turn(self, number: int, asked: Asked, api: Api, conversation: str) -> Played:
        turn = self.script.turns[number]
        for why in _unmet(turn, asked):
            self.fail(f"turn {number + 1} {turn}: {why}")
        fault, slow = self._due(number, conversation)
        if turn.refused_for_ever:
            self.done(number)
        blocks = tuple(self._blocks(number, asked, api))
        if isinstance(fault, WrongJson) and fault.where == "arguments":
            blocks = tuple(_spoiled(block) for block in blocks)
        answer = self._answer(asked, blocks, turn.usage)
        return Played(number, replace(answer, by_word=slow is not None), fault, slow)

    def _due(self, number: int, conversation: str) -> tuple[Fault | None, Slow | None]:
        """The next fault of a turn, one at a time in order, and its pace, which goes with all."""
        fault: Fault | None = None
        slow: Slow | None = None
        for index, found in enumerate(self.script.turns[number].faults):
            mine = (conversation, number, index)
            if found.times is not None and self._faults[mine] >= found.times:
                continue
            if isinstance(found, Slow) and slow is None:
                slow = found
            elif not isinstance(found, Slow) and fault is None:
                fault = found
            else:
                continue
            self._faults[mine] += 1
        return fault, slow

    def _blocks(self, number: int, asked: Asked, api: Api) -> Iterator[Think | Say | Called]:
        for index, part in enumerate(self.script.turns[number].parts):
            if not isinstance(part, Call):
                yield part
                continue
            tool = find(part.tool, asked.tools)
            if tool is None:
                why = f"no tool {part.tool!r} is offered, only {_names(asked)}"
                self.fail(f"turn {number + 1} {self.script.turns[number]}: {why}")
                tool = _absent(part.tool, api.MCP)
            yield Called(f"call_{number + 1}_{index + 1}", tool, arguments(part, tool))

    def _answer(
        self, asked: Asked, blocks: tuple[Think | Say | Called, ...], usage: Usage
    ) -> Answer:
        id, now = f"scripted{next(self._ids)}", int(time.time())
        return Answer(id, asked.model, now, blocks, usage, with_usage=asked.with_usage)


def _spoiled(block: Think | Say | Called) -> Think | Say | Called:
    if isinstance(block, Called):
        return replace(block, arguments=block.arguments[:-1])  # a brace that never closes
    return block


def _absent(name: str, mcp: str) -> Tool:
    """The tool as it would have been called, had the agent offered it."""
    server, dot, tool = name.partition(".")
    if not dot:
        return Tool(name)
    full = mcp.format(server=server, tool=tool)
    namespace, _, own = full.rpartition(".")
    return Tool(own, namespace)


def _names(asked: Asked) -> str:
    return ", ".join(str(tool) for tool in asked.tools) or "none"


def _unmet(turn: Turn, asked: Asked) -> Iterator[str]:
    for stray in asked.strays:
        yield f"there is a result of a call {stray!r}, which is not in the conversation"
    for expect in turn.expects:
        yield from _missed(expect, asked)


def _missed(expect: Expect, asked: Asked) -> Iterator[str]:
    results = "\n".join(part.text for part in asked.latest if part.who == "result")
    texts = {
        "tool result": (expect.tool_result_contains, results),
        "system prompt": (expect.system_contains, asked.system),
        "prompt": (expect.prompt_contains, asked.prompt),
    }
    for what, (wanted, given) in texts.items():
        if wanted is not None and wanted not in given:
            yield f"the {what} does not contain {wanted!r}, it is {_short(given)!r}"
    if expect.picture and not any(part.pictures for part in asked.latest):
        yield f"no picture came with the tool result {_short(results)!r}"
    for name in expect.tools:
        if find(name, asked.tools) is None:
            yield f"no tool {name!r} is offered, only {_names(asked)}"


def _short(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:250]} ... {text[-250:]}"
