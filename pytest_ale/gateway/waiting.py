"""Waiting: the seconds in which the model's server had one attempt wait for its rate limits.

Knows nothing of HTTP: it is told when a request was sent, refused, answered, and over.

A second counts where nothing of the agent's could go on with its model:

- requests were under way, and all of them came to be refused; or
- none was, and the last refusal is no older than the agent was told to wait, or a minute, and no
  request that was sent after it has been answered.

So seconds are never counted twice for requests at once, an answer that takes long is no waiting,
and who goes on working for ten minutes after a refusal has waited one.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from time import time

__all__ = ["PATIENCE", "Waiting", "seconds_asked"]

PATIENCE = 600.0  # seconds of waiting that one refusal can cause, whatever it asks for
LEAST = 60.0  # that it causes where it asks for less: what clients wait by themselves (to 32 s)


class Waiting:
    """One attempt's clock of it, bounded by `most`; `now` is of one clock that never goes back."""

    def __init__(self, most: float = math.inf) -> None:
        self._most = most
        self._sure = 0.0
        self._unsure: dict[frozenset[int], float] = {}  # seconds, should all of these be refused
        self._sent: dict[int, float] = {}  # under way, and not known yet how it ends
        self._answered: set[int] = set()  # under way
        self._mark = 0.0  # up to which all is reckoned
        self._refused = -math.inf
        self._until = -math.inf  # to which that refusal has an agent wait that asks nothing

    def sent(self, number: int, now: float) -> None:
        self._reckon(now)
        self._sent[number] = now

    def refused(self, number: int, now: float, asked: float = 0.0) -> None:
        """It is to come again later, in `asked` seconds where that was said."""
        self._reckon(now)
        self._sent.pop(number, None)
        known, self._unsure = self._unsure, {}
        for numbers, seconds in known.items():
            left = numbers - {number}
            self._unsure[left] = self._unsure.get(left, 0.0) + seconds
        self._sure += self._unsure.pop(frozenset(), 0.0)
        self._refused = now
        self._until = max(self._until, now + max(min(asked, PATIENCE), LEAST))

    def answered(self, number: int, now: float) -> None:
        """It is answered, by an answer or by an error that asks nobody to wait."""
        self._reckon(now)
        if self._sent.pop(number, now) >= self._refused:
            self._until = -math.inf
        self._unsure = {each: s for each, s in self._unsure.items() if number not in each}
        self._answered.add(number)

    def over(self, number: int, now: float) -> None:
        """It is no longer under way; one that came to nothing was no refusal."""
        if number in self._sent:
            self.answered(number, now)
        self._reckon(now)
        self._answered.discard(number)

    def seconds(self, now: float) -> float:
        """Waited so far, as far as is known: it never grows less."""
        idle = not (self._sent or self._answered)
        return min(self._sure + (self._idle(now) if idle else 0.0), self._most)

    def _reckon(self, now: float) -> None:
        if not self._answered:
            if self._sent:
                numbers = frozenset(self._sent)
                self._unsure[numbers] = self._unsure.get(numbers, 0.0) + now - self._mark
            else:
                self._sure += self._idle(now)
        self._mark = now

    def _idle(self, now: float) -> float:
        return max(min(now, self._until) - self._mark, 0.0)


def seconds_asked(retry_after: str) -> float:
    """How long a refusal says to wait: in seconds, or as a date; 0 where it does not say."""
    try:
        return max(float(retry_after), 0.0) if math.isfinite(float(retry_after)) else 0.0
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
