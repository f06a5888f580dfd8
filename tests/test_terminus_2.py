"""terminus_2: Harbor's own class against the scripted model, in docker, and its command line."""

from __future__ import annotations

import json

import pytest
from pytest_ale.harnesses.terminus_2 import Terminus2

from pytest_ale.program import Brief
from pytest_ale.testing import Expect, Say, ScriptedModel, Usage

from .conftest import Project
from .litellm_runs import CANARY, COPY, ended, examine, look, replay
from .reading import calls, of_agent, results


def says(analysis: str, *lines: str, seconds: float = 0.5, done: bool = False) -> Say:
    """An answer as its prompt asks for."""
    commands = [{"keystrokes": line, "duration": seconds} for line in lines]
    told = {"analysis": analysis, "plan": "", "commands": commands, "task_complete": done}
    return Say(json.dumps(told))


DONE = (says("All is there.", done=True), says("Yes.", done=True))  # it is asked whether it is sure
PLAY = [
    Expect(prompt_contains="Copy /home/agent/task/inputs/word.txt"),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    says("I copy it.", f"{COPY}\n", "echo copied-$((1+1))\n", seconds=1),
    Expect(prompt_contains="copied-2"),
    Usage(input=1200, output=30),
    *DONE,
]


@pytest.mark.once
def test_it_types_and_is_replayed(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel(PLAY, keys=[CANARY]) as model:
        said = examine(project, "terminus_2", model)
        model.check()
    assert ended(project)[:2] == ("scored", 1.0), said
    steps = of_agent(look(project))
    assert ["I copy it." in str(step.message) for step in steps] == [True, False, False]
    made = calls(steps)
    assert [call.arguments["keystrokes"] for call in made] == [
        f"{COPY}\n",
        "echo copied-$((1+1))\n",
    ]
    first, last = (result for step in steps for result in results(step))
    assert first.content == "" and "copied-2" in str(last.content)
    assert replay(project)["score"] == 1.0


@pytest.mark.once
def test_a_key_that_is_refused_is_no_score(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel([Say("Never.")], keys=["another"]) as model:
        examine(project, "terminus_2", model)
    outcome, score, message = ended(project)
    assert (outcome, score) == ("fault", None)
    assert "the model's server never answered: status 401" in message


KNOBS = {"parser": "xml", "api": ""}


def test_what_is_asked_for_is_told() -> None:
    home = "/home/agent"
    brief = Brief("Do it.", "gemini-m", "http://h:1", CANARY, {}, KNOBS, home, home)
    words = Terminus2().arguments(brief)
    assert words == ["gemini/gemini-m", f"{home}/.terminus/prompt.md", "xml"]
