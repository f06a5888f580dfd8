"""Estimate: how long a run is still to go, from how long its attempts took so far.

Knows nothing of files or tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Estimate"]

LEAST = 3  # attempts that have ended, and a quarter of as many as are at work at once


class Estimate:
    """Told of each attempt that ended."""

    def __init__(self) -> None:
        self._ended = 0
        self._seconds = 0.0

    def ended(self, seconds: float) -> None:
        self._ended += 1
        self._seconds += max(seconds, 0)

    def left(self, waiting: int | None, ages: Sequence[float], slots: int) -> float | None:
        """Seconds until the last is done; None where there is no ground for a guess.

        Who is at work longer than the mean of those that ended will pull it up: the first that end
        are the short ones.
        """
        if waiting is None or self._ended < max(LEAST, slots / 4):
            return None
        mean = self._seconds / self._ended
        older = [age for age in ages if age > mean]
        mean = (self._seconds + sum(older)) / (self._ended + len(older))
        rest = [max(mean - age, 0) for age in ages]
        together = (sum(rest) + waiting * mean) / max(slots, len(ages), 1)
        return max([together, *rest])
