"""What readers make of logs, and what is looked at in a trajectory; for the tests of programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_ale.kept import Kept
from pytest_ale.program import Closing, Reader
from pytest_ale.recorder import Recorder
from pytest_ale.story import Story
from pytest_ale.testing import ScriptedModel
from pytest_ale.trajectory import ObservationResult, Step, ToolCall, Trajectory, check, dump


def read(
    reader: Callable[[Story], Reader], folder: Path, lines: Iterable[tuple[str, str]]
) -> tuple[Trajectory, Closing]:
    """What a reader tells of lines, each with its source: a valid trajectory in any case."""
    recorder = Recorder("reading", "1")
    recorder.user("Do it.", timestamp=0.0)
    log = reader(Story(recorder, Kept(folder / "written")))
    for source, line in lines:
        log.line(source, line)
    closing = log.close(0)
    trajectory = recorder.finish()
    assert check(dump(trajectory)) == []
    return trajectory, closing


def of_agent(trajectory: Trajectory) -> list[Step]:
    return [step for step in trajectory.steps if step.source == "agent"]


def calls(steps: Iterable[Step]) -> list[ToolCall]:
    return [call for step in steps for call in step.tool_calls or ()]


def pairs(steps: Iterable[Step]) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of each call."""
    return [(call.function_name, dict(call.arguments)) for call in calls(steps)]


def results(step: Step) -> tuple[ObservationResult, ...]:
    return step.observation.results if step.observation else ()


def told(step: Step) -> str:
    """All that came of a step's calls."""
    return json.dumps([result.model_dump(exclude_none=True) for result in results(step)])


def spent(trajectory: Trajectory) -> Iterator[tuple[int | None, int | None, int | None]]:
    """What each answer used (prompt, output, cached), sub-agents' too."""
    for step in trajectory.steps:
        if used := step.metrics:
            yield used.prompt_tokens, used.completion_tokens, used.cached_tokens
    for below in trajectory.subagent_trajectories or ():
        yield from spent(below)


def close_after(model: ScriptedModel, requests: int) -> None:
    """The model's server is gone once it was asked so often."""
    until = time.monotonic() + 60
    while len(model.requests) < requests and time.monotonic() < until:
        time.sleep(0.02)
    model.close()
