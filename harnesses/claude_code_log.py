"""What Claude Code says: its `stream-json` output, made a story.

Knows nothing of how it is started. The output has all that was done, with times, but not what
sub-agents used: their transcripts have, in files that are followed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, items, moment, objects, parsed, seconds, sub, took, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["ClaudeCodeLog"]


class ClaudeCodeLog:
    """Its stream-json, and the transcripts of its sub-agents for what they used."""

    def __init__(self, story: Story) -> None:
        self._main = Voice(story)
        self._voices: dict[str, Voice] = {}  # of sub-agents
        self._calls: dict[str, Voice] = {}  # who made a call
        self._used: dict[str, Metrics] = {}  # by the message, of sub-agents
        self._noted: list[tuple[float, str, dict[str, object]]] = []  # what came without a time
        self._end: Json = {}  # its last word
        self._session = ""

    def line(self, source: str, text: str) -> None:
        if source == "stderr" or _is_piece(text):
            return
        event = parsed(text)
        self._event(event) if source == "stdout" else self._transcript(event)

    def _event(self, event: Json) -> None:
        known = {
            "assistant": self._assistant,
            "user": self._user,
            "stream_event": self._streamed,
            "system": self._system,
            "result": self._result,
        }
        self._session = word(event, "session_id") or self._session
        if when := moment(event):
            self._tell_noted(seconds(when))
        if tell := known.get(word(event, "type")):
            tell(event)

    def _voice(self, event: Json) -> Voice:
        """Who speaks: a sub-agent, where it says by which call it was begun."""
        call = word(event, "parent_tool_use_id")
        return self._sub(call, event) if call else self._main

    def _sub(self, call: str, event: Json) -> Voice:
        id = word(event, "agent_id") or word(event, "task_id") or call
        if id not in self._voices:
            name = word(event, "subagent_type") or "agent"
            above = self._calls.get(call, self._main)
            self._voices[id] = Voice(above.story.subagent(id, name, call=call), id)
        return self._voices[id]

    def _assistant(self, event: Json) -> None:
        message, voice = sub(event, "message"), self._voice(event)
        when = moment(event)
        if word(message, "model") == "<synthetic>":  # nothing that a model said
            said = "\n".join(word(block, "text") for block in _blocks(message))
            voice.story.system(said, when=when, extra=_some(event, "error", "api_error_status"))
            return
        key = word(message, "id") or word(event, "uuid")
        calls = voice.say(key, message, when)
        self._calls |= {id: voice for id in calls if id not in self._calls}
        if message.get("stop_reason"):  # it came whole, and not as a stream
            self._used[key] = _metrics(sub(message, "usage"))
        if key in self._used:
            voice.story.turn(key, metrics=self._used.pop(key))

    def _user(self, event: Json) -> None:
        message, voice, when = sub(event, "message"), self._voice(event), moment(event)
        for block in _blocks(message):
            if word(block, "type") == "tool_result":
                voice.result(block, when, sub(event, "tool_use_result"))
            elif (said := word(block, "text")) and not event.get("isReplay") and not voice.id:
                voice.story.user(said, when=when)

    def _streamed(self, event: Json) -> None:
        """What an answer used: the prompt is told when it begins, or when it ends, or both."""
        inner, voice = sub(event, "event"), self._voice(event)
        kind, message = word(inner, "type"), sub(inner, "message")
        if kind == "message_start":
            voice.coming = word(message, "id"), sub(message, "usage")
        elif kind == "message_delta" and voice.coming[0]:
            key, told = voice.coming
            voice.coming = "", {}
            voice.story.turn(key, metrics=_metrics({**told, **sub(inner, "usage")}))

    def _transcript(self, event: Json) -> None:
        """Of a sub-agent: what a message used is known there, once it is whole."""
        message = sub(event, "message")
        key, usage = word(message, "id"), sub(message, "usage")
        if word(event, "type") != "assistant" or not (key and message.get("stop_reason")):
            return
        used = _metrics(usage)
        for voice in self._voices.values():
            if voice.said(key):
                voice.story.turn(key, metrics=used)
                return
        self._used[key] = used

    def _system(self, event: Json) -> None:
        kind = word(event, "subtype")
        if kind == "task_started":
            self._begun(event)
        elif kind == "task_notification":
            told = f"task {word(event, 'task_id')}: {word(event, 'summary')}"
            self._note(told, _some(event, "task_id", "status"))
        elif kind == "compact_boundary":
            known = sub(event, "compact_metadata")
            extra = _some(known, "trigger", "pre_tokens", "post_tokens", "duration_ms")
            self._note("the context was compacted", extra)
        elif kind == "api_retry":
            extra = _some(event, "attempt", "max_retries", "error_status", "error")
            self._note("the model is asked again after an error", extra)
        elif said := word(event, "content"):
            self._note(said, {})

    def _begun(self, event: Json) -> None:
        """A sub-agent, or a command in the background, which has no prompt."""
        call, prompt = word(event, "tool_use_id"), word(event, "prompt")
        if call and prompt and word(event, "task_id") not in self._voices:
            above = self._calls.get(call, self._main)
            self._sub(call, event).story.user(prompt, when=above.began.get(call))

    def _note(self, text: str, extra: dict[str, object]) -> None:
        """What has no time of its own waits for what has: it was there before that."""
        self._noted.append((time.time(), text, extra))

    def _tell_noted(self, now: float) -> None:
        noted, self._noted = self._noted, []
        for came, text, extra in noted:
            self._main.story.system(text, when=min(came, now), extra=extra)

    def _result(self, event: Json) -> None:
        """One for each time it came to an end: it goes on when what runs behind has ended."""
        self._end = event

    def close(self, status: int | None) -> Closing:
        self._tell_noted(time.time())
        end, cost = self._end, self._end.get("total_cost_usd")
        return Closing(
            failed=_complaint(end),
            refused=word(end, "stop_reason") == "refusal",
            usage=_used(sub(end, "modelUsage")),
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
        self.began: dict[str, str | None] = {}  # when a call was made
        self.coming: tuple[str, Json] = "", {}  # the answer that comes now, and what it used yet

    def said(self, key: str) -> bool:
        return key in self._keys

    def say(self, key: str, message: Json, when: str | None) -> list[str]:
        """Tell the blocks; return the ids of the calls in them."""
        if key != self._key or not key:
            self._key, self._texts = key, {"text": [], "thinking": []}
        self._keys.add(key)
        blocks = list(_blocks(message))
        for block in blocks:
            kind = word(block, "type")
            if kind in self._texts:
                self._texts[kind].append(word(block, kind))
        text, thought = ("\n\n".join(self._texts[kind]) for kind in ("text", "thinking"))
        model = word(message, "model") or None
        self.story.turn(key, when=when, text=text or None, reasoning=thought or None, model=model)
        return [id for block in blocks if (id := self._call(block, key, when))]

    def _call(self, block: Json, key: str, when: str | None) -> str:
        """A call, or the result of one that was done by the API's own servers."""
        kind, id = word(block, "type"), word(block, "id")
        if kind.endswith("tool_use") and id:
            extra = {"agent": self.id} if self.id else None
            self.story.call(
                id, word(block, "name"), sub(block, "input"), turn=key, when=when, extra=extra
            )
            self.began[id] = when
            return id
        if kind.endswith("_tool_result"):
            self.story.result(word(block, "tool_use_id"), json.dumps(block.get("content")))
        return ""

    def result(self, block: Json, when: str | None, more: Json) -> None:
        id, content = word(block, "tool_use_id"), block.get("content")
        extra: dict[str, object] = {}
        if block.get("is_error"):
            extra["is_error"] = True
            if found := re.match(r"Exit code (\d+)", content if isinstance(content, str) else ""):
                extra["exit_code"] = int(found[1])
        if more.get("interrupted"):
            extra["interrupted"] = True
        if (lasted := took(self.began.get(id), when)) is not None:
            extra["seconds"] = lasted
        told = content if isinstance(content, str) else self._parts(content)
        self.story.result(id, told, when=when, extra=extra)

    def _parts(self, content: object) -> str | Sequence[ContentPart]:
        found: list[ContentPart] = []
        for block in objects(content):
            source = sub(block, "source")
            if word(source, "type") == "base64":
                found.append(self.story.picture(word(source, "data"), word(source, "media_type")))
            else:
                found.append(ContentPart(type="text", text=word(block, "text")))
        return joined(found)


def _is_piece(text: str) -> bool:
    """Most lines are pieces of a message that comes whole later: these are not even parsed."""
    start = text[:400]
    kept = '"message_start"' in start or '"message_delta"' in start
    return '"stream_event"' in start and not kept


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def _some(event: Json, *wanted: str) -> dict[str, object]:
    return {name: event[name] for name in wanted if event.get(name) is not None}


def _metrics(usage: Json) -> Metrics:
    """What was cached, or written to a cache, is not in its input."""
    cached, written = "cache_read_input_tokens", "cache_creation_input_tokens"
    reasoning = count(sub(usage, "output_tokens_details"), "thinking_tokens")
    return Metrics(
        prompt_tokens=count(usage, "input_tokens", cached, written),
        completion_tokens=count(usage, "output_tokens"),
        cached_tokens=count(usage, cached),
        extra={"cache_write_tokens": count(usage, written), "reasoning_tokens": reasoning},
    )


def _used(models: Json) -> Usage | None:
    """All it used, by model: sub-agents' too, which its `usage` leaves out."""
    cached, written = "cacheReadInputTokens", "cacheCreationInputTokens"
    told = [
        Usage(
            prompt=count(each, "inputTokens", cached, written),
            cached=count(each, cached),
            cache_write=count(each, written),
            output=count(each, "outputTokens"),
            reasoning=count(each, "thinkingTokens"),
        )
        for each in objects([*models.values()])
    ]
    return sum(told, Usage()) if told else None


def _complaint(end: Json) -> str:
    """It says `success` of what failed, too: what counts is is_error (docker.md 4)."""
    if not end.get("is_error"):
        return ""
    said = [str(each) for each in items(end, "errors")]
    return word(end, "result") or "; ".join(said) or word(end, "subtype") or "it failed"
