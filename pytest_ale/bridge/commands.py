"""Shell commands, each run to its end or its deadline.

Knows nothing of MCP or of terminals.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .calls import pause
from .processes import Said, end_session

__all__ = ["SHELL", "Commands", "Ended"]

SHELL = shutil.which("bash") or "/bin/sh"
LATE_SECONDS = 0.2  # for the rest of what was said, where a background program holds the pipe
FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.001, 0.05  # between two looks whether a command has ended


@dataclass(frozen=True)
class Ended:
    """How a command ended; no exit code where it was killed at its deadline."""

    exit_code: int | None
    stdout: str
    stderr: str


@dataclass
class Commands:
    """What is being run."""

    _running: set[int] = field(default_factory=set)
    # So that at the end none is just being started.
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, command: str, *, timeout: float, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Ended:
        with self._starting:
            process = _start(command, cwd, env or {})
            self._running.add(process.pid)
        assert process.stdout and process.stderr
        said = Said(process.stdout), Said(process.stderr)
        try:
            code = self._wait(process, timeout)
        finally:
            self._running.discard(process.pid)
        stdout, stderr = (stream.text(LATE_SECONDS) for stream in said)
        return Ended(code, stdout, stderr)

    def _wait(self, process: subprocess.Popen[bytes], timeout: float) -> int | None:
        deadline, step = time.monotonic() + timeout, FIRST_LOOK_SECONDS
        try:
            while process.poll() is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                step = min(2 * step, LOOK_SECONDS, left)
                pause(step)
            return process.returncode
        finally:
            if process.returncode is None:  # its time is over, or nobody waits for it any more
                end_session(process.pid)
                process.wait()

    def close(self) -> None:
        """Kill what runs; what a command left in the background was meant to stay."""
        self._starting.acquire()  # never released: none is started any more
        for pid in list(self._running):
            end_session(pid, 0)


def _start(command: str, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [SHELL, "-c", command],
        cwd=cwd,
        env=os.environ | dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
