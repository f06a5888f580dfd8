"""The summary of a run as plain text, at most 80 columns wide.

Reads a tally's rows; writes nothing itself.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from pytest_ale.record import RunDir
from pytest_ale.report.tally import Line, Row, line, lines, trials, unscored
from pytest_ale.taxonomy import CLUSTERS, TIERS

__all__ = ["kept_and_left", "summary", "verdict"]

HEAD = (
    f"{'':20}{'inst':>6}{'scored':>8}{'mean':>7}{'passed':>13}{'faults':>8}{'time':>9}{'cost':>9}"
)


def summary(rows: list[Row]) -> list[str]:
    """A table for each agent: all, then by tier and by cluster."""
    text: list[str] = []
    for agent in dict.fromkeys(row.agent for row in rows):
        mine = [row for row in rows if row.agent == agent]
        text += ["", *_table(agent, mine)] if text else _table(agent, mine)
    return text


def verdict(rows: list[Row], least: float | None, unscored_status: int) -> list[str]:
    """Why the exit status is not simply pytest's own."""
    text = []
    faults = [row for row in unscored(rows) if row.outcome == "fault"]
    if faults:
        text.append(
            f"exit status {unscored_status}: {len(faults)} without a score after infrastructure"
            " faults"
        )
    if unscored(rows):
        text.append("  --ale-resume=last runs just those")
    if least is not None:
        mean = line(rows).mean
        against = "none" if mean is None else f"{mean:.3f}"
        text.append(f"mean score {against}, --ale-min-score={least:g}")
    return text


def kept_and_left(run_dir: RunDir) -> list[str]:
    """Sandboxes that are still there: kept on purpose, or by a fault of their release."""
    text = []
    runs = run_dir.path.parent
    where = "" if runs == Path.cwd() / ".ale" else f" --dir={shlex.quote(str(runs))}"
    ledger = run_dir.ledger
    for entry in () if ledger.closed else ledger.open():
        if entry.state == "kept":
            text += [
                f"kept {entry.lease} ({entry.label})",
                f"  enter it by `ale shell {entry.lease}{where}`",
                f"  remove it by `ale reap {entry.lease}{where}`",
            ]
        elif entry.state == "fault":
            text.append(f"not released {entry.lease}: {entry.message}; try `ale reap{where}`")
    return text


def _table(agent: str, rows: list[Row]) -> list[str]:
    text = [f"{agent[:80]}", HEAD, _line("all", line(rows))]
    for by, order in (("tier", TIERS), ("cluster", tuple(CLUSTERS))):
        text += [_line(f"  {name}", group) for name, group in lines(rows, by, order).items()]
    return text + _footer(rows)


def _footer(rows: list[Row]) -> list[str]:
    text = []
    whole = line(rows)
    if several := trials(rows):
        text.append(
            f"  {several.k} trials: pass@1 {several.pass_at_1:.3f}, pass@{several.k}"
            f" {several.pass_at_k:.3f}, mean {several.mean:.3f}"
            f" [{several.low:.3f}, {several.high:.3f}] (95 %)"
        )
    if left := whole.instances - whole.scored:
        text.append(
            f"  {left} without a score: {whole.faults} infrastructure faults,"
            + (f" {whole.cancelled} cancelled," if whole.cancelled else "")
            + f" {whole.skipped} not runnable here"
        )
    marked = {row.outcome for row in rows} - {"scored", "fault", "cancelled", "unrunnable"}
    for outcome in sorted(marked):
        text.append(f"  {sum(row.outcome == outcome for row in rows)} ended with {outcome}")
    if waits := [row.waited for row in rows if row.waited >= 0.5]:
        time = _duration(sum(waits))
        text.append(f"  {len(waits)} waited for rate limits: {time} of the time, against no limit")
    return text


def _line(name: str, group: Line) -> str:
    mean = "-" if group.mean is None else f"{group.mean:.3f}"
    passed = f"{group.passes} ({group.pass_rate:.0%})"
    cost = "-" if group.cost_usd is None else f"${group.cost_usd:.2f}"
    return (
        f"{name:20}{group.instances:>6}{group.scored:>8}{mean:>7}{passed:>13}{group.faults:>8}"
        f"{_duration(group.seconds):>9}{cost:>9}"
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes >= 60 else f"{minutes}m{rest:02}s"
