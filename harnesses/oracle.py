"""oracle: runs the task's own `solve`, to show that the task can be done and its grader agrees."""

from __future__ import annotations

from pytest_ale.harness import Ending, Harness, Work
from pytest_ale.sandbox import GraderFault, GraderTimeout


class Oracle(Harness):
    name = "oracle"
    about = "runs the task's solve()"
    trusted = True
    oracle = True

    def run(self, work: Work) -> Ending:
        assert work.solve is not None
        try:
            work.solve(work.left)
        except GraderTimeout as error:
            return Ending("timeout", str(error))
        except GraderFault as error:
            return Ending("crashed", str(error))
        return Ending()
