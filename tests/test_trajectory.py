"""ATIF-v1.8: what the checker refuses and names, what dump writes, what the recorder keeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_ale.recorder import LONGEST_TEXT, Recorder
from pytest_ale.trajectory import (
    Agent,
    AudioSource,
    ContentPart,
    FinalMetrics,
    ImageSource,
    Metrics,
    ObservationResult,
    Step,
    ToolCall,
    Trajectory,
    check,
    dump,
    load,
)

Document = dict[str, Any]  # raw JSON, right or wrong: the models are what is tested


def whole() -> Document:
    """Return a document that uses every field of the format once."""
    image = {"media_type": "image/png", "path": "screenshots/1.png"}
    audio = {"media_type": "audio/mp3", "path": "https://host/a.mp3", "duration_sec": 1.5}
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image", "source": image},
        {"type": "audio", "source": audio},
    ]
    reference = {"trajectory_id": "sub-1", "session_id": "s", "extra": {}}
    result = {
        "source_call_id": "c1",
        "content": parts,
        "subagent_trajectory_ref": [reference, {"trajectory_path": "sub.json"}],
        "extra": {"exit": 0},
    }
    agent_step = {
        "step_id": 3,
        "source": "agent",
        "message": "done",
        "timestamp": "2026-11-02T10:00:00.250Z",
        "model_name": "m",
        "reasoning_effort": "high",
        "reasoning_content": "hm",
        "tool_calls": [
            {"tool_call_id": "c1", "function_name": "f", "arguments": {"a": None}, "extra": {}}
        ],
        "observation": {"results": [result, {"content": "loose"}]},
        "metrics": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "cached_tokens": 1,
            "cost_usd": 0.25,
            "prompt_token_ids": [1],
            "completion_token_ids": [2],
            "logprobs": [-0.5],
            "extra": {"cache_write_tokens": 3},
        },
        "is_copied_context": False,
        "llm_call_count": 1,
        "extra": {"k": [1, None]},
    }
    return {
        "schema_version": "ATIF-v1.8",
        "session_id": "s",
        "trajectory_id": "t",
        "agent": {
            "name": "codex",
            "version": "1",
            "model_name": "m",
            "tool_definitions": [{"type": "function"}],
            "extra": {},
        },
        "steps": [
            {"step_id": 1, "source": "system", "message": ""},
            {"step_id": 2, "source": "user", "message": parts},
            agent_step,
            {"step_id": 4, "source": "agent", "message": "", "llm_call_count": 0},
        ],
        "notes": "n",
        "final_metrics": {
            "total_prompt_tokens": 5,
            "total_completion_tokens": 2,
            "total_cached_tokens": 1,
            "total_cost_usd": 0.25,
            "total_steps": 4,
            "extra": {},
        },
        "continued_trajectory_ref": "next.json",
        "extra": {"clock": "host"},
        "subagent_trajectories": [
            {
                "trajectory_id": "sub-1",
                "agent": {"name": "helper", "version": "2"},
                "steps": [{"step_id": 1, "source": "user", "message": "go"}],
            }
        ],
    }


def changed(at: str, value: object) -> Document:
    """Return the whole document with one place set, or removed where the value is `...`."""
    document = whole()
    *path, last = (int(key) if key.isdigit() else key for key in at.split("."))
    spot: Any = document
    for key in path:
        spot = spot[key]
    if value is ...:
        del spot[last]
    else:
        spot[last] = value
    return document


# --- the checker


def test_the_whole_format_is_valid_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "trajectory.json"
    path.write_text("\ufeff" + json.dumps(whole()), encoding="utf-8")
    assert check(path) == []
    written = json.loads(dump(load(path)))
    expected = changed("steps.1.message.2.source.media_type", "audio/mpeg")
    expected["steps"][2]["observation"]["results"][0]["content"][2]["source"]["media_type"] = (
        "audio/mpeg"
    )
    expected["subagent_trajectories"][0]["schema_version"] = "ATIF-v1.8"
    assert written == expected


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("steps.1.message", []),
        ("steps.2.reasoning_effort", 0.5),
        ("steps.2.timestamp", "2026-11-02T10:00:00+02:00"),
        ("steps.2.timestamp", None),
        ("steps.2.observation.results.0.content", ...),
        ("steps.2.observation.results", []),
        ("steps.0.observation", {"results": [{"content": "boot"}]}),
        ("steps.0.llm_call_count", 0),
        ("session_id", ...),
        ("schema_version", ...),
        ("subagent_trajectories", []),
        ("subagent_trajectories.0.session_id", "s"),
        *(("schema_version", f"ATIF-v1.{minor}") for minor in range(9)),
    ],
)
def test_valid(at: str, value: object) -> None:
    assert check(json.dumps(changed(at, value))) == []


RESULT = "steps.2.observation.results.0"
PART = "steps.1.message.1"
IN_STEP = "$.steps[2]"

# (what is changed, to what, the problem line)
WRONG: list[tuple[str, object, str]] = [
    ("schema_version", "ATIF-v1.9", "$.schema_version: must be 'ATIF-v1.0', "),
    ("agent", ..., "$.agent: is required"),
    ("agent.version", ..., "$.agent.version: is required"),
    ("agent.colour", "red", '$.agent.colour: is not a field of ATIF-v1.8, given "red"'),
    ("steps", ..., "$.steps: is required"),
    ("steps", [], "$.steps: must not be empty, given an array of 0"),
    ("steps.1.step_id", 3, "$.steps[1].step_id: must be 2, without gaps from 1, given 3"),
    ("steps.0.step_id", 0, "$.steps[0].step_id: must be greater than or equal to 1, given 0"),
    ("steps.0.source", "bot", "$.steps[0].source: must be 'system', 'user' or 'agent', given"),
    ("steps.0.message", ..., "$.steps[0].message: is required"),
    ("steps.0.message", 7, "$.steps[0].message: must be an array, given 7"),
    ("steps.2.timestamp", "yesterday", f"{IN_STEP}.timestamp: must be an ISO 8601 time, given"),
    ("steps.2.source", "user", f"{IN_STEP}.model_name: stands only on an agent's step, not on"),
    ("steps.0.model_name", "m", "$.steps[0].model_name: stands only on an agent's step"),
    ("steps.1.tool_calls", [], "$.steps[1].tool_calls: stands only on an agent's step"),
    ("steps.2.llm_call_count", 0, f"{IN_STEP}.metrics: must be absent where llm_call_count is 0"),
    ("steps.2.llm_call_count", -1, f"{IN_STEP}.llm_call_count: must be greater than or equal"),
    ("steps.2.reasoning_effort", [], f"{IN_STEP}.reasoning_effort: must be a string"),
    ("steps.2.tool_calls.0.arguments", "x", f"{IN_STEP}.tool_calls[0].arguments: must be an obj"),
    (
        f"{RESULT}.source_call_id",
        "c2",
        f"{IN_STEP}.observation.results[0].source_call_id: names no tool call of the same step,"
        ' given "c2"',
    ),
    (
        f"{RESULT}.subagent_trajectory_ref.0",
        {"session_id": "s"},
        f"{IN_STEP}.observation.results[0].subagent_trajectory_ref[0]: needs a trajectory_id",
    ),
    (f"{PART}.type", "video", "$.steps[1].message[1].type: must be 'text', 'image' or 'audio'"),
    (f"{PART}.type", "text", "$.steps[1].message[1].text: is required in a part of type 'text'"),
    (f"{PART}.type", "audio", "$.steps[1].message[1].source.media_type: is not that of audio"),
    (f"{PART}.text", "t", "$.steps[1].message[1].text: is not allowed in a part of type 'image'"),
    (f"{PART}.source", ..., "$.steps[1].message[1].source: is required in a part of type 'image'"),
    (f"{PART}.source.path", ..., "$.steps[1].message[1].source.path: is required"),
    (f"{PART}.source.media_type", "image/tiff", "$.steps[1].message[1].source.media_type: must"),
    (f"{PART}.source.duration_sec", 1, "$.steps[1].message[1].source.duration_sec: is not a fi"),
    ("steps.1.message.2.source.media_type", "audio/midi", "$.steps[1].message[2].source.media_t"),
    ("steps.1.message.2.source.duration_sec", -1, "$.steps[1].message[2].source.duration_sec: m"),
    (f"{PART}.source.path", "data:image/png;base64,AA", "$.steps[1].message[1].source.path: must"),
    (f"{PART}.source.path", "iVBOR" * 1000, "$.steps[1].message[1].source.path: must be a file"),
    ("steps.2.metrics.cost_usd", float("nan"), f"{IN_STEP}.metrics.cost_usd: must be a finite"),
    ("steps.2.extra.k.0", float("inf"), f"{IN_STEP}.extra.k[0]: must be a finite number, given"),
    ("final_metrics.total_steps", -1, "$.final_metrics.total_steps: must be greater than or"),
    (
        "subagent_trajectories.0.trajectory_id",
        ...,
        "$.subagent_trajectories[0].trajectory_id: is required in an embedded trajectory",
    ),
    ("subagent_trajectories.0.steps.0.step_id", 2, "$.subagent_trajectories[0].steps[0].step_id:"),
    ("no such key", 1, '$["no such key"]: is not a field of ATIF-v1.8, given 1'),
]


@pytest.mark.parametrize(("at", "value", "line"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong(at: str, value: object, line: str) -> None:
    problems = check(json.dumps(changed(at, value)))
    assert problems[0].startswith(line)
    assert all("\n" not in problem and len(problem) < 400 for problem in problems)


def test_every_problem_has_one_line() -> None:
    document = whole()
    document["agent"] = {"name": 3}
    document["steps"] = [
        {"step_id": "x", "source": "user", "message": ["t"], "reasoning_effort": {}}
    ]
    assert [problem.partition(":")[0] for problem in check(json.dumps(document))] == [
        "$.agent.name",
        "$.agent.version",
        "$.steps[0].step_id",
        "$.steps[0].message[0]",
        "$.steps[0].reasoning_effort",
    ]


def test_two_broken_rules_of_one_step_are_two_lines() -> None:
    document = changed("steps.2.llm_call_count", 0)
    document["steps"][2]["observation"]["results"][0]["source_call_id"] = "?"
    assert [line.partition(":")[0] for line in check(json.dumps(document))] == [
        f"{IN_STEP}.metrics",
        f"{IN_STEP}.reasoning_content",
        f"{IN_STEP}.observation.results[0].source_call_id",
    ]


def test_embedded_ids_are_unique() -> None:
    document = whole()
    document["subagent_trajectories"] *= 2
    (problem,) = check(json.dumps(document))
    assert problem == (
        "$.subagent_trajectories[1].trajectory_id: is that of another embedded trajectory, "
        'given "sub-1"'
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "$: is not JSON (Expecting value"),
        ("{", "$: is not JSON"),
        ("[" * 100_000, "$: is not JSON ("),
        ("[]", "$: must be an object, given an array of 0"),
        ("null", "$: must be an object, given null"),
    ],
)
def test_texts_that_are_no_document(text: str, line: str) -> None:
    (problem,) = check(text)
    assert problem.startswith(line)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    for path in (tmp_path / "gone", tmp_path, tmp_path / "bytes"):
        (problem,) = check(path)
        assert problem.startswith("$: cannot be read (")


def test_load_names_the_first_problems(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({**whole(), **{f"k{n}": n for n in range(9)}}))
    with pytest.raises(ValueError, match=r"t\.json is not a valid trajectory: \$\.k0: .*\(and 4 m"):
        load(str(path))


# --- models and dump


def test_models_are_frozen() -> None:
    step = Step(step_id=1, source="user", message="x")
    with pytest.raises(ValidationError):
        step.message = "y"


def test_dump_drops_none_but_not_from_what_is_not_ours() -> None:
    call = ToolCall(tool_call_id="c", function_name="f", arguments={"a": None})
    step = Step(step_id=1, source="agent", message="", tool_calls=(call,))
    assert json.loads(dump(Trajectory(agent=Agent(name="a", version="1"), steps=(step,)))) == {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "a", "version": "1"},
        "steps": [
            {
                "step_id": 1,
                "source": "agent",
                "message": "",
                "tool_calls": [
                    {"tool_call_id": "c", "function_name": "f", "arguments": {"a": None}}
                ],
            }
        ],
    }


def test_dump_writes_the_current_version_of_an_older_document(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(changed("schema_version", "ATIF-v1.4")))
    assert json.loads(dump(load(path)))["schema_version"] == "ATIF-v1.8"


def test_lone_surrogates_never_reach_the_file(tmp_path: Path) -> None:
    recorder = Recorder("a", "1")
    recorder.agent("ü \udc80", extra={"k\udc81": ["\udc82"]})
    text = dump(recorder.finish())
    assert '"message": "ü \\\\udc80"' in text
    assert check(text) == []
    path = tmp_path / "t.json"  # escaped in JSON they pass as ASCII, and are lone all the same
    path.write_text(json.dumps(changed("steps.2.extra", {"\udc80": "\udc80"})))
    dump(load(path)).encode()


# --- the recorder


def test_recorder(tmp_path: Path) -> None:
    recorder = Recorder("codex", "1.2", "m", "run-1")
    recorder.system("be brief")
    picture = ContentPart(
        type="image", source=ImageSource(media_type="image/png", path="screenshots/1.png")
    )
    sound = ContentPart(type="audio", source=AudioSource(media_type="audio/wav", path="a.wav"))
    assert recorder.user([ContentPart(type="text", text="do"), picture, sound]) == 2
    recorder.agent(
        "I look",
        tool_calls=[ToolCall(tool_call_id="ale_call_2", function_name="ls", arguments={})],
        results=[ObservationResult(source_call_id="ale_call_2", content=(picture,))],
        metrics=Metrics(prompt_tokens=3, cost_usd=0.5),
        model_name="m2",
    )
    call_id = recorder.tool("shell", {"cmd": "ls"}, "a b", started=0.0015, seconds=1.23456)
    assert call_id not in {"ale_call_2"}
    done = recorder.finish(FinalMetrics(total_cost_usd=0.5), notes="n")
    assert done.final_metrics == FinalMetrics(total_cost_usd=0.5, total_steps=4)
    assert (done.agent.model_name, done.session_id, done.notes) == ("m", "run-1", "n")
    path = tmp_path / "t.json"
    path.write_text(dump(done), encoding="utf-8")
    assert load(path) == done


def test_recorder_tool_step() -> None:
    recorder = Recorder("a", "1")
    started = datetime(2026, 11, 2, 12, 0, 0, 7999, timezone(timedelta(hours=2)))
    arguments = {"n": float("nan"), "path": Path("x"), "deep": [[{"b": b"1"}]], "t": (1, None)}
    call_id = recorder.tool(
        "shell", arguments, "out", started=started, seconds=0.5, extra={"exit": 3}
    )
    (step,) = recorder.finish().steps
    assert step.timestamp == "2026-11-02T10:00:00.007Z"
    assert step.tool_calls is not None
    assert step.tool_calls[0].tool_call_id == call_id
    assert step.tool_calls[0].arguments == {
        "n": "nan",
        "path": "x",
        "deep": [[{"b": "b'1'"}]],
        "t": [1, None],
    }
    assert step.observation is not None
    (result,) = step.observation.results
    assert (result.source_call_id, result.content) == (call_id, "out")
    assert result.extra == {"seconds": 0.5, "exit": 3}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        ("2026-11-02T10:00:00.5+02:00", "2026-11-02T08:00:00.500Z"),
        ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00.000Z"),
        (datetime(2026, 11, 2, 10), "2026-11-02T10:00:00.000Z"),
    ],
)
def test_recorder_times(given: object, written: str) -> None:
    recorder = Recorder("a", "1")
    recorder.user("x", timestamp=given)
    assert recorder.finish().steps[0].timestamp == written


def test_recorder_time_is_now() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    recorder = Recorder("a", "1")
    recorder.user("x")
    stamp = recorder.finish().steps[0].timestamp
    assert stamp is not None
    assert len(stamp) == len("2026-11-02T10:00:00.000Z")
    assert before <= datetime.fromisoformat(stamp) <= datetime.now(UTC)


@pytest.mark.parametrize("letter", ["x", "ü", "😀"])
def test_long_texts_lose_their_middle(letter: str) -> None:
    recorder = Recorder("a", "1")
    long = f"first{letter * 300_000}last"
    recorder.tool("f", {"text": long}, long, started=None, seconds=None)
    (step,) = recorder.finish().steps
    assert step.tool_calls is not None
    assert step.observation is not None
    for text in (step.tool_calls[0].arguments["text"], step.observation.results[0].content):
        assert isinstance(text, str)
        assert text.startswith("first")
        assert text.endswith("last")
        assert len(text.encode()) <= LONGEST_TEXT
        cut = len(long.encode()) - 2 * ((LONGEST_TEXT - 100) // 2)
        assert f"\n[{cut} bytes cut here]\n" in text


def test_texts_up_to_the_limit_stay() -> None:
    recorder = Recorder("a", "1")
    recorder.user("x" * LONGEST_TEXT)
    assert recorder.finish().steps[0].message == "x" * LONGEST_TEXT


def test_deep_arguments_do_not_break_the_record() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"k": deep}
    recorder = Recorder("a", "1")
    recorder.tool("f", deep, "")
    text = dump(recorder.finish())
    assert "[nested too deeply]" in text
    assert check(text) == []


def test_a_step_that_breaks_a_rule_is_refused_and_not_kept() -> None:
    recorder = Recorder("a", "1")
    recorder.user("x")
    stray = ObservationResult(source_call_id="?", content="y")
    with pytest.raises(ValidationError, match="names no tool call"):
        recorder.agent("z", results=[stray])
    with pytest.raises(ValidationError):
        recorder.user("z", colour="red")
    assert recorder.user("y") == 2
    assert len(recorder.finish().steps) == 2


def test_an_empty_record_is_no_trajectory() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        Recorder("a", "1").finish()


def test_the_recorder_stays_open_after_finish() -> None:
    recorder = Recorder("a", "1")
    recorder.user("x")
    early = recorder.finish()
    recorder.user("y")
    assert (len(early.steps), len(recorder.finish().steps)) == (1, 2)


def test_recorder_from_many_threads() -> None:
    recorder = Recorder("a", "1")

    def work(number: int) -> Callable[[], None]:
        def steps() -> None:
            for _ in range(50):
                recorder.tool("f", {"thread": number}, "ok")

        return steps

    threads = [threading.Thread(target=work(number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = recorder.finish()
    assert check(dump(done)) == []
    ids = {call.tool_call_id for step in done.steps for call in step.tool_calls or ()}
    assert len(ids) == len(done.steps) == 400
