"""Now: what goes on in a run at this moment, written down for those who look on from elsewhere.

Knows neither sandboxes nor agents: journals say what they are at. Two kinds of files, which
report/look.py reads: `live.jsonl` of the run, a line as an attempt enters a phase, and as a session
begins and ends; and `now.json` of an attempt, of what its agent is doing, until it is released.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_ale.leases import Owner
from pytest_ale.sandbox import Fault
from pytest_ale.secrets import scrub
from pytest_ale.text import clean, one_line

if TYPE_CHECKING:
    from pytest_ale.gateway import Tally
    from pytest_ale.trajectory import Step

__all__ = [
    "FILE",
    "LIVE",
    "Asked",
    "Doing",
    "Now",
    "Scribe",
    "brief",
    "enters",
    "scribe",
    "session_begins",
    "session_ends",
]

LIVE, FILE = "live.jsonl", "now.json"

EVERY = 2.0  # seconds between two looks at what has changed, and
SHARE = 50  # at most one part of so many of the time, however long writing takes
LONGEST = 300  # characters of an action
# Of a session (None), of an agent that begins and of an end others want to know at once.
AT_ONCE = (None, "run", "")
TOGETHER = 0.2  # seconds of lines that are written at once
STALE = 10.0  # seconds after which the scribe itself asks what a model was used for


@dataclass(frozen=True)
class Doing:
    """What an attempt is at, as it lies at hand; made plain only when it is another one. An action
    is a call that was begun, or the step that was recorded last."""

    action: tuple[str, Mapping[str, object]] | Step | None = None
    tally: Tally | None = None


@dataclass(frozen=True)
class Now:
    """What is written of it."""

    calls: int = 0  # of its model
    tokens: int | None = None
    usd: float | None = None
    action: str = ""

    @classmethod
    def of(cls, doing: Doing, before: Doing) -> Now:
        """`before` is what it was at a moment ago: who has waited more since then waits."""
        action, tally, last = brief(doing.action), doing.tally, before.tally
        if tally is None:
            return cls(action=action)
        if last is not None and tally.waited > last.waited:
            action = f"waits for its model's rate limits ({tally.waited:.0f} s so far)"
        return cls(tally.usage.requests, tally.usage.tokens, tally.usd, action)


class Asked:
    """A tally that is kept when somebody asks for it; where nobody does, the scribe asks."""

    def __init__(self, ask: Callable[[], Tally]) -> None:
        self._ask = ask
        self._last: Tally | None = None
        self._next = 0.0

    def __call__(self) -> Tally:
        self._last = tally = self._ask()
        self._next = time.monotonic() + STALE
        return tally

    def close(self, last: Tally | None) -> None:
        """There is nobody to be asked any more."""
        self._last, self._next = last or self._last, float("inf")

    def lately(self) -> Tally | None:
        """As it was a moment ago; of a gateway that does not answer, as it was then."""
        if time.monotonic() > self._next:
            self._next = time.monotonic() + STALE
            with suppress(Fault):
                return self()
        return self._last


class Followed(Protocol):
    """What a journal is to those who follow it."""

    @property
    def folder(self) -> Path: ...
    def doing(self) -> Doing: ...
    def hidden(self, text: str) -> str:
        """The text without secrets."""
        ...


def enters(run: Path, path: str, phase: str) -> None:
    """Note that an attempt enters a phase; "" is its end. Nobody's score hangs on it."""
    line: dict[str, object] = {"path": path, "phase": phase, "time": round(time.time(), 3)}
    if phase == "build":
        line["owner"] = vars(Owner.of(os.getpid()))
    _noted(run, line)


def session_begins(run: Path, *, items: int, done: int, slots: int, argv: Sequence[str]) -> bool:
    """Note how many instances a session is to do, how many had a score before, how many it does at
    once, and pytest's arguments; False where the run has no directory yet."""
    line: dict[str, object] = {"session": "begins", "time": round(time.time(), 3)}
    line |= {"items": items, "done": done, "slots": slots, "owner": vars(Owner.of(os.getpid()))}
    line["argv"] = [clean(word) for word in argv]
    return _noted(run, line)


def session_ends(run: Path) -> None:
    _noted(run, {"session": "ends", "time": round(time.time(), 3)})


def _noted(run: Path, line: Mapping[str, object]) -> bool:
    """What cannot be written is not seen by those who look on; the run goes on."""
    lines = _lines(str(run), os.getpid())
    lines.add(scrub()(json.dumps(line).encode()) + b"\n")
    return lines.write() if line.get("phase") in AT_ONCE else lines.write_some()


class Lines:
    """The lines of a run's file, in few writes: a thousand attempts have a dozen lines each."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1  # kept open
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._next = 0.0

    def add(self, line: bytes) -> None:
        self._waiting.append(line)

    def write_some(self) -> bool:
        """What waits, unless that was just done: the scribe comes by."""
        return time.monotonic() < self._next or self.write()

    def write(self) -> bool:
        with self._lock:
            data = b"".join(self._waiting.popleft() for _ in range(len(self._waiting)))
            self._next = time.monotonic() + TOGETHER
            try:
                if self._fd < 0:
                    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                    self._fd = os.open(self._path, flags, 0o644)
                return os.write(self._fd, data) == len(data) if data else True
            except OSError:
                return False


_known: dict[tuple[str, int], Lines] = {}  # by run and process: a fork has its own


def _lines(run: str, pid: int) -> Lines:
    return _known.get((run, pid)) or _known.setdefault((run, pid), Lines(f"{run}/{LIVE}"))


def _write_lines() -> None:
    for (_, pid), lines in list(_known.items()):
        if pid == os.getpid():
            lines.write()


class Scribe:
    """A thread that writes the `now.json` of those it follows; there while it follows somebody."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._written: dict[Path, tuple[Followed, Doing]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def follow(self, journal: Followed) -> None:
        with self._lock:
            self._written[journal.folder] = journal, Doing()
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._work, name="ale-scribe", daemon=True)
                self._thread.start()

    def forget(self, journal: Followed) -> None:
        with self._lock:
            known = self._written.pop(journal.folder, None)
            if last := not self._written:
                self._thread = None
                self._wake.set()
        if last:
            _write_lines()
        if known:
            with suppress(OSError):
                (journal.folder / FILE).unlink(missing_ok=True)

    def _work(self) -> None:
        """Ends when nobody is left, or another thread was begun since."""
        due, me = 0.0, threading.current_thread()
        while not self._wake.wait(min(self._every, TOGETHER)) and self._thread is me:
            _write_lines()
            if (began := time.monotonic()) < due:
                continue
            for folder in list(self._written):
                with suppress(Exception):  # an agent's odd argument: nobody else's view ends by it
                    self._write(folder)
            due = began + max(self._every, SHARE * (time.monotonic() - began))

    def _write(self, folder: Path) -> None:
        if (known := self._written.get(folder)) is None:
            return
        journal, last = known
        if (doing := journal.doing()) == last:
            return
        text = journal.hidden(json.dumps(asdict(Now.of(doing, last))))
        with self._lock:
            if folder in self._written:  # else it was released meanwhile
                self._written[folder] = journal, doing
                with suppress(OSError):
                    _put(folder / FILE, text)


def _put(path: Path, text: str) -> None:
    """In place, for it is written often: who reads half of it reads it again."""
    data = text.encode()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(fd, os.write(fd, data))
    finally:
        os.close(fd)


@cache
def scribe() -> Scribe:
    """This process's."""
    return Scribe()


# A call in a few words: what a person who looks on wants to know of it.

TELLING = ("command", "cmd", "file_path", "path", "pattern", "query", "url", "text", "prompt")
SHELL = ("-c", "-lc")


def brief(action: tuple[str, Mapping[str, object]] | Step | None) -> str:
    """One line of a call, or of what was said where nothing was called."""
    if action is None:
        return ""
    if isinstance(action, tuple):
        return _called(*action)
    if action.tool_calls:
        call = action.tool_calls[-1]
        return _called(call.function_name, call.arguments)
    if action.source == "user":
        return ""
    said = action.message
    texts = [said] if isinstance(said, str) else [part.text or "" for part in said]
    return one_line(next(filter(None, texts), "")[: 2 * LONGEST], LONGEST)


def _called(name: str, arguments: Mapping[str, object]) -> str:
    name = "" if name == "exec" else name.removeprefix("mcp__").replace("__", " ")
    telling = [arguments[key] for key in TELLING if key in arguments][:1]
    values = telling or [v for v in arguments.values() if isinstance(v, str | int | float)]
    words = " ".join(_words(value) for value in values[:5])
    return one_line(f"{name} {words}"[: 2 * LONGEST], LONGEST)


def _words(value: object) -> str:
    """A command as one types it; of one that a shell is given, what the shell is told."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > 2 and value[1] in SHELL:
            value = value[2:3]
        return " ".join(str(word)[:LONGEST] for word in value[:20])
    return str(value)[: 2 * LONGEST]
