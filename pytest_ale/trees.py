"""Folders of ours on the host: copied, sealed, hashed, removed.

For trusted folders only; what comes out of a sandbox goes through `channels/tree.py` first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_ale.channels.tree import remove

__all__ = ["ALL", "clone", "digest", "files", "remove", "seal"]

# Left behind by tools, not part of what a folder says.
CACHES = frozenset(
    {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git", ".DS_Store"}
)
ALL: frozenset[str] = frozenset()


def clone(source: Path, target: Path, skip: frozenset[str] = CACHES) -> None:
    """Copy a folder, writable again; a source that is not there gives an empty folder."""
    target.mkdir(parents=True, exist_ok=True)
    for path in files(source, skip):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(path.stat().st_mode & 0o755 | 0o600)


def files(folder: Path, skip: frozenset[str] = CACHES) -> Iterator[Path]:
    """Every regular file below a folder, sorted by its relative path's bytes.

    Caches are left out of folders of ours; nothing is (`skip=ALL`) of what an agent left.
    """
    found = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in skip]
        found += [os.path.join(top, name) for name in names if name not in skip]  # noqa: PTH118
    for path in sorted(found, key=os.fsencode):
        if stat.S_ISREG(os.lstat(path).st_mode):  # 4x faster than Path.lstat
            yield Path(path)


def digest(folder: Path, skip: frozenset[str] = CACHES) -> str:
    """SHA-256 over names and contents, caches left out: the same tree, the same digest."""
    total = hashlib.sha256()
    for path in files(folder, skip):
        name = os.fsencode(path.relative_to(folder))
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        total.update(b"%d:%s" % (len(name), name) + content)
    return total.hexdigest()


def seal(folder: Path) -> None:
    """Take write permission from all below a folder, and from itself."""
    for top, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(top) / name).chmod(0o444)
        Path(top).chmod(0o555)
