"""Journal: the folder of one attempt, and its record as it grows.

Knows neither sandboxes nor the grader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.grade import Grade
from pytest_ale.harness import Ending
from pytest_ale.leases import Pool, append_line
from pytest_ale.plan import Plan
from pytest_ale.record import Record, RunDir, write_atomically
from pytest_ale.recorder import Recorder
from pytest_ale.sandbox import RecordFault
from pytest_ale.text import clean
from pytest_ale.trajectory import dump
from pytest_ale.trees import ALL, files, seal

__all__ = ["Journal", "sums"]


class Journal:
    """Writes down one attempt: events, trajectory, output, record."""

    def __init__(self, plan: Plan, pool: Pool, run_dir: RunDir) -> None:
        number = run_dir.next_attempt(plan.place)
        path = f"{plan.place}/attempt-{number}"
        self._plan = plan
        self._run_dir = run_dir
        self.folder = run_dir.path / path
        self.record: Record = plan.blank(pool, number, path)
        self.recorder = Recorder(plan.agent.harness, self.record.agent_version, plan.agent.model)
        self.told = ""

    @property
    def run(self) -> str:
        return self._run_dir.path.name

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def logs(self) -> Path:
        return self.folder / "agent"

    @property
    def written(self) -> Path:
        """Where large files that the agent wrote are kept for a replay."""
        return self.folder / "written"

    def open(self) -> None:
        try:
            self.logs.mkdir(parents=True)
        except OSError as error:
            raise RecordFault(f"{self.logs} cannot be made: {error.strerror}") from error

    def event(self, phase: str, seconds: float, fault: str) -> None:
        """Note that a phase is over."""
        line: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "phase": phase}
        line |= {"seconds": seconds} | ({"fault": clean(fault, 2000)} if fault else {})
        try:
            append_line(self.folder / "events.jsonl", line)
        except OSError:  # the record that follows fails for the same reason, and says so
            return

    @property
    def screenshots(self) -> Path:
        return self.folder / "screenshots"

    def leased(self, lease: str, about: Mapping[str, object]) -> None:
        self.record = replace(self.record, lease=lease)
        self.sandbox(about)

    def sandbox(self, about: Mapping[str, object]) -> None:
        """Note what the sandbox is made of: a file of its own, for an image has 500 packages."""
        path = self.folder / "sandbox.json"
        try:
            write_atomically(path, dict(about))
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error

    def prompt(self, text: str, home: str) -> None:
        """Note what the agent is told, and in which home: a replay may be in another."""
        self.told = text
        self.recorder.user(text, extra={"home": home})

    def seal(self, refused: list[str]) -> None:
        """Make the output read-only, and note what is in it and what was not taken out."""
        found = sums(self.output)
        seal(self.output)
        shown = tuple(clean(line, 500) for line in refused[:100])
        self.record = replace(self.record, output=found, refused=shown)

    def settle(self, ending: Ending, grade: Grade, seconds: Mapping[str, float]) -> None:
        """Record an attempt that has a score."""
        self.record = replace(
            self.record,
            outcome="scored" if ending.outcome == "done" else ending.outcome,
            score=grade.score,
            passed=grade.score >= self._plan.limits.pass_at,
            checks=grade.checks,
            messages=grade.messages,
            message=clean(ending.message, 2000),
        )
        self._save(grade, seconds)

    def give_up(self, error: BaseException, phase: str, seconds: Mapping[str, float]) -> None:
        """Record an attempt that has no score; the first error stays the one that is told."""
        self.record = replace(
            self.record,
            outcome="fault" if isinstance(error, Exception) else "cancelled",
            score=None,
            passed=None,
            message=clean(str(error) or type(error).__name__, 5000),
            phase=getattr(error, "phase", "") or phase,
        )
        try:
            self._save(None, seconds)
        except RecordFault as second:
            error.add_note(f"and then: {second}")

    def _save(self, grade: Grade | None, seconds: Mapping[str, float]) -> None:
        self.record = replace(
            self.record,
            seconds=seconds.get("run", 0.0),
            phases=dict(seconds),
            kept=self._plan.keeps(self.record) and self.record.phase not in ("build", "lease"),
        )
        if self.told:
            self._save_trajectory()
        self._run_dir.save(self.record, grade, listed=not self._plan.within)

    def _save_trajectory(self) -> None:
        path = self.folder / "trajectory.json"
        try:
            path.write_text(dump(self.recorder.finish()), encoding="utf-8")
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by its path below the folder."""
    return {clean(path.relative_to(folder), 500): _sum(path) for path in files(folder, ALL)}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
