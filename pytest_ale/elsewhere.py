"""Elsewhere: a worker on another host, or with another view of the disk: does it mean what its
controller means, and can the controller read what it writes?

Knows nothing of items, or of how workers are reached. A worker leaves a file in the run's directory
when it has collected; its controller looks for it before any item is dealt. A score on a disk that
nobody reads would be lost, and one made with other settings is a score of something else.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pytest_ale.decided import gateway_of
from pytest_ale.harness import Agent
from pytest_ale.launch import agents_of
from pytest_ale.options import OPTIONS
from pytest_ale.record import git_revision, versions
from pytest_ale.registry import harness_named
from pytest_ale.session import AGENTS, RUN, SETTINGS

__all__ = ["introduce", "meet"]

MOST = 3  # differences that are told
REVISION = "git revision"
APART = {"dir"}  # settings that may differ: of the run's directory a worker is told

PAGE = "docs/scale-out.md"


def introduce(config: pytest.Config, name: str) -> None:
    """In a worker: say in the run's directory what it would do, and what it cannot."""
    file = _file(config, name)
    made = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    config.add_cleanup(partial(_leave, file, made))
    told = {"same": _meant(config), "lacks": list(_lacks(config))}
    with suppress(OSError):  # then nobody will find it
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # knobs may be secrets
        file.write_text(json.dumps(told), encoding="utf-8")


def _leave(file: Path, made: list[Path]) -> None:
    """Nothing stays behind on a disk that turned out to be another one."""
    file.unlink(missing_ok=True)
    with suppress(OSError):  # not empty: records were made
        for folder in made:
            folder.rmdir()


def meet(config: pytest.Config, name: str, where: str) -> None:
    """In a controller: end the run as a wrong use if a worker is not what it is taken for."""
    file = _file(config, name)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        file.unlink()
    except FileNotFoundError:
        why = f"cannot write to {file.parent}, or has another disk there: {_shared()}"
    except OSError as error:
        why = f"writes what cannot be read here ({error}): {_shared()}"
    else:
        why = "; ".join(told["lacks"] or _differences(_meant(config), told["same"]))
    if why:
        raise pytest.UsageError(f"pytest-ale: {where}: it {why} ({PAGE})")


def _shared() -> str:
    return "--ale-dir must be a folder that all hosts share, at the same path and for the same user"


def _file(config: pytest.Config, name: str) -> Path:
    return config.stash[RUN] / f".worker-{name}"


def _meant(config: pytest.Config) -> dict[str, str]:
    """What must be the same in all processes of a run, each with its name."""
    settings = config.stash[SETTINGS]
    values = {
        f"--ale-{option.name}": settings.shown(option.attribute)
        for option in OPTIONS
        if option.attribute not in APART
    }
    agents = {
        f"agent {agent.label}": repr(harness_named(agent.harness).identity(agent))
        for agent in _agents(config)
    }
    ours = {"pytest-ale": versions().get("pytest-ale", "")}
    return values | agents | ours | {REVISION: git_revision(settings.rootdir)}


def _agents(config: pytest.Config) -> list[Agent]:
    """A controller that has no setting but defaults has not asked for them yet."""
    return config.stash.get(AGENTS, None) or agents_of(config.hook, config.stash[SETTINGS])


def _differences(here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    """A revision that is not known on one side is not compared: files were copied there."""
    unknown = {REVISION} if not (here[REVISION] and there.get(REVISION)) else set()
    differing = [
        f"has {name} {there.get(name, '')!r}, which is {value!r} here"
        for name, value in here.items()
        if there.get(name, "") != value and name not in unknown
    ]
    yield from differing[:MOST]
    if len(differing) > MOST:
        yield f"and {len(differing) - MOST} differences more"


def _lacks(config: pytest.Config) -> Iterator[str]:
    for agent in _agents(config):
        missing = [name for name in harness_named(agent.harness).keys if not os.environ.get(name)]
        if missing:
            yield f"has no {' and no '.join(missing)} in its environment for agent {agent.label}"
    if (gateway := gateway_of(config)) and (error := _unreachable(gateway)):
        yield (
            f"cannot reach the model gateway of this run ({error}): agents that ask a model need"
            " their workers on the host of the gateway; leave out this worker"
        )


def _unreachable(path: Path) -> str:
    from pytest_ale.gateway.sockets import short

    try:
        with socket.socket(socket.AF_UNIX) as tried, short(path) as name:
            tried.connect(name)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
