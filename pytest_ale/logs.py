"""What a program writes, kept raw on the host as it comes, and handed line by line to its reader.

Knows no program and no format. What is kept is bounded, and holds no secret that is known.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from pytest_ale.sandbox import Fault, RecordFault, Sandbox, SandboxError
from pytest_ale.text import one_line

__all__ = ["Log", "Tails"]

KEPT_BYTES = 64 << 20  # of one stream or file, and
ALL_BYTES = 256 << 20  # of all of an attempt's
LINE_BYTES = 16 << 20  # a screenshot in base64 is 2 MB
LAST_BYTES = 4000
FILES = 50  # that are followed, of one program, and
FOLLOWED_BYTES = 512 << 20  # that are read of them: each line costs a reader time and memory
UNREAD = 20  # lines that are told of in
STUMBLED = "unread"  # the log of lines that a reader could not take
PIECE_BYTES = 2 << 20  # of a followed file that are asked for at once
POLL_SECONDS = 20.0
BATCH_SECONDS = 3.0  # of reading on: a file may grow faster than it is read
NAME = re.compile(r"[^A-Za-z0-9._-]")  # an agent names its files: nothing else in ours


class _Lines(Protocol):
    def line(self, source: str, text: str) -> None: ...


class Log:
    """The raw logs of one attempt; a file for each source, named like it."""

    def __init__(self, folder: Path, reader: _Lines, scrub: Callable[[bytes], bytes]) -> None:
        self._folder, self._reader, self._scrub = folder, reader, scrub
        self._sources: dict[str, _Source] = {}
        self._open = ExitStack()
        self._room = ALL_BYTES
        self._unread = 0

    def take(self, source: str, data: bytes) -> None:
        """Take the next bytes of `stdout`, `stderr` or a followed file."""
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = self._begin(source)
        for line in known.lines(data):
            self._keep(source, known, line)

    def _begin(self, source: str) -> _Source:
        name = NAME.sub("_", PurePosixPath(source).name)[-100:]
        name = f"{name}.log" if "." not in name else name
        path = self._folder / name
        try:
            return _Source(self._open.enter_context(path.open("ab", buffering=0)))
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error

    def _keep(self, source: str, known: _Source, line: bytes) -> None:
        clean = self._scrub(line)
        try:
            self._room -= known.keep(clean, self._room)
        except OSError as error:
            raise RecordFault(f"the log of {source} cannot be written: {error.strerror}") from error
        text = clean.decode(errors="replace").rstrip("\r\n")
        if text and source != STUMBLED:
            self._hand(source, text)

    def _hand(self, source: str, text: str) -> None:
        """What a reader stumbles over must not be a fault: an agent can write any line."""
        try:
            self._reader.line(source, text)
        except Fault:
            raise
        except Exception as error:
            self._unread += 1
            if self._unread <= UNREAD:
                told = f"{source}: {type(error).__name__}: {error}: {text[:200]}"
                self.take(STUMBLED, one_line(told, 1000).encode() + b"\n")

    def end(self) -> None:
        """Hand on what had no line end, and close the files."""
        for source, known in list(self._sources.items()):
            if rest := known.rest():
                self._keep(source, known, rest)
        self._open.close()

    @property
    def last_words(self) -> str:
        """What was complained of last, or said at all."""
        for source in ("stderr", "stdout"):
            if (known := self._sources.get(source)) and known.last.strip():
                return known.last.decode(errors="replace").strip()
        return "it said nothing"


class _Source:
    """One stream: the line that is not whole yet, and its file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = bytearray()
        self._dropped = self._size = 0
        self._full = False
        self.last = b""

    def lines(self, data: bytes) -> Iterator[bytes]:
        """The lines that are whole now; one that is too long is told of instead."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            yield self._line(piece) + b"\n"
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        room = LINE_BYTES - len(self._pending)
        self._pending += piece[:room]
        self._dropped += len(piece[room:])

    def _line(self, piece: bytes) -> bytes:
        self._add(piece)
        line = bytes(self._pending)
        if self._dropped:
            line = b"[a line of %d bytes]" % (len(line) + self._dropped)
        self._pending.clear()
        self._dropped = 0
        return line

    def rest(self) -> bytes:
        return self._line(b"")

    def keep(self, line: bytes, room: int) -> int:
        """Write a line while there is room in its file, and for all; how many bytes it took."""
        self.last = (self.last + line)[-LAST_BYTES:]
        most = min(KEPT_BYTES - self._size, room)
        if self._full or len(line) > most:
            line = b"" if self._full else b"[more than can be kept: the rest is not kept]\n"
            self._full = True
        self._file.write(line)
        self._size += len(line)
        return len(line)


class Tails:
    """Follows files that a program writes in the sandbox, by commands that the host gives.

    Nothing of ours stays inside for the agent to stop. It may do with the files as it likes: they
    are its own word, as its output is.
    """

    def __init__(self, machine: Sandbox, globs: tuple[str, ...], log: Log) -> None:
        self._machine, self._log = machine, log
        self._globs = [f"{shlex.quote(machine.home)}/{glob}" for glob in globs]
        self._read: dict[str, int] = {}

    def poll(self) -> None:
        """Read on in every file that grew; the rest of much is for the next time."""
        until = time.monotonic() + BATCH_SECONDS
        for path, size in self._sizes():
            while self._read[path] < size and time.monotonic() < until and self._has_room:
                piece = self._piece(path, self._read[path])
                if not piece:
                    break
                self._read[path] += len(piece)
                self._log.take(path, piece)

    @property
    def _has_room(self) -> bool:
        return sum(self._read.values()) < FOLLOWED_BYTES

    def _sizes(self) -> Iterator[tuple[str, int]]:
        if not self._globs:
            return
        with suppress(SandboxError, ValueError):  # busy, or full: there is a next time
            # The shell's own order is the same each time: files never change places.
            listed = f"stat -L -c '%s %n' -- {' '.join(self._globs)} 2>&-"
            said = self._machine.exec(listed, timeout=POLL_SECONDS).stdout
            for line in said.split("\n"):
                size, _, path = line.partition(" ")
                # A name may hold a line's end: what follows is no path, or one in the sandbox.
                if path.startswith("/") and (path in self._read or len(self._read) < FILES):
                    self._read.setdefault(path, 0)
                    yield path, int(size)

    def _piece(self, path: str, start: int) -> bytes:
        command = f"tail -c +{start + 1} -- {shlex.quote(path)} | head -c {PIECE_BYTES}"
        pieces: list[bytes] = []

        def take(source: str, data: bytes) -> None:
            if source == "stdout":
                pieces.append(data)

        with suppress(SandboxError):
            self._machine.stream(["/bin/sh", "-c", command], take, timeout=POLL_SECONDS)
        return b"".join(pieces)
