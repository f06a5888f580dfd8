"""A terminal of a given size with an emulator behind it: what a person sees, not what was sent."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

__all__ = ["Seen", "shown"]

HIDES = ("CI", "BUILD_NUMBER", "COLUMNS", "LINES", "NO_COLOR", "PY_COLORS", "FORCE_COLOR")
DRAWN = b"\x1b[?7h"  # what the view's pictures end with


def shown(screen: pyte.Screen) -> list[str]:
    """Its lines, without the empty ones at the end."""
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Seen:
    """Runs a command on a pty, in a session of its own, and looks at it."""

    def __init__(
        self, command: Sequence[str], cwd: Path, columns: int, lines: int, **env: str
    ) -> None:
        self.raw = self._unseen = b""
        self.began = time.monotonic()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in HIDES}
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=kept | {"TERM": "xterm-256color"} | env,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        return shown(self.screen)

    def wait_for(self, what: Callable[[list[str]], object], seconds: float = 30) -> list[str]:
        """Read until the screen is as it is wanted; its lines. No picture is passed over, however
        late they are read."""
        deadline = time.monotonic() + seconds
        while not what(self.lines):
            assert time.monotonic() < deadline, "never so:\n" + "\n".join(self.lines)
            if not self._feed():
                over = self.process.poll() is not None
                assert self._read(0.1) or not over, "\n".join(self.lines)
        return self.lines

    def end(self, seconds: float = 60) -> int:
        """Read until it has ended; its exit status."""
        deadline = time.monotonic() + seconds
        while self._read(0.1) or self.process.poll() is None:
            assert time.monotonic() < deadline, "still there:\n" + "\n".join(self.lines)
        while self._feed():
            pass
        return self.process.wait()

    def _feed(self) -> bool:
        """Show what was sent, up to the end of the next picture."""
        piece, end, self._unseen = self._unseen.partition(DRAWN)
        self._stream.feed(piece + end)
        return bool(piece + end)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has the other end open any more
            return False
        self.raw += data
        self._unseen += data
        return bool(data)
