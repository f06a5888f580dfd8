"""droid: the real CLI against the scripted model, in docker, and its reader."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_ale.harnesses.droid import Droid
from pytest_ale.harnesses.droid_log import DroidLog

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.program import Brief, Closing, Server

from .alone import CANARY
from .reading import of_agent, pairs, read

# Configuration.


def test_what_it_is_told() -> None:
    knobs = {name: knob.default or "" for name, knob in Droid.knobs.items()} | {"effort": "high"}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    url, home = "http://127.0.0.1:9", "/home/agent"
    brief = Brief("Do it.", "m", url, CANARY, servers, knobs, home, f"{home}/task", "/opt/ale/d")
    files = Droid().files(brief)
    (model,) = json.loads(files[".factory/settings.json"])["customModels"]
    assert (model["model"], model["baseUrl"]) == ("m", f"{url}/v1")
    served = json.loads(files[".factory/mcp.json"])["mcpServers"]["desktop"]
    assert served["args"] == ["-I", "run.py"] and served["type"] == "stdio"
    assert Droid().start(brief)[-2:] == ["--reasoning-effort", "high"]
    assert CANARY not in "".join([*files.values(), *Droid().start(brief)])
    told = [name for name, value in Droid().environment(brief).items() if CANARY in value]
    assert told == ["ALE_MODEL_KEY"]


# The reader.

SESSION = "/home/agent/.factory/sessions/-home-agent-task/s.jsonl"


def message(role: str, second: int, *content: dict[str, object], **more: object) -> str:
    told = {"role": role, "content": [*content], **more}
    at = f"2026-11-22T02:09:{second:02}.000Z"
    return json.dumps({"type": "message", "id": f"m{second}", "timestamp": at, "message": told})


def test_its_session_is_a_story(tmp_path: Path) -> None:
    source = {"type": "base64", "data": "iVBORw0KGgo=", "media_type": "image/png"}
    shown = [{"type": "text", "text": "Screen"}, {"type": "image", "source": source}]
    usage = {"input_tokens": 2900, "output_tokens": 120, "cache_read_input_tokens": 400}
    done = {"type": "completion", "session_id": "s", "usage": usage}
    call = {"type": "tool_use", "id": "1", "name": "Execute", "input": {"command": "a"}}
    failed = "Error: Command failed\n\n[Process exited with code 3]"
    lines = [
        (SESSION, message("user", 1, {"type": "text", "text": "Do it."})),
        (
            SESSION,
            message(
                "assistant",
                2,
                {"type": "thinking", "thinking": "Hm."},
                {"type": "text", "text": "So."},
                call,
                {**call, "id": "2", "name": "shot"},
                modelId="glm",
            ),
        ),
        (SESSION, message("user", 4, result("1", failed, is_error=True), result("2", shown))),
        ("stdout", json.dumps(done)),
    ]
    trajectory, closing = read(DroidLog, tmp_path, lines)
    (step,) = of_agent(trajectory)
    assert (step.message, step.reasoning_content, step.model_name) == ("So.", "Hm.", "glm")
    assert pairs([step]) == [("Execute", {"command": "a"}), ("shot", {"command": "a"})]
    assert step.observation
    first, second = step.observation.results
    assert first.extra == {
        "seconds": 2.0,
        "exit_code": 3,
        "is_error": True,
        "ended": "2026-11-22T02:09:04.000Z",
    }
    assert '"type":"image"' in second.model_dump_json()
    used = Tokens(prompt=3300, cached=400, output=120)
    assert closing == Closing(usage=used, session="s")


def result(id: str, content: object, *, is_error: bool = False) -> dict[str, object]:
    told = {"type": "tool_result", "tool_use_id": id, "is_error": is_error}
    return told | {"content": content}


def test_the_first_error_says_why(tmp_path: Path) -> None:
    lines = ['{"type":"error","message":"401 no"}', '{"type":"error","message":"Exec failed"}']
    _, closing = read(DroidLog, tmp_path, [("stdout", line) for line in lines])
    assert closing.failed == "401 no"


ODD = [
    "",
    "[]",
    '{"type": "message"}',
    '{"type": "message", "message": {"role": "assistant", "content": [1, {"type": []}]}}',
    message("assistant", 3, {"type": "text", "text": 7}, {"type": "tool_use", "id": 7}, modelId=7),
    message("assistant", 3, {"type": "tool_use", "id": "a", "name": [], "input": 7}),
    message("user", 3, {"type": "tool_result", "tool_use_id": "a", "content": [1, {"source": 7}]}),
    '{"type": "completion", "usage": {"input_tokens": -5}}',
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    for source in ("stdout", "stderr", SESSION):
        read(DroidLog, tmp_path, [(source, line) for line in ODD])
