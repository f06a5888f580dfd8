"""A program run as a user does it, in docker, for what is particular to one.

What holds for all is in test_conformance.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ale.testing import ScriptedModel
from pytest_ale.trajectory import Step, check, load

from .alone import CANARY
from .conftest import Project
from .reading import of_agent

__all__ = ["CANARY", "COPY", "ended", "examine", "only", "steps"]

COPY = "cp inputs/word.txt output/word.txt"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


def examine(project: Project, agent: str, model: ScriptedModel, *words: str) -> str:
    """Run an agent on the project's task; what pytest said."""
    given = ("tasks", f"--ale-agent={agent}", "--ale-provider=docker", "--ale-retries=0")
    more = (f"--ale-base-url={model.url}", *words)
    return str(project.run(*given, *more, env=dict.fromkeys(KEYS, CANARY)).stdout)


def only(project: Project) -> Mapping[str, object]:
    (record,) = project.results
    return record


def ended(project: Project) -> tuple[object, object, str]:
    """Outcome, score and message of the one attempt."""
    record = only(project)
    return record["outcome"], record["score"], str(record["message"])


def steps(project: Project) -> list[Step]:
    """What the agent did in the last attempt."""
    path = project.attempt() / "trajectory.json"
    assert check(path) == []
    return of_agent(load(path))
