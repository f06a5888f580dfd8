"""What an agent says over the Agent Client Protocol, read as a story.

The lines are those of acp_inside.py: each message with its time. The protocol has no word for a
turn of the model: one begins with the first text, thought or call after a result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, items, objects, parsed, seconds, sub, took, word
from pytest_ale.trajectory import ContentPart

__all__ = ["AcpLog"]

ENDED = ("completed", "failed")
WELL = "end_turn"
# Some have the tool's name in a call's id, and nowhere else: run_shell_command__call_1_3.
NAMED = re.compile(r"(?!call|tool)([a-z]\w*?)(?:__\w|-\d{10,})")
PLAIN = re.compile(r"[A-Za-z][\w.:/-]*")
OUTPUTS = ("formatted_output", "aggregated_output", "output", "stdout", "text", "result", "error")
MOST_TEXT = 1 << 20  # of a turn, and
MOST_CALLS = 500  # that have begun, and of which it is not told with what
MOST_NEW = 100_000  # characters of an edit that are noted with its result


class AcpLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._asked: dict[object, str] = {}  # our requests, by their numbers
        self._session = self._model = self._failed = ""
        self._refused = False
        self._turn = 0
        self._texts: dict[str, list[str]] = {}
        self._size = self._told = 0  # characters of the texts, and those the story knows
        self._when: str | None = None  # of the turn
        self._over = True  # its turn has a result: what comes next is another's
        self._message = ""
        self._began: dict[str, str | None] = {}
        self._calls: dict[str, dict[str, object]] = {}  # what is known of each

    def line(self, source: str, text: str) -> None:
        told = parsed(text) if source == "stdout" else {}
        said, when = sub(told, "said"), word(told, "at")
        at = when if seconds(when) > 0 else None
        if word(told, "from") == "client":
            self._ours(said)
        elif word(said, "method") == "session/update":
            self._update(sub(sub(said, "params"), "update"), at)
        elif "method" not in said and said.get("id") in self._numbers:
            self._answer(self._asked.pop(said["id"]), said)

    @property
    def _numbers(self) -> list[object]:
        return [*self._asked]

    def close(self, status: int | None) -> Closing:
        self._tell()
        for id in [*self._calls]:
            self._call(id)
        return Closing(self._failed, refused=self._refused, session=self._session)

    # Requests and answers.

    def _ours(self, said: Json) -> None:
        if (method := word(said, "method")) and type(said.get("id")) is int:
            self._asked[said["id"]] = method
        self._failed = word(said, "failed") or self._failed

    def _answer(self, method: str, said: Json) -> None:
        result = sub(said, "result")
        if method == "session/new":
            self._session = word(result, "sessionId")
            self._model = word(sub(result, "models"), "currentModelId")
        elif method == "session/set_model" and "result" in said:
            self._model = ""  # what it was before; the gateway knows
        elif method == "session/prompt" and result:
            reason = word(result, "stopReason")
            self._refused = reason == "refusal"
            if reason != WELL:
                self._failed = f"it stopped: {reason or 'it does not say why'}"

    # What it does.

    def _update(self, told: Json, when: str | None) -> None:
        kind, id = word(told, "sessionUpdate"), word(told, "toolCallId")
        if kind in ("agent_message_chunk", "agent_thought_chunk"):
            self._chunk(kind, told, when)
        elif kind in ("tool_call", "tool_call_update") and id:
            self._tool(id, told, when)
        elif kind == "plan":
            entries = objects(told.get("entries"))
            lines = [f"[{word(each, 'status')}] {word(each, 'content')}" for each in entries]
            self._story.system("\n".join(lines), when=when, extra={"kind": "plan"})

    def _chunk(self, kind: str, told: Json, when: str | None) -> None:
        text, message = word(sub(told, "content"), "text"), _message(told)
        if message and self._message and message != self._message:
            self._over = True
        self._message = message or self._message
        if text.strip() or not self._over:
            self._begin(when)
            if self._size > MOST_TEXT:
                return
            self._texts.setdefault(kind, []).append(text)
            self._size += len(text)
            if self._size >= 2 * self._told:
                self._tell()

    def _begin(self, when: str | None) -> None:
        if self._over:
            self._tell()
            self._turn += 1
            self._over, self._when, self._texts, self._size, self._told = False, when, {}, 0, 0

    def _tell(self) -> None:
        """Tell the texts of the turn: as they grow, by doubling, or each piece costs all before."""
        self._told = self._size
        if self._size:
            self._story.turn(
                f"turn-{self._turn}",
                when=self._when,
                text=self._said("agent_message_chunk"),
                reasoning=self._said("agent_thought_chunk"),
                model=self._model or None,
            )

    def _said(self, kind: str) -> str | None:
        return "".join(self._texts.get(kind, ())).strip() or None

    # Calls.

    def _tool(self, id: str, told: Json, when: str | None) -> None:
        if id not in self._calls and id not in self._began:
            self._begin(when)
            self._tell()
            if not self._told:  # a turn without words
                key, model = f"turn-{self._turn}", self._model or None
                self._story.turn(key, when=when, model=model)
            self._calls[id] = {"turn": f"turn-{self._turn}"}
            if len(self._calls) > MOST_CALLS:
                self._call(next(iter(self._calls)))
            self._began[id] = when
        if id in self._calls:
            self._calls[id].update({name: told[name] for name in told if told[name] is not None})
            if self._ready(id):
                self._call(id)
        if word(told, "status") in ENDED:
            self._result(id, told, when)

    def _ready(self, id: str) -> bool:
        """Its arguments may come after it has begun."""
        known = self._calls[id]
        return bool(known.get("rawInput")) or known.get("status") in (*ENDED, "in_progress")

    def _call(self, id: str) -> None:
        known = self._calls.pop(id)
        name, arguments = _named(id, known)
        extra = {key: known[key] for key in ("kind", "title") if isinstance(known.get(key), str)}
        self._story.call(id, name, arguments, turn=str(known["turn"]), extra=extra)

    def _result(self, id: str, told: Json, when: str | None) -> None:
        content = [*self._content(told.get("content"))]
        raw = sub(told, "rawOutput")
        if not content and (text := _output(told.get("rawOutput"))):
            content = [ContentPart(type="text", text=text)]
        status = raw.get("exit_code", raw.get("exitCode"))
        extra = {
            "seconds": took(self._began.get(id), when),
            "exit_code": status if type(status) is int else None,
            "is_error": told.get("status") == "failed" or None,
            "edits": _edits(told) or None,
        }
        known = {name: value for name, value in extra.items() if value is not None}
        self._story.result(id, joined(content), when=when, extra=known)
        self._over = True

    def _content(self, told: object) -> Iterator[ContentPart]:
        for each in objects(told):
            inner = sub(each, "content")
            if word(inner, "type") == "image":
                yield self._story.picture(word(inner, "data"), word(inner, "mimeType"))
            elif text := word(inner, "text") or word(sub(inner, "resource"), "text"):
                yield ContentPart(type="text", text=text)
            elif word(each, "type") == "diff":
                yield ContentPart(type="text", text=f"[{word(each, 'path')} was edited]")


def _message(told: Json) -> str:
    """The answer that a piece belongs to, where it is told."""
    metas = objects([*sub(told, "_meta").values()])
    return word(told, "messageId") or next(filter(None, (word(m, "messageId") for m in metas)), "")


def _named(id: str, known: Json) -> tuple[str, Json]:
    """A call's tool and arguments; each program has its own place for them."""
    asked, title = sub(known, "rawInput"), word(known, "title")
    if (server := word(asked, "server")) and (tool := word(asked, "tool")):
        return f"mcp__{server}__{tool}", sub(asked, "arguments")
    if not asked:
        asked = _shown(known) or {"title": title}
    for meta in objects([*sub(known, "_meta").values()]):
        if name := word(meta, "toolName") or word(sub(meta, "toolCall"), "toolName"):
            return name, asked
    if match := NAMED.match(id):
        return match[1], asked
    return (title if PLAIN.fullmatch(title) else word(known, "kind") or "tool"), asked


def _shown(known: Json) -> Json:
    """Arguments that are told as a text for people."""
    for each in objects(known.get("content")):
        if told := parsed(word(sub(each, "content"), "text")):
            return told
    return {}


def _output(raw: object) -> str:
    if isinstance(raw, str):
        return raw
    for name in OUTPUTS if isinstance(raw, dict) else ():
        if isinstance(raw, dict) and isinstance(text := raw.get(name), str) and text:
            return text
    return json.dumps(raw, ensure_ascii=False) if raw else ""


def _edits(told: Json) -> list[object]:
    """What it wrote into files, for a replay: the texts before and after."""
    found: list[object] = []
    for each in items(told, "content"):
        if isinstance(each, dict) and each.get("type") == "diff":
            old, new = word(each, "oldText"), word(each, "newText")
            if len(old) + len(new) <= MOST_NEW:
                found.append({"path": word(each, "path"), "old": old, "new": new})
    return found
