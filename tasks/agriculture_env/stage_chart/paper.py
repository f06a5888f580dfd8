"""A sheet of scanned chart paper: drawn in chart units, seen tilted, written as PNG.

Knows nothing of rivers.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Colour = tuple[int, int, int]
# Letters and digits as rows of five, seven rows each, for printed labels.
GLYPHS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "01110 10000 11110 10001 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00001 01110",
    ".": "00000 00000 00000 00000 00000 01100 01100",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "N": "10001 11001 10101 10011 10001 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "W": "10001 10001 10001 10101 10101 11011 10001",
    "m": "00000 00000 11010 10101 10101 10101 10101",
    "f": "00110 01000 11100 01000 01000 01000 01000",
    "t": "01000 01000 11100 01000 01000 01001 00110",
}


@dataclass(frozen=True)
class Place:
    """How the chart lies in the scan: its origin, size in pixels, and tilt in radians."""

    left: float
    bottom: float
    width: float
    height: float
    tilt: float

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """The scan's pixel of a place on the chart; u and v run from 0 to 1."""
        x, y = u * self.width, -v * self.height
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        return self.left + x * cos - y * sin, self.bottom + x * sin + y * cos


class Sheet:
    """Pixels of a sheet of paper with something drawn on it."""

    def __init__(self, width: int, height: int, place: Place, rng: random.Random) -> None:
        self.width, self.height, self.place, self.rng = width, height, place, rng
        grain = [rng.randrange(-6, 7) for _ in range(4099)]
        self.pixels = bytearray()
        for i in range(width * height):
            speck = grain[i % 4099]
            self.pixels += bytes((243 + speck, 238 + speck, 224 + speck))

    def blend(self, x: int, y: int, colour: Colour, strength: float) -> None:
        if not (0 <= x < self.width and 0 <= y < self.height):
            return
        at = 3 * (y * self.width + x)
        for i in range(3):
            was = self.pixels[at + i]
            self.pixels[at + i] = round(was + (colour[i] - was) * strength)

    def dot(self, x: float, y: float, radius: float, colour: Colour, strength: float = 1) -> None:
        reach = math.ceil(radius + 1)
        for i in range(math.floor(x) - reach, math.floor(x) + reach + 1):
            for j in range(math.floor(y) - reach, math.floor(y) + reach + 1):
                cover = radius + 0.5 - math.hypot(i - x, j - y)
                if cover > 0:
                    self.blend(i, j, colour, strength * min(cover, 1))

    def line(self, ends: list[tuple[float, float]], colour: Colour, strength: float) -> None:
        """A thin straight line between two places on the chart."""
        (x0, y0), (x1, y1) = (self.place.pixel(*end) for end in ends)
        steps = round(max(abs(x1 - x0), abs(y1 - y0)))
        for i in range(steps + 1):
            x, y = x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps
            self.blend(round(x), round(y), colour, strength)

    def trace(
        self, points: Iterable[tuple[float, float]], radius: float, colour: Colour, strength: float
    ) -> None:
        """What a pen draws through places on the chart, as a stroke without gaps."""
        last: tuple[float, float] | None = None
        for u, v in points:
            x, y = self.place.pixel(u, v)
            steps = math.ceil(math.hypot(x - last[0], y - last[1])) if last else 1
            for i in range(1, steps + 1):
                a, b = last or (x, y)
                wobble = radius + self.rng.uniform(-0.25, 0.25)
                self.dot(a + (x - a) * i / steps, b + (y - b) * i / steps, wobble, colour, strength)
            last = x, y

    def text(self, x: float, y: float, text: str, colour: Colour, size: int = 2) -> None:
        """Printed letters with their middle at a pixel of the scan, tilted as the chart is."""
        cos, sin = math.cos(self.place.tilt), math.sin(self.place.tilt)
        for n, letter in enumerate(text):
            for row, bits in enumerate(GLYPHS.get(letter, "").split()):
                for column in (i for i, bit in enumerate(bits) if bit == "1"):
                    for k in range(size * size):
                        a = (6 * n + column - 3 * len(text)) * size + k % size
                        b = (row - 3) * size + k // size
                        self.blend(
                            round(x + a * cos - b * sin), round(y + a * sin + b * cos), colour, 0.9
                        )

    def stain(self, x: float, y: float, radius: int, colour: Colour) -> None:
        """A ring such as a cup leaves."""
        for i in range(int(x) - radius, int(x) + radius + 1):
            for j in range(int(y) - radius, int(y) + radius + 1):
                off = math.hypot(i - x, j - y) / radius
                if off < 1:
                    self.blend(i, j, colour, 0.10 + 0.25 * max(0, 1 - 14 * abs(off - 0.93)))

    def save(self, path: Path) -> None:
        step = 3 * self.width
        rows = (b"\0" + self.pixels[i : i + step] for i in range(0, len(self.pixels), step))
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        body = zlib.compress(b"".join(rows), 9)
        parts = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
