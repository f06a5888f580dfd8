"""Deadline: when an agent's time is over, which moves while it has to wait for rate limits.

Knows neither agents nor gateways: it is given a function that tells how long is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

__all__ = ["LEAST", "Left", "added", "most_waiting"]

LEAST = 0.01  # seconds: 0 would be no time limit to some, and an error to others
TIMES, HOURS = 4, 6


class Left(float):
    """Seconds until a deadline, as of now: a number, which any provider takes for a timeout.

    A provider that asks `added` when they are over does not end what has got more time meanwhile.
    """

    _ask: Callable[[], float]

    def __new__(cls, ask: Callable[[], float]) -> Self:
        left = super().__new__(cls, max(ask(), LEAST))
        left._ask = ask
        return left

    def added(self) -> Left | None:
        """What is left by now, None where it is over."""
        return Left(self._ask) if self._ask() > 0 else None

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        """A copy, and what goes to another process, is a plain number."""
        return float, (float(self),)


def added(timeout: float | None) -> Left | None:
    """What a timeout that is over has got meanwhile, None where it has got nothing."""
    return timeout.added() if isinstance(timeout, Left) else None


def most_waiting(limit: float) -> float:
    """Seconds of waiting that count at most for an agent with so many to work.

    Four times as many, and six hours: a key that is shared by a hundred attempts may have each
    wait longer than it works, and an agent can bring refusals about.
    """
    return min(TIMES * limit, HOURS * 3600.0)
