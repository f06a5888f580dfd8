"""The windows that a window manager manages, by the conventions that all follow (EWMH).

Knows nothing of input.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from Xlib import X  # type: ignore[import-untyped]
from Xlib.error import XError  # type: ignore[import-untyped]

from .calls import pause
from .errors import ScreenError
from .link import Link

__all__ = ["Window", "activate", "active", "windows"]

ACTIVE_SECONDS = 2.0
LOOK_SECONDS = 0.003
PAGER = 2  # who asks: not a program for itself, whose wish a manager may refuse


@dataclass(frozen=True)
class Window:
    """A window, its place without the frame."""

    id: int
    title: str
    program: str
    x: int
    y: int
    width: int
    height: int
    active: bool


def windows(link: Link) -> list[Window]:
    """The windows, the lowest first."""
    front = active(link)
    seen = (_window(link, id, front) for id in _ids(link))
    return [window for window in seen if window]


def active(link: Link) -> int:
    """Id of the window that has the keyboard, or 0."""
    found = link.property(link.root, "_NET_ACTIVE_WINDOW")
    return int(found[0]) if found else 0


def activate(link: Link, id: int) -> None:
    ids = _ids(link)
    if id not in ids:
        there = ", ".join(str(each) for each in ids) or "none"
        raise ScreenError(f"there is no window {id!r}; there are: {there}")
    link.tell_manager(link.window(id), "_NET_ACTIVE_WINDOW", [PAGER, X.CurrentTime])
    deadline = time.monotonic() + ACTIVE_SECONDS
    while active(link) != id:
        if time.monotonic() > deadline:
            raise ScreenError(f"window {id} did not take the keyboard in {ACTIVE_SECONDS:g} s")
        pause(LOOK_SECONDS)


def _ids(link: Link) -> list[int]:
    manager = link.property(link.root, "_NET_SUPPORTING_WM_CHECK")
    if not manager or link.property(link.window(manager[0]), "_NET_WM_NAME") is None:
        raise ScreenError("no window manager runs on this screen, so nobody knows its windows")
    for name in ("_NET_CLIENT_LIST_STACKING", "_NET_CLIENT_LIST"):
        found = link.property(link.root, name)
        if found is not None:
            return [int(id) for id in found]
    return []


def _window(link: Link, id: int, front: int) -> Window | None:
    window = link.window(id)
    with suppress(XError):  # it may close while we ask
        about, place = window.get_geometry(), link.root.translate_coords(id, 0, 0)
        named = link.property(window, "_NET_WM_NAME") or link.property(window, "WM_NAME")
        program = _text(link.property(window, "WM_CLASS")).rstrip("\0").split("\0")[-1]
        return Window(
            id=id,
            title=_text(named),
            program=program,
            x=int(place.x),
            y=int(place.y),
            width=int(about.width),
            height=int(about.height),
            active=id == front,
        )
    return None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
