"""An answer before an API gives it a shape, and what every API has to know to give it one.

Knows nothing of HTTP, nor of any one API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pytest_ale.testing.conversation import Asked, Json, Tool
from pytest_ale.testing.script import Say, Think, Usage

__all__ = ["Answer", "Api", "Called", "Event"]

PIECE = 48  # characters of a delta of a stream in a hurry: an answer has several, as real ones do


@dataclass(frozen=True)
class Called:
    """A tool call as it is sent."""

    id: str
    tool: Tool
    arguments: str

    @property
    def parsed(self) -> Json | None:
        """The arguments of an API that sends them as an object; None when they do not parse."""
        try:
            value = json.loads(self.arguments)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Answer:
    id: str
    model: str
    time: int
    blocks: tuple[Think | Say | Called, ...]
    usage: Usage
    by_word: bool = False
    with_usage: bool = True

    @property
    def calls(self) -> list[Called]:
        return [block for block in self.blocks if isinstance(block, Called)]

    @property
    def text(self) -> str:
        return "\n\n".join(block.text for block in self.blocks if isinstance(block, Say))

    @property
    def thoughts(self) -> str:
        return "\n\n".join(block.text for block in self.blocks if isinstance(block, Think))

    def pieces(self, text: str) -> Iterator[str]:
        """A text as the deltas of a stream; at least one."""
        found = re.findall(r"\s*\S+\s*$|\s*\S+", text) if self.by_word else []
        yield from found or (text[at : at + PIECE] for at in range(0, len(text) or 1, PIECE))


@dataclass(frozen=True)
class Event:
    """One server-sent event; `token` when it is one of a text's pieces."""

    data: Json | str
    name: str = ""
    token: bool = False

    @property
    def text(self) -> str:
        return self.data if isinstance(self.data, str) else json.dumps(self.data)

    @property
    def bytes(self) -> bytes:
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.text}\n\n".encode()


class Api(Protocol):
    """A module that speaks one API: it reads what is asked and gives answers their shape."""

    MCP: str  # how a tool of an MCP server is called when it was not offered

    def read(self, body: Json) -> Asked:
        """Raises BadRequest for what the API would not take."""

    def whole(self, answer: Answer) -> Json: ...

    def events(self, answer: Answer) -> Iterator[Event]: ...

    def counted(self, usage: Usage) -> Json:
        """Answer a question for the number of tokens."""

    def refusal(self, status: int, message: str, retry_after: float | None) -> Json: ...
