"""The mouse: moves, buttons, drags and the wheel, as the X server's test input.

Knows nothing of the keyboard or of windows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from Xlib import X  # type: ignore[import-untyped]
from Xlib.ext.xtest import fake_input  # type: ignore[import-untyped]

from .calls import pause
from .errors import ScreenError
from .link import Link

__all__ = ["Pointer"]

BUTTONS = {"left": 1, "middle": 2, "right": 3}
UP, DOWN, LEFT, RIGHT = 4, 5, 6, 7  # the wheel
DOWN_SECONDS = 0.008  # how long a click holds its button: a person's 80 ms would be slow
PAUSE_SECONDS = 0.015  # between clicks of a double click; toolkits give it 250-500 ms
STEP_SECONDS = 0.012  # between the moves of a drag; toolkits look at each 16 ms
STEPS = 10  # the least number of moves in a drag: a threshold of 8 pixels has to be crossed
MOST_CLICKS, MOST_NOTCHES, MOST_SECONDS = 10, 1000, 300


class Pointer:
    """The mouse of one screen."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: set[int] = set()

    def size(self) -> tuple[int, int]:
        about = self._link.root.get_geometry()
        return int(about.width), int(about.height)

    def cursor(self) -> tuple[int, int]:
        at = self._link.root.query_pointer()
        return int(at.root_x), int(at.root_y)

    def move(self, x: int, y: int) -> None:
        self._check(x, y)
        self._motion(x, y)
        self._link.sync()

    def click(self, x: int | None, y: int | None, button: str, times: int) -> None:
        number = _button(button)
        _bounded("times", times, 1, MOST_CLICKS)
        self._go(x, y)
        for again in range(times):
            if again:
                time.sleep(PAUSE_SECONDS)
            self._press(number)
            time.sleep(DOWN_SECONDS)
            self._release(number)

    def press(self, button: str) -> None:
        self._press(_button(button))

    def release(self, button: str) -> None:
        self._release(_button(button))

    def drag(self, path: Sequence[tuple[int, int]], button: str, seconds: float) -> None:
        number = _button(button)
        _bounded("seconds", seconds, 0, MOST_SECONDS)
        places = [self._place(place) for place in path]
        if len(places) < 2:
            raise ScreenError(f"a drag needs a path of two places or more, not {len(places)}")
        self.move(*places[0])
        moves = _between(places, max(STEPS, int(seconds / STEP_SECONDS)))
        self._press(number)
        try:
            for x, y in moves:
                pause(seconds / (len(moves) + 1))
                self.move(x, y)
            pause(seconds / (len(moves) + 1))
        finally:
            self._release(number)

    def scroll(self, x: int, y: int, down: int, right: int) -> None:
        for name, count in (("down", down), ("right", right)):
            _bounded(name, count, -MOST_NOTCHES, MOST_NOTCHES)
        self._go(x, y)
        for number, count in ((DOWN, down), (UP, -down), (RIGHT, right), (LEFT, -right)):
            for _ in range(count):
                self._input(X.ButtonPress, number)
                self._input(X.ButtonRelease, number)
        self._link.sync()

    def let_go(self) -> None:
        """Release the buttons that are held."""
        for number in list(self._held):
            self._release(number)

    def _go(self, x: int | None, y: int | None) -> None:
        if (x is None) != (y is None):
            raise ScreenError(f"x={x}, y={y}: give both, or neither for where the cursor is")
        if x is not None and y is not None:
            self.move(x, y)

    def _press(self, number: int) -> None:
        self._held.add(number)
        self._input(X.ButtonPress, number)
        self._link.sync()

    def _release(self, number: int) -> None:
        self._held.discard(number)
        self._input(X.ButtonRelease, number)
        self._link.sync()

    def _input(self, kind: int, number: int) -> None:
        fake_input(self._link.display, kind, number)

    def _motion(self, x: int, y: int) -> None:
        fake_input(self._link.display, X.MotionNotify, x=x, y=y)

    def _place(self, place: Sequence[int]) -> tuple[int, int]:
        try:
            x, y = place
        except (TypeError, ValueError):
            raise ScreenError(f"{place!r} is no place: give (x, y)") from None
        self._check(x, y)
        return x, y

    def _check(self, x: int, y: int) -> None:
        width, height = self.size()
        for value in (x, y):
            if not isinstance(value, int) or isinstance(value, bool):
                raise ScreenError(f"x={x!r}, y={y!r}: give whole pixels")
        if not (0 <= x < width and 0 <= y < height):
            raise ScreenError(
                f"({x}, {y}) is off the screen, which has {width}x{height} pixels:"
                f" x is 0 to {width - 1}, y is 0 to {height - 1}"
            )


def _button(name: str) -> int:
    if name not in BUTTONS:
        raise ScreenError(f"there is no button {name!r}: give {', '.join(BUTTONS)}")
    return BUTTONS[name]


def _bounded(name: str, value: float, least: float, most: float) -> None:
    kind = (int, float) if name == "seconds" else int
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
        raise ScreenError(f"{name}={value!r}: give a number from {least} to {most}")


def _between(places: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """At least `count` places along a path, evenly by its legs, each of its own among them."""
    per_leg = -(-count // (len(places) - 1))
    found = []
    for (x1, y1), (x2, y2) in zip(places, places[1:]):  # noqa: B905, RUF007 - Python 3.10
        for step in range(1, per_leg + 1):
            part = step / per_leg
            found.append((round(x1 + (x2 - x1) * part), round(y1 + (y2 - y1) * part)))
    return found
