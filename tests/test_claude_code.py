"""claude_code: the real Claude Code, in docker, and what it says there made a story."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pytest_ale.harnesses.claude_code import ClaudeCode
from pytest_ale.harnesses.claude_code_log import ClaudeCodeLog

from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.kept import Kept
from pytest_ale.program import Brief, Server
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.recorder import Recorder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxSpec
from pytest_ale.testing import (
    Call,
    Cut,
    Expect,
    Refuse,
    Say,
    Script,
    ScriptedModel,
    Think,
    Turn,
    Usage,
)
from pytest_ale.trajectory import Step, ToolCall, check, load

from .conftest import Project
from .reading import calls, close_after, of_agent, read, results, spent

CANARY = "sk-ant-canary-0123456789abcdef"
AGENT = "claude_code:claude-sonnet-4-5"
TASK = "/home/agent/task"
COPY = "cp inputs/word.txt output/word.txt"
LONG = "long " * 12_000 + "enough"


def words(url: str) -> list[str]:
    given = ["tasks", f"--ale-agent={AGENT}", "--ale-provider=docker", f"--ale-base-url={url}"]
    return [*given, "--ale-retries=0"]


def shell(command: str, **more: object) -> Call:
    return Call("shell", {"command": command, **more})


# A folder that lasts, pictures, files, an edit that it refuses to do, and the background.
LOOK = "env; mkdir -p sub && cd sub && cp ../inputs/word.txt w.txt"
CHECKED = 'test "$(cat a.txt)" = "it is the word" && cksum < long.txt && cd /'
WORK = [
    Usage(input=1000, output=50, cached=400, written=100),
    Think("First I look."),
    Expect(tool_offered=("desktop.screenshot", "desktop.click"), prompt_contains="word.txt"),
    shell(LOOK),
    Usage(input=1200, output=9),
    Turn(Say("Now the screen."), Call("desktop.screenshot")),
    Expect(picture=True),
    Turn(Call("desktop.click", {"coordinate": [200, 150]}), shell("pwd; echo oh >&2; exit 3")),
    Turn(
        Call("Write", {"file_path": f"{TASK}/sub/long.txt", "content": LONG}),
        Call("Write", {"file_path": f"{TASK}/sub/a.txt", "content": "it is not the word"}),
    ),
    Call("Edit", {"file_path": f"{TASK}/sub/a.txt", "old_string": "not ", "new_string": ""}),
    Call("Edit", {"file_path": f"{TASK}/sub/a.txt", "old_string": "none", "new_string": "lost"}),
    Expect(tool_result_contains="not found"),
    shell("sleep 1; cp w.txt ../output/word.txt", run_in_background=True),
    shell(f"sleep 2; {CHECKED}"),
    Say("Done."),
]
CALLED = [
    *("Bash", "mcp__desktop__screenshot", "mcp__desktop__click", "Bash", "Write", "Write"),
    *("Edit", "Edit", "Bash", "Bash"),
]
REPLAYED = ["exec", "desktop.click", "exec", "write", "write", "write", "exec", "exec"]


@pytest.mark.once
def test_it_works_with_shell_and_screen_and_is_replayed(
    project: Project, docker_engine: None
) -> None:
    project.task("copy", environment={"desktop": True})
    with ScriptedModel(Script(WORK)) as model:
        project.run(*words(model.url), env={"ANTHROPIC_API_KEY": CANARY})
    model.check()
    (record,), attempt = project.results, project.attempt()
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record["message"]
    assert (record["models"], record["requests"]) == (["claude-sonnet-4-5"], 9)
    assert seconds_to_ask(attempt) < 60  # 1.5 s where nothing else runs, 18 s at a load of 14
    first = told_whole(attempt, record)
    noise_changes_nothing(attempt / "agent/stdout.log", project.path)
    no_key_is_kept(project.runs[-1])
    again = f"--ale-knob=path={project.runs[-1]}"
    project.run("tasks", "--ale-agent=replay", again, "--ale-provider=docker", "--ale-retries=0")
    (record,) = project.results
    assert record["score"] == 1.0, record["message"]
    second = load(project.attempt() / "trajectory.json")
    done = [call.function_name for call in calls(second.steps)]
    assert [name for name in done if name != "desktop.size"] == REPLAYED
    (cksum,) = results(second.steps[-1])
    assert str(results(first[-2])[0].content).startswith(str(cksum.content).strip())


def told_whole(attempt: Path, record: Mapping[str, object]) -> list[Step]:
    assert check(attempt / "trajectory.json") == []
    story = load(attempt / "trajectory.json")
    steps = of_agent(story)
    assert [step.message for step in steps] == ["", "Now the screen.", *[""] * 6, "Done."]
    assert steps[0].reasoning_content == "First I look."
    assert {(step.model_name, step.llm_call_count) for step in steps} == {("claude-sonnet-4-5", 1)}
    made = calls(steps)
    assert [call.function_name for call in made] == CALLED
    assert made[0].arguments == {"command": LOOK}
    assert made[2].arguments == {"coordinate": [200, 150]}
    kept = made[4].arguments["content"]
    assert isinstance(kept, dict) and (attempt / str(kept["file"])).read_text() == LONG
    told_results(steps, attempt)
    used = [(1000, 50, 400), (1200, 9, 0), *[(100, 10, 0)] * 7]
    assert list(spent(story)) == used
    assert steps[0].metrics and steps[0].metrics.extra
    assert steps[0].metrics.extra["cache_write_tokens"] == 100
    assert record["tokens_in"] == sum(prompt for prompt, _, _ in used)
    assert record["tokens_out"] == sum(output for _, output, _ in used)
    times = [str(step.timestamp) for step in story.steps]
    assert times == sorted(times)
    return steps


def told_results(steps: list[Step], attempt: Path) -> None:
    (shown,) = results(steps[1])
    assert shown.content and not isinstance(shown.content, str)
    (source,) = [part.source for part in shown.content if part.source]
    assert (attempt / source.path).read_bytes().startswith(b"\x89PNG")
    _, failed = results(steps[2])
    assert failed.content == f"Exit code 3\n{TASK}/sub\noh"
    extra = failed.extra or {}
    assert (extra["is_error"], extra["exit_code"]) == (True, 3)
    slept = results(steps[-2])[0].extra or {}
    assert 2 <= float(str(slept["seconds"])) < 5


def no_key_is_kept(run: Path) -> None:
    """The real one was not even there for `env` to show; the attempt's own was."""
    kept = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert b"ANTHROPIC_API_KEY=" in kept[next(run.rglob("stdout.log"))]
    assert [path for path, data in kept.items() if CANARY.encode() in data] == []


def noise_changes_nothing(log: Path, folder: Path) -> None:
    """Lines that were cut, and what is none of its own, between those that are whole."""
    lines = log.read_text().splitlines()
    assert len(lines) > 50
    noisy = [
        piece
        for line in lines
        for piece in (*(line[:end] for end in range(0, min(len(line), 9000), 1000)), "\0 {]", line)
    ]
    plain, spoilt = (
        read(ClaudeCodeLog, folder, (("stdout", line) for line in each)) for each in (lines, noisy)
    )
    assert spoilt == plain


def seconds_to_ask(attempt: Path) -> float:
    """From the lease to the first request to its model."""
    lines = map(json.loads, (attempt / "events.jsonl").read_text().splitlines())
    leased = next(line["time"] for line in lines if line["phase"] == "lease")
    first = json.loads((attempt / "model/requests.jsonl").read_text().splitlines()[0])
    return float(first["at"]) - datetime.fromisoformat(leased).timestamp()


# A sub-agent is told the same as it begins anew: it has no tool to begin another with.
ASKED = {"description": "Look around", "prompt": "Say where.", "subagent_type": "Explore"}
TWO = [
    Usage(input=3000, output=70, cached=1000),
    Turn(Say("I ask another."), shell(f"{COPY}; echo here"), Call("Agent", ASKED)),
    Usage(input=4000, output=8),
    Turn(shell("sleep 2")),
    Say("All done."),
]


@pytest.mark.once
def test_what_a_sub_agent_does_is_a_story_of_its_own(project: Project, docker_engine: None) -> None:
    project.task("copy", prompt="/cost is a command of its own, but not of ours.")
    with ScriptedModel(Script(TWO)) as model:
        project.run(*words(model.url), env={"ANTHROPIC_API_KEY": CANARY})
    (record,), attempt = project.results, project.attempt()
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record["message"]
    assert check(attempt / "trajectory.json") == []
    story = load(attempt / "trajectory.json")
    (below,) = story.subagent_trajectories or ()
    refs = [r.subagent_trajectory_ref for s in story.steps for r in results(s)]
    assert [ref[0].trajectory_id for ref in refs if ref] == [below.trajectory_id]
    assert (below.agent.name, below.steps[0].message) == ("Explore", "Say where.")
    steps = of_agent(below)
    assert [step.message for step in steps] == ["I ask another.", "", "All done."]
    assert results(steps[0])[0].content == "here"
    used = list(spent(story))
    assert used.count((3000, 70, 1000)) == used.count((4000, 8, 0)) == 2
    assert record["tokens_in"] == sum(prompt or 0 for prompt, _, _ in used)
    assert record["tokens_out"] == sum(output or 0 for _, output, _ in used)


def made(name: str, said: str = "", agent: str = "", **arguments: object) -> ToolCall:
    extra = {"said": said} | ({"agent": agent} if agent else {})
    told = {"tool_call_id": "c", "function_name": name, "arguments": arguments, "extra": extra}
    return ToolCall.model_validate(told)


def edit(path: str, old: str, new: str, said: str = "", **more: object) -> ToolCall:
    return made("Edit", said, file_path=path, old_string=old, new_string=new, **more)


def bash(command: str, agent: str = "", **more: object) -> ToolCall:
    return made("Bash", "", agent, command=command, **more)


@pytest.fixture
def box(docker_engine: None, tmp_path: Path) -> Iterator[RecordingSandbox]:
    provider, lease = DockerProvider(), uuid.uuid4().hex[:12]
    try:
        sandbox = provider.create(lease, SandboxSpec())
        yield RecordingSandbox(sandbox, Recorder("replay", "1"), Kept(tmp_path / "written"))
    finally:
        provider.destroy(lease)


@pytest.mark.once
def test_its_tools_are_done_again_as_it_did_them(box: RecordingSandbox, tmp_path: Path) -> None:
    task = box.output.rpartition("/")[0]
    lines, dos, late = (f"{task}/{name}.txt" for name in ("lines", "dos", "late"))
    calls = [
        made("Write", file_path=lines, content="one\ntwo\ntwo\nthree\n"),
        edit(lines, "one", ""),
        edit(lines, "two", "2", replace_all=True),
        edit(lines, "three", "lost", said="<tool_use_error>File has not been read yet."),
        edit(dos, "", "a\r\nb\r\nc\r\n"),
        edit(dos, "a\nb", "d"),
        bash("mkdir -p deep && cd deep && pwd >> ../where.txt; cd /"),
        bash("cd deep"),
        bash("pwd >> ../where.txt; cd /; exit 1"),
        bash("pwd >> ../where.txt"),
        bash("pwd >> where.txt", agent="a1"),
        bash("sleep 99", timeout=200),
        bash(f"sleep 1; echo late > {late}", run_in_background=True),
        made("Monitor", command=f"cat {late} > seen.txt", timeout_ms=9000),
        made("Read", file_path=lines),
        made("Agent", prompt="Look."),
    ]
    changed = [ClaudeCode().redo(call, box, tmp_path) for call in calls]
    assert changed == [True, True, True, False, *[True] * 10, False, False]
    assert box.read(lines) == b"2\n2\nthree\n"
    assert box.read(dos) == b"d\r\nc\r\n"
    where = box.read(f"{task}/where.txt").decode().split()
    assert where == [f"{task}/deep", f"{task}/deep", f"{task}/deep", task]
    assert box.read(f"{task}/deep/seen.txt") == b"late\n"
    odd = [
        made("NotebookEdit"),
        edit(lines, "four", "4"),
        edit(late + "r", "a", "b"),
        made("Write"),
    ]
    for call in odd:
        with pytest.raises(Fault, match="cannot be done again"):
            ClaudeCode().redo(call, box, tmp_path)


CELL = {"cell_type": "code", "execution_count": 3, "metadata": {}, "outputs": [1], "source": ["x"]}


@pytest.mark.once
def test_cells_of_a_notebook_are_changed_again(box: RecordingSandbox, tmp_path: Path) -> None:
    path = f"{box.home}/book.ipynb"
    text = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": []}
    book = {"cells": [CELL | {"id": "a"}, text], "nbformat": 4, "nbformat_minor": 5}
    box.write(path, json.dumps(book))
    for said, changes in {
        "Updated cell a with y": {"cell_id": "a", "new_source": "y"},
        "Updated cell cell-1 with é": {"cell_id": "cell-1", "new_source": "é"},
        "Inserted cell 2554 with z": {
            "cell_id": "a",
            "new_source": "z",
            "cell_type": "code",
            "edit_mode": "insert",
        },
        "Inserted cell eadb with f": {
            "new_source": "f",
            "cell_type": "markdown",
            "edit_mode": "insert",
        },
        "Deleted cell a": {"cell_id": "a", "new_source": "", "edit_mode": "delete"},
    }.items():
        call = made("NotebookEdit", said, notebook_path=path, **changes)
        assert ClaudeCode().redo(call, box, tmp_path)
    found = json.loads(box.read(path))
    cells = [(c["id"], c["cell_type"], c["source"], c.get("outputs")) for c in found["cells"]]
    assert cells == [
        ("eadb", "markdown", "f", None),
        ("2554", "code", "z", []),
        ("b", "markdown", "é", None),
    ]
    with pytest.raises(Fault, match="NotebookEdit of Claude Code cannot be done again"):
        gone = made("NotebookEdit", notebook_path=path, cell_id="a", new_source="")
        ClaudeCode().redo(gone, box, tmp_path)


# What goes wrong, all at once: most of it is waiting.


class Case:
    """A script, how it is run, and what is to come of it."""

    def __init__(
        self,
        script: list[object],
        outcome: str,
        message: str,
        score: float | None = None,
        *words: str,
        close: int = 0,
    ) -> None:
        self.script, self.words, self.close = Script(script), words, close  # type: ignore[arg-type]
        self.told = (outcome, score)
        self.message = message


FAILED = "the model's server failed: "
CASES = {
    "gone": Case([shell("sleep 3"), Say("")], "fault", f"{FAILED}127.0.0.1:", close=1),
    "tried again": Case(
        [Refuse(429, retry_after=1, times=2), shell(COPY), Cut(after_events=4), Say("a b")],
        "scored",
        "",
        1.0,
    ),
    "late": Case(
        [shell(f"{COPY}; sleep 99"), Say("")],
        "timeout",
        "claude_code was still at work",
        1.0,
        "--ale-timeout=40",
    ),
    "over": Case(
        [shell(COPY), shell("true"), shell("true"), Say("")],
        "budget",
        "the limit of turns was reached",
        1.0,
        "--ale-max-turns=2",
    ),
}


@pytest.mark.once
def test_what_goes_wrong_is_told_apart(project: Project, docker_engine: None) -> None:
    project.task("copy")
    began = time.monotonic()
    with ExitStack() as stack:
        running = {name: begin(project, case, name, stack) for name, case in CASES.items()}
        for process in running.values():
            process.wait(max(1, began + 200 - time.monotonic()))
    for name, case in CASES.items():
        (line,) = next((project.path / name).glob(".ale/*/results.jsonl")).read_text().splitlines()
        record = json.loads(line)
        message = str(record["message"])
        assert (name, record["outcome"], record["score"], message) == (name, *case.told, message)
        assert message.startswith(case.message), f"{name}: {message}"
        assert record["seconds"] < 90, name
    (late,) = (project.path / "late").glob(".ale/*/*/*/*/*/*/*/trajectory.json")
    assert [call.function_name for call in calls(load(late).steps)] == ["Bash"]


def begin(project: Project, case: Case, name: str, stack: ExitStack) -> subprocess.Popen[bytes]:
    folder = project.path / name
    shutil.copytree(project.path / "tasks", folder / "tasks")
    (folder / "pytest.ini").write_text("[pytest]\n")
    model = stack.enter_context(ScriptedModel(case.script))
    if case.close:
        threading.Thread(target=close_after, args=(model, case.close), daemon=True).start()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *words(model.url), *case.words],
        cwd=folder,
        env=os.environ | {"ANTHROPIC_API_KEY": CANARY},
        stdout=subprocess.DEVNULL,
    )
    stack.callback(process.terminate)
    return process


# How it is started.


def brief(model: str = "", **knobs: str) -> Brief:
    (agent,) = parse_agents(
        ("claude_code",), tuple(f"{n}={v}" for n, v in knobs.items()), lambda _: ClaudeCode()
    )
    servers = {"desktop": Server("/usr/bin/python3", ("-I", "run.py"))}
    return Brief("Do it.", model, "http://gate", "key-1", servers, agent.knobs, "/home/a", "/t")


def test_the_key_is_in_its_environment_alone() -> None:
    program, given = ClaudeCode(), brief("opus")
    assert program.environment(given)["ANTHROPIC_API_KEY"] == "key-1"
    assert "key-1" not in repr((program.arguments(given), program.files(given)))


def test_a_prompt_is_no_command() -> None:
    given = brief()
    assert ClaudeCode().stdin(given) == "Do it."
    assert ClaudeCode().stdin(replace(given, prompt="/cost of it")) == "\n/cost of it"


def test_knobs_are_told_to_it() -> None:
    program = ClaudeCode()
    plain = brief()
    assert program.arguments(plain)[-1] == "--disallowedTools=WebSearch,WebFetch"
    assert not {"MAX_THINKING_TOKENS", "CLAUDE_CODE_SUBAGENT_MODEL"} & {*program.environment(plain)}
    given = brief("opus", effort="high", thinking="2048", web="on", disabled_tools="Agent, Bash")
    assert program.arguments(given)[-3:] == [
        "--model=opus",
        "--effort=high",
        "--disallowedTools=Agent,Bash",
    ]
    assert program.environment(given)["MAX_THINKING_TOKENS"] == "2048"
    assert program.environment(given)["CLAUDE_CODE_SUBAGENT_MODEL"] == "opus"
    assert program.environment(brief(thinking="off"))["CLAUDE_CODE_DISABLE_THINKING"] == "1"
    assert not any("disallowed" in word for word in program.arguments(brief(web="on")))


WRONG = {
    "effort=enormous": "allowed: low, medium, high, xhigh, max, or nothing",
    "thinking=100": "not off, nor a number of tokens from 1024 on",
    "thinking=-1": "not off, nor a number of tokens from 1024 on",
    "web=yes": "allowed: on, off",
    "disabled_tools=Bash(rm *)": "'Bash(rm *)' is no name of a tool",
    "coordinates=feet": "allowed: pixels, thousandths",
}


@pytest.mark.parametrize("knob", WRONG)
def test_a_wrong_knob_is_refused(knob: str) -> None:
    with pytest.raises(BadAgent, match=re.escape(WRONG[knob])):
        brief(**dict([knob.split("=")]))
