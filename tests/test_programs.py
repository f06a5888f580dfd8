"""How an agent program is run and judged, by one of our own that does what is asked of it.

It stands for programs that break in ways the real ones cannot be made to break at will; those are
tested in test_codex.py, test_claude_code.py, test_gemini_cli.py and test_real_agents.py.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_ale.testing import Call, Refuse, Say, Script, ScriptedModel, Usage, WrongJson
from pytest_ale.trajectory import check, load

from .conftest import Project
from .odd import laid

CANARY = "sk-canary-0123456789abcdef"
OTHER = "sk-other-0123456789abcdefgh"

# Which agent is asked for by the knob `deed`; it asks its model with what Python has.
PROGRAM = """
import json, os, signal, subprocess, sys, time, urllib.request

def ask(*more):
    messages = [{"role": "user", "content": "Hello"}, *more]
    shell = {"type": "function", "function": {"name": "shell", "parameters": {}}}
    body = json.dumps({"model": "scripted", "messages": messages, "tools": [shell]})
    url = os.environ["MODEL_URL"] + "/v1/chat/completions"
    head = {"Authorization": "Bearer " + os.environ["MODEL_KEY"]}
    head["Content-Type"] = "application/json"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), head)) as reply:
        print("say", json.load(reply)["choices"][0]["message"]["content"], flush=True)

def answer():
    call = {"id": "1", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    ask(said, {"role": "tool", "tool_call_id": "1", "content": "done"})

def done():
    with open("inputs/word.txt") as given, open("output/word.txt", "w") as out:
        out.write(given.read())

def segfault():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSEGV)

def noise():
    for stream in (sys.stdout, sys.stderr):
        for _ in range(700):
            stream.write("n" * 99999 + chr(10))
        stream.write("the last line" + chr(10))

def child():
    print("say", subprocess.Popen(["sleep", "987654"], start_new_session=True).pid)

def tell():
    print("say", os.environ["MODEL_KEY"])
    with open("output/told.txt", "w") as out:
        out.write(repr((dict(os.environ), sys.argv)))

def leak():
    import base64
    key = os.environ["ODD_ACCOUNT"].encode()
    told = repr((dict(os.environ), base64.b64encode(b"x" + key), key.hex()))
    print("say", told)
    print(told, file=sys.stderr)
    with open("output/told.txt", "w") as out:
        out.write(told)

deeds = {
    "leak": leak,
    "ask": ask, "done": done, "segfault": segfault, "noise": noise, "child": child, "tell": tell,
    "answer": answer,
    "hang": lambda: time.sleep(1000), "input": input, "quit": lambda: sys.exit(0),
    "login": lambda: sys.exit("Please log in first."), "fail": lambda: print("failed it broke"),
    "refuse": lambda: print("refused I will not"),
}
for deed in sys.argv[1].split("+"):
    deeds[deed]()
"""


@pytest.fixture
def odd(project: Project) -> Project:
    return laid(project, PROGRAM)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(Script([Usage(input=100, output=7), Say("Hello to you.")])) as model:
        yield model


REAP = "from pytest_ale.cli import main; raise SystemExit(main(['reap']))"


def run(project: Project, deed: str, url: str, *words: str) -> Mapping[str, object]:
    """Examine it once, and return its record."""
    knob = f"--ale-knob=deed={deed}"
    more = ("--ale-agent=odd", knob, f"--ale-base-url={url}", "--ale-retries=0", *words)
    project.run(*more, env={"OPENAI_API_KEY": CANARY})
    return project.results[-1]


def ending(record: Mapping[str, object]) -> tuple[object, object]:
    return record["outcome"], record["score"]


def test_an_agent_that_works_is_scored_and_what_it_used_is_known(
    odd: Project, model: ScriptedModel
) -> None:
    record = run(odd, "ask+done", model.url)
    assert ending(record) == ("scored", 1.0)
    assert (record["tokens_in"], record["tokens_out"], record["requests"]) == (100, 7, 1)
    assert (record["models"], record["agent_version"]) == (["scripted"], "1.0")
    assert 0 < float(str(record["first_request"])) < 5
    attempt = odd.attempt()
    assert check(attempt / "trajectory.json") == []
    trajectory = load(attempt / "trajectory.json")
    assert trajectory.steps[1].message == "Hello to you."
    assert trajectory.agent.model_name == "scripted"  # which nobody asked for by name
    assert (attempt / "agent/stdout.log").read_text() == "say Hello to you.\n"
    (line,) = (attempt / "model/requests.jsonl").read_text().splitlines()
    assert json.loads(line)["usage"]["prompt"] == 100


BEFORE = {
    "quit": "odd asked no model; it ended as if all were done; its last words: it said nothing",
    "segfault": "odd asked no model; odd ended with signal 11: it said nothing",
    "input+input": "odd asked no model; odd ended with exit status 1: Traceback",
    "login": "; its last words: Please log in first.",
    "fail": "odd asked no model; it broke; its last words: failed it broke",
    "hang": "odd asked no model; odd was still at work when its time was over",
}


@pytest.mark.parametrize("deed", BEFORE)
def test_one_that_never_asked_its_model_was_not_examined(
    odd: Project, model: ScriptedModel, deed: str
) -> None:
    record = run(odd, deed, model.url, "--ale-timeout=2")
    assert (*ending(record), record["phase"]) == ("fault", None, "run")
    assert BEFORE[deed] in str(record["message"])


AFTER = {
    "segfault": ("crashed", "odd ended with signal 11: say Hello to you."),
    "login": ("crashed", "odd ended with exit status 1: Please log in first."),
    "fail": ("crashed", "it broke"),
    "refuse": ("refused", "I will not"),
    "hang": ("timeout", "odd was still at work when its time was over"),
}


@pytest.mark.parametrize("deed", AFTER)
def test_afterwards_its_end_is_its_own_and_what_it_left_is_graded(
    odd: Project, model: ScriptedModel, deed: str
) -> None:
    record = run(odd, f"ask+done+{deed}", model.url, "--ale-timeout=3")
    outcome, message = AFTER[deed]
    assert (*ending(record), record["message"]) == (outcome, 1.0, message)
    assert load(odd.attempt() / "trajectory.json").steps[1].message == "Hello to you."


def test_megabytes_of_noise_are_kept_within_bounds(odd: Project, model: ScriptedModel) -> None:
    record = run(odd, "ask+noise+done", model.url)
    assert ending(record) == ("scored", 1.0)
    for name in ("stdout", "stderr"):
        log = odd.attempt() / f"agent/{name}.log"
        assert 60 << 20 < log.stat().st_size < 65 << 20
        assert log.read_bytes().endswith(b": the rest is not kept]\n")


def test_what_it_leaves_running_is_dead_before_it_is_graded(
    odd: Project, model: ScriptedModel
) -> None:
    record = run(odd, "ask+child+done", model.url)
    assert ending(record) == ("scored", 1.0)
    assert str(load(odd.attempt() / "trajectory.json").steps[-1].message).isdigit()  # it began
    assert b"987654" not in subprocess.check_output(["ps", "-eo", "args"])


def test_the_real_key_is_nowhere_but_with_the_model_s_server(odd: Project) -> None:
    with ScriptedModel(Script([Say("Hello to you.")]), keys=[CANARY]) as model:
        record = run(odd, "ask+done+tell", model.url)
    assert ending(record) == ("scored", 1.0)
    assert "MODEL_KEY" in (odd.attempt() / "output/told.txt").read_text()
    for name in ("agent/stdout.log", "trajectory.json"):
        assert "[model key]" in (odd.attempt() / name).read_text()  # the attempt's own, used up
    kept = [path for path in odd.runs[-1].rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if CANARY.encode() in path.read_bytes()]


def test_a_real_key_is_in_its_own_process_and_is_kept_nowhere(odd: Project) -> None:
    words = ["--ale-agent=direct", "--ale-knob=deed=done+leak"]
    odd.run(*words, env={"ODD_ACCOUNT": CANARY, "OPENAI_API_KEY": OTHER})
    record = odd.results[-1]
    assert ending(record) == ("scored", 1.0)
    told = (odd.attempt() / "output/told.txt").read_text()
    assert told.count("[ODD_ACCOUNT]") == 3 and "OPENAI" not in told
    assert record["refused"] == ["'told.txt' held a secret, which was taken out."]
    kept = b"".join(path.read_bytes() for path in odd.runs[-1].rglob("*") if path.is_file())
    assert kept.count(b"[ODD_ACCOUNT]") > 5  # in its log, too
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode()[:-4], CANARY.encode().hex()):
        assert form.encode() not in kept


def test_one_with_servers_of_its_own_needs_their_hosts_and_the_header_says_so(odd: Project) -> None:
    words = ["--ale-agent=far", "--ale-knob=deed=done", "-rs"]
    result = odd.run(*words, env={"ODD_ACCOUNT": CANARY})
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "ale: far: asks its model past the gateway: no limit but time is kept",
            "SKIPPED * not runnable on provider local: local provider cannot limit the network*",
        ]
    )


def test_a_version_is_looked_up_once_and_recorded(odd: Project, model: ScriptedModel) -> None:
    words = ["--ale-agent=odd@latest", "--ale-knob=deed=ask+done", "-n2"]
    odd.run(*words, f"--ale-base-url={model.url}", env={"OPENAI_API_KEY": CANARY})
    (record,) = odd.results
    assert (record["agent"], record["agent_version"]) == ("odd@latest", "1.0")
    assert (odd.path / "asked").read_text() == "latest"


def test_a_missing_key_is_said_before_anything_is_leased(odd: Project) -> None:
    result = odd.run("--ale-agent=odd", "--ale-knob=deed=ask")
    result.stderr.fnmatch_lines(["*agent odd needs OPENAI_API_KEY in the environment, or *"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert odd.runs == []
    result = odd.run("--ale-agent=direct", "--ale-knob=deed=done")
    result.stderr.fnmatch_lines(["*agent direct needs ODD_ACCOUNT in the environment"])


REFUSED = {
    401: "the model's server never answered: status 401",
    404: "the model's server never answered: status 404",
    500: "the model's server never answered: status 500",
}


@pytest.mark.parametrize("status", REFUSED)
def test_a_model_that_refuses_is_a_fault(odd: Project, status: int) -> None:
    with ScriptedModel(Script([Refuse(status, times=None), Say("")])) as model:
        record = run(odd, "ask+done", model.url)
    assert (*ending(record), record["phase"]) == ("fault", None, "run")
    assert str(record["message"]).startswith(REFUSED[status])
    assert "The script refuses." in str(record["message"])


def test_a_model_that_is_not_there_is_a_fault(odd: Project) -> None:
    record = run(odd, "ask+done", "http://127.0.0.1:9")
    assert ending(record) == ("fault", None)
    assert "the model's server never answered: 127.0.0.1:9: ClientConnectorError" in str(
        record["message"]
    )


def test_a_model_that_fails_later_is_a_fault_if_the_agent_gave_up(odd: Project) -> None:
    steps = [Call("shell", {"command": "true"}), Refuse(500, times=None), Say("")]
    with ScriptedModel(Script(steps)) as model:
        record = run(odd, "ask+done+answer", model.url)
        assert (*ending(record), record["phase"]) == ("fault", None, "run")
        assert str(record["message"]).startswith("the model's server failed: status 500")
        run(odd, "ask+done+answer", model.url, "--ale-retries=1")
        assert [record["attempt"] for record in odd.results] == [1, 2]  # it may have come back
        record = run(odd, "ask+done+login", model.url)  # a failure of its own doing
        assert ending(record) == ("crashed", 1.0)


def test_an_answer_that_is_none_is_a_fault_if_the_agent_gave_up(odd: Project) -> None:
    with ScriptedModel(Script([WrongJson(times=None), Say("Hello to you.")])) as model:
        record = run(odd, "done+ask", model.url)
    assert (*ending(record), record["phase"]) == ("fault", None, "run")
    assert record["message"] == "the model's server failed: an answer that is none"


def test_a_budget_ends_it_and_what_it_left_is_graded(odd: Project, model: ScriptedModel) -> None:
    record = run(odd, "done+ask+ask+ask", model.url, "--ale-max-turns=2")
    assert (*ending(record), record["message"]) == (
        "budget",
        1.0,
        "the limit of turns was reached",
    )
    assert record["requests"] == 2


def test_one_gateway_serves_all_workers_and_keeps_the_run_s_dollars(
    odd: Project, model: ScriptedModel
) -> None:
    for number in range(4):
        odd.task(f"copy{number}")
    (odd.path / "prices.yaml").write_text("scripted: {input: 10000, output: 0}\n")  # 1 $ a request
    words = ["-n2", "--ale-run-max-usd=3", "--ale-prices=prices.yaml", "--ale-agent=odd:scripted"]
    words += ["--ale-knob=deed=ask+done", f"--ale-base-url={model.url}"]
    result = odd.run(*words, env={"OPENAI_API_KEY": CANARY})
    result.stdout.fnmatch_lines(["*5 instances × 1 agent × 1 trial = 5 attempts; *$3.00*"])
    outcomes = [str(record["outcome"]) for record in odd.results]
    scored = outcomes.count("scored")
    assert scored in (3, 4)  # two may ask at the same moment; the others never had a chance
    assert outcomes.count("fault") == 5 - scored
    assert "the run's dollars were used up before it began" in result.stdout.str()
    assert sum(record["cost_usd"] or 0 for record in odd.results) == scored  # type: ignore[misc]
    more = [*words, "-n0", f"--ale-run-max-usd={scored + 1}", "--ale-resume=last"]
    again = odd.run(*more, env={"OPENAI_API_KEY": CANARY})
    again.assert_outcomes(passed=1, errors=4 - scored)
    assert {record["cost_source"] for record in odd.results} >= {str(odd.path / "prices.yaml")}
    left = subprocess.run(["pgrep", "-f", "pytest_ale.gateway"], capture_output=True, text=True)
    assert not [pid for pid in left.stdout.split() if str(odd.path) in environ_of(pid)]


def environ_of(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


def test_after_a_kill_the_trajectory_is_there(odd: Project, model: ScriptedModel) -> None:
    words = ["--ale-agent=odd", "--ale-knob=deed=ask+hang", f"--ale-base-url={model.url}"]
    env = os.environ | {"OPENAI_API_KEY": CANARY}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *words],
        cwd=odd.path,
        env=env,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not (found := list(odd.path.glob(".ale/*/*/*/*/*/*/*/trajectory.json"))):
            assert time.monotonic() < deadline, "no trajectory was written while it worked"
            time.sleep(0.1)
        time.sleep(3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert check(found[0]) == []
    assert load(found[0]).steps[-1].message == "Hello to you."
    reaped = subprocess.run([sys.executable, "-c", REAP], cwd=odd.path)
    assert reaped.returncode == 0
