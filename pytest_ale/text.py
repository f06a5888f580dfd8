"""Foreign text made fit to print, to store and to send: whole, plain, and of bounded length.

Imports nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["clean", "one_line", "printable", "shorten", "shown"]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: object, limit: int = 100_000) -> str:
    """Return plain `str` without lone surrogates, cut in the middle past `limit`."""
    plain = str.__str__(text) if isinstance(text, str) else str(text)
    return shorten(plain, limit).encode("utf-8", "backslashreplace").decode()


def shorten(text: str, limit: int) -> str:
    """Keep both ends of a text that is too long, and say how much went."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n[... {len(text) - head - tail} characters cut ...]\n{text[-tail:]}"


def printable(text: str) -> str:
    """Spell control characters out: an agent's words must not drive the terminal."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: object, limit: int = 300) -> str:
    """Fold white space and keep the beginning."""
    folded = " ".join(clean(text).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def shown(value: object, how: Callable[[object], str] = str) -> str:
    """A foreign object as text; "" for one that cannot be shown."""
    try:
        return how(value)
    except Exception:
        return ""
