"""Hold: who is at work on a run's directory; two sessions at once would do everything twice.

Knows nothing of attempts. The locks are the kernel's: they go with a process, however it ended.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from pytest_ale.leases import Ledger

__all__ = ["AtWork", "at_work", "hold", "is_held", "resume_alone"]

# Of all who have attempts in a run or hand them out (shared), and of the one session that goes on
# with it.
WORKING, RESUMED = ".working", ".resumed"

# A worker whose controller was killed ends its attempt: execnet gives it 5 s, then 10 s more.
WAIT_SECONDS = 30.0


class AtWork(Exception):
    """A run that cannot be resumed, since somebody is at work on it."""


@contextmanager
def at_work(run: Path) -> Iterator[None]:
    """Let nobody resume a run while this lasts."""
    let_go = hold(run)
    try:
        yield
    finally:
        let_go()


def hold(run: Path) -> Callable[[], None]:
    """Let nobody resume a run until the function that is returned is called."""
    try:
        file = (run / WORKING).open("ab")
    except OSError:  # who cannot write there will be told so by the first record
        return lambda: None
    _share(file)
    return file.close


def _share(file: IO[bytes]) -> None:
    while not _locked(file, fcntl.LOCK_SH):  # held but for a moment, by one who looks
        time.sleep(0.01)


def is_held(run: Path) -> bool:
    """Is anybody at work on a run, of this host or any that shares its locks?"""
    try:
        with (run / WORKING).open("r+b") as file:
            return not _locked(file, fcntl.LOCK_EX)
    except OSError:  # nobody has been, or only others may write there
        return False


def resume_alone(run: Path, waiting: Callable[[str], None]) -> Callable[[], None]:
    """Be the one session that goes on with a run, until the function that is returned is called;
    AtWork if others are at work on it, and do not end soon."""
    try:
        resumed, working = (run / RESUMED).open("ab"), (run / WORKING).open("ab")
    except OSError:
        return lambda: None
    with ExitStack() as files:
        files.callback(resumed.close)
        files.callback(working.close)
        _wait(run, lambda: _both(resumed, working), waiting)
        _share(working)  # with the workers of this session
        return files.pop_all().close


def _wait(run: Path, free: Callable[[], bool], waiting: Callable[[str], None]) -> None:
    began, is_told = time.monotonic(), False
    while not free():
        if time.monotonic() - began > WAIT_SECONDS:
            raise AtWork(
                f"run {run.name} is not over: wait for it, or end {_who(run)};"
                " without --ale-resume a run of its own begins"
            )
        if not is_told:
            waiting(f"waiting for {_who(run)}, at work on run {run.name}")
        is_told = True
        time.sleep(0.05)


def _both(resumed: IO[bytes], working: IO[bytes]) -> bool:
    return _locked(resumed, fcntl.LOCK_EX) and _locked(working, fcntl.LOCK_EX)


def _locked(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _who(run: Path) -> str:
    """Those of this machine that hold its locks, or have a sandbox of it."""
    entries = Ledger(run / "ledger.jsonl").open()
    pids = {entry.owner.pid for entry in entries if not entry.owner.dead}
    pids = (pids | _holders(run)) - {os.getpid()}
    return f"processes {', '.join(map(str, sorted(pids)))}" if pids else "its processes"


def _holders(run: Path) -> set[int]:
    """As the kernel lists them: `1: FLOCK ADVISORY READ 4711 fe:01:1234 0 EOF`, with the inode.

    The device is not compared: some file systems have another one here than in stat (overlay).
    """
    found = set()
    with suppress(OSError, ValueError, IndexError):
        inodes = {str((run / name).stat().st_ino) for name in (WORKING, RESUMED)}
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] in inodes:
                found.add(int(fields[4]))
    return {pid for pid in found if pid > 0}  # 0 is one of another container
