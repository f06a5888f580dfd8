"""Plan: all that is known of an attempt before it begins.

Knows nothing of pytest items or sandboxes at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pytest_ale.harness import Agent, Harness
from pytest_ale.leases import Pool
from pytest_ale.record import Record
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
