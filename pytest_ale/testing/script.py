"""A script: what a model says turn by turn, where it fails, and what it expects of who asks it.

Knows nothing of the APIs it is told through, nor of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = [
    "Call",
    "Cut",
    "Expect",
    "Fault",
    "Hang",
    "Refuse",
    "Say",
    "Script",
    "ScriptError",
    "Slow",
    "Step",
    "Think",
    "Turn",
    "Usage",
    "WrongJson",
]


class ScriptError(ValueError):
    """A script that cannot be played."""


@dataclass(frozen=True)
class Say:
    """Words of the model; alone in a turn they end an agent's work."""

    text: str


@dataclass(frozen=True)
class Think:
    """Reasoning that goes before what the turn says and calls."""

    text: str


@dataclass(frozen=True)
class Call:
    """One tool call.

    `tool` is "shell" for the agent's own shell, whatever it calls it (then "command" in the
    arguments is renamed too), "SERVER.TOOL" for a tool of an MCP server, else the tool's name.
    """

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one turn, in one meaning for all APIs: each is told them in its own.

    `input` is the whole prompt, with what was read from (`cached`) and written to the cache
    (`written`) in it; `output` has the `reasoning` in it.
    """

    input: int = 100
    output: int = 10
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    def __post_init__(self) -> None:
        counts = (self.input, self.output, self.cached, self.written, self.reasoning)
        if min(counts) < 0 or self.cached + self.written > self.input:
            raise ScriptError(f"{self}: none is below 0, and cached + written are part of input")
        if self.reasoning > self.output:
            raise ScriptError(f"{self}: reasoning is part of output")


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What a turn's request must hold; what it does not is a failure that `check` raises.

    `tool_result_contains` and `picture` look at the results of the turn before.
    """

    tool_result_contains: str | None = None
    picture: bool = False
    system_contains: str | None = None
    prompt_contains: str | None = None
    tool_offered: str | tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        return (self.tool_offered,) if isinstance(self.tool_offered, str) else self.tool_offered


@dataclass(frozen=True)
class Refuse:
    """An error instead of an answer, in the API's own shape; `times=None` is for ever."""

    status: int = 429
    message: str = "The script refuses."
    retry_after: float | None = None
    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The connection closes in the middle of the answer.

    Events are those of a stream; an answer that is not streamed is cut by bytes.
    """

    after_events: int | None = None
    after_bytes: int | None = None
    times: int | None = 1

    def __post_init__(self) -> None:
        if (self.after_events is None) == (self.after_bytes is None):
            raise ScriptError(f"{self}: give either after_events or after_bytes")


@dataclass(frozen=True)
class Slow:
    """A stream that takes its time, a word a token; goes together with the other faults."""

    tokens_per_second: float
    times: int | None = None

    def __post_init__(self) -> None:
        if self.tokens_per_second <= 0:
            raise ScriptError(f"{self}: tokens_per_second is above 0; for none there is Hang")


@dataclass(frozen=True)
class WrongJson:
    """JSON that does not parse: the answer's own, or the arguments of its calls.

    An agent may tell the model that its arguments were wrong: then that was the turn.
    """

    where: Literal["body", "arguments"] = "body"
    times: int | None = 1


@dataclass(frozen=True)
class Hang:
    """Nothing comes for that long, then the answer goes on."""

    seconds: float
    after_events: int = 0
    times: int | None = 1


Fault = Refuse | Cut | Slow | WrongJson | Hang
Step = Say | Think | Call | Usage | Expect | Fault
KINDS = (Say, Think, Call, Usage, Expect, Refuse, Cut, Slow, WrongJson, Hang)


class Turn:
    """One answer of the model, and all that belongs to it: several calls, words, faults."""

    def __init__(self, *steps: Step) -> None:
        for step in steps:
            if not isinstance(step, KINDS):
                raise ScriptError(f"{step!r} is no step; one is {_names()}")
            if isinstance(step, Fault) and step.times is not None and step.times < 1:
                raise ScriptError(f"{step}: times is 1 or more, or None for ever")
        spoken = [step for step in steps if isinstance(step, Say | Call)]
        if not spoken:
            raise ScriptError(f"a turn says or calls something; this one only has {list(steps)}")
        calls = tuple(step for step in spoken if isinstance(step, Call))
        if not calls and any(isinstance(s, WrongJson) and s.where == "arguments" for s in steps):
            raise ScriptError("WrongJson('arguments') is for a turn that calls something")
        thoughts = [step for step in steps if isinstance(step, Think)]
        usages = [step for step in steps if isinstance(step, Usage)]
        self.steps = steps
        self.parts: tuple[Think | Say | Call, ...] = (*thoughts, *spoken)
        self.calls = calls
        self.usage = usages[-1] if usages else Usage()
        self.expects = tuple(step for step in steps if isinstance(step, Expect))
        self.faults = tuple(step for step in steps if isinstance(step, Fault))

    @property
    def refused_for_ever(self) -> bool:
        """Is it never to be answered in full?"""
        return any(f.times is None and isinstance(f, Refuse | Cut | WrongJson) for f in self.faults)

    def __str__(self) -> str:
        called = " and ".join(call.tool for call in self.calls)
        said = " ".join(part.text for part in self.parts if isinstance(part, Say))
        return f"calls {called}" if called else f"says {said!r}"


class Script:
    """The turns of a model, in order.

    A step on its own is a turn, but what is neither Say nor Call (Think, Usage, Expect and the
    faults) belongs to the turn that follows; several calls in one turn take a `Turn`.
    """

    def __init__(self, steps: Iterable[Step | Turn]) -> None:
        self.turns = tuple(_turns(steps))
        if not self.turns:
            raise ScriptError("a script has at least one turn")

    @property
    def calls(self) -> bool:
        """Does it call any tool?"""
        return any(turn.calls for turn in self.turns)

    def turn_at(self, results: int, replies: int) -> int:
        """The turn of a conversation that holds so many tool results and answered replies.

        This is why the server needs no memory: a request that is repeated, or a title asked for
        on the side, moves nothing on.
        """
        for number, turn in enumerate(self.turns):
            if turn.calls and results < len(turn.calls):
                return number
            if not turn.calls and not replies:
                return number
            results -= len(turn.calls)
            replies -= not turn.calls
        return len(self.turns)

    @staticmethod
    def load(path: Path | str) -> Script:
        """Read a script from YAML; see `pytest_ale.testing` for how one looks."""
        from pytest_ale.testing.scriptfile import read

        return Script(read(Path(path)))


def _turns(steps: Iterable[Step | Turn]) -> Iterator[Turn]:
    waiting: list[Step] = []
    for step in steps:
        waiting += step.steps if isinstance(step, Turn) else (step,)
        if not isinstance(step, Think | Usage | Expect | Fault):
            yield Turn(*waiting)
            waiting = []
    if waiting:
        raise ScriptError(f"the script ends with {waiting}, which belong to a turn that follows")


def _names() -> str:
    return ", ".join(kind.__name__ for kind in KINDS)
