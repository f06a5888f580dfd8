"""nop: does nothing; a task that it passes is broken."""

from __future__ import annotations

from pytest_ale.harness import Ending, Harness, Work


class Nop(Harness):
    name = "nop"
    about = "does nothing"
    trusted = True

    def run(self, work: Work) -> Ending:
        return Ending()
