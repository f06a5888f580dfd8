"""The host's side of a boxed sandbox: the resident process (`init.py`) and the socket to it.

Knows nothing of namespaces, containers or leases: it is given the socket, and a way to end it all.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path

from pytest_ale.channels.streams import KEPT_BYTES, Ends, Kept, Pump, Relay, raw, sized
from pytest_ale.deadline import added
from pytest_ale.sandbox import (
    ExecFailed,
    ExecResult,
    ExecTimeout,
    ProviderFault,
    SandboxError,
    SandboxLost,
)

__all__ = [
    "INIT",
    "READY_SECONDS",
    "STOP_SECONDS",
    "Boxed",
    "Conversation",
    "Request",
    "Spoken",
    "end",
    "gone",
]

INIT = Path(__file__).with_name("init.py")

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
KILL_SECONDS = 5.0  # from a kill to the news of it; only an uninterruptible process needs longer
LOST_SECONDS = 1.0  # init closes its sockets a little before it is seen dead


@dataclass(frozen=True)
class Request:
    """A command to run inside: paths and environment as they are seen there."""

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]

    @classmethod
    def of(cls, command: str | Sequence[str], cwd: str, env: Mapping[str, str]) -> Request:
        """A string goes through /bin/sh."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        return cls(argv, cwd, env)


@dataclass(frozen=True)
class Spoken:
    """How a command ended and what it said, bounded, still bytes."""

    returncode: int
    stdout: bytes
    stderr: bytes

    def result(self, request: Request, *, check: bool) -> ExecResult:
        """The same as text; with `check`, ExecFailed says what failed and its last words."""
        stdout, stderr = (text.decode(errors="replace") for text in (self.stdout, self.stderr))
        if check and self.returncode:
            last = "\n".join(stderr.strip().splitlines()[-20:])
            what = f"{shortened(request.argv)} ended with exit status {self.returncode}"
            raise ExecFailed(f"{what}: {last}" if last else what)
        return ExecResult(self.returncode, stdout, stderr)


class Conversation:
    """A command that stays: what is written to it, and what it says; closing it ends it."""

    def __init__(self, boxed: Boxed, request: Request) -> None:
        self._ends = Ends()
        try:
            self._control = self._ends.control()
            self.stdin, self.stdout = self._ends.inlet(), self._ends.outlet()
            self._ends.give(FileIO(os.devnull, "wb"))
            boxed.send(request, self._ends, is_tty=False)
        except BaseException:
            self._ends.__exit__()
            raise

    def close(self, seconds: float = 0) -> None:
        """Hang up; the resident kills the command's process group if it is not over by then."""
        with self._ends:
            self.stdin.close()
            self.stdout.close()
            gone(self._control.fileno(), seconds)


@dataclass
class Boxed:
    """A resident and what it takes to command, watch and end it; any thread may call."""

    channel: socket.socket
    pid: int  # of the resident, as the host sees it
    pidfd: int
    finish: Callable[[Boxed], None]  # ends the resident and all below it, and proves them dead
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: bool = False
    _dead: bool = False

    @classmethod
    def greet(
        cls,
        channel: socket.socket,
        config: Mapping[str, object],
        finish: Callable[[Boxed], None],
    ) -> Boxed:
        """Give the configuration, await "ready"; the kernel says by whom in our own pid numbers."""
        channel.settimeout(READY_SECONDS)
        with _memory_file(config) as file:
            socket.send_fds(channel, [b"config"], [file])
        text, ancillary, _, _ = channel.recvmsg(64, socket.CMSG_SPACE(12))
        if not text:
            raise OSError("it ended")
        channel.settimeout(None)
        pid = int(struct.unpack("3i", ancillary[0][2])[0])
        return cls(channel, pid, os.pidfd_open(pid), finish)

    def run(
        self,
        request: Request,
        *,
        stdin: bytes | Iterable[bytes] | None,
        timeout: float | None,
        most: int = KEPT_BYTES,
    ) -> Spoken:
        """Run a command to its end; whatever comes between, no descriptor is left open.

        `most` bytes are kept of either end of each stream it writes.
        """
        with Ends() as ends:
            pump = Pump(ends.control())
            ends.stdin(pump, stdin)
            stdout, stderr = Kept(most), Kept(most)
            pump.receive(ends.outlet(), stdout.add)
            pump.receive(ends.outlet(), stderr.add)
            self.send(request, ends, is_tty=False)
            try:
                self._wait(pump, request, timeout)
            except ExecTimeout as error:
                error.stdout, error.stderr = stdout.text(), stderr.text()
                raise
            return Spoken(self._status(pump, request), stdout.whole(), stderr.whole())

    def stream(
        self,
        request: Request,
        told: Callable[[str, bytes], None],
        *,
        stdin: bytes | None,
        timeout: float | None,
        tick: Callable[[], None] | None,
    ) -> int:
        """Run a command and hand on what it says as it says it; whatever `told` or `tick` raises
        ends it."""
        with Ends() as ends:
            pump = Pump(ends.control())
            ends.stdin(pump, stdin)
            pump.receive(ends.outlet(), partial(told, "stdout"))
            pump.receive(ends.outlet(), partial(told, "stderr"))
            self.send(request, ends, is_tty=False)
            self._wait(pump, request, timeout, tick)
            return self._status(pump, request)

    def converse(self, request: Request) -> Conversation:
        """Start a command that stays; what it complains of is not kept."""
        return Conversation(self, request)

    def interact(self, request: Request, *, terminal: int) -> int:
        """Run a command on a terminal of ours, as if it had been started there."""
        with Ends() as ends, ExitStack() as stack:
            pump = Pump(ends.control())
            master = ends.terminal()
            stack.enter_context(sized(terminal, master.fileno()))
            stack.enter_context(raw(terminal))
            Relay(pump, terminal, master)
            self.send(request, ends, is_tty=True)
            self._wait(pump, request, None)
            return self._status(pump, request)

    def stop(self) -> None:
        """Kill all that lives in the sandbox; return when the kernel says that it is gone."""
        self._asked = True
        with self._lock:
            if self._dead:
                return
            self.finish(self)
            self._dead = True
            self.channel.close()
            os.close(self.pidfd)

    def send(self, request: Request, ends: Ends, *, is_tty: bool) -> None:
        text = {
            "argv": list(request.argv),
            "cwd": request.cwd,
            "env": dict(request.env),
            "tty": is_tty,
        }
        control, *streams = ends.given
        try:
            with self._lock, _memory_file(text) as file:
                if self._dead:
                    raise self._lost(request)
                socket.send_fds(self.channel, [b"run"], [control, file, *streams])
        except OSError as error:
            raise self._lost(request) from error
        ends.let_go()

    def _wait(
        self,
        pump: Pump,
        request: Request,
        timeout: float | None,
        tick: Callable[[], None] | None = None,
    ) -> None:
        had, left = 0.0, timeout
        while not pump.run(None if left is None else time.monotonic() + left, tick):
            had, left = had + (left or 0), added(left)
            if left is None:
                break
        else:
            return
        with contextlib.suppress(OSError):
            pump.control.send(b"kill")
        pump.run(time.monotonic() + KILL_SECONDS)
        raise ExecTimeout(f"{shortened(request.argv)} ran longer than {round(had, 2):g} s")

    def _status(self, pump: Pump, request: Request) -> int:
        if not pump.reply:
            raise self._lost(request)
        said = json.loads(pump.reply)
        if "error" in said:
            raise SandboxError(f"{shortened(request.argv)} was not started: {said['error']}")
        return int(said["returncode"])

    def _lost(self, request: Request) -> Exception:
        """Tell a sandbox that is gone from one that had no room for this command."""
        what = shortened(request.argv)
        if self._asked:
            return SandboxLost(f"{what} did not end: the sandbox was stopped")
        if gone(self.pidfd, LOST_SECONDS):
            why = "was killed from outside, or by what ran in it"
            return SandboxLost(f"{what} did not end: the sandbox's process {self.pid} {why}")
        return SandboxError(f"{what} was not started: the sandbox has no file descriptor left")


def end(pid: int, pidfd: int, number: signal.Signals) -> None:
    """Kill a resident and wait for it.

    A process 1 is seen dead only when the kernel has killed and reaped its whole pid namespace.
    """
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
    if not gone(pidfd, STOP_SECONDS):
        raise ProviderFault(f"process {pid} of a sandbox did not end within {STOP_SECONDS:g} s")


def gone(pidfd: int, seconds: float) -> bool:
    """Is a process seen dead within so many seconds?"""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def shortened(argv: Sequence[str]) -> str:
    """A command as a message shows it; what a shell runs is shown without the shell."""
    line = argv[2] if list(argv[:2]) == ["/bin/sh", "-c"] and len(argv) == 3 else shlex.join(argv)
    return repr(line if len(line) <= 80 else line[:77] + "...")


@contextmanager
def _memory_file(content: Mapping[str, object]) -> Iterator[int]:
    """JSON as a descriptor: unlike a message it may be as long as an argument list."""
    with os.fdopen(os.memfd_create("ale"), "wb") as file:
        file.write(json.dumps(content).encode())
        file.flush()
        yield file.fileno()
