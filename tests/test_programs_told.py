"""What a program tells of its work, made steps: stories, logs, secrets, and who is believed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from pytest_ale.again import whole
from pytest_ale.gateway import Tally, Usage
from pytest_ale.gateway.scrub import Scrub
from pytest_ale.kept import Kept
from pytest_ale.logs import KEPT_BYTES, LINE_BYTES, Log
from pytest_ale.program import Brief, Closing, Program, Reader
from pytest_ale.recorder import Recorder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault
from pytest_ale.secrets import cleanse, secrets
from pytest_ale.spending import metrics, spending
from pytest_ale.story import Story
from pytest_ale.told import COUNT, count, items, moment, objects, parsed, seconds, sub, took, word
from pytest_ale.trajectory import Metrics, ToolCall, Trajectory, check, dump

PNG = b"\x89PNG\r\n\x1a\n and more"
FIRST = 1_750_000_000.0


@pytest.fixture
def recorder() -> Recorder:
    recorder = Recorder("odd", "1.0")
    recorder.user("Do it.", timestamp=FIRST)
    return recorder


@pytest.fixture
def story(recorder: Recorder, tmp_path: Path) -> Story:
    return Story(recorder, Kept(tmp_path / "written"))


def told(recorder: Recorder) -> Trajectory:
    trajectory = recorder.finish()
    assert check(dump(trajectory)) == []
    return trajectory


# Stories.


def test_a_turn_is_told_in_pieces(story: Story, recorder: Recorder) -> None:
    story.turn("a", when=FIRST + 1, reasoning="Hm.")
    story.turn("a", text="I look.", model="m", metrics=Metrics(prompt_tokens=5))
    story.call("1", "shell", {"command": "ls"}, turn="a")
    story.call("2", "shell", {"command": "pwd"}, turn="a")
    story.turn("b", text="Next.")
    story.result("2", "/home", when=FIRST + 3, extra={"exit_code": 0})
    story.result("1", "a b")
    _, first, second = told(recorder).steps
    assert (first.message, first.reasoning_content, first.model_name) == ("I look.", "Hm.", "m")
    assert first.timestamp == "2025-06-15T15:06:41.000Z"
    assert [call.arguments["command"] for call in first.tool_calls or ()] == ["ls", "pwd"]
    assert first.observation
    assert [(r.source_call_id, r.content) for r in first.observation.results] == [
        ("2", "/home"),
        ("1", "a b"),
    ]
    assert second.message == "Next."


def test_a_call_without_a_turn_is_one_and_an_id_is_told_once(
    story: Story, recorder: Recorder
) -> None:
    story.call("1", "shell", {})
    story.call("1", "shell", {"again": True})
    story.result("1", "done")
    story.result("1", "done again")
    story.result("unknown", "what is this?")
    _, call, unknown = told(recorder).steps
    assert call.tool_calls and call.tool_calls[0].arguments == {}
    assert call.observation and len(call.observation.results) == 1
    assert (unknown.source, unknown.message) == ("system", "what is this?")


def test_a_long_argument_is_a_file_however_few_characters_it_has(
    story: Story, recorder: Recorder, tmp_path: Path
) -> None:
    text = "写" * 45_000  # 135 kB: a step would cut it
    story.call("1", "write", {"text": text, "few": "字"})
    calls = told(recorder).steps[1].tool_calls
    assert calls and calls[0].arguments["few"] == "字"
    assert whole(calls[0], tmp_path).arguments["text"] == text


def test_a_picture_is_a_file_and_what_is_none_is_words(
    story: Story, recorder: Recorder, tmp_path: Path
) -> None:
    pictures = [base64.b64encode(PNG).decode(), PNG + b"2", "no base64!", b"no picture"]
    story.call("1", "screenshot", {})
    story.result("1", [story.picture(picture) for picture in pictures])
    observation = told(recorder).steps[1].observation
    assert observation and isinstance(parts := observation.results[0].content, tuple)
    assert [part.type for part in parts] == ["image", "image", "text", "text"]
    assert parts[0].source and (tmp_path / parts[0].source.path).read_bytes() == PNG


def test_a_subagent_has_a_story_of_its_own(story: Story, recorder: Recorder) -> None:
    story.call("1", "task", {"prompt": "Look."})
    below = story.subagent("child", "looker", call="1", model="small")
    assert story.subagent("child", "looker", call="1") is below
    below.user("Look.")
    below.turn(text="I see.")
    story.subagent("silent", "looker")
    story.result("1", "It sees.")
    trajectory = told(recorder)
    (child,) = trajectory.subagent_trajectories or ()
    assert (child.trajectory_id, child.agent.model_name) == ("child", "small")
    assert [step.message for step in child.steps] == ["Look.", "I see."]
    observation = trajectory.steps[1].observation
    assert observation
    refs = [ref for result in observation.results for ref in result.subagent_trajectory_ref or ()]
    assert [ref.trajectory_id for ref in refs] == ["child"]


# What stands in JSON.


def test_what_is_not_as_it_should_be_is_as_if_it_were_not_there() -> None:
    value = parsed('{"a": {"b": 1}, "l": [1, {"x": 2}, []], "w": "x", "n": 2, "t": true}')
    assert [parsed(text) for text in ("[1]", "{", "", "[" * 100_000)] == [{}] * 4
    assert [sub(value, name) for name in ("a", "l", "no")] == [{"b": 1}, {}, {}]
    assert items(value, "l") == [1, {"x": 2}, []] and items(value, "w") == []
    assert objects(value["l"]) == [{"x": 2}] and objects("l") == []
    assert [word(value, name) for name in ("w", "n", "no")] == ["x", "", ""]
    assert count(value, "n", "t", "w", "no") == 2
    assert count({"n": -1, "much": 10**30}, "n", "much") == COUNT


def test_a_call_is_not_done_again_in_silence_where_a_program_does_not_say_how() -> None:
    class Acme(Program):
        name = "acme"

        def arguments(self, brief: Brief) -> list[str]:
            return []

        def reader(self, story: Story) -> Reader:
            raise NotImplementedError

    call = ToolCall(tool_call_id="1", function_name="bash", arguments={})
    with pytest.raises(Fault, match="recorded call bash of acme cannot be done again"):
        Acme().redo(call, cast(RecordingSandbox, None), Path())


def test_a_time_without_a_zone_is_in_utc_and_what_is_none_is_not_known() -> None:
    assert seconds("1970-01-01T00:01:00") == seconds("1970-01-01T02:01:00+02:00") == 60
    assert [seconds(when) for when in ("yesterday", "", None)] == [0.0] * 3
    told = [moment({"timestamp": when}) for when in ("2026-01-01T00:00:00Z", "soon", 7)]
    assert told == ["2026-01-01T00:00:00Z", None, None]
    assert took("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.5") == 1.5
    assert took("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z") == 0.0
    assert took(None, "2026-01-01T00:00:00Z") is None


# Logs.


class Lines(list[tuple[str, str]]):
    def line(self, source: str, text: str) -> None:
        self.append((source, text))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def log(tmp_path: Path, lines: Lines) -> Iterator[Log]:
    log = Log(tmp_path, lines, Scrub({"KEY": "secret-value"}))
    yield log
    log.end()


def test_lines_are_handed_on_whole_and_without_secrets(
    log: Log, lines: Lines, tmp_path: Path
) -> None:
    for data in (b"one\ntw", b"o secret-", b"value\r\n\nth", b"\xff", b"ree"):
        log.take("stdout", data)
    log.take("stderr", b"oh no\n")
    log.take("/home/agent/.odd/sessions/a.jsonl", b"{}\n")
    log.end()
    assert lines[:2] == [("stdout", "one"), ("stdout", "two [KEY]")]
    assert lines[2:4] == [("stderr", "oh no"), ("/home/agent/.odd/sessions/a.jsonl", "{}")]
    assert lines[4:] == [("stdout", "th\N{REPLACEMENT CHARACTER}ree")]
    assert (tmp_path / "stdout.log").read_bytes() == b"one\ntwo [KEY]\r\n\nth\xffree"
    assert (tmp_path / "a.jsonl").read_bytes() == b"{}\n"
    assert log.last_words == "oh no"


def test_a_line_without_an_end_is_bounded(log: Log, lines: Lines) -> None:
    for _ in range(LINE_BYTES // (1 << 20) + 5):
        log.take("stdout", b"x" * (1 << 20))
    log.take("stdout", b"\nnext\n")
    size = LINE_BYTES + (5 << 20)
    assert lines == [("stdout", f"[a line of {size} bytes]"), ("stdout", "next")]


def test_what_is_kept_is_bounded_and_what_is_handed_on_is_not(
    log: Log, lines: Lines, tmp_path: Path
) -> None:
    line = b"x" * ((1 << 20) - 1) + b"\n"
    for _ in range(KEPT_BYTES // len(line) + 3):
        log.take("stdout", line)
    assert len(lines) == KEPT_BYTES // len(line) + 3
    assert KEPT_BYTES < (tmp_path / "stdout.log").stat().st_size < KEPT_BYTES + 100


# Secrets.


def test_secrets_are_known_by_the_names_of_their_variables() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-1234567890",
        "MY_TOKEN": "tok-1234567890",
        "DB_PASSWORD": "correct horse",
        "AWS_SECRET_ACCESS_KEY": "aws-1234567890",
        "KEYBOARD": "qwertz-layout",
        "SHORT_KEY": "1234",
        "KEY_FILE": "/home/me/key.pem",
    }
    assert [*secrets(environ)] == [
        "OPENAI_API_KEY",
        "MY_TOKEN",
        "DB_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    ]


def test_secrets_are_taken_out_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/told.bin").write_bytes(b"\x00secret-value\xff")
    (tmp_path / "other").write_bytes(b"nothing")
    said = cleanse(tmp_path, Scrub({"KEY": "secret-value"}))
    assert said == ["'a/told.bin' held a secret, which was taken out."]
    assert (tmp_path / "a/told.bin").read_bytes() == b"\x00[KEY]\xff"


# Who is believed.


def test_the_gateway_is_believed_before_the_program() -> None:
    seen = Usage(prompt=100, cached=40, output=20, reasoning=5, requests=2)
    says = Closing(usage=Usage(prompt=999), cost_usd=9.0)
    spent = spending(Tally(usage=seen, usd=0.5, prices="a list"), says)
    assert (spent.usage, spent.usd, spent.source, spent.reported_usd) == (seen, 0.5, "a list", 9.0)
    unpriced = spending(Tally(usage=seen, usd=None), says)
    assert (unpriced.usage, unpriced.usd, unpriced.source) == (seen, 9.0, "the program")
    alone = spending(None, says)
    assert (alone.usage, alone.usd, alone.source) == (Usage(prompt=999), 9.0, "the program")
    assert spending(None, None).usd is None


def test_final_metrics_say_whose_word_they_are() -> None:
    seen = Usage(prompt=100, cached=40, output=20, reasoning=5, cache_write=3, requests=2)
    final = metrics(spending(Tally(usage=seen, usd=0.5, prices="a list"), Closing(cost_usd=0.6)))
    assert final and final.total_prompt_tokens == 100 and final.total_cached_tokens == 40
    assert final.total_cost_usd == 0.5
    assert final.extra == {
        "cache_write_tokens": 3,
        "reasoning_tokens": 5,
        "cost_source": "a list",
        "reported_cost_usd": 0.6,
    }
