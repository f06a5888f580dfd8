"""Cells: foreign text for a terminal's line, whose width is known and which can do nothing there.

Knows nothing of what is shown. What an agent writes may hold sequences that move the cursor, marks
that turn the line's direction, and characters of no or of two cells.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

__all__ = ["cut", "padded", "plain", "width"]

GONE = {"Cf", "Me"}  # marks of direction, joiners, tags; enclosing marks
SHOWN = "�"  # instead of what has no shape of its own


@lru_cache(maxsize=4096)
def _cells(char: str) -> int:
    """0 for a mark on the character before; -1 for what is not to be shown."""
    kind = unicodedata.category(char)
    if kind in GONE or (kind[0] in "CZ" and char != " ") or "\ufe00" <= char <= "\ufe0f":
        return -1
    if kind == "Mn" or "\u1160" <= char <= "\u11ff":  # Hangul vowels join the letter before
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def plain(text: str) -> str:
    """One line without anything that a terminal would act upon; white space is folded."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    shown: list[str] = []
    marks = 0
    for char in " ".join(text.split()):
        cells = _cells(char)
        marks = marks + 1 if cells == 0 else 0
        if cells > 0 or (marks == 1 and shown):  # one mark a character: no towers
            shown.append(char)
        elif cells < 0 and unicodedata.category(char) not in GONE | {"Mn"}:
            shown.append(SHOWN)
    return "".join(shown)


def width(text: str) -> int:
    """Cells that a plain text takes."""
    return len(text) if text.isascii() else sum(max(_cells(char), 0) for char in text)


def cut(text: str, cells: int) -> str:
    """As much of a plain text as fits; what is cut ends in an ellipsis."""
    if width(text) <= cells:
        return text
    kept, room = [], max(cells - 1, 0)
    for char in text:
        if (room := room - max(_cells(char), 0)) < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…" * (cells > 0)


def padded(text: str, cells: int) -> str:
    """Cut, and filled with spaces."""
    short = cut(text, cells)
    return short + " " * (cells - width(short))
