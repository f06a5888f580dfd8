"""A processed file as it was left: its channels, the mask of one of them, and that one's log.

Knows nothing of what is right.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean

import gwy
from gwy import Thing
from surface import PIXELS

from pytest_ale.files import read_bytes

LIMIT = 60_000_000  # bytes; a plain answer has two million
NANO = 1e9


class Answer:
    """Read when it is first asked for; whatever is odd is a ValueError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def file(self) -> Thing:
        return gwy.read(read_bytes(self.path, LIMIT))

    @cached_property
    def number(self) -> str:
        """The number of the channel that has a mask."""
        names = (re.fullmatch(r"/(\d+)/mask", name) for name in self.file.items)
        found = [match[1] for match in names if match]
        if len(found) != 1:
            raise ValueError(f"one channel should have a mask; there are {len(found)}")
        return found[0]

    def field(self, name: str) -> array[float]:
        """A channel's or a mask's numbers; it must be as large as the scan."""
        thing = self.file.get(name)
        size = thing.get("xres"), thing.get("yres")
        data = thing.get("data")
        if size != (PIXELS, PIXELS) or len(data) != PIXELS * PIXELS:
            raise ValueError(f"{name} is {size[0]} by {size[1]}, not as the scan")
        if not all(map(math.isfinite, data)):
            raise ValueError(f"{name} has values that are no numbers")
        return data

    def heights(self) -> list[float]:
        """The masked channel, in nanometres."""
        return [value * NANO for value in self.field(f"/{self.number}/data")]

    def mask(self) -> list[bool]:
        return [value > 0.5 for value in self.field(f"/{self.number}/mask")]

    def others(self) -> list[list[float]]:
        """The channels that have no mask, in nanometres."""
        names = [name for name in self.file.items if re.fullmatch(r"/\d+/data", name)]
        return [
            [value * NANO for value in self.file.get(name).get("data")]
            for name in names
            if name != f"/{self.number}/data"
        ]

    def errors(self, true: Sequence[float], places: Sequence[int]) -> list[float]:
        """How far the masked channel is off; one that has lost the features is level to no use."""
        found = self.heights()
        left = [found[i] / height for i, height in enumerate(true) if abs(height) > 2]
        if fmean(left) < 0.5:
            raise ValueError("the levelled channel does not have the features of the scan")
        return [found[i] - true[i] for i in places]

    def log(self) -> list[str]:
        """The names of what was done to the masked channel."""
        entries = self.file.get(f"/{self.number}/data/log").get("strings")
        return [entry.partition("(")[0] for entry in entries]


def grains(mask: Sequence[bool]) -> list[set[int]]:
    """The places of the mask that hang together, if by a corner: a rim is often ragged."""
    left, found = {i for i, set_ in enumerate(mask) if set_}, []
    while left:
        edge = [left.pop()]
        grain = set(edge)
        while edge:
            new = around(edge.pop()) & left
            left -= new
            grain |= new
            edge += new
        found.append(grain)
    return found


def around(place: int) -> set[int]:
    row, column = divmod(place, PIXELS)
    columns = range(max(0, column - 1), min(PIXELS, column + 2))
    return {j * PIXELS + i for j in (row - 1, row, row + 1) for i in columns}
