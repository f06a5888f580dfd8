"""What a screen says when it cannot do what was asked.

Knows nothing of X.
"""

from __future__ import annotations

__all__ = ["ScreenError"]


class ScreenError(Exception):
    """The screen cannot be reached, or cannot do what was asked; the message is for the caller."""
