"""Files as a stream of tar, both ways: `pack` for what is trusted, `unpack` for what is hostile.

Knows nothing of engines or sandboxes: bytes come from an iterator and go to one, and memory stays
flat however many there are.
"""

# pathlib has no calls relative to an open folder.
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import os
import stat
import tarfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ale.channels import tree
from pytest_ale.channels.tar import BLOCK, FILES, KINDS, Broken, Headers, Stream
from pytest_ale.channels.tree import Full, Intake, Limits, Spot
from pytest_ale.sandbox import SandboxError

__all__ = ["pack", "unpack"]

CHUNK = 1 << 20
END = bytes(2 * BLOCK)


# ---- pack -------------------------------------------------------------------------------------


def pack(source: Path, name: str, *, uid: int, gid: int) -> Iterator[bytes]:
    """Stream a host file or folder as a tar in which it is called `name`, in pieces of 1 MB.

    Links in a folder stay links. SandboxError: there is something that is no file, folder or
    link, or cannot be read.
    """
    yield from _gathered(_Pack(uid, gid).stream(source, name))


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: an upload sends each of them by itself."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > CHUNK and held:
            yield b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    yield b"".join(held)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


@dataclass
class _Pack:
    uid: int
    gid: int
    now: int = field(default_factory=lambda: int(time.time()))

    def stream(self, source: Path, name: str) -> Iterator[bytes]:
        todo = [(os.path.realpath(source), name)]
        while todo:
            path, name = todo.pop()
            try:
                yield from self._entry(path, name, todo)
            except OSError as error:
                raise SandboxError(f"{path!r} could not be packed: {error.strerror}") from error
        yield END

    def folder(self, name: str, mode: int = 0o755) -> bytes:
        return self.header(f"{name}/", tarfile.DIRTYPE, mode & 0o777 | 0o700)

    def header(self, name: str, type: bytes, mode: int, size: int = 0, link: str = "") -> bytes:
        """One entry's header; with an extended one before it where ustar has no room."""
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = type, mode, size, link
        info.uid, info.gid, info.mtime = self.uid, self.gid, self.now
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def _entry(self, path: str, name: str, todo: list[tuple[str, str]]) -> Iterator[bytes]:
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            yield self.folder(name, mode)
            found = sorted(os.listdir(path), reverse=True)  # the first is popped first
            todo += [(f"{path}/{child}", f"{name}/{child}") for child in found]
        elif stat.S_ISLNK(mode):
            yield self.header(name, tarfile.SYMTYPE, 0o777, link=os.readlink(path))
        elif stat.S_ISREG(mode):
            yield from self._file(path, name)
        else:
            raise SandboxError(f"{path!r} was refused: it is {tree.called(mode)}")

    def _file(self, path: str, name: str) -> Iterator[bytes]:
        """A file of the size that is seen first: what it grows by meanwhile is not packed."""
        with open(os.open(path, tree.READ), "rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            size = about.st_size
            mode = about.st_mode & 0o777 | 0o600
            yield self.header(name, tarfile.REGTYPE, mode, size)
            left = size
            while left:
                data = file.read(min(left, CHUNK))
                if not data:
                    raise SandboxError(f"{path!r} lost {left} of {size} bytes while it was packed")
                left -= len(data)
                yield data
            yield _padding(size)


# ---- unpack -----------------------------------------------------------------------------------


def unpack(
    chunks: Iterable[bytes], target: Path, *, shown: str, limits: Limits = tree.LIMITS
) -> list[str]:
    """Write a tar's one file or folder to `target`; say what was refused, a sentence each.

    The stream is read no further than the limits allow; a generator is closed then, for an engine
    may keep the container locked until it is. `shown` is what messages call the top.
    SandboxError: the stream ends early or is no tar.
    """
    intake = Intake(shown, limits)
    try:
        _Unpack(Stream(chunks), Spot.of(target), intake).run()
    except Full as full:
        intake.refused.append(str(full))
    except Broken as broken:
        raise SandboxError(f"{shown!r}: the archive of it is broken: {broken}") from broken
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
    return intake.refused


@dataclass
class _Unpack:
    """`below` is an entry's path within the tree, by components, () for the top."""

    stream: Stream
    target: Spot
    intake: Intake
    top: tuple[str, ...] | None = None
    shut: tuple[str, ...] | None = None  # the folder that was refused last, and so all below it
    files: set[tuple[str, ...]] = field(default_factory=set)
    folder: tuple[tuple[str, ...], int] | None = None  # the one that was put into last, kept open
    held: ExitStack = field(default_factory=ExitStack)

    def run(self) -> None:
        with self.target.parent(create=True), self.held:
            for entry, why in Headers(self.stream, self.intake):
                self.intake.enter()
                self._entry(entry, why)
        if self.top is None:  # the only kind of file that an engine leaves out of its archives
            self.intake.refuse((), "it is a socket")
        self.stream.drain()

    def _entry(self, entry: tarfile.TarInfo, why: str | None) -> None:
        below = self._below(entry.name)
        if below is None:
            self.intake.refuse((entry.name,), why or "its name leads elsewhere")
            return
        if self.shut is not None and below[: len(self.shut)] == self.shut:
            return  # a tree of 5000 levels is one sentence
        why = why or self.intake.unfit(below)
        try:
            why = why or self._place(below, entry)
        except OSError as error:
            why = _theirs(error, self.target)
        if why:
            self.intake.refuse(below, why)
            self.shut = below if entry.isdir() else self.shut

    def _below(self, name: str) -> tuple[str, ...] | None:
        """An archived name's path within the tree; None if it lies elsewhere."""
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or "\0" in name or ".." in parts:
            return None
        if self.top is None:
            self.top = parts
        size = len(self.top)
        return parts[size:] if parts[:size] == self.top else None

    def _spot(self, below: tuple[str, ...]) -> Spot:
        return Spot(self.target.base, self.target.parts + below, self.target.shown)

    def _place(self, below: tuple[str, ...], entry: tarfile.TarInfo) -> str | None:
        try:
            into = self._into(self._spot(below))
        except SandboxError as error:
            if isinstance(error.__cause__, OSError):
                _theirs(error.__cause__, self.target)
            return "it lies in a folder that was not taken"
        if entry.isdir():
            tree.make(self._spot(below).name, into, entry.mode)
            return None
        if entry.type in FILES:
            return self._file(below, into, entry)
        if entry.islnk():
            return self._link(below, into, entry)
        return f"it is {KINDS.get(entry.type, 'no regular file')}"

    def _into(self, spot: Spot) -> int:
        """Open the folder that a place lies in: an engine sends one folder's files in a row."""
        above = spot.parts[:-1]
        if self.folder is None or self.folder[0] != above:
            self.held.close()
            self.folder = None
            self.folder = above, self.held.enter_context(spot.parent())
        return self.folder[1]

    def _file(self, below: tuple[str, ...], into: int, entry: tarfile.TarInfo) -> str | None:
        if why := self.intake.too_large(entry.size):
            return why
        with open(tree.fresh(into, self._spot(below).name), "wb", buffering=0) as target:
            self.files.add(below)
            for piece in self.stream.body():
                _write(target.fileno(), piece)
            os.fchmod(target.fileno(), entry.mode & 0o777 | 0o600)  # no setuid, no setgid
        self.intake.bytes += entry.size
        return None

    def _link(self, below: tuple[str, ...], into: int, entry: tarfile.TarInfo) -> str | None:
        """A hard link is a file that came before, once more."""
        first = self._below(entry.linkname)
        if first is None or first not in self.files:
            return "it is a hard link to what was not taken"
        with self._spot(first).parent() as folder:
            source = os.open(self._spot(first).name, tree.READ, dir_fd=folder)
        with open(source, "rb", buffering=0):
            about = os.fstat(source)
            if why := self.intake.too_large(about.st_size):
                return why
            with open(tree.fresh(into, self._spot(below).name), "wb", buffering=0) as target:
                self.files.add(below)
                self.intake.bytes += tree.pour(source, target.fileno(), about.st_size)
                os.fchmod(target.fileno(), stat.S_IMODE(about.st_mode))
        return None


def _write(target: int, data: memoryview) -> None:
    while data:
        data = data[os.write(target, data) :]


def _theirs(error: OSError, target: Spot) -> str:
    """What an error of the sandbox's own making says; the host's own goes up."""
    why = error.strerror or str(error)
    if error.errno in tree.OURS:
        raise OSError(error.errno, why, target.shown) from error
    return why
