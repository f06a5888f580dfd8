"""Runner: the attempts at one instance; a new one in a fresh sandbox after an infrastructure fault.

Knows nothing of what an attempt does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from pytest_ale.gateway import ModelLost
from pytest_ale.record import Record
from pytest_ale.run import Attempt
from pytest_ale.sandbox import Fault, HarnessFault, PhaseTimeout, ProviderFault, SandboxLost

__all__ = ["Runner"]

# What a fresh sandbox may cure; task code and a full disk would fail again.
CURABLE = (HarnessFault, ModelLost, PhaseTimeout, ProviderFault, SandboxLost)


class Runner:
    """Joins one item to its attempts: `prepare`, `perform`, `release`."""

    def __init__(
        self,
        make: Callable[[], Attempt],
        retries: int,
        recorded: Callable[[Record], None],
    ) -> None:
        self._make = make
        self._recorded = recorded
        self._left = retries
        self.attempt: Attempt | None = None
        self.pause = 0.5

    def prepare(self) -> None:
        """Begin an attempt, again after a curable fault."""
        while True:
            self.attempt = self._make()
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
                self._recorded(record)
                return record
            except Fault as fault:
                self._again(fault)
            self.prepare()

    def release(self) -> None:
        """Release the attempt's sandbox; the ledger keeps a fault there, the summary tells it."""
        if self.attempt is not None:
            with suppress(Fault):
                self.attempt.release()

    def _again(self, fault: Fault) -> None:
        assert self.attempt is not None
        if self._left <= 0 or not isinstance(fault, CURABLE):
            self._recorded(self.attempt.record)
            raise fault
        self._left -= 1
        self.release()
        time.sleep(self.pause)
        self.pause *= 2
