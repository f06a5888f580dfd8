"""How a program over stdin and stdout ends: soon after its client, having let go what it held.

Knows nothing of what is held. An event loop is not to be relied on here: it waits for threads that
read stdin, write to a full stdout or sleep in a call, for as long as these do.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Ending"]

# What a client waits for before it kills: what is still held or running is let go within it.
CLOSE_SECONDS = 1.5
LATE_SECONDS = 1.0  # for the answers to what was asked last
LOOK_MS = 100


class Ending:
    """`close` lets go of what is held, at most once, whichever way the program ends."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._begun = threading.Lock()
        self._woken, self._wake = os.pipe()

    def now(self, status: int) -> None:
        """Leave the process; a call may still be at work in a thread, and is not waited for."""
        self._begun.acquire()  # never released: who comes second waits for the end here
        closer = threading.Thread(target=self._close, daemon=True)
        closer.start()
        closer.join(CLOSE_SECONDS)
        os._exit(status)

    def watch(self, *numbers: signal.Signals, stdin: bool = True) -> None:
        """End by these signals, and when the client has closed its end of stdout, or of stdin."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        # Copies: a server may put others in their places. Hanging up is told unasked.
        with suppress(OSError):  # a program may be started without them
            poll.register(os.dup(1), 0)
        given = None
        if stdin:
            with suppress(OSError):
                given = os.dup(0)
                poll.register(given, select.POLLRDHUP)
        threading.Thread(target=self._watch, args=(poll, given), daemon=True).start()
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._signalled)

    def _signalled(self, number: int, _: object) -> None:
        """Pass it on; to take a lock, or start a thread, could hang in a signal's handler."""
        os.write(self._wake, bytes([number]))

    def _watch(self, poll: select.poll, stdin: int | None) -> None:
        while True:
            for file, _ in poll.poll():
                if file == self._woken:
                    self.now(128 + os.read(self._woken, 1)[0])
                elif file != stdin:
                    self.now(0)
                else:
                    poll.unregister(file)
                    self._await_rest(poll, file)

    def _await_rest(self, poll: select.poll, stdin: int) -> None:
        """Give what was asked last some time, which is normally not needed: EOF ends a server."""
        deadline = time.monotonic() + LATE_SECONDS
        while time.monotonic() < deadline:
            if poll.poll(LOOK_MS):
                return
            if _unread(stdin):
                deadline = time.monotonic() + LATE_SECONDS
        self.now(0)


def _unread(file: int) -> int:
    """Bytes that nobody has read yet."""
    with suppress(OSError):
        return int(struct.unpack("i", fcntl.ioctl(file, termios.FIONREAD, bytes(4)))[0])
    return 0
