"""Progress: lines about work that takes long outside any test, such as building an image.

Knows neither who says them nor where they are shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["show", "tell", "to_stderr"]


def to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


_shown: list[Callable[[str], None]] = [to_stderr]


def tell(line: str) -> None:
    """Say a line, from any thread."""
    _shown[-1](line)


def show(how: Callable[[str], None]) -> Callable[[], None]:
    """Show lines in another way from now on; what is returned undoes it."""
    _shown.append(how)
    return lambda: _shown.remove(how)
