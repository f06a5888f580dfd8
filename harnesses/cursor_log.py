"""What Cursor's agent writes to stdout (stream-json), read as a story: from its documentation.

An answer is a message, or several; a call is told when it begins and when it is done, as an object
named after its tool: {"shellToolCall": {"args": {...}, "result": {"success": {...}}}}.
"""

from __future__ import annotations

import json

from pytest_ale.program import Closing
from pytest_ale.story import Story
from pytest_ale.told import Json, objects, parsed, sub, word

__all__ = ["CursorLog"]

SUFFIX = "ToolCall"
TEXTS = ("stdout", "content", "output", "message", "error", "reason")


class CursorLog:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._model = self._session = self._failed = ""
        self._began: dict[str, float] = {}

    def line(self, source: str, text: str) -> None:
        told = parsed(text) if source == "stdout" else {}
        kind = word(told, "type")
        self._session = word(told, "session_id") or self._session
        if kind == "system":
            self._model = word(told, "model") or self._model
        elif kind == "assistant":
            parts = objects(sub(told, "message").get("content"))
            said = "".join(word(part, "text") for part in parts)
            self._story.turn(when=_when(told), text=said, model=self._model or None)
        elif kind == "tool_call" and (id := word(told, "call_id")):
            self._call(id, told)
        elif kind == "result":
            failed = told.get("is_error") is True or word(told, "subtype") != "success"
            self._failed = (word(told, "result") or "it does not say why") if failed else ""

    def close(self, status: int | None) -> Closing:
        return Closing(self._failed, session=self._session)

    def _call(self, id: str, told: Json) -> None:
        when = _when(told)
        for name, call in sub(told, "tool_call").items():
            if not isinstance(call, dict):
                continue
            tool, given = name.removesuffix(SUFFIX), sub(call, "args")
            if tool == "mcp":
                tool = word(given, "name") or word(given, "toolName") or tool
                given = sub(given, "args")
            self._story.call(id, tool, given, when=when)
            if when is not None:
                self._began.setdefault(id, when)
            if word(told, "subtype") == "completed":
                self._result(id, sub(call, "result"), when)

    def _result(self, id: str, result: Json, when: float | None) -> None:
        outcome = next(iter(result), "")
        told = sub(result, outcome)
        texts = [word(told, name) for name in TEXTS]
        extra: dict[str, object] = {}
        if type(status := told.get("exitCode")) is int:
            extra["exit_code"] = status
        if outcome and outcome != "success":
            extra["is_error"] = True
        if when is not None and id in self._began:
            extra["seconds"] = round(max(when - self._began[id], 0.0), 3)
        said = "\n".join(filter(None, texts)) or (json.dumps(told) if told else "")
        self._story.result(id, said, when=when, extra=extra)


def _when(told: Json) -> float | None:
    time = told.get("timestamp_ms")
    return time / 1000 if type(time) is int and 0 < time < 10**14 else None
