"""opencode: what is read in its events, of those that the real CLI told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from pytest_ale.harnesses.opencode_log import OpencodeLog

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.trajectory import Trajectory

from .opencode_said import EVENTS
from .reading import calls, of_agent, results
from .reading import read as read_all

FILE = "/home/agent/.local/share/opencode/ale-events.jsonl"
LINES = [(FILE, line) for line in EVENTS.strip().splitlines()]
MAIN = json.loads(LINES[0][1])["properties"]["sessionID"]


def read(tmp_path: Path, lines: Iterable[tuple[str, str]]) -> tuple[Trajectory, Closing]:
    return read_all(OpencodeLog, tmp_path, lines)


def event(kind: str, **properties: object) -> tuple[str, str]:
    told = {"sessionID": MAIN, **properties}
    return FILE, json.dumps({"at": 1795313079900, "type": kind, "properties": told})


def test_what_it_told_is_a_story(tmp_path: Path) -> None:
    trajectory, closing = read(tmp_path, LINES)
    one, two, three = of_agent(trajectory)
    assert (one.message, one.reasoning_content) == ("Hm.", "I look.")
    assert (one.timestamp or "").startswith("2026-11-22T02:04:37.3")
    assert one.metrics and (one.metrics.prompt_tokens, one.metrics.completion_tokens) == (1000, 50)
    assert one.metrics.cached_tokens == 400
    assert one.metrics.extra == {"cache_write_tokens": 0, "reasoning_tokens": 20}
    (result,) = results(one)
    assert result.extra and (result.extra["exit_code"], result.extra["seconds"]) == (3, 0.4)
    assert [call.function_name for call in calls([two])] == ["edit", "read", "task"]
    edited = next(each for each in results(two) if each.source_call_id == "call_2_1")
    assert edited.extra and "+  2\n" in str(edited.extra["patch"])
    missed = next(each for each in results(two) if each.source_call_id == "call_2_2")
    assert missed.content == "File not found: /nonexistent" and missed.extra
    assert missed.extra["is_error"] is True
    (child,) = trajectory.subagent_trajectories or ()
    refs = [ref for each in results(two) for ref in each.subagent_trajectory_ref or ()]
    assert [ref.trajectory_id for ref in refs] == [child.trajectory_id]
    assert child.agent.name == "general" and child.steps[0].message == "Look into it"
    assert [step.source for step in child.steps] == ["user", "agent", "agent", "system", "agent"]
    assert child.steps[3].extra == {"attempt": 1}
    assert three.message == "Done."
    used = Usage(prompt=2400, cached=800, output=140, reasoning=40)
    assert closing == Closing(usage=used, session=MAIN)


def test_a_picture_that_a_tool_shows_is_kept(tmp_path: Path) -> None:
    shown = {"type": "file", "mime": "image/png", "url": "data:image/png;base64,iVBORw0KGgo="}
    state = {"status": "completed", "input": {}, "output": "shown", "attachments": [shown]}
    message = {"id": "m", "role": "assistant", "modelID": "x"}
    part = {"type": "tool", "tool": "desktop_screenshot", "callID": "c", "messageID": "m"}
    told = [
        event("message.updated", info=message),
        event("message.part.updated", part={**part, "state": state}),
    ]
    trajectory, _ = read(tmp_path, [LINES[0], *told])
    ((result,),) = (results(step) for step in of_agent(trajectory))
    assert result.content and not isinstance(result.content, str)
    assert [each.type for each in result.content] == ["text", "image"]


@pytest.mark.parametrize("how", ["error", "refused", "before"])
def test_how_it_failed_is_told(tmp_path: Path, how: str) -> None:
    error = {"name": "APIError", "data": {"message": "no such model", "statusCode": 404}}
    message = {"id": "m", "role": "assistant", "finish": "content-filter"}
    lines = {
        "error": [*LINES, event("session.error", error=error)],
        "refused": [*LINES, event("message.updated", info=message)],
        "before": [("stdout", json.dumps({"type": "error", "error": error}))],
    }
    _, closing = read(tmp_path, lines[how])
    assert closing.refused == (how == "refused")
    said = "the model would not do it" if closing.refused else "APIError: no such model"
    assert closing.failed == said


def test_what_was_summed_up_is_told(tmp_path: Path) -> None:
    message = {"id": "u", "role": "user"}
    part = {"type": "text", "messageID": "u", "text": "Go on.", "synthetic": True}
    told = [
        event("session.compacted"),
        event("message.updated", info=message),
        event("message.part.updated", part=part),
    ]
    trajectory, _ = read(tmp_path, [*LINES, *told])
    summed, more = trajectory.steps[-2:]
    assert summed.source == "system" and summed.extra == {"compacted": True}
    assert (more.source, more.message) == ("system", "Go on.")


ODD = [
    *("", "no JSON", "[]", "7", "null", '{"type": "error"}', '{"a": ' * 5000),
    '{"type": "session.created", "properties": {"info": {"id": 7, "parentID": []}}}',
    '{"type": "session.created", "properties": {"info": {"id": "ses_other", "agent": 1}}}',
    *(
        json.dumps({"at": at, "type": kind, "properties": {"sessionID": MAIN, **told}})
        for at in (None, "soon", -1, 1e300, float("nan"))
        for kind, told in (
            ("message.updated", {"info": {"id": 7, "role": "assistant", "finish": []}}),
            ("message.updated", {"info": {"id": "x", "role": "assistant", "finish": "stop"}}),
            ("message.updated", {"info": {"id": "x", "role": "assistant", "tokens": [1]}}),
            ("message.part.updated", {"part": {"type": "text", "messageID": "x", "text": 7}}),
            ("message.part.updated", {"part": {"type": "tool", "messageID": "x", "callID": "c"}}),
            (
                "message.part.updated",
                {
                    "part": {
                        "type": "tool",
                        "messageID": "x",
                        "callID": "d",
                        "state": {
                            "status": "error",
                            "input": "x",
                            "time": {"start": "a", "end": 1e400},
                            "metadata": {"exit": 1.5, "sessionId": MAIN, "filediff": []},
                            "attachments": [1, {"mime": "image/png", "url": "data:;base64,!"}],
                        },
                    }
                },
            ),
            ("session.status", {"status": {"attempt": "x"}}),
            ("session.nothing", {}),
        )
    ),
    '{"type": "message.updated", "properties": {"sessionID": "ses_nobody", "info": {"id": "y"}}}',
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    for source in ("stdout", "stderr", FILE):
        read(tmp_path, [(source, line) for line in ODD])
    mixed = [each for line in LINES for each in (line, *((FILE, odd) for odd in ODD))]
    trajectory, closing = read(tmp_path, mixed)
    assert closing.session == MAIN
    assert {"Hm.", "Done."} <= {str(step.message) for step in trajectory.steps}


def test_a_log_that_stops_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for cut in range(0, sum(len(line) for _, line in LINES), 1000):
        left, lines = cut, []
        for source, line in LINES:
            lines.append((source, line[:left]))
            left -= len(line)
            if left <= 0:
                break
        read(tmp_path, lines)


def test_a_message_of_very_many_parts_is_read_in_bounded_time(tmp_path: Path) -> None:
    message = {"id": "m", "role": "assistant", "modelID": "x"}
    part = {"type": "text", "messageID": "m", "text": "x" * 1000}
    parts = (event("message.part.updated", part={**part, "id": f"p{n}"}) for n in range(20_000))
    trajectory, _ = read(tmp_path, [LINES[0], event("message.updated", info=message), *parts])
    (step,) = of_agent(trajectory)
    assert len(str(step.message)) < 250_000
