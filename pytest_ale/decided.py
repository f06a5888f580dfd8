"""Decided: what is decided once for all processes of a run, and how a worker learns of it.

Knows nothing of items or attempts. Imported by every pytest start: it imports next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ale.options import OPTIONS
from pytest_ale.session import AGENTS, DONE, DURATIONS, GATEWAY, RUN, SETTINGS
from pytest_ale.settings import Settings, new_run_id
from pytest_ale.wire import from_controller, is_dealt, is_worker

if TYPE_CHECKING:
    from pytest_ale.harness import Agent

__all__ = ["choose_run", "decided", "durations", "environ", "gateway_of", "hold_run", "versions"]

HELD: pytest.StashKey[bool] = pytest.StashKey()  # by this process, until its session is over


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
    from pytest_ale.hold import AtWork, resume_alone
    from pytest_ale.launch import scored, to_resume

    try:
        run = to_resume(settings)
        if not (config.option.collectonly or settings.dry_run):
            config.add_cleanup(resume_alone(run, progress.to_stderr))
            config.stash[HELD] = True
    except (AtWork, LookupError) as error:
        raise pytest.UsageError(f"pytest-ale: {error.args[0]}") from None
    config.stash[RUN], config.stash[DONE] = run, scored(run, settings)


def hold_run(config: pytest.Config, *, make: bool = False) -> None:
    """Let nobody resume this run before this process is done with it, whoever works for it.

    `make` is for a controller: workers make the directory with their first attempts, and between
    the death of one and the start of the next nobody else would hold it.
    """
    if config.stash.setdefault(HELD, False):
        return
    from pytest_ale.hold import hold
    from pytest_ale.record import RunDir
    from pytest_ale.sandbox import RecordFault

    run = config.stash[RUN]
    with suppress(OSError, RecordFault):  # the first attempt will say so
        if make:
            run.mkdir(parents=True, exist_ok=True)
        if run.is_dir():
            config.stash[HELD] = True
            config.add_cleanup(hold(run))
        if make:  # when it is held: with run.json in it, it could be resumed
            RunDir(run).ensure(config.stash[SETTINGS])


def decided(config: pytest.Config) -> dict[str, object]:
    """What each worker is told."""
    done, gateway = config.stash[DONE], _gateway_for_workers(config)
    agents: list[Agent] = config.stash.get(AGENTS, [])
    return {
        "run": str(config.stash[RUN]),
        "done": None if done is None else sorted(done),
        "durations": durations(config),
        "versions": {agent.label: agent.resolved for agent in agents},
        "gateway": str(gateway) if gateway else "",
        "environ": dict(environ(config)),
    }


def environ(config: pytest.Config) -> Mapping[str, str]:
    """The settings that this process has from its environment: a worker has its controller's, since
    none travels to another host."""
    told: Mapping[str, str] | None = from_controller(config).get("environ")
    if told is not None:
        return told
    names = (option.key.upper() for option in OPTIONS)
    return {name: os.environ[name] for name in names if name in os.environ}


def durations(config: pytest.Config) -> bytes | None:
    """What items are sorted by, as it was when the first worker was told: one that comes in the
    place of another is to sort as all others did."""
    if DURATIONS not in config.stash:
        told = from_controller(config)
        config.stash[DURATIONS] = told["durations"] if told else _known_durations(config)
    return config.stash[DURATIONS]


def _known_durations(config: pytest.Config) -> bytes | None:
    """None where nothing is gained by an order, or where --stepwise has one to keep."""
    settings = config.stash[SETTINGS]
    if config.option.collectonly or config.getoption("stepwise", None):
        return None
    if settings.concurrency == 1 and not is_dealt(config):
        return None
    if not (settings.runs_dir / "durations.json").is_file():
        return b""
    from pytest_ale.durations import Durations

    return Durations.read(settings.runs_dir).pack()


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
