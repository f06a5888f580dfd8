"""An exam for AI agents that runs as pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pytest_ale.grade import Grade as Grade
    from pytest_ale.grade import cheat as cheat
    from pytest_ale.grade import near_miss as near_miss

__all__ = ["Grade", "cheat", "hookimpl", "near_miss"]

hookimpl = pluggy.HookimplMarker("pytest")


def __getattr__(name: str) -> object:
    """Load what task code uses only in the process that runs it: every pytest start imports us."""
    if name in ("Grade", "cheat", "near_miss"):
        from pytest_ale import grade

        return getattr(grade, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
