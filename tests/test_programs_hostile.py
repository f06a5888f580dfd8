"""What an agent program must not get by foul play: a fault that means another try, or our machine.

Each deed is done inside, in Python that a task's agent could run as well. The gateway's part is
asked on its socket.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime

import pytest

from pytest_ale.gateway import Control, Gateway, Limits
from pytest_ale.kept import Kept
from pytest_ale.recorder import Recorder
from pytest_ale.story import BYTES, CALLS, ENTRIES, Story
from pytest_ale.testing import Say, Script, ScriptedModel
from pytest_ale.trajectory import load

from .conftest import Project
from .gatewaying import Agent as Inside
from .gatewaying import Open, StandIn, agent, control, gateway, standin, until
from .odd import laid

__all__ = ["agent", "control", "gateway", "standin"]  # fixtures

PROGRAM = """
import json, os, sys, time, urllib.request

def ask():
    said = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}
    url = os.environ["MODEL_URL"] + "/v1/chat/completions"
    head = {"Authorization": "Bearer " + os.environ["MODEL_KEY"]}
    head["Content-Type"] = "application/json"
    request = urllib.request.Request(url, json.dumps(said).encode(), head)
    with urllib.request.urlopen(request) as reply:
        print("say", json.load(reply)["choices"][0]["message"]["content"], flush=True)
    with open("inputs/word.txt") as given, open("output/word.txt", "w") as out:
        out.write(given.read())

def log(name, data):
    os.makedirs("../.odd", exist_ok=True)
    with open(f"../.odd/{name}", "ab") as file:
        file.write(data)

def stumble():
    log("a.jsonl", b"boom\\nsay after it\\n" + b"boom\\n" * 100)

def grow():
    log("a.jsonl", b"")
    os.truncate("../.odd/a.jsonl", 8 << 30)

def odd_names():
    log("stdout", b"")
    with open("stdout", "w") as file:
        file.write("say what stdout did not\\n")
    log("a\\n30 stdout\\n9 ..\\n\\x1b[2J.jsonl", b"say it\\n")

def many():
    for number in range(200):
        log(f"{number:03}.jsonl", b"say one of many\\n")
        if number % 50 == 49:
            time.sleep(2)
            for old in os.listdir("../.odd"):
                os.unlink(f"../.odd/{old}")

ask()
globals()[sys.argv[1]]()
time.sleep(1.5)
"""


@pytest.fixture
def odd(project: Project) -> Project:
    return laid(project, PROGRAM)


def said(project: Project, deed: str) -> list[object]:
    """Let it do a deed, which must spoil nothing; what its trajectory says."""
    with ScriptedModel(Script([Say("Hello.")])) as model:
        words = ["--ale-agent=odd", f"--ale-knob=deed={deed}", f"--ale-base-url={model.url}"]
        project.run(*words, "--ale-retries=0", "--ale-timeout=20", env={"OPENAI_API_KEY": "sk-1"})
    record = project.results[-1]
    assert (record["outcome"], record["score"], record["message"]) == ("scored", 1.0, "")
    return [step.message for step in load(project.attempt() / "trajectory.json").steps[1:]]


def test_a_line_that_its_reader_stumbles_over_is_told_of_and_is_no_fault(odd: Project) -> None:
    assert said(odd, "stumble") == ["Hello.", "after it"]
    told = (odd.attempt() / "agent/unread.log").read_text().splitlines()
    assert len(told) == 20
    assert "a.jsonl: ValueError: a line that its reader does not expect: boom" in told[0]


def test_a_log_that_is_longer_than_can_be_read_holds_up_nothing(odd: Project) -> None:
    assert said(odd, "grow") == ["Hello."]
    assert (odd.attempt() / "agent/a.jsonl").stat().st_size < 1 << 20


def test_a_log_s_name_is_neither_a_stream_s_nor_the_terminal_s(odd: Project) -> None:
    assert said(odd, "odd_names") == ["Hello."]
    logs = [path.name for path in (odd.attempt() / "agent").iterdir()]
    assert logs == ["stdout.log"]


def test_no_more_logs_are_followed_than_may_be(odd: Project) -> None:
    assert 0 < said(odd, "many").count("one of many") <= 50
    assert len(list((odd.attempt() / "agent").iterdir())) <= 51


# What is told of it.


def story() -> tuple[Recorder, Story]:
    recorder = Recorder("odd", "1.0")
    return recorder, Story(recorder, Kept.__new__(Kept))  # nothing is kept in these


LEFT_OUT = "[this is more than is recorded: the rest is left out]"


def test_a_story_has_an_end() -> None:
    recorder, told = story()
    sub = told.subagent("1", "below")
    for number in range(ENTRIES + 10):
        (told, sub)[number % 2].turn(text="x")
    steps = recorder.finish().steps
    assert len(steps) == ENTRIES // 2 + 1 and steps[-1].message == LEFT_OUT
    recorder, told = story()
    for _ in range(BYTES // 1_000_000 + 10):
        told.turn(text="x" * 1_000_000)
    assert len(recorder.finish().steps) == BYTES // 1_000_000 + 1


def test_a_turn_that_grows_is_counted_once_and_has_so_many_calls() -> None:
    recorder, told = story()
    for _ in range(BYTES // 1_000_000 + 10):
        told.turn("the same", text="x" * 1_000_000)
    for number in range(CALLS + 10):
        told.call(str(number), "f", {}, turn="the same")
    (step,) = recorder.finish().steps
    assert step.tool_calls and len(step.tool_calls) == CALLS


def test_what_is_no_time_or_no_picture_spoils_no_story() -> None:
    recorder, told = story()
    for when in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "noon", 1e300):
        told.turn(text="x", when=when)
    told.turn(text="in time", when="2026-01-02T03:04:05+01:00")
    assert told.picture("é" * 8).text == "[a picture that is no base64]"
    now = datetime.now(UTC).isoformat()[:13]
    *steps, last = recorder.finish().steps
    assert [str(step.timestamp)[:13] for step in steps] == [now] * 4
    assert last.timestamp == "2026-01-02T02:04:05.000Z"


# The gateway.


def test_who_hangs_up_before_the_answer_has_paid(
    standin: StandIn, control: Control, agent: Open
) -> None:
    one = agent(limits=Limits(turns=3))
    body = json.dumps({"model": "silent", "input": "x " * 2000})
    for number in range(1, 4):
        before = len(standin.asked)
        one.request("POST", "/v1/responses", body, {"Authorization": f"Bearer {one.door.token}"})
        until(lambda before=before: len(standin.asked) > before)  # type: ignore[misc]
        one.close()
        until(lambda: not control.tally(one.door.token).running)
        usage = control.tally(one.door.token).usage
        assert (usage.refused, usage.estimated) == (number, number)
        assert usage.prompt == number * (len(body) // 4)
    assert one.post({"model": "plain"}).status == 400
    assert control.tally(one.door.token).stopped == "turns"


def test_who_hangs_up_has_not_seen_its_model_fail(control: Control, agent: Open) -> None:
    """Between the end of a connection and the news of it, what is written breaks: often, on a loop
    that is kept busy, so that both come at once."""
    one = agent()
    assert one.post({"model": "plain"}).read()
    ended = threading.Event()
    busy = threading.Thread(target=keep_busy, args=(Inside(one.door), ended))
    busy.start()
    for number in range(40):
        other = Inside(one.door)
        reply = other.post({"model": "endless"})
        reply.read1()
        time.sleep(0.03 + number % 10 / 500)  # its events come every 50 ms
        reply.close()
        other.close()
    ended.set()
    busy.join()
    until(lambda: not control.tally(one.door.token).running)
    tally = control.tally(one.door.token)
    assert (tally.failing, tally.trouble) == ("", [])


def keep_busy(other: Inside, ended: threading.Event) -> None:
    body = b'{"background":1,"tools":[' + b"{}," * 20_000 + b"{}]}"
    while not ended.is_set():
        other.post(body).read()
    other.close()


def test_a_body_that_is_hard_to_read_holds_up_nobody(gateway: Gateway, agent: Open) -> None:
    one, control = agent(), Control(gateway.control)
    body = b'{"background":1,"tools":[' + b"{}," * (4 << 20) + b"{}]}"
    others = [Inside(one.door) for _ in range(3)]
    for other in others:
        other.timeout = 60
    threads = [threading.Thread(target=other.post, args=(body,)) for other in others]
    for thread in threads:
        thread.start()
    worst = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        control.tally(one.door.token)
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.05)
    for other in others:
        other.close()
    assert worst < 1.5


@pytest.mark.parametrize("query", ["fields=candidates", "%24fields=x", "$alt=proto", "alt=media"])
def test_an_answer_s_count_is_not_left_out(standin: StandIn, agent: Open, query: str) -> None:
    before = len(standin.asked)
    reply = agent().post({}, f"/v1beta/models/g-1:generateContent?{query}")
    assert reply.status == 400 and b"it may leave out what was used" in reply.read()
    assert len(standin.asked) == before


def test_a_count_that_is_not_told_is_guessed_from_what_came(control: Control, agent: Open) -> None:
    one = agent()
    one.post({"model": "bare"}).read()
    usage = control.tally(one.door.token).usage
    assert usage.estimated == 1 and 9000 < usage.output < 11000
