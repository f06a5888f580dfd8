"""Remains: what an attempt left whose process died, and the record that it could not write itself.

Knows nothing of how it died, or of what becomes of its item.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from pytest_ale.leases import read_lines
from pytest_ale.now import FILE, enters
from pytest_ale.record import Record, RunDir, read_lines_of
from pytest_ale.text import clean

if TYPE_CHECKING:
    from pytest_ale.plan import Plan

__all__ = ["record_remains"]

# What a story goes through, in order: it died in the first that it has not noted as over.
STORY = ("build", "lease", "stage", "run", "stop", "collect", "grade", "record")


def record_remains(run: RunDir, plan: Plan, provider: str, why: str) -> Record | None:
    """Record the last attempt at what was planned as a fault; None if none was left without one."""
    number = run.next_attempt(plan.place) - 1
    path = f"{plan.place}/attempt-{number}"
    folder = run.path / path
    if number < 1 or (folder / "attempt.json").exists():
        return None
    events = list(read_lines(folder / "events.jsonl"))
    phases = {str(line["phase"]): _seconds(line) for line in events if "phase" in line}
    blank = plan.record(provider, _isolation(folder), number, path)
    record = replace(
        blank,
        outcome="fault",
        message=clean(why, 5000),
        phase=next((name for name in STORY if name not in phases), "release"),
        phases=phases,
        seconds=phases.get("run", 0.0),
        started=_began(events) or blank.started,
        lease=_lease(run, path),
        **_spent(folder),
    )
    run.save(record, None)
    enters(run.path, path, "")  # for those who look on: it is over
    (folder / FILE).unlink(missing_ok=True)
    return record


class _Spent(TypedDict):
    cost_usd: float | None
    requests: int | None


def _spent(folder: Path) -> _Spent:
    """What it was seen to use, a few seconds before it died: a resume must count that too."""
    known = _json(folder / FILE)
    usd, calls = known.get("usd"), known.get("calls")
    return {
        "cost_usd": float(usd) if isinstance(usd, int | float) else None,
        "requests": calls if isinstance(calls, int) and calls else None,
    }


def _seconds(line: dict[str, object]) -> float:
    seconds = line.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _began(events: list[dict[str, object]]) -> str:
    """When its first phase did; "" if it did not live to note that."""
    try:
        ended = datetime.fromisoformat(str(events[0]["time"]))
    except (IndexError, KeyError, ValueError):
        return ""
    return (ended - timedelta(seconds=_seconds(events[0]))).isoformat()


def _isolation(folder: Path) -> str:
    return str(_json(folder / "sandbox.json").get("isolation", ""))


def _json(path: Path) -> dict[str, object]:
    return next(iter(read_lines_of(path)), {})


def _lease(run: RunDir, path: str) -> str:
    """The one that was written for it first; others are its verifiers'."""
    entries = run.ledger.entries().values()
    return next((entry.lease for entry in entries if entry.label == path), "")
