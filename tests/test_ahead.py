"""Attempts at many items at once in one process: what pytest shows, and what happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from .conftest import Project

SCORED = """
def evaluate(output):
    return float((output / "word.txt").exists())
"""

WORDS = ("-p", "no:cacheprovider", "--ale-provider=sim", "--ale-agent=sim")


@pytest.fixture
def sim(project: Project) -> Project:
    """Twelve tasks for the simulated agent; ten of its seconds take one."""
    for number in range(12):
        folder = project.task(f"t{number:02}", main=SCORED, checks={}, timeout_s=60)
        (folder / "inputs").mkdir()
        (folder / "inputs" / "word.txt").write_text("word")
        (folder / "inputs" / "sim.sh").write_text("cp inputs/word.txt output/")
    rules(project)
    return project


def rules(project: Project, **told: object) -> None:
    (project.path / "sim.yaml").write_text(yaml.safe_dump({"scale": 1000, **told}))


def run(project: Project, *words: str, k: int = 4) -> pytest.RunResult:
    env = {"ALE_SIM": str(project.path / "sim.yaml")}
    return project.run(*WORDS, f"--ale-concurrency={k}", *words, env=env)


def spans(project: Project, phase: str) -> list[tuple[float, float]]:
    """From when to when each attempt of the last run was in a phase."""
    return list(_spans(project, phase))


def _spans(project: Project, phase: str) -> Iterator[tuple[float, float]]:
    from datetime import datetime

    for path in project.runs[-1].glob("*/*/*/*/trial-1/attempt-*/events.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            if line["phase"] == phase:
                end = datetime.fromisoformat(line["time"]).timestamp()
                yield end - line["seconds"], end


def most_at_once(found: list[tuple[float, float]]) -> int:
    marks = sorted([(start, 1) for start, _ in found] + [(end, -1) for _, end in found])
    at_once = [0]
    for _, step in marks:
        at_once.append(at_once[-1] + step)
    return max(at_once)


def leases(project: Project) -> Mapping[str, str]:
    lines = (project.runs[-1] / "ledger.jsonl").read_text().splitlines()
    return {line["lease"]: line["state"] for line in map(json.loads, lines)}


def left(project: Project) -> list[Path]:
    return list((project.path / "sim.state").glob("sandboxes*/*"))


# What a user sees is what one attempt after the other shows.


def test_as_many_agents_as_asked_for_are_at_work_at_once(sim: Project) -> None:
    rules(sim, scale=100)
    run(sim, "--ale-knob=seconds=100-100", k=4).assert_outcomes(passed=12)
    assert most_at_once(spans(sim, "run")) == 4
    assert set(leases(sim).values()) == {"released"}
    assert left(sim) == []


def test_the_next_sandboxes_are_made_while_agents_work(sim: Project) -> None:
    rules(sim, scale=100, boot={"mean": 60, "spread": 0})
    run(sim, "--ale-knob=seconds=100-100", k=4).assert_outcomes(passed=12)
    working, booting = spans(sim, "run"), spans(sim, "lease")
    first = min(end for _, end in working)
    assert sum(start < first for start, _ in booting) == 5  # one more than agents at work


def test_reports_phases_and_times_are_those_of_the_attempt(sim: Project) -> None:
    rules(sim, scale=100, boot={"mean": 20, "spread": 0})
    run(sim, "--ale-knob=seconds=40-40", "--junitxml=out.xml").assert_outcomes(passed=12)
    cases = ElementTree.parse(sim.path / "out.xml").findall(".//testcase")
    assert len({case.get("name") for case in cases}) == 12
    for case in cases:
        known = {each.get("name"): each.get("value") for each in case.iter("property")}
        assert known["ale.score"] == "1.0"
        assert float(case.get("time", "0")) >= 0.6  # a boot of 0.2 s, and 0.4 s of work
    scored = {str(line["task"]) for line in sim.results}
    assert len(scored) == len(sim.results) == 12


def test_what_fails_and_what_faults_is_told_as_ever(sim: Project) -> None:
    sim.task("t03", main="def evaluate(output):\n    return 0.25\n", checks={}, timeout_s=60)
    sim.task("t04", main="def evaluate(output):\n    raise OSError('gone')\n", checks={})
    result = run(sim, "-v")
    result.assert_outcomes(passed=10, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*t03*FAILED 0.250*"])
    result.stdout.fnmatch_lines(["*score 0.25, passes at 1*"])
    result.stdout.fnmatch_lines(["*infrastructure fault in phase grade, no score*gone*"])
    assert result.ret == 6


def test_a_fault_is_tried_again_in_a_fresh_sandbox(sim: Project) -> None:
    rules(sim, failures={"lost": 0.3}, seed=2)
    run(sim, "--ale-retries=5").assert_outcomes(passed=12)
    numbers = [line["attempt"] for line in sim.results]
    assert max(map(int, numbers)) > 1
    scored = [line["task"] for line in sim.results if line["outcome"] == "scored"]
    assert len(scored) == len(set(scored)) == 12


def test_selection_and_last_failed_work(sim: Project) -> None:
    sim.task("t05", main="def evaluate(output):\n    return 0.0\n", checks={}, timeout_s=60)
    words = [word for word in WORDS if "cache" not in word and word != "-p"]
    env = {"ALE_SIM": str(sim.path / "sim.yaml")}
    first = sim.run(*words, "--ale-concurrency=4", "-k", "t05 or t06", env=env)
    first.assert_outcomes(passed=1, failed=1, deselected=10)
    again = sim.run(*words, "--ale-concurrency=4", "--lf", env=env)
    again.assert_outcomes(failed=1)


def test_two_agents_at_one_instance_do_not_disturb_each_other(sim: Project) -> None:
    words = ("--ale-agent=oracle", "--ale-trials=3", "-k", "t00 or t01")
    main = "import time\n\n\ndef solve(sandbox):\n    sandbox.exec('cp inputs/word.txt output/')\n"
    for name in ("t00", "t01"):
        sim.task(name, main=main + SCORED, checks={}, timeout_s=60)
    run(sim, *words, k=12).assert_outcomes(passed=12, deselected=60)


# What an item's fixtures and marks say holds.

CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def once():
    with open("once.txt", "a") as file:
        file.write("begun ")
    yield
    with open("once.txt", "a") as file:
        file.write("ended ")


@pytest.fixture(autouse=True)
def every(request, once):
    if request.node.name.startswith("t02"):
        pytest.skip("not today")


@pytest.fixture
def ale_prompt(ale_prompt, request):
    return ale_prompt + f"Hurry up, {request.node.name}.\\n"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name.startswith("t01"):
            item.add_marker(pytest.mark.skip(reason="broken"))
"""


def test_fixtures_and_marks_hold_before_anything_is_leased(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(CONFTEST)
    result = run(sim, "-rs")
    result.assert_outcomes(passed=10, skipped=2)
    for why in ("not today", "broken"):
        result.stdout.fnmatch_lines([f"SKIPPED*: {why}"])
    assert {str(line["task"])[-2:] for line in sim.results}.isdisjoint({"01", "02"})
    assert (sim.path / "once.txt").read_text() == "begun ended "
    told = (sim.attempt(task="legal/t07") / "trajectory.json").read_text()
    assert "Hurry up, t07[base-sim]." in told


@pytest.mark.parametrize("where", [".", "tasks/legal/t03"])
def test_an_overridden_prompt_is_what_the_agent_is_told(sim: Project, where: str) -> None:
    (sim.path / where / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef ale_prompt(ale_prompt):\n"
        "    return ale_prompt + 'Hurry up.'\n"
    )
    run(sim).assert_outcomes(passed=12)
    for name, hurries in (("t03", True), ("t04", where == ".")):
        told = (sim.attempt(task=f"legal/{name}") / "trajectory.json").read_text()
        assert ("Hurry up." in told) == hurries


def test_who_wants_the_sandbox_itself_gets_it_in_its_turn(sim: Project) -> None:
    (sim.path / "tasks" / "legal" / "t00" / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef before(ale_sandbox):\n"
        "    ale_sandbox.write(ale_sandbox.output + '/early.txt', 'x')\n"
    )
    run(sim).assert_outcomes(passed=12)
    output = sim.attempt(task="legal/t00") / "output"
    assert (output / "early.txt").exists() and (output / "word.txt").exists()


def test_a_fixture_that_lasts_for_one_test_lasts_while_its_agent_works(sim: Project) -> None:
    (sim.path / "tasks" / "legal" / "t03" / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef server():\n"
        "    with open('server.txt', 'a') as file:\n        file.write('up ')\n    yield\n"
        "    with open('server.txt', 'a') as file:\n        file.write('down ')\n"
    )
    result = run(sim)
    result.assert_outcomes(passed=12)
    result.stderr.fnmatch_lines(["ale: 1 items are run one at a time*: fixture server lasts for*"])
    assert (sim.path / "server.txt").read_text() == "up down "


def test_what_a_conftest_does_around_calls_comes_before_the_agent(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(
        "import pytest\n\n\ndef pytest_runtest_call(item):\n    pytest.skip('not now')\n"
    )
    run(sim, "-k", "t00 or t01").assert_outcomes(skipped=2, deselected=10)
    assert not sim.runs or not list(sim.runs[-1].glob("*/*/*/*/*/*/grade.json"))


AGAIN = """
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if last or not any(report.failed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_who_runs_an_item_again_makes_another_attempt(sim: Project) -> None:
    sim.task("t05", main="def evaluate(output):\n    return 0.0\n", checks={}, timeout_s=60)
    (sim.path / "again.py").write_text(AGAIN)
    env = {"ALE_SIM": str(sim.path / "sim.yaml"), "PYTHONPATH": str(sim.path)}
    words = ("-p", "again", "-k", "t05 or t06", "--ale-concurrency=4")
    sim.run(*WORDS, *words, env=env).assert_outcomes(passed=1, failed=1, deselected=10)
    tried = [line["attempt"] for line in sim.results if line["task"] == "legal/t05"]
    assert tried == [1, 2]


def test_what_fixtures_note_on_an_item_they_find_but_once(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(
        "import pytest\nKEY = pytest.StashKey()\n\n\n@pytest.fixture(autouse=True)\n"
        "def once(request):\n    print('FROM' + 'FIXTURE')\n"
        "    seen = request.node.stash.setdefault(KEY, [])\n"
        "    seen.append(1)\n    assert seen == [1]\n"
    )
    result = run(sim, "-rA", "-k", "t00 or t01")
    result.assert_outcomes(passed=2, deselected=10)
    assert result.stdout.str().count("FROMFIXTURE") == 2


def test_what_is_warned_of_is_told(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(
        "import warnings\nimport pytest\n\n\n@pytest.fixture(scope='session', autouse=True)\n"
        "def old():\n    warnings.warn('this is old')\n"
    )
    run(sim).stdout.fnmatch_lines(["*UserWarning: this is old"])


@pytest.mark.parametrize("how", ["ale_run", "ale_output", "getfixturevalue"])
def test_who_looks_at_the_attempt_makes_it_in_its_turn(sim: Project, how: str) -> None:
    name = "request" if how == "getfixturevalue" else how
    get = "request.getfixturevalue('ale_sandbox')" if name == "request" else how
    (sim.path / "conftest.py").write_text(
        f"import pytest\n\n\n@pytest.fixture(autouse=True)\ndef look({name}):\n    {get}\n"
    )
    run(sim, "-k", "t00 or t01").assert_outcomes(passed=2, deselected=10)
    assert [line["attempt"] for line in sim.results] == [1, 1]
    assert len(leases(sim)) == 2


def test_a_fixture_that_fails_when_it_ends_fails_its_item(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef bad(request):\n    yield\n"
        "    if 't02' in request.node.name:\n        raise RuntimeError('at the end')\n"
    )
    run(sim).assert_outcomes(passed=12, errors=1)


def test_what_a_project_puts_on_its_items_holds(sim: Project) -> None:
    (sim.path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef ale_prompt(ale_prompt, request):\n"
        "    return ale_prompt + request.node.hint\n\n\n"
        "@pytest.fixture\ndef never():\n    pytest.skip('not today')\n\n\n"
        "def pytest_collection_modifyitems(items):\n    for item in items:\n"
        "        item.hint = f'Hint of {item.name}.'\n"
        "    items[3].fixturenames = ['never', *items[3].fixturenames]\n"
    )
    run(sim).assert_outcomes(passed=11, skipped=1)
    assert len(sim.results) == 11
    told = (sim.attempt(task="legal/t07") / "trajectory.json").read_text()
    assert "Hint of t07[base-sim]." in told


def test_ordinary_tests_beside_tasks_keep_their_fixtures(sim: Project) -> None:
    sim.pytester.makepyfile(
        test_plain="""
        import pytest

        made = []

        @pytest.fixture(scope="module")
        def machine():
            made.append(1)
            yield len(made)

        def test_one(machine): assert machine == 1
        def test_two(machine): assert machine == 1
        def test_bad(machine): assert machine == 2
        """
    )
    run(sim).assert_outcomes(passed=14, failed=1)


def test_what_the_provider_cannot_host_is_skipped(sim: Project) -> None:
    sim.task("t00", main=SCORED, checks={}, environment={"desktop": True})
    result = run(sim, "-rs")
    result.assert_outcomes(passed=11, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*sim provider has no desktop*"])


# How it ends early.


def test_x_ends_the_attempts_in_flight_and_releases_them(sim: Project) -> None:
    rules(sim, scale=10)
    sim.task("t00", main=SCORED + "\n", prompt="Nothing.", checks={}, timeout_s=60)
    (sim.path / "tasks" / "legal" / "t00" / "inputs" / "sim.sh").unlink()
    began = time.monotonic()
    words = ("-x", "--ale-knob=seconds=20-20", "--deselect", "tasks/legal/t01")
    result = run(sim, *words, k=6)
    assert time.monotonic() - began < 60
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    outcomes = {line["outcome"] for line in sim.results}
    assert outcomes <= {"scored", "cancelled"} and "cancelled" in outcomes
    assert set(leases(sim).values()) == {"released"}
    assert left(sim) == []


def test_ctrl_c_ends_all_and_leaves_nothing(sim: Project) -> None:
    rules(sim, scale=1)
    words = [sys.executable, "-m", "pytest", *WORDS, "--ale-concurrency=6", "tasks"]
    env = os.environ | {"ALE_SIM": str(sim.path / "sim.yaml")}
    with subprocess.Popen(words, cwd=sim.path, env=env, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        pattern = ".ale/*/legal/*/base/sim/trial-1/attempt-1/trajectory.json"
        while not list(sim.path.glob(".ale/*/ledger.jsonl")) or len(left(sim)) < 6:
            assert time.monotonic() < deadline, pattern
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 2, said
    assert {line["outcome"] for line in sim.results} == {"cancelled"}
    assert set(leases(sim).values()) == {"released"}
    assert left(sim) == []
    rules(sim)
    run(sim, "--ale-resume=last").assert_outcomes(passed=12)


def test_a_run_in_which_everything_fails_stops(sim: Project) -> None:
    rules(sim, failures={"create": 1.0})
    result = run(sim, "--ale-retries=0", "--ale-max-faults=3", k=2)
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*3 infrastructure faults in a row*"])
    assert len(sim.results) < 12


# A provider that says: not now.


def test_a_quota_is_waited_for_and_costs_no_attempt(sim: Project) -> None:
    rules(sim, scale=100, quota=2)
    run(sim, "--ale-knob=seconds=30-30", k=8).assert_outcomes(passed=12)
    assert {line["attempt"] for line in sim.results} == {1}
    assert max(float(str(line["queued"])) for line in sim.results) > 0.3
    assert most_at_once(spans(sim, "run")) <= 2


def test_a_rate_is_kept_to(sim: Project) -> None:
    rules(sim, scale=10, rate=0.5)  # five a second
    run(sim, "--ale-knob=seconds=1-1", k=12).assert_outcomes(passed=12)
    assert {line["attempt"] for line in sim.results} == {1}


def test_a_quota_that_is_never_free_is_a_fault_in_the_end(sim: Project) -> None:
    rules(sim, quota=0)
    words = ("--ale-queue-timeout=1", "--ale-retries=0", "-k", "t00")
    result = run(sim, *words)
    result.assert_outcomes(errors=1, deselected=11)
    result.stdout.fnmatch_lines(["*QUOTA_EXCEEDED*"])
    (record,) = sim.results
    assert record["outcome"] == "fault" and float(str(record["queued"])) > 0.4


# Uses that make no sense.


def test_one_process_or_many_but_not_both(sim: Project) -> None:
    result = run(sim, "-n", "2", k=3)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*--ale-concurrency=3 is for one process: leave out -n, or say -n 3"]
    )


def test_n_goes_before_a_number_that_stands_in_the_environment(sim: Project) -> None:
    env = {"ALE_SIM": str(sim.path / "sim.yaml"), "ALE_CONCURRENCY": "3"}
    result = sim.run(*WORDS, "-n", "2", "-k", "t00 or t01 or t02", env=env)
    result.assert_outcomes(passed=3)


def test_as_many_at_once_as_there_are_threads_for(sim: Project) -> None:
    sim.pytester.makepyfile(
        few="""
        import threading

        begin = threading.Thread.start

        def start(self):
            if sum(each.name.startswith("ale t") for each in threading.enumerate()) >= 2:
                if self.name.startswith("ale t"):
                    raise RuntimeError("can't start new thread")
            begin(self)

        threading.Thread.start = start
        """
    )
    env = {"ALE_SIM": str(sim.path / "sim.yaml"), "PYTHONPATH": str(sim.path)}
    result = sim.run(*WORDS, "-p", "few", "--ale-concurrency=6", env=env)
    result.assert_outcomes(passed=12)
    result.stderr.fnmatch_lines(["ale: this machine has threads for 2 attempts at once only"])


@pytest.mark.parametrize("bad", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none_is_refused(sim: Project, bad: str) -> None:
    result = sim.run(f"--ale-concurrency={bad}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [f"*--ale-concurrency: '{bad}' is not a whole number of at least 1"]
    )
