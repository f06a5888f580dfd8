"""What README.md shows works as it stands there: three agents of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ale.testing import Call, Say, Script, ScriptedModel
from pytest_ale.trajectory import check, load

from .conftest import Project

README = (Path(__file__).parent.parent / "README.md").read_text()
CANARY = "sk-canary-0123456789abcdef"
KEY = {"OPENAI_API_KEY": CANARY}

AGENT = """#!/usr/bin/env python3
import json, os, subprocess, urllib.request

shell = {"type": "function", "function": {"name": "shell", "parameters": {}}}
said = [{"role": "user", "content": open(os.environ["ALE_PROMPT_FILE"]).read()}]
while True:
    body = {"model": os.environ["ALE_MODEL"], "messages": said, "tools": [shell]}
    head = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    head["Content-Type"] = "application/json"
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    asked = urllib.request.Request(url, json.dumps(body).encode(), head)
    answer = json.load(urllib.request.urlopen(asked))["choices"][0]["message"]
    said.append(answer)
    if not answer.get("tool_calls"):
        break
    for call in answer["tool_calls"]:
        command = json.loads(call["function"]["arguments"])["command"]
        result = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        said.append({"role": "tool", "tool_call_id": call["id"], "content": result})
"""


def no_key_kept(project: Project) -> bool:
    kept = [path for path in project.runs[-1].rglob("*") if path.is_file()]
    return not any(CANARY.encode() in path.read_bytes() for path in kept)


def test_a_script_asks_its_model(project: Project) -> None:
    (words,) = re.findall(r"pytest tasks (--ale-agent=script:.*)", README)
    (project.path / "my_agent.py").write_text(AGENT)
    project.task("copy")
    script = Script([Call("shell", {"command": "cp inputs/word.txt output"}), Say("Done.")])
    with ScriptedModel(script) as model:
        result = project.run(*words.split(), f"--ale-base-url={model.url}", env=KEY)
        result.assert_outcomes(passed=1)
        assert [request.turn for request in model.requests] == [0, 1]
    assert project.results[-1]["requests"] == 2
    assert no_key_kept(project)


@pytest.fixture
def mine(project: Project) -> Project:
    (code,) = re.findall(r"```python\n(# conftest.py\n.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (project.path / "conftest.py").write_text(code)
    project.task("copy")
    return project


def test_a_harness_in_conftest_works_from_outside(mine: Project) -> None:
    (words,) = re.findall(r"pytest tasks (--ale-agent=mine:\S+)", README)
    script = Script([Say("cp inputs/word.txt output"), Say("DONE")])
    with ScriptedModel(script) as model:
        result = mine.run(words, f"--ale-base-url={model.url}", env=KEY)
    result.assert_outcomes(passed=1)
    attempt = mine.attempt()
    assert check(attempt / "trajectory.json") == []
    (call,) = load(attempt / "trajectory.json").steps[1].tool_calls or ()
    assert call.arguments["command"] == "cp inputs/word.txt output"
    assert no_key_kept(mine)
