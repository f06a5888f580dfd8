"""Phases: how the story of an attempt is told, each phase held to a named deadline and clocked.

Knows no step in particular. A story is a generator that yields its phases and is sent what each
came to. One thread goes through all of it: with hundreds of attempts at once, switches of threads
for each phase took half of the time in which Python ran. When a phase does not end in time, or
nobody is to wait for it any more, its thread is left behind with it; another goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pytest_ale.sandbox import Fault, PhaseTimeout
from pytest_ale.turn import Hand, Phase, Story, Turn, as_fault

__all__ = ["LINGER", "Cancelled", "Phases", "Story", "as_fault", "phase"]

T = TypeVar("T")

LINGER = 1.0  # seconds the end of an attempt waits for a phase that it left behind


class Cancelled(BaseException):
    """The attempt is not to go on: the run ends. As with Ctrl-C, that is no fault."""


def phase(
    name: str, limit: float, step: Callable[[], T], extra: Callable[[], float] = lambda: 0.0
) -> Story[T]:
    """A story of one phase, for others to yield from."""
    answer: T = yield Phase(name, limit, step, extra)
    return answer


class Phases:
    """Tells the stories of one attempt; none can hang whoever waits for it."""

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
        self._changed = threading.Condition()
        self._interrupt: BaseException | None = None  # Ctrl-C, which the story is to be told
        self._cancelled = self._firm = False

    def run(
        self,
        name: str,
        limit: float,
        step: Callable[[], T],
        extra: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Do one phase."""
        return self.tell(phase(name, limit, step, extra))

    def tell(self, story: Story[T]) -> T:
        """Go through a story; whatever fails in a phase is a Fault that knows the phase.

        Up to its first phase, and from one that is left up to the next, it is told right here.
        """
        go_on = partial(next, story)
        while True:
            try:
                turn = Turn(story, go_on(), self._changed, self._enters, self._over)
            except StopIteration as end:
                answer: T = end.value
                return answer
            self._do(turn.go)
            error = self._watch(turn)
            if error is None:
                return turn.result()
            self._left_behind = self._hand
            self.end()
            go_on = partial(story.throw, error)

    def cancel(self) -> None:
        """End the phase at work, and all that would follow, by Cancelled; from any thread."""
        with self._changed:
            self._cancelled = not self._firm
            self._changed.notify_all()

    def stand_firm(self) -> None:
        """Let nothing be cancelled from now on: what follows gives back what was taken."""
        self._firm, self._cancelled = True, False

    def end(self) -> None:
        """Let the thread go; another phase would have a new one."""
        if self._hand is not None:
            self._hand.given.put(None)
        self._hand = None

    def linger(self, seconds: float) -> None:
        """Give a phase that a deadline or Ctrl-C left behind time to end."""
        if self._left_behind is not None:
            self._left_behind.join(seconds)

    def _do(self, body: Callable[[], None]) -> None:
        if self._hand is None:
            self._hand = Hand()
            self._hand.start()
        self._hand.given.put(body)

    def _watch(self, turn: Turn[Any]) -> BaseException | None:
        """Wait until a turn is over; or leave it at its phase, and say why."""
        while True:
            try:
                turn.wait(self._is_unwanted)
                if turn.is_over:
                    return None
                if (at := turn.phase) and self._leave(turn, at):
                    return self._noted(at, turn.began, self._why(at))
            except KeyboardInterrupt as interrupt:
                self._interrupt = interrupt

    def _leave(self, turn: Turn[Any], at: Phase) -> bool:
        # What is extra may be asked of another process: not while the turn waits for us.
        return turn.leave(at, 0 if self._is_unwanted() else at.extra(), self._is_unwanted)

    def _why(self, at: Phase) -> BaseException:
        interrupt, self._interrupt = self._interrupt, None
        if interrupt or self._cancelled:
            return interrupt or Cancelled(f"cancelled in phase {at.name}")
        late = PhaseTimeout(f"{at.name} did not end within {at.limit:g} s")
        late.phase = at.name
        return late

    def _noted(self, at: Phase, began: float, error: BaseException) -> BaseException:
        try:
            self._over(at, began, error)
        except BaseException as worse:
            return worse
        return error

    def _is_unwanted(self) -> bool:
        return self._cancelled or self._interrupt is not None

    def _enters(self, at: Phase) -> bool:
        self.now = at.name
        self._begun(at.name)
        return not self._is_unwanted()

    def _over(self, at: Phase, began: float, error: BaseException | None) -> None:
        self.seconds[at.name] = took = round(time.monotonic() - began, 4)
        self._told(at.name, took, str(error) if isinstance(error, Fault) else "")
