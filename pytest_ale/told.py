"""Told: what stands in JSON that somebody else wrote: an agent program, or a model's server.

Knows no format. An agent may have had a hand in it, and it may be any JSON: what is not as it
should be is as if it were not there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

__all__ = [
    "COUNT",
    "Json",
    "count",
    "items",
    "moment",
    "objects",
    "parsed",
    "seconds",
    "sound",
    "sub",
    "took",
    "word",
]

COUNT = 10**9  # tokens that one answer can have
DEEPEST = 30  # levels of what is passed on: some readers of JSON give up at 128

Json = Mapping[str, object]


def parsed(text: str) -> Json:
    """The object on a line; {} for a line that holds none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def sub(value: Json, name: str) -> Json:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def items(value: Json, name: str) -> list[object]:
    inner = value.get(name)
    return inner if isinstance(inner, list) else []


def objects(value: object) -> list[Json]:
    """The objects in a list, and nothing else of it."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def sound(value: object, depth: int = 0) -> object:
    """The same, fit to be sent on: no half characters, no NaN, nothing without a bottom."""
    if depth > DEEPEST:
        return "[nested too deeply]"
    if isinstance(value, dict):
        return {str(sound(str(key))): sound(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [sound(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def word(value: Json, name: str) -> str:
    inner = value.get(name)
    return inner if isinstance(inner, str) else ""


def count(value: Json, *names: str) -> int:
    """The sum of these numbers of tokens."""
    found = (value.get(name) for name in names)
    return sum(min(each, COUNT) for each in found if type(each) is int and each > 0)


def moment(event: Json) -> str | None:
    """When it says that it was; None, which a story takes for now, for what is no time."""
    text = word(event, "timestamp")
    return text if seconds(text) > 0 else None


def seconds(when: str | None) -> float:
    """Since 1970; 0 for what is no time. One without a zone is in UTC, as in a story."""
    with suppress(ValueError):
        told = datetime.fromisoformat(when or "")
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return 0.0


def took(began: str | None, ended: str | None) -> float | None:
    """Seconds between; None where one of the times is not known."""
    start, end = seconds(began), seconds(ended)
    return round(max(end - start, 0.0), 3) if start and end else None
