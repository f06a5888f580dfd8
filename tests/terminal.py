"""A terminal with a person at it, who types and reads: what agent `human` and `ale shell` need."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Makes stdin the controlling terminal of the new session, then becomes the command.
ATTACH = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Runs a command on a pty of its own, in a session of its own."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self.seen = ""
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ATTACH, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Read until a text has been shown since the last one waited for."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.seen}"
            self._read(deadline - time.monotonic())
        self.seen = self.seen.partition(text)[2]

    def end(self, seconds: float = 20) -> tuple[int, str]:
        """Wait for the command to end; its exit status, and what it showed at last."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there after:\n{self.seen}"
            self._read(0.1)
        self._read(0)
        return self.process.returncode, self.seen

    def _read(self, seconds: float) -> None:
        while select.select([self._master], [], [], max(seconds, 0))[0]:
            try:
                self.seen += os.read(self._master, 65536).decode(errors="replace")
            except OSError:  # nobody has the other end open any more
                return
            seconds = 0
