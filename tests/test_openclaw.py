"""openclaw: the real program against the scripted model, in docker and by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.openclaw import Openclaw
from pytest_ale.harnesses.openclaw_log import OpenclawLog

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.sandbox import Fault

from .alone import CANARY, Alone, Box, again
from .reading import of_agent, pairs, read, results

# In docker, whole.


# By itself.


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(Openclaw(), tmp_path)


# Configuration.


def test_the_key_is_in_no_file_and_on_no_command_line(alone: Alone) -> None:
    harness, brief = Openclaw(), alone.brief("http://127.0.0.1:1")
    assert CANARY not in "".join(harness.files(brief).values())
    assert CANARY not in " ".join(harness.start(brief))
    told = [name for name, value in harness.environment(brief).items() if CANARY in value]
    assert told == ["ALE_MODEL_KEY"]


@pytest.mark.parametrize(
    ("model", "api", "url"),
    [
        ("scripted", "openai-completions", "http://m/v1"),
        ("gpt-5.1", "openai-responses", "http://m/v1"),
        ("claude-x", "anthropic-messages", "http://m"),
        ("gemini-3", "google-generative-ai", "http://m/v1beta"),
    ],
)
def test_what_is_asked_for_is_configured(alone: Alone, model: str, api: str, url: str) -> None:
    harness = Openclaw()
    knobs = {"thinking": "low", "context": "64000", "disabled_tools": "gateway"}
    brief = alone.with_a_server(alone.brief("http://m", "", model, **knobs))
    assert harness.start(brief)[:2] == [
        "/kit/node/bin/node",
        f"{brief.home}/.openclaw/told.mjs",
    ]
    words = harness.arguments(brief)
    assert f"server/{model}" in words and words[-2:] == ["--thinking", "low"]
    settings = json.loads(harness.files(brief)[".openclaw/openclaw.json"])
    provider = settings["models"]["providers"]["server"]
    assert (provider["api"], provider["baseUrl"]) == (api, url)
    (known,) = provider["models"]
    assert (known["id"], known["contextWindow"], known["maxTokens"]) == (model, 64000, 16000)
    assert settings["tools"]["deny"] == ["ask_user", "gateway"]
    assert settings["mcp"]["servers"]["desktop"] == {"command": "p", "args": ["-I", "x"]}


@pytest.mark.parametrize(
    ("agent", "knob", "said"),
    [
        ("openclaw:m", "thinking=much", "allowed: off, minimal, low"),
        ("openclaw:m", "context=9", "must be a number of tokens from 16000 on"),
        ("openclaw", "thinking=low", "agent openclaw has no model of its own"),
    ],
)
def test_what_is_wrong_says_what_is_right(agent: str, knob: str, said: str) -> None:
    with pytest.raises(BadAgent) as error:
        parse_agents((agent,), (knob,), lambda _: Openclaw())
    assert said in str(error.value)


# Its log.


def event(kind: str, session: str = "s", **told: object) -> tuple[str, str]:
    whole = {"type": kind, "id": "e", "timestamp": "2026-11-22T02:27:16.431Z", **told}
    return "stdout", json.dumps({"session": session, "event": whole})


def message(id: str, session: str = "s", **told: object) -> tuple[str, str]:
    return event("message", session, id=id, message=told)


USED = {"input": 600, "output": 50, "cacheRead": 400, "cacheWrite": 0, "reasoningTokens": 20}
SAID = [
    {"type": "thinking", "thinking": "I look."},
    {"type": "text", "text": "Hm."},
    {"type": "toolCall", "id": "c", "name": "exec", "arguments": {"command": "ls"}},
]
DONE = {"exitCode": 3, "durationMs": 430, "patch": "@@"}
LINES = [
    event("session"),
    message("u", role="user", content="Do it."),
    message("a", role="assistant", content=SAID, model="scripted", usage=USED),
    message("r", role="toolResult", toolCallId="c", content=[{"text": "x"}], details=DONE),
    message("v", "below", role="user", content="Look."),
    event("compaction"),
    message("b", role="assistant", content=[{"type": "text", "text": "Done."}], usage=USED),
    ("stdout", json.dumps({"end": {"ok": True, "usage": USED}})),
]


def test_what_it_keeps_is_a_story(tmp_path: Path) -> None:
    trajectory, closing = read(OpenclawLog, tmp_path, LINES)
    one, two = of_agent(trajectory)
    assert (one.message, one.reasoning_content, two.message) == ("Hm.", "I look.", "Done.")
    assert one.metrics and (one.metrics.prompt_tokens, one.metrics.completion_tokens) == (1000, 50)
    assert pairs([one]) == [("exec", {"command": "ls"})]
    (result,) = results(one)
    assert result.extra and (result.extra["exit_code"], result.extra["seconds"]) == (3, 0.43)
    assert [step.extra for step in trajectory.steps if step.source == "system"] == [
        {"compacted": True}
    ]
    (child,) = trajectory.subagent_trajectories or ()
    assert child.steps[0].message == "Look."
    assert closing.failed == "" and closing.session == "s"
    assert closing.usage == Tokens(prompt=1000, cached=400, output=50, reasoning=20)


def test_how_it_failed_is_told(tmp_path: Path) -> None:
    end = {"ok": False, "status": "error", "error": {"message": "401 no"}}
    broken = message("a", role="assistant", content=[], stopReason="error", errorMessage="401 no")
    lines = [*LINES[:2], broken, ("stdout", json.dumps({"end": end}))]
    trajectory, closing = read(OpenclawLog, tmp_path, lines)
    assert closing.failed == "401 no" and not of_agent(trajectory)


ODD = [
    *("", "no JSON", "[]", "7", '{"session": 7}', '{"end": []}', '{"a": ' * 5000),
    '{"session": "s", "event": []}',
    '{"session": "s", "event": {"message": 7, "timestamp": "soon"}}',
    '{"session": "s", "event": {"message": {"role": "assistant", "content": 7, "usage": [1]}}}',
    '{"session": "s", "event": {"id": [], "message": {"role": "assistant", "content": [1, {"type":'
    ' "toolCall", "id": "x", "arguments": 7}], "usage": {"input": -5, "output": 1e99}}}}',
    '{"session": "s", "event": {"message": {"role": "toolResult", "toolCallId": 7, "content":'
    ' [{"data": "!", "mimeType": "image/bmp"}], "details": {"exitCode": 1.5, "durationMs": []}}}}',
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    mixed = [each for line in LINES for each in (line, *(("stdout", odd) for odd in ODD))]
    trajectory, _ = read(OpenclawLog, tmp_path, mixed)
    assert {"Hm.", "Done."} <= {str(step.message) for step in trajectory.steps}


# Replay of what docker's test does not do.


def test_its_own_calls_are_done_again(tmp_path: Path) -> None:
    harness, box, path = Openclaw(), Box(tmp_path), tmp_path / "task" / "a.txt"
    assert again(harness, box, "write", path="a.txt", content="one two two\n")
    both = [{"oldText": "one", "newText": "1"}, {"oldText": "two", "newText": "2"}]
    assert again(harness, box, "edit", path=str(path), edits=both)
    assert path.read_text() == "1 2 two\n"
    loose = {"patch": "--- a\n+++ a\n@@ -1,1 +1,1 @@\n-1 2 two\n+new\n"}
    assert again(harness, box, "edit", loose, path="~/task/a.txt", oldText="x", newText="y")
    assert path.read_text() == "new\n"
    with pytest.raises(Fault, match="its text is not there"):
        again(harness, box, "edit", path="a.txt", oldText="x", newText="y")
    assert not again(harness, box, "write", {"is_error": True}, path="a.txt", content="")
    assert again(harness, box, "exec", command="ls", workdir="/etc")
    assert box.commands == [(["bash", "-c", "ls"], "/etc")]
    assert not any(again(harness, box, name) for name in ("read", "memory_search", "process"))
    with pytest.raises(Fault, match="recorded call process of openclaw cannot be done again"):
        again(harness, box, "process", action="write", data="x")
