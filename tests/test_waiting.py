"""Working time: what an agent waits for its model's rate limits is none of it.

The clock alone first, told when what happened; then agents in real runs, on limits that are
shorter than what their model's server has them wait.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pytest_ale.deadline import LEAST, Left, added, most_waiting
from pytest_ale.gateway import Control, Limits, Terms
from pytest_ale.gateway.waiting import PATIENCE, Waiting, seconds_asked
from pytest_ale.testing import Call, Refuse, Say, Script, ScriptedModel, Slow

from .conftest import CACHE, Project
from .gatewaying import Agent, Open, agent, control, gateway, standin
from .odd import laid

__all__ = ["agent", "control", "gateway", "standin"]  # fixtures

KEY = "sk-canary-0123456789abcdef"

# The clock: who was sent (>), refused (!), answered (=), over (.), at which second; "!30" says 30.
CASES: Mapping[str, tuple[str, float, float]] = {
    "no refusal": ("0> 9= 20. 25> 26= 27.", 100, 0),
    "from a refusal to the request that is answered": ("0> 1! 1. 11> 15= 20.", 100, 11),
    "an answer that takes long is no waiting": ("0> 1! 1. 2>", 100, 2),
    "what is refused again was waiting on its way": ("0> 1! 1. 2> 8! 8. 9> 9= 9.", 100, 9),
    "ten minutes of work after a refusal are one of waiting": ("0> 0! 0. 600> 601= 601.", 999, 60),
    "as long as it was told to": ("0> 0!90 0. 600> 601= 601.", 999, 90),
    "however long it was told to": ("0> 0!9999 0.", 9999, PATIENCE),
    "it gave up after a refusal": ("0> 0! 0.", 5, 5),
    "an error that says nothing of coming again ends it": ("0> 1! 1. 3> 4= 4.", 100, 3),
    "so does one that came to nothing": ("0> 1! 1. 3> 4.", 100, 3),
    "at once is not counted twice": ("0a> 0b> 5a! 5a. 6b! 6b. 9a> 9b> 9a= 9b= 9a. 9b.", 100, 9),
    "one goes on while others are refused": ("0a> 1a= 1b> 2b! 2b. 30a. 32b> 33b= 33b.", 100, 2),
    "one was on its way and is answered": ("0a> 1b> 2b! 2b. 20a= 20a. 22b> 23b= 23b.", 100, 2),
    "one that is answered was sent after": ("0> 1! 1. 4a> 5a= 9a. 50> 50= 50.", 100, 4),
    "an earlier one is over, and then all wait": ("0a> 1a= 2b> 3b! 3b. 9a.", 20, 11),
    "again and again": ("0> 0! 0. 5> 5= 5. 10> 10! 10. 12> 12= 12.", 100, 7),
}


def played(script: str, waiting: Waiting) -> Waiting:
    for word in script.split():
        at = word.rstrip("0123456789") if "!" in word else word
        asked = float(word[len(at) :] or 0)
        seconds, who, what = at.rstrip("ab>!=."), at.strip("0123456789>!=."), at[-1]
        number, now = ord(who or "a"), float(seconds)
        if what == "!":
            waiting.refused(number, now, asked)
        else:
            {">": waiting.sent, "=": waiting.answered, ".": waiting.over}[what](number, now)
    return waiting


@pytest.mark.parametrize("case", CASES)
def test_what_counts_as_waiting(case: str) -> None:
    script, now, wanted = CASES[case]
    assert played(script, Waiting()).seconds(now) == wanted


def test_it_never_grows_less_and_has_a_bound() -> None:
    waiting, seen = Waiting(most=100), [0.0]
    for number in range(1, 500):
        before = float(number)
        waiting.sent(number, before)
        seen.append(waiting.seconds(before + 0.2))
        (waiting.answered if number % 3 == 0 else waiting.refused)(number, before + 0.5)
        waiting.over(number, before + 0.6)
        seen.append(waiting.seconds(before + 0.8))
    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_how_long_a_refusal_says_to_wait() -> None:
    said = ["90", "0.5", "-3", "", "soon", "nan", "inf", "Fri, 99 Foo 2099 00:00:00 GMT"]
    assert [seconds_asked(each) for each in said] == [90, 0.5, 0, 0, 0, 0, 0, 0]
    assert 80 < seconds_asked(formatdate(time.time() + 90, usegmt=True)) <= 90
    assert seconds_asked(formatdate(time.time() - 90, usegmt=True)) == 0


def test_what_is_left_is_a_number_that_may_grow() -> None:
    answers = iter([5.0, 3.0, 3.0, 0.0])
    left = Left(lambda: next(answers))
    assert left == 5 and json.dumps(left) == "5.0"
    assert type(copy.deepcopy(left)) is float
    more = added(left)
    assert more == 3
    assert added(more) is None and added(5.0) is None and added(None) is None
    assert Left(lambda: -1.0) == LEAST


def test_the_most_that_counts() -> None:
    assert (most_waiting(10), most_waiting(3600), most_waiting(10**6)) == (40, 14400, 21600)


# The gateway.


def test_only_what_the_real_server_refuses_is_waiting(control: Control, agent: Open) -> None:
    one = agent(waiting=0.0)
    assert one.post({"model": "limited"}).read()
    assert control.tally(one.door.token).waited == 0  # so much counts at most
    late = agent(limits=Limits(turns=0))
    assert late.post({"model": "limited"}, "/v1/chat/completions").status == 400  # our refusal
    assert control.tally(late.door.token).waited == 0


def test_a_budget_of_seconds_moves_by_what_was_waited(control: Control) -> None:
    one = Agent(control.register(Terms(limits=Limits(seconds=1.0))))
    began = time.monotonic()
    while time.monotonic() < began + 1.5:  # without a pause: all of it is waiting
        assert one.post({"model": "limited"}).read() == b'{"error": {}}'
    tally = control.close(one.door.token)
    assert (tally.over, tally.stopped) == ("", "") and 1.2 < tally.waited < 10
    one.close()


# Runs. What is asked for by the knob `deed`; it comes again when it is told to.

PROGRAM = """
import json, os, sys, time, urllib.error, urllib.request

def ask():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
    url = os.environ.get("MODEL_URL") or os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
    key = os.environ.get("MODEL_KEY") or os.environ["OPENAI_API_KEY"]
    head = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    asked = urllib.request.Request(url + "/v1/chat/completions", body.encode(), head)
    try:
        urllib.request.urlopen(asked).read()
    except urllib.error.HTTPError as error:
        time.sleep(float(error.headers["Retry-After"] or 0.01))
        return ask()

def hammer():
    while True:
        ask()

def done():
    with open("inputs/word.txt") as given, open("output/word.txt", "w") as out:
        out.write(given.read())

deeds = {"ask": ask, "hammer": hammer, "done": done, "work": lambda: time.sleep(1000)}
for deed in (sys.argv[1:] or ["ask+done"])[0].split("+"):
    deeds[deed]()
"""

WAITS = [Refuse(429, retry_after=1, times=3), Say("Hello.")]  # three seconds of waiting


@pytest.fixture
def odd(project: Project) -> Project:
    return laid(project, PROGRAM)


def run(
    project: Project, script: list[Any], *words: str
) -> tuple[pytest.RunResult, dict[str, Any]]:  # Any: of a script's steps, and of JSON
    with ScriptedModel(Script(script)) as model:
        more = (f"--ale-base-url={model.url}", "--ale-retries=0", *words)
        result = project.run(*more, env={"OPENAI_API_KEY": KEY, "XDG_CACHE_HOME": CACHE})
    return result, project.results[-1]


def deed(what: str, limit: float) -> tuple[str, ...]:
    return ("--ale-agent=odd", f"--ale-knob=deed={what}", f"--ale-timeout={limit:g}")


def test_who_waits_longer_than_its_limit_is_scored(odd: Project) -> None:
    result, record = run(odd, WAITS, *deed("ask+done", 2.5), "--junit-xml=junit.xml")
    assert (record["outcome"], record["score"]) == ("scored", 1.0)
    assert record["waited"] >= 3 and record["seconds"] >= 3 and record["working"] < 2.5
    assert record["working"] == pytest.approx(record["seconds"] - record["waited"], abs=0.001)
    told = (odd.path / "junit.xml").read_text()
    for name in ("seconds", "working", "waited"):
        assert f'name="ale.{name}" value="{round(record[name], 3)}' in told
    result.stdout.fnmatch_lines(["*1 waited for rate limits: 3.* s of the time, against no limit"])


def test_so_is_a_command_that_knows_nothing_of_it(project: Project, tmp_path: Path) -> None:
    """The agent `script` runs one command with what was left when it began as its timeout."""
    project.task("copy")
    script = tmp_path / "agent.py"
    script.write_text("#!/usr/bin/python3 -I\n" + PROGRAM)
    knobs = ("--ale-agent=script", f"--ale-knob=path={script}", "--ale-knob=api=openai")
    _, record = run(project, WAITS, *knobs, "--ale-timeout=2.5")
    assert (record["outcome"], record["score"]) == ("scored", 1.0)
    assert record["waited"] >= 3 and record["seconds"] >= 3


def test_who_works_too_long_is_not_and_is_told_both_times(odd: Project) -> None:
    script = [Refuse(429, retry_after=1, times=2), Say("Hello.")]
    _, record = run(odd, script, *deed("ask+done+work", 2))
    assert (record["outcome"], record["score"]) == ("timeout", 1.0)
    told = r"odd was still at work when its time was over: 2 s of working time \([45] s in all, "
    assert re.fullmatch(told + r"2 s waiting for rate limits\)", record["message"])
    assert 2 <= record["waited"] < 3 and 2 <= record["working"] < 4


def test_who_hammers_a_server_that_always_refuses_is_ended_by_the_bound(odd: Project) -> None:
    script = [Refuse(429, times=None), Say("Hello.")]
    _, record = run(odd, script, *deed("hammer", 1))
    assert (record["outcome"], record["phase"]) == ("fault", "run")  # nobody could have worked
    assert "never answered: status 429" in record["message"]
    assert record["waited"] == most_waiting(1) == 4
    assert 5 <= record["seconds"] < 10


def test_errors_and_slow_answers_are_no_waiting(odd: Project) -> None:
    script = [Refuse(500, times=2), Slow(tokens_per_second=2), Say("One, two, three, four.")]
    _, record = run(odd, script, *deed("ask+done+work", 3))
    assert (record["outcome"], record["score"], record["requests"]) == ("timeout", 1.0, 3)
    assert record["message"] == "odd was still at work when its time was over"
    assert record["waited"] == 0 and 3 <= record["working"] == round(record["seconds"], 3) < 5


# A harness of somebody else's, on this machine: it reads what is left, or never does.
HARNESS = """
import threading, time, urllib.error, urllib.request
from pytest_ale import run
from pytest_ale.harness import Ending, Harness

run.MARGIN = 1.0  # seconds that a phase gives a harness to end by itself

def ask(work):
    url, head = work.model_url + "/v1/chat/completions", {"Content-Type": "application/json"}
    head["Authorization"] = "Bearer " + work.model_key
    body = b'{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}'
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, head)).read()
    except urllib.error.HTTPError as error:
        time.sleep(float(error.headers["Retry-After"]))
        ask(work)

class Reads(Harness):
    name, api, outside = "reads", "openai", True
    def run(self, work):
        began, limit = work.deadline, work.left
        ask(work)
        assert work.left + 1e-3 > limit - (time.monotonic() - (began - limit)) + 3
        work.sandbox.exec("cp inputs/word.txt output", check=True, timeout=min(work.left, 60))
        return Ending()

class Stubborn(Reads):
    name = "stubborn"
    def run(self, work):
        ask(work)
        threading.Event().wait(100)

def pytest_ale_harnesses(register):
    register("reads", Reads)
    register("stubborn", Stubborn)
"""


def test_what_is_left_grows_for_a_harness_that_reads_it(project: Project) -> None:
    (project.path / "conftest.py").write_text(HARNESS)
    project.task("copy")
    script = [Refuse(503, retry_after=1, times=3), Say("Hello.")]
    _, record = run(project, script, "--ale-agent=reads", "--ale-timeout=2")
    assert (record["outcome"], record["score"], record["message"]) == ("scored", 1.0, "")


def test_the_phase_waits_as_much_longer_for_one_that_does_not(project: Project) -> None:
    (project.path / "conftest.py").write_text(HARNESS)
    project.task("copy")
    script = [Refuse(529, retry_after=1, times=2), Say("Hello.")]
    _, record = run(project, script, "--ale-agent=stubborn", "--ale-timeout=1")
    assert record["outcome"] == "timeout"
    told = r"the agent did not end within 1 s of working time \([45] s in all, "
    assert re.fullmatch(told + r"2 s waiting for rate limits\)", record["message"])
    assert 4 <= record["seconds"] < 6


@pytest.mark.once
def test_codex_waits_and_is_scored(project: Project) -> None:
    """The real one: it comes again when a 429 has said when. It takes 2 s for itself; on a loaded
    machine 7 s went by before it asked."""
    project.task("copy")
    copy = Call("shell", {"command": "cp inputs/word.txt output"})
    script = [Refuse(429, retry_after=9, times=2), copy, Say("Done.")]
    _, record = run(project, script, "--ale-agent=codex:scripted", "--ale-timeout=17")
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record["message"]
    assert record["waited"] >= 17.5 and record["seconds"] > 17.5 and record["working"] < 17
