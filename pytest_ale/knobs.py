"""Knobs: what the values of knobs may be, for those that several agents have.

Knows no agent. Each function parses a value as `Knob.parse` does, or makes one that does.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["number", "one_of", "tools"]


def one_of(*allowed: str) -> Callable[[str], str]:
    named = ", ".join(filter(None, allowed)) + (", or nothing" if "" in allowed else "")

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"allowed: {named}")
        return text

    return parse


def number(least: int, most: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise ValueError(f"must be a number from {least} to {most}")
        return text

    return parse


def tools(text: str) -> str:
    """Names of an agent's own tools, with commas between them."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if odd := [name for name in found if not re.fullmatch(r"[A-Za-z_][\w-]*", name)]:
        raise ValueError(f"{odd[0]!r} is no name of a tool; names have commas between them")
    return ",".join(found)
