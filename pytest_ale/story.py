"""Story: what an agent program tells of its work, turn by turn, made steps of the trajectory.

Knows no program in particular: readers (in harnesses/) tell it what a log says, in the log's order
and with the log's times. A call's result may come much later than the call: until then the step
stands there without it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pytest_ale.kept import Kept
from pytest_ale.recorder import DEEPEST, Recorder
from pytest_ale.told import seconds
from pytest_ale.trajectory import (
    ContentPart,
    ImageSource,
    Metrics,
    ObservationResult,
    SubagentTrajectoryRef,
)

__all__ = ["Story", "When", "joined"]

ENTRIES = 50_000  # turns, calls and results of an attempt; more, and
BYTES = 64 << 20  # more text than this, is an agent that fills its host's memory
CALLS = 500  # of one turn: each is work for all before it

When = str | float | None  # ISO 8601, or seconds since 1970; None is now


class Story:
    """One agent's turns; a sub-agent has a story of its own."""

    def __init__(self, recorder: Recorder, kept: Kept, room: _Room | None = None) -> None:
        self._recorder = recorder
        self._kept = kept
        self._room = room or _Room(recorder)
        self._said: dict[int, int] = {}  # characters, by step
        self._calling: dict[int, int] = {}  # calls, by step
        self._turns: dict[str, int] = {}  # step by the program's own name for a turn
        self._calls: dict[str, int] = {}  # step by a call's id
        self._done: set[str] = set()
        self._last = 0
        self._subs: dict[str, Story] = {}
        self._linked: set[str] = set()  # those of which the call is known

    def system(
        self, text: str, *, when: When = None, extra: Mapping[str, object] | None = None
    ) -> None:
        """What the program says of itself, such as a warning, or that it compacted its context."""
        if self._room.has(_weight(text) + _weight(extra)):
            self._recorder.system(
                text, timestamp=_moment(when), extra=dict(extra) if extra else None
            )

    def user(self, text: str, *, when: When = None) -> None:
        """What the agent is told after the prompt, which is recorded before it starts."""
        if self._room.has(_weight(text)):
            self._recorder.user(text, timestamp=_moment(when))

    def turn(
        self,
        key: str = "",
        *,
        when: When = None,
        text: str | None = None,
        reasoning: str | None = None,
        model: str | None = None,
        metrics: Metrics | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Begin a turn, or say more of the one of that key; a None says nothing."""
        said: dict[str, object] = {"reasoning_content": reasoning, "model_name": model}
        said |= {"metrics": metrics, "extra": dict(extra) if extra else None}
        said = {name: value for name, value in said.items() if value is not None}
        if text is not None:
            said["message"] = text
        number, size = self._turns.get(key, 0), _weight(said)
        if not self._room.has(size - self._said.get(number, 0), entries=not number):
            return
        if number:
            self._recorder.amend(number, said)
        else:
            said |= {"llm_call_count": 1}  # a turn is one answer of the model
            number = self._recorder.agent(timestamp=_moment(when), **said)  # type: ignore[arg-type]  # fields of a step
            if key:
                self._turns[key] = number
        self._last, self._said[number] = number, size

    def call(
        self,
        id: str,
        name: str,
        arguments: Mapping[str, object],
        *,
        turn: str = "",
        when: When = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """A tool call, of the turn with that key or else of the last; an id is told once."""
        if id in self._calls:
            return
        if not self._last or (turn and turn not in self._turns):
            self.turn(turn, when=when)
        number = self._turns.get(turn, self._last)
        room = self._calling.get(number, 0) < CALLS
        if not (number and room and self._room.has(_weight([name, arguments, extra]))):
            return
        self._calling[number] = self._calling.get(number, 0) + 1
        whole = {key: self._whole(value) for key, value in arguments.items()}
        call = {"tool_call_id": id, "function_name": name, "arguments": whole}
        call |= {"extra": dict(extra)} if extra else {}
        self._recorder.amend(number, {}, tool_calls=[call])
        self._calls[id] = number

    def _whole(self, value: object) -> object:
        """An argument as it is; a text that a step would cut goes to a file beside it."""
        if isinstance(value, str):
            return self._kept.content(value.encode(errors="replace"))
        return value

    def result(
        self,
        id: str,
        content: str | Sequence[ContentPart],
        *,
        when: When = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """What came of a call; one that nobody knows of becomes a step of the system's."""
        if id in self._done:
            return
        self._done.add(id)
        if not self._room.has(_weight([content, extra])):
            return
        if id not in self._calls:
            self._recorder.system(content, timestamp=_moment(when), extra={"tool_call_id": id})
            return
        told: dict[str, object] = {"source_call_id": id, "content": content}
        more = dict(extra or {}) | ({"ended": when} if when is not None else {})
        told |= {"extra": more} if more else {}
        self._recorder.amend(self._calls[id], {}, results=[told])

    def picture(self, data: str | bytes, media_type: str = "image/png") -> ContentPart:
        """Keep a picture (base64 or bytes) as a file, and say where it lies."""
        try:
            raw = base64.b64decode(data, validate=True) if isinstance(data, str) else data
        except ValueError:
            return ContentPart(type="text", text="[a picture that is no base64]")
        if path := self._kept.picture(raw, media_type):
            source = ImageSource.model_validate({"media_type": media_type, "path": path})
            return ContentPart(type="image", source=source)
        return ContentPart(type="text", text=f"[a picture of {len(raw)} bytes that was not kept]")

    def subagent(self, key: str, name: str, *, call: str = "", model: str | None = None) -> Story:
        """The story of a sub-agent; `call` is the id of the call that began it."""
        if key not in self._subs:
            recorder = self._recorder.subagent(name, key, model)
            self._subs[key] = Story(recorder, self._kept, self._room)
        if call in self._calls and key not in self._linked:
            self._linked.add(key)
            ref = SubagentTrajectoryRef(trajectory_id=key)
            result = ObservationResult(source_call_id=call, subagent_trajectory_ref=(ref,))
            self._recorder.amend(self._calls[call], {}, results=[result])
        return self._subs[key]

    def knows(self, call: str) -> bool:
        return call in self._calls


def joined(parts: Sequence[ContentPart]) -> str | Sequence[ContentPart]:
    """Parts as a result's content: one text, where no picture is among them."""
    if all(part.type == "text" for part in parts):
        return "\n".join(part.text or "" for part in parts)
    return parts


def _moment(when: When) -> datetime | None:
    """A log's time; None, which is now, for what is no time, or not in UTC's years 1 to 9999."""
    if isinstance(when, str):
        when = seconds(when) or None
    with suppress(ValueError, OverflowError, OSError):
        return None if when is None else datetime.fromtimestamp(when, UTC)
    return None


class _Room:
    """How much of an attempt is told, sub-agents' work included: in the end it is one document,
    which is to be written within a phase."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._entries, self._bytes = ENTRIES, BYTES
        self._full = False

    def has(self, size: int, *, entries: int = 1) -> bool:
        self._entries -= entries
        self._bytes -= max(size, 0)
        if not self._full and min(self._entries, self._bytes) < 0:
            self._full = True
            self._recorder.system("[this is more than is recorded: the rest is left out]")
        return not self._full


def _weight(value: object, depth: int = 0) -> int:
    """About how much there is to a value, in characters."""
    if isinstance(value, str):
        return len(value)
    if depth > DEEPEST:
        return 0
    if isinstance(value, Mapping):
        return sum(len(str(key)) + _weight(item, depth + 1) for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(_weight(item, depth + 1) for item in value)
    return len(value.text or "") if isinstance(value, ContentPart) else 8
