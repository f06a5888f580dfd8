"""Launch: what is decided once, before the first item: agents, provider, and what a resume skips.

Imported only where there is a task or a setting that is not a default. Every worker imports it, and
needs the agents alone: what only a controller does, imports what it needs (benchmarks/workers.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.harness import Agent, parse_agents
from pytest_ale.registry import PROVIDERS, fill, harness_named
from pytest_ale.sandbox import Fault
from pytest_ale.settings import Settings

if TYPE_CHECKING:
    from pytest_ale.gateway import Gateway

__all__ = ["agents_of", "check_keys", "check_provider", "make_gateway", "scored", "to_resume"]


def agents_of(
    hook: object, settings: Settings, versions: Mapping[str, str] | None = None
) -> list[Agent]:
    """The agents of a run; LookupError or ValueError says what is wrong with them.

    `versions` are what the controller found that names such as `latest` mean.
    """
    fill(hook)
    if settings.controls and "agent" in settings.sources:
        raise ValueError("--ale-controls examines tasks, not agents: leave out --ale-agent")
    agents = parse_agents(settings.agent, settings.knob, harness_named)
    if versions is not None:
        return [replace(agent, resolved=versions.get(agent.label, "")) for agent in agents]
    try:
        return [harness_named(agent.harness).resolve(agent) for agent in agents]
    except Fault as fault:
        raise ValueError(str(fault)) from None


def check_keys(settings: Settings, agents: list[Agent], environ: Mapping[str, str]) -> None:
    """Say before anything is leased which key an agent lacks; ValueError."""
    from pytest_ale.gateway import IMPORTS, upstreams
    from pytest_ale.gateway.apis import KEYS

    known = upstreams(environ, settings.base_url or "")
    for agent in agents:
        harness = harness_named(agent.harness)
        if harness.model_api(agent) and not all(map(find_spec, IMPORTS)):
            need = "pip install 'pytest-ale[gateway]'"
            raise ValueError(f"agent {agent.label} asks its model through a gateway: {need}")
        missing = [name for name in harness.keys if not environ.get(name)]
        instead = ""
        if (api := harness.model_api(agent)) and not known[api].key and not settings.base_url:
            missing.append(" or ".join(KEYS[api]))
            instead = ", or --ale-base-url=URL of a server that wants no key"
        if missing:
            needs = " and ".join(missing)
            raise ValueError(f"agent {agent.label} needs {needs} in the environment{instead}")


def make_gateway(settings: Settings, agents: list[Agent], run: Path) -> Gateway | None:
    """The model gateway that a run's agents need, not yet started."""
    if not any(harness_named(agent.harness).model_api(agent) for agent in agents):
        return None
    from pytest_ale import scratch
    from pytest_ale.gateway import Config, Gateway, upstreams
    from pytest_ale.prices import prices_spec
    from pytest_ale.secrets import secrets

    price, prices = prices_spec(settings)
    config = Config(
        upstreams=upstreams(os.environ, settings.base_url or ""),
        price=price,
        prices=prices,
        run_usd=_dollars_left(settings, run),
        secrets=tuple(secrets(os.environ).values()),
    )
    return Gateway(config, scratch.make("gateway") / "sockets")


def _dollars_left(settings: Settings, run: Path) -> float | None:
    """What a run may still cost; one that is resumed has cost something before."""
    from pytest_ale.record import RunDir

    if settings.run_max_usd is None:
        return None
    spent = sum(record.cost_usd or 0 for record in RunDir(run).records())
    return max(settings.run_max_usd - spent, 0)


def check_provider(settings: Settings) -> None:
    PROVIDERS.load(settings.provider)


def to_resume(settings: Settings) -> Path:
    """The run to go on with."""
    from pytest_ale.record import latest_run

    wanted = settings.resume or ""
    if wanted == "last":
        path = latest_run(settings.runs_dir)
        if path is None:
            raise LookupError(f"--ale-resume=last: there is no run in {settings.runs_dir}")
        return path
    return _named(settings, wanted)


def scored(run: Path, settings: Settings) -> frozenset[str]:
    """The identities that have a score in a run, which is mended where a process was killed."""
    from pytest_ale.record import RunDir

    RunDir(run).mend()
    return frozenset(
        record.identity
        for record in RunDir(run).latest().values()
        if record.score is not None and (record.agent == "controls") == settings.controls
    )


def _named(settings: Settings, wanted: str) -> Path:
    for path in (settings.cwd / wanted, settings.runs_dir / wanted):
        if (path / "run.json").is_file():
            return path.absolute()
    known = sorted(path.parent.name for path in settings.runs_dir.glob("*/run.json"))[-3:]
    raise LookupError(
        f"--ale-resume={wanted}: no such run; the latest in {settings.runs_dir}:"
        f" {', '.join(known) or 'none'}"
    )
