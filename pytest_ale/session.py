"""What one pytest process knows of the run: stash keys, filled by the plugin, read by the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ale.harness import Agent
    from pytest_ale.index import CardIndex
    from pytest_ale.settings import Settings

__all__ = ["AGENTS", "CARDS", "DONE", "RUN", "SETTINGS"]

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
AGENTS: pytest.StashKey[list[Agent]] = pytest.StashKey()  # from the first task folder on
CARDS: pytest.StashKey[CardIndex] = pytest.StashKey()  # from the first task folder on
RUN: pytest.StashKey[Path] = pytest.StashKey()  # the run directory, which may not exist yet
# Identities that have a score already; None when nothing is resumed.
DONE: pytest.StashKey[frozenset[str] | None] = pytest.StashKey()
