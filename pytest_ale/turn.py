"""Turn: a thread's part in telling a story, from one phase on; to the end, unless it is left.

Knows no step in particular, and not what follows when a phase is left (phase.py).
"""

from __future__ import annotations

import math
import queue
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pytest_ale.sandbox import Fault
from pytest_ale.text import clean, one_line

__all__ = ["Hand", "Phase", "Story", "Turn", "as_fault"]

T = TypeVar("T")
FAR = 60.0  # seconds


@dataclass(frozen=True)
class Phase:
    """`extra` is asked at the limit how many seconds do not count, as far as is known then."""

    name: str
    limit: float
    step: Callable[[], object]
    extra: Callable[[], float] = lambda: 0.0


Story = Generator[Phase, Any, T]  # Any: what steps return, each its own


class Hand(threading.Thread):
    """A thread that does what it is given, one after the other, until it is given None."""

    def __init__(self) -> None:
        super().__init__(name="ale-phases", daemon=True)
        self.given: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def run(self) -> None:
        while (do := self.given.get()) is not None:
            do()


class Turn(Generic[T]):
    """One thread does it (`go`), another watches; what both look at is guarded by `changed`."""

    def __init__(
        self,
        story: Story[T],
        first: Phase,
        changed: threading.Condition,
        begun: Callable[[Phase], bool],
        told: Callable[[Phase, float, BaseException | None], None],
    ) -> None:
        self._story, self._first = story, first
        self._changed, self._begun, self._told = changed, begun, told
        self.phase: Phase | None = None  # that it is at; None while it is between two
        self.began = time.monotonic()
        self.deadline = math.inf
        self.is_left = self.is_over = False
        self._wakes = _look(self.began + first.limit)  # when who watches looks again
        self._answer: list[T] = []
        self._raised: BaseException | None = None

    def go(self) -> None:
        """Tell the story from here on."""
        try:
            at, following = self._first, self._through(self._first)
            while following is not None:
                at = following()
                following = self._through(at)
            return
        except StopIteration as end:
            self._answer.append(end.value)
        except BaseException as raised:
            self._raised = raised
        with self._changed:
            self.is_over = True
            self._changed.notify()

    def _through(self, at: Phase) -> Callable[[], Phase] | None:
        """Do a phase, and say how the story goes on from it; None if this is not ours to do.

        The story is told of whatever fails, also in noting it: it may hold a place in a lane.
        """
        try:
            if not self._enter(at):
                return None
            answer, error = self._done(at)
            if self._is_mine():
                self._told(at, self.began, error)
        except BaseException as raised:
            error = raised
        if not self._is_mine():
            return None
        return partial(self._story.throw, error) if error else partial(self._story.send, answer)

    def _is_mine(self) -> bool:
        """Not left yet; then it will not be, until the next phase."""
        with self._changed:
            if not self.is_left:
                self.phase = None
            return not self.is_left

    def _done(self, at: Phase) -> tuple[object, BaseException | None]:
        """What its step returned; or what was raised, a Fault that knows the phase."""
        try:
            return at.step(), None
        except BaseException as raised:
            error = as_fault(raised)
            if isinstance(error, Fault):
                error.phase = error.phase or at.name
            return None, error

    def _enter(self, at: Phase) -> bool:
        goes = self._begun(at)
        with self._changed:
            self.phase, self.began = at, time.monotonic()
            self.deadline = self.began + at.limit
            if not goes or self.deadline < self._wakes:  # who watches would look too late
                self._changed.notify()
        return goes

    def wait(self, unwanted: Callable[[], bool]) -> None:
        """Wait until it is over, or is to be looked at: its phase is late, or unwanted."""
        with self._changed:
            while not (self.is_over or self.is_late or (self.phase and unwanted())):
                if self.phase or self._wakes <= time.monotonic():
                    self._wakes = _look(self.deadline) if self.phase else math.inf
                left = None if self._wakes == math.inf else max(self._wakes - time.monotonic(), 0)
                self._changed.wait(left)

    @property
    def is_late(self) -> bool:
        return self.phase is not None and time.monotonic() >= self.deadline

    def leave(self, at: Phase, extra: float, unwanted: Callable[[], bool]) -> bool:
        """Leave it at this phase, if it still is there and has no more time."""
        with self._changed:
            if self.phase is not at or self.is_over:
                return False
            self.deadline = self.began + at.limit + extra
            self.is_left = unwanted() or self.is_late
            return self.is_left

    def result(self) -> T:
        if self._raised is not None:
            raise self._raised
        return self._answer[0]


def _look(deadline: float) -> float:
    """When to look whether a phase is late. Before, where that is far: the next has about the same
    limit, and would have to wake who watches for a deadline that is a little nearer."""
    now = time.monotonic()
    left = deadline - now
    return now + 0.9 * left if left > FAR else deadline


def as_fault(error: BaseException) -> BaseException:
    """Make a Fault of any failure; Ctrl-C and its like stay what they are."""
    if isinstance(error, Fault) or not isinstance(error, Exception):
        return error
    fault = Fault(one_line(f"{type(error).__name__}: {error}", 1000))
    if not isinstance(error, OSError):  # a bug, not a machine's trouble: keep where it was
        fault.add_note(clean("".join(traceback.format_exception(error)), 20_000))
    return fault
