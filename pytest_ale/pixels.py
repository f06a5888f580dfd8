"""A screenshot's pixels, for oracles that must see: true colour, 8 bits, with or without alpha.

Knows nothing of screens. For one colour here and there; whole pictures are for other libraries.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["Pixels"]

START = 8  # bytes of a PNG's signature
BYTES = {2: 3, 6: 4}  # of a pixel, by colour type


class Pixels:
    """Colours by place."""

    def __init__(self, png: bytes) -> None:
        self.width, self.height, depth, kind, _, _, laced = struct.unpack(">IIBBBBB", png[16:29])
        if depth != 8 or kind not in BYTES or laced:
            raise ValueError(f"a PNG of depth {depth}, colour type {kind}, interlace {laced}")
        self._step = BYTES[kind]
        data = zlib.decompress(b"".join(_bodies(png)))
        self._rows = _unfiltered(data, self.width * self._step, self._step)

    def at(self, x: int, y: int) -> tuple[int, int, int]:
        red, green, blue = self._rows[y][x * self._step : x * self._step + 3]
        return red, green, blue


def _bodies(png: bytes) -> Iterator[bytes]:
    at = START
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            yield png[at + 8 : at + 8 + length]
        at += length + 12


def _unfiltered(data: bytes, length: int, step: int) -> list[bytes]:
    rows: list[bytes] = []
    above = bytes(length)
    for at in range(0, len(data), length + 1):
        row = bytearray(data[at + 1 : at + 1 + length])
        if data[at]:
            _undo(data[at], row, above, step)
        above = bytes(row)
        rows.append(above)
    return rows


def _undo(kind: int, row: bytearray, above: bytes, step: int) -> None:
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guess = (left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind - 1]
        row[i] = (row[i] + guess) & 255


def _paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
