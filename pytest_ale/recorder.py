"""Recorder: builds a trajectory step by step while an agent works, of whatever text it produces.

Knows nothing of harnesses, sandboxes or runs.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from pytest_ale.trajectory import (
    Agent,
    ContentPart,
    FinalMetrics,
    ObservationResult,
    Step,
    ToolCall,
    Trajectory,
)

__all__ = ["Recorder"]

LONGEST_TEXT = 1 << 17  # bytes of one recorded text: as many as a word of a command may have
DEEPEST = 100  # levels of recorded arguments; pydantic gives up at about 250


class Recorder:
    """Build a trajectory step by step, from any thread, of whatever text an agent produces."""

    def __init__(
        self, agent_name: str, version: str, model: str | None = None, session_id: str | None = None
    ) -> None:
        self._agent = Agent(name=agent_name, version=version, model_name=model)
        self._session_id = session_id
        self._steps: list[Step] = []
        self._call_ids: set[str] = set()
        self._lock = threading.RLock()
        self._told: list[dict[str, object]] = []  # of which the steps were made
        self._subagents: dict[str, Recorder] = {}
        self._begun: tuple[str, Mapping[str, object]] | None = None
        self.changes = 0

    @property
    def empty(self) -> bool:
        return not self._steps

    def begin(self, name: str, arguments: Mapping[str, object]) -> None:
        """Say what is called now; it becomes a step when it has ended."""
        self._begun = name, arguments

    @property
    def latest(self) -> tuple[str, Mapping[str, object]] | Step | None:
        """The call that goes on, or else the last step."""
        begun, steps = self._begun, self._steps
        return begun or (steps[-1] if steps else None)

    def name_model(self, model: str) -> None:
        """Say which model it was, where that was left to the agent."""
        self._agent = self._agent.model_copy(update={"model_name": model})

    def user(self, message: str | Sequence[ContentPart], **more: object) -> int:
        """Append what the agent was told; `more` are other fields of Step. Return the step's id."""
        return self._append({"source": "user", "message": message, **more})

    def system(self, message: str | Sequence[ContentPart], **more: object) -> int:
        """Append what the machinery said; `more` are other fields of Step."""
        return self._append({"source": "system", "message": message, **more})

    def agent(
        self,
        message: str | Sequence[ContentPart] = "",
        *,
        tool_calls: Sequence[ToolCall] = (),
        results: Sequence[ObservationResult] = (),
        **more: object,
    ) -> int:
        """Append one turn of the agent with its calls and their results."""
        fields: dict[str, object] = {"source": "agent", "message": message, **more}
        if tool_calls:
            fields["tool_calls"] = tool_calls
        if results:
            fields["observation"] = {"results": results}
        return self._append(fields)

    def tool(
        self,
        name: str,
        arguments: Mapping[str, object],
        result: str | Sequence[ContentPart],
        *,
        started: datetime | float | None = None,
        seconds: float | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> str:
        """Append a turn of one call and its result; return the call's id.

        ATIF has no place for how long a call took, so `seconds` joins the result's `extra`.
        """
        known = {} if seconds is None else {"seconds": round(seconds, 3)}
        told = {"content": result, "extra": {**known, **(extra or {})} or None}
        call = {"function_name": name, "arguments": arguments}
        with self._lock:
            call_id = self._free_call_id()
            fields = {
                "source": "agent",
                "message": "",
                "timestamp": started,
                "tool_calls": [{"tool_call_id": call_id, **call}],
                "observation": {"results": [{"source_call_id": call_id, **told}]},
            }
            self._append_locked(fields)
        return call_id

    def amend(
        self,
        number: int,
        more: Mapping[str, object],
        *,
        tool_calls: Sequence[object] = (),
        results: Sequence[object] = (),
    ) -> None:
        """Say more of a step: its fields anew, or further calls and results."""
        with self._lock:
            fields = dict(self._told[number - 1]) | {
                name: _recordable(v) for name, v in more.items()
            }
            if tool_calls:
                fields["tool_calls"] = [*_listed(fields.get("tool_calls")), *_plain(tool_calls)]
            if results:
                known = fields.get("observation")
                before = _listed(known.get("results")) if isinstance(known, dict) else []
                fields["observation"] = {"results": [*before, *_plain(results)]}
            self._keep(number, fields)

    def subagent(self, name: str, trajectory_id: str, model: str | None = None) -> Recorder:
        """Record what a sub-agent does; it is embedded when it has a step."""
        with self._lock:
            agent = Recorder(name, self._agent.version, model, self._session_id)
            return self._subagents.setdefault(trajectory_id, agent)

    def finish(
        self, metrics: FinalMetrics | None = None, *, notes: str | None = None
    ) -> Trajectory:
        """Return what was recorded so far; the recorder stays open."""
        with self._lock:
            steps = tuple(self._steps)
            below = tuple(
                known.finish().model_copy(update={"trajectory_id": name})
                for name, known in self._subagents.items()
                if not known.empty
            )
        if not steps:
            raise ValueError("nothing was recorded; a trajectory has at least one step")
        final = (metrics or FinalMetrics()).model_copy(update={"total_steps": len(steps)})
        return Trajectory(
            agent=self._agent,
            steps=steps,
            session_id=self._session_id,
            notes=notes,
            final_metrics=final,
            subagent_trajectories=below or None,
        )

    def _append(self, fields: Mapping[str, object]) -> int:
        with self._lock:
            return self._append_locked(fields)

    def _append_locked(self, fields: Mapping[str, object]) -> int:
        number, self._begun = len(self._steps) + 1, None
        plain = {key: _recordable(value) for key, value in fields.items()}
        plain |= {"step_id": number, "timestamp": _stamp(fields.get("timestamp"))}
        self._keep(number, plain)
        return number

    def _keep(self, number: int, fields: dict[str, object]) -> None:
        step = Step.model_validate(fields)  # first: what is not valid leaves all as it was
        self._steps[number - 1 : number] = [step]
        self._told[number - 1 : number] = [fields]
        self._call_ids.update(call.tool_call_id for call in step.tool_calls or ())
        self.changes += 1

    def _free_call_id(self) -> str:
        numbers = itertools.count(len(self._call_ids) + 1)
        return next(i for i in map("ale_call_{}".format, numbers) if i not in self._call_ids)


def _stamp(when: object) -> str:
    """Return a time (datetime, seconds since 1970, ISO 8601, or now) in UTC, with milliseconds.

    A time without a zone is taken for UTC: it comes from a sandbox, whose zone is not ours.
    """
    if isinstance(when, str):
        when = datetime.fromisoformat(when.replace("Z", "+00:00"))
    elif isinstance(when, int | float):
        when = datetime.fromtimestamp(when, UTC)
    moment = when if isinstance(when, datetime) else datetime.now(UTC)
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _plain(values: Sequence[object]) -> list[object]:
    return [_recordable(value) for value in values]


def _recordable(value: object, depth: int = 0) -> object:
    """Return JSON data for whatever was said: a record must not fail over an odd argument."""
    if depth > DEEPEST:
        return "[nested too deeply]"
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        return {_cut(str(key)): _recordable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_recordable(item, depth + 1) for item in value]
    plain = value is None or isinstance(value, int)
    if plain or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _cut(value if isinstance(value, str) else str(value))


def _cut(text: str) -> str:
    """Return a text of at most LONGEST_TEXT bytes: a long one loses its middle, and says so."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= LONGEST_TEXT:
        return data.decode("utf-8")
    half = (LONGEST_TEXT - 100) // 2  # leaves room for the line between
    head, tail = (part.decode("utf-8", "ignore") for part in (data[:half], data[-half:]))
    return f"{head}\n[{len(data) - 2 * half} bytes cut here]\n{tail}"
