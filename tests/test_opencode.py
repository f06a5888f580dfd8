"""opencode: the real CLI against the scripted model, in docker and by itself, and its reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.opencode import Opencode
from pytest_ale.harnesses.opencode_redo import patched

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
    project.task(timeout_s=30)  # 18 s to its first request where the disk was busy, 4 else
    slow = Call("shell", {"command": f"{COPY}; sleep 60"})
    with ScriptedModel([Turn(Think("Slowly."), slow)]) as model:
        examine(project, "opencode:scripted", model)
    record = only(project)
    assert (record["outcome"], record["score"]) == ("timeout", 1.0), record
    (step,) = steps(project)
    assert step.reasoning_content == "Slowly."
    assert pairs([step]) == [("bash", {"command": f"{COPY}; sleep 60"})]


@pytest.mark.once
def test_turns_are_a_budget(project: Project, docker_engine: None) -> None:
    project.task()
    script = [Call("shell", {"command": f"{COPY}; echo {n}"}) for n in range(5)]
    with ScriptedModel([*script, Say("Never.")]) as model:
        examine(project, "opencode:gemini-scripted", model, "--ale-max-turns=2")
        assert [request.api for request in model.requests] == ["gemini"] * 2
    record = only(project)
    assert (record["outcome"], record["score"], record["requests"]) == ("budget", 1.0, 2), record


# By itself.


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(Opencode(), tmp_path)


@pytest.mark.once
def test_it_gives_up_on_a_server_that_fails(alone: Alone) -> None:
    with ScriptedModel([Refuse(500, times=None), Say("Never.")]) as model:
        closing = alone.run(model.url, attempts="2")
        assert len(model.requests) == 2
    assert closing.failed == "GaveUp: The script refuses." and alone.status
    assert CANARY not in alone.said


@pytest.mark.once
def test_a_server_that_is_busy_is_asked_again(alone: Alone) -> None:
    """And its prompt reaches the model as it is, with what the CLI has a meaning for."""
    prompt = "Write to user@example.com, and to @nobody. C:\\x /help 100% {env:HOME}\n\nSecond.\n"
    script = [Refuse(429, retry_after=1), WrongJson(), Cut(after_events=1), Say("Done.")]
    with ScriptedModel(script) as model:
        closing = alone.run(model.url, prompt, disabled_tools="webfetch,todowrite")
        assert len(model.requests) == 4
        body = model.requests[-1].body
    assert closing.failed == "" and alone.status == 0 and closing.session.startswith("ses_")
    assert closing.usage == Tokens(prompt=100, output=10)
    assert [each["content"] for each in body["messages"] if each["role"] == "user"] == [prompt]
    offered = {tool["function"]["name"] for tool in body["tools"]}
    assert {"bash", "write", "task"} <= offered and not offered & {"webfetch", "todowrite"}
    trajectory = alone.recorder.finish()
    (step,) = of_agent(trajectory)
    assert step.message == "Done." and len(trajectory.steps) == 4


@pytest.mark.once
def test_a_model_of_openai_s_patches_by_its_own_tool(alone: Alone) -> None:
    patch = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch"
    script = [Usage(reasoning=4), Call("apply_patch", {"patchText": patch}), Say("Done.")]
    with ScriptedModel(script) as model:
        closing = alone.run(model.url, model="gpt-5.1")
        assert {request.path for request in model.requests} == {"/v1/responses"}
    assert closing.usage == Tokens(prompt=200, output=20, reasoning=4)
    assert (alone.home / "task/a.txt").read_text() == "one\n"
    assert pairs(of_agent(alone.recorder.finish())) == [("apply_patch", {"patchText": patch})]


# Configuration.


def test_the_key_is_in_no_file_and_on_no_command_line(alone: Alone) -> None:
    harness, brief = Opencode(), alone.brief("http://127.0.0.1:1")
    assert CANARY not in "".join(harness.files(brief).values())
    assert CANARY not in " ".join(harness.arguments(brief))
    told = [name for name, value in harness.environment(brief).items() if CANARY in value]
    assert told == ["ALE_MODEL_KEY"]


@pytest.mark.parametrize(
    ("model", "asked", "told", "url"),
    [
        ("scripted", "", "server/scripted", "http://m/v1"),
        ("anthropic/claude-x", "", "server/anthropic/claude-x", "http://m/v1"),
        ("claude-x", "", "anthropic/claude-x", "http://m/v1"),
        ("claude-x", "chat", "server/claude-x", "http://m/v1"),
        ("gemini-3", "", "google/gemini-3", "http://m/v1beta"),
        ("gpt-5.1-codex", "", "openai/gpt-5.1-codex", "http://m/v1"),
        ("gpt-oss-120b", "", "server/gpt-oss-120b", "http://m/v1"),
        ("gpt-oss-120b", "responses", "openai/gpt-oss-120b", "http://m/v1"),
    ],
)
def test_a_model_is_asked_by_its_maker_s_api(
    alone: Alone, model: str, asked: str, told: str, url: str
) -> None:
    harness = Opencode()
    brief = alone.with_a_server(alone.brief("http://m", "", model, api=asked, context="64000"))
    assert f"--model={told}" in harness.arguments(brief)
    settings = json.loads(harness.files(brief)[".config/opencode/opencode.json"])
    ((id, provider),) = settings["provider"].items()
    assert told.startswith(f"{id}/") and settings["enabled_providers"] == [id]
    assert provider["options"]["baseURL"] == url
    assert provider["models"][model]["limit"] == {"context": 64000, "output": 16000}
    server = settings["mcp"]["desktop"]
    assert server["command"] == ["p", "-I", "x"] and server["timeout"] == 600_000


@pytest.mark.parametrize(
    ("agent", "knob", "said"),
    [
        ("opencode:m", "api=openai", "allowed: chat, responses, anthropic, gemini, or nothing"),
        ("opencode:m", "context=much", "must be a number of tokens from 8000 on"),
        ("opencode:m", "attempts=0", "must be a number from 1 to 20"),
        ("opencode", "attempts=1", "agent opencode has no model of its own"),
    ],
)
def test_what_is_wrong_says_what_is_right(agent: str, knob: str, said: str) -> None:
    with pytest.raises(BadAgent) as error:
        parse_agents((agent,), (knob,), lambda _: Opencode())
    assert said in str(error.value)


# Replay of what docker's test does not do.


def test_its_own_calls_are_done_again(tmp_path: Path) -> None:
    harness, box, path = Opencode(), Box(tmp_path), tmp_path / "task" / "a.txt"
    assert again(harness, box, "write", filePath="a.txt", content="one two two\n")
    assert again(harness, box, "edit", filePath=str(path), oldString="two", newString="2")
    assert path.read_text() == "one 2 two\n"
    every = {"filePath": "a.txt", "oldString": "o", "newString": "0", "replaceAll": True}
    assert again(harness, box, "edit", **every) and path.read_text() == "0ne 2 tw0\n"
    assert again(harness, box, "edit", filePath="a.txt", oldString="", newString="new\n")
    loose = {"patch": "Index: a\n@@ -1,1 +1,1 @@\n-new\n+newer\n"}
    assert again(harness, box, "edit", loose, filePath="a.txt", oldString=" new", newString="-")
    assert path.read_text() == "newer\n"
    with pytest.raises(
        Fault, match=r"edit of .*a\.txt cannot be done again: its text is not there"
    ):
        again(harness, box, "edit", loose, filePath="a.txt", oldString="gone", newString="")
    assert not again(harness, box, "write", {"is_error": True}, filePath="a.txt", content="")
    assert again(harness, box, "bash", command="ls")
    assert again(harness, box, "bash", command="ls", workdir="/etc")
    task = f"{tmp_path}/task"
    assert box.commands == [(["bash", "-c", "ls"], task), (["bash", "-c", "ls"], "/etc")]
    assert not any(again(harness, box, name) for name in ("read", "task", "grep", "todowrite"))
    with pytest.raises(Fault, match="recorded call fly of opencode cannot be done again"):
        again(harness, box, "fly")


@pytest.mark.parametrize(
    ("text", "diff", "made"),
    [
        ("a\nb\nc\n", "@@ -2,1 +2,2 @@\n-b\n+B\n+BB\n", "a\nB\nBB\nc\n"),
        ("a\nb\nc\n", "@@ -1,1 +0,0 @@\n-a\n@@ -3,1 +2,1 @@\n-c\n+d\n", "b\nd\n"),
        ("a\n", "@@ -1,0 +2,1 @@\n+b\n", "a\nb\n"),
        ("", "@@ -0,0 +1,1 @@\n+b\n", "b\n"),
        ("a", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline\n", "b"),
        ("a\n", "@@ -1,1 +1,1 @@\n-x\n+b\n", None),
        ("a\n", "@@ -9,1 +9,1 @@\n-a\n+b\n", None),
        ("a\n", "no diff", None),
    ],
)
def test_changes_are_made_where_they_fit(text: str, diff: str, made: str | None) -> None:
    assert patched(text, diff) == made
