"""Wardens: the processes that watch over calls into task code, as the host has them.

Knows nothing of what is called. The server forks a warden when none is idle; one whose call left
nothing behind watches over the next one, too (a fork copies 250 pages: 1.5 ms of the processor).
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from pytest_ale.sandbox import GraderFault
from pytest_ale.trees import remove

__all__ = ["LOG", "Warden", "Wardens"]

LOG = "grader.log"  # what a child prints, in its scratch folder
KILL_SECONDS = 5.0  # from the end of a call to that of its last process; only the kernel needs long
FORK_SECONDS = 60.0  # a warden may take to be there: on a machine that is overloaded
IDLE = 8  # wardens kept; each has a few MB

# The grader process sees these of our environment and no other: no keys.
KEPT_ENV = ("PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
FIXED_ENV = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
FIXED_ENV |= {"PYTHONDONTWRITEBYTECODE": "1"}  # nor may a grader's own scripts litter its folder


class Warden:
    """A process that forks a child for each request, and kills what it leaves."""

    def __init__(self, pipe: Connection, place: Path) -> None:
        self.pipe = pipe
        self.place = place  # scratch of its children, empty but for their log
        try:
            if not pipe.poll(FORK_SECONDS):
                raise EOFError(f"no warden within {FORK_SECONDS:g} s")
            self._process = os.pidfd_open(int(json.loads(pipe.recv_bytes())["warden"]))
        except BaseException:
            pipe.close()
            remove(place)
            raise

    @property
    def is_gone(self) -> bool:
        return self._ends_within(0)

    def is_done(self) -> bool:
        """Does it say that nothing is left of a call that ended well? Then it is free."""
        with suppress(EOFError, OSError, ValueError):
            return self.pipe.poll(KILL_SECONDS) and json.loads(self.pipe.recv_bytes()) == {
                "ended": 0
            }
        return False

    def close(self) -> None:
        """Hang up, by which it ends; not before all that its child started is dead."""
        self.pipe.close()
        if not self._ends_within(KILL_SECONDS):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
        os.close(self._process)
        remove(self.place)

    def tidy(self, anew: Callable[[], Path]) -> None:
        """Make its scratch what it was; where more than a log was left in it, another."""
        try:
            only_a_log = [*self.place.iterdir()] == [self.place / LOG]
            if only_a_log and self.place.lstat().st_mode & 0o777 == 0o700:
                log = (self.place / LOG).lstat()
                if stat.S_ISREG(log.st_mode) and log.st_nlink == 1:
                    if log.st_size:
                        os.truncate(self.place / LOG, 0)
                    return
        except OSError:
            pass
        remove(self.place)
        self.place = anew()

    def _ends_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Wardens:
    """Owns the grader process; started at the first call, again if somebody kills it."""

    def __init__(self, place: Callable[[], Path]) -> None:
        self._place = place  # makes an empty folder
        self._lock = threading.Lock()
        self._idle: list[Warden] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def take(self) -> Warden:
        """One that is idle, or a new one."""
        while True:
            with self._lock:
                if not self._idle:
                    break
                warden = self._idle.pop()
            if not warden.is_gone:
                return warden
            warden.close()
        return Warden(self._connect(), self._place())

    def give_back(self, warden: Warden, *, free: bool) -> None:
        """Keep it for another call, if it is free for one; else it ends."""
        if free and warden.is_done():
            warden.tidy(self._place)
            with self._lock:
                if len(self._idle) < IDLE and self._socket:
                    self._idle.append(warden)
                    return
        warden.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for warden in idle:
            warden.close()
        self._end_server()

    def _end_server(self) -> None:
        """By hanging up: it then counts what its wardens used; by force, if that does not help."""
        with self._lock:
            if self._socket:
                self._socket.close()
            if self._server:
                with suppress(subprocess.TimeoutExpired):
                    self._server.wait(1)
                self._server.kill()
                self._server.wait()
            self._server = self._socket = None

    def _connect(self) -> Connection:
        """Hand one end of a socket pair to the grader process; it forks a warden for it."""
        for last in (False, True):
            ours, theirs = socket.socketpair()
            try:
                with self._lock, theirs:
                    socket.send_fds(self._ensure_server(), [b"!"], [theirs.fileno()])
                return Connection(ours.detach())
            except OSError as error:
                ours.close()
                self._end_server()
                if last:
                    raise GraderFault(f"the grader process cannot be reached: {error}") from error
        raise AssertionError("unreachable")

    def _ensure_server(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = _start_server(theirs.fileno())
        return self._socket


def _start_server(fd: int) -> subprocess.Popen[bytes]:
    code = "import sys; sys.path[:] = {!r}; from pytest_ale.grader import serve; serve({})"
    path = [entry for entry in sys.path if entry]
    env = {name: os.environ[name] for name in KEPT_ENV if name in os.environ} | FIXED_ENV
    return subprocess.Popen(
        [sys.executable, "-c", code.format(path, fd)],
        env=env,
        cwd="/",
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us, not for a grader at work
    )
