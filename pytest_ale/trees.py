"""Folders of ours on the host: copied, sealed, hashed, removed.

For trusted folders only; what comes out of a sandbox goes through `channels/tree.py` first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_ale.channels.tree import remove

__all__ = ["ALL", "clone", "digest", "files", "make_folders", "remove", "seal", "summed"]

# Left behind by tools, not part of what a folder says.
CACHES = frozenset(
    {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git", ".DS_Store"}
)
ALL: frozenset[str] = frozenset()
CHUNK = 1 << 30  # bytes that the kernel copies at once
PIECE = 1 << 16


def make_folders(top: Path, below: str) -> None:
    """A new folder, and those between; of an attempt's six most are new, so none is asked for."""
    folder = os.fspath(top)
    *between, last = below.split("/")
    for name in between:
        folder = f"{folder}/{name}"
        with suppress(FileExistsError):
            os.mkdir(folder)  # noqa: PTH102
    os.mkdir(f"{folder}/{last}")  # noqa: PTH102


def clone(source: Path, target: Path, skip: frozenset[str] = CACHES) -> None:
    """Copy a folder, writable again; a source that is not there gives an empty folder."""
    _clone(os.fspath(source), os.fspath(target), skip)


def _clone(source: str, target: str, skip: frozenset[str]) -> None:
    """By words and not by Path: a thousand attempts begin with four of these each."""
    try:
        os.mkdir(target)  # noqa: PTH102
    except OSError:
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    try:
        entries = list(os.scandir(source))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name in skip:
            continue
        copy = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            _clone(entry.path, copy, skip)
        elif entry.is_file(follow_symlinks=False):
            _copy(entry.path, copy)


def _copy(source: str, target: str) -> None:
    """As shutil.copy would, with half of its system calls."""
    taken = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(taken).st_mode & 0o755 | 0o600
        given = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            while os.sendfile(given, taken, None, CHUNK):
                pass
            os.fchmod(given, mode)  # whatever the umask
        finally:
            os.close(given)
    finally:
        os.close(taken)


def files(folder: Path, skip: frozenset[str] = CACHES) -> Iterator[Path]:
    """Every regular file below a folder, sorted by its relative path's bytes.

    Caches are left out of folders of ours; nothing is (`skip=ALL`) of what an agent left.
    """
    found, left = [], [os.fspath(folder)]
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.name in skip:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    found.append(entry.path)
    return map(Path, sorted(found, key=os.fsencode))


def digest(folder: Path, skip: frozenset[str] = CACHES) -> str:
    """SHA-256 over names and contents, caches left out: the same tree, the same digest."""
    total = hashlib.sha256()
    for path in files(folder, skip):
        name = os.fsencode(path.relative_to(folder))
        total.update(b"%d:%s" % (len(name), name) + summed(path).digest())
    return total.hexdigest()


def summed(path: Path) -> hashlib._Hash:
    """Its SHA-256; hashlib.file_digest takes twice as many system calls for a small file."""
    total = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while piece := os.read(fd, PIECE):
            total.update(piece)
    finally:
        os.close(fd)
    return total


def seal(folder: Path) -> None:
    """Take write permission from all below a folder, and from itself."""
    for top, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(top) / name).chmod(0o444)
        Path(top).chmod(0o555)
