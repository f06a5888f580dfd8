"""Changes: what is other now than in the run that is gone on with, said before it is run again.

Knows nothing of pytest. What makes an instance another one is its plan's (`Plan.conditions`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pytest_ale.harness import Agent
from pytest_ale.plan import Plan
from pytest_ale.record import Record
from pytest_ale.text import one_line
from pytest_ale.trees import files

__all__ = ["changes", "overtaken"]

SHOWN = 3  # of a kind, by name
Key = tuple[str, str, str, int]


def overtaken(
    records: Mapping[Key, Record], plans: Iterable[tuple[Key, Plan]]
) -> list[tuple[Record, Plan]]:
    """Of what is to be run, that which has a score already, of before something changed."""
    found = []
    for key, plan in plans:
        record = records.get(key)
        if record and record.score is not None and record.identity != plan.identity:
            found.append((record, plan))
    return found


def changes(
    records: Iterable[Record], again: Sequence[tuple[Record, Plan]], agents: Iterable[Agent]
) -> Iterator[str]:
    """A few lines, for a user who may not know of all that was changed."""
    known = list(records)
    yield from _not_asked_for(known, {agent.label for agent in agents})
    if gone := sorted({r.task for r in known if not (Path(r.folder) / "card.yaml").is_file()}):
        yield f"{_many(len(gone), 'task')} of the run {_are(gone)} gone ({_some(gone)})"
    yield from _tasks(again)
    said = Counter(line for record, plan in again for line in _why(record, plan))
    yield from (line for line, _ in said.most_common(2 * SHOWN))
    if len(said) > 2 * SHOWN:
        yield f"and {len(said) - 2 * SHOWN} more changes"
    if again:
        have = "has" if len(again) == 1 else "have"
        yield f"{_many(len(again), 'instance')} that {have} a score {_are(again)} run again"


def _not_asked_for(known: list[Record], labels: set[str]) -> Iterator[str]:
    if {record.agent for record in known} <= {"controls"}:
        return
    left = sorted({record.agent for record in known} - labels - {"controls"})
    for label in left:
        mine = [record for record in known if record.agent == label]
        lacking = sum(record.score is None for record in mine)
        without = f", {lacking} of them without a score" if lacking else ""
        yield f"agent {label} is not asked for now ({_many(len(mine), 'instance')}{without})"


def _tasks(again: Sequence[tuple[Record, Plan]]) -> Iterator[str]:
    changed = {r.task: r for r, plan in again if r.digest != plan.instance.task.digest}
    if not changed:
        return
    names = [f"{task}{_files(changed[task])}" for task in sorted(changed)[:SHOWN]]
    names += ["…"] * (len(changed) > SHOWN)
    have = "has" if len(changed) == 1 else "have"
    yield f"{_many(len(changed), 'task')} {have} changed since ({'; '.join(names)})"


def _files(record: Record) -> str:
    """Those that were written since its attempt began; its digest does not tell which it was."""
    try:
        then = datetime.fromisoformat(record.started).timestamp()
    except ValueError:
        return ""
    folder = Path(record.folder)
    new = [str(path.relative_to(folder)) for path in files(folder) if _written(path) > then]
    return f": {_some(new)}" if new else ""


def _written(path: Path) -> float:
    stat = os.stat(path)  # noqa: PTH116
    return max(stat.st_mtime, stat.st_ctime)  # one that was copied keeps its old time of writing


def _why(record: Record, plan: Plan) -> Iterator[str]:
    """What else than the task's folder made another identity."""
    if not record.conditions:
        yield "the run was recorded by an older version of pytest-ale"
        return
    is_other_task = record.digest != plan.instance.task.digest
    for name in {**plan.conditions, **record.conditions}:
        was, now = record.conditions.get(name, ""), plan.conditions.get(name, "")
        if was == now or name == "task" or (is_other_task and name in ("timeout", "pass at")):
            continue  # a card has them too
        if name == "agent":
            yield from _agent(record, plan)
        else:
            yield f"{name} was {_value(was)}, is {_value(now)}"


def _agent(record: Record, plan: Plan) -> Iterator[str]:
    who, agent = f"agent {record.agent}", plan.agent
    version = plan.harness.version(agent)
    told = False
    if record.agent_version != version:
        told = True
        yield f"{who}: version was {_value(record.agent_version)}, is {_value(version)}"
    for name in sorted(record.knobs.keys() | agent.knobs.keys()):
        was, now = record.knobs.get(name, ""), agent.knobs.get(name, "")
        if was != now:
            told = True
            yield f"{who}: knob {name} was {_value(was)}, is {_value(now)}"
    if not told:  # such as a file that a knob names
        yield f"{who} is another one by what its knobs name"


def _value(text: str) -> str:
    return one_line(text, 60) or "none"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _are(several: Sequence[object]) -> str:
    return "is" if len(several) == 1 else "are"


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([one_line(name, 80) for name in names[:SHOWN]] + more)
