"""The call that a thread is at work on, and whether anybody still waits for its answer.

Knows nothing of what a call does. Whoever gives one up sets its event; the work notices at its next
pause and ends there, with its keys, buttons and processes let go.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

from .errors import GivenUp

__all__ = ["begin", "pause"]

# Threads that are started by anyio for a call see what the call's own task has set.
_OVER: ContextVar[threading.Event | None] = ContextVar("over", default=None)


def begin() -> threading.Event:
    """Begin a call; set the event when nobody waits for it any more."""
    over = threading.Event()
    _OVER.set(over)
    return over


def pause(seconds: float) -> None:
    """Sleep as part of a call, unless it was given up."""
    over = _OVER.get()
    if over is None:
        time.sleep(seconds)
    elif over.wait(seconds):
        raise GivenUp("given up: nobody waits for this any more")
