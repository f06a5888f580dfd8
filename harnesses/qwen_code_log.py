"""What Qwen Code writes as it works, read as a story.

The chat that it keeps below its home has a line for each answer of the model, and for each result;
sub-agents have a file each. Its stdout tells how it ended, and what was not yet written to the chat
when it was killed. All of it is foreign: what is not as expected is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, moment, objects, parsed, sub, word
from pytest_ale.trajectory import Metrics

from .gemini_cli_log import shown
from .qwen_code_redo import edited

__all__ = ["QwenCodeLog"]

PENDING = 500  # blocks of an answer
MOST_NEW = 100_000  # characters of an edited file that are noted with its result


class QwenCodeLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._chats: dict[str, _Chat] = {}
        self._session = self._failed = ""
        self._usage: Usage | None = None
        self._pending: list[Json] = []  # blocks that were said since the last result of a call

    def line(self, source: str, text: str) -> None:
        if source == "stderr":
            return
        told = parsed(text)
        if source == "stdout":
            self._event(told)
        elif chat := self._chat(source, told):
            chat.record(told)

    def _event(self, told: Json) -> None:
        self._session = word(told, "session_id") or self._session
        kind, message = word(told, "type"), sub(told, "message")
        if kind in ("assistant", "user") and not told.get("parent_tool_use_id"):
            blocks = [
                {**block, "key": told.get("uuid")} for block in objects(message.get("content"))
            ]
            self._pending = [*self._pending, *blocks][:PENDING] if kind == "assistant" else []
        elif kind == "result":
            self._end(told)

    def _end(self, told: Json) -> None:
        self._pending, self._failed = [], ""
        if told.get("is_error"):
            error = word(sub(told, "error"), "message") or word(told, "result")
            self._failed = error or "it does not say why it failed"
        used = sub(told, "usage")
        asked, total = count(used, "input_tokens"), count(used, "total_tokens")
        output = max(total - asked, count(used, "output_tokens"))
        self._usage = Usage(
            prompt=asked, cached=count(used, "cache_read_input_tokens"), output=output
        )

    def _chat(self, path: str, told: Json) -> _Chat | None:
        if path not in self._chats:
            if PurePosixPath(path).parent.name == "chats":
                self._chats[path] = _Chat(self._story, is_main=True)
            elif id := word(told, "agentId"):
                # Its id is its name, and the id of the call that began it.
                name = word(told, "agentName") or "agent"
                call = id.removeprefix(f"{name}-")
                self._chats[path] = _Chat(self._story.subagent(id, name, call=call))
        return self._chats.get(path)

    def close(self, status: int | None) -> Closing:
        self._unwritten()
        return Closing(self._failed, usage=self._usage, session=self._session)

    def _unwritten(self) -> None:
        """Of an answer whose calls are in no chat."""
        calls = [block for block in self._pending if word(block, "id") and word(block, "name")]
        if not calls or any(self._story.knows(word(call, "id")) for call in calls):
            return
        said = "\n\n".join(filter(None, (word(block, "text") for block in self._pending)))
        key = word(calls[0], "key")
        self._story.turn(key, text=said or None)
        for call in calls:
            self._story.call(word(call, "id"), word(call, "name"), sub(call, "input"), turn=key)


@dataclass
class _Chat:
    """The agent's, or a sub-agent's."""

    story: Story
    is_main: bool = False
    asked: bool = False  # the prompt was seen
    turn: str = ""
    lasted: dict[str, float] = field(default_factory=dict)  # seconds, by the id of a call
    edits: dict[str, Json] = field(default_factory=dict)  # what was asked for

    def record(self, told: Json) -> None:
        known = {
            "user": self._user,
            "assistant": self._assistant,
            "tool_result": self._results,
            "system": self._system,
        }
        if tell := known.get(word(told, "type")):
            tell(told)

    def _user(self, told: Json) -> None:
        """The first is the prompt: of the agent it is recorded, of a sub-agent it is its task."""
        first, self.asked = not self.asked, True
        if (said := _said(told, thought=False)) and not (first and self.is_main):
            self.story.user(said, when=moment(told))

    def _assistant(self, told: Json) -> None:
        """An answer; of sub-agents its calls follow on lines of their own, with no usage."""
        used, when, id = sub(told, "usageMetadata"), moment(told), word(told, "uuid")
        text, thought = _said(told, thought=False), _said(told, thought=True)
        if used or text or thought or not self.turn:
            self.turn = id
            self.story.turn(
                id,
                when=when,
                text=text or None,
                reasoning=thought or None,
                model=word(told, "model") or None,
                metrics=_metrics(used) if used else None,
            )
        for call in _parts(told, "functionCall"):
            if called := word(call, "id"):
                name, given = word(call, "name"), sub(call, "args")
                self.story.call(called, name, given, turn=self.turn, when=when)
                if name == "edit":
                    self.edits[called] = given

    def _results(self, told: Json) -> None:
        response = next(_parts(told, "functionResponse"), {})
        id, known = word(response, "id"), sub(told, "toolCallResult")
        content = list(shown(self.story, sub(told, "message").get("parts")))
        extra = dict(_noted(known, self.edits.pop(id, None)))
        if id in self.lasted:
            extra["seconds"] = self.lasted.pop(id)
        self.story.result(id, joined(content), when=moment(told), extra=extra)

    def _system(self, told: Json) -> None:
        kind, payload = word(told, "subtype"), sub(told, "systemPayload")
        if kind == "ui_telemetry":
            event = sub(payload, "uiEvent")
            if id := word(event, "call_id"):
                self.lasted[id] = count(event, "duration_ms") / 1000
        elif kind == "chat_compression":
            said = "the context was compacted"
            self.story.system(said, when=moment(told), extra={"compacted": True})


def _parts(told: Json, name: str) -> Iterator[Json]:
    for part in objects(sub(told, "message").get("parts")):
        if name in part:
            yield sub(part, name)


def _said(told: Json, *, thought: bool) -> str:
    parts = objects(sub(told, "message").get("parts"))
    return "\n\n".join(
        text
        for part in parts
        if (text := word(part, "text")) and bool(part.get("thought")) is thought
    )


def _noted(known: Json, edit: Json | None) -> Iterator[tuple[str, object]]:
    """Of an edit also what came of it, where that is not what it says, word by word."""
    display = sub(known, "resultDisplay")
    if type(code := display.get("exitCode")) is int:
        yield "exit_code", code
    if known.get("status") != "success":
        yield "is_error", True
    new, old = display.get("newContent"), word(display, "originalContent")
    if (
        edit is not None
        and isinstance(new, str)
        and len(new) <= MOST_NEW
        and edited(old, edit) != new
    ):
        yield "new_content", new


def _metrics(used: Json) -> Metrics:
    """Gemini's own output leaves thoughts out; the total has them always."""
    asked, total = count(used, "promptTokenCount"), count(used, "totalTokenCount")
    output = max(total - asked, count(used, "candidatesTokenCount"))
    return Metrics(
        prompt_tokens=asked,
        completion_tokens=output,
        cached_tokens=count(used, "cachedContentTokenCount"),
        extra={"reasoning_tokens": count(used, "thoughtsTokenCount")},
    )
