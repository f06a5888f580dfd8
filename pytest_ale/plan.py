"""Plan: all that is known of an attempt before it begins.

Knows nothing of pytest items or sandboxes at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.gateway.limits import Limits as Budget
from pytest_ale.harness import Agent, Harness
from pytest_ale.leases import Pool
from pytest_ale.record import Record
from pytest_ale.sandbox import SandboxSpec
from pytest_ale.settings import Settings
from pytest_ale.task import Instance, fingerprint

__all__ = ["Limits", "Plan", "make_plan"]


@dataclass(frozen=True)
class Limits:
    """Deadlines in seconds, and the bar."""

    agent: float
    grade: float
    phase: float
    pass_at: float
    model: Budget = field(default_factory=Budget)  # what it may use of its model


@dataclass(frozen=True)
class Plan:
    """One attempt at an instance, as it is meant."""

    instance: Instance
    agent: Agent
    harness: Harness
    limits: Limits
    identity: str  # equal for two attempts that would do the same: what resume goes by
    conditions: Mapping[str, str] = field(default_factory=dict)  # that make it, by name
    trial: int = 1
    keep: str = "never"
    prompt: str = ""
    within: str = ""  # a control's place inside its item's attempt
    shared: bool = False  # do other attempts want the same inputs?
    avoid: tuple[str, ...] = ()  # zones in which earlier attempts at it failed

    @property
    def place(self) -> str:
        """Where attempts at it are kept, below the run directory."""
        return self.within or f"{self.instance.id}/{self.agent.slug}/trial-{self.trial}"

    def spec(
        self,
        labels: Mapping[str, str],
        kits: tuple[Path, ...] | None = None,
        sockets: Mapping[int, Path] | None = None,
    ) -> SandboxSpec:
        """The sandbox of its agent; without kits and sockets, what is to be asked of a provider
        before any is made."""
        spec, harness = self.instance.spec((), labels), self.harness
        if kits is None:
            kits = (Path("kit"),) if harness.packed else ()
        if sockets is None:
            asks = harness.model_api(self.agent) and not harness.outside
            sockets = {1: Path("socket")} if asks else {}
        network = widened(spec.network, harness.hosts)
        return replace(spec, kits=kits, sockets=sockets, network=network)

    def keeps(self, record: Record) -> bool:
        """Is the sandbox of an attempt that ended like this to be kept?"""
        return self.keep == "always" or (self.keep == "failed" and not record.passed)

    def blank(self, pool: Pool, number: int, path: str) -> Record:
        """The record of an attempt of which nothing is known yet."""
        return self.record(pool.provider.name, pool.isolation, number, path)

    def record(self, provider: str, isolation: str, number: int, path: str) -> Record:
        task = self.instance.task
        return Record(
            identity=self.identity,
            conditions=dict(self.conditions),
            task=task.id,
            variant=self.instance.variant.id,
            agent=self.agent.label,
            trial=self.trial,
            attempt=number,
            outcome="cancelled",
            tier=task.card.tier,
            cluster=task.card.cluster,
            subfield=task.card.subfield,
            pass_at=self.limits.pass_at,
            digest=task.digest,
            seed=self.instance.seed,
            provider=provider,
            isolation=isolation,
            folder=str(task.folder),
            path=path,
            agent_version=self.harness.version(self.agent),
            model=self.agent.model or "",
            knobs=dict(self.agent.knobs),
            harness=self.agent.harness,
            started=datetime.now(UTC).isoformat(),
        )


def make_plan(
    instance: Instance, agent: Agent, harness: Harness, trial: int, settings: Settings
) -> Plan:
    """Plan an attempt; fixtures may still change its agent and its prompt."""
    card = instance.task.card
    limits = Limits(
        agent=settings.timeout or card.timeout_s,
        grade=settings.grade_timeout,
        phase=settings.phase_timeout,
        pass_at=card.pass_at if settings.pass_at is None else settings.pass_at,
        model=Budget(turns=settings.max_turns, tokens=settings.max_tokens, usd=settings.max_usd),
    )
    conditions = _conditions(instance, harness.identity(agent), settings, limits)
    # With the task's id, for its inputs are built from it: a copy elsewhere is another task.
    identity = fingerprint(instance.task.id, instance.variant.id, trial, conditions)
    own = replace(instance)  # a grader's calls for it are told from those of others at it
    plan = Plan(own, agent, harness, limits, identity, conditions, trial=trial, keep=settings.keep)
    return replace(plan, shared=settings.trials > 1 or len(settings.agent) > 1)


def _conditions(
    instance: Instance, agent: object, settings: Settings, limits: Limits
) -> dict[str, str]:
    """Whatever would change what comes of an attempt, as a user calls it.

    The provider is one: a card's packages are in images only, and `local` is the host itself; so a
    score is of the machine that it was got on. Neither the URL of a model's server is, which names
    a place and no model, nor what fixtures override: they are asked when an item is run.
    """
    model = limits.model
    values = {
        "task": instance.task.digest,
        "seed": instance.seed,
        "agent": fingerprint(agent),
        "prompt suffix": settings.prompt_suffix,
        "provider": settings.provider + ", unsafe" * settings.unsafe_local,
        "image": settings.image or "",
        "timeout": limits.agent,
        "grade timeout": limits.grade,
        "phase timeout": limits.phase,
        "pass at": limits.pass_at,
        "max turns": model.turns,
        "max tokens": model.tokens,
        "max usd": model.usd,
    }
    return {name: "" if value is None else str(value) for name, value in values.items()}


def widened(network: str | tuple[str, ...], hosts: tuple[str, ...]) -> str | tuple[str, ...]:
    """A card's network, with the hosts of an agent that cannot be pointed at the gateway."""
    if not hosts or network == "open":
        return network
    return (*(network if isinstance(network, tuple) else ()), *hosts)
