"""What the screen shows, cursor included, as PNG.

Knows nothing of input. No imaging library: a sandbox may hold a bare Python. python-xlib is needed
to look at a screen, and not by the host, which packs pictures too.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from .errors import ScreenError

if TYPE_CHECKING:
    from .link import Link

__all__ = ["png", "screenshot"]

LEVEL = 1  # 12 ms and 40 KB for a usual desktop of 1280x800; level 6 takes 3x as long, for half


def screenshot(link: Link) -> bytes:
    from Xlib import X  # type: ignore[import-untyped]

    about = link.root.get_geometry()
    width, height = about.width, about.height
    image = link.root.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
    if len(image.data) != 4 * width * height:
        raise ScreenError(f"the screen has a depth of {image.depth} bits: 24 are needed")
    pixels = bytearray(image.data)
    _draw_cursor(link, pixels, width, height)
    return png(pixels, width, height)


def _draw_cursor(link: Link, pixels: bytearray, width: int, height: int) -> None:
    """Lay the cursor over the picture, which the server keeps apart from it."""
    if not link.has_cursor_image:
        return
    cursor: Any = link.display.xfixes_get_cursor_image(link.root)
    left, top = cursor.x - cursor.xhot, cursor.y - cursor.yhot
    for index, argb in enumerate(cursor.cursor_image):
        x, y = left + index % cursor.width, top + index // cursor.width
        if argb >> 24 and 0 <= x < width and 0 <= y < height:
            _blend(pixels, 4 * (y * width + x), argb)


def _blend(pixels: bytearray, at: int, argb: int) -> None:
    """Lay one pixel, whose colours are multiplied by its alpha, over another."""
    through = 255 - (argb >> 24)
    for place, shift in enumerate((0, 8, 16)):  # blue, green, red
        under = pixels[at + place] * through // 255
        pixels[at + place] = min(255, under + (argb >> shift & 255))


def png(bgrx: bytes | bytearray, width: int, height: int) -> bytes:
    """Encode pixels of four bytes: blue, green, red, nothing."""
    rgb = bytearray(3 * width * height)
    for place in range(3):
        rgb[place::3] = bgrx[2 - place :: 4]
    view, row = memoryview(rgb), 3 * width
    packer = zlib.compressobj(LEVEL)
    lines = b"".join(b"\0" + view[at : at + row] for at in range(0, len(rgb), row))
    data = packer.compress(lines) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
