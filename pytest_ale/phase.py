"""Phase: one step of the story, held to a named deadline and clocked.

Knows no step in particular.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from pytest_ale.sandbox import Fault, PhaseTimeout
from pytest_ale.text import clean, one_line

__all__ = ["LINGER", "Phases", "as_fault"]

T = TypeVar("T")

LINGER = 1.0  # seconds the end of an attempt waits for a phase that it left behind


class Phases:
    """Runs the phases of one attempt, each in a thread, so that none can hang the story."""

    def __init__(self, told: Callable[[str, float, str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self.now = ""
        self._told = told
        self._thread: threading.Thread | None = None

    def run(self, name: str, limit: float, step: Callable[[], T]) -> T:
        """Do one phase; whatever fails in it is a Fault that knows the phase."""
        self.now, started = name, time.monotonic()
        fault = ""
        try:
            return self._within(name, limit, step)
        except Fault as error:
            error.phase = error.phase or name
            fault = str(error)
            raise
        finally:
            self.seconds[name] = round(time.monotonic() - started, 4)
            self._told(name, self.seconds[name], fault)

    def _within(self, name: str, limit: float, step: Callable[[], T]) -> T:
        answer: list[T] = []
        raised: list[BaseException] = []
        done = threading.Event()

        def body() -> None:
            try:
                answer.append(step())
            except BaseException as error:
                raised.append(error)
            done.set()

        self._thread = threading.Thread(target=body, name=f"ale-{name}", daemon=True)
        self._thread.start()
        if not done.wait(limit):
            raise PhaseTimeout(f"{name} did not end within {limit:g} s")
        if raised:
            raise as_fault(raised[0])
        return answer[0]

    def last_thread(self) -> threading.Thread | None:
        """The phase begun last, which a deadline or Ctrl-C may have left behind at work."""
        return self._thread


def as_fault(error: BaseException) -> BaseException:
    """Make a Fault of any failure; Ctrl-C and its like stay what they are."""
    if isinstance(error, Fault) or not isinstance(error, Exception):
        return error
    fault = Fault(one_line(f"{type(error).__name__}: {error}", 1000))
    if not isinstance(error, OSError):  # a bug, not a machine's trouble: keep where it was
        fault.add_note(clean("".join(traceback.format_exception(error)), 20_000))
    return fault
