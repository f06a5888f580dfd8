"""What the tests of the programs share that ask their model through litellm."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ale.testing import ScriptedModel
from pytest_ale.trajectory import Trajectory, check, load

from .conftest import Project
from .reading import of_agent

CANARY = "canary-sk-9fQ2vX-litellm-key"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
COPY = "cp inputs/word.txt output/word.txt"
NOTES = "/home/agent/task/output/notes.txt"


def examine(project: Project, agent: str, model: ScriptedModel, *words: str) -> str:
    """Run an agent as a user does; what pytest said."""
    name = agent if ":" in agent else f"{agent}:scripted"
    given = ("tasks", f"--ale-agent={name}", "--ale-provider=docker", *words)
    told = (f"--ale-base-url={model.url}", "--ale-retries=0")
    return str(project.run(*given, *told, env=dict.fromkeys(KEYS, CANARY)).stdout)


def ended(project: Project) -> tuple[object, object, str]:
    """Outcome, score and message of the one attempt."""
    (record,) = project.results
    return record["outcome"], record["score"], str(record["message"])


def look(project: Project, model: str = "scripted") -> Trajectory:
    """The trajectory of the one attempt, with all that is to be so in any."""
    (record,) = project.results
    path = project.attempt() / "trajectory.json"
    assert check(path) == []
    trajectory = load(path)
    steps = of_agent(trajectory)
    assert {step.model_name for step in steps} == {model} and record["models"] == [model]
    times = [step.timestamp or "" for step in trajectory.steps]
    assert times == sorted(times) and times[0] > str(record["started"])[:19]
    spent = [step.metrics for step in steps if step.metrics]
    assert len(spent) == record["requests"]
    assert sum(each.prompt_tokens or 0 for each in spent) == record["tokens_in"]
    assert sum(each.completion_tokens or 0 for each in spent) == record["tokens_out"]
    assert sum(each.cached_tokens or 0 for each in spent) == record["tokens_cached"]
    for file in project.runs[-1].rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file
    return trajectory


def replay(project: Project) -> Mapping[str, object]:
    """Do the last run again, without a model: its record."""
    recorded = project.runs[-1]
    words = ("--ale-agent=replay", f"--ale-knob=path={recorded}", "--ale-provider=docker")
    project.run("tasks", *words)
    (record,) = project.results
    return record
