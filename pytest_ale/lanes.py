"""Lanes: how many attempts of one process may do the same thing at once: build, start, run, grade.

Knows nothing of what an attempt does. Whoever waits in a lane is let go when the run ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pytest_ale.line import Line
from pytest_ale.phase import Cancelled
from pytest_ale.starts import Starts

__all__ = ["Lane", "Lanes", "Stopwatch"]


class Lane:
    """Room for so many at once; the others wait, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._line = Line()

    def __enter__(self) -> None:
        if not self._line.enter(self._take):
            raise Cancelled("the run ends")

    def __exit__(self, *_: object) -> None:
        with self._line.lock:
            self._free += 1
            self._line.call()

    def _take(self) -> float | None:
        if self._free <= 0:
            return None
        self._free -= 1
        return 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for others while something else is waited for."""
        self.__exit__()
        try:
            yield
        finally:
            if not self._line.enter(self._take):
                self._free -= 1  # the run ends: who went aside will leave the lane all the same

    def close(self) -> None:
        self._line.close()


class Stopwatch:
    """Seconds that were waited, those of a wait that lasts still among them."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._sum, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        since = self._since
        return self._sum + (time.monotonic() - since if since is not None else 0.0)


@dataclass(frozen=True)
class Lanes:
    """The lanes of one process."""

    build: Lane
    start: Starts
    run: Lane
    grade: Lane
    at_end: list[Callable[[], object]] = field(default_factory=list)  # what else is to end then

    @classmethod
    def of(cls, agents: int, patience: float, starts: int | None = None) -> Lanes:
        """For so many agents at work at once; what runs on this machine goes by its processors.

        Twice as many graders as processors: most wait for a file or a program now and then.
        """
        cpus = os.cpu_count() or 1
        ahead = ahead_of(agents)
        return cls(
            build=Lane(cpus),
            start=Starts(min(agents + ahead, starts or agents + ahead), patience),
            run=Lane(agents),
            grade=Lane(2 * cpus),
        )

    def close(self) -> None:
        """Let go of all who wait, by Cancelled; nobody enters any more."""
        for lane in (self.build, self.start, self.run, self.grade):
            lane.close()
        for end in self.at_end:
            end()


def ahead_of(agents: int) -> int:
    """How many more sandboxes than agents at work: made and staged for those that come next, or
    graded and given back. A quarter: 60 s of boot and grading beside 240 s of work."""
    return -(-agents // 4) if agents > 1 else 0
