"""Hands on a desktop, for oracles: wait for windows, use a terminal, copy text.

Knows nothing of tasks. Every wait has a deadline, and says what it waited for and what was there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_ale.sandbox import Desktop, Window

__all__ = ["Hands"]

T = TypeVar("T")
PATIENCE = 40.0  # seconds; a program starts in two on a quiet machine
PAUSE = 0.05
NOTHING = "(nothing was copied yet)"


class Hands:
    """One person at one desktop."""

    def __init__(self, desktop: Desktop) -> None:
        self.desktop = desktop
        self._terminal = 0

    def until(self, what: str, probe: Callable[[], T], seconds: float = PATIENCE) -> T:
        """Probe until something comes of it, and return that. TimeoutError: nothing did."""
        end = time.monotonic() + seconds
        while not (found := probe()):
            if time.monotonic() > end:
                shown = [window.title for window in self.desktop.windows()]
                raise TimeoutError(f"waited {seconds:g} s for {what}; windows: {shown}")
            time.sleep(PAUSE)
        return found

    def window(self, part: str, seconds: float = PATIENCE) -> Window:
        """The window with this in its title, once it is there and has the keyboard."""

        def probe() -> Window | None:
            found = [window for window in self.desktop.windows() if part in window.title]
            if found and not found[-1].active:
                self.desktop.activate(found[-1].id)
            return found[-1] if found and found[-1].active else None

        found = self.until(f"a window titled {part}", probe, seconds)
        assert found is not None
        return found

    def closed(self, window: Window) -> None:
        """Wait until a window is gone."""

        def gone() -> bool:
            return all(each.id != window.id for each in self.desktop.windows())

        self.until(f"{window.title} to close", gone)

    def run(self, command: str) -> None:
        """Type a command into a terminal, which is opened when it is first needed."""
        if not self._terminal:
            self._terminal = self.until("a terminal", self._opened_terminal)
            time.sleep(0.5)  # its shell starts to read
        self.desktop.activate(self._terminal)
        self.desktop.type(command + "\n")

    def _opened_terminal(self) -> int:
        """Press the panel's first button, and see what comes."""
        width, height = self.desktop.size()
        self.desktop.click(17, height - 17)
        self.desktop.move(width // 2, height // 4)
        try:
            return self.until("xterm", self._terminals, 10)[-1]
        except TimeoutError:
            return 0  # to be pressed again

    def _terminals(self) -> list[int]:
        return [w.id for w in self.desktop.windows() if "xterm" in w.program.lower()]

    def copied(self, copy: Callable[[], object]) -> str:
        """What an action puts on the clipboard."""
        self.desktop.set_clipboard(NOTHING)
        copy()

        def changed() -> str:
            text = self.desktop.clipboard()
            return "" if text == NOTHING else text

        return self.until("something on the clipboard", changed, 10)

    def text(self, path: str) -> str:
        """A text file's contents, by way of the clipboard."""
        return self.copied(lambda: self.run(f"xclip -selection clipboard {path}"))
