"""What an attempt may use of a model: requests, tokens, dollars, time.

Knows nothing of HTTP. Prices come from whoever starts the gateway.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_ale.gateway.usage import Usage

__all__ = ["Limits", "Price", "Spent", "priced", "the_price"]

Price = Callable[[str, Usage], float | None]  # dollars of what a model used, None if not known


@dataclass(frozen=True)
class Spent:
    """What counts against limits; `turns` are requests that were answered, or are being."""

    turns: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """Ceilings of one attempt, None for none; seconds count from when these limits were set, and
    do not while the model's server has the agent wait for its rate limits."""

    turns: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None

    def over(self, spent: Spent) -> str:
        """The name of a limit that is used up, or ""."""
        for name, most in vars(self).items():
            if most is not None and getattr(spent, name) >= most:
                return name
        return ""

    def told(self, name: str) -> str:
        return f"{getattr(self, name):g} {name}"


def the_price(spec: str, file: str = "") -> Price:
    """The function that `MODULE:NAME` names, or makes of a file; "" knows no price."""
    if not spec:
        return lambda model, usage: None
    module, _, name = spec.partition(":")
    named = getattr(importlib.import_module(module), name)
    found: Price = named(file) if file else named
    priced(found, "", Usage())  # what it imports, it imports now: no stream has to wait for it
    return found


def priced(price: Price, model: str, usage: Usage) -> float | None:
    """Ask for a price; what is no amount of money is not known."""
    try:
        usd = price(model, usage)
        return float(usd) if usd is not None and math.isfinite(usd) and usd >= 0 else None
    except Exception:  # somebody else's code; a stream must not end by it
        return None
