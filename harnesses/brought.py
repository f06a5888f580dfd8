"""Programs that no registry has: a folder that the user laid down as a kit, by hand.

~/.cache/pytest-ale/kits/cursor-by-hand-linux-x86_64/cursor-agent
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_ale.kits import Kit, cache, machine_of
from pytest_ale.sandbox import HarnessFault

__all__ = ["Brought"]

HANDS = "by-hand"


@dataclass(frozen=True)
class Brought:
    """`program` is what is run, by its path in the folder."""

    kit: str
    program: str

    version: ClassVar[str] = HANDS
    by: ClassVar[str] = "hand"

    def resolve(self, asked: str) -> str:
        if asked != HANDS:
            raise HarnessFault(f"{self.kit} {asked}: no registry has it; bring {self._whole}")
        return HANDS

    @property
    def _whole(self) -> Path:
        return cache() / str(Kit(self.kit, HANDS, f"linux-{machine_of('')}"))

    def kit_of(self, version: str) -> Path:
        if not (self._whole / self.program).is_file():
            raise HarnessFault(
                f"{self.kit} is in no registry that is known here: install it by its own"
                f" instructions, and copy it so that its program is {self._whole / self.program}"
            )
        return self._whole

    def is_here(self, version: str) -> bool:
        return (self._whole / self.program).is_file()

    def command(self, kit: str) -> list[str]:
        return [f"{kit}/{self.program}"]
