"""Nanoscope files, as far as a scan needs them: a header of text, then 16-bit numbers.

Knows nothing of what is scanned.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = 8192
Z_SENSITIVITY, AMPLITUDE_SENSITIVITY = 11.42, 38.5  # nm/V


@dataclass(frozen=True)
class Channel:
    """One image; `scale` is the voltage of 65536 steps."""

    name: str
    scale: float
    sensitivity: str
    rows: list[list[int]]  # the uppermost first, as shown


def height_step(scale: float) -> float:
    """Nanometres of one step of a height channel."""
    return scale / 65536 * Z_SENSITIVITY


def encoded(channels: list[Channel], side: float, date: str) -> bytes:
    """The file; its first line is the lowest one, since the frame was scanned upwards."""
    pixels = len(channels[0].rows)
    lines = head(side, pixels, date)
    for number, channel in enumerate(channels):
        lines += section(channel, HEADER + 2 * pixels * pixels * number, side, pixels)
    text = "".join(f"\\{line}\r\n" for line in [*lines, "*File list end"])
    data = (text.encode("ascii") + b"\x1a").ljust(HEADER, b"\0")
    for channel in channels:
        for row in reversed(channel.rows):
            data += struct.pack(f"<{pixels}h", *row)
    return data


def head(side: float, pixels: int, date: str) -> list[str]:
    return [
        "*File list",
        "Version: 0x05120130",
        f"Date: {date}",
        "Start context: OL2",
        f"Data length: {HEADER}",
        "*Equipment list",
        "Description: MultiMode",
        "Controller: IIIa",
        "*Scanner list",
        f"@Sens. Zsens: V {Z_SENSITIVITY} nm/V",
        "*Ciao scan list",
        f"Scan size: {side:g} nm",
        f"Samps/line: {pixels}",
        f"Lines: {pixels}",
        f"@Sens. Amplitude: V {AMPLITUDE_SENSITIVITY} nm/V",
    ]


def section(channel: Channel, offset: int, side: float, pixels: int) -> list[str]:
    scale = f"V [{channel.sensitivity}] ({channel.scale / 65536:.8f} V/LSB)"
    return [
        "*Ciao image list",
        f"Data offset: {offset}",
        f"Data length: {2 * pixels * pixels}",
        "Bytes/pixel: 2",
        "Data type: AFM",
        "Frame direction: Up",
        f"Samps/line: {pixels}",
        f"Number of lines: {pixels}",
        "Aspect ratio: 1:1",
        f"Scan size: {side:g} {side:g} nm",
        "Line Direction: Trace",
        "Realtime planefit: Line",
        f'@2:Image Data: S [{channel.name}] "{channel.name}"',
        "@Z magnify: C [2:Z scale] 0.0138",
        f"@2:Z scale: {scale} {channel.scale:.4f} V",
        f"@2:Z offset: {scale} 0.0 V",
    ]
