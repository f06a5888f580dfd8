"""qwen_code: the real CLI against the scripted model, in docker and by itself, and its replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.qwen_code import QwenCode
from pytest_ale.harnesses.qwen_code_redo import edited

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.sandbox import Fault
from pytest_ale.testing import (
    Call,
    Cut,
    Refuse,
    Say,
    ScriptedModel,
    Think,
    Turn,
    Usage,
    WrongJson,
)

from .alone import CANARY, Alone, Box, again
from .conftest import Project
from .reading import of_agent, pairs
from .runs import COPY, examine, only, steps

# In docker, whole.


@pytest.mark.once
def test_a_cli_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=20)
    slow = Call("shell", {"command": f"{COPY}; sleep 60"})
    with ScriptedModel([Turn(Think("Slowly."), slow)]) as model:
        examine(project, "qwen_code:scripted", model)
    record = only(project)
    assert (record["outcome"], record["score"]) == ("timeout", 1.0), record
    (step,) = steps(project)
    assert step.reasoning_content == "Slowly." and step.metrics is not None
    assert pairs([step]) == [("run_shell_command", {"command": f"{COPY}; sleep 60"})]


@pytest.mark.once
def test_turns_are_a_budget(project: Project, docker_engine: None) -> None:
    project.task()
    script = [Call("shell", {"command": f"{COPY}; echo {n}"}) for n in range(5)]
    with ScriptedModel([*script, Say("Never.")]) as model:
        examine(project, "qwen_code:gemini-scripted", model, "--ale-max-turns=2")
        assert [request.api for request in model.requests] == ["gemini"] * 2
    record = only(project)
    assert (record["outcome"], record["score"], record["requests"]) == ("budget", 1.0, 2), record


# By itself.


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(QwenCode(), tmp_path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("script", "failed"),
    [
        pytest.param(WrongJson(times=None), "JSON", id="wrong JSON"),
    ],
)
def test_how_it_says_that_its_model_failed(
    alone: Alone, script: Refuse | Cut | WrongJson, failed: str
) -> None:
    with ScriptedModel([script, Say("one two three four")]) as model:
        closing = alone.run(model.url)
        assert len(model.requests) <= 3
    assert failed in closing.failed and alone.status and CANARY not in alone.said


@pytest.mark.once
def test_a_server_that_is_busy_is_asked_again(alone: Alone) -> None:
    """And its prompt reaches the model as it is, with what the CLI has a meaning for."""
    prompt = "/help: write to user@example.com, and to @nobody. C:\\x 100%\n\nSecond line.\n"
    with ScriptedModel([Refuse(429, retry_after=1), Usage(reasoning=4), Say("Done.")]) as model:
        closing = alone.run(model.url, prompt, "gpt-5.1", disabled_tools="glob")
        assert {request.path for request in model.requests} == {"/v1/responses"}
        assert len(model.requests) == 2
        request = model.requests[-1]
    assert closing.failed == "" and alone.status == 0 and len(closing.session) == 36
    assert closing.usage == Tokens(prompt=100, output=10)
    assert json.dumps(prompt)[1:-1] in json.dumps(request.body)
    assert {"run_shell_command", "edit"} <= set(request.tools)
    assert not set(request.tools) & {"glob", "ask_user_question", "tool_search"}
    (step,) = of_agent(alone.recorder.finish())
    assert step.message == "Done." and step.metrics and step.metrics.prompt_tokens == 100


# Configuration.


def test_the_key_is_in_no_file_and_on_no_command_line(alone: Alone) -> None:
    harness, brief = QwenCode(), alone.brief("http://127.0.0.1:1")
    assert CANARY not in "".join(harness.files(brief).values())
    assert CANARY not in " ".join(harness.arguments(brief))
    told = [name for name, value in harness.environment(brief).items() if CANARY in value]
    assert told == ["OPENAI_API_KEY"]


@pytest.mark.parametrize(
    ("model", "asked", "auth", "url"),
    [
        ("qwen3-coder", "", "openai", "OPENAI_BASE_URL=http://m/v1"),
        ("gpt-5.1", "", "openai-responses", "OPENAI_BASE_URL=http://m/v1"),
        ("claude-x", "", "anthropic", "ANTHROPIC_BASE_URL=http://m"),
        ("gemini-3", "", "gemini", "GOOGLE_GEMINI_BASE_URL=http://m"),
        ("gemini-3", "chat", "openai", "OPENAI_BASE_URL=http://m/v1"),
    ],
)
def test_a_model_is_asked_by_its_maker_s_api(
    alone: Alone, model: str, asked: str, auth: str, url: str
) -> None:
    harness = QwenCode()
    brief = alone.with_a_server(alone.brief("http://m", "", model, api=asked))
    words = harness.arguments(brief)
    assert words[:4] == ["--model", model, "--auth-type", auth]
    name, _, value = url.partition("=")
    assert harness.environment(brief)[name] == value
    settings = json.loads(harness.files(brief)[".qwen/settings.json"])
    assert settings["security"]["auth"]["selectedType"] == auth
    server = settings["mcpServers"]["desktop"]
    assert (server["command"], server["args"], server["trust"]) == ("p", ["-I", "x"], True)


@pytest.mark.parametrize(
    ("agent", "knob", "said"),
    [
        ("qwen_code:m", "loop_detection=maybe", "allowed: on, off"),
        ("qwen_code:m", "disabled_tools=a b", "no name of a tool"),
        ("qwen_code", "loop_detection=on", "agent qwen_code has no model of its own"),
    ],
)
def test_what_is_wrong_says_what_is_right(agent: str, knob: str, said: str) -> None:
    with pytest.raises(BadAgent) as error:
        parse_agents((agent,), (knob,), lambda _: QwenCode())
    assert said in str(error.value)


# Replay of what docker's test does not do.


def test_its_own_calls_are_done_again(tmp_path: Path) -> None:
    harness, box, path = QwenCode(), Box(tmp_path), tmp_path / "task" / "a.txt"
    assert again(harness, box, "write_file", file_path="a.txt", content="one two two")
    assert again(harness, box, "edit", file_path=str(path), old_string="two", new_string="2")
    assert path.read_text() == "one 2 two"
    known = {"new_content": "as it was"}
    assert again(harness, box, "edit", known, file_path="a.txt", old_string="no")
    assert path.read_text() == "as it was"
    with pytest.raises(Fault, match=r"its old_string is not in .*a\.txt"):
        again(harness, box, "edit", file_path="a.txt", old_string="gone", new_string="")
    assert not again(harness, box, "edit", {"is_error": True}, file_path="a.txt")
    assert again(harness, box, "run_shell_command", command="ls")
    assert again(harness, box, "run_shell_command", command="ls", directory="/etc")
    task = f"{tmp_path}/task"
    assert box.commands == [(["bash", "-c", "ls"], task), (["bash", "-c", "ls"], "/etc")]
    assert again(harness, box, "run_shell_command", command="sleep 9", is_background=True)
    assert "setsid bash -c 'sleep 9'" in str(box.commands[-1])
    assert not any(again(harness, box, name) for name in ("read_file", "agent", "todo_write"))
    with pytest.raises(Fault, match="recorded call fly of qwen_code cannot be done again"):
        again(harness, box, "fly")


def test_edits_are_by_the_word() -> None:
    assert edited("a b b", {"old_string": "b", "new_string": "c"}) == "a c b"
    assert edited("b b", {"old_string": "b", "new_string": "c", "replace_all": True}) == "c c"
    assert edited("a b", {"old_string": "x", "new_string": "c"}) is None
    assert edited("a b", {"new_string": "c"}) == "c"
