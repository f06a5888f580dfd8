"""grok: the real CLI against the scripted model, in docker, and its reader."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pytest_ale.harnesses.grok import Grok, GrokLog

from pytest_ale.program import Brief, Server

from .alone import CANARY
from .reading import of_agent, pairs, read, told

SHELL = "run_terminal_command"


# Configuration.


def test_what_it_is_told() -> None:
    knobs = {name: knob.default or "" for name, knob in Grok.knobs.items()} | {"effort": "high"}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    url, home = "http://127.0.0.1:9", "/home/agent"
    brief = Brief(
        'Do "it".', "a.b", url, CANARY, servers, knobs, home, f"{home}/task", "/opt/ale/g"
    )
    told = tomllib.loads(Grok().files(brief)[".grok/config.toml"])
    assert told["model"]["a.b"]["base_url"] == f"{url}/v1" and told["models"]["default"] == "a.b"
    assert told["mcp_servers"]["desktop"]["args"] == ["-I", "run.py"]
    assert told["disable_web_search"] and not told["features"]["telemetry"]
    words = Grok().start(brief)
    assert words[words.index("--prompt-file") + 1] == f"{home}/task/prompt.md"
    assert words[-2:] == ["--reasoning-effort", "high"]
    assert CANARY not in json.dumps([told, words])


# The reader: what is not as Claude Code says it.


def test_its_results_are_json_in_a_text(tmp_path: Path) -> None:
    command = {"type": "Bash", "output_for_prompt": "exit: 3\nhi\n", "exit_code": 3}
    image = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    shown = [{"type": "content", "content": image}]
    output = {"OkayOutput": "Screen\ndata:image/png;base64,iVBORw0KGgo=\nClicked."}
    served = {"type": "MCP", "tool_name": "click", "output": output}
    used = {"tool_name": "desktop__click", "tool_input": {"clicks": 2}}
    calls = [
        {"type": "tool_use", "id": "1", "name": SHELL, "input": {"command": "a"}},
        {"type": "tool_use", "id": "2", "name": "use_tool", "input": used},
        {"type": "tool_use", "id": "3", "name": "use_tool", "input": used},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "1", "content": json.dumps(command)},
        {"type": "tool_result", "tool_use_id": "2", "content": json.dumps(shown)},
        {"type": "tool_result", "tool_use_id": "3", "content": json.dumps(served)},
    ]
    lines = [
        {"type": "assistant", "message": {"id": "m", "model": "x", "content": calls}},
        {"type": "user", "message": {"role": "user", "content": results}},
    ]
    trajectory, _ = read(GrokLog, tmp_path, (("stdout", json.dumps(line)) for line in lines))
    (step,) = of_agent(trajectory)
    click = ("desktop__click", {"clicks": 2})
    assert pairs([step]) == [(SHELL, {"command": "a"}), click, click]
    assert step.observation and step.observation.results[0].content == "exit: 3\nhi\n"
    assert told(step).count('"type": "image"') == 2 and "Clicked." in told(step)


ODD = [
    "[]",
    '{"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "use_tool"}]}}',
    '{"type": "user", "message": {"content": [{"type": "tool_result", "content": "[1, {}]"}]}}',
    '{"type": "user", "message": {"content": [{"type": "tool_result", "content": "7}, {"}]}}',
    '{"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "a",'
    ' "content": "[{\\"content\\": {\\"type\\": \\"image\\"}}]"}]}}',
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    read(GrokLog, tmp_path, [("stdout", line) for line in ODD])
