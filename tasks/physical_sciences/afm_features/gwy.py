"""Gwyddion's native files: objects with named and typed items, one within the other.

Knows nothing of what is in them. Whatever is odd is a ValueError.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Any

MAGIC, DEPTH = b"GWYP", 12
ATOMS = {"b": "<?", "c": "<c", "i": "<i", "q": "<q", "d": "<d"}
ARRAYS = {"C": "b", "I": "i", "Q": "q", "D": "d"}
LITTLE = sys.byteorder == "little"


@dataclass
class Thing:
    """An object: its class, and its items as (type, value) by name."""

    kind: str
    items: dict[str, tuple[str, Any]]

    def get(self, name: str) -> Any:
        """An item's value, or None."""
        return self.items[name][1] if name in self.items else None


def read(data: bytes) -> Thing:
    if data[:4] != MAGIC:
        raise ValueError("this is no GWY file: it does not begin with GWYP")
    try:
        return Reader(data).thing(4, 0)[0]
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"the GWY file is damaged: {error!r}") from error


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def text(self, at: int) -> tuple[str, int]:
        end = self.data.index(b"\0", at)
        return self.data[at:end].decode("utf-8", errors="replace"), end + 1

    def size(self, at: int) -> tuple[int, int]:
        return struct.unpack_from("<I", self.data, at)[0], at + 4

    def thing(self, at: int, depth: int) -> tuple[Thing, int]:
        if depth > DEPTH:
            raise ValueError(f"objects within objects, more than {DEPTH} deep")
        kind, at = self.text(at)
        length, at = self.size(at)
        end, items = at + length, {}
        if end > len(self.data):
            raise ValueError(f"the {kind} goes on after the file's end")
        while at < end:
            name, at = self.text(at)
            type_ = chr(self.data[at])
            value, at = self.value(type_, at + 1, depth)
            items[name] = (type_, value)
        return Thing(kind, items), at

    def value(self, type_: str, at: int, depth: int) -> tuple[Any, int]:
        if type_ == "o":
            return self.thing(at, depth + 1)
        if type_ == "s":
            return self.text(at)
        if type_ in ATOMS:
            form = ATOMS[type_]
            return struct.unpack_from(form, self.data, at)[0], at + struct.calcsize(form)
        count, at = self.size(at)
        if type_ in ARRAYS:
            return self.numbers(ARRAYS[type_], count, at)
        return self.several({"S": "s", "O": "o"}[type_], count, at, depth)

    def numbers(self, code: str, count: int, at: int) -> tuple[array[Any], int]:
        found = array(code)
        end = at + count * found.itemsize
        if end > len(self.data):
            raise ValueError(f"{count} numbers go on after the file's end")
        found.frombytes(self.data[at:end])
        if not LITTLE:
            found.byteswap()
        return found, end

    def several(self, type_: str, count: int, at: int, depth: int) -> tuple[list[Any], int]:
        found = []
        for _ in range(count):
            value, at = self.value(type_, at, depth)
            found.append(value)
        return found, at


def write(thing: Thing) -> bytes:
    return MAGIC + packed(thing)


def packed(thing: Thing) -> bytes:
    body = b"".join(
        name.encode() + b"\0" + type_.encode() + packed_value(type_, value)
        for name, (type_, value) in thing.items.items()
    )
    return thing.kind.encode() + b"\0" + struct.pack("<I", len(body)) + body


def packed_value(type_: str, value: Any) -> bytes:
    if type_ == "o":
        return packed(value)
    if type_ == "s":
        return value.encode() + b"\0"
    if type_ in ATOMS:
        return struct.pack(ATOMS[type_], value)
    count = struct.pack("<I", len(value))
    if type_ in ARRAYS:
        numbers = array(ARRAYS[type_], value)
        if not LITTLE:
            numbers.byteswap()
        return count + numbers.tobytes()
    return count + b"".join(packed_value(type_.lower(), each) for each in value)
