"""A screen, its mouse, keyboard, clipboard and windows: an X server's, by name.

Knows nothing of who asks, of sandboxes or of MCP. python-xlib is imported at the first call, so
that a program can start, and say what is missing, without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import ScreenError

if TYPE_CHECKING:
    from .session import Session
    from .windows import Window

__all__ = ["Screen", "ScreenError"]

CLOSE_SECONDS = 1.0  # less than a program has for its end


class Screen:
    """What can be done at a screen; places are pixels from the top left.

    It connects at the first call, and again after the server died. All that fails is a
    ScreenError. Threads take turns, for two at one connection would turn in circles for ever:
    `turn` is for one that wants several calls in a row.
    """

    def __init__(self, display: str = "") -> None:
        self._name = display or os.environ.get("DISPLAY", "") or ":0"
        self._open: Session | None = None
        self.turn = threading.RLock()

    def close(self) -> None:
        """Release the keys and buttons that are held, and disconnect.

        Not while another thread's call gets no answer: the server would not hear us either.
        """
        if self.turn.acquire(timeout=CLOSE_SECONDS):
            try:
                session, self._open = self._open, None
                if session:
                    session.close()
            finally:
                self.turn.release()

    def size(self) -> tuple[int, int]:
        with self._session() as session:
            return session.pointer.size()

    def screenshot(self) -> bytes:
        with self._session() as session:
            return session.screenshot()

    def cursor(self) -> tuple[int, int]:
        with self._session() as session:
            return session.pointer.cursor()

    def move(self, x: int, y: int) -> None:
        with self._session() as session:
            session.pointer.move(x, y)

    def click(
        self, x: int | None = None, y: int | None = None, *, button: str = "left", times: int = 1
    ) -> None:
        with self._session() as session:
            session.pointer.click(x, y, button, times)

    def press(self, button: str = "left") -> None:
        with self._session() as session:
            session.pointer.press(button)

    def release(self, button: str = "left") -> None:
        with self._session() as session:
            session.pointer.release(button)

    def drag(
        self, path: Sequence[tuple[int, int]], *, button: str = "left", seconds: float = 0.3
    ) -> None:
        with self._session() as session:
            session.pointer.drag(path, button, seconds)

    def scroll(self, x: int, y: int, *, down: int = 0, right: int = 0) -> None:
        with self._session() as session:
            session.pointer.scroll(x, y, down, right)

    def type(self, text: str) -> None:
        with self._session() as session:
            session.keyboard.type(text)

    def keys(self, chord: str, *, seconds: float = 0) -> None:
        with self._session() as session:
            session.keyboard.keys(chord, seconds)

    def keys_down(self, chord: str) -> None:
        with self._session() as session:
            session.keyboard.keys_down(chord)

    def keys_up(self, chord: str) -> None:
        with self._session() as session:
            session.keyboard.keys_up(chord)

    def clipboard(self) -> str:
        with self._session() as session:
            return session.clipboard.get()

    def set_clipboard(self, text: str) -> None:
        with self._session() as session:
            session.clipboard.set(text)

    def windows(self) -> list[Window]:
        with self._session() as session:
            return session.windows()

    def activate(self, window: int) -> None:
        with self._session() as session:
            session.activate(window)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """The connection; what goes wrong with it is said plainly and ends it."""
        with self.turn:
            session = self._connected()
            try:
                yield session
            except ScreenError:
                raise
            except Exception as error:
                self.close()
                why = " ".join(str(error).split()) or "no reason given"
                raise ScreenError(
                    f"the X server {self._name} failed: {type(error).__name__}: {why}"
                ) from error

    def _connected(self) -> Session:
        if self._open is None:
            try:
                from .session import Session

                self._open = Session(self._name)
            except ImportError as error:
                raise ScreenError(
                    f"{error}: install python-xlib, python3-xlib in Debian"
                ) from error
            except Exception as error:
                why = " ".join(str(error).split())
                raise ScreenError(f"no X server answers at {self._name}: {why}") from error
        return self._open
