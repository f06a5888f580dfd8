"""Line: those who wait for something, first come first served.

Knows nothing of what they wait for. Of a bare condition who comes just then may go before those who
wait: of a thousand attempts, the longest of which were to begin first, some waited ten times as
long as others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Line"]

# Asked with the line's lock held, of who is first: takes what there is, and returns 0; or says in
# how many seconds to ask again, None for when somebody calls.
Take = Callable[[], float | None]


class Line:
    """What is taken and given back is to be changed with `lock` held; then `call`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._waiting: deque[threading.Event] = deque()
        self._closed = False

    def enter(self, take: Take) -> bool:
        """Wait for one's turn, and take; False if the line is closed."""
        with self.lock:
            if not (self._closed or self._waiting) and take() == 0:
                return True
            self._waiting.append(turn := threading.Event())
        while True:
            with self.lock:
                seconds = take() if self._waiting[0] is turn and not self._closed else None
                if seconds == 0 or self._closed:
                    self._waiting.remove(turn)
                    self.call()
                    return not self._closed
                turn.clear()
            self.wait(turn, seconds)

    @staticmethod
    def wait(turn: threading.Event, seconds: float | None) -> None:
        turn.wait(seconds)

    def call(self) -> None:
        """Have the first of those who wait ask again."""
        with self.lock:
            if self._waiting:
                self._waiting[0].set()

    def close(self) -> None:
        """Let all go."""
        with self.lock:
            self._closed = True
            for turn in self._waiting:
                turn.set()
