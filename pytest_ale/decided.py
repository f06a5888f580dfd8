"""Decided: what is decided once for all processes of a run, and how a worker learns of it.

Knows nothing of items or attempts. Imported by every pytest start: it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ale.session import AGENTS, DONE, GATEWAY, RUN, SETTINGS
from pytest_ale.settings import Settings, new_run_id
from pytest_ale.wire import from_controller, is_worker

if TYPE_CHECKING:
    from pytest_ale.harness import Agent

__all__ = ["choose_run", "decided", "gateway_of", "versions"]


def choose_run(config: pytest.Config, settings: Settings) -> None:
    """The controller chooses the run and what is done already; workers are told."""
    told = from_controller(config)
    if told:
        config.stash[RUN] = Path(told["run"])
        config.stash[DONE] = None if told["done"] is None else frozenset(told["done"])
    elif settings.resume:
        _resume(config, settings)
    else:
        config.stash[RUN], config.stash[DONE] = settings.runs_dir / new_run_id(), None


def _resume(config: pytest.Config, settings: Settings) -> None:
    from pytest_ale import progress
    from pytest_ale.hold import Busy, resume_alone
    from pytest_ale.launch import scored, to_resume

    try:
        run = to_resume(settings)
        if not (config.option.collectonly or settings.dry_run):
            config.add_cleanup(resume_alone(run, progress.to_stderr))
    except (Busy, LookupError) as error:
        raise pytest.UsageError(f"pytest-ale: {error.args[0]}") from None
    config.stash[RUN], config.stash[DONE] = run, scored(run, settings)


def decided(config: pytest.Config) -> dict[str, object]:
    """What each worker is told."""
    done, gateway = config.stash[DONE], _gateway_for_workers(config)
    agents: list[Agent] = config.stash.get(AGENTS, [])
    return {
        "run": str(config.stash[RUN]),
        "done": None if done is None else sorted(done),
        "versions": {agent.label: agent.resolved for agent in agents},
        "gateway": str(gateway) if gateway else "",
    }


def _gateway_for_workers(config: pytest.Config) -> Path | None:
    if AGENTS not in config.stash:
        return None
    from pytest_ale.sandbox import Fault

    try:
        return gateway_of(config)
    except Fault as fault:
        raise pytest.UsageError(f"pytest-ale: {fault}") from None


def versions(config: pytest.Config) -> Mapping[str, str] | None:
    """What the controller found that agents' versions mean, in a worker; None elsewhere."""
    told: Mapping[str, str] | None = from_controller(config).get("versions")
    return told


def gateway_of(config: pytest.Config) -> Path | None:
    """Where the model gateway of the run is reached, if an agent needs one; started if need be.

    A Fault says why it cannot be had.
    """
    if GATEWAY not in config.stash:
        if is_worker(config):
            told = from_controller(config)["gateway"]
            config.stash[GATEWAY] = Path(told) if told else None
        else:
            config.stash[GATEWAY] = _start_gateway(config)
    return config.stash[GATEWAY]


def _start_gateway(config: pytest.Config) -> Path | None:
    if config.option.collectonly or AGENTS not in config.stash:
        return None
    from pytest_ale.channels.tree import remove
    from pytest_ale.launch import make_gateway

    gateway = make_gateway(config.stash[SETTINGS], config.stash[AGENTS], config.stash[RUN])
    if gateway is None:
        return None
    config.add_cleanup(partial(remove, gateway.control.parent.parent))
    config.add_cleanup(gateway.close)
    gateway.start()
    return gateway.control
