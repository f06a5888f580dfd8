"""cursor: what it is told and how its log is read, by its documentation: it was never run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.brought import Brought
from pytest_ale.harnesses.cursor import Cursor
from pytest_ale.harnesses.cursor_log import CursorLog

from pytest_ale.program import Brief, Closing, Server
from pytest_ale.sandbox import HarnessFault

from .reading import of_agent, pairs, read

COMMAND = {"args": {"command": "ls"}}
FAILED = {"failure": {"exitCode": 2, "stdout": "a"}}
CLICK = {"args": {"name": "desktop-click", "args": {"clicks": 2}}}
EVENTS: list[dict[str, object]] = [
    {"type": "system", "subtype": "init", "session_id": "s", "model": "Auto"},
    {"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "Do it."}]}},
    {"type": "assistant", "message": {"content": [{"type": "text", "text": "I look."}]}},
    {"type": "tool_call", "subtype": "started", "tool_call": {"shellToolCall": COMMAND}},
    {
        "type": "tool_call",
        "subtype": "completed",
        "tool_call": {"shellToolCall": {**COMMAND, "result": FAILED}},
    },
    {
        "type": "tool_call",
        "subtype": "completed",
        "call_id": "2",
        "tool_call": {"mcpToolCall": {**CLICK, "result": {"success": {"content": "Clicked."}}}},
    },
    {"type": "assistant", "message": {"content": [{"type": "text", "text": "Done."}]}},
    {"type": "result", "subtype": "success", "is_error": False, "result": "Done."},
]


def test_its_log_is_a_story(tmp_path: Path) -> None:
    stamped = [
        {"call_id": "1", "timestamp_ms": 1795312214000 + 1000 * n, **event}
        for n, event in enumerate(EVENTS)
    ]
    lines = [("stdout", json.dumps(event)) for event in stamped]
    trajectory, closing = read(CursorLog, tmp_path, lines)
    one, two = of_agent(trajectory)
    assert (one.message, two.message, one.model_name) == ("I look.", "Done.", "Auto")
    assert pairs([one]) == [("shell", {"command": "ls"}), ("desktop-click", {"clicks": 2})]
    assert one.timestamp == "2026-11-22T01:50:16.000Z" and one.observation
    first, second = one.observation.results
    assert first.content == "a" and first.extra
    assert (first.extra["exit_code"], first.extra["is_error"]) == (2, True)
    assert first.extra["seconds"] == 1
    assert second.content == "Clicked." and closing == Closing(session="s")


def test_a_failure_is_told(tmp_path: Path) -> None:
    line = '{"type":"result","subtype":"error","is_error":true,"result":"no such model"}'
    assert read(CursorLog, tmp_path, [("stdout", line)])[1].failed == "no such model"


ODD = [
    "[]",
    '{"type": "assistant", "message": 7, "timestamp_ms": "soon"}',
    '{"type": "tool_call", "call_id": 7}',
    '{"type": "tool_call", "call_id": "a", "tool_call": {"xToolCall": 7, "mcpToolCall": {}}}',
    '{"type": "tool_call", "subtype": "completed", "call_id": "b", "tool_call": {"yToolCall":'
    ' {"args": 1, "result": {"success": [1]}}}, "timestamp_ms": -5}',
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    read(CursorLog, tmp_path, [("stdout", line) for line in ODD])


def test_what_it_is_told() -> None:
    knobs = {name: knob.default or "" for name, knob in Cursor.knobs.items()}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    home = "/home/agent"
    brief = Brief("Do it.", "m", "", "", servers, knobs, home, f"{home}/task", "/opt/ale/c")
    served = {"desktop": {"command": "python3", "args": ["-I", "run.py"]}}
    assert json.loads(Cursor().files(brief)[".cursor/mcp.json"]) == {"mcpServers": served}
    assert Cursor().start(brief)[0] == "/opt/ale/c/cursor-agent"
    assert Cursor().start(brief)[-3:] == ["--model", "m", "Do it."]
    assert not Cursor.seen and Cursor.keys == ("CURSOR_API_KEY",) and not Cursor.api


def test_what_no_registry_has_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    package = Brought(kit="cursor", program="cursor-agent")
    with pytest.raises(HarnessFault, match="install it by its own instructions, and copy it"):
        package.kit_of(package.version)
    with pytest.raises(HarnessFault, match=r"cursor latest: no registry has it"):
        package.resolve("latest")
    folder = package._whole
    folder.mkdir(parents=True)
    (folder / "cursor-agent").touch()
    assert package.is_here("") and package.kit_of(package.version) == folder
    assert package.command("/k") == ["/k/cursor-agent"]
