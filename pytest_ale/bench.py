"""Bench: what the attempts of one process share, and the runner of one item made of it.

Knows nothing of pytest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_ale.gateway import Control
from pytest_ale.grading import Grader
from pytest_ale.lanes import Lanes
from pytest_ale.leases import Pool
from pytest_ale.plan import Plan
from pytest_ale.record import RunDir
from pytest_ale.run import Attempt
from pytest_ale.runner import Runner

__all__ = ["Bench"]


@dataclass(frozen=True)
class Bench:
    """Sandboxes, grader, gateway, lanes, and where all is written down."""

    pool: Pool
    grader: Grader
    run_dir: RunDir
    gateway: Control | None
    lanes: Lanes

    def runner(self, plan: Plan, retries: int) -> Runner:
        def attempt(avoid: tuple[str, ...]) -> Attempt:
            meant = replace(plan, avoid=avoid) if avoid else plan
            return Attempt(meant, self.pool, self.grader, self.run_dir, self.gateway, self.lanes)

        return Runner(attempt, retries, self.refused(plan))

    def refused(self, plan: Plan) -> tuple[Plan, str] | None:
        """What is meant, and why the provider cannot host it; None if it can."""
        reason = self.pool.provider.refuses(plan.spec({}), trusted=plan.harness.trusted)
        return (plan, reason) if reason else None
