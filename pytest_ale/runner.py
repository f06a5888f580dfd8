"""Runner: the attempts at one instance; a new one in a fresh sandbox after an infrastructure fault.

Knows nothing of what an attempt does.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from pytest_ale.gateway import ModelLost
from pytest_ale.phase import Cancelled
from pytest_ale.plan import Plan
from pytest_ale.record import Record, RunDir
from pytest_ale.run import Attempt
from pytest_ale.sandbox import Fault, HarnessFault, PhaseTimeout, ProviderFault, SandboxLost

__all__ = ["Job", "Runner"]

Recorded = Callable[[Record, RunDir], None]

# What a fresh sandbox may cure; task code and a full disk would fail again.
CURABLE = (HarnessFault, ModelLost, PhaseTimeout, ProviderFault, SandboxLost)

# Seconds before the second attempt, and how much longer before each that follows.
PAUSE, GROWTH, LONGEST = 0.5, 4.0, 60.0


class Runner:
    """Joins one item to its attempts: `prepare` and `perform`, or `whole`; then `release`."""

    def __init__(
        self,
        make: Callable[[tuple[str, ...]], Attempt],
        retries: int,
        refused: tuple[Plan, str] | None = None,
    ) -> None:
        self._make = make
        self.refused = refused  # what was meant, and why no sandbox for it can be had
        self._left = retries
        self._pause = PAUSE
        self._cancelled = threading.Event()
        self._avoid: tuple[str, ...] = ()  # zones in which attempts failed
        self.attempt: Attempt | None = None
        self.recorded: Recorded = lambda record, run_dir: None  # shown the last record

    def prepare(self) -> None:
        """Begin an attempt, again after a curable fault."""
        while True:
            self.attempt = self._make(self._avoid)
            try:
                return self.attempt.prepare()
            except Fault as fault:
                self._again(fault)

    def perform(self) -> Record:
        """End the attempt; a curable fault starts another from the beginning."""
        while True:
            assert self.attempt is not None
            try:
                record = self.attempt.perform()
                self.recorded(record, self.attempt.run_dir)
                return record
            except Fault as fault:
                self._again(fault)
            self.prepare()

    def whole(self, prepared: Callable[[], None], over: Callable[[], None]) -> None:
        """All of it at once; `prepared` is called when it is the agent's turn, each time, and
        `over` once there is a record."""
        while True:
            self.attempt = attempt = self._make(self._avoid)

            def recorded(attempt: Attempt = attempt) -> None:
                self.recorded(attempt.record, attempt.run_dir)
                over()

            try:
                return attempt.whole(prepared, recorded)
            except Fault as fault:
                self._again(fault)

    def release(self) -> None:
        """Release the attempt's sandbox; the ledger keeps a fault there, the summary tells it."""
        if self.attempt is not None:
            with suppress(Fault):
                self.attempt.release()

    def cancel(self) -> None:
        """End the attempt where it is, from another thread; there will be no other."""
        self._cancelled.set()
        if self.attempt is not None:
            self.attempt.cancel()

    def _again(self, fault: Fault) -> None:
        assert self.attempt is not None
        if self._left <= 0 or not isinstance(fault, CURABLE):
            self.recorded(self.attempt.record, self.attempt.run_dir)
            raise fault
        self._left -= 1
        zone = fault.zone if isinstance(fault, ProviderFault) else ""
        self._avoid += tuple(filter(None, [zone or self.attempt.zone]))
        self.release()
        # Not in step with others that failed for the same reason.
        if self._cancelled.wait(self._pause * random.uniform(0.7, 1.3)):
            raise Cancelled("the run ends")
        self._pause = min(self._pause * GROWTH, LONGEST)
        self.attempt.regain()


class Job:
    """A runner's whole story in a thread of its own, told like a runner's once it is over."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.refused = runner.refused
        self.seconds = {"setup": 0.0, "call": 0.0}
        self.recorded: Recorded = lambda record, run_dir: None
        self.over = False  # but for the release
        self._told_over: Callable[[], None] = lambda: None
        self._began = 0.0
        self.told = False
        self._last: tuple[Record, RunDir] | None = None
        self._raised: dict[str, BaseException] = {}
        self._prepared: float | None = None  # when the agent's turn first came
        runner.recorded = self._note

    def work(self, over: Callable[[], None]) -> None:
        """Do it; `over` is called as soon as it can be told, before all is given back. What is
        raised is kept for the phase of the item in which it will be told."""
        self._began, self._told_over = time.monotonic(), over
        try:
            self.runner.whole(self._is_prepared, self._is_over)
        except BaseException as raised:
            self._raised["call" if self._prepared else "setup"] = raised
            self._is_over()

    def _is_over(self) -> None:
        over = time.monotonic()
        prepared = self._prepared or over
        self.seconds = {"setup": prepared - self._began, "call": over - prepared}
        self.over = True
        self._told_over()

    def _is_prepared(self) -> None:
        self._prepared = self._prepared or time.monotonic()

    @property
    def cancelled(self) -> bool:
        return any(not isinstance(raised, Exception) for raised in self._raised.values())

    @property
    def attempt(self) -> Attempt | None:
        return self.runner.attempt

    def prepare(self) -> None:
        self.told = True
        self._tell("setup")

    def perform(self) -> Record:
        self._tell("call")
        assert self._last is not None
        self.recorded(*self._last)
        return self._last[0]

    def release(self) -> None:
        """That is done already, or under way."""

    def _note(self, record: Record, run_dir: RunDir) -> None:
        self._last = record, run_dir

    def _tell(self, phase: str) -> None:
        if phase in self._raised:
            if self._last is not None:
                self.recorded(*self._last)
            raise self._raised[phase]
