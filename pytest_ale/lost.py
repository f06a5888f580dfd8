"""Lost: what a worker was running when it died; all there is of it is a node id.

Knows nothing of xdist.
"""

from __future__ import annotations

import pytest

from pytest_ale.collect import cases
from pytest_ale.fixtures import faulted
from pytest_ale.index import CardIndex
from pytest_ale.launch import agents_of
from pytest_ale.record import RunDir
from pytest_ale.session import AGENTS, RUN, SETTINGS
from pytest_ale.task import Task

__all__ = ["tell_lost"]


def tell_lost(config: pytest.Config, report: pytest.TestReport) -> None:
    """Make a task's report one of an infrastructure fault, unless its score was recorded before."""
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
                return
            report.when = "setup"
            report.longrepr = f"infrastructure fault, no score: {report.longrepr}"
            report.user_properties = faulted(instance, agent, trial)
