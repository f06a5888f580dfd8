"""Board: a snapshot as lines of text, each of at most so many cells: totals, then who is at work.

Knows neither files nor terminals: what draws it, and what prints it, cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ale.report.cells import cut, padded, plain, width
from pytest_ale.report.look import News, Running, Snapshot, number

__all__ = ["Board", "Name", "dollars", "lasting", "news", "totals"]

WIDE = 120  # cells from which a line has room for more than is needed
AGENT = ("run", "waits")  # phases in which it matters what the agent did last


@dataclass(frozen=True)
class Name:
    """What an attempt's path says: `CLUSTER/TASK/VARIANT/AGENT/trial-1/attempt-1`; a control's
    attempts lie in its item's."""

    cluster: str
    task: str
    variant: str
    agent: str
    trial: int
    attempt: int

    @classmethod
    def of(cls, path: str) -> Name:
        parts = [plain(part) for part in path.split("/")]
        cluster, task, variant, agent, *rest = (*parts, *[""] * 4)
        inner = [part for part in rest if part and not part.startswith(("trial-", "attempt-"))]
        last = {part.rpartition("-")[0]: part.rpartition("-")[2] for part in rest if part}
        numbers = [last.get(word, "1") for word in ("trial", "attempt")]
        trial, attempt = (int(text) if text.isdecimal() else 1 for text in numbers)
        agent = "/".join([agent, *inner])
        return cls(cluster, task, variant, agent, trial, attempt)

    def shown(self, *, agent: bool) -> str:
        """Much as pytest's id has it, which `-k` takes."""
        return f"{self.task}[{self.variant}{f'-{self.agent}' if agent else ''}]"

    @property
    def number(self) -> str:
        """What is not to be cut off: which trial it is, and that it is not the first attempt."""
        trial = f"-{self.trial}" if self.trial > 1 else ""
        return trial + (f" try {self.attempt}" if self.attempt > 1 else "")

    def fits(self, cells: int, *, agent: bool) -> str:
        return cut(self.shown(agent=agent), cells - len(self.number)) + self.number


class Board:
    """Columns keep their widths from one picture to the next, so that nothing jumps."""

    def __init__(self) -> None:
        self._name = 0
        self._agents: set[str] = set()

    def lines(self, snapshot: Snapshot, cells: int, most: int) -> list[str]:
        """At most so many lines."""
        head = wrapped(totals(snapshot), "ale: ", cells)[:most]
        room = max(most - len(head), 0)
        whole = snapshot.at_work <= min(room, len(snapshot.running))
        shown = snapshot.running[: room if whole else max(room - 1, 0)]
        rows = self._rows(snapshot, shown, cells)
        if more := (snapshot.at_work - len(shown)) * (room > 0):
            rows.append(f"{'':9}… and {more:,} more at work")
        return [cut(line, cells) for line in (*head, *rows)]

    def _rows(self, snapshot: Snapshot, shown: tuple[Running, ...], cells: int) -> list[str]:
        names = [Name.of(each.path) for each in shown]
        self._agents |= {name.agent for name in names}
        several = len(self._agents) > 1 or cells >= WIDE
        widest = max((width(name.fits(cells, agent=several)) for name in names), default=0)
        self._name = min(max(self._name, widest), cells // 3)
        texts = [name.fits(self._name, agent=several) for name in names]
        used = any(each.now.tokens or each.now.usd for each in shown)
        pairs = zip(shown, texts, strict=True)
        return [self._row(snapshot.time, *pair, used=used, cells=cells) for pair in pairs]

    def _row(self, time: float, each: Running, name: str, *, used: bool, cells: int) -> str:
        text = f"{lasting(time - each.began):>7}  {padded(plain(each.phase), 7)} "
        if cells >= WIDE:
            text += f"{lasting(time - each.since):>7}  "
        text += padded(name, self._name)
        if used:
            text += f" {tokens(each.now.tokens):>6}{dollars(each.now.usd):>8}"
            calls = f"{each.now.calls:>5} calls" if each.now.calls else ""
            text += f"{calls:11}" if cells >= WIDE else ""
        action = plain(each.now.action) if each.phase in AGENT else ""
        return f"{text}  {action}".rstrip()


def totals(snapshot: Snapshot) -> list[str]:
    """What there is to say of all, the most important first."""
    of = "" if snapshot.planned is None else f" of {snapshot.planned:,}"
    parts = [f"{snapshot.done:,}{of} done", f"{snapshot.at_work:,} at work"]
    if snapshot.began is not None and not snapshot.ended:
        parts.append(lasting(snapshot.time - snapshot.began))
    if snapshot.left is not None:
        parts.append(f"about {lasting(snapshot.left)} left")
    if snapshot.mean is not None:
        parts += [f"mean {snapshot.mean:.3f}", f"{snapshot.passed:,} passed"]
    if snapshot.tokens:
        parts.append(f"{tokens(snapshot.tokens)} tokens")
    if snapshot.usd is not None:
        parts.append(dollars(snapshot.usd))
    faults = [f"{snapshot.retried:,} tried again"] * bool(snapshot.retried)
    faults += [f"{snapshot.faulted:,} without a score"] * bool(snapshot.faulted)
    return parts + [f"faults: {', '.join(faults)}"] * bool(faults)


def wrapped(parts: list[str], lead: str, cells: int) -> list[str]:
    """Parts side by side, on as many lines as they need."""
    lines = [lead + parts[0]]
    for part in parts[1:]:
        if width(lines[-1]) + 3 + width(part) <= cells:
            lines[-1] += f" · {part}"
        else:
            lines.append(" " * len(lead) + part)
    return lines


def news(told: News) -> str:
    """One attempt's beginning or end, for where nothing can be drawn."""
    name = Name.of(told.path)
    said = f"{name.cluster}/{name.shown(agent=True)}{name.number}"
    if (record := told.ended) is None:
        return f"{said}: the agent is at work"
    seconds = number(record.get("seconds"))
    used = [lasting(seconds)] if seconds else []
    counts = [number(record.get(word)) for word in ("tokens_in", "tokens_out")]
    used += [f"{tokens(sum(c or 0 for c in counts))} tokens"] if any(counts) else []
    used += [dollars(usd)] if (usd := number(record.get("cost_usd"))) is not None else []
    behind = f" ({', '.join(used)})" if used else ""
    return f"{said}: {_outcome(record)}{behind}"


def _outcome(record: object) -> str:
    assert isinstance(record, dict)
    score, outcome = number(record.get("score")), plain(str(record.get("outcome")))
    if score is not None:
        return f"{score:.3f}" + ("" if outcome == "scored" else f", {outcome}")
    where = f" in {plain(str(record['phase']))}" if record.get("phase") else ""
    why = cut(plain(str(record.get("message") or "")), 200)
    return f"{outcome}{where}{f': {why}' if why else ''}"


# Numbers as they are read at a glance.


def lasting(seconds: float) -> str:
    seconds = max(seconds, 0)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02}" if minutes < 6000 else f"{minutes // 60} h"


def tokens(count: float | None) -> str:
    if not count:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            share = count / size
            return f"{share:.0f}{unit}" if share >= 99.95 else f"{share:.1f}{unit}"
    return f"{count:.0f}"


def dollars(usd: float | None) -> str:
    if usd is None:
        return ""
    return f"${usd:,.2f}" if usd < 9999.5 else f"${usd:,.0f}"
