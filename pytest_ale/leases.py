"""Leases: the ledger, the pool that leases and releases, and reaping what a dead process left.

Imports no SDK; a provider is whatever it is handed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pytest_ale.sandbox import Fault, Provider, ProviderFault, RecordFault, Sandbox, SandboxSpec
from pytest_ale.secrets import scrub

__all__ = ["Entry", "Lease", "Ledger", "Owner", "Pool", "Reaped", "in_reach", "ledgers", "reap"]

# States of a lease; `released` is the only one that leaves nothing behind.
LEASING, LEASED, KEPT, RELEASED, FAULT = "leasing", "leased", "kept", "released", "fault"


REAPERS = 32  # sandboxes that are released at once


@dataclass(frozen=True)
class Owner:
    """The process a lease belongs to; a pid alone would be reused by somebody else."""

    host: str
    boot: str
    pid: int
    start: str

    @staticmethod
    @cache
    def of(pid: int) -> Owner:
        return Owner(socket.gethostname(), _boot_id(), pid, _start_time(pid))

    @property
    def here(self) -> bool:
        """Is it a process of this host? Nobody here can say whether any other lives."""
        return self.host == socket.gethostname()

    @property
    def dead(self) -> bool:
        """True only for a process of this host that is certainly gone."""
        if not self.here:
            return False
        return self.boot != _boot_id() or _start_time(self.pid) != self.start


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat, counted behind the parenthesised name; "" when it is gone.

    A zombie is gone: in a container there may be nobody who would ever reap it.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


@dataclass(frozen=True)
class Entry:
    """The last known state of a lease in a ledger."""

    lease: str
    provider: str
    state: str
    owner: Owner
    label: str = ""
    message: str = ""
    time: str = ""

    @property
    def open(self) -> bool:
        return self.state != RELEASED

    @property
    def reapable(self) -> bool:
        """Does nobody use it any more, and nobody else release it?"""
        return self.open and (self.owner.dead or self.state in (KEPT, FAULT))


class Ledger:
    """Append-only file of leases; a line is written before a sandbox exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entry: Entry) -> None:
        line = vars(entry) | {"owner": vars(entry.owner), "time": datetime.now(UTC).isoformat()}
        try:
            append_line(self.path, line)
        except OSError as error:
            raise RecordFault(f"cannot write the ledger {self.path}: {error}") from error

    @property
    def closed(self) -> bool:
        """Was every lease in it found released, and nothing written since?"""
        try:
            return self._mark.read_text() == str(self.path.stat().st_size)
        except OSError:
            return False

    def left(self) -> list[Entry]:
        """What is open; that nothing is is remembered until another line is written."""
        with suppress(OSError):
            size = self.path.stat().st_size
            if found := list(self.open()):
                return found
            self._mark.write_text(str(size))
        return []

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for others who reap by it: the workers of a run all start at once."""
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def _mark(self) -> Path:
        return self.path.with_suffix(".closed")

    def entries(self) -> dict[str, Entry]:
        """The last state of each lease; a line cut short by a crash is passed over."""
        found = ((str(line.get("lease")), _entry(line)) for line in self._last().values())
        return {lease: entry for lease, entry in found if entry}

    def open(self) -> Iterator[Entry]:
        """Those that are not released: at a night's end few, and so the others are not looked at
        more closely."""
        for line in self._last().values():
            if line.get("state") != RELEASED and (entry := _entry(line)):
                yield entry

    def _last(self) -> dict[object, dict[str, object]]:
        return {lease: line for line in read_lines(self.path) if (lease := line.get("lease"))}


def _entry(line: dict[str, object]) -> Entry | None:
    try:
        return Entry(**line | {"owner": Owner(**line["owner"])})  # type: ignore[arg-type]
    except (KeyError, TypeError):
        return None


def append_line(path: Path, *lines: Mapping[str, object], careful: bool = True) -> None:
    """Add JSON lines in a single write, so that many processes may share the file; carefully,
    where a line that cannot be read would be a loss."""
    with opened(path) as fd:
        add_lines(fd, *lines, careful=careful)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A file to which lines are added."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def add_lines(fd: int, *lines: Mapping[str, object], careful: bool = True) -> None:
    data = scrub()(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    if careful:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        if (size := os.fstat(fd).st_size) and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data  # the last line was cut short by a full disk or a crash
    if os.write(fd, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """The JSON objects of a file, a line each; what does not parse is passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


@dataclass(frozen=True)
class Lease:
    """The right to one sandbox."""

    id: str
    spec: SandboxSpec
    sandbox: Sandbox


class Pool:
    """Leases sandboxes of one provider and writes down every step in the ledger first."""

    def __init__(self, provider: Provider, ledger: Ledger, hidden: tuple[Path, ...] = ()) -> None:
        self.provider = provider
        self.hidden = hidden
        self.isolation = provider.isolation
        self._ledger = ledger
        self._unreleased: dict[str, str] = {}  # by lease, what it was for
        self._gave = False  # a sandbox: so it was there

    def lease(self, spec: SandboxSpec, id: str = "") -> Lease:
        id = id or new_lease_id()
        spec = replace(spec, hidden=self.hidden + spec.hidden)
        self._note(id, LEASING, spec)
        sandbox = self.provider.create(id, spec)
        self._gave = True
        self._note(id, LEASED, spec)
        return Lease(id, spec, sandbox)

    def regain(self, seconds: float) -> None:
        """Wait for a provider that gave sandboxes and gives no answer now: it may be on its way."""
        deadline = time.monotonic() + seconds
        while self._gave and time.monotonic() < deadline:
            try:
                self.provider.leases()
                return
            except Exception:
                time.sleep(0.5)

    def release(self, id: str, label: str = "") -> None:
        """Destroy a sandbox; a failure is written down, and tried again by `close` and by reap."""
        try:
            self.provider.destroy(id)
        except Exception as error:
            self._unreleased[id] = label
            self._note(id, FAULT, message=f"{type(error).__name__}: {error}", label=label)
            raise ProviderFault(f"sandbox {id} could not be released: {error}") from error
        self._unreleased.pop(id, None)
        self._note(id, RELEASED, label=label)

    def close(self) -> None:
        """Try again what could not be released: the provider may have come back by now."""
        for id, label in dict(self._unreleased).items():
            with suppress(ProviderFault):
                self.release(id, label)

    def keep(self, id: str, label: str = "") -> None:
        self._note(id, KEPT, label=label)

    def _note(
        self,
        id: str,
        state: str,
        spec: SandboxSpec | None = None,
        message: str = "",
        label: str = "",
    ) -> None:
        label = spec.labels.get("attempt", "") if spec else label
        entry = Entry(id, self.provider.name, state, Owner.of(os.getpid()), label, message)
        self._ledger.write(entry)


def new_lease_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True)
class Reaped:
    """One sandbox that was to be released: what came of it."""

    line: str
    done: bool


def reap(
    ledgers: list[Ledger],
    provider: Callable[[str], Provider],
    *,
    kept: bool = False,
    only: str = "",
    dead: bool = False,
) -> list[Reaped]:
    """Release what dead processes of this host left, and what could not be released before;
    `dead` leaves the latter out, while its owner lives. What is on another host is left to it."""
    said: list[Reaped] = []
    for ledger in ledgers:
        with ledger.alone():
            wanted = [
                entry
                for entry in ledger.left()
                if (entry.lease == only if only else entry.state != KEPT or kept)
                and entry.reapable
                and (entry.owner.dead or not dead)
                and in_reach(entry, provider)
            ]
            if wanted:
                said += _reap_all(ledger, wanted, provider)
                ledger.left()
    return said


def in_reach(entry: Entry, provider: Callable[[str], Provider]) -> bool:
    """Can its sandbox be released from here? Of another host only where any host can, as its
    provider says by `anywhere`: elsewhere a sandbox that is not found is no error, and the ledger
    would say `released` of one that is still there."""
    if entry.owner.here:
        return True
    try:
        return bool(getattr(provider(entry.provider), "anywhere", False))
    except (Fault, LookupError):
        return False


def ledgers(runs: Path) -> list[Ledger]:
    """The ledgers of all runs, but those known to be closed: reaping must not read old nights."""
    found = [Ledger(path) for path in sorted(runs.glob("*/ledger.jsonl"))]
    return [ledger for ledger in found if not ledger.closed]


def _reap_all(
    ledger: Ledger, entries: list[Entry], provider: Callable[[str], Provider]
) -> list[Reaped]:
    """Side by side: a killed run may have left a thousand, and a cloud takes half a minute each."""
    if len(entries) < 2:
        return [_reap_one(ledger, entry, provider) for entry in entries]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(entries), REAPERS)) as pool:
        return list(pool.map(lambda entry: _reap_one(ledger, entry, provider), entries))


def _reap_one(ledger: Ledger, entry: Entry, provider: Callable[[str], Provider]) -> Reaped:
    name = f"{entry.provider} sandbox {entry.lease}"
    try:
        provider(entry.provider).destroy(entry.lease)
        ledger.write(replace(entry, state=RELEASED, message="reaped"))
    except (Fault, LookupError, OSError) as error:
        return Reaped(f"{name} could not be released: {error}", done=False)
    return Reaped(f"{name} of {entry.label or 'an unknown attempt'}: released", done=True)
