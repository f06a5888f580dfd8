"""gemini_cli: what is read in its logs, of logs that the real CLI wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pytest_ale.harnesses.gemini_cli_log import GeminiCliLog

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.trajectory import Trajectory

from . import gemini_cli_said
from .reading import calls, of_agent
from .reading import read as read_all

CHATS = "/home/agent/.gemini/tmp/task/chats"
MAIN = f"{CHATS}/session-2026-11-21T19-00-b9678a27.jsonl"
CHILD = f"{CHATS}/b9678a27-3057-4039-9cc7-2b7ff239cf89/731600ec-b461-4ffa-85ea-1f82e49639d1.jsonl"
LINES = [
    *(("stdout", line) for line in gemini_cli_said.STDOUT.strip().splitlines()),
    *((MAIN, line) for line in gemini_cli_said.CHAT.strip().splitlines()),
    *((CHILD, line) for line in gemini_cli_said.CHILD.strip().splitlines()),
]


def by_time(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As they were written: a line tells its time last, if it does."""
    stamped, last = [], ""
    for source, line in lines:
        said = json.loads(line)
        calls = [call["timestamp"] for call in said.get("toolCalls", ())]
        last = max(calls, default=said.get("timestamp") or said.get("startTime") or last)
        stamped.append((last, source, line))
    stamped.sort(key=lambda each: each[0])
    return [(source, line) for _, source, line in stamped]


def read(tmp_path: Path, lines: Iterable[tuple[str, str]]) -> tuple[Trajectory, Closing]:
    return read_all(GeminiCliLog, tmp_path, lines)


@pytest.mark.parametrize("order", ["live", "chats first", "chats last"])
def test_what_it_wrote_is_a_story(tmp_path: Path, order: str) -> None:
    """Files are read once a second: they may come after what stdout said later, or before."""
    lines = by_time(LINES)
    if order != "live":
        late = order == "chats last"
        lines.sort(key=lambda line: (line[0] == "stdout") != late)
    trajectory, closing = read(tmp_path, lines)
    one, two, three, four, five = of_agent(trajectory)
    assert len(trajectory.steps) == 6
    assert one.timestamp == "2026-11-21T19:00:46.282Z"
    assert one.reasoning_content == "**Look**\nI look." and two.message == "Now I write."
    assert two.metrics and (two.metrics.prompt_tokens, two.metrics.completion_tokens) == (1100, 60)
    assert [call.function_name for call in calls([three])] == [
        "replace",
        "replace",
        "read_file",
    ]
    assert one.observation and two.observation and three.observation and four.observation
    noted = one.observation.results[0].extra or {}
    assert noted["exit_code"] == 3 and noted["ended"] == "2026-11-21T19:00:46.317Z"
    assert order == "chats first" or noted["seconds"] == 0.039
    exact, loose, failed = (result.extra or {} for result in three.observation.results)
    assert "new_content" not in exact and "is_error" not in exact
    assert loose["new_content"] == "one\n    2\n    three\n" and failed["is_error"] is True
    assert "Path not in workspace" in str(three.observation.results[2].content)
    (child,) = trajectory.subagent_trajectories or ()
    refs = [
        ref for result in four.observation.results for ref in result.subagent_trajectory_ref or ()
    ]
    assert [ref.trajectory_id for ref in refs] == [child.trajectory_id] == [Path(CHILD).stem]
    assert child.agent.name == ("subagent" if order == "chats first" else "codebase_investigator")
    assert [step.source for step in child.steps] == ["user", "agent", "agent"]
    assert "<objective>\nLook into it" in str(child.steps[0].message)
    assert child.steps[1].reasoning_content == "Hm."
    assert [call.function_name for call in child.steps[2].tool_calls or ()] == ["complete_task"]
    assert five.message == "Done."
    assert closing == Closing(
        usage=Usage(prompt=2800, cached=400, output=180, reasoning=25),
        session="b9678a27-3057-4039-9cc7-2b7ff239cf89",
    )


ODD = [
    "",
    "no JSON",
    "[]",
    "7",
    "null",
    '{"type": "gemini"}',
    '{"type": "gemini", "id": 7}',
    '{"type": "gemini", "id": "a", "content": 7, "thoughts": {"a": 1}, "tokens": [1], "model": 1}',
    '{"type": "gemini", "id": "b", "toolCalls": [1, {"id": 1}, {"id": "c", "args": 1, "result": 5,'
    ' "status": "success", "timestamp": "soon"}, {"id": "d", "result": [{"functionResponse": 1},'
    ' {"inlineData": {"data": "!", "mimeType": "image/bmp"}}], "status": "error"}]}',
    '{"type": "gemini", "id": "e", "timestamp": "2026-13-45", "tokens":{"input":-5,"tool":1.5}}',
    '{"type": "gemini", "id": "f", "timestamp": "2026-11-21T19:00:48", "thoughts": [[], 1, {}]}',
    '{"type": "user", "id": "g", "content": [{"functionResponse": {"id": "h", "response": [1]}}]}',
    '{"type": "tool_use", "tool_id": 5}',
    '{"type": "tool_use", "tool_id": "i", "tool_name": [], "parameters": "x", "timestamp": 9}',
    '{"type": "result", "status": "error", "error": "bad", "stats": {"total_tokens": "9"}}',
    '{"type": "error", "message": ["x"], "severity": "error"}',
    '{"$set": {"messages": [{"id": [], "content": "<state_snapshot>"}, 1]}}',
    '{"a": ' * 5000,
    '{"type": "gemini", "id": "j", "content": "\\ud800", "timestamp": "2026-11-21T19:00:48.026Z"}',
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    for source in ("stdout", MAIN, CHILD, "stderr", "/elsewhere"):
        read(tmp_path, [(source, line) for line in ODD])
    mixed = [each for line in by_time(LINES) for each in (line, *((line[0], odd) for odd in ODD))]
    trajectory, closing = read(tmp_path, mixed)
    assert closing.session
    assert {"Now I write.", "Done."} <= {str(step.message) for step in trajectory.steps}


def test_a_log_that_stops_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = by_time(LINES)
    for cut in range(0, sum(len(line) for _, line in whole), 1000):
        left, lines = cut, []
        for source, line in whole:
            lines.append((source, line[:left]))
            left -= len(line)
            if left <= 0:
                break
        read(tmp_path, lines)


def test_a_call_that_had_begun_is_told_without_its_result(tmp_path: Path) -> None:
    lines = by_time(LINES)
    at = next(n for n, (_, line) in enumerate(lines) if "sleep 1.5" in line)
    trajectory, _ = read(tmp_path, lines[: at + 2])
    last = of_agent(trajectory)[-1]
    assert [call.arguments.get("command") for call in calls([last])] == [
        None,
        "sleep 1.5; echo two",
    ]
    assert last.message == "Now I write." and last.observation is None


def hundred_megabytes() -> Iterator[str]:
    """A turn a screenshot, each told twice and kept once more, as the CLI does."""
    shot = "iVBORw0KGgo" + "A" * 100_001
    done = {"status": "success", "timestamp": "2026-11-21T19:00:48.026Z"}
    for n in range(499):
        when = f"2026-11-21T19:{n // 60:02}:{n % 60:02}.000Z"
        turn = {"id": f"t{n}", "type": "gemini", "timestamp": when, "content": f"turn {n}"}
        yield json.dumps(turn)
        parts = [
            {"functionResponse": {"id": f"c{n}", "response": {"output": "shown"}}},
            {"inlineData": {"mimeType": "image/png", "data": shot + "AAA"}},
        ]
        call = {"id": f"c{n}", "name": "shot", "args": {}, "result": parts, **done}
        yield json.dumps({**turn, "toolCalls": [call]})
        yield json.dumps({"id": f"u{n}", "type": "user", "timestamp": when, "content": parts})
        yield json.dumps({"$set": {"lastUpdated": when, "filler": "x" * 10_000}})


def test_a_log_of_100_megabytes_is_read_in_bounded_time(tmp_path: Path) -> None:
    lines = [*hundred_megabytes()]
    assert sum(map(len, lines)) > 100_000_000
    began = time.monotonic()
    trajectory, _ = read(tmp_path, ((MAIN, line) for line in lines))
    assert time.monotonic() - began < 30
    assert len(of_agent(trajectory)) == 499


def test_a_history_that_was_summed_up_is_told_once(tmp_path: Path) -> None:
    snapshot = {"id": "s", "type": "user", "content": [{"text": "<state_snapshot>\nAll well."}]}
    line = json.dumps({"$set": {"messages": [snapshot]}})
    trajectory, _ = read(tmp_path, [(MAIN, line), (MAIN, line)])
    (step,) = trajectory.steps[1:]
    assert step.source == "system" and step.extra == {"compacted": True}


def test_what_the_model_would_not_do_is_refused(tmp_path: Path) -> None:
    said = "The model response was blocked due to safety settings."
    error = {"type": "error", "severity": "error", "message": said}
    result = {"type": "result", "status": "error", "stats": {}}
    _, closing = read(tmp_path, [("stdout", json.dumps(error)), ("stdout", json.dumps(result))])
    assert closing.refused and closing.failed == said
