"""The view of a run at work: what a terminal shows, plain lines elsewhere, and no harm by it."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_ale.gateway import Tally
from pytest_ale.now import FILE, Doing, Now, Scribe, brief
from pytest_ale.report.cells import width
from pytest_ale.trajectory import Step

from .conftest import Project
from .screens import Seen

# A run on a terminal. An attempt works for 60 simulated seconds, which are two.

SIM = (
    "--ale-provider=sim",
    "--ale-agent=sim",
    "--ale-knob=seconds=60-60",
    "-p",
    "no:cacheprovider",
)
LONGER = "--ale-knob=seconds=120-120"  # four: what agents do is looked at every two
ROW = re.compile(r" +\d+ s  (build|lease|stage|waits|run|stop|collect|grade|record|release) ")


@pytest.fixture
def exam(project: Project) -> Project:
    """Six tasks for the simulated agent."""
    for number in range(6):
        folder = project.task(f"task{number}")
        (folder / "inputs").mkdir()
        (folder / "inputs/sim.sh").write_text("cp inputs/word.txt output\n")
    (project.path / "sim.yaml").write_text("scale: 30\nboot: {mean: 6}\n")
    return project


def seen(project: Project, columns: int, lines: int, *words: str, **env: str) -> Seen:
    command = [sys.executable, "-m", "pytest", "tasks", *SIM, *words]
    return Seen(command, project.path, columns, lines, ALE_SIM="sim.yaml", **env)


def block(lines: list[str]) -> list[str]:
    """The view's lines, totals first."""
    first = next((i for i, line in enumerate(lines) if re.match(r"ale: \d+", line)), len(lines))
    return lines[first:]


def works(lines: list[str]) -> bool:
    """Is an agent seen to do something?"""
    return any(re.search(r"  sleep \d+\.000", line) and ROW.match(line) for line in block(lines))


def goes_on(lines: list[str]) -> bool:
    """Is something done, and something else at work?"""
    view = block(lines)
    return bool(view and re.match(r"ale: [1-9]\d* of \d done", view[0]) and any_row(view))


def any_row(lines: list[str]) -> bool:
    return any(map(ROW.match, lines))


@pytest.mark.parametrize(
    ("columns", "lines", "words", "at_once"),
    [
        (80, 24, ("-n2", "-k", "task0 or task1 or task2", LONGER), 2),
        (200, 50, ("-n0", "--ale-concurrency=3", LONGER), 3),
        (80, 24, ("-n0", "-v", "-k", "task0 or task1", LONGER), 1),
    ],
)
def test_it_lies_below_what_pytest_says_and_is_gone_at_the_end(
    exam: Project, columns: int, lines: int, words: tuple[str, ...], at_once: int
) -> None:
    with seen(exam, columns, lines, *words) as run:
        run.wait_for(works)
        then = run.wait_for(goes_on)
        view = block(then)
        assert 1 <= sum(map(bool, map(ROW.match, view))) <= at_once + 3  # those ahead, too
        assert len(view) <= lines // 2
        assert all(width(line) < columns for line in view)
        before = then[: len(then) - len(view)]
        assert re.search(r"^\.|main.py \.|PASSED 1", "\n".join(before), re.MULTILINE)
        assert run.end() == 0
        seconds = time.monotonic() - run.began
    assert not (any_row(run.lines) or "at work" in "\n".join(run.lines))
    assert " passed" in run.lines[-1]
    assert b"\x1b[2J" not in run.raw and b"\x1b[H" not in run.raw  # nothing is ever cleared
    assert len(run.raw) < 3000 * seconds  # a screen of 80 x 24 has 1,920


def test_what_pytest_says_is_the_same_without_it(exam: Project) -> None:
    """Scrolling included: the screen has no room for all that is said."""
    said = []
    for words in ((), ("--ale-live=off",)):
        few = ("-n0", "-v", "-k", "task0 or task1 or task2", "--ale-knob=seconds=30-30")
        with seen(exam, 80, 14, *few, *words) as run:
            assert run.end() == 0
            assert (b"at work" in run.raw) is not bool(words)
        lines = [re.sub(r"task\d|\d+m\d\ds|[\d.]+ ?s\b|20\d{6}-\S+", "?", x) for x in run.lines]
        said.append([line for line in lines if not line.startswith("ale:")])
    assert said[0] == said[1]
    assert "PASSED 1.000" in "\n".join(said[0])


def test_ctrl_c_leaves_nothing_of_it(exam: Project) -> None:
    with seen(exam, 80, 24, "-n0", "--ale-knob=seconds=6000-6000") as run:
        run.wait_for(lambda lines: "sleep 6000" in "\n".join(block(lines)))
        run.process.send_signal(2)
        assert run.end() == 2
    text = "\n".join(run.lines)
    assert "KeyboardInterrupt" in text
    assert "at work" not in text and "sleep" not in text


def test_what_fails_in_it_switches_it_off(exam: Project) -> None:
    exam.pytester.makeconftest(
        "from pytest_ale.report import live\nlive.Board.lines = lambda *_: [1 / 0]\n"
    )
    with seen(exam, 80, 24, "-n2", "-k", "task0 or task1") as run:
        assert run.end() == 0
    text = "\n".join(run.lines)
    assert text.count("the live view is off: ZeroDivisionError") == 1
    assert "2 passed" in text


@pytest.mark.parametrize(
    ("words", "env"),
    [((), {"CI": "true", "TERM": "dumb"}), (("-s",), {}), (("-q",), {})],
    ids=["CI", "-s", "-q"],
)
def test_no_block_where_it_would_do_harm(
    exam: Project, words: tuple[str, ...], env: dict[str, str]
) -> None:
    with seen(exam, 80, 24, "-n0", "-k", "task0", *words, **env) as run:
        assert run.end() == 0
    assert b"at work" not in run.raw
    assert not re.search(rb"\x1b\[[0-9?]*[A-HJKhl]", run.raw)


# Plain lines.


def test_plain_lines_tell_of_beginnings_and_ends(exam: Project) -> None:
    (exam.path / "sim.yaml").write_text("seed: 1\nscale: 60\nfailures: {create: 0.3}\n")
    words = ("-n2", "--ale-live=plain", "--ale-retries=3")
    result = exam.run("tasks", *SIM, *words, env={"ALE_SIM": "sim.yaml"})
    result.assert_outcomes(passed=6)
    lines = [line for line in result.outlines if re.match(r"ale: \d\d:\d\d:\d\d ", line)]
    told = [line.split(" ", 2)[2] for line in lines]
    for number in range(6):
        name = rf"legal/task{number}\[base-sim\]( try \d)?"
        assert sum(bool(re.fullmatch(rf"{name}: the agent is at work", t)) for t in told) == 1
        assert sum(bool(re.fullmatch(rf"{name}: 1\.000 \(1 s\)", t)) for t in told) == 1
    failed = [t for t in told if re.fullmatch(r"legal/\S+( try \d)?: fault in lease: .*", t)]
    assert len(failed) == len(exam.results) - 6 > 0
    assert any(re.match(r"\d of 6 done, \d at work", t) for t in told)


def test_a_short_run_needs_none(exam: Project) -> None:
    words = ("--ale-concurrency=2", "-k", "task0")
    result = exam.run("tasks", *SIM, *words, env={"ALE_SIM": "sim.yaml"})
    result.assert_outcomes(passed=1, deselected=5)
    assert not [line for line in result.outlines if re.match(r"ale: \d", line)]


# What is written for it.


def test_an_attempt_says_what_it_does_and_takes_it_back(
    exam: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command is told while it runs; secrets are not."""
    monkeypatch.setenv("THAT_API_KEY", "very-secret-indeed")
    script = exam.path / "tasks/legal/task0/inputs/sim.sh"
    script.write_text("echo very-secret-indeed; sleep 90; cp inputs/word.txt output\n")
    with seen(exam, 80, 24, "-n0", "-k", "task0", "--ale-knob=seconds=1-1") as run:
        run.wait_for(lambda lines: "[THAT_API_KEY]; sleep 90" in "\n".join(lines))
        (path,) = exam.path.glob(f".ale/*/legal/task0/*/*/*/*/{FILE}")
        told = json.loads(path.read_text())
        assert run.end() == 0
    assert told["action"].startswith("echo [THAT_API_KEY]; sleep 90")
    assert not path.exists()
    assert b"very-secret" not in run.raw
    live = [json.loads(line) for line in (exam.runs[0] / "live.jsonl").read_text().splitlines()]
    phases = [line["phase"] for line in live if "phase" in line]
    assert phases == [
        *("build", "lease", "stage", "waits", "run", "stop", "waits"),
        *("collect", "grade", "record", "release", ""),
    ]
    assert [line["session"] for line in live if "session" in line] == ["begins", "ends"]


class Journal:
    """What a scribe follows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command: object = "one"

    def doing(self) -> Doing:
        return Doing(("exec", {"command": self.command}))

    def hidden(self, text: str) -> str:
        return text.replace("hide me", "[X]")


def test_a_scribe_writes_what_has_changed(tmp_path: Path) -> None:
    scribe, journal = Scribe(every=0.01), Journal(tmp_path)
    scribe.follow(journal)
    for command, told in (("one", "one"), ("do hide me", "do [X]")):
        journal.command = command
        wait_until(lambda told=told: action_in(tmp_path) == told)
    scribe.forget(journal)
    assert list(tmp_path.iterdir()) == []
    scribe.follow(journal)  # a thread that ended is followed by another
    wait_until(lambda: action_in(tmp_path) == "do [X]")
    scribe.forget(journal)


class Unshown:
    """An argument that cannot be shown."""

    def __init__(self) -> None:
        self.tried = threading.Event()

    def __str__(self) -> str:
        self.tried.set()
        raise RuntimeError


def test_what_cannot_be_shown_ends_nobody_elses_view(tmp_path: Path) -> None:
    scribe, odd, other = Scribe(every=0.01), Journal(tmp_path / "a"), Journal(tmp_path / "b")
    odd.command = unshown = Unshown()
    for journal in (odd, other):
        journal.folder.mkdir()
        scribe.follow(journal)
    assert unshown.tried.wait(10)
    other.command = "two"
    wait_until(lambda: action_in(other.folder) == "two")
    for journal in (odd, other):
        scribe.forget(journal)


def action_in(folder: Path) -> object:
    try:
        return json.loads((folder / FILE).read_text())["action"]
    except (FileNotFoundError, ValueError):  # or while it is being written
        return None


def wait_until(what: object) -> None:
    assert callable(what)
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("exec", {"command": ["make", "-j4"], "timeout": 9.0}, "make -j4"),
        ("shell", {"command": ["bash", "-lc", "ls\n -l"]}, "shell ls -l"),
        ("Bash", {"description": "List", "command": "ls"}, "Bash ls"),
        ("mcp__desktop__click", {"x": 10, "y": 20, "more": [1]}, "desktop click 10 20"),
        ("write", {"path": "/a", "content": "x" * 10**6}, "write /a"),
        ("odd", {}, "odd"),
    ],
)
def test_a_call_in_a_few_words(name: str, arguments: dict[str, object], told: str) -> None:
    assert brief((name, arguments)) == told
    calls = [{"tool_call_id": "1", "function_name": name, "arguments": arguments}]
    step = {"step_id": 1, "source": "agent", "message": "", "tool_calls": calls}
    assert brief(Step.model_validate(step)) == told


def test_words_where_nothing_is_called() -> None:
    def said(source: str, message: str) -> str:
        return brief(Step.model_validate({"step_id": 1, "source": source, "message": message}))

    assert said("agent", "I will\nsee " + "x" * 1000)[:13] == "I will see xx"
    assert len(said("agent", "x" * 10**6)) == 300
    assert said("user", "Do this") == brief(None) == ""


def test_who_has_waited_more_since_the_last_look_waits() -> None:
    before, after = Doing(("exec", {"command": "ls"}), Tally()), Doing(None, Tally(waited=7.4))
    told = Now.of(after, before).action
    assert told == "waits for its model's rate limits (7 s so far)"
    assert Now.of(after, after).action == Now.of(after, Doing()).action == ""
    assert Now.of(before, before).action == "ls"
