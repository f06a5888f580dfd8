"""Lost: what a worker was running when it died; all there is of it is a node id.

Knows nothing of xdist.
"""

from __future__ import annotations

from copy import copy
from typing import Literal

import pytest

from pytest_ale.collect import cases
from pytest_ale.examine import explain
from pytest_ale.fixtures import faulted
from pytest_ale.index import CardIndex
from pytest_ale.launch import agents_of
from pytest_ale.record import RunDir
from pytest_ale.session import AGENTS, RUN, SETTINGS
from pytest_ale.task import Task

__all__ = ["tell_lost"]


def tell_lost(config: pytest.Config, report: pytest.TestReport) -> None:
    """Make reports of a task's of the one that xdist made up: of its score, where that was
    recorded before the worker died, else of an infrastructure fault."""
    folder = (config.rootpath / report.nodeid.partition("::")[0]).parent
    try:
        task = Task(folder, CardIndex(None).entry(f"{folder}/card.yaml"))
    except ValueError:  # no task
        return
    settings = config.stash[SETTINGS]
    agents = config.stash.get(AGENTS, None) or agents_of(config.hook, settings)
    for name, instance, agent, trial in cases(task, settings, agents):
        if report.nodeid.endswith(f"::{name}"):
            run = RunDir(config.stash[RUN])
            record = run.latest().get((task.id, instance.variant_id, agent.label, trial))
            if record and record.score is not None:
                report.user_properties = record.properties(run.path)
                _tell(config, report, "call", "" if record.passed else explain(record))
                return
            report.user_properties = faulted(instance, agent, trial)
            why = f"infrastructure fault, no score: {report.longrepr}"
            _tell(config, report, "setup", why)


def _tell(
    config: pytest.Config, report: pytest.TestReport, when: Literal["setup", "call"], why: str
) -> None:
    """Report that an item ended like this; what xdist reports next is then its teardown, without
    which no JUnit file has its properties."""
    ended = copy(report)
    ended.when, ended.longrepr = when, why or None
    ended.outcome = "failed" if why else "passed"
    report.when, report.outcome, report.longrepr = "teardown", "passed", None
    reporting = config.pluginmanager.getplugin("ale-reporting")
    if not reporting.knows(report.nodeid):  # it may have died in the teardown
        config.hook.pytest_runtest_logreport(report=ended)
