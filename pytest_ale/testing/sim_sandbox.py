"""A sandbox that is nothing but memory; satisfies `Sandbox`.

Knows nothing of tasks or agents; which commands it has: sim_shell.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pytest_ale.sandbox import (
    Desktop,
    DesktopError,
    ExecFailed,
    ExecResult,
    ExecTimeout,
    ProviderFault,
    SandboxError,
    SandboxLost,
)
from pytest_ale.testing.sim_files import Files, normal
from pytest_ale.testing.sim_rules import Fate
from pytest_ale.testing.sim_shell import Shell
from pytest_ale.text import one_line

__all__ = ["SimSandbox"]

T = TypeVar("T")

HOME = "/home/agent"
TASK = f"{HOME}/task"
SAID_BYTES = 8 << 20  # of each output of a command that `exec` returns
TICK_SECONDS = 1.0
LONGEST_SECONDS = 3600.0  # of one wait: 300 years are more than a lock can


class SimSandbox:
    """Files in memory, and commands that take no processor; seconds are divided by `scale`."""

    inputs, output, home = f"{TASK}/inputs", f"{TASK}/output", HOME

    def __init__(
        self,
        lease: str,
        fate: Fate,
        scale: float,
        exists: Callable[[], bool],
        files: Files | None,
        zone: str = "",
    ) -> None:
        self.lease, self.fate, self.scale, self.zone = lease, fate, scale, zone
        self._exists = exists
        self.files = files or _furnished()
        self._over = threading.Event()  # stopped, lost or destroyed: no command goes on
        self._stopped = False
        self._lost = ""

    @property
    def about(self) -> dict[str, object]:
        boot = round(self.fate.boot, 3)
        about = {"isolation": "simulated", "boot_seconds": boot, "scale": self.scale}
        return about | ({"zone": self.zone} if self.zone else {})

    @property
    def desktop(self) -> Desktop:
        raise DesktopError("the sim provider has no desktop")

    # Commands.

    def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stdin: str | bytes | None = None,
        check: bool = False,
    ) -> ExecResult:
        """Run a command or a chain of them; `env` is given in vain, no command reads it."""
        if user not in (None, "agent"):
            raise SandboxError(f"user {user!r}: a simulated sandbox has no user but 'agent'")
        said = {"stdout": b"", "stderr": b""}

        def told(name: str, data: bytes) -> None:
            said[name] = (said[name] + data)[:SAID_BYTES]

        try:
            status = self._run(command, told, timeout, cwd=cwd, stdin=stdin)
        except ExecTimeout as error:
            error.stdout, error.stderr = _text(said["stdout"]), _text(said["stderr"])
            raise
        result = ExecResult(status, _text(said["stdout"]), _text(said["stderr"]))
        if check and status:
            what = f"{_shown(command)} ended with exit status {status}"
            last = result.stderr.strip()
            raise ExecFailed(f"{what}: {last}" if last else what)
        return result

    def stream(
        self,
        command: Sequence[str],
        told: Callable[[str, bytes], None],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        """Run a command and hand on what it writes as it comes."""
        return self._run(command, told, timeout, stdin=stdin, tick=tick)

    def interact(self, command: Sequence[str], *, terminal: int) -> int:
        raise SandboxError("sim: a simulated sandbox has no terminal")

    def _run(
        self,
        command: str | Sequence[str],
        told: Callable[[str, bytes], None],
        timeout: float | None,
        *,
        cwd: str | None = None,
        stdin: str | bytes | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        self._check_here()
        if self._stopped:
            raise SandboxLost(f"{_shown(command)} was not started: the sandbox was stopped")
        folder = _path(cwd or ".")
        if not self.files.is_folder(folder):
            told("stderr", f"{cwd}: No such file or directory\n".encode(errors="backslashreplace"))
            return 126
        until = None if timeout is None else time.monotonic() + timeout

        def sleep(seconds: float) -> None:
            self._sleep(seconds / self.scale, command, until, tick)
            if until is not None and time.monotonic() >= until:
                raise ExecTimeout(f"{_shown(command)} ran longer than {timeout:g} s")

        given = stdin.encode() if isinstance(stdin, str) else stdin or b""
        status = Shell(self.files, folder, sleep, told, given).run(command)
        if self.fate.lost is not None:  # in its first command, wherever that did not sleep
            self.lose("was preempted by its provider")
            self._check_here()
        return status

    def _sleep(
        self,
        seconds: float,
        command: str | Sequence[str],
        until: float | None,
        tick: Callable[[], None] | None,
    ) -> None:
        """Wait for so many real seconds, or for what comes before they are over."""
        doomed = self.fate.lost is not None
        end = time.monotonic() + seconds * (self.fate.lost or 0 if doomed else 1)
        last = end if until is None else min(end, until)
        while (left := last - time.monotonic()) > 0 and not self._over.is_set():
            self._over.wait(min(left, TICK_SECONDS if tick else LONGEST_SECONDS))
            if tick:
                tick()
        if doomed and last == end and not self._over.is_set():
            self.lose("was preempted by its provider")
        self._check_here()
        if self._over.is_set():
            raise SandboxLost(f"{_shown(command)} did not end: the sandbox was stopped")

    # Files.

    def put(self, local: Path, remote: str) -> None:
        self._check_here()
        self.files.put(local, _path(remote))

    def get(self, remote: str, local: Path) -> list[str]:
        """Copy a file or folder out, bounded; say what was refused."""
        self._check_here()
        return self.files.get(_path(remote), local)

    def write(self, path: str, data: str | bytes) -> None:
        self._check_here()
        self.files.write(_path(path), data.encode() if isinstance(data, str) else data)

    def read(self, path: str) -> bytes:
        self._check_here()
        return self.files.read(_path(path))

    # Its end.

    def stop(self) -> None:
        """End the command that runs; files stay."""
        self._check_here()
        if not self.fate.stops:
            raise ProviderFault(f"sandbox {self.lease}: 503 Service Unavailable: stop")
        self._stopped = True
        self._over.set()

    def lose(self, why: str) -> None:
        """Be gone, whoever asked for it."""
        self._lost = self._lost or why
        self._over.set()

    def wait(self, seconds: float) -> None:
        """Let real seconds go by, fewer if it is gone before."""
        self._over.wait(seconds)

    def _check_here(self) -> None:
        if not self._lost and not self._exists():
            self.lose("was destroyed")
        if self._lost:
            raise SandboxLost(f"sandbox {self.lease} {self._lost}")


def _furnished() -> Files:
    files = Files()
    for folder in (SimSandbox.inputs, SimSandbox.output, "/tmp"):
        files.make_folder(folder)
    return files


def _path(name: str) -> str:
    return normal(TASK, name)


def _shown(command: str | Sequence[str]) -> str:
    return one_line(repr(command if isinstance(command, str) else " ".join(command)))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
