"""What Claude Code says: its `stream-json` output, made a story.

Knows nothing of how it is started. The output has all that was done, with times, but not what
sub-agents used: their transcripts have, in files that are followed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TypeGuard

from pytest_ale.gateway.usage import COUNT, Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["Log"]

Event = Mapping[str, object]


class Log:
    """Its stream-json, and the transcripts of its sub-agents for what they used."""

    def __init__(self, story: Story) -> None:
        self._main = Voice(story)
        self._voices: dict[str, Voice] = {}  # of sub-agents
        self._calls: dict[str, Voice] = {}  # who made a call
        self._used: dict[str, Metrics] = {}  # by the message, of sub-agents
        self._noted: list[tuple[float, str, dict[str, object]]] = []  # what came without a time
        self._end: Event = {}  # its last word
        self._session = ""

    def line(self, source: str, text: str) -> None:
        if source == "stderr" or _is_piece(text):
            return
        with suppress(ValueError, RecursionError):
            event = json.loads(text)
            if _is_object(event):
                self._event(event) if source == "stdout" else self._transcript(event)

    def _event(self, event: Event) -> None:
        known = {
            "assistant": self._assistant,
            "user": self._user,
            "stream_event": self._streamed,
            "system": self._system,
            "result": self._result,
        }
        self._session = _text(event, "session_id") or self._session
        if when := _time(event):
            self._tell_noted(_moment(when))
        if tell := known.get(_text(event, "type")):
            tell(event)

    def _voice(self, event: Event) -> Voice:
        """Who speaks: a sub-agent, where it says by which call it was begun."""
        call = _text(event, "parent_tool_use_id")
        return self._sub(call, event) if call else self._main

    def _sub(self, call: str, event: Event) -> Voice:
        id = _text(event, "agent_id") or _text(event, "task_id") or call
        if id not in self._voices:
            name = _text(event, "subagent_type") or "agent"
            above = self._calls.get(call, self._main)
            self._voices[id] = Voice(above.story.subagent(id, name, call=call), id)
        return self._voices[id]

    def _assistant(self, event: Event) -> None:
        message, voice = _dict(event, "message"), self._voice(event)
        when = _time(event)
        if _text(message, "model") == "<synthetic>":  # nothing that a model said
            said = "\n".join(_text(block, "text") for block in _blocks(message))
            voice.story.system(said, when=when, extra=_some(event, "error", "api_error_status"))
            return
        key = _text(message, "id") or _text(event, "uuid")
        calls = voice.say(key, message, when)
        self._calls |= {id: voice for id in calls if id not in self._calls}
        if message.get("stop_reason"):  # it came whole, and not as a stream
            self._used[key] = _metrics(_dict(message, "usage"))
        if key in self._used:
            voice.story.turn(key, metrics=self._used.pop(key))

    def _user(self, event: Event) -> None:
        message, voice, when = _dict(event, "message"), self._voice(event), _time(event)
        for block in _blocks(message):
            if _text(block, "type") == "tool_result":
                voice.result(block, when, _dict(event, "tool_use_result"))
            elif (said := _text(block, "text")) and not event.get("isReplay") and not voice.id:
                voice.story.user(said, when=when)

    def _streamed(self, event: Event) -> None:
        """What an answer used: the prompt is told when it begins, or when it ends, or both."""
        inner, voice = _dict(event, "event"), self._voice(event)
        kind, message = _text(inner, "type"), _dict(inner, "message")
        if kind == "message_start":
            voice.begun = _text(message, "id"), _dict(message, "usage")
        elif kind == "message_delta" and voice.begun[0]:
            key, told = voice.begun
            voice.begun = "", {}
            voice.story.turn(key, metrics=_metrics({**told, **_dict(inner, "usage")}))

    def _transcript(self, event: Event) -> None:
        """Of a sub-agent: what a message used is known there, once it is whole."""
        message = _dict(event, "message")
        key, usage = _text(message, "id"), _dict(message, "usage")
        if _text(event, "type") != "assistant" or not (key and message.get("stop_reason")):
            return
        used = _metrics(usage)
        for voice in self._voices.values():
            if voice.said(key):
                voice.story.turn(key, metrics=used)
                return
        self._used[key] = used

    def _system(self, event: Event) -> None:
        kind = _text(event, "subtype")
        if kind == "task_started":
            self._begun(event)
        elif kind == "task_notification":
            told = f"task {_text(event, 'task_id')}: {_text(event, 'summary')}"
            self._note(told, _some(event, "task_id", "status"))
        elif kind == "compact_boundary":
            known = _dict(event, "compact_metadata")
            extra = _some(known, "trigger", "pre_tokens", "post_tokens", "duration_ms")
            self._note("the context was compacted", extra)
        elif kind == "api_retry":
            extra = _some(event, "attempt", "max_retries", "error_status", "error")
            self._note("the model is asked again after an error", extra)
        elif said := _text(event, "content"):
            self._note(said, {})

    def _begun(self, event: Event) -> None:
        """A sub-agent, or a command in the background, which has no prompt."""
        call, prompt = _text(event, "tool_use_id"), _text(event, "prompt")
        if call and prompt and _text(event, "task_id") not in self._voices:
            above = self._calls.get(call, self._main)
            self._sub(call, event).story.user(prompt, when=above.began.get(call))

    def _note(self, text: str, extra: dict[str, object]) -> None:
        """What has no time of its own waits for what has: it was there before that."""
        self._noted.append((time.time(), text, extra))

    def _tell_noted(self, now: float) -> None:
        noted, self._noted = self._noted, []
        for came, text, extra in noted:
            self._main.story.system(text, when=min(came, now), extra=extra)

    def _result(self, event: Event) -> None:
        """One for each time it came to an end: it goes on when what runs behind has ended."""
        self._end = event

    def close(self, status: int | None) -> Closing:
        self._tell_noted(time.time())
        end, cost = self._end, self._end.get("total_cost_usd")
        return Closing(
            failed=_complaint(end),
            refused=_text(end, "stop_reason") == "refusal",
            usage=_used(_dict(end, "modelUsage")),
            cost_usd=float(cost) if isinstance(cost, int | float) else None,
            session=self._session,
        )


class Voice:
    """What one agent says, message by message; a message comes in a block at a time."""

    def __init__(self, story: Story, id: str = "") -> None:
        self.story = story
        self.id = id  # of a sub-agent
        self._key = ""
        self._texts: dict[str, list[str]] = {}
        self._keys: set[str] = set()
        self.began: dict[str, float] = {}  # when a call was made
        self.begun: tuple[str, Event] = "", {}  # the answer that comes now, and what it used yet

    def said(self, key: str) -> bool:
        return key in self._keys

    def say(self, key: str, message: Event, when: str | None) -> list[str]:
        """Tell the blocks; return the ids of the calls in them."""
        if key != self._key or not key:
            self._key, self._texts = key, {"text": [], "thinking": []}
        self._keys.add(key)
        blocks = list(_blocks(message))
        for block in blocks:
            kind = _text(block, "type")
            if kind in self._texts:
                self._texts[kind].append(_text(block, kind))
        text, thought = ("\n\n".join(self._texts[kind]) for kind in ("text", "thinking"))
        model = _text(message, "model") or None
        self.story.turn(key, when=when, text=text or None, reasoning=thought or None, model=model)
        return [id for block in blocks if (id := self._call(block, key, when))]

    def _call(self, block: Event, key: str, when: str | None) -> str:
        """A call, or the result of one that was done by the API's own servers."""
        kind, id = _text(block, "type"), _text(block, "id")
        if kind.endswith("tool_use") and id:
            given = {name: self._kept(value) for name, value in _dict(block, "input").items()}
            extra = {"agent": self.id} if self.id else None
            self.story.call(id, _text(block, "name"), given, turn=key, when=when, extra=extra)
            self.began[id] = _moment(when)
            return id
        if kind.endswith("_tool_result"):
            self.story.result(_text(block, "tool_use_id"), json.dumps(block.get("content")))
        return ""

    def _kept(self, value: object) -> object:
        return self.story.content(value) if isinstance(value, str) else value

    def result(self, block: Event, when: str | None, more: Event) -> None:
        id, content = _text(block, "tool_use_id"), block.get("content")
        extra: dict[str, object] = {}
        if block.get("is_error"):
            extra["is_error"] = True
            if found := re.match(r"Exit code (\d+)", content if isinstance(content, str) else ""):
                extra["exit_code"] = int(found[1])
        if more.get("interrupted"):
            extra["interrupted"] = True
        if (began := self.began.get(id, 0.0)) and (ended := _moment(when)):
            extra["seconds"] = round(max(ended - began, 0.0), 3)
        told = content if isinstance(content, str) else self._parts(content)
        self.story.result(id, told, when=when, extra=extra)

    def _parts(self, content: object) -> str | list[ContentPart]:
        found: list[ContentPart] = []
        for block in filter(_is_object, content if isinstance(content, list) else []):
            source = _dict(block, "source")
            if _text(source, "type") == "base64":
                found.append(self.story.picture(_text(source, "data"), _text(source, "media_type")))
            else:
                found.append(ContentPart(type="text", text=_text(block, "text")))
        if all(part.type == "text" for part in found):
            return "\n".join(part.text or "" for part in found)
        return found


# What may be anything, for it is an agent's.


def _is_piece(text: str) -> bool:
    """Most lines are pieces of a message that comes whole later: these are not even parsed."""
    start = text[:400]
    kept = '"message_start"' in start or '"message_delta"' in start
    return '"stream_event"' in start and not kept


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _dict(holder: Event, name: str) -> dict[str, object]:
    value = holder.get(name)
    return value if _is_object(value) else {}


def _text(holder: Event, name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _blocks(message: Event) -> Iterable[dict[str, object]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return filter(_is_object, content if isinstance(content, list) else [])


def _some(event: Event, *wanted: str) -> dict[str, object]:
    return {name: event[name] for name in wanted if event.get(name) is not None}


def _count(holder: Event, *wanted: str) -> int:
    values = (holder.get(name) for name in wanted)
    return sum(min(value, COUNT) for value in values if type(value) is int and value > 0)


def _time(event: Event) -> str | None:
    """When it says it was; what is no time is now."""
    when = _text(event, "timestamp")
    return when if _moment(when) > 0 else None


def _moment(when: str | None) -> float:
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat((when or "").replace("Z", "+00:00")).timestamp()
    return 0.0


def _metrics(usage: Event) -> Metrics:
    """What was cached, or written to a cache, is not in its input."""
    cached, written = "cache_read_input_tokens", "cache_creation_input_tokens"
    reasoning = _count(_dict(usage, "output_tokens_details"), "thinking_tokens")
    return Metrics(
        prompt_tokens=_count(usage, "input_tokens", cached, written),
        completion_tokens=_count(usage, "output_tokens"),
        cached_tokens=_count(usage, cached),
        extra={"cache_write_tokens": _count(usage, written), "reasoning_tokens": reasoning},
    )


def _used(models: Event) -> Usage | None:
    """All it used, by model: sub-agents' too, which its `usage` leaves out."""
    cached, written = "cacheReadInputTokens", "cacheCreationInputTokens"
    told = [
        Usage(
            prompt=_count(each, "inputTokens", cached, written),
            cached=_count(each, cached),
            cache_write=_count(each, written),
            output=_count(each, "outputTokens"),
            reasoning=_count(each, "thinkingTokens"),
        )
        for each in models.values()
        if _is_object(each)
    ]
    return sum(told, Usage()) if told else None


def _complaint(end: Event) -> str:
    """It says `success` of what failed, too: what counts is is_error (docker.md 4)."""
    if not end.get("is_error"):
        return ""
    errors = end.get("errors")
    said = [str(each) for each in errors] if isinstance(errors, list) else []
    return _text(end, "result") or "; ".join(said) or _text(end, "subtype") or "it failed"
