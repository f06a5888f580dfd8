"""Places on the screen as a model names them, and as the screen has them.

Knows nothing of X or MCP. A model names a place as it saw it: by the pixels of the picture it was
shown, which may be scaled down, or from 0 to 1000 along each side, whatever the picture's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .shrink import Scale

__all__ = ["KINDS", "Coordinates", "OffScreen"]

KINDS = ("pixels", "thousandths")
WHOLE = 1000


class OffScreen(Exception):
    """A place that is not on the screen; the message says what places are."""


@dataclass(frozen=True)
class Coordinates:
    """How places are named on a screen of so many pixels."""

    kind: str
    scale: Scale
    width: int
    height: int

    @property
    def shown(self) -> tuple[int, int]:
        """Size of the pictures that a model is shown."""
        return self.scale.size(self.width, self.height)

    @property
    def most(self) -> tuple[int, int]:
        """The last place that can be named, at the lower right."""
        width, height = self.shown
        return (WHOLE, WHOLE) if self.kind == "thousandths" else (width - 1, height - 1)

    def told(self) -> str:
        """What a model has to know to name a place, in a sentence."""
        right, bottom = self.most
        if self.kind == "thousandths":
            return "[x, y] from 0 to 1000, from the left and top edge to the right and bottom one"
        width, height = self.shown
        return (
            f"[x, y] in pixels of the screenshot, which is {width}x{height}: "
            f"x 0 to {right}, y 0 to {bottom}"
        )

    def to_screen(self, place: Sequence[float]) -> tuple[int, int]:
        if not all(0 <= value <= most for value, most in zip(place, self.most)):  # noqa: B905 - Python 3.10
            raise OffScreen(f"[{place[0]:g}, {place[1]:g}] is off the screen: give {self.told()}")
        if self.kind == "thousandths":
            sides = zip(place, (self.width, self.height))  # noqa: B905
            x, y = (round(value * (side - 1) / WHOLE) for value, side in sides)
            return x, y
        # The middle of the pixel that was shown; what was added to fill a group is off the screen.
        x, y = (int((round(value) * 2 + 1) * self.scale.pixels / 2) for value in place)
        return min(x, self.width - 1), min(y, self.height - 1)

    def to_model(self, x: int, y: int) -> tuple[int, int]:
        if self.kind == "thousandths":
            return round(x * WHOLE / (self.width - 1)), round(y * WHOLE / (self.height - 1))
        return int(x / self.scale.pixels), int(y / self.scale.pixels)
