"""Paths of unix sockets, however long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["short"]


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A socket's path may have 107 bytes: one that leads through its open folder is short."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
