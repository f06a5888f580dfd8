"""Whether the program in front has taken the events that it was sent.

Knows nothing of what they are. A ping is answered after all that came before it, by most toolkits;
a program that waits for input, as the kernel sees it, has none left. Time alone says little: on a
busy machine xterm was seen to need more than 0.3 s for a key.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from Xlib import X  # type: ignore[import-untyped]

from .calls import pause
from .link import Link
from .windows import active

__all__ = ["caught_up"]

PONG_SECONDS = 3.0
PONG_LOOKS = 3  # for one that works: with 10,000 letters in a line, a GTK editor is slow
IDLE_SECONDS = 2.0  # one that is never idle plays a film
UNASKED_SECONDS = 5.0  # the same, for one that cannot be asked
LOOK_SECONDS = 0.004
LOOKS = 3  # in a row that must find it idle
BLIND_SECONDS = 0.3  # for a program that nothing is known of


def caught_up(link: Link) -> bool:
    """Wait until the program in front has taken what it was sent; False if it surely has not."""
    front = active(link)
    if not front:
        pause(BLIND_SECONDS)
        return True
    window = link.window(front)
    ping = link.atom("_NET_WM_PING") in (link.property(window, "WM_PROTOCOLS") or [])
    process = int((link.property(window, "_NET_WM_PID") or [0])[0])
    if ping and not _answers(link, window, process):
        return False
    if process:
        _await_idle(process, IDLE_SECONDS if ping else UNASKED_SECONDS)
    elif not ping:
        pause(BLIND_SECONDS)
    return True


def _answers(link: Link, window: Any, process: int) -> bool:
    """Whether a pong comes; none will from a program that waits: it is stuck rather than slow."""
    nonce = int.from_bytes(os.urandom(4), "big")
    link.root.change_attributes(event_mask=X.SubstructureNotifyMask)
    try:
        link.tell_program(window, "WM_PROTOCOLS", [link.atom("_NET_WM_PING"), nonce, window.id])
        for _ in range(PONG_LOOKS):
            if link.wait(lambda event: _is_pong(event, nonce), PONG_SECONDS):
                return True
            if not process or _idle(process):
                return False
            pause(0)
        return False
    finally:
        link.root.change_attributes(event_mask=0)


def _is_pong(event: Any, nonce: int) -> bool:
    return bool(event.type == X.ClientMessage and event.data[1][1] == nonce)


def _await_idle(process: int, seconds: float) -> None:
    deadline, found = time.monotonic() + seconds, 0
    while found < LOOKS and time.monotonic() < deadline:
        pause(LOOK_SECONDS)
        found = found + 1 if _idle(process) else 0


def _idle(process: int) -> bool:
    """Whether all threads of a process wait; one that is gone waits for ever."""
    try:
        stats = [path.read_bytes() for path in Path(f"/proc/{process}/task").glob("*/stat")]
    except OSError:
        return True
    return all(stat.rpartition(b") ")[2][:1] not in (b"R", b"D") for stat in stats)
