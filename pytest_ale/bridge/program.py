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
IDLE_SECONDS = 2.0  # one that is never idle plays a film
LOOK_SECONDS = 0.004
LOOKS = 3  # in a row that must find it idle
BLIND_SECONDS = 0.3  # for a program that nothing is known of


def caught_up(link: Link) -> None:
    """Return when the program in front has taken what it was sent, as far as can be known."""
    front = active(link)
    if not front:
        return pause(BLIND_SECONDS)
    window = link.window(front)
    ping = link.atom("_NET_WM_PING") in (link.property(window, "WM_PROTOCOLS") or [])
    if ping:
        _ping(link, window)
    process = link.property(window, "_NET_WM_PID")
    if process:
        _await_idle(int(process[0]))
    elif not ping:
        pause(BLIND_SECONDS)
    return None


def _ping(link: Link, window: Any) -> None:
    nonce = int.from_bytes(os.urandom(4), "big")
    link.root.change_attributes(event_mask=X.SubstructureNotifyMask)
    try:
        link.tell_program(window, "WM_PROTOCOLS", [link.atom("_NET_WM_PING"), nonce, window.id])
        link.wait(lambda event: _is_pong(event, nonce), PONG_SECONDS)
    finally:
        link.root.change_attributes(event_mask=0)


def _is_pong(event: Any, nonce: int) -> bool:
    return bool(event.type == X.ClientMessage and event.data[1][1] == nonce)


def _await_idle(process: int) -> None:
    deadline, found = time.monotonic() + IDLE_SECONDS, 0
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
