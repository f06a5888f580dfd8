"""hermes: what it is told, and what the real program told in one run, read and done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from pytest_ale.harnesses.hermes import Hermes
from pytest_ale.harnesses.litellm_log import LitellmLog

from pytest_ale.program import Brief, Server
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault
from pytest_ale.testing.script import Call
from pytest_ale.trajectory import ToolCall

from .alone import CANARY
from .reading import of_agent, pairs, read, results, spent

HOME = "/home/agent"


def brief(**knobs: str) -> Brief:
    told = {name: knob.default or "" for name, knob in Hermes.knobs.items()} | knobs
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    return Brief(
        "- Do it.", "m", "http://h:1", CANARY, servers, told, HOME, f"{HOME}/task", "/opt/k"
    )


# Configuration.


def test_what_it_is_told() -> None:
    told = brief(images="off", context="64000")
    files = Hermes().files(told)
    config = json.loads(files[".hermes/config.yaml"])
    assert (config["model"]["base_url"], config["model"]["default"]) == ("http://h:1/v1", "m")
    assert config["model"]["context_length"] == 64000 and not config["model"]["supports_vision"]
    assert config["mcp_servers"]["desktop"]["args"] == ["-I", "run.py"]
    assert files[".hermes/prompt.md"] == "- Do it."  # on a command line it would be an option
    words = Hermes().start(told)
    assert words[-2] == f"{HOME}/.hermes/prompt.md"
    assert CANARY not in "".join(files.values()) + " ".join(words)
    assert Hermes().tool("desktop", "click") == "mcp__desktop__click"


def test_it_does_not_run_with_less_than_its_least_context() -> None:
    with pytest.raises(ValueError, match="from 64000 on"):
        Hermes.knobs["context"].parse("32000")


def test_a_line_that_leaves_something_running_is_rehearsed_as_one_that_it_takes() -> None:
    (plain,) = Hermes.rehearsal.runs("ls")
    (behind,) = Hermes.rehearsal.runs("sleep 9 & echo 'x'")
    assert plain == Call("terminal", {"command": "ls"})
    assert behind == Call("terminal", {"command": """bash -c 'sleep 9 & echo '"'"'x'"'"''"""})


# What the program told in runs against the scripted model, and against one that would not.

TOLD = r"""
{"event": "turn", "at": 1795327907.9, "id": "a:api:1", "ended": 1795327907.7, "model": "scripted", "text": null, "reasoning": "hmm", "calls": [{"id": "call_1_2", "name": "terminal", "arguments": "{\"command\": \"echo hi; (exit 3)\"}"}, {"id": "call_1_3", "name": "mcp__desktop__screenshot", "arguments": "{}"}], "usage": {"prompt": 1000, "output": 50, "cached": 400, "reasoning": 0}}
{"event": "result", "at": 1795327908.1, "id": "call_1_2", "text": "{\"output\": \"hi\", \"exit_code\": 3, \"error\": null}", "pictures": [], "extra": {"exit_code": 3}}
{"event": "result", "at": 1795327908.4, "id": "call_1_3", "text": "{\"result\": \"MEDIA:/home/agent/.hermes/cache/images/img_42.png\"}", "pictures": [{"data": "iVBORw0KGgo=", "type": "image/png"}], "extra": {}}
{"event": "failed", "at": 1795327909.0, "said": "InternalServerError: Error code: 500"}
{"event": "turn", "at": 1795327910.0, "id": "a:api:2", "ended": 1795327910.0, "model": "scripted", "text": "Done.", "reasoning": null, "calls": [], "usage": {"prompt": 100, "output": 10, "cached": 0, "reasoning": 0}}
{"event": "end", "at": 1795327910.1, "failed": ""}
"""  # noqa: E501
REFUSED = """
{"event": "turn", "at": 1795329352.1, "id": "a:api:1", "ended": 1795329352.1, "model": "scripted", "text": "I cannot.", "refused": true}
{"event": "end", "at": 1795329352.1, "failed": "content_policy_blocked: I cannot."}
"""  # noqa: E501


def lines(text: str) -> list[tuple[str, str]]:
    return [("stdout", line) for line in text.strip().splitlines()]


def test_its_work_is_read(tmp_path: Path) -> None:
    trajectory, closing = read(LitellmLog, tmp_path, lines(TOLD))
    assert not closing.failed and closing.usage is not None and closing.usage.output == 60
    steps = of_agent(trajectory)
    assert pairs(steps) == [
        ("terminal", {"command": "echo hi; (exit 3)"}),
        ("mcp__desktop__screenshot", {}),
    ]
    ran, seen = results(steps[0])
    assert (ran.extra or {})["exit_code"] == 3 and "image/png" in seen.model_dump_json()
    assert list(spent(trajectory)) == [(1000, 50, 400), (100, 10, 0)]


def test_a_refusal_is_no_crash(tmp_path: Path) -> None:
    closing = read(LitellmLog, tmp_path, lines(REFUSED))[1]
    assert closing.refused and closing.failed


# Doing it again: test_conformance.py does all that it did in a task.


def process(action: str) -> ToolCall:
    return ToolCall(tool_call_id="1", function_name="process", arguments={"action": action})


@pytest.mark.parametrize("action", ["write", "submit"])
def test_what_it_typed_cannot_be_done_again(action: str) -> None:
    sandbox = cast("RecordingSandbox", None)  # is not asked
    call = process(action)
    with pytest.raises(Fault, match="process of hermes cannot be done again: it typed"):
        Hermes().again(call, sandbox, Path())
    assert Hermes().again(process("poll"), sandbox, Path()) is False
