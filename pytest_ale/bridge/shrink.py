"""Make a PNG of a screen smaller, for models that take pictures up to a size.

Knows nothing of X, and reads only PNGs of picture.py. No imaging library: means of many bytes at
once are taken as long integers, so that a screen of 1920x1080 costs 0.2 s and not a minute.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from .picture import png

__all__ = ["Scale", "bounded", "scaled"]

HEADER = 33  # of a PNG: its signature and the IHDR chunk
BITS = (5, 4, 3, 2, 1)  # of each colour that are kept where a picture is too large


@dataclass(frozen=True)
class Scale:
    """How a screen is scaled down: so often to two thirds, so often to a half."""

    thirds: int = 0
    halves: int = 0

    @classmethod
    def to(cls, longest: int, width: int, height: int) -> Scale:
        """The least change by which the longer side has at most `longest` pixels."""
        scales = [cls(*counts) for counts in product(range(4), range(5))]
        fit = [scale for scale in scales if max(scale.size(width, height)) <= longest]
        return min(fit or scales[-1:], key=lambda scale: scale.pixels)

    @property
    def pixels(self) -> Fraction:
        """Pixels of the screen to one that is shown, along a side."""
        return Fraction(3**self.thirds * 2**self.halves, 2**self.thirds)

    def size(self, width: int, height: int) -> tuple[int, int]:
        for _ in range(self.thirds):
            width, height = (-(-side // 3) * 2 for side in (width, height))
        for _ in range(self.halves):
            width, height = (-(-side // 2) for side in (width, height))
        return width, height


def scaled(data: bytes, scale: Scale) -> bytes:
    """The picture, scaled down: what is shown of a pixel is the mean of what was there."""
    if scale == Scale():
        return data
    width, height, rgb = _pixels(data)
    planes = [_Plane(rgb[colour::3], width, height) for colour in range(3)]
    for times, step in ((scale.thirds, _Plane.two_thirds), (scale.halves, _Plane.half)):
        for _ in range(times):
            planes = [step(plane) for plane in planes]
    return _png([plane.data for plane in planes], planes[0].width, planes[0].height)


def bounded(data: bytes, most: int) -> bytes:
    """The picture in at most so many bytes, if need be in fewer colours; its size stays.

    A size that changed with what is on the screen would have a model click beside its aim.
    """
    if len(data) <= most:
        return data
    width, height, rgb = _pixels(data)
    for bits in BITS:
        kept = rgb.translate(_fewer(bits))
        data = _png([kept[colour::3] for colour in range(3)], width, height)
        if len(data) <= most:
            break
    return data


def _fewer(bits: int) -> bytes:
    """A table that rounds a colour to so many bits, black and white staying what they are."""
    levels = (1 << bits) - 1
    return bytes(round(round(value * levels / 255) * 255 / levels) for value in range(256))


def _pixels(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and colours of a PNG of three bytes a pixel, unfiltered, in one chunk."""
    width, height = struct.unpack_from(">II", data, 16)
    (size,) = struct.unpack_from(">I", data, HEADER)
    lines = zlib.decompress(data[HEADER + 8 : HEADER + 8 + size])
    row = 3 * width + 1
    if len(lines) != row * height or any(lines[::row]):
        raise ValueError("not a picture of ours: its lines are filtered")
    view = memoryview(lines)
    return width, height, b"".join(view[at + 1 : at + row] for at in range(0, len(lines), row))


def _png(planes: list[bytes], width: int, height: int) -> bytes:
    bgrx = bytearray(4 * width * height)
    for place, plane in enumerate(reversed(planes)):
        bgrx[place::4] = plane
    return png(bgrx, width, height)


@dataclass(frozen=True)
class _Plane:
    """One colour of a picture, a byte a pixel."""

    data: bytes
    width: int
    height: int

    def half(self) -> _Plane:
        return self._along(2)._turned(2)

    def two_thirds(self) -> _Plane:
        return self._along(3)._turned(3)

    def _along(self, group: int) -> _Plane:
        """Shrink each line, by groups of neighbours."""
        padded = self._padded(group)
        parts = [padded.data[place::group] for place in range(group)]
        return _Plane(
            _woven(_means(parts), 1), len(parts[0]) * (group - 1) // self.height, self.height
        )

    def _turned(self, group: int) -> _Plane:
        """Shrink each column, by groups of lines."""
        missing = -self.height % group
        data = self.data + self.data[-self.width :] * missing
        view, width = memoryview(data), self.width
        starts = range(0, len(data), width)
        parts = [
            b"".join(view[at : at + width] for at in starts[place::group]) for place in range(group)
        ]
        means = _means(parts)
        return _Plane(_woven(means, width), width, len(means) * len(parts[0]) // width)

    def _padded(self, group: int) -> _Plane:
        """Repeat the last pixel of each line until the groups are full."""
        missing, width = -self.width % group, self.width
        if not missing:
            return self
        lines = [self.data[at : at + width] for at in range(0, len(self.data), width)]
        data = b"".join(line + line[-1:] * missing for line in lines)
        return _Plane(data, width + missing, self.height)


def _means(parts: list[bytes]) -> list[bytes]:
    """Of two neighbours their mean; of three, two of which the outer ones have three quarters."""
    if len(parts) == 2:
        return [_mean(*parts)]
    first, middle, last = parts
    return [_mean(first, _mean(first, middle)), _mean(last, _mean(last, middle))]


def _mean(one: bytes, other: bytes) -> bytes:
    """The means of bytes, pair by pair, all in one sum; no carry goes from one to the next."""
    a, b = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    upper = int.from_bytes(b"\xfe" * len(one), "little")
    return ((a & b) + (((a ^ b) & upper) >> 1)).to_bytes(len(one), "little")


def _woven(parts: list[bytes], width: int) -> bytes:
    """Put parts together again, `width` bytes of each in turn."""
    if len(parts) == 1:
        return parts[0]
    if width == 1:
        woven = bytearray(len(parts[0]) * len(parts))
        for place, part in enumerate(parts):
            woven[place :: len(parts)] = part
        return bytes(woven)
    starts = range(0, len(parts[0]), width)
    return b"".join(part[at : at + width] for at in starts for part in parts)
