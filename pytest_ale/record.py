"""Record: what is kept of an attempt, on disk and as user properties. Append-only.

Knows neither terminal nor xdist.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pytest_ale.grade import CheckResult, Grade
from pytest_ale.leases import Ledger, add_lines, opened, read_lines
from pytest_ale.sandbox import RecordFault
from pytest_ale.secrets import scrub
from pytest_ale.settings import Settings
from pytest_ale.text import clean, one_line

__all__ = ["Outcome", "Record", "RunDir", "latest_run", "read_lines_of", "write_atomically"]

Outcome = Literal[
    "scored", "timeout", "budget", "crashed", "refused", "unrunnable", "fault", "cancelled"
]


@dataclass(frozen=True)
class Record:
    """One attempt at an instance, as `attempt.json` keeps it."""

    identity: str
    task: str
    variant: str
    agent: str
    trial: int
    attempt: int
    outcome: Outcome
    tier: str
    cluster: str
    subfield: str
    pass_at: float
    digest: str  # of the task's folder
    seed: int
    provider: str
    folder: str  # of the task, for regrade
    path: str = ""  # of the attempt, below the run directory
    agent_version: str = ""
    model: str = ""
    knobs: dict[str, str] = field(default_factory=dict)
    harness: str = ""
    score: float | None = None
    passed: bool | None = None
    checks: tuple[CheckResult, ...] = ()
    messages: tuple[str, ...] = ()
    message: str = ""  # how the agent ended, or what failed
    phase: str = ""  # in which an infrastructure fault happened
    started: str = ""
    seconds: float = 0.0  # from the agent's launch to its end
    working: float | None = None  # of these, what it did not have to wait
    phases: dict[str, float] = field(default_factory=dict)
    cost_usd: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None  # of those that went in
    cost_source: str = ""  # who says what it cost: a price list, or the agent's program
    requests: int | None = None  # to the model
    models: list[str] = field(default_factory=list)  # that answered
    first_request: float | None = None  # seconds from when a sandbox was asked for
    waited: float = 0.0  # seconds, for the model server's rate limits
    queued: float = 0.0  # seconds, for its turn, and for a provider that said: not now
    output: dict[str, str] = field(default_factory=dict)  # file -> sha256
    refused: tuple[str, ...] = ()  # what was not taken out of the sandbox
    isolation: str = ""
    lease: str = ""
    kept: bool = False
    conditions: dict[str, str] = field(default_factory=dict)  # that its identity is made of

    def plain(self) -> dict[str, object]:
        """As JSON has it; dataclasses.asdict would copy all that is in it, which takes 1 ms."""
        return vars(self) | {"checks": [vars(check) for check in self.checks]}

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.task, self.variant, self.agent, self.trial)

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        return tuple(check for check in self.checks if not check.passed)

    @property
    def grade(self) -> Grade:
        assert self.score is not None
        return Grade(self.score, self.checks, self.messages)

    def properties(self, run_dir: Path) -> list[tuple[str, object]]:
        """Flat, small and plain: what JUnit and the controller get."""
        named = {
            "score": self.score,
            "outcome": self.outcome,
            "passed": self.passed,
            "task": self.task,
            "variant": self.variant,
            "agent": self.agent,
            "model": self.model or ",".join(self.models) or None,
            "tier": self.tier,
            "cluster": self.cluster,
            "trial": self.trial,
            "attempts": self.attempt,
            "seconds": round(self.seconds, 3),
            "working": self.working if self.waited else None,
            "waited": self.waited or None,
            "cost_usd": self.cost_usd,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "run_dir": clean(run_dir / self.path),
            "digest": self.digest,
        }
        flat: list[tuple[str, object]] = [
            (f"ale.{name}", value) for name, value in named.items() if value is not None
        ]
        return flat + [(f"ale.check.{one_line(c.name, 80)}", c.state) for c in self.checks]


def from_json(line: dict[str, object]) -> Record | None:
    """A record as it was written; None for a line of another kind or version."""
    try:
        checks = tuple(CheckResult(**check) for check in line["checks"])  # type: ignore[attr-defined]
        lists: dict[str, object] = {name: tuple(line[name]) for name in ("messages", "refused")}  # type: ignore[arg-type]
        return Record(**line | lists | {"checks": checks})  # type: ignore[arg-type]
    except (KeyError, TypeError):
        return None


def latest_run(runs: Path) -> Path | None:
    """The run directory made last that has an attempt in it; ids begin with their time."""
    found = sorted(path.parent for path in runs.glob("*/run.json"))
    return next((run for run in reversed(found) if any(run.glob("*/"))), None)


# Below --ale-dir, too, where pytest may look: an agent must not leave tests that then run here.
NOTHING_TO_COLLECT = 'collect_ignore_glob = ["*"]\n'


class RunDir:
    """`.ale/<run id>/`, made when the first attempt needs it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.path / "ledger.jsonl")

    def ensure(self, settings: Settings) -> None:
        """Make the directory and its run.json; many workers may do so at once."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "run.json").exists():
                (self.path / ".gitignore").write_text("*\n")
                (self.path / "conftest.py").write_text(NOTHING_TO_COLLECT)
                write_atomically(self.path / "run.json", self._description(settings))
        except OSError as error:
            raise RecordFault(
                f"run directory {self.path} cannot be written: {error.strerror};"
                " --ale-dir=DIR names another place"
            ) from error

    def _description(self, settings: Settings) -> dict[str, object]:
        return {
            "run": self.path.name,
            "started": datetime.now(UTC).isoformat(),
            "settings": settings.plain(),
            "versions": versions(),
            "revision": git_revision(settings.rootdir),
            "python": sys.version,
            "argv": [clean(argument) for argument in sys.argv],
        }

    def close(self) -> list[Record]:
        """Add to run.json what is only known at the end: when, and the digests of its tasks;
        returns all attempts, which take a while to be read."""
        path, records = self.path / "run.json", self.mend()
        try:
            known = json.loads(path.read_text())
            known["ended"] = datetime.now(UTC).isoformat()
            known["digests"] = dict(sorted({each.task: each.digest for each in records}.items()))
            write_atomically(path, known)
        except (OSError, ValueError):  # a full disk must not end a run that is over
            pass
        return records

    def next_attempt(self, place: str) -> int:
        """Attempts are append-only: the number after the last one in this place."""
        taken = [int(p.name.split("-")[1]) for p in (self.path / place).glob("attempt-*")]
        return max(taken, default=0) + 1

    def save(self, record: Record, grade: Grade | None, *, listed: bool = True) -> None:
        """Write attempt.json by rename, then its line in results.jsonl (controls have none)."""
        folder = self.path / record.path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if grade is not None:
                write_json(folder / "grade.json", asdict(grade))  # whole once attempt.json is there
            told = record.plain()
            with self._listing() if listed else nullcontext() as results:
                write_atomically(folder / "attempt.json", told)
                if results is not None:
                    add_lines(results, told)
        except OSError as error:
            raise RecordFault(
                f"the record {folder / 'attempt.json'} cannot be written: {error.strerror}"
            ) from error

    @contextmanager
    def _listing(self) -> Iterator[int]:
        """An attempt.json and its line are written together, or `mend` would write another."""
        with opened(self.path / "results.jsonl") as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd

    def mend(self) -> list[Record]:
        """Add the lines of attempts whose process died between attempt.json and its line; returns
        all attempts."""
        try:
            with self._listing() as results:
                listed = list(self._listed())
                missing = list(self._others({record.path for record in listed}))
                if missing:
                    add_lines(results, *(record.plain() for record in missing))
                return listed + missing
        except OSError:
            return list(self.records())

    def records(self) -> Iterator[Record]:
        """Every attempt in the order they ended; attempt.json fills in what a crash cut off."""
        seen = set()
        for record in self._listed():
            seen.add(record.path)
            yield record
        yield from self._others(seen)

    def _listed(self) -> Iterator[Record]:
        for line in read_lines(self.path / "results.jsonl"):
            if record := from_json(line):
                yield record

    def _others(self, listed: set[str]) -> Iterator[Record]:
        for place in sorted(_below(os.fspath(self.path), "", 6)):
            if place not in listed:
                for line in read_lines_of(self.path / place / "attempt.json"):
                    if record := from_json(line):
                        yield record

    def latest(self) -> dict[tuple[str, str, str, int], Record]:
        """The last attempt at each instance, by task, variant, agent and trial."""
        return {record.key: record for record in self.records()}


def _below(top: str, place: str, depth: int) -> Iterator[str]:
    """Folders so deep below another, with `/`; a tenth of what Path.glob takes for a thousand."""
    if not depth:
        yield place
        return
    with suppress(OSError), os.scandir(f"{top}/{place}") as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                yield from _below(top, f"{place}/{entry.name}" if place else entry.name, depth - 1)


def read_lines_of(path: Path) -> list[dict[str, object]]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [value] if isinstance(value, dict) else []


def write_atomically(path: Path, value: object) -> None:
    """Write JSON under another name and rename: a reader sees all of it or none."""
    write_text(path, _document(value))


def write_json(path: Path, value: object) -> None:
    """Write it where nobody looks before something else is there."""
    _write(path, _document(value).encode())


def _document(value: object) -> str:
    return scrub().text(indented(value)) + "\n"


def indented(value: object) -> str:
    """JSON to be read by people, too; json.dumps takes 10 times as long for it."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, indent=1).decode()
    except PydanticSerializationError:  # half of a surrogate pair
        return json.dumps(value, indent=1)


def write_text(path: Path, text: str) -> None:
    """Write a text under another name and rename it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(partial, text.encode())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    """As Path.write_bytes, without five system calls more; a thousand attempts have four each."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("pytest-ale", "pytest", "pytest-xdist", "pydantic"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_revision(folder: Path) -> str:
    """The commit, with `+` where the work tree differs; "" outside a repository."""
    import subprocess

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        return f"{commit}{changed}" if (commit := git("rev-parse", "HEAD")) else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""
