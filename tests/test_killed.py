"""What `kill -9` leaves half done is found and put right, one case at a time; see test_chaos.py."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_ale import hold, scratch

from .conftest import Project

# Kills the process that runs a task, in the phase that the task's name tells, but only once.
CONFTEST = """
import os, signal
from pathlib import Path

HERE = Path(__file__).parent

def die(phase, name):
    mark = HERE / f"{name}.died"
    if name.endswith(phase) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

def pytest_runtest_setup(item):
    die("setup", item.path.parent.name)

def pytest_ale_attempt_recorded(record):
    die("recorded", record.task.rpartition("/")[2])

def pytest_runtest_teardown(item):
    die("teardown", item.path.parent.name)
"""


@pytest.fixture
def killing(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    (project.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "tmp"))
    project.pytester.makeconftest(CONFTEST)
    return project


def left(project: Project) -> list[str]:
    return [path.name for path in (project.path / "tmp").glob("ale-*")]


def test_a_worker_that_dies_once_its_score_is_recorded_has_lost_nothing(killing: Project) -> None:
    names = ("at_setup", "when_recorded", "in_teardown", "fine")
    for name in names:
        killing.task(name)
    result = killing.run("tasks", "-n2", "--junitxml=r.xml")
    result.assert_outcomes(passed=3, errors=1)
    assert result.ret == 6
    cases = ElementTree.parse(killing.path / "r.xml").findall(".//testcase")
    told = {str(case.get("classname")).split(".")[-2]: case for case in cases}
    assert len(cases) == len(told) == len(names)
    for name, case in told.items():
        score, outcome = (property_of(case, f"ale.{what}") for what in ("score", "outcome"))
        lost = name == "at_setup"
        assert (score, outcome) == ((None, "fault") if lost else ("1.0", "scored")), name
        assert (case.find("error") is not None) == lost
    assert left(killing) == []  # without another start
    again = killing.run("tasks", "-n2", "--ale-resume=last")
    again.assert_outcomes(passed=1)
    assert again.ret == 0


def property_of(case: ElementTree.Element, name: str) -> str | None:
    found = [each.get("value") for each in case.iter("property") if each.get("name") == name]
    return found[0] if found else None


def test_a_sandbox_is_released_though_nothing_is_left_to_run(killing: Project) -> None:
    killing.task("in_teardown")
    assert killing.run("tasks").ret == -signal.SIGKILL
    assert len(left(killing)) > 1
    result = killing.run("tasks", "--ale-resume=last")
    result.assert_outcomes(deselected=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["left by a process that died: local sandbox * of legal/in_teardown/*: released"]
    )
    assert left(killing) == []


def test_a_record_without_its_line_gets_one(project: Project) -> None:
    for name in ("one", "two"):
        project.task(name)
    project.run("tasks").assert_outcomes(passed=2)
    path = project.runs[0] / "results.jsonl"
    whole = path.read_text().splitlines()
    path.write_text(f"{whole[0]}\n")
    for _ in range(2):
        project.run("tasks", "--ale-resume=last").assert_outcomes(deselected=2)
        assert path.read_text().splitlines() == whole


# Folders of scratch.


def test_a_folder_is_swept_though_its_maker_had_not_yet_written_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours, other = scratch.make("built"), tmp_path / "ale-built-of-somebody"
    (ours / "owner.json").write_text("")
    other.mkdir()
    after(
        "from pytest_ale import scratch as s; (s.make('built') / 'owner.json').unlink()", tmp_path
    )
    after(f"{PROBE}.probe('bwrap')", tmp_path)
    assert len(list(tmp_path.glob("ale-*"))) == 4
    scratch.sweep()
    assert sorted(tmp_path.glob("ale-*")) == sorted([ours, other])


PROBE = "from pytest_ale.channels import boxing as b; b._probe = lambda *_: die(); b"


def after(code: str, tmp: Path) -> None:
    """Run Python code, and then kill -9 that Python."""
    die = "import os, signal\ndef die(): os.kill(os.getpid(), signal.SIGKILL)\n"
    env = os.environ | {"TMPDIR": str(tmp)}
    done = subprocess.run([sys.executable, "-c", f"{die}{code}\ndie()"], env=env)
    assert done.returncode == -signal.SIGKILL


# Two at once.


def test_a_run_that_others_are_at_work_on_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "WAIT_SECONDS", 0.2)
    said: list[str] = []
    with hold.at_work(tmp_path), hold.at_work(tmp_path):
        with pytest.raises(hold.Busy, match="is not over: wait for it, or end its processes"):
            hold.resume_alone(tmp_path, said.append)
        assert said == [f"waiting for its processes, at work on run {tmp_path.name}"]
    let_go = hold.resume_alone(tmp_path, said.append)
    with hold.at_work(tmp_path), pytest.raises(hold.Busy):  # its own workers are no hindrance
        hold.resume_alone(tmp_path, said.append)
    let_go()
    hold.resume_alone(tmp_path, said.append)()


def test_that_is_told_as_a_wrong_use(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.task()
    project.run("tasks").assert_outcomes(passed=1)
    monkeypatch.setattr(hold, "WAIT_SECONDS", 0.2)
    with hold.at_work(project.runs[0]):
        result = project.pytester.runpytest_inprocess("tasks", "--ale-resume=last")
        looked = project.run("tasks", "--ale-resume=last", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pytest-ale: run {project.runs[0].name} is not over: *"])
    looked.assert_outcomes(deselected=1)


def test_a_directory_where_nothing_can_be_locked_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with hold.at_work(tmp_path):
        hold.resume_alone(tmp_path, pytest.fail)()
    with hold.at_work(tmp_path / "none"):
        hold.resume_alone(tmp_path / "none", pytest.fail)()


SLOW = """
def solve(sandbox): sandbox.exec("sleep 2")
def evaluate(): return 1.0
"""


def test_what_a_dead_controllers_workers_still_do_is_waited_for(project: Project) -> None:
    for name in ("one", "two"):
        project.task(name, main=SLOW, checks={})
    words = [sys.executable, "-m", "pytest", "tasks", "-n2"]
    process = subprocess.Popen(words, cwd=project.path, start_new_session=True)
    deadline = time.monotonic() + 30
    while len(list(project.path.glob(".ale/*/legal/*/base/oracle/*/*/sandbox.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    result = project.run("tasks", "-n2", "--ale-resume=last")
    assert result.ret == 0
    result.stderr.fnmatch_lines(["waiting for processes *, at work on run *"])
    scored = Counter(str(r["task"]) for r in project.results if r["score"] is not None)
    assert scored == {"legal/one": 1, "legal/two": 1}
