"""mini_swe_agent: the real one against the scripted model, in docker, and its configuration."""

from __future__ import annotations

import json

import pytest
from pytest_ale.harnesses.mini_swe_agent import MiniSweAgent

from pytest_ale.program import Brief
from pytest_ale.testing import Call, Expect, Say, ScriptedModel, Think, Turn, Usage

from .conftest import Project
from .reading import calls
from .runs import CANARY, COPY, ended, examine, only, steps

DONE = Call("bash", {"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"})
PLAY = [
    Expect(prompt_contains="Copy /home/agent/task/inputs/word.txt", tool_offered="bash"),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Turn(Think("I look."), Say("Looking."), Call("bash", {"command": f"{COPY}; sleep 1; exit 3"})),
    Expect(tool_result_contains="returncode"),
    Usage(input=1200, output=30),
    Turn(Say("Done."), DONE),
]


@pytest.mark.once
@pytest.mark.parametrize("model", ["claude-scripted", "gemini-scripted"])
def test_it_asks_a_model_as_its_name_says(
    project: Project, docker_engine: None, model: str
) -> None:
    project.task()
    with ScriptedModel(PLAY, keys=[CANARY], models=[model]) as server:
        said = examine(project, f"mini_swe_agent:{model}", server)
        server.check()
        assert {request.api for request in server.requests} == {
            "anthropic" if model.startswith("claude") else "gemini"
        }
    assert ended(project)[:2] == ("scored", 1.0), said
    assert {step.model_name for step in steps(project)} == {model} and only(project)[
        "requests"
    ] == 2


@pytest.mark.once
def test_one_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=20)
    slow = {"command": f"{COPY}; sleep 60"}
    with ScriptedModel([Turn(Say("Slowly."), Call("bash", slow))]) as model:
        examine(project, "mini_swe_agent:scripted", model)
    assert ended(project)[:2] == ("timeout", 1.0)
    (step,) = steps(project)
    assert [call.arguments for call in calls([step])] == [slow]


@pytest.mark.once
def test_one_that_never_calls_its_tool_gives_up(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel([Say("No."), Say("No."), Say("No."), Say("Never.")]) as model:
        examine(project, "mini_swe_agent:scripted", model)
        assert len(model.requests) == 3
    assert ended(project)[0] == "crashed"
    assert "RepeatedFormatError" in ended(project)[2]


def test_what_is_asked_for_is_configured() -> None:
    home = "/home/agent"
    knobs = {"command_timeout": "9", "api": ""}
    brief = Brief("Do it.\n", "m", "http://h:1", CANARY, {}, knobs, home, f"{home}/task")
    mini = MiniSweAgent()
    ((path, text),) = mini.files(brief).items()
    told = json.loads(text)
    assert told["run"]["task"] == "Do it.\n" and told["environment"]["timeout"] == 9
    words = mini.arguments(brief)
    assert {f"--config={home}/{path}", "--config=mini.yaml", "--model=openai/m"} <= set(words)
    assert CANARY not in text + " ".join(words)
