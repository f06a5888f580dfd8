"""gemini_cli: the real CLI against the scripted model, in docker and by itself, and its reader."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
from pytest_ale.harnesses.gemini_cli import GeminiCli
from pytest_ale.harnesses.gemini_cli_log import edited

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.harness import BadAgent, Knob, parse_agents
from pytest_ale.program import Brief, Server
from pytest_ale.sandbox import Fault
from pytest_ale.testing import (
    Call,
    Cut,
    Refuse,
    Say,
    ScriptedModel,
    Think,
    Turn,
    WrongJson,
)
from pytest_ale.trajectory import load

from .alone import CANARY, Alone, Box, again
from .conftest import Project
from .reading import calls, of_agent
from .runs import COPY, examine

# In docker, whole.


@pytest.mark.once
def test_a_cli_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=20)
    slow = Call("shell", {"command": f"{COPY}; sleep 60"})
    with ScriptedModel([Turn(Think("Slowly."), slow)]) as model:
        examine(project, "gemini_cli:scripted", model)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("timeout", 1.0), record
    (step,) = of_agent(load(project.attempt() / "trajectory.json"))
    assert step.reasoning_content == "Slowly." and step.metrics is not None
    assert [call.arguments for call in calls([step])] == [{"command": f"{COPY}; sleep 60"}]


@pytest.mark.once
def test_turns_are_a_budget(project: Project, docker_engine: None) -> None:
    project.task()
    script = [Call("shell", {"command": f"{COPY}; echo {n}"}) for n in range(5)]
    with ScriptedModel([*script, Say("Never.")]) as model:
        examine(project, "gemini_cli:scripted", model, "--ale-max-turns=2")
        assert len(model.requests) == 2
    (record,) = project.results
    assert (record["outcome"], record["score"], record["requests"]) == ("budget", 1.0, 2), record


# The real CLI by itself: as the harness configures it, without a sandbox around it.


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(GeminiCli(), tmp_path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("script", "failed", "tries", "most"),
    [
        pytest.param([Refuse(500, times=None)], '"code":500', 2, 20, id="500"),
        pytest.param([WrongJson(times=None)], "JSON", 1, 9, id="wrong JSON"),
    ],
)
def test_how_it_says_that_its_model_failed(
    alone: Alone, script: list[Refuse | Cut | WrongJson], failed: str, tries: int, most: float
) -> None:
    with ScriptedModel([*script, Say("one two three four")]) as model:
        began = time.monotonic()
        closing = alone.run(model.url, attempts="2")
        took = time.monotonic() - began
        assert len(model.requests) == tries
    assert failed in closing.failed and not closing.refused and alone.status, closing
    assert took < most and CANARY not in alone.said


@pytest.mark.once
def test_a_server_that_is_busy_is_asked_again(alone: Alone) -> None:
    """And its prompt reaches the model as it is, with what the CLI has a meaning for."""
    prompt = "Write to user@example.com, and to @nobody. C:\\x /help 100%\n\nSecond line.\n"
    with ScriptedModel([Refuse(429, retry_after=1), Say("Done.")]) as model:
        closing = alone.run(model.url, prompt, thinking="4096", web="on")
        assert len(model.requests) == 2
        body = model.requests[-1].body
    assert closing.failed == "" and alone.status == 0 and len(closing.session) == 36
    assert closing.usage == Tokens(prompt=100, output=10)
    told = body["contents"][0]["parts"][-1]["text"]
    assert told == prompt
    thinking = {"includeThoughts": True, "thinkingBudget": 4096}
    assert body["generationConfig"]["thinkingConfig"] == thinking
    offered = {tool["name"] for tool in body["tools"][0]["functionDeclarations"]}
    assert {"google_web_search", "web_fetch", "run_shell_command"} <= offered
    assert not offered & {"ask_user", "enter_plan_mode"}
    (step,) = of_agent(alone.recorder.finish())
    assert step.message == "Done." and step.metrics and step.metrics.prompt_tokens == 100


@pytest.mark.once
@pytest.mark.parametrize(("loops", "made"), [("off", 8), ("on", 4)])
def test_the_same_call_many_times_is_no_loop(alone: Alone, loops: str, made: int) -> None:
    with ScriptedModel([*[Call("shell", {"command": "echo same"})] * 8, Say("Done.")]) as model:
        closing = alone.run(model.url, loop_detection=loops)
    assert closing.failed == "" and alone.status == 0
    steps = alone.recorder.finish().steps
    assert len([step for step in steps if step.observation]) == made
    ended = [str(step.message) for step in steps if step.source == "system"]
    assert ended == ([] if loops == "off" else ["Loop detected, stopping execution"])


# Configuration.


def test_the_key_is_in_no_file_and_on_no_command_line(alone: Alone) -> None:
    harness, brief = GeminiCli(), alone.brief("http://127.0.0.1:1")
    assert CANARY not in "".join(harness.files(brief).values())
    assert CANARY not in " ".join(harness.arguments(brief))
    told = [name for name, value in harness.environment(brief).items() if CANARY in value]
    assert told == ["GEMINI_API_KEY"]


def test_what_is_asked_for_is_configured(alone: Alone) -> None:
    given = alone.brief("", disabled_tools="glob,write_todos", thinking="high", attempts="7")
    brief = Brief(**{**vars(given), "model": "", "servers": {"desktop": Server("p", ("-I", "x"))}})
    settings = json.loads(GeminiCli().files(brief)[".gemini/settings.json"])
    excluded = settings["tools"]["exclude"]
    assert {"glob", "write_todos", "google_web_search", "web_fetch"} <= set(excluded)
    assert settings["general"]["maxAttempts"] == 7
    (override,) = settings["modelConfigs"]["customOverrides"]
    config = override["modelConfig"]["generateContentConfig"]
    assert config["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "HIGH"}
    server = settings["mcpServers"]["desktop"]
    assert (server["command"], server["args"], server["trust"]) == ("p", ["-I", "x"], True)
    assert GeminiCli().arguments(brief)[:2] == ["--model", "pro"]
    assert "DISPLAY=:0" in GeminiCli().files(brief)[".gemini/GEMINI.md"]
    assert ".gemini/GEMINI.md" not in GeminiCli().files(given)


@pytest.mark.parametrize(
    ("knob", "said"),
    [
        ("thinking=much", "must be minimal, low, medium, high, a number of tokens, or -1"),
        ("web=yes", "allowed: on, off"),
        ("attempts=0", "must be a number from 1 to 10"),
        ("attempts=11", "must be a number from 1 to 10"),
        ("disabled_tools=a b", "no name of a tool; names have commas between them"),
        (
            "colour=red",
            "known: gemini_cli: coordinates, thinking, web, disabled_tools, loop_detection",
        ),
    ],
)
def test_a_knob_that_is_wrong_says_what_is_right(knob: str, said: str) -> None:
    with pytest.raises(BadAgent, match=r"colour|gemini_cli: knob") as error:
        parse_agents(("gemini_cli",), (knob,), lambda _: GeminiCli())
    assert said in str(error.value)


def test_knobs_have_defaults() -> None:
    (agent,) = parse_agents(("gemini_cli",), ("thinking=-1",), lambda _: GeminiCli())
    assert agent.knobs["thinking"] == "-1" and agent.knobs["web"] == "off"
    assert all(isinstance(knob, Knob) and knob.help for knob in GeminiCli.knobs.values())


# Replay of what docker's test does not do.


redone = partial(again, GeminiCli())


def test_its_own_calls_are_done_again(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    box, path = Box(tmp_path), tmp_path / "task" / "a.txt"
    assert redone(box, "write_file", file_path="a.txt", content="one two two")
    assert redone(box, "replace", file_path=str(path), old_string="two", new_string="2")
    assert path.read_text() == "one 2 two"
    assert again(
        GeminiCli(),
        box,
        "replace",
        file_path="~/task/a.txt",
        old_string="",
        new_string="new two two",
    )
    both = {"old_string": "two", "new_string": "2", "allow_multiple": True}
    assert redone(box, "replace", file_path="a.txt", **both) and path.read_text() == "new 2 2"
    assert again(
        GeminiCli(),
        box,
        "replace",
        {"new_content": "as it was"},
        file_path="a.txt",
        old_string="no",
    )
    assert path.read_text() == "as it was"
    with pytest.raises(Fault, match=r"its old_string is not in .*a\.txt"):
        redone(box, "replace", file_path="a.txt", old_string="gone", new_string="")
    assert not redone(box, "replace", {"is_error": True}, file_path="a.txt", old_string="gone")
    assert not redone(box, "write_file", {"is_error": True}, file_path="a.txt", content="")
    assert path.read_text() == "as it was"


def test_its_commands_are_run_where_they_were(tmp_path: Path) -> None:
    box, task = Box(tmp_path), f"{tmp_path}/task"
    assert redone(box, "run_shell_command", command="ls")
    assert redone(box, "run_shell_command", command="ls", dir_path="sub")
    assert redone(box, "run_shell_command", command="ls", dir_path="/etc")
    assert box.commands == [
        (["bash", "-c", "ls"], task),
        (["bash", "-c", "ls"], f"{task}/sub"),
        (["bash", "-c", "ls"], "/etc"),
    ]
    assert redone(box, "run_shell_command", command="sleep 'a b'", is_background=True)
    (_, _, words), _ = box.commands[-1]  # type: ignore[misc]
    assert words == "setsid bash -c 'sleep '\"'\"'a b'\"'\"'' </dev/null >/dev/null 2>&1 &"
    assert not any(redone(box, name) for name in ("read_file", "glob", "write_todos", "web_fetch"))
    assert not redone(box, "fly", {"is_error": True})
    with pytest.raises(Fault, match="recorded call fly of gemini_cli cannot be done again"):
        redone(box, "fly")


def test_edits_are_by_the_word() -> None:
    assert edited("a b", {"old_string": "b", "new_string": "c"}) == "a c"
    assert edited("a b", {"old_string": "x", "new_string": "c"}) is None
    assert edited("a b", {"new_string": "c"}) == "c"
