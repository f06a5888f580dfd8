"""What one pytest process knows of the run: stash keys, filled by the plugin, read by the rest."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ale.harness import Agent
    from pytest_ale.index import CardIndex
    from pytest_ale.runner import Job
    from pytest_ale.settings import Settings

__all__ = [
    "AGENTS",
    "CARDS",
    "COLLECTED",
    "DONE",
    "DURATIONS",
    "GATEWAY",
    "JOB",
    "RUN",
    "SETTINGS",
    "cache_file",
    "heed_sigterm",
    "own_properties",
]

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
AGENTS: pytest.StashKey[list[Agent]] = pytest.StashKey()  # from the first task folder on
CARDS: pytest.StashKey[CardIndex] = pytest.StashKey()  # from the first task folder on
RUN: pytest.StashKey[Path] = pytest.StashKey()  # the run directory, which may not exist yet
# Where workers reach the model gateway of the run; None where no agent needs one.
GATEWAY: pytest.StashKey[Path | None] = pytest.StashKey()
# Identities that have a score already; None when nothing is resumed.
DONE: pytest.StashKey[frozenset[str] | None] = pytest.StashKey()
COLLECTED: pytest.StashKey[int] = pytest.StashKey()  # tasks' items that the session is to run
# What the order of items goes by, packed; None where they keep that in which they were collected.
DURATIONS: pytest.StashKey[bytes | None] = pytest.StashKey()


# The attempts of an item, which are over: --ale-concurrency.
JOB: pytest.StashKey[Job | None] = pytest.StashKey()


def cache_file(config: pytest.Config, name: str) -> Path | None:
    """None with -p no:cacheprovider, or where nothing can be written."""
    cache = getattr(config, "cache", None)
    try:
        return cache.mkdir("ale") / name if cache else None
    except OSError:
        return None


def own_properties(properties: Iterable[object]) -> dict[str, object]:
    """Those of a report's user properties that are ours; any test may add what it likes."""
    pairs = [entry for entry in properties if isinstance(entry, tuple) and len(entry) == 2]
    return {
        name: value for name, value in pairs if isinstance(name, str) and name.startswith("ale.")
    }


def heed_sigterm(config: pytest.Config) -> None:
    """End by SIGTERM as by Ctrl-C, with records and without sandboxes: CI systems send it."""
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        config.add_cleanup(_forget_sigterm)


def _forget_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
