"""Odd projects and attempts made ahead: what is shown and recorded is the same as without."""

from __future__ import annotations

import json
from collections import Counter
from xml.etree import ElementTree

import pytest
import yaml

from .conftest import Project

WORDS = ("--ale-provider=sim", "--ale-agent=sim", "--junitxml=out.xml")

SCORED = """
def evaluate(output):
    return float((output / "word.txt").exists())
"""


@pytest.fixture
def sim(project: Project) -> Project:
    """Four tasks for the simulated agent, done at once."""
    for number in range(4):
        task(project, f"t{number}")
    (project.path / "sim.yaml").write_text(yaml.safe_dump({"scale": 1000}))
    return project


def task(project: Project, name: str, main: str = SCORED) -> None:
    folder = project.task(name, main=main, checks={}, timeout_s=60)
    (folder / "inputs").mkdir(exist_ok=True)
    (folder / "inputs" / "word.txt").write_text("word")
    (folder / "inputs" / "sim.sh").write_text("cp inputs/word.txt output/")


def run(project: Project, *words: str, k: int = 4) -> pytest.RunResult:
    env = {"ALE_SIM": str(project.path / "sim.yaml")}
    return project.run(*WORDS, f"--ale-concurrency={k}", *words, env=env)


def conftest(project: Project, text: str, folder: str = "") -> None:
    (project.path / folder / "conftest.py").write_text(f"import pytest\n\n{text}")


def scored(project: Project) -> Counter[tuple[str, int]]:
    """Task and attempt of each line of results.jsonl that has a score."""
    lines = [line for line in project.results if line["outcome"] == "scored"]
    return Counter((str(line["task"])[-2:], int(str(line["attempt"]))) for line in lines)


def given_back(project: Project) -> int:
    """Leases of the last run; all are released, and no sandbox is left."""
    ledger = project.runs[-1] / "ledger.jsonl"
    lines = ledger.read_text().splitlines() if ledger.exists() else []  # none was asked for
    states = {line["lease"]: line["state"] for line in map(json.loads, lines)}
    assert set(states.values()) <= {"released"}
    assert not list((project.path / "sim.state").glob("sandboxes*/*"))
    return len(states)


def told(project: Project) -> dict[str, list[str]]:
    """What JUnit says of each item."""
    cases = ElementTree.parse(project.path / "out.xml").findall(".//testcase")
    words = ("failure", "error", "skipped")
    return {str(case.get("name"))[:2]: [x.tag for x in case if x.tag in words] for case in cases}


# Fixtures.


def test_a_sandbox_that_is_asked_for_at_its_time_is_the_agents(sim: Project) -> None:
    conftest(
        sim,
        "@pytest.fixture(autouse=True)\ndef before(request):\n"
        "    sandbox = request.getfixturevalue('ale_sandbox')\n"
        "    sandbox.write(sandbox.output + '/early.txt', 'x')\n",
    )
    run(sim).assert_outcomes(passed=4)
    assert scored(sim) == {(f"t{number}", 1): 1 for number in range(4)}
    assert given_back(sim) == 4
    assert all((sim.attempt(task=f"legal/t{n}") / "output/early.txt").exists() for n in range(4))


WAYS = """
@pytest.fixture(autouse=True)
def odd(request):
    ways = {"t0": pytest.skip, "t1": pytest.fail, "t2": pytest.xfail}
    if way := ways.get(request.node.name[:2]):
        way("so")
"""


def test_fixtures_that_end_in_their_own_way_cost_their_item_only(sim: Project) -> None:
    conftest(sim, WAYS)
    result = run(sim)
    result.assert_outcomes(passed=1, skipped=1, xfailed=1, errors=1)
    assert told(sim) == {"t0": ["skipped"], "t1": ["error"], "t2": ["skipped"], "t3": []}
    assert scored(sim) == {("t3", 1): 1}
    assert given_back(sim) == 1


@pytest.mark.parametrize(
    ("end", "status"), [("raise KeyboardInterrupt", 2), ("pytest.exit('enough', 7)", 7)]
)
def test_a_fixture_that_ends_the_run_ends_it(sim: Project, end: str, status: int) -> None:
    conftest(
        sim,
        "@pytest.fixture(autouse=True)\ndef odd(request):\n"
        f"    if request.node.name.startswith('t2'):\n        {end}\n",
    )
    assert run(sim).ret == status
    given_back(sim)
    assert {line["outcome"] for line in sim.results} <= {"scored", "cancelled"}
    (sim.path / "conftest.py").unlink()
    missing = 4 - sum(scored(sim).values())
    result = run(sim, "--ale-resume=last")
    result.assert_outcomes(passed=missing, deselected=4 - missing)
    assert {name for name, _ in scored(sim)} == {"t0", "t1", "t2", "t3"}
    assert sum(scored(sim).values()) == 4


# Hooks and options.


def test_setup_show_runs_one_after_the_other(sim: Project) -> None:
    result = run(sim, "--setup-show", "-k", "t0 or t1")
    result.assert_outcomes(passed=2, deselected=2)
    result.stdout.fnmatch_lines(["*SETUP*F ale_run*"])


def test_a_broken_card_costs_its_task_only(sim: Project) -> None:
    (sim.path / "tasks" / "legal" / "t2" / "card.yaml").write_text("tier: nope\n")
    result = run(sim)
    result.assert_outcomes(passed=3, errors=1)
    assert set(scored(sim)) == {("t0", 1), ("t1", 1), ("t3", 1)}


# Tasks.


def test_graders_that_end_badly_cost_their_item_only(sim: Project) -> None:
    task(sim, "t0", "import os\n\ndef evaluate(output):\n    os._exit(3)\n")
    task(sim, "t1", "import time\n\ndef evaluate(output):\n    time.sleep(1000)\n")
    task(sim, "t2", "def setup(sandbox):\n    raise OSError('gone')\n" + SCORED)
    result = run(sim, "-o", "ale_grade_timeout=2")
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(["*exit status 3 before it answered*"])
    result.stdout.fnmatch_lines(["*did not end within 2 s*"])
    assert result.ret == 6
    assert given_back(sim) == 4


def test_a_grader_at_work_does_not_keep_the_run_from_ending(sim: Project) -> None:
    task(sim, "t0", "import time\n\ndef evaluate(output):\n    time.sleep(1000)\n")
    task(sim, "t1", "def evaluate(output):\n    return 0.0\n")
    result = run(sim, "-x", "-k", "t0 or t1")
    assert result.ret == 1
    result.assert_outcomes(failed=1, deselected=2)
    assert {line["outcome"] for line in sim.results} == {"scored", "cancelled"}
    given_back(sim)
