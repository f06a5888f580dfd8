"""Controls: the task itself examined; each control is a named check.

Knows nothing of pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ale import scratch
from pytest_ale.channels import tree
from pytest_ale.grade import CheckResult, Grade
from pytest_ale.grading import Grader
from pytest_ale.harness import Agent
from pytest_ale.leases import Pool
from pytest_ale.plan import Plan
from pytest_ale.record import Record, RunDir
from pytest_ale.registry import harness_named
from pytest_ale.run import Attempt
from pytest_ale.sandbox import GraderFault
from pytest_ale.trees import ALL, clone, digest, remove, seal

__all__ = ["Controls"]

ORACLES = 3


class Failed(Exception):
    """A control found the task wanting."""


@dataclass
class Controls:
    """Runs every control of one instance; a provider's fault is a fault here too."""

    plan: Plan
    pool: Pool
    grader: Grader
    run_dir: RunDir

    def __post_init__(self) -> None:
        self.checks: list[CheckResult] = []
        self.plan = replace(self.plan, agent=Agent("controls"))
        self.number = self.run_dir.next_attempt(self.plan.place)
        self.place = f"{self.plan.place}/attempt-{self.number}"

    def run(self) -> Record:
        """Do all controls and record them as one attempt of the agent `controls`."""
        self._check("building twice gives the same files", self._rebuilt)
        with self._attempt("oracle", 1) as first:
            self._check("oracle run 1 scores 1.0", lambda: _perfect(first))
            if self.checks[-1].passed:
                self._examine_grader(first)
        for number in range(2, ORACLES + 1):
            with self._attempt("oracle", number) as again:
                self._check(f"oracle run {number} scores 1.0", lambda: _perfect(again))
        with self._attempt("nop", 1) as nop:
            self._check("nop does not pass", lambda: _beaten(nop))
        return self._record()

    def _rebuilt(self) -> None:
        """A regrade and a resume rely on it: inputs and answer key come from the seed alone."""
        digests = []
        for _ in range(2):
            workspace = scratch.make("built")
            try:
                self.grader.build_anew(self.plan.instance, workspace)
                digests.append(digest(workspace))
            finally:
                remove(workspace)
        if len(set(digests)) > 1:
            raise Failed("build() made other files of the same seed")

    def _examine_grader(self, good: Attempt) -> None:
        self._check("grading twice gives the same grade", lambda: _same(good))
        built = good.steps.built
        assert built is not None
        for control in built.controls:
            self._check(f"{control} does not pass", lambda: self._spoilt(good, control))  # noqa: B023
        if not built.controls:
            self._check("has a near miss or a cheat", _no_controls)

    def _spoilt(self, good: Attempt, control: str) -> None:
        """Grade a copy of the good output after the control has changed it."""
        place = scratch.make("control")
        try:
            clone(good.folder / "output", place / "spoilt", ALL)
            self.grader.spoil(self.plan.instance, control, place / "spoilt")
            output = _collected(place)
            if digest(output, ALL) == digest(good.folder / "output", ALL):
                raise Failed("it changed nothing in the output")
            grade = good.grade(output)
            if grade.score >= self.plan.limits.pass_at:
                raise Failed(f"it passes, with score {grade.score:g}")
        finally:
            remove(place)

    @contextmanager
    def _attempt(self, agent: str, number: int) -> Iterator[Attempt]:
        within = f"{self.place}/{agent}-{number}"
        plan = replace(
            self.plan, agent=Agent(agent), harness=harness_named(agent), keep="never", within=within
        )
        attempt = Attempt(plan, self.pool, self.grader, self.run_dir)
        try:
            yield attempt
        finally:
            attempt.release()

    def _check(self, name: str, control: Callable[[], None]) -> None:
        """What a task does wrong fails a check; what a provider does wrong is a fault."""
        try:
            control()
        except Failed as failed:
            self.checks.append(CheckResult(name, "failed", message=str(failed)))
        except GraderFault as fault:
            self.checks.append(CheckResult(name, "raised", message=str(fault)))
        else:
            self.checks.append(CheckResult(name, "passed"))

    def _record(self) -> Record:
        passed = [check for check in self.checks if check.passed]
        score = 1.0 if len(passed) == len(self.checks) else len(passed) / len(self.checks)
        blank = self.plan.blank(self.pool, self.number, self.place)
        checks = tuple(self.checks)
        record = replace(
            blank, outcome="scored", score=score, passed=score == 1.0, pass_at=1.0, checks=checks
        )
        self.run_dir.save(record, Grade(score, checks))
        return record


def _collected(place: Path) -> Path:
    """What would have been taken out of a sandbox: no links, no devices, sealed."""
    output = place / "output"
    tree.copy(tree.Spot(place, ("spoilt",), "output"), tree.Spot.of(output))
    output.mkdir(exist_ok=True)
    seal(output)
    return output


def _perfect(oracle: Attempt) -> None:
    oracle.prepare()
    record = oracle.perform()
    if record.score != 1.0:
        lost = ", ".join(f"{check.name} ({check.state})" for check in record.failed_checks)
        raise Failed(f"it scores {record.score:g}; lost: {lost or 'no check'}; {record.message}")


def _same(good: Attempt) -> None:
    first, second = good.record.grade, good.grade()
    for one, other in zip(first.checks, second.checks, strict=True):
        if one.state != other.state:
            raise Failed(f"check {one.name!r} is {one.state} first and {other.state} then")
    if first.score != second.score:
        raise Failed(f"the score is {first.score!r} first and {second.score!r} then")


def _beaten(nop: Attempt) -> None:
    nop.prepare()
    if nop.perform().passed:
        raise Failed("an agent that does nothing passes")


def _no_controls() -> None:
    raise Failed("main.py marks no function with @near_miss or @cheat")
