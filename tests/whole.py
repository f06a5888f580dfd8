"""A real CLI examined as a user does it, in docker: a task that needs shell, files and screen, and
what is looked at in what is left of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.testing import ScriptedModel
from pytest_ale.trajectory import ObservationResult, Trajectory, check, load

from .alone import CANARY
from .conftest import Project
from .reading import of_agent

__all__ = ["COPY", "LONG", "NOTES", "TYPED", "XTERM", "examine", "only", "replay", "shows", "tells"]

COPY = "cp inputs/word.txt output/word.txt"
NOTES = "/home/agent/task/output/notes.txt"
LONG = "first\n" + "long " * 12_000 + "\nlast\n"
CHECKS = {"copied": {}, "typed": {}, "written": {}}
TYPED = """
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference, check):
    with check("copied"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()
    with check("typed"):
        assert (output / "typed.txt").read_text() == "seen it\\n"
    with check("written"):
        assert (output / "notes.txt").read_text() == "first\\n" + "long " * 12_000 + "\\nLAST\\n"
"""
XTERM = (
    "DISPLAY=:0 setsid xterm -geometry 80x24+100+100 -e sh -c 'head -n 1 > output/typed.txt' "
    "</dev/null >/dev/null 2>&1 & sleep 1; cat inputs/word.txt; exit 3"
)
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


def examine(project: Project, agent: str, model: ScriptedModel, *words: str) -> str:
    """Run an agent on the project's task; what pytest said."""
    given = ("tasks", f"--ale-agent={agent}", "--ale-provider=docker", "--ale-retries=0")
    more = (f"--ale-base-url={model.url}", *words)
    return str(project.run(*given, *more, env=dict.fromkeys(KEYS, CANARY)).stdout)


def only(project: Project) -> Mapping[str, object]:
    (record,) = project.results
    return record


def tells(project: Project, record: Mapping[str, object]) -> Trajectory:
    """The trajectory: a valid one, in the order of time, that has what the gateway counted."""
    path = project.attempt() / "trajectory.json"
    assert check(path) == []
    trajectory = load(path)
    times = [step.timestamp or "" for step in trajectory.steps]
    assert times == sorted(times) and times[0] > str(record["started"])[:19]
    now = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
    assert times[-1] < now
    spent = [step.metrics for step in of_agent(trajectory) if step.metrics]
    assert sum(each.prompt_tokens or 0 for each in spent) == record["tokens_in"]
    assert sum(each.completion_tokens or 0 for each in spent) == record["tokens_out"]
    assert sum(each.cached_tokens or 0 for each in spent) == record["tokens_cached"]
    for left in project.runs[-1].rglob("*"):
        assert not left.is_file() or CANARY.encode() not in left.read_bytes(), left
    return trajectory


def shows(attempt: Path, result: ObservationResult) -> bool:
    """Is there a picture in the result, and is it kept?"""
    assert result.content is not None and not isinstance(result.content, str)
    source = result.content[-1].source
    return bool(source and (attempt / source.path).read_bytes().startswith(b"\x89PNG"))


def replay(project: Project) -> Mapping[str, object]:
    """Do what was recorded again, with no model."""
    recorded = project.runs[-1]
    project.run(
        "tasks", "--ale-agent=replay", f"--ale-knob=path={recorded}", "--ale-provider=docker"
    )
    return only(project)
