"""The windows that a window manager manages, by the conventions that all follow (EWMH).

Knows nothing of input.
"""

from __future__ import annotations

import codecs
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
MOST_TITLE = 1000  # letters: a window may have a title of megabytes
# WM_NAME may be in an encoding of the nineties, which the manager has read to show it.
NAMES = ("_NET_WM_NAME", "_NET_WM_VISIBLE_NAME", "WM_NAME")
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
    """The windows, the lowest first; a panel is a part of the screen rather than one of them."""
    front = active(link)
    seen = (_window(link, id, front) for id in _ids(link) if not _is_furniture(link, id))
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


def _is_furniture(link: Link, id: int) -> bool:
    kinds = link.property(link.window(id), "_NET_WM_WINDOW_TYPE") or []
    return any(link.atom(f"_NET_WM_WINDOW_TYPE_{name}") in kinds for name in ("DOCK", "DESKTOP"))


def _window(link: Link, id: int, front: int) -> Window | None:
    window = link.window(id)
    with suppress(XError):  # it may close while we ask
        about, place = window.get_geometry(), link.root.translate_coords(id, 0, 0)
        titles = (_text(link.property(window, name, MOST_TITLE)) for name in NAMES)
        kind = _text(link.property(window, "WM_CLASS", MOST_TITLE))
        return Window(
            id=id,
            title=next(filter(None, titles), "")[:MOST_TITLE],
            program=kind.rstrip("\0").split("\0")[-1],
            x=int(place.x),
            y=int(place.y),
            width=int(about.width),
            height=int(about.height),
            active=id == front,
        )
    return None


def _text(value: Any) -> str:
    """UTF-8, the last character of which may be cut in a long text; Latin-1 of old programs."""
    if not isinstance(value, bytes):
        return str(value or "")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(value, len(value) < 4 * MOST_TITLE)
    except UnicodeDecodeError:
        return value.decode("latin-1")
