"""aider: the real one against the scripted model, in docker, and its command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_ale.harnesses.aider import Aider

from pytest_ale.harness import Agent, BadAgent
from pytest_ale.program import Brief
from pytest_ale.testing import Say, ScriptedModel

from .conftest import Project
from .reading import calls
from .runs import CANARY, COPY, ended, examine, steps

# The script goes by how often the model has spoken, and aider shows it four replies as examples.
SHOWN = [Say("shown")] * 4


def shell(command: str) -> str:
    return f"```bash\n{command}\n```\n"


@pytest.mark.once
def test_one_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=20)  # 8 s went by before its first request, on a loaded machine
    with ScriptedModel([*SHOWN, Say("Slowly.\n" + shell(f"{COPY}; sleep 60"))]) as model:
        examine(project, "aider:scripted", model)
    assert ended(project)[:2] == ("timeout", 1.0)
    (step,) = steps(project)
    assert [call.arguments for call in calls([step])] == [{"command": f"{COPY}; sleep 60"}]


# Its command line.

BRIEF = Brief("Do it.", "scripted", "http://h:1", CANARY, {}, {}, "/home/agent", "/home/agent/task")


def brief(model: str = "scripted", **knobs: str) -> Brief:
    chosen = {name: knob.default or "" for name, knob in Aider.knobs.items()} | knobs
    return replace(BRIEF, model=model, knobs=chosen)


def test_what_is_asked_for_is_told() -> None:
    words = Aider().arguments(brief(edit_format="udiff", shell="off", reflections="3"))
    assert words[:2] == ["off", "3"]
    assert {"--edit-format=udiff", "--no-suggest-shell-commands"} <= set(words)
    assert "--model=openai/scripted" in words and CANARY not in " ".join(words)
    plain = Aider().arguments(brief())
    assert plain[:2] == ["on", "50"] and "--no-suggest-shell-commands" not in plain


@pytest.mark.parametrize(
    ("model", "api", "told"),
    [
        ("gpt-5", "openai", {"OPENAI_API_KEY": CANARY, "OPENAI_API_BASE": "http://h:1/v1"}),
        ("meta/llama", "openai", {"OPENAI_API_KEY": CANARY, "OPENAI_API_BASE": "http://h:1/v1"}),
        (
            "claude-x",
            "anthropic",
            {"ANTHROPIC_API_KEY": CANARY, "ANTHROPIC_API_BASE": "http://h:1"},
        ),
        (
            "gemini-pro",
            "gemini",
            {"GEMINI_API_KEY": CANARY, "GEMINI_API_BASE": "http://h:1/v1beta"},
        ),
    ],
)
def test_a_model_says_whose_api_it_has(model: str, api: str, told: dict[str, str]) -> None:
    aider = Aider()
    assert aider.model_api(Agent("aider", model=model, knobs={"api": ""})) == api
    assert aider.environment(brief(model)) == told


def test_it_needs_a_model() -> None:
    with pytest.raises(BadAgent, match="aider has no model of its own: write aider:MODEL"):
        Aider().check(Agent("aider"))
