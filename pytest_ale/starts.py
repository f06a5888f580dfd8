"""Starts: how many sandboxes are asked for at once; fewer of a provider that is slow or says no.

Knows no provider. It begins with a few, and asks for twice as many each time all came or nobody
was refused for half a second, as TCP does; after a refusal, or when sandboxes take much longer than
they did, it asks for half, and from then on for one more each time.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pytest_ale.line import Line
from pytest_ale.phase import Cancelled
from pytest_ale.progress import tell
from pytest_ale.sandbox import Busy

if TYPE_CHECKING:
    from pytest_ale.lanes import Stopwatch

__all__ = ["Starts"]

T = TypeVar("T")

FIRST = 32  # asked for at once, before anything is known
GROWS = 0.5  # seconds within which a cloud says no: 1,000 are asked for in 2.5 of them
SHORTEST, LONGEST = 1.0, 30.0  # seconds of a pause after a refusal
SLOW = 2.5  # times what sandboxes took at best: a provider that has trouble
SAMPLE = 10  # sandboxes by whose median that is judged
TELL_SECONDS = 60.0  # between two lines about it


class Starts:
    """Lets those in who ask for a sandbox, and learns from what they are told."""

    def __init__(self, most: int, patience: float) -> None:
        self.limit = float(min(FIRST, most))
        self.most = most
        self._patience = patience  # seconds of refusals until one of them is a fault
        self._line = Line()
        self._inside = 0
        self._grown = float("inf")  # when the limit was last doubled, or the first was asked for
        self._pause = 0.0
        self._not_before = 0.0
        self._cut = float("-inf")  # when the limit was last lowered
        self._steady = False  # it was lowered once: grow slowly
        self._recent: deque[float] = deque(maxlen=SAMPLE)
        self._best = float("inf")
        self._told = float("-inf")

    def admit(self, ask: Callable[[], T], queued: Stopwatch) -> T:
        """Ask for a sandbox when it is time to; again, if the provider says: not now."""
        first: float | None = None
        while True:
            with queued:
                if not self._line.enter(self._take):
                    raise Cancelled("the run ends")
            began = time.monotonic()
            try:
                made = ask()
                self._answered(began)
                return made
            except Busy as busy:
                self._refused(busy, began)
                first = first or began
                if time.monotonic() - first >= self._patience:
                    raise
            finally:
                self._leave()

    def freed(self) -> None:
        """A sandbox was given back: a provider whose quota was used up may have room now."""
        with self._line.lock:
            self._not_before = 0.0
            self._line.call()

    def close(self) -> None:
        self._line.close()

    def _take(self) -> float | None:
        now = time.monotonic()
        if (pause := self._not_before - now) > 0:
            return pause
        self._grown = min(self._grown, now)
        if self._inside >= int(self.limit) and not self._steady and now - self._grown >= GROWS:
            self.limit, self._grown = min(2 * self.limit, float(self.most)), now
        if self._inside < max(int(self.limit), 1):
            self._inside += 1
            return 0
        return None if self._steady or self.limit >= self.most else GROWS - (now - self._grown)

    def _leave(self) -> None:
        with self._line.lock:
            self._inside -= 1
            self._line.call()

    def _answered(self, began: float) -> None:
        with self._line.lock:
            self._pause = 0.0
            self._recent.append(time.monotonic() - began)
            if len(self._recent) == SAMPLE:
                median = statistics.median(self._recent)
                self._best = min(self._best, median)
                if median > SLOW * self._best and began > self._cut:
                    self._lower()
                    return
            step = 1 / self.limit if self._steady else 1.0
            self.limit = min(self.limit + step, float(self.most))

    def _refused(self, busy: Busy, began: float) -> None:
        with self._line.lock:
            if began > self._cut:  # those asked for together are refused together
                self._lower()
                self._pause = min(max(2 * self._pause, SHORTEST), LONGEST)
            pause = self._pause * random.uniform(0.5, 1.5)  # workers must not ask in step
            self._not_before = time.monotonic() + max(pause, busy.retry_after or 0.0)
            is_told = time.monotonic() - self._told < TELL_SECONDS
            self._told = self._told if is_told else time.monotonic()
        if not is_told:
            tell(f"ale: the provider says: not now ({busy}); it is asked less, and again")

    def _lower(self) -> None:
        self.limit, self._cut, self._steady = max(self.limit / 2, 1.0), time.monotonic(), True
        self._recent.clear()
