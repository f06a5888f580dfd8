"""What goose writes to stdout (stream-json), read as a story.

A message comes in pieces, each with its id. It tells no time finer than a second, and tokens only
at its end. An error of its model's server is a message without an id, and its exit status is 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, objects, parsed, sub, word
from pytest_ale.trajectory import ContentPart

__all__ = ["GooseLog"]

FAILED = "Ran into this error: "
MOST_TEXT = 1 << 20  # characters of a message
KINDS = {"text": "text", "thinking": "thinking"}


class GooseLog:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._turn = ""
        self._pieces: dict[str, list[str]] = {}
        self._size = self._told = 0
        self._failed = ""
        self._usage: Usage | None = None

    def line(self, source: str, text: str) -> None:
        told = parsed(text) if source == "stdout" else {}
        message = sub(told, "message")
        if word(told, "type") == "message":
            if word(message, "role") == "assistant":
                self._said(message)
            for part in objects(message.get("content")):
                if word(part, "type") == "toolResponse" and (id := word(part, "id")):
                    self._result(id, sub(part, "toolResult"))
        elif word(told, "type") == "complete":
            prompt, output = count(told, "input_tokens"), count(told, "output_tokens")
            self._usage = Usage(prompt=prompt, output=output) if prompt else None
        elif word(told, "type") == "error":
            self._failed = word(told, "error") or "it does not say why"

    def close(self, status: int | None) -> Closing:
        self._tell()
        return Closing(self._failed, usage=self._usage)

    def _said(self, message: Json) -> None:
        id, parts = word(message, "id"), objects(message.get("content"))
        texts = [word(part, "text") for part in parts]
        if not id and any(text.startswith(FAILED) for text in texts):
            self._failed = "\n".join(texts).removeprefix(FAILED)
            self._story.system("\n".join(texts))
            return
        self._failed = ""  # what went wrong before did not keep it from going on
        if id != self._turn or not id:
            self._tell()
            self._turn, self._pieces, self._size, self._told = id, {}, 0, 0
        for part in parts:
            kind = word(part, "type")
            if kind in KINDS:
                self._piece(kind, word(part, KINDS[kind]))
            elif kind == "toolRequest" and (call := word(part, "id")):
                self._call(call, sub(sub(part, "toolCall"), "value"))

    def _piece(self, kind: str, text: str) -> None:
        if self._size > MOST_TEXT:
            return
        self._pieces.setdefault(kind, []).append(text)
        self._size += len(text)
        if self._size >= 2 * self._told:
            self._tell()

    def _tell(self) -> None:
        """As it grows, by doubling: each piece would cost all before it."""
        self._told = self._size
        if self._size:
            text, thought = ("".join(self._pieces.get(kind, ())) or None for kind in KINDS)
            self._story.turn(self._turn, text=text, reasoning=thought)

    def _call(self, id: str, told: Json) -> None:
        self._tell()
        self._story.turn(self._turn)
        self._story.call(id, word(told, "name"), sub(told, "arguments"), turn=self._turn)

    def _result(self, id: str, told: Json) -> None:
        value = sub(told, "value")
        status = sub(value, "structuredContent").get("exit_code")
        failed = value.get("isError") is True or word(told, "status") == "error"
        extra: dict[str, object] = {"exit_code": status} if type(status) is int else {}
        extra |= {"is_error": True} if failed else {}
        content = [*self._content(value)]
        if not content and (said := word(told, "error")):
            content = [ContentPart(type="text", text=said)]
        self._story.result(id, joined(content), extra=extra)

    def _content(self, value: Json) -> Iterator[ContentPart]:
        for part in objects(value.get("content")):
            if word(part, "type") == "image":
                yield self._story.picture(word(part, "data"), word(part, "mimeType") or "image/png")
            elif text := word(part, "text"):
                yield ContentPart(type="text", text=text)
