"""replay: does a recorded trajectory's tool calls again in a fresh sandbox.

As untrusted as the agent that made the recording.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from pydantic import JsonValue

from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.record import read_lines_of
from pytest_ale.registry import Unknown, harness_named
from pytest_ale.sandbox import Fault
from pytest_ale.told import seconds
from pytest_ale.trajectory import ContentPart, Step, ToolCall, Trajectory, load

# Seconds of a pause kept where the screen is used: programs need time to show what was done, but
# a model thinks for minutes between two steps.
PAUSE = 5.0


def existing_path(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise ValueError("there is no such file or folder")
    return str(path)


class Replay(Harness):
    name = "replay"
    about = "does a recording again: --ale-knob path=trajectory.json, or a run directory"
    knobs = {
        "path": Knob("a trajectory.json, or a run directory", parse=existing_path),
        "agent": Knob("whose recordings, where a run directory has several", default=""),
    }

    def check(self, agent: Agent) -> None:
        path = Path(agent.knobs["path"])
        if path.is_file():
            _author(path)
        elif not (path / "run.json").is_file():
            raise BadAgent(f"{path} is no run directory: it has no run.json")

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """A recording is what it holds; a run directory is known by its name."""
        path = Path(agent.knobs["path"])
        held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else path.name
        return (*super().identity(agent)[:3], held, agent.knobs.get("agent", ""))

    def run(self, work: Work) -> Ending:
        path = _recording(Path(work.agent.knobs["path"]), work)
        author, trajectory = _author(path)
        told = trajectory.steps[0].extra or {}
        old, new = str(told.get("home") or work.sandbox.home), work.sandbox.home
        last: Step | None = None
        for step in _in_order(trajectory):
            time.sleep(min(_pause(last, step, author.on_screen), work.left))
            last = step if step.tool_calls else last
            for call in step.tool_calls or ():
                if time.monotonic() > work.deadline:
                    return Ending("timeout", f"at step {step.step_id} of the recording")
                moved = {name: _moved(value, old, new) for name, value in call.arguments.items()}
                known = {**_outcome(step, call), "knobs": told.get("knobs")}
                again = {"arguments": moved, "extra": {**(call.extra or {}), **known}}
                author.redo(call.model_copy(update=again), work.sandbox, path.parent)
        return Ending()


def _in_order(trajectory: Trajectory) -> list[Step]:
    """All steps, with those of sub-agents where they were done."""
    steps, below = list(trajectory.steps), trajectory.subagent_trajectories or ()
    if below:
        steps += (step for each in below for step in _in_order(each))
        steps.sort(key=lambda step: step.timestamp or "")
    return steps


def _outcome(step: Step, call: ToolCall) -> dict[str, object]:
    """What came of a call: the text of its results, and what else was noted with them."""
    results = step.observation.results if step.observation else ()
    found = [each for each in results if each.source_call_id == call.tool_call_id]
    said = "\n".join(_text(each.content) for each in found if each.content)
    noted = {key: value for each in found for key, value in (each.extra or {}).items()}
    return {"said": said, "result": noted}


def _text(content: str | tuple[ContentPart, ...]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text or "" for part in content)


def _pause(last: Step | None, step: Step, screen: str) -> float:
    """Seconds to wait between two steps, as the recording did, where either used the screen."""
    if last is None or not (_on_screen(last, screen) or _on_screen(step, screen)):
        return 0.0
    if last.timestamp is None or step.timestamp is None:
        return 0.0
    between = seconds(step.timestamp) - seconds(last.timestamp) - _seconds(last)
    return min(max(between, 0.0), PAUSE)


def _on_screen(step: Step, screen: str) -> bool:
    return any(call.function_name.startswith(screen) for call in step.tool_calls or ())


def _seconds(step: Step) -> float:
    """How long a step's calls took, as our recorder notes it."""
    results = step.observation.results if step.observation else ()
    known = [(result.extra or {}).get("seconds") for result in results]
    return sum(each for each in known if isinstance(each, int | float))


def _author(path: Path) -> tuple[Harness, Trajectory]:
    """The harness whose calls these are: it knows how to do them again."""
    try:
        trajectory = load(path)
        author = harness_named(trajectory.agent.name)
    except Unknown as error:
        raise BadAgent(f"{path} was recorded by an agent that is not here: {error}") from None
    except UnicodeDecodeError as error:
        raise BadAgent(f"{path} is not a valid trajectory: {error}") from None
    except (OSError, ValueError) as error:
        raise BadAgent(str(error)) from None
    if author.terminal:
        raise BadAgent(f"{path} is of agent {author.name}: what a person typed is not recorded")
    return author, trajectory


def _recording(path: Path, work: Work) -> Path:
    """In a run directory: the last recording of the same instance, one with a score if any."""
    if path.is_file():
        return path
    wanted = work.agent.knobs.get("agent") or "*"
    place = f"{work.task}/{work.variant}"
    found = list(path.glob(f"{place}/{wanted}/trial-*/attempt-*/trajectory.json"))
    agents = sorted({recording.parts[-4] for recording in found})
    if not found:
        whose = "" if wanted == "*" else f" by {wanted}"
        raise Fault(f"{path} holds no recording of {place}{whose}")
    if len(agents) > 1:
        raise Fault(f"{path} holds recordings of {', '.join(agents)}: --ale-knob replay:agent=NAME")
    return max(found, key=_rank)


def _rank(recording: Path) -> tuple[bool, int, int]:
    trial, attempt = (int(part.rpartition("-")[2]) for part in recording.parts[-3:-1])
    record = next(iter(read_lines_of(recording.with_name("attempt.json"))), {})
    return record.get("score") is not None, trial, attempt


def _moved(value: JsonValue, old: str, new: str) -> JsonValue:
    """What was said of the recorded sandbox's home, said of this one's."""
    if old == new:
        return value
    if isinstance(value, str):
        return re.sub(rf"{re.escape(old)}(?![\w.-])", lambda _: new, value)
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if isinstance(value, dict):
        return {name: _moved(item, old, new) for name, item in value.items()}
    return value
