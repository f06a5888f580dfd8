"""Ids: what the node ids mean that workers have collected; a controller collects nothing itself.

Knows nothing of how items run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_ale.ceiling import roots
from pytest_ale.collect import CARD, MAIN, cases
from pytest_ale.launch import agents_of
from pytest_ale.session import AGENTS, SETTINGS
from pytest_ale.task import Task

if TYPE_CHECKING:
    from pytest_ale.harness import Agent
    from pytest_ale.index import CardIndex
    from pytest_ale.task import Instance

__all__ = ["Case", "cases_of"]

Case = tuple["Instance", "Agent", int]  # and the trial


def cases_of(config: pytest.Config, ids: Iterable[str], index: CardIndex) -> Iterator[Case]:
    """What is asked of tasks by items with these ids; nothing for tests that are no tasks."""
    files: dict[str, dict[str, Case]] = {}
    for id in ids:
        file, _, name = id.partition("::")
        if file not in files:
            files[file] = _cases_in(config, file, index) if file.endswith(MAIN) else {}
        if case := files[file].get(name):
            yield case


def _cases_in(config: pytest.Config, file: str, index: CardIndex) -> dict[str, Case]:
    """All that a task's file can be collected as, by name."""
    settings = config.stash[SETTINGS]
    agents = config.stash.get(AGENTS, None) or agents_of(config.hook, settings)
    for folder in ((root / file).parent for root in roots(config)):
        if (folder / CARD).is_file():
            try:
                task = Task(folder, index.entry(f"{folder}/{CARD}"))
            except ValueError:  # it changed since
                return {}
            found = cases(task, settings, agents)
            return {name: (instance, agent, trial) for name, instance, agent, trial in found}
    return {}
