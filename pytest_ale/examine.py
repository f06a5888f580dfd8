"""The test function of every task item, and how it says that an agent did not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ale.text import printable, shorten

if TYPE_CHECKING:
    from pytest_ale.record import Record
    from pytest_ale.runner import Runner

__all__ = ["NotPassed", "check_controls", "examine", "explain"]


class NotPassed(Exception):
    """The attempt has a score, and it is below the bar."""

    def __init__(self, record: Record) -> None:
        super().__init__(explain(record))
        self.record = record


def examine(ale_run: Runner) -> None:
    """Let the agent work and be graded; what was staged is there already."""
    record = ale_run.perform()
    if not record.passed:
        raise NotPassed(record)


def check_controls(ale_controls: Record) -> None:
    """Check the task itself: oracle, nop, near misses, cheats, grading twice."""
    if not ale_controls.passed:
        raise NotPassed(ale_controls)


def explain(record: Record) -> str:
    """Score, ending, and each check that failed with its reason."""
    lines = [f"score {record.score:.3g}, passes at {record.pass_at:g}"]
    if record.outcome != "scored":
        lines.append(f"the agent ended with {record.outcome}: {record.message}")
    for check in record.failed_checks:
        gate = "gate, " if check.gate else ""
        lines.append(f"{check.state}: {check.name} ({gate}weight {check.weight:g})")
        lines += [f"    {line}" for line in shorten(check.message, 4000).splitlines()]
    lines += [f"not taken out: {line}" for line in record.refused[:10]]
    lines += [*record.messages, f"record: {record.path}"]
    return printable("\n".join(lines))
