"""Processes that others start: all of a session ended, and what they say kept within bounds.

Knows nothing of MCP. A session is what setsid(2) makes; its id is the pid of its first process.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["Said", "end_session"]

HEAD = TAIL = 16_000  # characters kept of each stream; about 8000 tokens together
TERM_SECONDS = 2.0


def end_session(session: int, seconds: float = TERM_SECONDS) -> None:
    """End every process of a session: asked first, killed after so many seconds."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + patience
        while members := _members(session):
            for pid in members:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def _members(session: int) -> list[int]:
    """Pids of a session's processes that live; job control puts them into several groups."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[3] == str(session) and fields[0] not in "ZX":
                    found.append(int(folder.name))
    return found


class Said:
    """What comes out of a pipe: its beginning and its end, read as long as anybody writes.

    Read in a thread of its own, to the end: a program left in the background can hold the pipe
    open after the command has ended, and must neither hang who waits nor be stopped by a full pipe.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._head, self._tail, self._total = bytearray(), bytearray(), 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self, seconds: float) -> str:
        """All that was said, waiting so long for the end of it."""
        self._thread.join(seconds)
        with self._lock:
            left_out = self._total - len(self._head) - len(self._tail)
            parts = [bytes(self._head), bytes(self._tail)]
        if not left_out:
            return b"".join(parts).decode(errors="replace")
        head, tail = (part.decode(errors="replace") for part in parts)
        return f"{head}\n[... {left_out} bytes left out ...]\n{tail}"

    def _read(self) -> None:
        with suppress(OSError, ValueError), self._pipe:
            while data := os.read(self._pipe.fileno(), 1 << 16):
                with self._lock:
                    self._add(data)

    def _add(self, data: bytes) -> None:
        self._total += len(data)
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-TAIL:] if room < len(data) else self._tail
