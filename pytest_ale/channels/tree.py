"""Copy files in and out of a folder whose owner is hostile: no link is followed, all is bounded.

Knows nothing of sandboxes: it walks host folders, one path component at a time.
"""

# pathlib has no calls relative to an open folder.
# ruff: noqa: PTH101, PTH106, PTH123, PTH208

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pytest_ale.sandbox import SandboxError, UnsafePath

__all__ = [
    "LIMITS",
    "OURS",
    "READ",
    "UNLIMITED",
    "Full",
    "Intake",
    "Limits",
    "Spot",
    "called",
    "copy",
    "fresh",
    "make",
    "make_folder",
    "pour",
    "read",
    "remove",
    "write",
]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that nobody writes would never return.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK = 1 << 20
SHOWN = 1300  # of a path in a message: 1024 bytes and one more name are what `LIMITS` let through

# The machine's trouble, never the doing of who owns the source: nothing is refused for it.
OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}

KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Limits:
    """What may come out of a sandbox; a path longer than the host can open is no good to anyone."""

    total_bytes: int = 1 << 30
    file_bytes: int = 1 << 30
    entries: int = 20_000
    depth: int = 64
    path_bytes: int = 1024


LIMITS = Limits()
UNLIMITED = Limits(*[1 << 62] * 5)


@dataclass(frozen=True)
class Spot:
    """A place below a trusted folder, by components; `shown` is what a message calls it."""

    base: Path
    parts: tuple[str, ...]
    shown: str

    @classmethod
    def of(cls, path: Path) -> Spot:
        """A place on the host, whose own links are the user's and are followed."""
        real = Path(os.path.realpath(path))
        return cls(real.parent, (real.name,), str(path))

    @property
    def name(self) -> str:
        return self.parts[-1]

    @contextmanager
    def parent(self, *, create: bool = False) -> Iterator[int]:
        with opened(self, self.parts[:-1], create=create) as fd:
            yield fd


@contextmanager
def opened(spot: Spot, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Open a folder below a spot's base without following a link, holding one descriptor."""
    if create:
        spot.base.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open(spot.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"{spot.shown!r}: {error.strerror}") from error
    try:
        for part in parts:
            above, fd = fd, -1
            try:
                fd = _step(above, part, spot, create=create)
            finally:
                os.close(above)
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)


def _step(above: int, part: str, spot: Spot, *, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(part, 0o755, dir_fd=above)
    try:
        return os.open(part, FOLDER, dir_fd=above)
    except OSError as error:
        if _kind(above, part) == stat.S_IFLNK:
            raise UnsafePath(f"{spot.shown!r}: {part!r} in it is a symbolic link") from error
        raise SandboxError(f"{spot.shown!r}: {part!r} in it: {error.strerror}") from error


def _kind(folder: int, name: str) -> int:
    with suppress(OSError):
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return 0


def read(spot: Spot, *, limits: Limits = LIMITS) -> bytes:
    """Read one regular file, bounded."""
    fd = _readable(spot)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise SandboxError(f"{spot.shown!r} is {called(about.st_mode)}, not a file")
        if about.st_size > limits.file_bytes:
            raise SandboxError(f"{spot.shown!r} has {about.st_size} bytes: more than are read")
        with open(fd, "rb", closefd=False) as file:
            return file.read(limits.file_bytes)
    finally:
        os.close(fd)


def _readable(spot: Spot) -> int:
    with spot.parent() as folder:
        try:
            return os.open(spot.name, READ, dir_fd=folder)
        except OSError as error:
            if _kind(folder, spot.name) == stat.S_IFLNK:
                raise UnsafePath(f"{spot.shown!r} is a symbolic link") from error
            raise SandboxError(f"{spot.shown!r}: {error.strerror}") from error


def write(spot: Spot, data: bytes) -> None:
    """Write one file, in the place of what was there, and the folders above it."""
    with spot.parent(create=True) as folder:
        try:
            with open(fresh(folder, spot.name), "wb") as file:
                file.write(data)
        except OSError as error:
            raise SandboxError(f"{spot.shown!r}: {error.strerror}") from error


def make_folder(spot: Spot) -> None:
    with opened(spot, spot.parts, create=True):
        pass


def fresh(folder: int, name: str) -> int:
    """Create a file that nothing else links to or holds open."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    return os.open(name, CREATE, 0o644, dir_fd=folder)


def make(name: str, folder: int, mode: int) -> None:
    """Make a folder, or give one that is there this mode; its owner may always use it."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    fd = os.open(name, FOLDER, dir_fd=folder)
    try:
        os.fchmod(fd, mode & 0o777 | 0o700)
    finally:
        os.close(fd)


def called(mode: int) -> str:
    return KINDS.get(stat.S_IFMT(mode), "a folder" if stat.S_ISDIR(mode) else "no regular file")


def copy(
    source: Spot, target: Spot, *, limits: Limits = LIMITS, keep_links: bool = False
) -> list[str]:
    """Copy a file or a folder; say what was refused, a sentence each.

    `limits=UNLIMITED, keep_links=True` is for sources that are trusted.
    """
    intake = Intake(source.shown, limits)
    try:
        _Copy(source, target, intake, keep_links).run()
    except Full as full:
        intake.refused.append(str(full))
    return intake.refused


class Full(Exception): ...


@dataclass
class Intake:
    """What has come out of a hostile tree, and what was refused of it, a sentence each.

    `below` is a path within the tree, by components, () for the top; `shown` is the top's name.
    """

    shown: str
    limits: Limits
    refused: list[str] = field(default_factory=list)
    entries: int = 0
    bytes: int = 0

    def enter(self) -> None:
        """Count one more entry."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise self.full(f"there are more than {self.limits.entries} entries")

    def full(self, why: str) -> Full:
        return Full(f"{self.shown!r}: {why}, the rest was left out.")

    def unfit(self, below: tuple[str, ...]) -> str | None:
        """Say why nothing of this name may come out."""
        try:
            length = len("/".join(below).encode())
        except UnicodeEncodeError:
            return "its name is not UTF-8"
        if len(below) > self.limits.depth:
            return f"it lies deeper than {self.limits.depth} folders"
        if length > self.limits.path_bytes:
            return f"its path is longer than {self.limits.path_bytes} bytes"
        return None

    def too_large(self, size: int) -> str | None:
        """Say why no file of this size may come out."""
        if size > self.limits.file_bytes:
            return f"it has {size} bytes, {self.limits.file_bytes} are allowed"
        if self.bytes + size > self.limits.total_bytes:
            return f"with it all would have more than {self.limits.total_bytes} bytes"
        return None

    def refuse(self, below: tuple[str, ...], why: str) -> None:
        path = "/".join((self.shown.rstrip("/"), *below))[: len(self.shown) + SHOWN]
        self.refused.append(f"{path!r} was refused: {why}.")


@dataclass
class _Copy:
    source: Spot
    target: Spot
    intake: Intake
    keep_links: bool
    folders: list[tuple[str, ...]] = field(default_factory=list)

    def run(self) -> None:
        with self.target.parent(create=True) as into:
            try:
                with self.source.parent() as out:
                    self._entry((), out, into)
            except SandboxError as error:
                self.intake.refused.append(f"{error}.")
        while self.folders:  # no recursion: a hostile tree would choose its depth, and hold fds
            self._folder(self.folders.pop())

    def _folder(self, below: tuple[str, ...]) -> None:
        with ExitStack() as stack:
            try:
                out = stack.enter_context(opened(self.source, self.source.parts + below))
                names = self._names(out)
            except (OSError, SandboxError) as error:
                self.intake.refuse(below, f"could not be read: {error}")
                return
            into = stack.enter_context(opened(self.target, self.target.parts + below))
            for name in names:
                self._entry((*below, name), out, into)

    def _names(self, folder: int) -> list[str]:
        """List a folder in order; no more of it than is still allowed, and one to say so."""
        left = self.intake.limits.entries - self.intake.entries + 1
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(left), strict=False))

    def _entry(self, below: tuple[str, ...], out: int, into: int) -> None:
        self.intake.enter()
        why = self.intake.unfit(below)
        try:
            why = why or self._place(below, out, into)
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in OURS:
                raise OSError(error.errno, why, self.target.shown) from error
        if why:
            self.intake.refuse(below, why)

    def _place(self, below: tuple[str, ...], out: int, into: int) -> str | None:
        name, new = (below[-1], below[-1]) if below else (self.source.name, self.target.name)
        mode = os.stat(name, dir_fd=out, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            make(new, into, mode)
            self.folders.append(below)
            return None
        if stat.S_ISREG(mode):
            return self._file(name, out, new, into)
        if stat.S_ISLNK(mode) and self.keep_links:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=into)
            os.symlink(os.readlink(name, dir_fd=out), new, dir_fd=into)
            return None
        return f"it is {called(mode)}"

    def _file(self, name: str, out: int, new: str, into: int) -> str | None:
        with open(os.open(name, READ, dir_fd=out), "rb", buffering=0) as source:
            about = os.fstat(source.fileno())
            if not stat.S_ISREG(about.st_mode):  # swapped since we looked
                return f"it is {called(about.st_mode)}"
            if why := self.intake.too_large(about.st_size):
                return why
            with open(fresh(into, new), "wb", buffering=0) as target:
                self.intake.bytes += pour(source.fileno(), target.fileno(), about.st_size)
                os.fchmod(target.fileno(), about.st_mode & 0o777 | 0o600)  # no setuid, no setgid
        return None


def pour(source: int, target: int, size: int) -> int:
    """Copy at most the size that was seen: a file that grows meanwhile grows in vain."""
    left = size
    while left and (data := os.read(source, min(left, CHUNK))):
        left -= len(data)
        while data:
            data = data[os.write(target, data) :]
    return size - left


def remove(path: Path) -> None:
    """Delete a tree, however deep and whatever its modes; nothing there is no error.

    Folders inside folders are first moved up to the top: a tree of 100,000 levels, which no
    recursion and no path survives, becomes two levels.
    """
    try:
        top = _opened(str(path), None)
    except FileNotFoundError:
        return
    names = (f"{secrets.token_hex(8)}-{n}" for n in count())
    try:
        while found := os.listdir(top):
            for name in found:
                _clear(top, name, names)
    finally:
        os.close(top)
    os.rmdir(path)


def _opened(name: str, folder: int | None) -> int:
    """A folder that its owner can list and change again."""
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except PermissionError:
        _own(name, folder)
        return os.open(name, FOLDER, dir_fd=folder)
    os.fchmod(fd, 0o700)
    return fd


def _own(name: str, folder: int | None) -> None:
    """Give a folder back its mode: without it its owner, unless root, can neither list nor move."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)


def _clear(top: int, name: str, names: Iterator[str]) -> None:
    if _unlinked(top, name):
        return
    fd = _opened(name, top)
    try:
        for child in os.listdir(fd):
            if not _unlinked(fd, child):
                _own(child, fd)
                os.rename(child, next(names), src_dir_fd=fd, dst_dir_fd=top)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)


def _unlinked(folder: int, name: str) -> bool:
    """False for a folder, which Linux unlinks for nobody."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True
