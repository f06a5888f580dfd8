"""ATIF-v1.8: what an agent did, step by step, as models and a checker.

Knows nothing of harnesses, sandboxes or runs, and imports nothing of ours.

The format: Harbor's RFC 0001. Older documents (v1.0 to v1.7) are read; v1.8 is written.
Two rules are ours: media are never inline, and numbers are finite (JSON has no others).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

__all__ = [
    "SCHEMA_VERSION",
    "Agent",
    "AudioSource",
    "ContentPart",
    "FinalMetrics",
    "ImageSource",
    "Metrics",
    "Observation",
    "ObservationResult",
    "Step",
    "SubagentTrajectoryRef",
    "ToolCall",
    "Trajectory",
    "check",
    "dump",
    "load",
]

SCHEMA_VERSION = "ATIF-v1.8"
LONGEST_PATH = 4096  # characters: what is longer is a picture, not where one lies
SHOWN = 60  # characters of a wrong value in a problem line

JsonObject = dict[str, JsonValue]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


class _Broken(ValueError):
    """Rules between the fields of one model that do not hold: (where in it, what)."""

    def __init__(self, faults: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = faults


def _hold(faults: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
    if found := list(faults):
        raise _Broken(found)


# --- content

# Spellings that providers send, and the registered names they stand for (as in Harbor).
_AUDIO_ALIASES = {
    "mp3": "mpeg",
    "mpga": "mpeg",
    "x-mpeg": "mpeg",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "x-m4a": "mp4",
    "m4a": "mp4",
    "x-aac": "aac",
    "x-flac": "flac",
    "x-aiff": "aiff",
}


def _audio_name(value: object) -> object:
    if not isinstance(value, str):
        return value
    kind, _, name = value.strip().lower().partition("/")
    return f"{kind}/{_AUDIO_ALIASES.get(name, name)}"


class _Source(_Model):
    path: str

    @field_validator("path")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if value.lstrip()[:5].lower() == "data:" or len(value) > LONGEST_PATH:
            raise ValueError("must be a file or an address, not the content itself")
        return value


class ImageSource(_Source):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class AudioSource(_Source):
    media_type: Annotated[
        Literal[
            "audio/wav",
            "audio/mpeg",
            "audio/mp4",
            "audio/aac",
            "audio/ogg",
            "audio/flac",
            "audio/webm",
            "audio/aiff",
        ],
        BeforeValidator(_audio_name),
    ]
    duration_sec: float | None = Field(default=None, ge=0)


def _source_kind(value: object) -> str:
    if isinstance(value, Mapping):
        value = str(value.get("media_type")).strip().lower()
        return "audio" if value.startswith("audio/") else "image"
    return "audio" if isinstance(value, AudioSource) else "image"


class ContentPart(_Model):
    """One part of a message: text, or where a picture or a sound lies."""

    type: Literal["text", "image", "audio"]
    text: str | None = None
    source: (
        Annotated[
            Annotated[ImageSource, Tag("image")] | Annotated[AudioSource, Tag("audio")],
            Discriminator(_source_kind),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _holds_its_type(self) -> Self:
        wanted, other = ("text", "source") if self.type == "text" else ("source", "text")
        faults: list[tuple[tuple[str | int, ...], str]] = []
        if getattr(self, wanted) is None:
            faults.append(((wanted,), f"is required in a part of type {self.type!r}"))
        elif wanted == "source" and _source_kind(self.source) != self.type:
            faults.append((("source", "media_type"), f"is not that of {self.type}"))
        if getattr(self, other) is not None:
            faults.append(((other,), f"is not allowed in a part of type {self.type!r}"))
        _hold(faults)
        return self


def _content_kind(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


# Told apart before they are validated, so that a wrong part is one problem and not two.
Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[tuple[ContentPart, ...], Tag("parts")],
    Discriminator(_content_kind),
]


# --- steps


class Metrics(_Model):
    """What one step cost; `prompt_tokens` includes `cached_tokens`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    completion_token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    extra: JsonObject | None = None


class ToolCall(_Model):
    tool_call_id: str
    function_name: str
    arguments: JsonObject
    extra: JsonObject | None = None


class SubagentTrajectoryRef(_Model):
    """Where a sub-agent's trajectory is: embedded (by id) or in a file (by path)."""

    trajectory_id: str | None = None
    trajectory_path: str | None = None
    session_id: str | None = None
    extra: JsonObject | None = None

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.trajectory_id is None and self.trajectory_path is None:
            raise ValueError("needs a trajectory_id or a trajectory_path")
        return self


class ObservationResult(_Model):
    source_call_id: str | None = None
    content: Content | None = None
    subagent_trajectory_ref: tuple[SubagentTrajectoryRef, ...] | None = None
    extra: JsonObject | None = None


class Observation(_Model):
    results: tuple[ObservationResult, ...]


_AGENT_ONLY = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
_MODEL_ONLY = ("metrics", "reasoning_content")


class Step(_Model):
    """One turn; what only a model can have said stands only on an agent's step."""

    step_id: int = Field(ge=1)
    source: Literal["system", "user", "agent"]
    message: Content
    timestamp: str | None = None
    model_name: str | None = None
    reasoning_effort: str | float | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = Field(default=None, ge=0)
    extra: JsonObject | None = None

    @field_validator("timestamp")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError as error:
                raise ValueError("must be an ISO 8601 time") from error
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        _hold(itertools.chain(self._misplaced(), self._dangling()))
        return self

    def _misplaced(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        given = {field for field in _AGENT_ONLY if getattr(self, field) is not None}
        if self.source != "agent":
            for field in filter(given.__contains__, _AGENT_ONLY):
                yield (field,), f"stands only on an agent's step, not on one of {self.source}"
        elif self.llm_call_count == 0:
            for field in filter(given.__contains__, _MODEL_ONLY):
                yield (field,), "must be absent where llm_call_count is 0"

    def _dangling(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        calls = {call.tool_call_id for call in self.tool_calls or ()}
        results = self.observation.results if self.observation else ()
        for index, result in enumerate(results):
            if result.source_call_id is not None and result.source_call_id not in calls:
                where = ("observation", "results", index, "source_call_id")
                yield where, "names no tool call of the same step"


# --- the document


class Agent(_Model):
    name: str
    version: str
    model_name: str | None = None
    tool_definitions: tuple[JsonObject, ...] | None = None
    extra: JsonObject | None = None


class FinalMetrics(_Model):
    """What the whole run cost, sub-agents included."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = Field(default=None, ge=0)
    extra: JsonObject | None = None


class Trajectory(_Model):
    """A whole document; `session_id` is the run's, `trajectory_id` the document's own."""

    schema_version: Literal[
        "ATIF-v1.0",
        "ATIF-v1.1",
        "ATIF-v1.2",
        "ATIF-v1.3",
        "ATIF-v1.4",
        "ATIF-v1.5",
        "ATIF-v1.6",
        "ATIF-v1.7",
        "ATIF-v1.8",
    ] = "ATIF-v1.8"
    agent: Agent
    steps: tuple[Step, ...]
    session_id: str | None = None
    trajectory_id: str | None = None
    notes: str | None = None
    final_metrics: FinalMetrics | None = None
    continued_trajectory_ref: str | None = None
    extra: JsonObject | None = None
    subagent_trajectories: tuple[Trajectory, ...] | None = None

    # What was read as an older version is a valid v1.8 document, embedded ones included.
    @field_serializer("schema_version")
    def _written_version(self, _value: str) -> str:
        return SCHEMA_VERSION

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        _hold(itertools.chain(self._uncounted(), self._unnamed()))
        return self

    def _uncounted(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if not self.steps:  # not min_length: pydantic counts only the steps that are valid
            yield ("steps",), "must not be empty"
        for index, step in enumerate(self.steps):
            if step.step_id != index + 1:
                yield ("steps", index, "step_id"), f"must be {index + 1}, without gaps from 1"

    def _unnamed(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        seen: set[str] = set()
        for index, embedded in enumerate(self.subagent_trajectories or ()):
            where = ("subagent_trajectories", index, "trajectory_id")
            if embedded.trajectory_id is None:
                yield where, "is required in an embedded trajectory"
            elif embedded.trajectory_id in seen:
                yield where, "is that of another embedded trajectory"
            else:
                seen.add(embedded.trajectory_id)


# --- out and in


def dump(trajectory: Trajectory) -> str:
    """Return the document as JSON that any UTF-8 writer and any strict parser takes."""
    data = _encodable(trajectory.model_dump(exclude_none=True))
    json.dumps(data, allow_nan=False)  # a ValueError, where it holds what JSON has no word for
    return to_json(data, indent=1).decode()  # a tenth of what json.dumps takes to indent


def load(path: str | Path) -> Trajectory:
    """Read a document; a ValueError names the first problems of one that is not valid."""
    judged = _judged(_read(Path(path)))
    if isinstance(judged, Trajectory):
        return judged
    more = f" (and {len(judged) - 5} more)" if len(judged) > 5 else ""
    raise ValueError(f"{path} is not a valid trajectory: {'; '.join(judged[:5])}{more}")


def check(text_or_path: str | Path) -> list[str]:
    """Return one line per problem of a document, none if it is valid; a str is its text.

    Rules between fields are looked at where the fields themselves hold.
    """
    try:
        text = _read(text_or_path) if isinstance(text_or_path, Path) else text_or_path
    except (OSError, ValueError) as error:
        return [f"$: cannot be read ({error})"]
    judged = _judged(text)
    return [] if isinstance(judged, Trajectory) else judged


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _judged(text: str) -> Trajectory | list[str]:
    try:
        data: object = _encodable(json.loads(text))
    except (ValueError, RecursionError) as error:
        return [f"$: is not JSON ({error})"]
    try:
        return Trajectory.model_validate(data)
    except ValidationError as error:
        return list(_lines(error, data))


# In JSON's words; pydantic's speak of Python's types.
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of ATIF-v1.8",
    "string_type": "must be a string",
    "tuple_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


def _lines(error: ValidationError, data: object) -> Iterator[str]:
    said: set[str] = set()  # str | float is two errors of pydantic's and one problem
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        faults = cause.faults if isinstance(cause, _Broken) else [((), _message(detail["msg"]))]
        for inner, text in faults:
            absent = bool(inner) or detail["type"] == "missing"
            place, given = _place((*detail["loc"], *inner), data, may_be_absent=absent)
            if place not in said:
                said.add(place)
                yield f"{place}: {_MESSAGES.get(detail['type'], text)}{given}"


def _message(text: str) -> str:
    plain = text.removeprefix("Value error, ").replace("Input should be", "must be")
    return plain.rstrip(".")


def _place(loc: Sequence[str | int], data: object, *, may_be_absent: bool) -> tuple[str, str]:
    """Return the JSON path of an error and what stands there.

    pydantic mixes the tags of unions into its paths: a key that leads nowhere is one, unless
    it is the last of a path whose end may be absent.
    """
    path, found = "$", True
    for number, key in enumerate(loc):
        if isinstance(data, list) and isinstance(key, int) and key < len(data):
            path, data = f"{path}[{key}]", data[key]
        elif isinstance(data, dict) and key in data:
            path, data = f"{path}{_key(str(key))}", data[str(key)]
        elif may_be_absent and number == len(loc) - 1:
            path, found = f"{path}{_key(str(key))}", False
    return path, f", given {_shown(data)}" if found else ""


def _key(key: str) -> str:
    return f".{key}" if key.isidentifier() and len(key) <= SHOWN else f"[{_shown(key)}]"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    text = json.dumps(value[: 2 * SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _encodable(value: object) -> object:
    """Return plain JSON data without lone surrogates, which no UTF-8 file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [*map(_encodable, value)] if isinstance(value, list | tuple) else value
