"""Ceiling: what a run may cost at most, in attempts, hours and dollars, said before it starts.

Knows nothing of how attempts go, and starts none. Only the gateway holds an agent to its dollars:
one that asks its model past it has no ceiling here, and that is said too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from pytest_ale.registry import harness_named
from pytest_ale.session import AGENTS, SETTINGS
from pytest_ale.text import one_line
from pytest_ale.wire import workers

if TYPE_CHECKING:
    from pytest_ale.harness import Agent
    from pytest_ale.index import CardIndex
    from pytest_ale.settings import Settings
    from pytest_ale.task import Instance

__all__ = ["Ceiling", "Planned", "check_prices", "of_ids", "of_items", "roots"]

Way = Literal["", "gateway", "past"]  # how an agent that costs money reaches its model

BOTH = "--ale-max-usd, --ale-run-max-usd"


@dataclass(frozen=True)
class Planned:
    """One instance for one agent, once."""

    instance: str
    agent: str
    trial: int
    seconds: float  # that the agent may work
    way: Way


@dataclass(frozen=True)
class Ceiling:
    """The most that a run may cost, as lines."""

    planned: Sequence[Planned]
    settings: Settings
    workers: int = 1

    def lines(self) -> Iterator[str]:
        if not self.planned:
            return
        if self.settings.controls:
            yield f"the controls of {_many(len(self.planned), 'instance')}; no agent works"
            return
        paid = any(each.way == "gateway" for each in self.planned)
        nothing = "" if self._dollars(1) or not paid else f", no ceiling in dollars ({BOTH})"
        yield f"{self._counted()}; at most {self._cost(1)}{nothing}"
        if self.settings.retries and any(each.way for each in self.planned):
            yield (
                "an attempt that infrastructure spoils is made again, up to"
                f" {_many(self.settings.retries, 'time')}: if all were, at most"
                f" {self._cost(1 + self.settings.retries)}"
            )

    def _counted(self) -> str:
        numbers = [len({getattr(each, name) for each in self.planned}) for name in _NOUNS]
        nouns = [_many(number, noun) for number, noun in zip(numbers, _NOUNS, strict=True)]
        attempts = _many(len(self.planned), "attempt")
        if math.prod(numbers) == len(self.planned):
            return f"{' × '.join(nouns)} = {attempts}"
        return f"{attempts} ({', '.join(nouns)})"

    def _cost(self, times: int) -> str:
        seconds = [times * each.seconds for each in self.planned]
        work = f"{_span(sum(seconds))} of agents' work"
        if self.workers > 1:
            work += f" ({_span(_lasting(seconds, self.workers))} with {self.workers} workers)"
        return work + self._dollars(times)

    def _dollars(self, times: int) -> str:
        paid = sum(each.way == "gateway" for each in self.planned)
        each, whole = self.settings.max_usd, self.settings.run_max_usd
        by_attempts = math.inf if each is None else times * paid * each
        if paid and whole is not None and whole < by_attempts:
            return f", ${whole:,.2f} (--ale-run-max-usd)"
        return f", ${by_attempts:,.2f}" if paid and each is not None else ""


_NOUNS = ("instance", "agent", "trial")


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _span(seconds: float) -> str:
    """Rounded up: it is a ceiling."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{math.ceil(round(seconds / size * 10, 6)) / 10:,.1f} {unit}"
    return f"{seconds:g} s"


def _lasting(seconds: Iterable[float], workers: int) -> float:
    """Until the last is done, each taken by the worker that is free first."""
    busy = [0.0] * workers
    for each in seconds:
        heapreplace(busy, busy[0] + each)
    return max(busy)


# Prices.


def check_prices(settings: Settings, agents: list[Agent]) -> None:
    """Say before any sandbox what is wrong with the prices: ValueError."""
    limits = {"--ale-max-usd": settings.max_usd, "--ale-run-max-usd": settings.run_max_usd}
    given = [name for name, most in limits.items() if most is not None]
    if not (given or settings.prices):
        return
    from pytest_ale.prices import prices_of

    prices = prices_of(settings)
    for agent in agents:
        if given and agent.model and _way(agent) == "gateway" and not prices.source(agent.model):
            raise ValueError(f"agent {agent.label}: {_unknown(agent.model, ' and '.join(given))}")


def _unknown(model: str, limit: str) -> str:
    from pytest_ale.prices import library

    install = "" if library() else " (pip install 'pytest-ale[gateway]' has some)"
    return (
        f"{one_line(model, 100)}: no price known{install}: {limit} cannot be kept;"
        " --ale-prices names a file"
    )


def _price_lines(settings: Settings, agents: Iterable[Agent]) -> Iterator[str]:
    """What is known of each model's price, and who is held to none."""
    from pytest_ale.prices import prices_of

    prices = prices_of(settings)
    for agent in agents:
        if _way(agent) == "past":
            yield f"{agent.label}: asks its model past the gateway: no limit but time is kept"
        elif _way(agent) == "gateway" and not agent.model:
            yield f"{agent.label}: names no model: whether its price is known is seen when it asks"
        elif _way(agent) == "gateway" and agent.model:
            source = prices.source(agent.model)
            known = f"{one_line(agent.model, 100)}: price from {source}"
            yield known if source else _unknown(agent.model, "--ale-max-usd")


def _way(agent: Agent) -> Way:
    harness = harness_named(agent.harness)
    if harness.model_api(agent):
        return "gateway"
    return "past" if harness.keys else ""


# What pytest asks: lines for its user, none where no agent costs money and nobody asked.


def of_items(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """In the only process there is: of the items that are to run."""
    if not _wanted(config):
        return []
    from pytest_ale.collect import TaskItem

    settings = config.stash[SETTINGS]
    items = list(items)
    mine = [item for item in items if isinstance(item, TaskItem)]
    planned = [_planned(i.task_instance, i.agent, i.trial, settings) for i in mine]
    return _said(config, planned, len(items) - len(mine))


def of_ids(config: pytest.Config, ids: Sequence[str], index: CardIndex) -> list[str]:
    """In a controller, which collects nothing: of the ids that a worker has collected."""
    if not _wanted(config):
        return []
    files: dict[str, dict[str, Planned]] = {}
    found = []
    for id in ids:
        file, _, name = id.partition("::")
        if file not in files:
            files[file] = _cases_in(config, file, index)
        found.append(files[file].get(name))
    planned = [each for each in found if each]
    return _said(config, planned, len(found) - len(planned))


def _wanted(config: pytest.Config) -> bool:
    agents = config.stash.get(AGENTS, [])  # none yet: no task, or no setting but defaults
    return config.stash[SETTINGS].dry_run or any(_way(agent) for agent in agents)


def _said(config: pytest.Config, planned: Sequence[Planned], others: int) -> list[str]:
    settings, agents = config.stash[SETTINGS], config.stash.get(AGENTS, [])
    labels = {each.agent for each in planned}
    said = list(Ceiling(planned, settings, workers(config)).lines())
    said += dict.fromkeys(_price_lines(settings, [a for a in agents if a.label in labels]))
    if settings.dry_run:
        rest = f"; other tests do not run either: {others:,}" if others else ""
        said.append(f"a dry run: nothing is leased or started{rest}")
    return [f"ale: {line}" for line in said]


def _planned(instance: Instance, agent: Agent, trial: int, settings: Settings) -> Planned:
    seconds = settings.timeout or instance.task.card.timeout_s
    way = "" if settings.controls else _way(agent)
    return Planned(instance.id, agent.label, trial, seconds, way)


def _cases_in(config: pytest.Config, file: str, index: CardIndex) -> dict[str, Planned]:
    """All that a task's file can be collected as, by name; nothing for a file that is no task's."""
    from pytest_ale.collect import CARD, MAIN, cases
    from pytest_ale.task import Task

    settings, agents = config.stash[SETTINGS], config.stash.get(AGENTS, [])
    for root in roots(config):
        folder = (root / file).parent
        if not (file.endswith(MAIN) and (folder / CARD).is_file()):
            continue
        try:
            task = Task(folder, index.entry(f"{folder}/{CARD}"))
        except ValueError:  # it changed since
            return {}
        return {
            name: _planned(instance, agent, trial, settings)
            for name, instance, agent, trial in cases(task, settings, agents)
        }
    return {}


def roots(config: pytest.Config) -> Iterator[Path]:
    """Where ids start: at the root, or outside of it at what the command line names."""
    yield config.rootpath
    yield from (config.invocation_params.dir / arg.partition("::")[0] for arg in config.args)
