"""The streams of one command in a sandbox: descriptors, and one poll loop that moves their bytes.

Knows nothing of what a command is or of who runs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import FileIO

__all__ = ["KEPT_BYTES", "Ends", "Kept", "Pump", "Relay", "raw", "sized"]

DRAIN_SECONDS = 0.2  # for output that something in the background keeps open
KEPT_BYTES = 5_000_000  # of either end of a stream
TICK_SECONDS = 1.0


class Kept:
    """A stream's first and last bytes, however long it is."""

    def __init__(self, most: int) -> None:
        self.most = most  # bytes of either end
        self.head = bytearray()
        self.tail = bytearray()
        self.cut = 0

    def add(self, data: bytes) -> None:
        room = self.most - len(self.head)
        self.head += data[:room]
        self.tail += data[room:]
        if len(self.tail) > 2 * self.most:  # seldom, so that little is moved
            self._trim()

    def _trim(self) -> None:
        excess = max(0, len(self.tail) - self.most)
        self.cut += excess
        del self.tail[:excess]

    def whole(self) -> bytes:
        self._trim()
        if not self.cut:
            return bytes(self.head + self.tail)
        return bytes(self.head + f"\n[... {self.cut} bytes cut ...]\n".encode() + self.tail)

    def text(self) -> str:
        return self.whole().decode(errors="replace")


class Pump:
    """One command's streams, moved by one poll loop and no threads."""

    def __init__(self, control: socket.socket) -> None:
        self.reply: bytes | None = None
        self.deadline: float | None = None
        self.control = control
        self.selector = selectors.PollSelector()  # unlike epoll it takes no descriptor
        self.selector.register(control, selectors.EVENT_READ, self._replied)

    def run(self, deadline: float | None, tick: Callable[[], None] | None = None) -> bool:
        """Move bytes until the command has ended; say whether it did before the deadline.

        `tick` is called about once a second meanwhile.
        """
        self.deadline, next_tick = deadline, time.monotonic()
        while self.selector.get_map():
            now = time.monotonic()
            if self.deadline is not None and self.deadline <= now:
                break
            if tick and self.reply is None and next_tick <= now:
                tick()
                next_tick = time.monotonic() + TICK_SECONDS
            limits = [limit - now for limit in (self.deadline, tick and next_tick) if limit]
            for key, _ in self.selector.select(max(min(limits), 0) if limits else None):
                if key.fileobj in self.selector.get_map():  # not dropped by the one before
                    key.data()
        return self.reply is not None

    def _replied(self) -> None:
        try:
            self.reply = self.control.recv(65536)
        except OSError:
            self.reply = b""
        self.selector.unregister(self.control)
        self.deadline = time.monotonic() + DRAIN_SECONDS
        for key in list(self.selector.get_map().values()):
            if key.events == selectors.EVENT_WRITE:
                self.selector.unregister(key.fileobj)

    def receive(self, stream: FileIO, take: Callable[[bytes], None]) -> None:
        os.set_blocking(stream.fileno(), False)
        self.selector.register(stream, selectors.EVENT_READ, partial(self._receive, stream, take))

    def _receive(self, stream: FileIO, take: Callable[[bytes], None]) -> None:
        data = stream.read(1 << 16)
        if data:
            take(data)
        elif data is not None:
            self.selector.unregister(stream)

    def feed(self, stream: FileIO, pieces: Iterable[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        feed = partial(self._feed, stream, [memoryview(b"")], iter(pieces))
        self.selector.register(stream, selectors.EVENT_WRITE, feed)

    def _feed(self, stream: FileIO, rest: list[memoryview], more: Iterator[bytes]) -> None:
        try:
            rest[0] = rest[0] or memoryview(next(more, b""))
            rest[0] = rest[0][stream.write(rest[0]) or 0 :] if rest[0] else self._fed(stream)
        except BrokenPipeError:  # it reads no more; that is its right
            self._fed(stream)

    def _fed(self, stream: FileIO) -> memoryview:
        self.selector.unregister(stream)
        stream.close()
        return memoryview(b"")


class Ends:
    """The descriptors of one command: `given` go to the resident, the others stay here."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self._ours, self._theirs = ExitStack(), ExitStack()

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        """Close all; a second call does nothing."""
        self.let_go()
        self._ours.close()

    def let_go(self) -> None:
        """Close what was given away: a stream ends when its last holder closes it."""
        self._theirs.close()

    def control(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs.enter_context(theirs)
        self.given.append(theirs.fileno())
        return self._ours.enter_context(ours)

    def stdin(self, pump: Pump, data: bytes | Iterable[bytes] | None) -> None:
        if data is None:
            self.give(FileIO(os.devnull, "rb"))
        else:
            pump.feed(self.inlet(), [data] if isinstance(data, bytes) else data)

    def inlet(self) -> FileIO:
        read, write = os.pipe()
        self.give(FileIO(read, "rb"))
        return self._ours.enter_context(FileIO(write, "wb"))

    def outlet(self) -> FileIO:
        read, write = os.pipe()
        self.give(FileIO(write, "wb"))
        return self._ours.enter_context(FileIO(read, "rb"))

    def terminal(self) -> FileIO:
        master, slave = os.openpty()
        self.give(FileIO(slave, "r+b"), times=3)
        return self._ours.enter_context(FileIO(master, "r+b"))

    def give(self, stream: FileIO, times: int = 1) -> None:
        self._theirs.enter_context(stream)
        self.given += [stream.fileno()] * times


class Relay:
    """What is typed goes to the pty, what the pty shows goes to the terminal."""

    def __init__(self, pump: Pump, terminal: int, master: FileIO) -> None:
        self.selector, self.terminal, self.master = pump.selector, terminal, master
        self.typed = bytearray()
        os.set_blocking(master.fileno(), False)
        self.selector.register(terminal, selectors.EVENT_READ, self._type)
        self.selector.register(master, selectors.EVENT_READ, self._move)

    def _type(self) -> None:
        """Keep what is typed until the pty has room: its program may be busy."""
        try:
            data = os.read(self.terminal, 4096)
        except OSError:  # it was hung up
            data = b""
        if not data:
            self._forget(self.terminal)
        self.typed += data or b"\x04"  # what a terminal sends at the end of input
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        with contextlib.suppress(KeyError):
            self.selector.modify(self.master, both, self._move)

    def _move(self) -> None:
        try:
            del self.typed[: self.master.write(self.typed) or 0]
            if not self.typed:
                self.selector.modify(self.master, selectors.EVENT_READ, self._move)
            _write_all(self.terminal, self.master.read(1 << 16) or b"")
        except OSError:  # EIO: the last program on the pty is gone
            self._forget(self.master)
            self._forget(self.terminal)

    def _forget(self, what: int | FileIO) -> None:
        with contextlib.suppress(KeyError):
            self.selector.unregister(what)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def raw(terminal: int) -> Iterator[None]:
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


@contextmanager
def sized(terminal: int, pty: int) -> Iterator[None]:
    """Keep the pty as large as the terminal; only the main thread can hear of a change."""
    _copy_size(terminal, pty)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: _copy_size(terminal, pty))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _copy_size(terminal: int, pty: int) -> None:
    with contextlib.suppress(OSError):  # not a terminal
        size = fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(pty, termios.TIOCSWINSZ, size)
