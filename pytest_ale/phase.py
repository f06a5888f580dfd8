"""Phase: one step of the story, held to a named deadline and clocked.

Knows no step in particular.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from pytest_ale.sandbox import Fault, PhaseTimeout
from pytest_ale.text import clean, one_line

__all__ = ["LINGER", "Cancelled", "Phases", "as_fault"]

T = TypeVar("T")

LINGER = 1.0  # seconds the end of an attempt waits for a phase that it left behind


class Cancelled(BaseException):
    """The attempt is not to go on: the run ends. As with Ctrl-C, that is no fault."""


class Hand(threading.Thread):
    """A thread that does what it is given, one after the other, until it is given None."""

    def __init__(self) -> None:
        super().__init__(name="ale-phases", daemon=True)
        self.given: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def run(self) -> None:
        while (do := self.given.get()) is not None:
            do()


class Phases:
    """Runs the phases of one attempt in a thread of theirs, so that none can hang the story; one
    that does keeps its thread, and the next has another."""

    def __init__(
        self,
        told: Callable[[str, float, str], None],
        begun: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.now = ""
        self._told = told
        self._begun = begun
        self._hand: Hand | None = None
        self._left_behind: Hand | None = None
        self._moved = threading.Event()  # the phase is over, or nobody waits for it any more
        self._cancelled = self._firm = False

    def run(
        self,
        name: str,
        limit: float,
        step: Callable[[], T],
        extra: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Do one phase; whatever fails in it is a Fault that knows the phase.

        `extra` is asked at the limit how many seconds do not count, as far as is known then.
        """
        self._begun(name)
        self.now, started = name, time.monotonic()
        fault = ""
        try:
            return self._within(name, limit, step, extra)
        except Fault as error:
            error.phase = error.phase or name
            fault = str(error)
            raise
        finally:
            self.seconds[name] = round(time.monotonic() - started, 4)
            self._told(name, self.seconds[name], fault)

    def cancel(self) -> None:
        """End the phase at work, and all that would follow, by Cancelled; from any thread."""
        if not self._firm:
            self._cancelled = True
            self._moved.set()

    def stand_firm(self) -> None:
        """Let nothing be cancelled from now on: what follows gives back what was taken."""
        self._firm, self._cancelled = True, False

    def _within(
        self, name: str, limit: float, step: Callable[[], T], extra: Callable[[], float]
    ) -> T:
        answer: list[T] = []
        raised: list[BaseException] = []
        self._moved = moved = threading.Event()

        def body() -> None:
            try:
                answer.append(step())
            except BaseException as error:
                raised.append(error)
            moved.set()

        try:
            if not self._cancelled:
                self._do(body)
                self._wait(name, moved, limit, extra)
            if raised:
                raise as_fault(raised[0])
            if self._cancelled and not answer:
                raise Cancelled(f"cancelled in phase {name}")
            return answer[0]
        finally:
            if not (answer or raised):
                self._left_behind = self._hand
                self.end()

    def _do(self, body: Callable[[], None]) -> None:
        if self._hand is None:
            self._hand = Hand()
            self._hand.start()
        self._hand.given.put(body)

    def end(self) -> None:
        """Let the thread go; another phase would have a new one."""
        if self._hand is not None:
            self._hand.given.put(None)
        self._hand = None

    def _wait(
        self, name: str, moved: threading.Event, limit: float, extra: Callable[[], float]
    ) -> None:
        started = time.monotonic()
        while not moved.wait(max(started + limit + extra() - time.monotonic(), 0)):
            if time.monotonic() >= started + limit + extra():
                raise PhaseTimeout(f"{name} did not end within {limit:g} s")

    def linger(self, seconds: float) -> None:
        """Give a phase that a deadline or Ctrl-C left behind time to end."""
        if self._left_behind is not None:
            self._left_behind.join(seconds)


def as_fault(error: BaseException) -> BaseException:
    """Make a Fault of any failure; Ctrl-C and its like stay what they are."""
    if isinstance(error, Fault) or not isinstance(error, Exception):
        return error
    fault = Fault(one_line(f"{type(error).__name__}: {error}", 1000))
    if not isinstance(error, OSError):  # a bug, not a machine's trouble: keep where it was
        fault.add_note(clean("".join(traceback.format_exception(error)), 20_000))
    return fault
