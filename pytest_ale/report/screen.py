"""Screen: a terminal that pytest writes on, with a block of lines below that changes in its place.

Knows nothing of pytest but that it writes into a file; this one is put in that file's place. The
cursor stays where pytest left it, and the block lies below: whatever resizes, scrolls, or writes
from elsewhere, erasing from the cursor to the end takes all of it away, and the next is whole.
Each change is one write, so that there is nothing to flicker.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from pytest_ale.report.cells import width

__all__ = ["Screen"]

ERASE = "\x1b[J"  # from the cursor to the end of the screen
REST = "\x1b[K"  # to the end of the line
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LEAST_LINES = 8  # of a terminal that has room for a block


class Screen:
    """Stands in for a text file; also for one that is no terminal, where lines are all it gets."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.lock = threading.RLock()
        self._rows: tuple[str, ...] = ()
        self._column = 0  # of pytest's cursor, if its last line was not wrapped
        self._fd: int | None = None
        with suppress(OSError, ValueError):  # of a file that has none
            file.flush()
            self._fd = os.dup(file.fileno())  # a test's output is captured by another in its place

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    # What pytest calls.

    def write(self, text: str) -> int:
        with self.lock:
            below = self._rows and not self._stays(text)
            gone = "" if self._hangs else ERASE
            self._move(text)
            self._out(f"{gone}{text}{self._block()}" if below else text)
        return len(text)

    def flush(self) -> None:
        if self._fd is None:
            self.file.flush()

    # What is ours.

    @property
    def size(self) -> os.terminal_size:
        """The terminal's own: where lines are wrapped is not for COLUMNS to say."""
        if self._fd is not None:
            with suppress(OSError):
                columns, lines = os.get_terminal_size(self._fd)
                return os.terminal_size((columns or 80, lines))
        return shutil.get_terminal_size()

    def show(self, rows: Sequence[str]) -> None:
        """Put these lines below what pytest wrote, in the place of those that are there."""
        with self.lock:
            self._rows = tuple(rows)
            self._out(self._block() or ("" if self._hangs else ERASE))

    def say(self, line: str) -> None:
        """A line of its own, which stays."""
        with self.lock:
            self.write(("\n" if self._column else "") + line + "\n")

    def close(self) -> None:
        """Leave nothing of the block."""
        with self.lock:
            if self._rows and not self._hangs:
                self._out(ERASE)
            self._rows = ()
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    @property
    def _hangs(self) -> bool:
        """Is the last line full? Then the cursor is on its last character and past it at once."""
        return self._column > 0 and self._column % self.size.columns == 0

    def _block(self) -> str:
        """Draws all lines anew and comes back; nothing where the cursor hangs at the edge."""
        columns, lines = self.size
        if not self._rows or lines < LEAST_LINES or self._hangs:
            return ""
        rows = self._rows[: lines // 2]
        drawn = REST + "".join(f"\r\n{row}{REST}" for row in rows)
        back = f"\x1b[{len(rows)}A\x1b[{self._column % columns + 1}G"
        return f"{NO_WRAP}{drawn}{ERASE}{back}{WRAP}"

    def _stays(self, text: str) -> bool:
        """Does the cursor stay on its line?"""
        visible = COLOUR.sub("", text)
        return visible.isprintable() and self._column + width(visible) < self.size.columns

    def _move(self, text: str) -> None:
        visible = COLOUR.sub("", text)
        last = re.split(r"[\r\n]", visible)[-1]
        begins = 0 if len(last) < len(visible) else self._column
        self._column = begins + width(last)

    def _out(self, text: str) -> None:
        if self._fd is None:
            self.file.write(text)
            self.file.flush()
            return
        data = text.encode(self.file.encoding or "utf-8", errors="replace")
        while data:
            data = data[os.write(self._fd, data) :]
