"""One thread of Codex's, the agent's own or a sub-agent's: its rollout, made a story.

Knows nothing of sandboxes. A rollout has a line for each thing, in the order in which it happened:

    session_meta, turn_context   whose thread it is, and which model is asked
    response_item                what the model said and called, and what it was answered
    token_usage_record           the end of one answer of the model, and its tokens
    event_msg, item_completed    how a call went: exit status, time, and what a script called
    compacted                    the context was replaced by a summary

Newer models call one tool, `exec`, with JavaScript that calls the others: those calls stand in the
same step, marked with `called_by`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pytest_ale.gateway.usage import Usage
from pytest_ale.story import Story
from pytest_ale.told import Json, count, items, moment, objects, sub, word
from pytest_ale.trajectory import ContentPart, Metrics

from .codex_items import called, exited, nested, texts, went

if TYPE_CHECKING:
    from .codex_log import CodexLog

__all__ = ["Thread"]

EXITED = re.compile(r"^Process exited with code (-?\d+)$", re.MULTILINE)
HEAD = 300  # characters of an output that are Codex's own
TOKENS = ("input", "cached_input", "cache_write_input", "output", "reasoning_output")
WENT = ("CommandExecution", "McpToolCall", "FileChange")  # what tells how a call went
# What it tells a model at the start of a thread, beside the task.
CONTEXT = ("<environment_context>", "<user_instructions>", "# AGENTS.md", "<skills_instructions>")


class Thread:
    """One rollout: the agent's own thread, or that of a sub-agent."""

    def __init__(self, log: CodexLog, source: str) -> None:
        self._log = log
        self.source = source
        self.story: Story | None = None
        self.held: list[Json] = []
        self.id = self.parent = self.model = ""
        self.name = "codex"
        self._start = 0  # before which its parent's log is repeated
        self._number = self._metered = 0  # the last turn, and the last whose tokens are known
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._sampled: object = None  # which request of the thread was answered
        self._ended = True  # the answer that the last turn was made of
        self._counted = False
        self._script = ""  # the call that runs the others
        self._done: set[str] = set()
        self._again: dict[str, str] = {}  # ids that a server gave to one call after another
        self._went: dict[str, dict[str, object]] = {}  # how a call went, until its result comes

    def meet(self, meta: Json) -> None:
        self.id, self.parent = word(meta, "id"), word(meta, "parent_thread_id")
        self._start = count(meta, "subagent_history_start_ordinal")
        self.name = word(meta, "agent_path") or word(meta, "agent_nickname") or self.name

    @property
    def _told(self) -> Story:
        assert self.story is not None  # lines are held until it has one
        return self.story

    def event(self, event: Json) -> None:
        if count(event, "ordinal") < self._start:
            return
        kind, payload, when = event.get("type"), sub(event, "payload"), moment(event)
        if kind == "response_item":
            self._item(payload, sub(event, "metadata"), when)
        elif kind == "token_usage_record":
            self._counted = True
            if self._ended:  # an answer of which no item is kept
                self._turn({}, when)
            self._tokens(sub(payload, "usage"))
        elif kind == "turn_context":
            self.model = word(payload, "model") or self.model
        elif kind == "compacted":
            text = word(payload, "message")
            self._told.system("The context was compacted.", when=when, extra={"summary": text})
        elif kind == "event_msg":
            self._message(payload, when)

    def _message(self, payload: Json, when: str | None) -> None:
        item = sub(payload, "item")
        if payload.get("type") == "item_completed" and item:
            self._completed(item, when)
        elif self._counted or self._metered == self._number:
            return
        elif payload.get("type") == "token_count":
            # Of a version that writes no token_usage_record (0.145): after the calls are done.
            self._tokens(sub(sub(payload, "info"), "last_token_usage"))

    # What the model said and called.

    def _item(self, item: Json, about: Json, when: str | None) -> None:
        kind, role = word(item, "type"), item.get("role")
        if about.get("inherited_user_message"):  # a sub-agent's log begins with its parent's
            return
        if kind in ("reasoning", "message") and role in (None, "assistant"):
            self._spoke(item, about, when)
        elif kind == "agent_message" or (kind == "message" and role == "user"):
            self._heard(item, when)
        elif kind.endswith("_call"):
            self._call(item, about, when)
        elif kind.endswith("_output"):
            self._output(item, when)

    def _spoke(self, item: Json, about: Json, when: str | None) -> None:
        self._turn(about, when)
        if item.get("type") == "reasoning":
            self._thoughts += texts(item.get("summary")) or texts(item.get("content"))
        else:
            self._text += texts(item.get("content"))
        extra = {"compaction": True} if about.get("compaction_output") else None
        thoughts = "\n\n".join(self._thoughts) or None
        text = "\n\n".join(self._text)
        self._told.turn(self._key, text=text, reasoning=thoughts, extra=extra)

    def _heard(self, item: Json, when: str | None) -> None:
        """What came in between, and a sub-agent's task; the agent's own is recorded already."""
        text = "\n".join(texts(item.get("content")))
        if not text or text.startswith(CONTEXT) or not (self._number or self.parent):
            return
        if author := word(item, "author"):
            text = f"[{author}] {text}"
        self._told.user(text, when=when)

    @property
    def _key(self) -> str:
        return str(self._number)

    def _turn(self, about: Json, when: str | None) -> None:
        """One answer of the model is one turn."""
        sampled = about.get("sampled_through_sequence")
        if not self._ended and sampled == self._sampled:
            return
        self._number += 1
        self._sampled, self._ended = sampled, False
        self._text, self._thoughts = [], []
        self._told.turn(self._key, when=when, model=self.model or None)

    def _call(self, item: Json, about: Json, when: str | None) -> None:
        self._turn(about, when)
        name, arguments = called(item)
        given = word(item, "call_id") or word(item, "id") or f"{self.id}-{self._key}-{name}"
        id = f"{given}-{self._key}" if given in self._done else given
        self._again[given] = id
        if name == "exec":
            self._script = id
        self._told.call(id, name, arguments, turn=self._key, when=when)

    def _output(self, item: Json, when: str | None) -> None:
        id = self._known(item, "call_id")
        content = self._content(item.get("output", item.get("tools")))
        extra = self._went.pop(id, {})
        if not extra and isinstance(content, str) and (found := EXITED.search(content[:HEAD])):
            extra = exited(int(found[1]))
        if self._sampled is None:  # an older log does not say where an answer ends
            self._ended = True
        self._finish(id, content, when, extra)

    def _known(self, item: Json, name: str) -> str:
        id = word(item, name)
        return self._again.get(id, id)

    def _finish(
        self, id: str, content: str | list[ContentPart], when: str | None, extra: Json
    ) -> None:
        self._done.add(id)
        self._told.result(id, content, when=when, extra=extra or None)

    def _content(self, output: object) -> str | list[ContentPart]:
        if isinstance(output, str):
            return output
        if isinstance(output, list):
            return [self._part(part) for part in objects(output)]
        return "" if output is None else json.dumps(output)

    def _part(self, part: Json) -> ContentPart:
        """Responses' own parts, or those of MCP."""
        url, data = word(part, "image_url"), word(part, "data")
        if url.startswith("data:"):
            kind, _, data = url[5:].partition(";base64,")
            return self._told.picture(data, kind)
        if part.get("type") == "image" and data:
            return self._told.picture(data, word(part, "mimeType") or "image/png")
        return ContentPart(type="text", text=url or word(part, "text"))

    def _tokens(self, usage: Json) -> None:
        if not usage:
            return
        prompt, cached, written, output, thought = (count(usage, f"{t}_tokens") for t in TOKENS)
        extra: dict[str, JsonValue] = {"cache_write_tokens": written, "reasoning_tokens": thought}
        self._told.turn(
            self._key,
            metrics=Metrics(
                prompt_tokens=prompt, completion_tokens=output, cached_tokens=cached, extra=extra
            ),
        )
        self._log.usage += Usage(prompt, cached, written, output, thought, 1)
        self._ended, self._metered = True, self._number

    # How calls went.

    def _completed(self, item: Json, when: str | None) -> None:
        id, kind = self._known(item, "id"), word(item, "type")
        if kind in ("CollabAgentToolCall", "SubAgentActivity"):
            ids = [*items(item, "receiver_thread_ids"), item.get("agent_thread_id")]
            if item.get("tool", "spawn_agent") == "spawn_agent":
                self._log.began(self, id, ids, word(item, "model"))
        elif kind in WENT and self._told.knows(id) and id not in self._done:
            self._went[id] = went(item)
        elif kind in WENT and id not in self._done:
            self._scripted(id, item, when)

    def _scripted(self, id: str, item: Json, when: str | None) -> None:
        """A call that the model's script has made: no item is of it alone."""
        extra = went(item)
        name, arguments = nested(item)
        by: dict[str, object] = {"called_by": self._script} if self._script else {}
        if extra.get("exit_code") == -1:  # Codex ended it, when it ended itself
            by |= {"left_running": True}
        if name == "apply_patch" and extra.get("is_error"):
            by |= {"failed": True}
        self._told.call(id, name, arguments, when=when, extra=by)
        self._finish(id, self._nested_content(item), when, extra)

    def _nested_content(self, item: Json) -> str | list[ContentPart]:
        if item.get("type") == "McpToolCall":
            error = word(sub(item, "error"), "message")
            return error or self._content(sub(item, "result").get("content"))
        return word(item, "aggregated_output") or word(item, "stdout") or word(item, "stderr")
