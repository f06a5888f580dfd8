"""Lost: what a worker was running when it died; all there is of it is a node id.

Knows nothing of xdist.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Literal

import pytest

from pytest_ale.examine import explain
from pytest_ale.fixtures import faulted
from pytest_ale.ids import cases_of
from pytest_ale.index import CardIndex
from pytest_ale.record import Record, RunDir
from pytest_ale.registry import harness_named
from pytest_ale.remains import record_remains
from pytest_ale.sandbox import RecordFault
from pytest_ale.session import RUN, SETTINGS

if TYPE_CHECKING:
    from pytest_ale.plan import Plan

__all__ = ["tell_lost"]


def tell_lost(
    config: pytest.Config, report: pytest.TestReport, how: str, again: Callable[[], bool]
) -> None:
    """Make reports of a task's of the one that xdist made up. Where its score was recorded before
    the worker died, it is told. Else the attempt is recorded as an infrastructure fault, and the
    item is run `again`; if it is not, for it was before, that fault is told.
    """
    plan = _planned(config, report.nodeid)
    if plan is None:
        return
    run, fault = RunDir(config.stash[RUN]), faulted(plan.instance, plan.agent, plan.trial)
    record = _scored(run, plan, controls=config.stash[SETTINGS].controls)
    report.user_properties = record.properties(run.path) if record else fault
    if config.pluginmanager.getplugin("ale-reporting").knows(report.nodeid):  # died in the teardown
        _end(report)
        return
    if record:
        _tell(config, report, "call", "" if record.passed else explain(record))
        return
    lost, report.user_properties = None, []
    with suppress(RecordFault):  # a full disk; what is told is the same
        lost = record_remains(run, plan, config.stash[SETTINGS].provider, how)
    if not again():
        report.user_properties = lost.properties(run.path) if lost else fault
        _tell(config, report, "setup", f"infrastructure fault, no score: {how}")


def _planned(config: pytest.Config, nodeid: str) -> Plan | None:
    """What an item's attempts were meant to be; None for a test that is no task's."""
    from pytest_ale.plan import make_plan

    for instance, agent, trial in cases_of(config, [nodeid], CardIndex(None)):
        harness, settings = harness_named(agent.harness), config.stash[SETTINGS]
        return make_plan(instance, agent, harness, trial, settings)
    return None


def _scored(run: RunDir, plan: Plan, *, controls: bool) -> Record | None:
    """The attempt's record, if it has a score; one of another identity is of an earlier session,
    before its task was changed."""
    for record in run.records():
        mine = record.identity == plan.identity and (record.agent == "controls") == controls
        if mine and record.score is not None:
            return record
    return None


def _tell(
    config: pytest.Config, report: pytest.TestReport, when: Literal["setup", "call"], why: str
) -> None:
    """Report that an item ended like this; what xdist reports next is then its teardown, without
    which no JUnit file has its properties."""
    ended = copy(report)
    ended.when, ended.longrepr = when, why or None
    ended.outcome = "failed" if why else "passed"
    _end(report)
    config.hook.pytest_runtest_logreport(report=ended)


def _end(report: pytest.TestReport) -> None:
    report.when, report.outcome, report.longrepr = "teardown", "passed", None
