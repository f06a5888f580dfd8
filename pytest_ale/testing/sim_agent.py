"""sim: an agent to rehearse with; it waits, and then does what the task tells it to.

Knows no provider: of those that take seconds for what they are it takes real ones.
"""

from __future__ import annotations

from pytest_ale.harness import Ending, Harness, Knob, Work
from pytest_ale.sandbox import SandboxError
from pytest_ale.testing.sim_rules import thrown

__all__ = ["SimAgent"]

SCRIPT = "sim.sh"  # in a task's inputs: commands that make what it asks for
FOREVER = 10**9  # seconds


def span(text: str) -> str:
    low, dash, high = text.partition("-")
    if not (dash and 0 <= float(low) <= float(high) < FOREVER):
        raise ValueError("give FROM-TO in seconds, such as 60-600")
    return text


def share(text: str) -> str:
    if not 0 <= float(text) <= 1:
        raise ValueError("give a share, from 0 to 1")
    return text


class SimAgent(Harness):
    """What it does depends on its knobs, the instance and the trial, and on nothing else."""

    name = "sim"
    about = "rehearses, on provider sim: waits, then runs the task's inputs/sim.sh"
    trusted = True
    knobs = {
        "seconds": Knob("simulated seconds that it works, FROM-TO", "60-600", parse=span),
        "score": Knob("share of attempts in which it does the task", "1", parse=share),
        "fails": Knob("share in which it crashes", "0", parse=share),
        "hangs": Knob("share in which it works until its time is over", "0", parse=share),
        "seed": Knob("of what it does in which", "0"),
    }

    def run(self, work: Work) -> Ending:
        low, high = map(float, work.agent.knobs["seconds"].split("-"))
        seconds = low + (high - low) * _throw(work, "seconds")
        bad, fails = _throw(work, "fails"), float(work.agent.knobs["fails"])
        if bad < fails:
            self._sleep(work, seconds * bad / fails)
            return Ending("crashed", "sim: it crashed, as the knob fails has it")
        if bad < fails + float(work.agent.knobs["hangs"]):
            self._sleep(work, FOREVER)
        self._sleep(work, seconds)
        if _throw(work, "score") < float(work.agent.knobs["score"]):
            self._deliver(work)
        return Ending()

    def _sleep(self, work: Work, seconds: float) -> None:
        """Its deadline ends it by an ExecTimeout, which is its ending."""
        work.sandbox.exec(["sleep", f"{seconds:.3f}"], timeout=work.left)

    def _deliver(self, work: Work) -> None:
        try:
            script = work.machine.read(f"{work.machine.inputs}/{SCRIPT}").decode()
        except SandboxError:  # a task that was not written for it: nothing is handed over
            return
        work.sandbox.exec(script, timeout=work.left, check=True)


def _throw(work: Work, what: str) -> float:
    """The same for all attempts of one trial: what infrastructure spoils is done again."""
    trial = work.log_dir.parent.parent.name  # trial-1/attempt-2/agent
    who = f"{work.task}/{work.variant}/{trial}"
    return thrown(work.agent.knobs["seed"], what, who)
