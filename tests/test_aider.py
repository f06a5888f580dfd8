"""aider: the real one against the scripted model, in docker, and its command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_ale.harnesses.aider import Aider

from pytest_ale.harness import Agent, BadAgent
from pytest_ale.program import Brief
from pytest_ale.testing import Expect, Refuse, Say, ScriptedModel, Usage

from .conftest import Project
from .litellm_runs import CANARY, COPY, NOTES, ended, examine, look, replay
from .reading import calls, of_agent, results

# The script goes by how often the model has spoken. aider shows it four replies as examples, and
# adds one of its own, "Ok.", after each edit.
SHOWN, ADDED = [Say("shown")] * 4, Say("added")


def edit(old: str, new: str) -> str:
    blocks = f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"
    return f"{NOTES}\n```text\n{blocks}```\n\n"


def shell(command: str) -> str:
    return f"```bash\n{command}\n```\n"


PLAY = [
    *SHOWN,
    Expect(prompt_contains="Copy /home/agent/task/inputs/word.txt"),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Say("I copy it.\n\n" + edit("", "first\nlast\n") + shell(f"{COPY}; echo copied; exit 3")),
    ADDED,
    Expect(prompt_contains="copied\n"),
    Usage(input=1200, output=30),
    Say("Now the note.\n\n" + edit("last\n", "LAST\n")),
]
WRITTEN = """
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference, check):
    with check("copied"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()
    with check("written"):
        assert (output / "notes.txt").read_text() == "first\\nLAST\\n"
"""


@pytest.mark.once
def test_it_edits_and_runs_commands_and_is_replayed(project: Project, docker_engine: None) -> None:
    """And where there is a screen, it works in the shell alone."""
    checks = {"copied": {}, "written": {}}
    project.task(main=WRITTEN, checks=checks, environment={"desktop": True})
    with ScriptedModel(PLAY, keys=[CANARY]) as model:
        said = examine(project, "aider", model)
        assert not model.failures and len(model.requests) == 2, said
    assert ended(project)[:2] == ("scored", 1.0), said
    steps = of_agent(look(project))
    assert [str(step.message).partition("\n")[0] for step in steps] == [
        "I copy it.",
        "Now the note.",
    ]
    made = calls(steps)
    assert [call.function_name for call in made] == ["write_file", "shell", "write_file"]
    assert made[0].arguments == {"file_path": NOTES, "content": "first\nlast\n"}
    assert made[1].arguments == {"command": f"{COPY}; echo copied; exit 3"}
    came = [result for step in steps for result in results(step)]
    assert came[1].content == "copied\n" and came[1].extra
    assert came[1].extra["exit_code"] == 3
    assert replay(project)["score"] == 1.0


@pytest.mark.once
def test_a_key_that_is_refused_is_no_score(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel([Say("Never.")], keys=["another"]) as model:
        examine(project, "aider", model)
    outcome, score, message = ended(project)
    assert (outcome, score) == ("fault", None)
    assert "the model's server never answered: status 401" in message


@pytest.mark.once
def test_a_model_that_is_gone_is_no_success(project: Project, docker_engine: None) -> None:
    """aider itself ends as if all were well."""
    project.task()
    gone = Refuse(404, "no such model", times=None)
    with ScriptedModel([*SHOWN, Say(shell(f"{COPY}; echo copied")), gone, Say("Never.")]) as model:
        examine(project, "aider", model)
    outcome, score, message = ended(project)
    assert (outcome, score) == ("crashed", 1.0) and "no such model" in message


@pytest.mark.once
def test_one_that_dies_of_its_own_command_is_graded(project: Project, docker_engine: None) -> None:
    project.task()
    deadly = Say("Now.\n" + shell(f"{COPY}; kill -SEGV $PPID; sleep 5"))
    with ScriptedModel([*SHOWN, deadly, Say("Never.")]) as model:
        examine(project, "aider", model)
    outcome, score, message = ended(project)
    assert (outcome, score) == ("crashed", 1.0) and "aider ended with " in message


@pytest.mark.once
def test_one_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=8)
    with ScriptedModel([*SHOWN, Say("Slowly.\n" + shell(f"{COPY}; sleep 60"))]) as model:
        examine(project, "aider", model)
    assert ended(project)[:2] == ("timeout", 1.0)
    (step,) = of_agent(look(project))
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
