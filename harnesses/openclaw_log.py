"""What OpenClaw keeps of its sessions, told line by line, read as a story.

A session's events are messages: what was asked, answers of the model, results of calls. All of it
is foreign: what is not as expected is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, moment, objects, parsed, sub, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["OpenclawLog"]


class OpenclawLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._main = self._failed = ""
        self._prompted: set[str] = set()
        self._usage: Usage | None = None

    def line(self, source: str, text: str) -> None:
        told = parsed(text) if source == "stdout" else {}
        if session := word(told, "session"):
            self._main = self._main or session
            self._event(session, sub(told, "event"))
        elif end := sub(told, "end"):
            self._end(end)

    def _end(self, end: Json) -> None:
        error = word(sub(end, "error"), "message") or word(end, "status")
        self._failed = "" if end.get("ok") is True else error or "it does not say why it failed"
        if not (used := sub(end, "usage")):
            return
        cached, written = count(used, "cacheRead"), count(used, "cacheWrite")
        self._usage = Usage(
            prompt=count(used, "input") + cached + written,
            cached=cached,
            cache_write=written,
            output=count(used, "output"),
            reasoning=count(used, "reasoningTokens"),
        )

    def _event(self, session: str, event: Json) -> None:
        main, when = session == self._main, moment(event)
        story = self._story if main else self._story.subagent(session, "subagent")
        message = sub(event, "message")
        role = word(message, "role")
        if event.get("type") == "compaction":
            story.system("the context was compacted", when=when, extra={"compacted": True})
        elif role == "user":
            self._user(story, session, message, when)
        elif role == "assistant":
            _answer(story, word(event, "id"), message, when)
        elif role == "toolResult":
            _result(story, message, when)

    def _user(self, story: Story, session: str, message: Json, when: str | None) -> None:
        """The first is the prompt: of the agent it is recorded, of a sub-agent it is its task."""
        first = session not in self._prompted
        self._prompted.add(session)
        said = _said(message, "text")
        if said and not (first and session == self._main):
            story.user(said, when=when)

    def close(self, status: int | None) -> Closing:
        return Closing(self._failed, usage=self._usage, session=self._main)


def _said(message: Json, kind: str) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content if kind == "text" else ""
    blocks = [each for each in objects(content) if word(each, "type") == kind]
    return "\n\n".join(filter(None, (word(block, kind) for block in blocks)))


def _answer(story: Story, id: str, message: Json, when: str | None) -> None:
    if word(message, "stopReason") in ("error", "aborted") and not count(
        sub(message, "usage"), "output"
    ):
        story.system(word(message, "errorMessage") or "the model's answer broke off", when=when)
        return
    story.turn(
        id,
        when=when,
        text=_said(message, "text") or None,
        reasoning=_said(message, "thinking") or None,
        model=word(message, "model") or None,
        metrics=_metrics(sub(message, "usage")),
    )
    for block in objects(message.get("content")):
        if word(block, "type") == "toolCall" and (called := word(block, "id")):
            given = sub(block, "arguments")
            story.call(called, word(block, "name"), given, turn=id, when=when)


def _result(story: Story, message: Json, when: str | None) -> None:
    content, known = list(_content(story, message)), sub(message, "details")
    extra: dict[str, object] = {}
    if type(code := known.get("exitCode")) is int:
        extra["exit_code"] = code
    if type(lasted := known.get("durationMs")) in (int, float):
        extra["seconds"] = lasted / 1000  # type: ignore[operator]  # it is a number
    if message.get("isError"):
        extra["is_error"] = True
    if patch := word(known, "patch"):
        extra["patch"] = patch
    story.result(word(message, "toolCallId"), joined(content), when=when, extra=extra)


def _content(story: Story, message: Json) -> Iterator[ContentPart]:
    for block in objects(message.get("content")):
        if text := word(block, "text"):
            yield ContentPart(type="text", text=text)
        if data := word(block, "data"):
            yield story.picture(data, word(block, "mimeType") or "image/png")


def _metrics(used: Json) -> Metrics | None:
    """Its input leaves out what was cached."""
    if not used:
        return None
    cached, written = count(used, "cacheRead"), count(used, "cacheWrite")
    return Metrics(
        prompt_tokens=count(used, "input") + cached + written,
        completion_tokens=count(used, "output"),
        cached_tokens=cached,
        extra={
            "cache_write_tokens": written,
            "reasoning_tokens": count(used, "reasoningTokens"),
        },
    )
