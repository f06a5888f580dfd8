"""Tally: what a run came to, instance by instance, and the numbers a reader decides by.

Reads records and reported properties; knows neither sandboxes nor terminals.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_ale.record import Record

__all__ = ["Line", "Row", "Trials", "all_rows", "interval", "line", "lines", "trials", "unscored"]


@dataclass(frozen=True)
class Row:
    """One trial of one instance by one agent."""

    task: str
    variant: str
    agent: str
    trial: int
    tier: str
    cluster: str
    outcome: str
    score: float | None = None
    passed: bool = False
    seconds: float = 0.0
    cost_usd: float | None = None
    waited: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.task, self.variant, self.agent, self.trial)


def row_of(record: Record) -> Row:
    return Row(
        record.task,
        record.variant,
        record.agent,
        record.trial,
        record.tier,
        record.cluster,
        record.outcome,
        record.score,
        bool(record.passed),
        record.seconds,
        record.cost_usd,
        record.waited,
    )


def row_from(properties: Iterable[tuple[str, object]]) -> Row | None:
    """A row from a report's user properties; None for a test that is no task."""
    given = {
        name.removeprefix("ale."): value for name, value in properties if name.startswith("ale.")
    }
    try:
        return Row(**{name: given[name] for name in Row.__dataclass_fields__ if name in given})  # type: ignore[arg-type]
    except TypeError:
        return None


def all_rows(
    records: Iterable[Record], reported: Iterable[Iterable[tuple[str, object]]]
) -> list[Row]:
    """Every row of a run: those on disk, and over them what this session reported."""
    known = {record.key: row_of(record) for record in records}
    for properties in reported:
        if row := row_from(properties):
            known[row.key] = row
    return list(known.values())


@dataclass(frozen=True)
class Line:
    """Numbers of one group: a tier, a cluster, or all."""

    instances: int  # trials counted apart
    scored: int
    mean: float | None
    passes: int
    faults: int
    cancelled: int
    skipped: int
    seconds: float
    cost_usd: float | None

    @property
    def pass_rate(self) -> float:
        """Over all, scored or not: what could not be scored is no success."""
        return self.passes / self.instances if self.instances else 0.0


def line(rows: list[Row]) -> Line:
    scores = [row.score for row in rows if row.score is not None]
    costs = [row.cost_usd for row in rows if row.cost_usd is not None]
    return Line(
        instances=len(rows),
        scored=len(scores),
        mean=statistics.fmean(scores) if scores else None,
        passes=sum(row.passed for row in rows),
        faults=sum(row.outcome == "fault" for row in rows),
        cancelled=sum(row.outcome == "cancelled" for row in rows),
        skipped=sum(row.outcome == "unrunnable" for row in rows),
        seconds=math.fsum(row.seconds for row in rows),
        cost_usd=math.fsum(costs) if costs else None,
    )


def lines(rows: list[Row], by: str, order: Iterable[str]) -> dict[str, Line]:
    """A line for each group that has rows, in a given order."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[str(getattr(row, by))].append(row)
    return {name: line(groups[name]) for name in order if name in groups}


def unscored(rows: Iterable[Row]) -> list[Row]:
    """What has no score, and would have one if nothing had come between."""
    return [row for row in rows if row.outcome in ("fault", "cancelled")]


@dataclass(frozen=True)
class Trials:
    """What repeated trials say: instances are the unit, their trials are averaged first."""

    k: int
    pass_at_1: float
    pass_at_k: float
    mean: float
    low: float
    high: float


def trials(rows: list[Row]) -> Trials | None:
    """pass@1, pass@k (any of k passes; unbiased for k trials each), and the mean's interval."""
    instances: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        instances[row.task, row.variant].append(row)
    k = max((len(group) for group in instances.values()), default=0)
    groups = list(instances.values())
    means = [statistics.fmean(scores) for group in groups if (scores := _scores(group))]
    if k < 2 or not means:
        return None
    firsts = [statistics.fmean(row.passed for row in group) for group in groups]
    low, high = interval(means)
    any_passed = [any(row.passed for row in group) for group in groups]
    return Trials(
        k,
        statistics.fmean(firsts),
        statistics.fmean(any_passed),
        statistics.fmean(means),
        low,
        high,
    )


def _scores(group: Iterable[Row]) -> list[float]:
    return [row.score for row in group if row.score is not None]


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean of independent values; the whole range for a single one."""
    if len(values) < 2:
        return 0.0, 1.0
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = student((1 + level) / 2, len(values) - 1) * error
    return max(mean - reach, 0.0), min(mean + reach, 1.0)


def student(p: float, freedom: int) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees, else Cornish-Fisher (within 1 %)."""
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z, v = statistics.NormalDist().inv_cdf(p), freedom
    terms = (
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4),
    )
    return z + sum(terms)
