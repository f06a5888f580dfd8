"""Resuming: a session that goes on with a run, and what it says of that before it begins.

Knows nothing of how items run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from pytest_ale.changes import Key, changes, overtaken
from pytest_ale.collect import TaskItem
from pytest_ale.ids import Case, cases_of
from pytest_ale.index import CardIndex
from pytest_ale.plan import Plan, make_plan
from pytest_ale.record import RunDir
from pytest_ale.registry import harness_named
from pytest_ale.session import AGENTS, RUN, SETTINGS

__all__ = ["said_of_ids", "said_of_items"]


def said_of_items(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """In the only process there is: of the items that are to run."""
    mine = (item for item in items if isinstance(item, TaskItem))
    return _said(config, [(item.task_instance, item.agent, item.trial) for item in mine])


def said_of_ids(config: pytest.Config, ids: Sequence[str], index: CardIndex) -> list[str]:
    """In a controller: of the ids that a worker has collected."""
    return _said(config, list(cases_of(config, ids, index)))


def _said(config: pytest.Config, cases: Sequence[Case]) -> list[str]:
    controls = config.stash[SETTINGS].controls
    latest = RunDir(config.stash[RUN]).latest()
    records = {
        key: record for key, record in latest.items() if (record.agent == "controls") == controls
    }
    scored = {key for key, record in records.items() if record.score is not None}
    keys = [_key(case, controls=controls) for case in cases]
    plans: list[tuple[Key, Plan]] = [
        (key, _plan(config, case)) for key, case in zip(keys, cases, strict=True) if key in scored
    ]
    again = overtaken(records, plans)
    agents = config.stash.get(AGENTS, None) or []
    lines = changes(records.values(), again, agents)
    return [f"ale: resume: {line}" for line in lines]


def _key(case: Case, *, controls: bool) -> Key:
    instance, agent, trial = case
    label = "controls" if controls else agent.label
    return instance.task.id, instance.variant_id, label, trial


def _plan(config: pytest.Config, case: Case) -> Plan:
    instance, agent, trial = case
    return make_plan(instance, agent, harness_named(agent.harness), trial, config.stash[SETTINGS])
