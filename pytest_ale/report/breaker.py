"""Breaker: says when a run is to stop, since all in it fails: an expired key, a wrong image.

Knows nothing of pytest, and not why: each fault has been tried again by then (--ale-retries).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Breaker"]


class Breaker:
    """Counts infrastructure faults in a row, over all workers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._row: set[str] = set()
        self._scored = False
        self.why = ""

    def told(self, item: str, properties: Mapping[str, object], said: str) -> bool:
        """Take note of how an item ended; whether the run is to stop now.

        Where others were scored it may be one image, or one bad hour: it takes twice as many.
        """
        if isinstance(properties.get("ale.score"), float):
            self._row.clear()
            self._scored = True
        if properties.get("ale.outcome") != "fault" or not self._most or self.why:
            return False
        self._row.add(item)
        if len(self._row) < self._most * (2 if self._scored else 1):
            return False
        last = said.strip().rpartition("\n")[2][:500]
        self.why = f"{len(self._row)} infrastructure faults in a row, the last: {last}"
        return True
