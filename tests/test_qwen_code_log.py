"""qwen_code: what is read in its logs, of logs that the real CLI wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from pytest_ale.harnesses.qwen_code_log import QwenCodeLog

from pytest_ale.program import Closing
from pytest_ale.trajectory import Trajectory

from . import qwen_code_said
from .reading import calls, of_agent, results
from .reading import read as read_all

FOLDER = "/home/agent/.qwen/projects/-home-agent-task"
SESSION = json.loads(qwen_code_said.CHAT.strip().splitlines()[0])["sessionId"]
MAIN = f"{FOLDER}/chats/{SESSION}.jsonl"
CHILD = f"{FOLDER}/subagents/{SESSION}/agent-Explore-call_3_2.jsonl"
STDOUT = [("stdout", line) for line in qwen_code_said.STDOUT.strip().splitlines()]
CHATS = [
    *((MAIN, line) for line in qwen_code_said.CHAT.strip().splitlines()),
    *((CHILD, line) for line in qwen_code_said.CHILD.strip().splitlines()),
]
CHATS.sort(key=lambda line: str(json.loads(line[1])["timestamp"]))


def read(tmp_path: Path, lines: Iterable[tuple[str, str]]) -> tuple[Trajectory, Closing]:
    return read_all(QwenCodeLog, tmp_path, lines)


@pytest.mark.parametrize("lines", [STDOUT + CHATS, CHATS + STDOUT], ids=["stdout", "chats"])
def test_what_it_wrote_is_a_story(tmp_path: Path, lines: list[tuple[str, str]]) -> None:
    """Files are read once a second: they may come after what stdout said later, or before."""
    trajectory, closing = read(tmp_path, lines)
    one, two, three, four = of_agent(trajectory)
    assert (one.message, one.reasoning_content, one.model_name) == ("Hm.", "I look.", "scripted")
    assert one.metrics and (one.metrics.prompt_tokens, one.metrics.completion_tokens) == (1000, 50)
    assert one.metrics.cached_tokens == 400 and one.metrics.extra == {"reasoning_tokens": 20}
    (result,) = results(one)
    assert result.extra and result.extra["exit_code"] == 3 and result.extra["is_error"] is True
    assert float(str(result.extra["seconds"])) > 0
    assert [call.function_name for call in calls([two, three])] == [
        *("read_file", "read_file"),
        *("edit", "agent"),
    ]
    missed = results(two)[1]
    assert missed.content == "File not found: /nonexistent" and (missed.extra or {})["is_error"]
    edited = next(each for each in results(three) if each.source_call_id == "call_3_1")
    assert edited.extra and "new_content" not in edited.extra and "is_error" not in edited.extra
    (child,) = trajectory.subagent_trajectories or ()
    refs = [ref for each in results(three) for ref in each.subagent_trajectory_ref or ()]
    assert [ref.trajectory_id for ref in refs] == [child.trajectory_id] == ["Explore-call_3_2"]
    assert child.agent.name == "Explore" and child.steps[0].message == "Look into it"
    said = child.steps[1]
    assert (said.message, said.reasoning_content) == ("Hm.", "I look.")
    assert [call.function_name for call in said.tool_calls or ()] == ["run_shell_command"]
    assert said.metrics and said.metrics.prompt_tokens == 1000
    assert four.message == "Done."
    assert closing.failed == "" and closing.session == SESSION and closing.usage
    assert closing.usage.prompt >= 1300


def test_what_was_not_yet_in_its_chat_is_read_from_stdout(tmp_path: Path) -> None:
    at = next(n for n, (_, line) in enumerate(STDOUT) if '"type": "tool_use"' in line)
    trajectory, _ = read(tmp_path, STDOUT[: at + 1])
    (step,) = of_agent(trajectory)
    assert step.message == "Hm." and len(calls([step])) == 1
    trajectory, _ = read(tmp_path, [*STDOUT[: at + 1], *CHATS])
    assert len(of_agent(trajectory)) == 4


def test_an_edit_that_fits_loosely_is_noted(tmp_path: Path) -> None:
    call = {"id": "c", "name": "edit", "args": {"old_string": "a", "new_string": "b"}}
    response = {"functionResponse": {"id": "c", "name": "edit", "response": {"output": "done"}}}
    display = {"originalContent": " x\n", "newContent": " b\n"}
    lines = [
        {"type": "assistant", "uuid": "u", "message": {"parts": [{"functionCall": call}]}},
        {
            "type": "tool_result",
            "message": {"parts": [response]},
            "toolCallResult": {"status": "success", "resultDisplay": display},
        },
        {"type": "system", "subtype": "chat_compression"},
    ]
    trajectory, _ = read(tmp_path, [(MAIN, json.dumps(line)) for line in lines])
    (step,) = of_agent(trajectory)
    assert (results(step)[0].extra or {})["new_content"] == " b\n"
    assert trajectory.steps[-1].extra == {"compacted": True}


def test_how_it_failed_is_told(tmp_path: Path) -> None:
    said = {"type": "result", "is_error": True, "error": {"message": "[API Error: 401]"}}
    _, closing = read(tmp_path, [("stdout", json.dumps(said))])
    assert closing.failed == "[API Error: 401]"
    _, closing = read(tmp_path, [("stdout", json.dumps({"type": "result", "is_error": 1}))])
    assert closing.failed == "it does not say why it failed"


ODD = [
    *("", "no JSON", "[]", "7", "null", '{"a": ' * 5000, '{"type": "result"}'),
    '{"type": "result", "is_error": [], "usage": {"input_tokens": -1, "total_tokens": "9"}}',
    '{"type": "assistant", "uuid": 7, "message": {"content": [1, {"id": 2, "name": "x"}]}}',
    '{"type": "assistant", "uuid": [], "timestamp": 7, "message": {"parts": [1, {"text": 7}]}}',
    '{"type": "assistant", "uuid": "x", "usageMetadata": {"promptTokenCount": 1e99}}',
    '{"type": "assistant", "uuid": "x", "message": {"parts": [{"functionCall": {"id": 1}}]}}',
    '{"type": "assistant", "message": {"parts": [{"functionCall": {"id": "d", "args": 1}}]}}',
    '{"type": "tool_result", "message": {"parts": [{"functionResponse": []}]}}',
    '{"type": "tool_result", "message": {"parts": [{"functionResponse": {"id": "d", "response": 1,'
    ' "parts": [{"inlineData": {"data": "!", "mimeType": "image/bmp"}}]}}]}, "toolCallResult":'
    ' {"resultDisplay": {"exitCode": 1.5, "newContent": 7}}}',
    '{"type": "system", "subtype": "ui_telemetry", "systemPayload": {"uiEvent": {"call_id": "d",'
    ' "duration_ms": "x"}}}',
    '{"type": "user", "message": {"parts": "x"}}',
    '{"type": "user", "agentId": [], "message": {"content": "x"}}',
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    for source in ("stdout", "stderr", MAIN, CHILD, "/elsewhere"):
        read(tmp_path, [(source, line) for line in ODD])
    mixed = [each for line in CHATS + STDOUT for each in (line, *((line[0], odd) for odd in ODD))]
    trajectory, closing = read(tmp_path, mixed)
    assert closing.session == SESSION
    assert {"Hm.", "Done."} <= {str(step.message) for step in trajectory.steps}


def test_a_log_that_stops_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = CHATS + STDOUT
    for cut in range(0, sum(len(line) for _, line in whole), 1000):
        left, lines = cut, []
        for source, line in whole:
            lines.append((source, line[:left]))
            left -= len(line)
            if left <= 0:
                break
        read(tmp_path, lines)
