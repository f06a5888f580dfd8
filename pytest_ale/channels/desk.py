"""The host's end of a sandbox's screen: a Desktop over the pipes of a resident inside.

Knows nothing of X or of engines. Whatever is inside may have been tampered with: each answer is
bounded, waited for with a deadline, and looked at before it is believed.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from pytest_ale.desktop_calls import DesktopCalls, checked
from pytest_ale.sandbox import DesktopError, Window
from pytest_ale.text import one_line

__all__ = ["RemoteDesktop", "Streams"]

ANSWER_SECONDS = 20.0
END_SECONDS = 2.0  # to let go of what is held; it gives itself 1.5
LETTERS_PER_SECOND = 20  # the slowest typing: of characters that the keyboard lacks
LINE_BYTES = 1 << 20  # as JSON it may be 50 times as large in memory
BODY_BYTES = 32 << 20  # of a picture, or a clipboard's text
ERROR_LETTERS = 2000
CHUNK = 1 << 18
PNG = b"\x89PNG\r\n\x1a\n"
LOOKS = ("size", "screenshot", "cursor", "clipboard", "windows")  # to look twice does no harm


class Pipe(Protocol):
    def fileno(self) -> int: ...


class Streams(Protocol):
    """A running resident, `python3 -I /opt/ale/bridge desk`, and its two pipes."""

    @property
    def stdin(self) -> Pipe: ...

    @property
    def stdout(self) -> Pipe: ...

    def close(self, seconds: float) -> None:
        """Close the pipes, give the resident so long to end, and kill it."""
        ...


class Gone(Exception):
    """The resident has ended; `asked` where it may have begun to do what it was asked."""

    def __init__(self, *, asked: bool) -> None:
        super().__init__(asked)
        self.asked = asked


class RemoteDesktop(DesktopCalls):
    """A screen in a sandbox; threads may share it, and are served one after another.

    `start` runs the resident: at the first call, and again where the resident has ended, once a
    call. An action that it may have begun is not done twice: that is the caller's to decide.
    """

    def __init__(self, start: Callable[[], Streams]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._line: Line | None = None

    def close(self) -> None:
        """End the resident, which lets go of the keys and buttons that it holds."""
        with self._lock:
            self._hang_up()

    def _call(self, method: str, **given: object) -> object:
        arguments = checked(method, given)
        request = json.dumps({"do": method, "with": arguments}).encode() + b"\n"
        with self._lock:
            try:
                answer = self._asked(method, request, ANSWER_SECONDS + _own_seconds(arguments))
            except Gone as gone:
                part = "; it may have been done in part" if gone.asked else ""
                raise DesktopError(f"{method}: the desktop's resident ended{part}") from gone
        if isinstance(answer, Refusal):
            raise DesktopError(f"{method}: {answer.why}")
        return _believed(method, answer)

    def _asked(self, method: str, request: bytes, seconds: float) -> object:
        try:
            return self._once(method, request, seconds)
        except Gone as gone:
            if gone.asked and method not in LOOKS:
                raise
        return self._once(method, request, seconds)

    def _once(self, method: str, request: bytes, seconds: float) -> object:
        if self._line is None:
            self._line = Line(self._start())
        try:
            return self._line.ask(method, request, time.monotonic() + seconds)
        except BaseException:
            self._hang_up()  # a late answer would be taken for the next one's
            raise

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()


class Refusal:
    """The resident's word that something cannot be done."""

    def __init__(self, why: object) -> None:
        self.why = one_line(str(why), ERROR_LETTERS)


class Line:
    """Requests and answers over the pipes of one resident."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._in, self._out = streams.stdin.fileno(), streams.stdout.fileno()
        for fd in (self._in, self._out):
            os.set_blocking(fd, False)
        self._held = bytearray()

    def close(self) -> None:
        with suppress(OSError):
            self._streams.close(END_SECONDS)

    def ask(self, method: str, request: bytes, deadline: float) -> object:
        if self._held or _ready(self._out, select.POLLIN, 0):
            raise Gone(asked=False)  # its end; or what nobody asked for, and no resident says
        self._send(method, request, deadline)
        head = self._head(method, deadline)
        if "error" in head:
            return Refusal(head["error"])
        if "bytes" in head:
            return self._bytes(method, head["bytes"], deadline)
        return head.get("value")

    def _send(self, method: str, request: bytes, deadline: float) -> None:
        left = memoryview(request)
        while left:
            self._await(method, self._in, select.POLLOUT, deadline)
            try:
                left = left[os.write(self._in, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Gone(asked=False) from None  # no whole line, so nothing was begun

    def _head(self, method: str, deadline: float) -> dict[str, object]:
        looked = 0
        while (end := self._held.find(b"\n", looked)) < 0:
            looked = len(self._held)
            if looked > LINE_BYTES:
                raise DesktopError(f"{method}: an answer of more than {LINE_BYTES} bytes")
            self._read(method, deadline)
        line = self._take(end + 1)
        with suppress(ValueError, RecursionError):
            head = json.loads(line)
            if isinstance(head, dict):
                return head
        raise _strange(method, line)

    def _bytes(self, method: str, size: object, deadline: float) -> bytes:
        if not isinstance(size, int) or not 0 <= size <= BODY_BYTES:
            raise DesktopError(f"{method}: an answer of {size!r} bytes, of {BODY_BYTES} allowed")
        while len(self._held) < size:
            self._read(method, deadline)
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self._held[:size])
        del self._held[:size]
        return data

    def _read(self, method: str, deadline: float) -> None:
        self._await(method, self._out, select.POLLIN, deadline)
        try:
            data = os.read(self._out, CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise Gone(asked=True)
        self._held += data

    def _await(self, method: str, fd: int, what: int, deadline: float) -> None:
        if not _ready(fd, what, deadline - time.monotonic()):
            raise DesktopError(f"{method}: the desktop's resident gave no answer in time")


def _ready(fd: int, what: int, seconds: float) -> bool:
    poll = select.poll()  # select() takes no descriptor from 1024 on
    poll.register(fd, what)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _own_seconds(arguments: dict[str, object]) -> float:
    """What an action takes by what it is asked: to hold, to drag, to type."""
    seconds, text = arguments.get("seconds"), arguments.get("text")
    held = float(seconds) if isinstance(seconds, int | float) else 0.0
    return held + (len(text) / LETTERS_PER_SECOND if isinstance(text, str) else 0.0)


def _believed(method: str, answer: object) -> object:
    """An answer as the method returns it, if it is one."""
    if method == "screenshot" and isinstance(answer, bytes) and answer.startswith(PNG):
        return answer
    if method in ("size", "cursor") and isinstance(answer, list) and len(answer) == 2:
        if all(type(each) is int for each in answer):
            return tuple(answer)
    elif method == "clipboard" and isinstance(answer, bytes):
        return answer.decode(errors="replace")
    elif method == "windows" and isinstance(answer, list):
        return [_window(each) for each in answer]
    elif method not in LOOKS:
        return None
    raise _strange(method, answer)


def _window(value: object) -> Window:
    kinds = Window.__annotations__
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise _strange("windows", value)
    if any(type(value[name]).__name__ != kind for name, kind in kinds.items()):
        raise _strange("windows", value)
    return Window(**value)


def _strange(method: str, answer: object) -> DesktopError:
    shown = one_line(f"{answer!r:.400}", 200)
    return DesktopError(f"{method}: a strange answer from the sandbox: {shown}")
