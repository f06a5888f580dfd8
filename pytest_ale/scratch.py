"""Scratch: private folders of this process on the host, and those that dead processes left.

Knows nothing of what is put into them; answer keys are, so none may stay.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_ale.leases import Owner
from pytest_ale.trees import remove

__all__ = ["make", "sweep"]

PREFIX = "ale-"
OWNER = "owner.json"
NAMED = re.compile(rf"{PREFIX}[a-z]+-(\d+)-\w+")


def make(what: str) -> Path:
    """Make a folder that only we can enter; whose it is, is written in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}-{os.getpid()}-"))
    (folder / OWNER).write_text(json.dumps(vars(Owner.of(os.getpid()))))
    return folder


def sweep() -> None:
    """Remove the folders of processes of this host that are gone, as after `kill -9`."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and _is_left(folder):
                remove(folder)


def _is_left(folder: Path) -> bool:
    try:
        told: dict[str, Any] = json.loads((folder / OWNER).read_text())  # Any: text, or a number
        return Owner(**told).dead
    except (OSError, ValueError, TypeError):  # killed before that was written, or while removing
        named = NAMED.fullmatch(folder.name)
        return named is not None and _is_gone(int(named[1]))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
