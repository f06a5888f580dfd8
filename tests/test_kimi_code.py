"""kimi_code: the real CLI against the scripted model, in docker, and its reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.kimi_code import KimiCode
from pytest_ale.harnesses.kimi_code_log import KimiCodeLog

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.program import Brief, Closing, Server

from .alone import CANARY
from .reading import of_agent, pairs, read, spent

# Configuration.


def test_what_it_is_told() -> None:
    knobs = {name: knob.default or "" for name, knob in KimiCode.knobs.items()}
    knobs |= {"effort": "high"}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    url, home = "http://127.0.0.1:9", "/home/agent"
    brief = Brief("Do it.", "m", url, CANARY, servers, knobs, home, f"{home}/task", "/opt/ale/k")
    files = KimiCode().files(brief)
    served = {"desktop": {"command": "python3", "args": ["-I", "run.py"]}}
    assert json.loads(files[".kimi-code/mcp.json"]) == {"mcpServers": served}
    assert "telemetry = false" in files[".kimi-code/config.toml"]
    told = KimiCode().environment(brief)
    assert told["KIMI_MODEL_BASE_URL"] == f"{url}/v1" and told["KIMI_MODEL_NAME"] == "m"
    assert told["KIMI_MODEL_THINKING_EFFORT"] == "high"
    assert [name for name, value in told.items() if CANARY in value] == ["KIMI_MODEL_API_KEY"]
    assert CANARY not in "".join([*files.values(), *KimiCode().start(brief)])
    assert KimiCode().start(brief)[-2:] == ["--prompt", "Do it."]


# The reader.

WIRE = "/home/agent/.kimi-code/sessions/wd/s/agents/main/wire.jsonl"
OTHER = "/home/agent/.kimi-code/sessions/wd/s/agents/a1/wire.jsonl"


def event(second: int = 0, **told: object) -> str:
    time = 1795312216000 + 1000 * second
    return json.dumps({"type": "context.append_loop_event", "event": told, "time": time})


def test_what_it_keeps_is_a_story(tmp_path: Path) -> None:
    usage = {"inputOther": 600, "output": 50, "inputCacheRead": 400, "inputCacheCreation": 7}
    shown = {"type": "image_url", "imageUrl": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    lines = [
        ("stdout", '{"role":"meta","type":"session.resume_hint","session_id":"s1"}'),
        (WIRE, '{"type":"llm.request","model":"m"}'),
        (WIRE, event(type="step.begin", uuid="u")),
        (WIRE, event(1, type="content.part", stepUuid="u", part={"type": "think", "think": "Hm."})),
        (WIRE, event(1, type="content.part", stepUuid="u", part={"type": "text", "text": "So."})),
        (
            WIRE,
            event(2, type="tool.call", stepUuid="u", toolCallId="c", name="Bash", args={"a": 1}),
        ),
        (WIRE, event(3, type="tool.result", toolCallId="c", result={"output": [shown]})),
        (WIRE, event(4, type="step.end", uuid="u", usage=usage)),
        (OTHER, '{"type":"turn.prompt","input":[{"type":"text","text":"Look."}]}'),
        (OTHER, event(2, type="step.begin", uuid="v")),
        (OTHER, event(2, type="content.part", stepUuid="v", part={"type": "text", "text": "Ok."})),
    ]
    trajectory, closing = read(KimiCodeLog, tmp_path, lines)
    (step,) = of_agent(trajectory)
    assert (step.message, step.reasoning_content, step.model_name) == ("So.", "Hm.", "m")
    assert step.timestamp == "2026-11-22T01:50:16.000Z" and pairs([step]) == [("Bash", {"a": 1})]
    assert [*spent(trajectory)] == [(1007, 50, 400)]
    (child,) = trajectory.subagent_trajectories or ()
    assert [str(each.message) for each in child.steps] == ["Look.", "Ok."]
    used = Tokens(prompt=1007, cached=400, cache_write=7, output=50)
    assert closing == Closing(usage=used, session="s1")


@pytest.mark.parametrize("first", [WIRE, "stdout"])
def test_a_large_picture_is_on_stdout(tmp_path: Path, first: str) -> None:
    parts = [{"type": "image_url", "imageUrl": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    told = {"role": "tool", "tool_call_id": "c", "content": json.dumps(parts)}
    named = [{"type": "image_url", "imageUrl": {"url": "blobref:image/png;18763419a"}}]
    lines = [
        (WIRE, event(2, type="tool.call", stepUuid="u", toolCallId="c", name="shot", args={})),
        (WIRE, event(3, type="tool.result", toolCallId="c", result={"output": named})),
        ("stdout", json.dumps(told)),
    ]
    if first == "stdout":
        lines = [lines[0], lines[2], lines[1]]
    (step,) = of_agent(read(KimiCodeLog, tmp_path, lines)[0])
    assert step.observation and '"type":"image"' in step.observation.model_dump_json()
    (step,) = of_agent(read(KimiCodeLog, tmp_path, [each for each in lines if each[0] == WIRE])[0])
    assert step.observation and "[a picture that it does not show]" in step.model_dump_json()


def test_no_more_wait_for_each_other_than_are_kept(tmp_path: Path) -> None:
    named = [{"type": "image_url", "imageUrl": {"url": "blobref:image/png;1"}}]
    data = [{"type": "image_url", "imageUrl": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    lines = []
    for n in range(300):
        call = {"type": "tool.call", "stepUuid": "u", "toolCallId": f"c{n}", "name": "shot"}
        lines.append((WIRE, event(1, **call)))
        lines.append(
            (WIRE, event(2, type="tool.result", toolCallId=f"c{n}", result={"output": named}))
        )
        told = {"role": "tool", "tool_call_id": f"x{n}", "content": json.dumps(data)}
        lines.append(("stdout", json.dumps(told)))
    (step,) = of_agent(read(KimiCodeLog, tmp_path, lines)[0])
    assert step.observation and len(step.observation.results) == 300


ODD = [
    "",
    "[]",
    '{"type": "llm.request", "model": 7}',
    '{"type": "context.append_loop_event", "event": 7, "time": "soon"}',
    '{"type": "context.append_loop_event", "event": {"type": "step.begin"}, "time": -5}',
    event(type="content.part", stepUuid=7, part=[]),
    event(type="content.part", part={"type": "text", "text": "\ud800"}),
    event(type="tool.call", toolCallId="x", name=7, args=[1]),
    event(type="tool.result", toolCallId="x", result={"output": {"a": 1}, "durationMs": "9"}),
    event(type="tool.result", toolCallId="y", result={"output": [1, {"imageUrl": {"url": 7}}]}),
    event(type="step.end", uuid="z", usage={"inputOther": -5, "output": 10**30}),
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    for source in ("stdout", "stderr", WIRE, OTHER, "/elsewhere"):
        read(KimiCodeLog, tmp_path, [(source, line) for line in ODD])
