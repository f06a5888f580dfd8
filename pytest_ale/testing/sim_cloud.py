"""Cloud: what the processes of a simulation share: which sandboxes there are, quota and rate.

Knows nothing of what sandboxes do. It survives whoever uses it, as a cloud does:

    FOLDER/lock             held while a sandbox is let in
    FOLDER/rate             how many creates are left, and when that was
    FOLDER/sandboxes/LEASE  whose it is; behind that, a dot for each try at its end
"""

# pathlib would cost more than what it is asked for: a sandbox may take 1 ms of processor in all.
# ruff: noqa: PTH103, PTH108, PTH110, PTH208

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_ale.sandbox import ProviderFault

__all__ = ["Cloud"]

RATE = struct.Struct("dd")  # creates left, time.monotonic()


class Cloud:
    """The sandboxes of a simulation, by lease."""

    def __init__(self, folder: Path, *, quota: int | None, rate: float | None) -> None:
        self._folder, self._sandboxes = str(folder), f"{folder}/sandboxes"
        self._quota, self._rate = quota, rate  # of real seconds
        self._ready = False

    def admit(self, lease: str, who: str) -> None:
        """Let a sandbox in, or say no in a cloud's words."""
        path = self._path(lease)
        try:
            with self._alone():
                self._within_rate(lease)
                self._within_quota(lease)
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    os.write(fd, f"{who}\n".encode(errors="backslashreplace"))
                finally:
                    os.close(fd)
        except OSError as error:
            raise ProviderFault(f"sandbox {lease}: {path}: {error.strerror}") from error

    def has(self, lease: str) -> bool:
        return os.path.exists(self._path(lease))

    def tried(self, lease: str) -> tuple[str, int] | None:
        """Count a try at ending a sandbox; whose it is, or None for one that is gone."""
        try:
            fd = os.open(self._path(lease), os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            who, end, dots = os.read(fd, 1 << 16).rpartition(b"\n")
            os.write(fd, b".")
        finally:
            os.close(fd)
        # Its maker may have died before it was written whose it is.
        return who.decode(errors="replace") if end else lease, len(dots) + 1

    def remove(self, lease: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(lease))

    def leases(self) -> list[str]:
        try:
            return sorted(os.listdir(self._sandboxes))
        except FileNotFoundError:
            return []

    def _path(self, lease: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", lease):
            raise ProviderFault(f"lease {lease!r}: a lease is letters, digits and ._- only")
        return f"{self._sandboxes}/{lease}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._ready:
            self._make()
        fd = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _make(self) -> None:
        """Others may have put what they like into the host's /tmp: it counts if it is ours."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        about = os.lstat(self._folder)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            raise ProviderFault(f"{self._folder} is not a folder of ours; name another: folder")
        os.makedirs(self._sandboxes, mode=0o700, exist_ok=True)
        self._ready = True

    def _within_quota(self, lease: str) -> None:
        """Counted anew each time (0.3 ms of 1,000): a counter would not survive a kill -9."""
        if self._quota is not None and len(os.listdir(self._sandboxes)) >= self._quota:
            said = f"403 QUOTA_EXCEEDED: Quota 'INSTANCES' exceeded. Limit: {self._quota}"
            raise ProviderFault(f"sandbox {lease}: {said}")

    def _within_rate(self, lease: str) -> None:
        """A bucket of one second's creates, or of one, that is filled as time goes by."""
        if self._rate is None:
            return
        most, now = max(self._rate, 1.0), time.monotonic()
        fd = os.open(f"{self._folder}/rate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            data = os.pread(fd, RATE.size, 0)
            left, then = RATE.unpack(data) if len(data) == RATE.size else (most, now)
            if then > now:  # of a machine that was started again since
                left, then = most, now
            left = min(left + (now - then) * self._rate, most)
            os.pwrite(fd, RATE.pack(left - (left >= 1), now), 0)
        finally:
            os.close(fd)
        if left < 1:
            said = f"429 Too Many Requests: rateLimitExceeded: {self._rate:g} creates per second"
            raise ProviderFault(f"sandbox {lease}: {said}")
