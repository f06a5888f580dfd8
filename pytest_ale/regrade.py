"""Regrade: sealed outputs graded again with today's graders; a new grade beside the old.

Needs the run directory and the tasks' folders, no agent and no sandbox but a grader's verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale import scratch
from pytest_ale.card import CardError
from pytest_ale.grade import Grade
from pytest_ale.grading import Grader
from pytest_ale.index import CardIndex
from pytest_ale.journal import sums
from pytest_ale.leases import Pool, new_lease_id
from pytest_ale.record import Record, RunDir, write_atomically
from pytest_ale.sandbox import Fault, GraderFault, RecordFault, Sandbox
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
    """Grades the attempts of a run again.

    `pool` gives a provider's sandboxes by its name, `tasks` the folder of a record's task today.
    """

    def __init__(
        self,
        run_dir: RunDir,
        pool: Callable[[str], Pool],
        grader: Grader,
        tasks: Callable[[Record], Path],
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
            instance = self._instance(record)
            grade = self._evaluate(instance, record)
            return Regraded(record, grade, self._keep(record, grade, instance.task.digest))
        except (Fault, CardError) as fault:
            return Regraded(record, None, fault=str(fault))

    def _instance(self, record: Record) -> Instance:
        folder = self._tasks(record)
        if not (folder / "card.yaml").is_file():
            raise GraderFault(f"{folder} is no task today; --tasks=DIR says where the tasks are")
        entry = CardIndex(None).entry(str(folder / "card.yaml"))
        if record.variant not in entry.variants:
            raise GraderFault(f"{folder / 'card.yaml'} has no variant {record.variant!r} any more")
        return Instance(Task(folder, entry), record.variant, record.seed)

    def _evaluate(self, instance: Instance, record: Record) -> Grade:
        leases: list[str] = []

        def verifier() -> Sandbox:
            pool, labels = self._pool(record.provider), {"attempt": f"{record.path} (regrade)"}
            leases.append(new_lease_id())
            return pool.lease(instance.spec((instance.task.folder,), labels), leases[-1]).sandbox

        workspace = scratch.make("built")
        try:
            built = self._grader.build(instance, workspace)
            output = self._run_dir.path / record.path / "output"
            return self._grader.evaluate(instance, built, output, verifier)
        finally:
            remove(workspace)
            for lease in leases:
                with suppress(Fault):  # it is in the ledger, and changes no grade
                    self._pool(record.provider).release(lease, record.path)

    def _keep(self, record: Record, grade: Grade, digest: str) -> str:
        """Write `grade-N.json` with the next free N: never over an earlier grade."""
        folder = self._run_dir.path / record.path
        number = 2
        while (folder / f"grade-{number}.json").exists():
            number += 1
        passed = grade.score >= record.pass_at
        said: dict[str, object] = {"regraded": datetime.now(UTC).isoformat(), "digest": digest}
        said |= {"passed": passed, "was": record.score}
        path = folder / f"grade-{number}.json"
        try:
            write_atomically(path, asdict(grade) | said)
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from None
        return path.name


def _unchanged(record: Record, output: Path) -> None:
    """A sealed output that is not what was sealed cannot be graded."""
    if sums(output) != record.output:
        raise GraderFault(f"{output} is not what was sealed: files were changed, added or removed")
