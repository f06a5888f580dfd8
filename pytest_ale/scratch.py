"""Scratch: private folders of this process on the host, and those that dead processes left.

Knows nothing of what is put into them; answer keys are, so none may stay.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_ale.leases import Owner
from pytest_ale.trees import remove

__all__ = ["make", "sweep"]

PREFIX = "ale-"
OWNER = "owner.json"


def make(what: str) -> Path:
    """Make a folder that only we can enter; whose it is, is written in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}-"))
    (folder / OWNER).write_text(json.dumps(vars(Owner.of(os.getpid()))))
    return folder


def sweep() -> None:
    """Remove the folders of processes of this host that are gone, as after `kill -9`."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError, ValueError, TypeError):
            if path.parent.lstat().st_uid == os.geteuid() and _owner(path).dead:
                remove(path.parent)


def _owner(path: Path) -> Owner:
    told: dict[str, Any] = json.loads(path.read_text())  # Any: a text, or the pid's number
    return Owner(**told)
