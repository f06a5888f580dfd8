"""A connection to an X server: requests, properties, and events waited for with a deadline.

Knows nothing of what is done with it. One thread at a time may use one. Answers are `Any`: the X
library has no types.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from Xlib import X  # type: ignore[import-untyped]
from Xlib.display import Display  # type: ignore[import-untyped]
from Xlib.error import XError, xerror_class  # type: ignore[import-untyped]
from Xlib.protocol.event import ClientMessage  # type: ignore[import-untyped]

__all__ = ["Link"]

ENOUGH = 1 << 22  # 32-bit units of a property that are read at once: 16 MB


class Link:
    """One client of the X server `name`."""

    def __init__(self, name: str) -> None:
        self.display = Display(name)
        self.display.set_error_handler(_ignore)  # else it prints; what we wait for raises
        # Its RandR module registers errors under the numbers of BadRequest and BadValue, and fails
        # at either, in the midst of an answer (python-xlib 0.33).
        self.display.display.error_classes = dict(xerror_class)
        self.root = self.display.screen().root
        self.has_cursor_image = self.display.has_extension("XFIXES")
        if self.has_cursor_image:
            self.display.xfixes_query_version()  # the server refuses the rest before it

    def close(self) -> None:
        with suppress(Exception):  # the server may be gone, or never have been there
            self.display.close()

    def mend(self) -> None:
        """Make the connection usable after a failure in the midst of an answer.

        The library takes note that a thread is sending or receiving, and forgets to undo it; the
        next request then waits for that thread for ever, and turns in circles (python-xlib 0.33).
        """
        self.display.display.send_active = self.display.display.recv_active = 0

    def fileno(self) -> int:
        return int(self.display.fileno())

    def atom(self, name: str) -> int:
        return int(self.display.get_atom(name))  # asks once for each

    def window(self, id: int) -> Any:
        return self.display.create_resource_object("window", id)

    def own_window(self, events: int = 0) -> Any:
        """A window that is never seen, to own selections and take answers."""
        return self.root.create_window(
            -1, -1, 1, 1, 0, X.CopyFromParent, X.InputOnly, event_mask=events
        )

    def property(self, window: Any, name: str, units: int = ENOUGH) -> Any:
        """The value of a property, or None where it, or the window, is not there."""
        with suppress(XError):
            found = window.get_property(self.atom(name), X.AnyPropertyType, 0, units)
            return None if found is None else found.value
        return None

    def tell_manager(self, window: Any, kind: str, data: list[int]) -> None:
        """Send the window manager a request about a window."""
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self.root.send_event(self._message(window, kind, data), mask)

    def tell_program(self, window: Any, kind: str, data: list[int]) -> None:
        """Send a window's program a message, after all events that it was sent before."""
        window.send_event(self._message(window, kind, data))

    def _message(self, window: Any, kind: str, data: list[int]) -> Any:
        return ClientMessage(
            window=window, client_type=self.atom(kind), data=(32, [*data, 0, 0, 0, 0, 0][:5])
        )

    def sync(self) -> None:
        """Return when the server has done all that it was asked."""
        self.display.sync()

    def events(self) -> list[Any]:
        """What has come in by now, without waiting."""
        return [self.display.next_event() for _ in range(self.display.pending_events())]

    def wait(self, wanted: Callable[[Any], bool], seconds: float) -> Any:
        """The next event that is wanted, or None after so many seconds; others are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            while self.display.pending_events():
                if wanted(event := self.display.next_event()):
                    return event
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fileno()], [], [], left)[0]:
                return None


def _ignore(*_: object) -> None: ...
