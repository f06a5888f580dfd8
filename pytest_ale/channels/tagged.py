"""A local sandbox's folder on the host: whose it is, and how to end what lives in it.

Knows nothing of how a sandbox is closed off. What is written there lets any process of this host
end and remove the sandbox of one that died.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pytest_ale.channels.boxed import STOP_SECONDS, end
from pytest_ale.channels.boxing import PREFIX, last_signal
from pytest_ale.sandbox import ProviderFault

__all__ = ["Tag", "directory", "end_residents", "is_ours", "started", "sweep"]


@dataclass(frozen=True)
class Tag:
    """A sandbox's label; its residents are [pid, start time] as the host sees them."""

    lease: str
    labels: dict[str, str]
    mode: str
    residents: list[list[int]] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Tag | None:
        """Read a label; None where its owner died before it was written."""
        try:
            return cls(**json.loads((root / "lease.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, root: Path) -> None:
        """Replace the file in one step: who reads it may be reaping while we die."""
        new = root / "lease.json.new"
        new.write_text(json.dumps(asdict(self)))
        new.replace(root / "lease.json")


def directory(lease: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", lease):
        raise ProviderFault(f"lease {lease!r}: a lease is letters, digits and ._- only")
    return Path(os.path.realpath(tempfile.gettempdir())) / f"{PREFIX}{lease}"


def is_ours(root: Path) -> bool:
    """Others may put what they like into the host's /tmp: it counts if it is our folder."""
    try:
        about = root.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def started(pid: int) -> int:
    """When a process began, in ticks since boot: with its pid that is who it is."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def end_residents(root: Path, tag: Tag) -> None:
    for pid, start in tag.residents:
        with suppress(ProcessLookupError, FileNotFoundError):
            pidfd = os.pidfd_open(pid)
            try:
                if started(pid) == start:  # and no other, for now we hold it
                    end(pid, pidfd, last_signal(tag.mode))
            finally:
                os.close(pidfd)
    if tag.mode == "none":
        sweep(root)


def sweep(root: Path) -> None:
    """End what was started in mode `none` and outlived its resident: known by its HOME."""
    deadline = time.monotonic() + STOP_SECONDS
    while left := outlived(root):
        if time.monotonic() > deadline:
            what = f"processes {left} of {root.name}"
            raise ProviderFault(f"{what} did not end within {STOP_SECONDS:g} s")
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def outlived(root: Path) -> list[int]:
    mark, found = f"HOME={root / 'home'}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
