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
    trial: int = 1
    keep: str = "never"
    prompt: str = ""
    within: str = ""  # a control's place inside its item's attempt

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
        task = self.instance.task
        return Record(
            identity=self.identity,
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
            provider=pool.provider.name,
            isolation=pool.isolation,
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
    identity = fingerprint(
        instance.task.id,  # its inputs are built from it: a copy elsewhere is another task
        instance.task.digest,
        instance.variant.id,
        instance.seed,
        trial,
        harness.identity(agent),
        settings.prompt_suffix,
        limits,
    )
    return Plan(instance, agent, harness, limits, identity, trial, settings.keep)


def widened(network: str | tuple[str, ...], hosts: tuple[str, ...]) -> str | tuple[str, ...]:
    """A card's network, with the hosts of an agent that cannot be pointed at the gateway."""
    if not hosts or network == "open":
        return network
    return (*(network if isinstance(network, tuple) else ()), *hosts)
