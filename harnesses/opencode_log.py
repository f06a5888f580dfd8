"""What opencode tells as it works, read as a story.

Its events, which a plugin writes to a file: sessions (one each for the agent and its sub-agents),
messages, and their parts; and its stdout, for how it failed before there was a session. All of it
is foreign: what is not as expected is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, objects, parsed, sub, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["OpencodeLog"]

ENDED = ("completed", "error")  # of a call
PARTS = 200  # of one message: all are told anew with each
FILTERED = "content-filter"  # why a model stopped that would not do it


@dataclass
class _Message:
    """One answer of a model; its parts come one by one."""

    role: str = ""
    model: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    thoughts: dict[str, str] = field(default_factory=dict)
    metrics: Metrics | None = None


@dataclass
class _Session:
    """The agent, or a sub-agent."""

    story: Story
    name: str = ""
    above: _Session | None = None
    prompted: bool = False
    messages: dict[str, _Message] = field(default_factory=dict)

    def message(self, id: str) -> _Message:
        return self.messages.setdefault(id, _Message())


class OpencodeLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._sessions: dict[str, _Session] = {}
        self._main = self._failed = self._finish = ""

    def line(self, source: str, text: str) -> None:
        if source == "stderr":
            return
        event = parsed(text)
        if source == "stdout":
            if event.get("type") == "error":
                self._failed = self._failed or _complaint(event)
        else:
            self._event(event, sub(event, "properties"))

    def _event(self, event: Json, told: Json) -> None:
        kind, when = word(event, "type"), _seconds(event, "at")
        if kind == "session.created":
            self._begun(sub(told, "info"))
        elif (id := word(told, "sessionID")) in self._sessions:
            session = self._sessions[id]
            if kind == "message.updated":
                self._message(session, sub(told, "info"), when)
            elif kind == "message.part.updated":
                self._part(session, sub(told, "part"), when)
            else:
                self._said(session, kind, told, when)

    def _begun(self, info: Json) -> None:
        """A session; one with another above it is a sub-agent's."""
        id, name = word(info, "id"), word(info, "agent") or "subagent"
        if not id or id in self._sessions:
            return
        above = self._sessions.get(word(info, "parentID"))
        if above:
            story = above.story.subagent(id, name)
            self._sessions[id] = _Session(story, name, above)
        elif not self._main:
            self._main = id
            self._sessions[id] = _Session(self._story, name)

    def _said(self, session: _Session, kind: str, told: Json, when: float | None) -> None:
        if kind == "session.error":
            said = _complaint(told)
            session.story.system(said, when=when)
            if session.above is None:
                self._failed = said
        elif kind == "session.compacted":
            said = "the context was compacted"
            session.story.system(said, when=when, extra={"compacted": True})
        elif kind == "session.status":  # told where it asks its model again
            status = sub(told, "status")
            extra = {"attempt": count(status, "attempt")}
            session.story.system(f"asks again: {word(status, 'message')}", when=when, extra=extra)

    # Messages and their parts.

    def _message(self, session: _Session, info: Json, when: float | None) -> None:
        if not (id := word(info, "id")):
            return
        known = session.message(id)
        known.role, known.model = word(info, "role"), word(info, "modelID")
        finish = word(info, "finish")
        if known.role != "assistant" or not finish:
            return
        known.metrics = _metrics(sub(info, "tokens"))
        self._tell(session, id, when)
        if session.above is None:
            self._finish = finish
            self._failed = "" if not sub(info, "error") else self._failed

    def _part(self, session: _Session, part: Json, when: float | None) -> None:
        kind, id = word(part, "type"), word(part, "messageID")
        known, text = session.message(id), word(part, "text")
        if known.role == "user":
            self._user(session, part, text, when)
        elif known.role == "assistant" and kind in ("text", "reasoning"):
            if len(known.texts) + len(known.thoughts) < PARTS:
                (known.texts if kind == "text" else known.thoughts)[word(part, "id")] = text
                self._tell(session, id, when)
        elif known.role == "assistant" and kind == "tool" and word(part, "callID"):
            if id and not (known.texts or known.thoughts):
                self._tell(session, id, when)
            self._call(session, part, id, when)

    def _user(self, session: _Session, part: Json, text: str, when: float | None) -> None:
        """The first is the prompt: of the agent it is recorded, of a sub-agent it is its task."""
        first, session.prompted = not session.prompted, True
        if not text or (first and session.above is None):
            return
        if part.get("synthetic"):
            session.story.system(text, when=when)
        else:
            session.story.user(text, when=when)

    def _tell(self, session: _Session, id: str, when: float | None) -> None:
        known = session.message(id)
        session.story.turn(
            id,
            when=when,
            text="\n\n".join(filter(None, known.texts.values())) or None,
            reasoning="\n\n".join(filter(None, known.thoughts.values())) or None,
            model=known.model or None,
            metrics=known.metrics,
        )

    def _call(self, session: _Session, part: Json, turn: str, when: float | None) -> None:
        id, state, story = word(part, "callID"), sub(part, "state"), session.story
        began = _seconds(sub(state, "time"), "start")
        story.call(id, word(part, "tool"), sub(state, "input"), turn=turn, when=began or when)
        child = self._sessions.get(word(sub(state, "metadata"), "sessionId"))
        if child and child.above is session:
            key = word(sub(state, "metadata"), "sessionId")
            story.subagent(key, child.name, call=id)
        if word(state, "status") in ENDED:
            ended = _seconds(sub(state, "time"), "end")
            content = joined(list(_content(story, state)))
            story.result(id, content, when=ended or when, extra=_noted(state, began, ended))

    def close(self, status: int | None) -> Closing:
        refused = self._finish == FILTERED and not self._failed
        failed = "the model would not do it" if refused else self._failed
        used = [
            _usage(message.metrics)
            for session in self._sessions.values()
            for message in session.messages.values()
            if message.metrics
        ]
        usage = sum(used, Usage()) if used else None
        return Closing(failed, refused=refused, usage=usage, session=self._main)


def _content(story: Story, state: Json) -> Iterator[ContentPart]:
    for name in ("output", "error"):
        if text := word(state, name):
            yield ContentPart(type="text", text=text)
    for file in objects(state.get("attachments")):
        kind, url = word(file, "mime"), word(file, "url")
        start, _, data = url.partition(";base64,")
        if kind.startswith("image/") and start.startswith("data:"):
            yield story.picture(data, kind)


def _noted(state: Json, began: float | None, ended: float | None) -> dict[str, object]:
    known = sub(state, "metadata")
    extra: dict[str, object] = {}
    if began and ended:
        extra["seconds"] = round(max(ended - began, 0.0), 3)
    if type(code := known.get("exit")) is int:
        extra["exit_code"] = code
    if word(state, "status") == "error":
        extra["is_error"] = True
    if patch := word(sub(known, "filediff"), "patch"):
        extra["patch"] = patch
    return extra


def _seconds(told: Json, name: str) -> float | None:
    """Since 1970; it tells milliseconds."""
    value = told.get(name)
    return value / 1000 if type(value) in (int, float) and 0 < value < 1e14 else None  # type: ignore[operator]  # it is a number


def _complaint(told: Json) -> str:
    error = sub(told, "error")
    said, name = word(sub(error, "data"), "message"), word(error, "name")
    return f"{name}: {said}" if name and said else said or name or "it does not say why it failed"


def _metrics(tokens: Json) -> Metrics:
    """Its input leaves out what was cached, and its output reasoning."""
    cache, reasoning = sub(tokens, "cache"), count(tokens, "reasoning")
    written = count(cache, "write")
    return Metrics(
        prompt_tokens=count(tokens, "input") + count(cache, "read") + written,
        completion_tokens=count(tokens, "output") + reasoning,
        cached_tokens=count(cache, "read"),
        extra={"cache_write_tokens": written, "reasoning_tokens": reasoning},
    )


def _usage(metrics: Metrics) -> Usage:
    more = metrics.extra or {}
    return Usage(
        prompt=metrics.prompt_tokens or 0,
        cached=metrics.cached_tokens or 0,
        cache_write=count(more, "cache_write_tokens"),
        output=metrics.completion_tokens or 0,
        reasoning=count(more, "reasoning_tokens"),
    )
