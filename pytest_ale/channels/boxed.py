"""The host's side of a local sandbox: the resident process (`init.py`) and the socket to it.

Knows nothing of namespaces, file trees or leases: it is given the command that starts a resident.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import selectors
import shlex
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path

from pytest_ale.sandbox import ExecTimeout, ProviderFault, SandboxError, SandboxLost

__all__ = ["INIT", "STOP_SECONDS", "Boxed", "Request", "Spoken", "end", "shortened"]

INIT = Path(__file__).with_name("init.py")

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
KILL_SECONDS = 5.0  # from a kill to the news of it; only an uninterruptible process needs longer
DRAIN_SECONDS = 0.2  # for output that something in the background keeps open
LOST_SECONDS = 1.0  # init closes its sockets a little before it is seen dead
KEPT_BYTES = 5_000_000  # of either end of a stream


@dataclass(frozen=True)
class Request:
    """A command to run inside: paths and environment as they are seen there."""

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class Spoken:
    """How a command ended and what it said, bounded, still bytes."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Kept:
    """A stream's first and last bytes, however long it is."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.cut = 0

    def add(self, data: bytes) -> None:
        room = KEPT_BYTES - len(self.head)
        self.head += data[:room]
        self.tail += data[room:]
        if len(self.tail) > 2 * KEPT_BYTES:  # seldom, so that little is moved
            self._trim()

    def _trim(self) -> None:
        excess = max(0, len(self.tail) - KEPT_BYTES)
        self.cut += excess
        del self.tail[:excess]

    def whole(self) -> bytes:
        self._trim()
        if not self.cut:
            return bytes(self.head + self.tail)
        return bytes(self.head + f"\n[... {self.cut} bytes cut ...]\n".encode() + self.tail)

    def text(self) -> str:
        return self.whole().decode(errors="replace")


class Pump:
    """One command's streams, moved by one poll loop and no threads."""

    def __init__(self, control: socket.socket) -> None:
        self.reply: bytes | None = None
        self.deadline: float | None = None
        self.control = control
        self.selector = selectors.PollSelector()  # unlike epoll it takes no descriptor
        self.selector.register(control, selectors.EVENT_READ, self._replied)

    def run(self, deadline: float | None) -> bool:
        """Move bytes until the command has ended; say whether it did before the deadline."""
        self.deadline = deadline
        while self.selector.get_map():
            left = None if self.deadline is None else self.deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            for key, _ in self.selector.select(left):
                if key.fileobj in self.selector.get_map():  # not dropped by the one before
                    key.data()
        return self.reply is not None

    def _replied(self) -> None:
        try:
            self.reply = self.control.recv(65536)
        except OSError:
            self.reply = b""
        self.selector.unregister(self.control)
        self.deadline = time.monotonic() + DRAIN_SECONDS
        for key in list(self.selector.get_map().values()):
            if key.events == selectors.EVENT_WRITE:
                self.selector.unregister(key.fileobj)

    def receive(self, stream: FileIO) -> Kept:
        kept = Kept()
        os.set_blocking(stream.fileno(), False)
        self.selector.register(stream, selectors.EVENT_READ, partial(self._receive, stream, kept))
        return kept

    def _receive(self, stream: FileIO, kept: Kept) -> None:
        data = stream.read(1 << 16)
        if data:
            kept.add(data)
        elif data is not None:
            self.selector.unregister(stream)

    def feed(self, stream: FileIO, data: bytes) -> None:
        os.set_blocking(stream.fileno(), False)
        rest = memoryview(data)
        self.selector.register(stream, selectors.EVENT_WRITE, partial(self._feed, stream, [rest]))

    def _feed(self, stream: FileIO, rest: list[memoryview]) -> None:
        try:
            rest[0] = rest[0][stream.write(rest[0][: 1 << 16]) or 0 :]
        except BrokenPipeError:  # it reads no more; that is its right
            rest[0] = memoryview(b"")
        if not rest[0]:
            self.selector.unregister(stream)
            stream.close()


@dataclass
class Boxed:
    """A resident and what it takes to command, watch and end it; any thread may call."""

    process: subprocess.Popen[bytes]  # bwrap or unshare, whose child the resident is, or itself
    channel: socket.socket
    pid: int  # of the resident, as the host sees it
    pidfd: int
    last_signal: signal.Signals
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: bool = False
    _dead: bool = False

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        config: Mapping[str, object],
        log: Path,
        *,
        last_signal: signal.Signals = signal.SIGKILL,
    ) -> Boxed:
        """Start a resident by a command that takes a descriptor's number as its last argument."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        process = None
        try:
            with theirs:
                process = _launch(argv, theirs.fileno(), log)
            pid, pidfd = _greet(ours, config, log)
        except BaseException:
            ours.close()  # a resident that got this far ends by it
            if process is not None:
                process.kill()
                process.wait()
            raise
        return cls(process, ours, pid, pidfd, last_signal)

    def run(self, request: Request, *, stdin: bytes | None, timeout: float | None) -> Spoken:
        """Run a command to its end; whatever comes between, no descriptor is left open."""
        with Ends() as ends:
            pump = Pump(ends.control())
            ends.stdin(pump, stdin)
            stdout, stderr = pump.receive(ends.outlet()), pump.receive(ends.outlet())
            self._send(request, ends, is_tty=False)
            try:
                self._wait(pump, request, timeout)
            except ExecTimeout as error:
                error.stdout, error.stderr = stdout.text(), stderr.text()
                raise
            return Spoken(self._status(pump, request), stdout.whole(), stderr.whole())

    def interact(self, request: Request, *, terminal: int) -> int:
        """Run a command on a terminal of ours, as if it had been started there."""
        with Ends() as ends, ExitStack() as stack:
            pump = Pump(ends.control())
            master = ends.terminal()
            stack.enter_context(_sized(terminal, master.fileno()))
            stack.enter_context(_raw(terminal))
            Relay(pump, terminal, master)
            self._send(request, ends, is_tty=True)
            self._wait(pump, request, None)
            return self._status(pump, request)

    def stop(self) -> None:
        """Kill all that lives in the sandbox; return when the kernel says that it is gone."""
        self._asked = True
        with self._lock:
            if self._dead:
                return
            end(self.pid, self.pidfd, self.last_signal)
            self._reap()
            self._dead = True
            self.channel.close()
            os.close(self.pidfd)

    def _reap(self) -> None:
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            what = f"process {self.process.pid} around a stopped sandbox"
            raise ProviderFault(f"{what} did not end within {STOP_SECONDS:g} s") from error
        if status == 1 and self.last_signal != signal.SIGKILL:  # the resident could not end all
            raise ProviderFault(f"some process started by {self.pid} could not be killed")

    def _send(self, request: Request, ends: Ends, *, is_tty: bool) -> None:
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

    def _wait(self, pump: Pump, request: Request, timeout: float | None) -> None:
        if pump.run(None if timeout is None else time.monotonic() + timeout):
            return
        with contextlib.suppress(OSError):
            pump.control.send(b"kill")
        pump.run(time.monotonic() + KILL_SECONDS)
        raise ExecTimeout(f"{shortened(request.argv)} ran longer than {round(timeout or 0, 2):g} s")

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
        if _gone(self.pidfd, LOST_SECONDS):
            why = "was killed from outside, or by what ran in it"
            return SandboxLost(f"{what} did not end: the sandbox's process {self.pid} {why}")
        return SandboxError(f"{what} was not started: the sandbox has no file descriptor left")


def end(pid: int, pidfd: int, number: signal.Signals) -> None:
    """Kill a resident and wait for it.

    A process 1 is seen dead only when the kernel has killed and reaped its whole pid namespace.
    """
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
    if not _gone(pidfd, STOP_SECONDS):
        raise ProviderFault(f"process {pid} of a sandbox did not end within {STOP_SECONDS:g} s")


def _gone(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def shortened(argv: Sequence[str]) -> str:
    """A command as a message shows it; what a shell runs is shown without the shell."""
    line = argv[2] if list(argv[:2]) == ["/bin/sh", "-c"] and len(argv) == 3 else shlex.join(argv)
    return repr(line if len(line) <= 80 else line[:77] + "...")


class Ends:
    """The descriptors of one command: `given` go to the resident, the others stay here."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self._ours, self._theirs = ExitStack(), ExitStack()

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._ours.close()

    def let_go(self) -> None:
        """Close what was given away: a stream ends when its last holder closes it."""
        self._theirs.close()

    def control(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs.enter_context(theirs)
        self.given.append(theirs.fileno())
        return self._ours.enter_context(ours)

    def stdin(self, pump: Pump, data: bytes | None) -> None:
        if data is None:
            self._give(FileIO(os.devnull, "rb"))
            return
        read, write = os.pipe()
        self._give(FileIO(read, "rb"))
        pump.feed(self._ours.enter_context(FileIO(write, "wb")), data)

    def outlet(self) -> FileIO:
        read, write = os.pipe()
        self._give(FileIO(write, "wb"))
        return self._ours.enter_context(FileIO(read, "rb"))

    def terminal(self) -> FileIO:
        master, slave = os.openpty()
        self._give(FileIO(slave, "r+b"), times=3)
        return self._ours.enter_context(FileIO(master, "r+b"))

    def _give(self, stream: FileIO, times: int = 1) -> None:
        self._theirs.enter_context(stream)
        self.given += [stream.fileno()] * times


class Relay:
    """What is typed goes to the pty, what the pty shows goes to the terminal."""

    def __init__(self, pump: Pump, terminal: int, master: FileIO) -> None:
        self.selector, self.terminal, self.master = pump.selector, terminal, master
        self.typed = bytearray()
        os.set_blocking(master.fileno(), False)
        self.selector.register(terminal, selectors.EVENT_READ, self._type)
        self.selector.register(master, selectors.EVENT_READ, self._move)

    def _type(self) -> None:
        """Keep what is typed until the pty has room: its program may be busy."""
        try:
            data = os.read(self.terminal, 4096)
        except OSError:  # it was hung up
            data = b""
        if not data:
            self._forget(self.terminal)
        self.typed += data or b"\x04"  # what a terminal sends at the end of input
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        with contextlib.suppress(KeyError):
            self.selector.modify(self.master, both, self._move)

    def _move(self) -> None:
        try:
            del self.typed[: self.master.write(self.typed) or 0]
            if not self.typed:
                self.selector.modify(self.master, selectors.EVENT_READ, self._move)
            _write_all(self.terminal, self.master.read(1 << 16) or b"")
        except OSError:  # EIO: the last program on the pty is gone
            self._forget(self.master)
            self._forget(self.terminal)

    def _forget(self, what: int | FileIO) -> None:
        with contextlib.suppress(KeyError):
            self.selector.unregister(what)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


@contextmanager
def _sized(terminal: int, pty: int) -> Iterator[None]:
    """Keep the pty as large as the terminal; only the main thread can hear of a change."""
    _copy_size(terminal, pty)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: _copy_size(terminal, pty))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _copy_size(terminal: int, pty: int) -> None:
    with contextlib.suppress(OSError):  # not a terminal
        size = fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(pty, termios.TIOCSWINSZ, size)


@contextmanager
def _memory_file(content: Mapping[str, object]) -> Iterator[int]:
    """JSON as a descriptor: unlike a message it may be as long as an argument list."""
    with os.fdopen(os.memfd_create("ale"), "wb") as file:
        file.write(json.dumps(content).encode())
        file.flush()
        yield file.fileno()


def _launch(argv: Sequence[str], fd: int, log: Path) -> subprocess.Popen[bytes]:
    """Start in a session of its own: Ctrl-C is for us, who then stop the sandbox in good order."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [*argv, str(fd)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={},
            cwd="/",
            pass_fds=(fd,),
            start_new_session=True,
        )


def _greet(channel: socket.socket, config: Mapping[str, object], log: Path) -> tuple[int, int]:
    """Give the configuration, await "ready"; the kernel says by whom in our own pid numbers."""
    channel.settimeout(READY_SECONDS)
    try:
        with _memory_file(config) as file:
            socket.send_fds(channel, [b"config"], [file])
        text, ancillary, _, _ = channel.recvmsg(64, socket.CMSG_SPACE(12))
    except OSError as error:
        text, why = b"", error
    else:
        why = OSError("it ended")
    if not text:
        last = log.read_text(errors="replace").strip()[-2000:]
        raise ProviderFault(f"no sandbox within {READY_SECONDS:g} s ({why}): {last}") from why
    channel.settimeout(None)
    pid = int(struct.unpack("3i", ancillary[0][2])[0])
    return pid, os.pidfd_open(pid)
