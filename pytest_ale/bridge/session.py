"""All parts of one X screen over one connection, as long as the server lives.

Knows nothing of who asks; python-xlib is needed from here on.
"""

from __future__ import annotations

from contextlib import suppress

from . import picture, windows
from .clipboard import Clipboard
from .keyboard import Keyboard
from .link import Link
from .pointer import Pointer

__all__ = ["Session"]


class Session:
    """A connection and what works over it."""

    def __init__(self, name: str) -> None:
        self.link = Link(name)
        self.pointer = Pointer(self.link)
        self.keyboard = Keyboard(self.link)
        self.clipboard = Clipboard(name)

    def screenshot(self) -> bytes:
        return picture.screenshot(self.link)

    def windows(self) -> list[windows.Window]:
        return windows.windows(self.link)

    def activate(self, window: int) -> None:
        windows.activate(self.link, window)

    def close(self) -> None:
        """Release what is held and disconnect; a server that is gone is no matter."""
        for step in (
            self.link.mend,
            self.keyboard.let_go,
            self.pointer.let_go,
            self.clipboard.close,
            self.link.close,
        ):
            with suppress(Exception):
                step()
