"""The story of one attempt: lease, stage, run, stop, collect, grade, record, release.

Knows nothing of pytest, xdist or any provider's name. How each step is done: steps.py; what is
written down: journal.py; deadlines: phase.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from pytest_ale.gateway import Control
from pytest_ale.grade import Grade
from pytest_ale.grading import Grader
from pytest_ale.harness import Ending
from pytest_ale.journal import Journal
from pytest_ale.lanes import Lanes
from pytest_ale.leases import Pool
from pytest_ale.phase import LINGER, Phases, Story, as_fault, phase
from pytest_ale.plan import Plan
from pytest_ale.record import Record, RunDir
from pytest_ale.sandbox import Fault, PhaseTimeout, Sandbox
from pytest_ale.steps import Steps

__all__ = ["Attempt"]

T = TypeVar("T")

# Seconds for a harness, or the grader, that ends by itself at its deadline: it can say more.
MARGIN = 5.0


class Attempt:
    """One try at an instance: `prepare`, `perform`, and `release` whatever happened."""

    def __init__(
        self,
        plan: Plan,
        pool: Pool,
        grader: Grader,
        run_dir: RunDir,
        gateway: Control | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self.plan = plan
        self.run_dir = run_dir
        self.lanes = lanes or Lanes.of(1, patience=0)
        self.journal = Journal(plan, pool, run_dir)
        self.steps = Steps(plan, pool, grader, self.journal, self.lanes, gateway)
        self.phases = Phases(self.journal.event, self.journal.begin)
        self._releases = False

    def prepare(self) -> None:
        """Build the inputs, lease a sandbox and stage it."""
        self.phases.tell(self._preparing())

    def perform(self) -> Record:
        """Let the agent work, stop it, take out what it left, grade, record."""
        self.phases.tell(self._performing())
        return self.record

    def whole(self, prepared: Callable[[], None], over: Callable[[], None]) -> None:
        """All of it in one story; `prepared` is called between the two, and `over` when there is a
        record, before everything is given back: both from another thread."""
        self.phases.tell(self._whole(prepared, over))

    def _whole(self, prepared: Callable[[], None], over: Callable[[], None]) -> Story[None]:
        yield from self._preparing()
        prepared()
        yield from self._performing()
        over()
        self.phases.stand_firm()
        with suppress(Fault):
            yield from self._releasing()

    def _preparing(self) -> Story[None]:
        limit, queued = self.plan.limits.phase, self.steps.queued
        with self._giving_up():
            self.journal.open()
            with self.lanes.build:
                yield from self._phase("build", self.steps.build, MARGIN)
            yield from phase("lease", limit, self.steps.lease, lambda: queued.seconds)
            yield from self._phase("stage", self.steps.stage, MARGIN)

    def _performing(self) -> Story[None]:
        with self._giving_up():
            with self.lanes.run:
                ending = yield from self._running()
                yield from self._phase("stop", self.steps.stop)
            with self.lanes.grade:
                yield from self._phase("collect", self.steps.collect)
                grade = yield from self._grading()
            step = partial(self.journal.settle, ending, grade, self.phases.seconds)
            yield from self._phase("record", step)

    def release(self) -> None:
        """Give everything back; a fault here is the ledger's, and changes no score."""
        self.phases.stand_firm()
        try:
            if not self._releases:
                self.phases.tell(self._releasing())
        finally:
            self.lanes.start.freed()
            self.phases.end()
        self.phases.linger(LINGER)  # without its sandbox, what was left behind soon ends

    def _releasing(self) -> Story[None]:
        self._releases = True
        yield from phase("release", self.plan.limits.phase, self.steps.release)

    def cancel(self) -> None:
        """End it where it is, without a score, from another thread; it is still to be released."""
        self.phases.cancel()

    def grade(self, output: Path | None = None) -> Grade:
        """Grade what was collected again, or another output for the same inputs: for controls."""
        return self.phases.tell(self._grading(output))

    def _running(self) -> Story[Ending]:
        """An agent that does not end in time is stopped; that is its ending, and no fault."""
        limit = self.plan.limits.agent + MARGIN
        try:
            return (yield from phase("run", limit, self.steps.run, self.steps.waited))
        except PhaseTimeout:
            return (yield from self._phase("judge", self.steps.late))

    def _grading(self, output: Path | None = None) -> Story[Grade]:
        limit = self.plan.limits.grade + self.plan.limits.phase  # a verifier is leased in it
        before, queued = self.steps.queued.seconds, self.steps.queued
        step, extra = partial(self.steps.grade, output), lambda: queued.seconds - before
        return (yield from phase("grade", limit, step, extra))

    def _phase(self, name: str, step: Callable[[], T], margin: float = 0) -> Story[T]:
        return (yield from phase(name, self.plan.limits.phase + margin, step))

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Record an attempt that ends here without a score, whatever ended it."""
        try:
            yield
        except BaseException as raised:
            error = as_fault(raised)
            given_up = self.journal.give_up(error, self.phases.now, self.phases.seconds)
            if given_up or not isinstance(error, Exception):
                raise error from error.__cause__

    def regain(self) -> None:
        """Wait for a provider that gave sandboxes, and does not answer now."""
        self.steps.regain()

    @property
    def zone(self) -> str:
        """Where its sandbox was, for a provider that has zones."""
        return self.steps.zone

    @property
    def record(self) -> Record:
        return self.journal.record

    @property
    def folder(self) -> Path:
        return self.journal.folder

    @property
    def sandbox(self) -> Sandbox:
        return self.steps.sandbox
