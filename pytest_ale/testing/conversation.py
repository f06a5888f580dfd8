"""A request in one meaning for all APIs: the conversation so far, and the tools that are offered.

Knows nothing of any API's shapes, nor of scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from typing import Literal

__all__ = ["Asked", "BadRequest", "Json", "Part", "Tool", "many", "sub", "word"]

Json = dict[str, object]


class BadRequest(Exception):
    """A request that no model API would take."""


@dataclass(frozen=True)
class Tool:
    """A tool as it was offered; `namespace` is where Codex puts the tools of an MCP server."""

    name: str
    namespace: str = ""
    schema: Mapping[str, object] | None = None
    freeform: bool = False  # takes text, not JSON

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Part:
    """One entry of a conversation; `id` is that of the call, for a call and for its result."""

    who: Literal["user", "model", "call", "result"]
    text: str = ""
    id: str = ""
    pictures: int = 0


@dataclass(frozen=True)
class Asked:
    """What a client asks for."""

    model: str
    stream: bool
    system: str
    history: tuple[Part, ...]
    tools: tuple[Tool, ...]
    with_usage: bool = True  # Chat Completions tells it in a stream only when asked to

    @property
    def results(self) -> int:
        return sum(part.who == "result" for part in self.history)

    @property
    def replies(self) -> int:
        """How often the model only spoke, and the user said something to it."""
        spoken = [part.who for part in self.history]
        return sum(pair == ("model", "user") for pair in pairwise(spoken))

    @property
    def prompt(self) -> str:
        return "\n".join(part.text for part in self.history if part.who == "user")

    @property
    def latest(self) -> list[Part]:
        """What came in since the model last spoke or called."""
        parts = dropwhile(lambda part: part.who in ("user", "result"), reversed(self.history))
        return list(self.history[len(list(parts)) :])

    @property
    def strays(self) -> list[str]:
        """Results of calls that were never made: no model API takes such a request."""
        made = {part.id for part in self.history if part.who == "call"}
        return [p.id for p in self.history if p.who == "result" and p.id and p.id not in made]


def many(value: object) -> list[Json]:
    """The objects of a JSON list; whatever else it is or holds is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def sub(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def word(value: object) -> str:
    return value if isinstance(value, str) else ""
