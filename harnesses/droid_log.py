"""What Droid writes as it works, read as a story.

The session that it keeps below its home has all that was said and done, with times and pictures;
its stdout has how it ended, and what it used in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, moment, objects, parsed, sub, took, word
from pytest_ale.trajectory import ContentPart

__all__ = ["DroidLog"]

EXIT = re.compile(r"\[Process exited with code (\d+)\]\s*$")
CUSTOM = "custom:"  # how it names a model of the user's own


class DroidLog:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._began: dict[str, str | None] = {}
        self._failed = self._session = ""
        self._usage: Usage | None = None

    def line(self, source: str, text: str) -> None:
        told = parsed(text)
        kind = word(told, "type")
        if source == "stdout":
            self._said(kind, told)
        elif source != "stderr" and kind == "message":
            message, when = sub(told, "message"), moment(told)
            if word(message, "role") == "assistant":
                self._turn(word(told, "id"), message, when)
            for block in objects(message.get("content")):
                if word(block, "type") == "tool_result" and (id := word(block, "tool_use_id")):
                    self._result(id, block, when)

    def close(self, status: int | None) -> Closing:
        return Closing(self._failed, usage=self._usage, session=self._session)

    def _said(self, kind: str, told: Json) -> None:
        self._session = word(told, "session_id") or self._session
        if kind == "error" and not self._failed:  # the second says that there was a first
            self._failed = word(told, "message") or "it does not say why"
        elif kind == "completion":
            self._failed = ""
            used = sub(told, "usage")
            cached = count(used, "cache_read_input_tokens")
            written = count(used, "cache_creation_input_tokens")
            self._usage = Usage(
                prompt=count(used, "input_tokens") + cached + written,
                cached=cached,
                cache_write=written,
                output=count(used, "output_tokens"),
            )

    def _turn(self, key: str, message: Json, when: str | None) -> None:
        blocks = objects(message.get("content"))
        text, thought = (
            "\n\n".join(filter(None, (word(each, kind) for each in blocks))) or None
            for kind in ("text", "thinking")
        )
        model = word(message, "modelId")
        self._story.turn(
            key,
            when=when,
            text=text,
            reasoning=thought,
            # Of one of the user's own it has a place in a list: the gateway has its name.
            model=None if model.startswith(CUSTOM) else model or None,
        )
        for block in blocks:
            if word(block, "type") == "tool_use" and (id := word(block, "id")):
                name = word(block, "name")
                self._story.call(id, name, sub(block, "input"), turn=key, when=when)
                self._began.setdefault(id, when)

    def _result(self, id: str, block: Json, when: str | None) -> None:
        content = [*self._content(block.get("content"))]
        found = EXIT.search("\n".join(part.text or "" for part in content))
        extra = {
            "seconds": took(self._began.get(id), when),
            "exit_code": int(found[1]) if found else None,
            "is_error": block.get("is_error") is True or None,
        }
        known = {name: value for name, value in extra.items() if value is not None}
        self._story.result(id, joined(content), when=when, extra=known)

    def _content(self, told: object) -> Iterator[ContentPart]:
        if isinstance(told, str):
            yield ContentPart(type="text", text=told)
        for block in objects(told):
            source = sub(block, "source")
            if word(source, "type") == "base64":
                yield self._story.picture(word(source, "data"), word(source, "media_type"))
            elif text := word(block, "text"):
                yield ContentPart(type="text", text=text)
