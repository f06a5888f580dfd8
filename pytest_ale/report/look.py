"""Look: what a run is at, from the files in its directory alone, whoever runs it and wherever.

Knows neither pytest nor terminals. It is meant to be asked every second beside a thousand attempts:
what was read once is not read again, and of those at work it reads what is to be shown.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.leases import Owner
from pytest_ale.now import FILE, LIVE, Now
from pytest_ale.report.estimate import Estimate

__all__ = ["Look", "News", "Running", "Snapshot"]

OTHERS = 50  # attempts that are not shown, of which each look reads what they used
OWNERS_SECONDS = 5.0  # between two looks at who is still alive
NEWS = 10_000
FAULTS = ("fault", "cancelled")

NOTHING = Now()

Line = Mapping[str, object]


@dataclass(frozen=True)
class Running:
    """One attempt at work. Its path is `CLUSTER/TASK/VARIANT/AGENT/trial-1/attempt-1`."""

    path: str
    phase: str
    since: float  # seconds since 1970, as `began`
    began: float
    owner: Owner | None = None
    now: Now = NOTHING

    @property
    def place(self) -> str:
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class News:
    """That an attempt came to its agent, or ended."""

    path: str
    time: float
    ended: Line | None = None  # its record


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    time: float
    planned: int | None = None  # instances in all; None where nobody said
    scored: int = 0
    passed: int = 0
    mean: float | None = None
    skipped: int = 0  # not runnable here
    faulted: int = 0  # without a score after infrastructure faults, and not at work
    retried: int = 0  # attempts that a fault ended and another followed
    tokens: int | None = None
    usd: float | None = None
    at_work: int = 0
    running: tuple[Running, ...] = ()  # those longest at work
    left: float | None = None  # seconds; None where there is no ground for a guess
    began: float | None = None  # of the session
    ended: bool = False
    owner: Owner | None = None  # of the session
    argv: tuple[str, ...] = ()  # pytest's, of the session

    @property
    def done(self) -> int:
        return self.scored + self.skipped

    @property
    def waiting(self) -> int | None:
        """Instances that nobody has begun."""
        if self.planned is None:
            return None
        return max(self.planned - self.done - self.faulted - self.at_work, 0)


class Totals:
    """What has ended, by instance: its last attempt counts."""

    def __init__(self) -> None:
        self.last: dict[tuple[object, ...], Line] = {}
        self.attempts = 0
        self.tokens: float | None = None
        self.usd: float | None = None
        self._counted: Snapshot | None = None

    def add(self, record: Line) -> None:
        self.attempts += 1
        self._counted = None
        kept = ("path", "outcome", "score", "passed", "started")
        key = tuple(record.get(name) for name in ("task", "variant", "agent", "trial"))
        self.last[key] = {name: record.get(name) for name in kept}
        for count in ("tokens_in", "tokens_out"):
            self.tokens = plus(self.tokens, number(record.get(count)))
        self.usd = plus(self.usd, number(record.get("cost_usd")))

    @property
    def counted(self) -> Snapshot:
        """Counted anew when something has ended, not each second."""
        if self._counted is None:
            last = list(self.last.values())
            scores = [score for each in last if (score := number(each["score"])) is not None]
            self._counted = Snapshot(
                time=0,
                scored=len(scores),
                passed=sum(bool(each["passed"]) for each in last),
                mean=sum(scores) / len(scores) if scores else None,
                skipped=sum(each["outcome"] == "unrunnable" for each in last),
            )
        return self._counted

    @property
    def faults(self) -> list[Line]:
        return [each for each in self.last.values() if each["outcome"] in FAULTS]


class Look:
    """Asked again and again; what is news since the last time lies in `news`."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.time) -> None:
        self.run = run
        self.news: deque[News] = deque(maxlen=NEWS)
        self._clock = clock
        self._live, self._results = Tail(run / LIVE), Tail(run / "results.jsonl")
        self._running: dict[str, Running] = {}  # by place: a new attempt follows the last
        self._recorded: set[str] = set()  # paths
        self._totals = Totals()
        self._estimate = Estimate()
        self._session: Line = {}
        self._turn = 0
        self._looked = 0.0

    def refresh(self, most: int = 1000) -> Snapshot:
        """Read what is new; `most` are those at work to be told of one by one."""
        for line in self._results.lines():
            self._ended(line)
        for line in self._live.lines():
            self._session_line(line) if "session" in line else self._moved(line)
        self._drop_the_dead()
        shown = heapq.nsmallest(most, self._running.values(), key=lambda each: each.began)
        for each in (*shown, *self._others()):
            self._read_now(each.place)
        return self._snapshot(tuple(self._running[each.place] for each in shown))

    # Lines.

    def _session_line(self, line: Line) -> None:
        if line["session"] == "begins":
            self._session = dict(line)
        else:
            self._session = {**self._session, "ended": True}

    def _moved(self, line: Line) -> None:
        path, phase, when = line.get("path"), line.get("phase"), number(line.get("time"))
        if not (isinstance(path, str) and isinstance(phase, str) and when is not None):
            return
        place = path.rpartition("/")[0]
        before = self._running.get(place)
        if not phase:
            self._over(before, path, when)
        elif phase == "build" or before is None or before.path != path:
            self._running[place] = Running(path, phase, when, when, owner(line))
        else:
            self._running[place] = replace(before, phase=phase, since=when)
        if phase == "run" and path not in self._recorded:
            self.news.append(News(path, when))

    def _over(self, before: Running | None, path: str, when: float) -> None:
        if before is not None and before.path == path:
            del self._running[before.place]
            self._estimate.ended(when - before.began)

    def _ended(self, line: Line) -> None:
        if isinstance(path := line.get("path"), str) and isinstance(line.get("outcome"), str):
            self._totals.add(line)
            self._recorded.add(path)
            self.news.append(News(path, self._clock(), line))

    # Those at work.

    def _others(self) -> list[Running]:
        """A few of all, in turn: what they use belongs to the sum."""
        if not (waiting := list(self._running.values())):
            return []
        self._turn %= len(waiting)
        some = waiting[self._turn : self._turn + OTHERS]
        self._turn += OTHERS
        return some

    def _read_now(self, place: str) -> None:
        each = self._running[place]
        try:
            told = json.loads((self.run / each.path / FILE).read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(told, dict):
            calls, tokens = number(told.get("calls")), number(told.get("tokens"))
            now = Now(
                int(calls or 0),
                None if tokens is None else int(tokens),
                number(told.get("usd")),
                str(told.get("action") or ""),
            )
            self._running[place] = replace(each, now=now)

    def _drop_the_dead(self) -> None:
        """What a process was at that is gone, nobody is at any more."""
        if time.monotonic() - self._looked < OWNERS_SECONDS:
            return
        self._looked = time.monotonic()
        owners = {each.owner for each in self._running.values() if each.owner}
        dead = {owner for owner in owners if owner.dead}
        for place in [p for p, each in self._running.items() if each.owner in dead]:
            del self._running[place]

    # The sum.

    def _snapshot(self, shown: tuple[Running, ...]) -> Snapshot:
        told, now = self._session, self._clock()
        items, done = number(told.get("items")), number(told.get("done"))
        snapshot = replace(
            self._totals.counted,
            time=now,
            planned=int((items or 0) + (done or 0)) or None,
            at_work=len(self._running),
            running=shown,
            began=number(told.get("time")),
            ended=bool(told.get("ended")),
            owner=owner(told),
            argv=words(told.get("argv")),
        )
        snapshot = self._with_faults(self._with_use(snapshot))
        ages = [now - each.began for each in self._running.values()]
        if snapshot.ended or not (ages or snapshot.waiting):
            return snapshot
        slots = int(number(told.get("slots")) or 1)
        return replace(snapshot, left=self._estimate.left(snapshot.waiting, ages, slots))

    def _with_faults(self, snapshot: Snapshot) -> Snapshot:
        """Those of an earlier session are still to be tried again by this one."""
        faults = self._totals.faults
        busy = sum(str(each["path"]).rpartition("/")[0] in self._running for each in faults)
        before = sum(str(each["started"]) < stamp(snapshot.began) for each in faults)
        followed = self._totals.attempts - len(self._totals.last) + busy
        left = max(len(faults) - busy - before, 0)
        return replace(snapshot, faulted=left, retried=followed)

    def _with_use(self, snapshot: Snapshot) -> Snapshot:
        tokens, usd = self._totals.tokens, self._totals.usd
        for each in self._running.values():
            if each.path not in self._recorded:
                tokens, usd = plus(tokens, each.now.tokens), plus(usd, each.now.usd)
        return replace(snapshot, tokens=None if tokens is None else int(tokens), usd=usd)


class Tail:
    """The whole lines that were added to a file since the last time."""

    CHUNK = 1 << 20

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def lines(self) -> Iterator[dict[str, object]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                yield from self._read(file.read)
        except OSError:
            return

    def _read(self, read: Callable[[int], bytes]) -> Iterator[dict[str, object]]:
        rest = b""
        while chunk := read(self.CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self._at += len(line) + 1
                if (told := parsed(line)) is not None:
                    yield told


def parsed(line: bytes) -> dict[str, object] | None:
    """None for what a crash or a full disk left of a line."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def plus(sum: float | None, more: float | None) -> float | None:
    return sum if more is None else (sum or 0) + more


def stamp(moment: float | None) -> str:
    """As records have it; "" comes before all."""
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()


def words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def owner(line: Line) -> Owner | None:
    told = line.get("owner")
    try:
        return Owner(**told) if isinstance(told, dict) else None
    except TypeError:
        return None
