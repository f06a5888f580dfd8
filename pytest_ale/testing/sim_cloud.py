"""Cloud: what the processes of a simulation share: which sandboxes there are, quota and rate.

Knows nothing of what sandboxes do. It survives whoever uses it, as a cloud does:

    FOLDER/lock             held while a sandbox is let in
    FOLDER/rate             how many creates are left, and when that was
    FOLDER/sandboxes/LEASE  whose it is; behind that, a dot for each try at its end
    FOLDER/sandboxes@ZONE/LEASE   the same, of one in a zone that has a name
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
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_ale.sandbox import Busy, ProviderFault

__all__ = ["Cloud"]

SANDBOXES, ZONE = "sandboxes", re.compile("sandboxes(@|$)")
RATE = struct.Struct("dd")  # creates left, time.monotonic()


class Cloud:
    """The sandboxes of a simulation, by lease; `quota` is that of all zones together."""

    def __init__(
        self,
        folder: Path,
        *,
        quota: int | None,
        rate: float | None,
        zones: Mapping[str, int | None],
    ) -> None:
        self._folder = str(folder)
        self._quota, self._rate = quota, rate  # of real seconds
        self._zones = zones  # and the quota of each
        self._ready = False

    def admit(self, lease: str, who: str, avoid: Collection[str] = ()) -> str:
        """Let a sandbox into a zone, and return which; or say no in a cloud's words."""
        zones = [zone for zone in self._zones if zone not in avoid] or list(self._zones)
        path = self._path(lease, zones[0])
        try:
            with self._alone():
                self._within_rate(lease)
                zone = self._with_room(lease, zones)
                path = self._path(lease, zone)
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    os.write(fd, f"{who}\n".encode(errors="backslashreplace"))
                finally:
                    os.close(fd)
        except OSError as error:
            raise ProviderFault(f"sandbox {lease}: {path}: {error.strerror}") from error
        return zone

    def has(self, lease: str, zone: str) -> bool:
        return os.path.exists(self._path(lease, zone))

    def tried(self, lease: str) -> tuple[str, int, str] | None:
        """Count a try at ending a sandbox; whose it is and where, or None for one that is gone."""
        for zone in self._zones_there():
            with suppress(FileNotFoundError):
                return (*self._tried(self._path(lease, zone), lease), zone)
        return None

    def _tried(self, path: str, lease: str) -> tuple[str, int]:
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            who, end, dots = os.read(fd, 1 << 16).rpartition(b"\n")
            os.write(fd, b".")
        finally:
            os.close(fd)
        # Its maker may have died before it was written whose it is.
        return who.decode(errors="replace") if end else lease, len(dots) + 1

    def remove(self, lease: str, zone: str | None = None) -> None:
        """Wherever it is; it may be known where."""
        for each in self._zones_there() if zone is None else [zone]:
            with suppress(FileNotFoundError):
                os.unlink(self._path(lease, each))

    def leases(self) -> list[str]:
        return sorted(lease for zone in self._zones_there() for lease in self._in(zone))

    def _zones_there(self) -> list[str]:
        """Those of this simulation, and those of others that used the folder before."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            names = []
        there = [name.partition("@")[2] for name in names if ZONE.match(name)]
        return list(dict.fromkeys([*self._zones, *there]))

    def _in(self, zone: str) -> list[str]:
        try:
            return os.listdir(self._place(zone))
        except FileNotFoundError:
            return []

    def _place(self, zone: str) -> str:
        return f"{self._folder}/{SANDBOXES}{zone and f'@{zone}'}"

    def _path(self, lease: str, zone: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", lease):
            raise ProviderFault(f"lease {lease!r}: a lease is letters, digits and ._- only")
        return f"{self._place(zone)}/{lease}"

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
        for zone in self._zones:
            os.makedirs(self._place(zone), mode=0o700, exist_ok=True)
        self._ready = True

    def _with_room(self, lease: str, zones: list[str]) -> str:
        """The first of these zones that has room."""
        if self._quota is not None and self._full(self._quota, self._zones_there()):
            raise _short(lease, self._quota)
        for zone in zones:
            if not self._full(self._zones[zone], [zone]):
                return zone
        raise _short(lease, self._zones[zones[-1]], zones)

    def _full(self, quota: int | None, zones: list[str]) -> bool:
        """Counted anew each time (0.3 ms of 1,000): a counter would not survive a kill -9."""
        return quota is not None and sum(len(self._in(zone)) for zone in zones) >= quota

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
            raise Busy(f"sandbox {lease}: {said}", "rate", (1 - left) / self._rate)


def _short(lease: str, quota: int | None, zones: Collection[str] = ("",)) -> Busy:
    where = "" if "" in zones else f" in {', '.join(zones)}"
    said = f"403 QUOTA_EXCEEDED: Quota 'INSTANCES' exceeded{where}. Limit: {quota}"
    return Busy(f"sandbox {lease}: {said}", "quota")
