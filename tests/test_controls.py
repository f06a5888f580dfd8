"""Controls: a task that is not sound is caught, by the control that is for it.

And what must hold of every task of this repository, as far as reading tells.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_ale.card import load_card
from pytest_ale.taxonomy import TIERS

from .conftest import MAIN, Project

TASKS = Path(__file__).parent.parent / "tasks"

SPOIL = """
@near_miss("spoilt")
def spoilt(output): (output / "word.txt").write_text("spoilt")
"""
HEAD = "from pytest_ale import cheat, near_miss\n"
GIVE = "def solve(sandbox): sandbox.write(sandbox.output + '/word.txt', 'right')\n"
TEST = """
def evaluate(output):
    path = output / "word.txt"
    return float(path.is_file() and path.read_text() == "right")
"""

# What is wrong with a task, and the control that says so, in what words.
WRONG: dict[str, tuple[str, str, str]] = {
    "oracle_fails": (
        HEAD + "def solve(sandbox): pass\n" + TEST + SPOIL,
        "oracle run 1 scores 1.0",
        "it scores 0; lost: no check; ",
    ),
    "oracle_raises": (
        HEAD + "def solve(sandbox): 1 / 0\n" + TEST + SPOIL,
        "oracle run 1 scores 1.0",
        "ZeroDivisionError: division by zero (main.py:2)",
    ),
    "no_oracle": (HEAD + TEST + SPOIL, "oracle run 1 scores 1.0", "main.py has no solve()"),
    "build_fails": (
        HEAD + "def build(): 1 / 0\n" + GIVE + TEST + SPOIL,
        "oracle run 1 scores 1.0",
        "build() of legal/build_fails: raised ZeroDivisionError",
    ),
    "grader_fails": (
        HEAD + GIVE + "def evaluate(): return 2.0\n" + SPOIL,
        "oracle run 1 scores 1.0",
        "evaluate() returned 2.0 (float); allowed: a number from 0 to 1",
    ),
    "nothing_passes": (
        HEAD + GIVE + "def evaluate(): return 1.0\n" + SPOIL,
        "nop does not pass",
        "an agent that does nothing passes",
    ),
    "near_miss_passes": (
        HEAD
        + GIVE
        + "def evaluate(output): return float((output / 'word.txt').is_file())\n"
        + SPOIL,
        "near miss: spoilt does not pass",
        "it passes, with score 1",
    ),
    "cheat_passes": (
        HEAD
        + GIVE
        + "def evaluate(output): return float((output / 'word.txt').is_file())\n"
        + SPOIL.replace("near_miss", "cheat"),
        "cheat: spoilt does not pass",
        "it passes, with score 1",
    ),
    "control_does_nothing": (
        HEAD + GIVE + TEST + "@near_miss('spoilt')\ndef spoilt(output): pass\n",
        "near miss: spoilt does not pass",
        "it changed nothing in the output",
    ),
    "control_raises": (
        HEAD + GIVE + TEST + "@near_miss('spoilt')\ndef spoilt(output): 1 / 0\n",
        "near miss: spoilt does not pass",
        "raised ZeroDivisionError",
    ),
    "no_controls": (
        GIVE + TEST,
        "has a near miss or a cheat",
        "main.py marks no function with @near_miss or @cheat",
    ),
}


def test_each_wrong_task_is_caught_by_the_control_that_is_for_it(project: Project) -> None:
    for name, (main, _, _) in WRONG.items():
        project.task(name, main=main, checks=None)
    result = project.run("tasks", "--ale-controls", "-n2")
    assert result.ret == 1  # a wrong task is a failure, not a fault of this machine
    result.assert_outcomes(failed=len(WRONG))
    records = {str(record["task"]).removeprefix("legal/"): record for record in project.results}
    for name, (_, control, said) in WRONG.items():
        assert said in failed(records[name])[control], (name, failed(records[name]))
        result.stdout.fnmatch_lines([f"*: {control} (weight 1)"])


def failed(record: Mapping[str, Any]) -> dict[str, str]:
    return {c["name"]: c["message"] for c in record["checks"] if c["state"] != "passed"}


def test_what_changes_from_one_time_to_the_next_is_caught(project: Project) -> None:
    """Task code that remembers: a file in /tmp is there the second time."""
    project.task("oracle", main=remembering(project, "solve"), checks=None)
    project.task("grader", main=remembering(project, "evaluate"), checks=None)
    checks: dict[str, object] = {"is there": {}, "is moody": {}, "is right": {}}
    project.task("check", main=moody(project), checks=checks)
    project.run("tasks", "--ale-controls").assert_outcomes(failed=3)
    records = {record["task"]: record for record in project.results}
    oracle, grader = failed(records["legal/oracle"]), failed(records["legal/grader"])
    assert list(oracle) == ["oracle run 2 scores 1.0", "oracle run 3 scores 1.0"]
    said = grader["grading twice gives the same grade"]
    assert said == "the score is 1.0 first and 0.5 then"
    said = failed(records["legal/check"])["grading twice gives the same grade"]
    assert said == "check 'is moody' is passed first and failed then"


def moody(project: Project) -> str:
    """A task with a check that passes only once."""
    again = f"__import__('pathlib').Path({str(project.path / 'seen')!r})"
    return MAIN.replace(
        'with check("is right"):',
        f'with check("is moody"):\n        assert not ({again}.exists() or {again}.touch())\n'
        '    with check("is right"):',
    )


def remembering(project: Project, function: str) -> str:
    seen = project.path / f"seen-{function}"
    again = f"__import__('pathlib').Path({str(seen)!r})"
    solve = GIVE
    evaluate = TEST
    if function == "solve":
        solve = GIVE.replace(
            "'right'", f"'wrong' if {again}.exists() else {again}.touch() or 'right'"
        )
    else:
        evaluate = f"def evaluate(): return 0.5 if {again}.exists() else {again}.touch() or 1.0\n"
    return HEAD + solve + evaluate + SPOIL


def test_controls_are_kept_apart_from_attempts(project: Project) -> None:
    project.task()
    # A repository is a deliverable too: its .git is copied, spoilt and compared.
    repository = HEAD + GIVE + TEST + SPOIL
    project.task("git", main=repository.replace("word.txt", ".git/HEAD"), checks=None)
    project.run("tasks", "--ale-controls", "--ale-keep=always").assert_outcomes(passed=2)
    record = json.loads((project.attempt() / "attempt.json").read_text())
    assert record in project.results
    assert (record["agent"], record["score"]) == ("controls", 1.0)
    inner = sorted(path.name for path in project.attempt().iterdir() if path.is_dir())
    assert inner == ["nop-1", "oracle-1", "oracle-2", "oracle-3"]
    assert (project.attempt() / "oracle-1/attempt-1/trajectory.json").is_file()


def test_controls_take_no_agent(project: Project) -> None:
    project.task()
    result = project.run("tasks", "--ale-controls", "--ale-agent=nop")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--ale-controls examines tasks, not agents: leave out *"])


# The tasks of this repository.

FOLDERS = sorted(path.parent for path in TASKS.glob("*/*/card.yaml"))
names = [str(folder.relative_to(TASKS)) for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_a_task_keeps_the_standard(folder: Path) -> None:
    card = load_card(folder / "card.yaml")
    assert card.cluster == folder.parent.name
    assert len(card.variants) >= 2
    assert len(card.checks) >= 4
    assert any(check.gate for check in card.checks.values())
    assert card.deliverables and card.soc
    marks = Counter(controls(folder / "main.py"))
    assert marks["near_miss"] >= 2
    assert marks["cheat"] >= 1


def controls(main: Path) -> list[str]:
    """The marks on the functions of a main.py, read and not run."""
    tree = ast.parse(main.read_text())
    marked = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    found = [
        mark.func for node in marked for mark in node.decorator_list if isinstance(mark, ast.Call)
    ]
    return [name.id for name in found if isinstance(name, ast.Name)]


def beside(path: Path) -> set[Path]:
    """The modules of its own folder that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(name.name for name in node.names)}
    return {other for name in found if (other := path.with_name(f"{name}.py")).is_file()}


def with_all_it_imports(path: Path, but: Path) -> set[Path]:
    known, todo = {path}, {path}
    while todo:
        todo = {other for each in todo for other in beside(each)} - known - {but}
        known |= todo
    return known


def test_a_task_s_oracle_shares_nothing_with_its_answer_key() -> None:
    for folder in FOLDERS:
        main, oracle = folder / "main.py", folder / "oracle.py"
        shared = with_all_it_imports(oracle, main) & with_all_it_imports(main, oracle)
        assert not shared, shared


def test_the_tasks_together_are_an_exam() -> None:
    cards = [load_card(folder / "card.yaml") for folder in FOLDERS]
    assert {card.tier for card in cards} == set(TIERS)
    assert len({card.cluster for card in cards}) >= 8
    canaries = [card.canary for card in cards]
    assert None not in canaries and len(set(canaries)) == len(canaries)
