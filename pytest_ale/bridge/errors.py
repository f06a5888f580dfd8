"""What a screen says when it cannot do what was asked.

Knows nothing of X.
"""

from __future__ import annotations

__all__ = ["GivenUp", "ScreenError"]


class ScreenError(Exception):
    """The screen cannot be reached, or cannot do what was asked; the message is for the caller."""


class GivenUp(ScreenError):
    """It was left half-done, for nobody waits for it any more."""
