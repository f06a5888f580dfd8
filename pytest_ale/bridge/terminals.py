"""Programs run at terminals of their own: started, typed to, read from, ended.

Knows nothing of MCP. What a program says is read at once, so that it never waits for a reader;
of what nobody asked for, the last 2 MB are kept.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from .commands import SHELL
from .processes import end_session

__all__ = ["Terminal", "TerminalError", "Terminals"]

KEPT_BYTES = 2_000_000
READ_BYTES = 32_000  # handed out at once; the rest at the next reading
QUIET_SECONDS = 0.1  # without a word after which an answer is taken to be whole
INPUT_SECONDS = 5.0
MOST = 20

# Makes the terminal on stdin the controlling one, which needs to be done in the new session.
# Not as a preexec_fn: between fork and exec of a process with threads that can hang.
START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class TerminalError(Exception):
    """No such terminal, or it cannot do what was asked."""


class Terminal:
    """One program and its terminal."""

    def __init__(
        self, command: str, cwd: Path, env: Mapping[str, str], columns: int, rows: int
    ) -> None:
        self._master, slave = os.openpty()
        try:
            self.resize(columns, rows)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START, SHELL, "-c", command],
                cwd=cwd,
                env=os.environ | {"TERM": "xterm-256color"} | dict(env),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._unread, self._dropped, self._ended = bytearray(), 0, False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the program ended, or None while it runs."""
        return self._process.poll()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def input(self, text: str) -> None:
        """Type; a program that does not read is given some seconds to do so."""
        data, deadline = text.encode(), time.monotonic() + INPUT_SECONDS
        while data and not self._ended:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self._master], [], left)[1]:
                raise TerminalError(f"the program does not read: {len(data)} bytes were not typed")
            data = data[os.write(self._master, data[:512]) :]
        if data:
            raise TerminalError(f"the program has ended: {len(data)} bytes were not typed")

    def read(self, seconds: float) -> str:
        """What was said since the last reading; waits so long for a word, then for the rest."""
        deadline = time.monotonic() + seconds
        with self._news:
            self._news.wait_for(lambda: self._unread or self._ended, seconds)
            while not self._ended and len(self._unread) < READ_BYTES:
                left = min(QUIET_SECONDS, deadline - time.monotonic())
                if left <= 0 or not self._news.wait(left):
                    break
            return self._taken()

    def _taken(self) -> str:
        data, self._unread = bytes(self._unread[:READ_BYTES]), self._unread[READ_BYTES:]
        lost = f"[... {self._dropped} bytes left out ...]\n" if self._dropped else ""
        self._dropped = 0
        more = f"\n[... {len(self._unread)} bytes more: read again ...]" if self._unread else ""
        return lost + self._decoder.decode(data) + more

    def _listen(self) -> None:
        while data := self._heard():
            with self._news:
                self._unread += data
                over = max(0, len(self._unread) - KEPT_BYTES)
                del self._unread[:over]
                self._dropped += over
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _heard(self) -> bytes:
        try:
            return os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            return b""

    def end(self) -> None:
        """Kill all that was started at this terminal."""
        end_session(self.pid, 0)
        self._process.wait()
        with self._news:
            self._news.wait_for(lambda: self._ended, 1)
        if self._ended:  # else a process that fled the session has it, and the reader stays
            os.close(self._master)


class Terminals:
    """The terminals that are there, by the pids of their programs."""

    def __init__(self) -> None:
        self._here: dict[int, Terminal] = {}
        self._lock = threading.Lock()

    def __getitem__(self, pid: int) -> Terminal:
        if pid not in self._here:
            known = ", ".join(map(str, self._here)) or "none"
            raise TerminalError(f"there is no terminal {pid}; there are: {known}")
        return self._here[pid]

    def start(
        self, command: str, cwd: Path, env: Mapping[str, str], columns: int, rows: int
    ) -> Terminal:
        with self._lock:
            if len(self._here) >= MOST:
                raise TerminalError(f"{MOST} terminals are there: end one with pty_kill first")
            terminal = Terminal(command, cwd, env, columns, rows)
            self._here[terminal.pid] = terminal
        return terminal

    def end(self, pid: int) -> Terminal:
        terminal = self[pid]
        with self._lock:
            self._here.pop(pid, None)
        terminal.end()
        return terminal

    def close(self) -> None:
        self._lock.acquire()  # never released: none is started any more
        for terminal in self._here.values():
            terminal.end()
