"""Codex's log made a story: its rollouts, which are what it keeps of each of its threads.

Knows nothing of sandboxes. `codex exec --json` prints less on stdout (no times, no patches, no
sub-agents' work): from there come only what it complains of, and that it failed. What a rollout
tells is read in codex_thread.py; here it is found out whose it is.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story
from pytest_ale.told import Json, moment, parsed, seconds, sub, word

from .codex_thread import Thread

__all__ = ["CodexLog"]

HELD = 400  # lines of a sub-agent, until its parent's log says which call began it
# How the API says that the model would not, or was not let.
REFUSED = re.compile(r"(?i)violat\w* .{0,40}polic|usage polic|flagged (as|for)|cyber.?policy")


class CodexLog:
    """Reads stdout and all rollouts of one run."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.usage = Usage()
        self._threads: dict[str, Thread] = {}  # by the rollout's path
        self._began: dict[str, tuple[Thread, str, str]] = {}  # sub-agents: by whom, call, model
        self._main: Thread | None = None
        self._notes: list[tuple[float, str]] = []
        self._failed = self._session = ""

    def line(self, source: str, text: str) -> None:
        event = parsed(text)
        if source == "stdout":
            self._said(event)
        elif source.endswith(".jsonl") and event:
            thread = self._threads.setdefault(source, Thread(self, source))
            self._told(thread, event)

    def close(self, status: int | None) -> Closing:
        for thread in [*self._threads.values()]:
            if thread.story is None:
                self._adopt(thread)
        self._tell_notes(math.inf)
        failed = self._failed
        return Closing(
            failed=failed,
            refused=bool(REFUSED.search(failed)),
            usage=self.usage if self.usage.requests else None,
            session=self._session,
        )

    # stdout.

    def _said(self, event: Json) -> None:
        kind, item = event.get("type"), sub(event, "item")
        if kind == "thread.started":
            self._session = word(event, "thread_id")
        elif kind == "turn.failed":
            self._failed = word(sub(event, "error"), "message") or "it did not say why"
        elif kind == "turn.completed":
            self._failed = ""
        elif kind == "error":
            self._note(word(event, "message"))
        elif kind == "item.completed" and item.get("type") == "error":
            self._note(word(item, "message"))

    def _note(self, text: str) -> None:
        """stdout has no times: a note waits until the rollout has come as far as its arrival."""
        if text:
            self._notes.append((time.time(), text))

    def _tell_notes(self, until: float) -> None:
        while self._notes and self._notes[0][0] <= until:
            when, text = self._notes.pop(0)
            self.story.system(text, when=when)

    # Rollouts.

    def _told(self, thread: Thread, event: Json) -> None:
        if event.get("type") == "session_meta" and not thread.id:
            thread.meet(sub(event, "payload"))
        if thread.story is None and not self._owned(thread):
            thread.held.append(event)
            if len(thread.held) > HELD:
                self._adopt(thread)
            return
        if thread is self._main and self._notes and (when := moment(event)):
            self._tell_notes(seconds(when))
        thread.event(event)

    def _owned(self, thread: Thread) -> bool:
        """Give a thread its story, if it is known whose it is."""
        if thread.parent or self._main is not None:
            if thread.id not in self._began:
                return False
            self._adopt(thread)
            return True
        self._main = thread
        thread.story = self.story
        return True

    def began(self, parent: Thread, call: str, ids: Sequence[object], model: str) -> None:
        """A call of the parent's has started these threads."""
        for id in ids:
            if isinstance(id, str) and id not in self._began:
                self._began[id] = parent, call, model
        for thread in [*self._threads.values()]:
            if thread.story is None and thread.id in self._began:
                self._adopt(thread)

    def _adopt(self, thread: Thread) -> None:
        parent, call, model = self._began.get(thread.id, (self._main, "", ""))
        above = (parent.story if parent else None) or self.story
        thread.story = above.subagent(
            thread.id or thread.source, thread.name, call=call, model=model or thread.model or None
        )
        held, thread.held = thread.held, []
        for event in held:
            thread.event(event)
