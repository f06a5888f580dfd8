"""What a program writes, kept raw on the host as it comes, and handed line by line to its reader.

Knows no program and no format. What is kept is bounded, and holds no secret that is known.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from pytest_ale.sandbox import RecordFault, Sandbox, SandboxError

__all__ = ["Log", "Tails"]

KEPT_BYTES = 64 << 20  # of one stream or file
LINE_BYTES = 16 << 20  # a screenshot in base64 is 2 MB
LAST_BYTES = 4000
FILES = 50  # that are followed, of one program
PIECE_BYTES = 2 << 20  # of a followed file that are asked for at once
POLL_SECONDS = 20.0


class _Lines(Protocol):
    def line(self, source: str, text: str) -> None: ...


class Log:
    """The raw logs of one attempt; a file for each source, named like it."""

    def __init__(self, folder: Path, reader: _Lines, scrub: Callable[[bytes], bytes]) -> None:
        self._folder, self._reader, self._scrub = folder, reader, scrub
        self._sources: dict[str, _Source] = {}
        self._open = ExitStack()

    def take(self, source: str, data: bytes) -> None:
        """Take the next bytes of `stdout`, `stderr` or a followed file."""
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = self._begin(source)
        for line in known.lines(data):
            self._keep(source, known, line)

    def _begin(self, source: str) -> _Source:
        name = PurePosixPath(source).name.replace("\0", "")[-100:]
        name = f"{name}.log" if "." not in name else name
        path = self._folder / name
        try:
            return _Source(self._open.enter_context(path.open("ab", buffering=0)))
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error

    def _keep(self, source: str, known: _Source, line: bytes) -> None:
        clean = self._scrub(line)
        try:
            known.keep(clean)
        except OSError as error:
            raise RecordFault(f"the log of {source} cannot be written: {error.strerror}") from error
        if text := clean.decode(errors="replace").rstrip("\r\n"):
            self._reader.line(source, text)

    def end(self) -> None:
        """Hand on what had no line end, and close the files."""
        for source, known in self._sources.items():
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

    def keep(self, line: bytes) -> None:
        self.last = (self.last + line)[-LAST_BYTES:]
        if self._size + len(line) <= KEPT_BYTES:
            self._file.write(line)
        elif self._size <= KEPT_BYTES:
            self._file.write(b"[more than %d bytes: the rest is not kept]\n" % KEPT_BYTES)
        self._size += len(line)


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
        """Read on in every file that grew."""
        for path, size in self._sizes():
            while self._read.get(path, 0) < size:
                piece = self._piece(path, self._read.get(path, 0))
                if not piece:
                    break
                self._read[path] = self._read.get(path, 0) + len(piece)
                self._log.take(path, piece)

    def _sizes(self) -> Iterator[tuple[str, int]]:
        if not self._globs:
            return
        with suppress(SandboxError, ValueError):  # busy, or full: there is a next time
            # The shell's own order is the same each time: files never change places.
            listed = f"stat -L -c '%s %n' -- {' '.join(self._globs)} 2>&-"
            said = self._machine.exec(listed, timeout=POLL_SECONDS).stdout
            for line in said.splitlines()[:FILES]:
                size, _, path = line.partition(" ")
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
