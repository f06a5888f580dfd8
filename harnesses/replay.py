"""replay: does a recorded trajectory's tool calls again in a fresh sandbox.

As untrusted as the agent that made the recording.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.sandbox import HarnessFault


def existing_path(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise ValueError("there is no such file or folder")
    return str(path)


class Replay(Harness):
    name = "replay"
    about = "does a recording again: --ale-knob path=trajectory.json, or a run directory"
    knobs = {"path": Knob("a trajectory.json, or a run directory", parse=existing_path)}

    def check(self, agent: Agent) -> None:
        from pytest_ale.trajectory import check

        path = Path(agent.knobs["path"])
        if path.is_file() and (problems := check(path)):
            raise BadAgent(f"{path} is no trajectory: {problems[0]}")

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """A recording is what it holds; a run directory is known by its name."""
        path = Path(agent.knobs["path"])
        held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else path.name
        return (*super().identity(agent)[:3], held)

    def run(self, work: Work) -> Ending:
        from pytest_ale.registry import harness_named
        from pytest_ale.trajectory import load

        path = _recording(Path(work.agent.knobs["path"]), work)
        trajectory = load(path)
        author = harness_named(trajectory.agent.name)
        for step in trajectory.steps:
            for call in step.tool_calls or ():
                if time.monotonic() > work.deadline:
                    return Ending("timeout", f"at step {step.step_id} of the recording")
                author.redo(call, work.sandbox, path.parent)
        return Ending()


def _recording(path: Path, work: Work) -> Path:
    """In a run directory: the last attempt's recording of the same instance."""
    if path.is_file():
        return path
    found = sorted(path.glob(f"{work.task}/{work.variant}/*/trial-*/attempt-*/trajectory.json"))
    if not found:
        raise HarnessFault(f"{path} holds no recording of {work.task}/{work.variant}")
    return found[-1]
