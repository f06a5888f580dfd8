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
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_ale import hold, scratch
from pytest_ale.harness import Agent
from pytest_ale.index import CardIndex
from pytest_ale.plan import make_plan
from pytest_ale.record import RunDir
from pytest_ale.registry import harness_named, load_plugins
from pytest_ale.remains import record_remains
from pytest_ale.settings import read_settings
from pytest_ale.task import Instance, Task

from .conftest import Project

# Kills the process that runs a task, in the phase that the task's name tells: twice, if that begins
# with `twice`, else once.
CONFTEST = """
import os, signal
from pathlib import Path
from pytest_ale.harness import Ending, Harness

HERE = Path(__file__).parent

def die(phase, name):
    marks = [HERE / f"{name}.died-{number}" for number in range(2 if "twice" in name else 1)]
    if name.endswith(phase) and not all(mark.exists() for mark in marks):
        next(mark for mark in marks if not mark.exists()).touch()
        os.kill(os.getpid(), signal.SIGKILL)

class Dying(Harness):
    name = "dying"

    def run(self, work):
        die("agent_works", work.task.rpartition("/")[2])
        work.sandbox.exec("cp inputs/word.txt output", check=True)
        return Ending()

def pytest_ale_harnesses(register):
    register("dying", Dying)

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
    names = ("when_recorded", "in_teardown", "fine")
    for name in names:
        killing.task(name)
    result = killing.run("tasks", "-n2", "--junitxml=r.xml")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*run again*")
    for name, case in reported(killing, *names).items():
        score, outcome = (property_of(case, f"ale.{what}") for what in ("score", "outcome"))
        assert (score, outcome) == ("1.0", "scored"), name
        assert case.find("error") is None
    assert left(killing) == []  # without another start


def reported(project: Project, *names: str) -> dict[str, ElementTree.Element]:
    """What the JUnit file says of each task, of these and no others, each once."""
    cases = ElementTree.parse(project.path / "r.xml").findall(".//testcase")
    told = {str(case.get("classname")).split(".")[-2]: case for case in cases}
    assert sorted(told) == sorted(names) and len(cases) == len(told)
    return told


def property_of(case: ElementTree.Element, name: str) -> str | None:
    found = [each.get("value") for each in case.iter("property") if each.get("name") == name]
    return found[0] if found else None


# A task whose worker dies is run again, once.

DYING = ("tasks", "--ale-agent=dying", "--junitxml=r.xml", "-v")


@pytest.mark.parametrize("words", [("-n2",), ("-n2", "--dist=worksteal", "-x")])
def test_a_task_whose_worker_dies_is_run_again(killing: Project, words: tuple[str, ...]) -> None:
    names = ("at_setup", "while_agent_works", "fine")
    for name in names:
        killing.task(name)
    result = killing.run(*DYING, *words, "--ale-max-faults=1")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*= 3 passed*, 2 rerun in *"])
    assert result.ret == 0
    said = "ale: worker gw* was killed by SIGKILL; it is run again: tasks/legal"
    for name in names[:2]:
        result.stdout.fnmatch_lines([f"{said}/{name}/main.py::{name}[[]*"])
    cases = reported(killing, *names)
    assert [each.tag for case in cases.values() for each in case if each.tag != "properties"] == []
    attempts = {name: property_of(case, "ale.attempts") for name, case in cases.items()}
    assert attempts == {"at_setup": "1", "while_agent_works": "2", "fine": "1"}
    (lost,) = (record for record in killing.results if record["outcome"] == "fault")
    assert (lost["attempt"], lost["phase"], lost["score"]) == (1, "run", None)
    assert str(lost["message"]).endswith("was killed by SIGKILL") and lost["lease"]
    assert lost["isolation"] == killing.results[-1]["isolation"] and lost["phases"]
    assert left(killing) == []
    killing.run(*DYING, "--ale-resume=last").assert_outcomes(deselected=3)


def test_a_task_of_which_two_workers_die_has_no_score(killing: Project) -> None:
    for name in ("twice_while_agent_works", "fine"):
        killing.task(name)
    result = killing.run(*DYING, "-n2")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        ["*infrastructure fault, no score: worker gw* was killed by SIGKILL*", "*1 rerun*"]
    )
    case = reported(killing, "twice_while_agent_works", "fine")["twice_while_agent_works"]
    assert property_of(case, "ale.attempts") == "2" and case.find("error") is not None
    faults = [record for record in killing.results if record["outcome"] == "fault"]
    assert [record["attempt"] for record in faults] == [1, 2]
    assert left(killing) == []
    again = killing.run(*DYING, "--ale-resume=last")
    again.assert_outcomes(passed=1)
    assert again.ret == 0


def test_what_an_attempt_had_noted_is_in_its_record(project: Project) -> None:
    load_plugins()
    settings = read_settings(lambda _: None, {}, lambda _: None, project.path, project.path)
    folder = project.task()
    task = Task(folder, CardIndex(None).entry(f"{folder}/card.yaml"))
    plan = make_plan(Instance(task, "base"), Agent("nop"), harness_named("nop"), 1, settings)
    run = RunDir(project.path / "run")
    assert record_remains(run, plan, "local", "it died") is None
    place = run.path / plan.place / "attempt-3"
    place.mkdir(parents=True)
    (place / "now.json").write_text('{"usd": 0.25, "calls": 4, "tokens": null}')
    (place / "events.jsonl").write_text(
        '{"time": "2026-01-01T00:00:10+00:00", "phase": "build", "seconds": 2}\n{"phase": "lea'
    )
    record = record_remains(run, plan, "local", "it died")
    assert record is not None
    told = (record.attempt, record.outcome, record.phase, record.message, record.isolation)
    assert told == (3, "fault", "lease", "it died", "")
    assert (record.cost_usd, record.requests, record.phases) == (0.25, 4, {"build": 2.0})
    assert record.started == "2026-01-01T00:00:08+00:00"
    assert list(run.records()) == [record] and not (place / "now.json").exists()
    assert record_remains(run, plan, "local", "it died") is None  # it has its record
    (run.path / plan.place / "attempt-4").mkdir()
    for name in ("now.json", "events.jsonl", "sandbox.json"):
        (run.path / plan.place / "attempt-4" / name).write_text("[1]\n")
    record = record_remains(run, plan, "local", "it died")
    assert record is not None
    assert (record.attempt, record.phase, record.cost_usd) == (4, "build", None)


def test_a_task_that_xdist_runs_again_unasked_is_no_error(killing: Project) -> None:
    killing.task("while_agent_works")
    result = killing.run(*DYING, "-n1", "--dist=loadfile")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 rerun*"])
    assert result.ret == 0


def test_a_task_that_xdist_cannot_run_again_has_no_score(killing: Project) -> None:
    killing.task("while_agent_works")
    result = killing.run(*DYING, "-n1", "--max-worker-restart=0")
    result.assert_outcomes(errors=1)
    assert result.ret == 6
    result.stdout.no_fnmatch_line("*run again:*")


NO_SECOND = """
def pytest_collection(session):
    if hasattr(session.config, "workerinput") and (HERE / "while_agent_works.died-0").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_task_that_was_to_be_run_again_and_was_not_is_told(killing: Project) -> None:
    killing.task("while_agent_works")
    with (killing.path / "conftest.py").open("a") as file:
        file.write(NO_SECOND)
    result = killing.run(*DYING, "-n1", "--max-worker-restart=1")
    result.assert_outcomes(errors=1)
    assert result.ret == 6
    error = reported(killing, "while_agent_works")["while_agent_works"].find("error")
    assert error is not None and "ended before it was run again" in str(error.text)


def test_a_worker_in_anothers_place_has_its_list(killing: Project) -> None:
    """Though a task that was done, and so is none of it, has been changed since then."""
    for name in ("done", "while_agent_works", "other"):
        killing.task(name)
    killing.run(*DYING, "-k", "done").assert_outcomes(passed=1)
    main = killing.path / "tasks/legal/done/main.py"
    with (killing.path / "conftest.py").open("a") as file:
        file.write(f"\ndef pytest_runtest_call():\n    open({str(main)!r}, 'a').write('# 1')\n")
    result = killing.run(*DYING, "-n1", "--ale-resume=last")
    result.assert_outcomes(passed=2)
    assert result.ret == 0 and len(killing.results) == 4


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
        with pytest.raises(hold.AtWork, match="is not over: wait for it, or end its processes"):
            hold.resume_alone(tmp_path, said.append)
        assert said == [f"waiting for its processes, at work on run {tmp_path.name}"]
    let_go = hold.resume_alone(tmp_path, said.append)
    with hold.at_work(tmp_path), pytest.raises(hold.AtWork):  # its own workers are no hindrance
        hold.resume_alone(tmp_path, said.append)
    let_go()
    hold.resume_alone(tmp_path, said.append)()


WAITS = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def pytest_runtest_setup(item):
    (HERE / "begun").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
"""


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_is_its_controllers_before_any_worker_has_begun_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    project.task("one")
    words = [sys.executable, "-m", "pytest", "tasks", "-n1"]
    if resumed:  # two that go on with a run
        (project.path / ".ale/it/legal").mkdir(parents=True)
        (project.path / ".ale/it/run.json").write_text("{}")
        words += ["--ale-resume=it"]
    project.pytester.makeconftest(WAITS)
    process = subprocess.Popen(words, cwd=project.path, stdout=subprocess.DEVNULL)
    try:
        soon(lambda: project.runs and (project.path / "begun").exists())
        (run,) = project.runs
        assert not (run / "ledger.jsonl").exists()
        monkeypatch.setattr(hold, "WAIT_SECONDS", 0.2)
        result = project.pytester.runpytest_inprocess("tasks", f"--ale-resume={run.name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        said = f"run {run.name} is not over: wait for it, or end processes {process.pid}; *"
        result.stderr.fnmatch_lines([f"ERROR: pytest-ale: {said}"])
    finally:
        (project.path / "go").touch()
        assert process.wait(30) == 0
    project.run("tasks", "--ale-resume=last").assert_outcomes(deselected=1)
    assert len(project.results) == len(project.runs) == 1


LOOKS = """
import pytest
from pathlib import Path
from pytest_ale.hold import is_held

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        (run,) = [path.parent for path in Path(".ale").glob("*/run.json")]
        print("held at the end:", is_held(run))
"""


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_run_is_held_until_its_session_is_over(project: Project, workers: str) -> None:
    project.task()
    project.pytester.makeconftest(LOOKS)
    result = project.run("tasks", "-s", workers)
    result.stdout.fnmatch_lines(["*held at the end: True"])
    assert not hold.is_held(project.runs[0])


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
    sandboxes = ".ale/*/legal/*/base/oracle/*/*/sandbox.json"
    soon(lambda: len(list(project.path.glob(sandboxes))) == 2)
    process.kill()
    process.wait()
    result = project.run("tasks", "-n2", "--ale-resume=last")
    assert result.ret == 0
    result.stderr.fnmatch_lines(["waiting for processes *, at work on run *"])
    scored = Counter(str(r["task"]) for r in project.results if r["score"] is not None)
    assert scored == {"legal/one": 1, "legal/two": 1}
