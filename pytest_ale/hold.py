"""Hold: who is at work on a run's directory; two sessions at once would do everything twice.

Knows nothing of attempts. The locks are the kernel's: they go with a process, however it ended.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pytest_ale.leases import Ledger

__all__ = ["Busy", "at_work", "resume_alone"]

# Of all who have attempts in a run (shared), and of the one session that goes on with it.
WORKING, RESUMED = ".working", ".resumed"

# A worker whose controller was killed ends its attempt: execnet gives it 5 s, then 10 s more.
WAIT_SECONDS = 30.0


class Busy(Exception):
    """A run that cannot be resumed, since somebody is at work on it."""


@contextmanager
def at_work(run: Path) -> Iterator[None]:
    """Let nobody resume a run while this lasts."""
    try:
        file = (run / WORKING).open("ab")
    except OSError:  # who cannot write there will be told so by the first record
        yield
        return
    with file:
        while not _locked(file, fcntl.LOCK_SH):  # held but for a moment, by one who looks
            time.sleep(0.01)
        yield


def resume_alone(run: Path, waiting: Callable[[str], None]) -> Callable[[], None]:
    """Be the one session that goes on with a run, until the function that is returned is called;
    Busy if others are at work on it, and do not end soon."""
    try:
        resumed, working = (run / RESUMED).open("ab"), (run / WORKING).open("ab")
    except OSError:
        return lambda: None
    with working:
        try:
            _wait(run, lambda: _both(resumed, working), waiting)
        except BaseException:
            resumed.close()
            raise
    return resumed.close


def _wait(run: Path, free: Callable[[], bool], waiting: Callable[[str], None]) -> None:
    began, is_told = time.monotonic(), False
    while not free():
        if time.monotonic() - began > WAIT_SECONDS:
            raise Busy(f"run {run.name} is not over: wait for it, or end {_who(run)}")
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
    """Those that have a sandbox now; between two attempts there are none."""
    entries = Ledger(run / "ledger.jsonl").entries().values()
    pids = sorted({entry.owner.pid for entry in entries if entry.open and not entry.owner.dead})
    return f"processes {', '.join(map(str, pids))}" if pids else "its processes"
