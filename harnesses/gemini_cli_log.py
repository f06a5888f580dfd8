"""What Gemini CLI writes as it works, read as a story.

Two sources. The chat that it keeps below its home has all of a turn once the model has answered,
and all of a call once it is done, each time as the whole turn anew; sub-agents have one each. Its
stdout has, as they begin, calls of the main agent alone, and how it all ended. All of it is
foreign: what is not as expected is passed over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, moment, objects, parsed, seconds, sub, took, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["GeminiCliLog", "edited", "shown"]

BLOCKED = "The model response was blocked due to "  # safety settings, recitation, other policy
EXIT = re.compile(r"^Exit Code: (\d+)$", re.MULTILINE)
SNAPSHOT = "<state_snapshot>"  # how a compressed history begins
CONTEXT = "<session_context>"  # what it tells the model of the machine, before the prompt
MOST_NEW = 100_000  # characters of an edited file that are noted with its result


class GeminiCliLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._chats: dict[str, _Chat] = {}
        self._story = story
        self._begun: dict[str, _Begun] = {}  # calls of the main agent, in their order
        self._session = self._failed = ""
        self._usage: Usage | None = None

    def line(self, source: str, text: str) -> None:
        if source == "stderr":
            return
        told = parsed(text)
        if source == "stdout":
            self._event(told)
        else:
            self._chat(source).record(told)

    def close(self, status: int | None) -> Closing:
        for chat in self._chats.values():
            chat.unfinished()
        refused = self._failed.startswith(BLOCKED)
        return Closing(self._failed, refused=refused, usage=self._usage, session=self._session)

    # stdout

    def _event(self, told: Json) -> None:
        kind, when = told.get("type"), moment(told)
        if kind == "init":
            self._session = word(told, "session_id")
        elif kind == "tool_use" and (id := word(told, "tool_id")):
            begun = _Begun(word(told, "tool_name"), sub(told, "parameters"), when)
            self._begun.setdefault(id, begun)
        elif kind == "error" and (said := word(told, "message")):
            self._story.system(said, when=when, extra={"severity": told.get("severity")})
            if told.get("severity") == "error":
                self._failed = said
        elif kind == "result":
            self._end(told)

    def _end(self, told: Json) -> None:
        error, stats = sub(told, "error"), sub(told, "stats")
        if told.get("status") == "error":
            # After an answer that is empty or cannot be used there is none: an event had said it.
            self._failed = word(error, "message") or self._failed or "it does not say why"
        else:
            self._failed = ""  # what went wrong on the way did not keep it from its end
        # Its output tokens leave reasoning out; the total has it.
        asked, total = count(stats, "input_tokens"), count(stats, "total_tokens")
        said = count(stats, "output_tokens")
        output = max(total - asked, said)
        cached = count(stats, "cached")
        self._usage = Usage(prompt=asked, cached=cached, output=output, reasoning=output - said)

    # Chats

    def _chat(self, path: str) -> _Chat:
        if path not in self._chats:
            # chats/session-TIME-ID.jsonl, and those of its sub-agents chats/SESSION/ID.jsonl.
            main = PurePosixPath(path).parent.name == "chats"
            story = self._story if main else None
            self._chats[path] = _Chat(story, self, PurePosixPath(path).stem)
        return self._chats[path]

    def begun(self, until: float) -> Iterator[tuple[str, _Begun]]:
        """The main agent's calls that began before, and that were not told of."""
        for id, each in self._begun.items():
            if not each.told and seconds(each.when) <= until:
                each.told = True
                yield id, each

    def began(self, id: str) -> str | None:
        return self._begun[id].when if id in self._begun else None

    def child(self, key: str, prompt: str) -> Story:
        """The story of a sub-agent, told by what it was asked which call began it."""
        free = [(id, each) for id, each in self._begun.items() if each.is_free]
        asked = [each for each in free if word(each[1].arguments, "prompt") in prompt]
        for id, each in (asked or free)[:1]:
            each.taken = True
            name = word(each.arguments, "agent_name") or "subagent"
            return self._story.subagent(key, name, call=id)
        return self._story.subagent(key, "subagent")

    def belongs(self, key: str, call: str) -> None:
        """The call that began a sub-agent, told at its end."""
        if any(PurePosixPath(path).stem == key for path in self._chats):
            self._story.subagent(key, "subagent", call=call)


@dataclass
class _Begun:
    """A call, as stdout tells of it."""

    name: str
    arguments: Json
    when: str | None
    told: bool = False
    taken: bool = False  # by a sub-agent that it began

    @property
    def is_free(self) -> bool:
        return self.name == "invoke_agent" and self.told and not self.taken


@dataclass
class _Chat:
    """One chat: its lines are turns, each told anew as it goes on."""

    story: Story | None  # None: of a sub-agent that has said nothing yet
    log: GeminiCliLog
    key: str
    asked: bool = False  # the prompt was seen
    seen: dict[str, object] = field(default_factory=dict)  # what was last told of each turn
    users: set[str] = field(default_factory=set)

    def record(self, told: Json) -> None:
        changed = sub(told, "$set")
        for each in objects(changed.get("messages")):
            self._history(each)
        if told.get("type") == "user":
            self._user(told)
        elif told.get("type") == "gemini" and word(told, "id"):
            self._turn(told)

    def _history(self, told: Json) -> None:
        """A message of a history that was written anew: it was told before, or it sums up."""
        if (said := _said(told.get("content"))).lstrip().startswith(SNAPSHOT) and self.story:
            id = word(told, "id")
            if id not in self.users:
                self.users.add(id)
                when = moment(told)
                self.story.system(said, when=when, extra={"compacted": True})

    def _user(self, told: Json) -> None:
        id, said, when = word(told, "id"), _said(told.get("content")), moment(told)
        for part in objects(told.get("content")):
            self._answered(sub(part, "functionResponse"), when)
        if not said or said.startswith(CONTEXT) or id in self.users:
            return
        self.users.add(id)
        if self.story is None:
            self.story = self.log.child(self.key, said)
            self.story.user(said, when=when)
        elif self.asked or not self._is_main:
            self.story.user(said, when=when)
        self.asked = True

    @property
    def _is_main(self) -> bool:
        return self.key.startswith("session-")

    def _answered(self, told: Json, when: str | None) -> None:
        """A call that was refused before it began is told of by its answer alone."""
        id = word(told, "id")
        if id and self.story and not self.story.knows(id):
            self.story.call(id, word(told, "name"), {}, extra={"arguments": "not told"})
            self._result(
                {"id": id, "result": [{"functionResponse": told}], "status": "error"}, when
            )

    def _turn(self, told: Json) -> None:
        story = self.story = self.story or self.log.child(self.key, "")
        id, when = word(told, "id"), moment(told)
        first = {key: told.get(key) for key in ("content", "thoughts", "tokens", "model")}
        if self.seen.get(id) != first:
            self.seen[id] = first
            story.turn(
                id,
                when=when,
                text=_said(told.get("content")),
                reasoning=_thoughts(told.get("thoughts")),
                model=word(told, "model") or None,
                metrics=_metrics(sub(told, "tokens")),
            )
        for call in objects(told.get("toolCalls")):
            self._call(story, call, id)
        if self._is_main:
            for begun, each in self.log.begun(seconds(when)):
                story.call(begun, each.name, each.arguments, turn=id)

    def _call(self, story: Story, told: Json, turn: str) -> None:
        if not (id := word(told, "id")):
            return
        story.call(id, word(told, "name"), sub(told, "args"), turn=turn)
        if agent := word(told, "agentId"):
            self.log.belongs(agent, id)
        if told.get("status") in ("success", "error", "cancelled"):
            self._result(told, moment(told))

    def _result(self, told: Json, when: str | None) -> None:
        assert self.story is not None  # it has the call
        id = word(told, "id")
        content = list(shown(self.story, told.get("result")))
        text = "\n".join(part.text or "" for part in content)
        extra: dict[str, object] = {"seconds": took(self.log.began(id), when)}
        extra["exit_code"] = int(found[1]) if (found := EXIT.search(text)) else None
        extra["is_error"] = told.get("status") != "success" or None
        extra["new_content"] = _loosely_edited(told)
        known = {name: value for name, value in extra.items() if value is not None}
        self.story.result(id, joined(content), when=when, extra=known)

    def unfinished(self) -> None:
        """Tell of the calls that had begun when it ended."""
        if self._is_main and self.story:
            for id, each in self.log.begun(math.inf):
                self.story.call(id, each.name, each.arguments)


def shown(story: Story, result: object) -> Iterator[ContentPart]:
    """What a result, in parts as Gemini has them, showed the model."""
    for part in objects(result):
        response = sub(part, "functionResponse")
        said = sub(response, "response")
        for name in ("output", "error"):
            if name in said and (text := _plain(said[name])):
                yield ContentPart(type="text", text=text)
        if said and not said.keys() & {"output", "error"}:
            yield ContentPart(type="text", text=_plain(said))
        yield from shown(story, response.get("parts"))
        if text := word(part, "text"):
            yield ContentPart(type="text", text=text)
        picture = sub(part, "inlineData")
        if data := word(picture, "data"):
            kind = word(picture, "mimeType") or "image/png"
            yield story.picture(data, kind)


def edited(text: str, asked: Json) -> str | None:
    """A file's text after a call of `replace`, taken by its word; None where that fits nowhere."""
    old, new = word(asked, "old_string"), word(asked, "new_string")
    if not old:
        return new
    if old not in text:
        return None
    return text.replace(old, new, -1 if asked.get("allow_multiple") else 1)


def _loosely_edited(told: Json) -> str | None:
    """What a file holds after an edit that is not what its arguments say, word by word."""
    shown = sub(told, "resultDisplay")
    new, old = shown.get("newContent"), word(shown, "originalContent")
    if told.get("name") != "replace" or not isinstance(new, str) or len(new) > MOST_NEW:
        return None
    return new if edited(old, sub(told, "args")) != new else None


def _metrics(tokens: Json) -> Metrics | None:
    """Its output leaves out thoughts, and its input what its own tools read."""
    if not tokens:
        return None
    return Metrics(
        prompt_tokens=count(tokens, "input", "tool"),
        completion_tokens=count(tokens, "output", "thoughts"),
        cached_tokens=count(tokens, "cached"),
        extra={"reasoning_tokens": count(tokens, "thoughts")},
    )


def _thoughts(told: object) -> str | None:
    """Its thoughts have a subject, in bold where the model wrote it, and a description."""
    lines = []
    for each in objects(told):
        subject, more = word(each, "subject"), word(each, "description")
        lines.append("\n".join(filter(None, (subject and f"**{subject}**", more))))
    return "\n\n".join(filter(None, lines)) or None


def _said(content: object) -> str:
    """The text of a message, which is a string or parts."""
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, (word(part, "text") for part in objects(content))))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
