"""Regrade: sealed outputs graded again with today's graders; a new grade beside the old.

Needs the run directory and the tasks' folders, no agent and no sandbox but a grader's verifier.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.card import CardError
from pytest_ale.grade import Grade
from pytest_ale.grading import Grader
from pytest_ale.index import CardIndex
from pytest_ale.journal import sums
from pytest_ale.leases import Pool, new_lease_id
from pytest_ale.record import Record, RunDir, write_atomically
from pytest_ale.sandbox import Fault, GraderFault, Sandbox
from pytest_ale.task import Instance, Task
from pytest_ale.trees import remove

__all__ = ["Regrade", "Regraded"]


@dataclass(frozen=True)
class Regraded:
    """An attempt and what today's grader says of it; `fault` where it says nothing."""

    record: Record
    grade: Grade | None
    file: str = ""
    fault: str = ""


class Regrade:
    """Grades the attempts of a run again; `tasks` maps a recorded folder to where it is today."""

    def __init__(
        self, run_dir: RunDir, pool: Pool, grader: Grader, tasks: Callable[[Record], Path]
    ) -> None:
        self._run_dir = run_dir
        self._pool = pool
        self._grader = grader
        self._tasks = tasks

    def all(self) -> Iterator[Regraded]:
        """Every attempt that left a sealed output, scored or not, as it was recorded."""
        for record in self._run_dir.records():
            if (
                record.agent != "controls"
                and (self._run_dir.path / record.path / "output").is_dir()
            ):
                yield self._one(record)

    def _one(self, record: Record) -> Regraded:
        try:
            _unchanged(record, self._run_dir.path / record.path / "output")
            grade = self._grade(record)
        except (Fault, CardError) as fault:
            return Regraded(record, None, fault=str(fault))
        return Regraded(record, grade, self._keep(record, grade))

    def _grade(self, record: Record) -> Grade:
        folder = self._tasks(record)
        entry = CardIndex(None).entry(str(folder / "card.yaml"))
        if record.variant not in entry.variants:
            raise GraderFault(f"{folder / 'card.yaml'} has no variant {record.variant!r} any more")
        return self._evaluate(Instance(Task(folder, entry), record.variant, record.seed), record)

    def _evaluate(self, instance: Instance, record: Record) -> Grade:
        leases: list[str] = []

        def verifier() -> Sandbox:
            leases.append(new_lease_id())
            return self._pool.lease(instance.spec((), {"attempt": record.path}), leases[-1]).sandbox

        workspace = Path(tempfile.mkdtemp(prefix="ale-built-"))
        try:
            built = self._grader.build(instance, workspace)
            output = self._run_dir.path / record.path / "output"
            return self._grader.evaluate(instance, built, output, verifier)
        finally:
            remove(workspace)
            for lease in leases:
                self._pool.release(lease, record.path)

    def _keep(self, record: Record, grade: Grade) -> str:
        """Write `grade-N.json` with the next free N: never over an earlier grade."""
        folder = self._run_dir.path / record.path
        number = 2
        while (folder / f"grade-{number}.json").exists():
            number += 1
        passed = grade.score >= record.pass_at
        said = {"regraded": datetime.now(UTC).isoformat(), "passed": passed, "was": record.score}
        write_atomically(folder / f"grade-{number}.json", asdict(grade) | said)
        return f"grade-{number}.json"


def _unchanged(record: Record, output: Path) -> None:
    """A sealed output that is not what was sealed cannot be graded."""
    if sums(output) != record.output:
        raise GraderFault(f"{output} is not what was sealed: files were changed, added or removed")
