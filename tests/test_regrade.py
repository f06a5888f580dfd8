"""Regrade: today's grader over sealed outputs, a new grade beside the old."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import pytest

from pytest_ale.cli import main
from pytest_ale.leases import Ledger

from .conftest import MAIN, Project

Capture = pytest.CaptureFixture[str]

# Half of the points; and one that lets the verifier judge.
STRICT = MAIN.replace(
    'with check("is right"):', 'with check("is right"):\n        assert "a" == "b"'
)
VERIFIED = MAIN.replace(
    "def evaluate(output, reference, check):",
    "def evaluate(output, reference, check, verifier):\n"
    '    verifier.put(output / "word.txt", "word.txt")\n'
    '    assert verifier.exec("cat word.txt").stdout == (reference / "word.txt").read_text()\n'
    '    assert verifier.exec(["ls", "output"]).stdout == ""',
)


@pytest.fixture
def graded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a finished run of three tasks; the user stands in it."""
    monkeypatch.chdir(project.path)
    for name in ("one", "two", "three"):
        project.task(name)
    project.run("tasks").assert_outcomes(passed=3)
    return project


def regrade(project: Project, *words: str) -> int:
    return main(["regrade", str(project.runs[-1]), *words])


def test_a_better_grader_gives_a_new_grade_beside_the_old(graded: Project, capsys: Capture) -> None:
    attempt = graded.attempt(task="legal/two")
    before = {path: path.read_bytes() for path in graded.runs[-1].rglob("*") if path.is_file()}
    graded.task("two", main=STRICT)
    graded.task("three", main=VERIFIED)
    assert regrade(graded) == 0
    lines = sorted(capsys.readouterr().out.splitlines())
    assert [line.split("  ")[0] for line in lines] == [
        "legal/one[base-oracle] trial 1: 1.000 -> 1.000",
        "legal/three[base-oracle] trial 1: 1.000 -> 1.000",
        "legal/two[base-oracle] trial 1: 1.000 -> 0.250",
    ]
    assert lines[2].endswith(f"{attempt.relative_to(graded.runs[-1])}/grade-2.json")
    new = json.loads((attempt / "grade-2.json").read_text())
    assert (new["score"], new["was"], new["passed"]) == (0.25, 1.0, False)
    assert "assert 'a' == 'b'" in new["checks"][1]["message"]
    assert "- b" in new["checks"][1]["message"]  # pytest's diff, without any item's protocol
    ledger = graded.runs[-1] / "ledger.jsonl"
    assert all(path.read_bytes() == data for path, data in before.items() if path != ledger)
    assert {entry.state for entry in Ledger(ledger).entries().values()} == {"released"}
    assert regrade(graded) == 0
    assert (attempt / "grade-3.json").is_file()


def changed(path: Path) -> None:
    path.chmod(0o644)
    path.write_text("999")


def removed(path: Path) -> None:
    path.parent.chmod(0o755)
    path.unlink()


def added(path: Path) -> None:
    path.parent.chmod(0o755)
    (path.parent / "another").touch()


def hidden(path: Path) -> None:
    path.parent.chmod(0o755)
    (path.parent / "__pycache__").mkdir()
    (path.parent / "__pycache__/helper.pyc").touch()


def test_an_output_that_was_tampered_with_is_not_graded(project: Project, capsys: Capture) -> None:
    ways = (changed, removed, added, hidden)
    for name in ("sound", *(way.__name__ for way in ways)):
        project.task(name)
    project.run("tasks")
    for way in ways:
        way(project.attempt(task=f"legal/{way.__name__}") / "output/word.txt")
    assert regrade(project) == 6
    out = capsys.readouterr().out
    assert "legal/sound[base-oracle] trial 1: 1.000 -> 1.000  " in out
    for way in ways:
        assert f"legal/{way.__name__}[base-oracle] trial 1: 1.000 -> no grade: " in out
    said = "output is not what was sealed: files were changed, added or removed"
    assert out.count(said) == len(ways)
    assert len(list(project.runs[-1].rglob("grade-2.json"))) == 1


def test_a_task_that_is_gone_is_said_and_found_elsewhere(graded: Project, capsys: Capture) -> None:
    shutil.move(graded.path / "tasks", graded.path / "moved")
    assert regrade(graded) == 6
    out = capsys.readouterr().out
    assert f"no grade: {graded.path}/tasks/legal/one is no task today; --tasks=DIR says" in out
    assert regrade(graded, "--tasks=moved") == 0
    assert capsys.readouterr().out.count("1.000 -> 1.000") == 3


def test_graders_of_today_that_cannot_grade_leave_the_old_grade(
    graded: Project, capsys: Capture
) -> None:
    graded.task("one", main="def evaluate(): return 7")
    graded.task("two", variants=[{"id": "other"}])
    graded.task("three", tier="easy")
    assert regrade(graded) == 6
    out = capsys.readouterr().out
    assert "evaluate() returned 7 (int)" in out
    assert "tasks/legal/two/card.yaml has no variant 'base' any more" in out
    assert "tasks/legal/three/card.yaml: tier: 'easy'" in out
    assert not list(graded.runs[-1].rglob("grade-2.json"))


def test_what_left_no_output_is_passed_over(project: Project, capsys: Capture) -> None:
    project.task("faulty", main="def build(): 1 / 0\ndef evaluate(): pass")
    project.run("tasks")
    assert regrade(project) == 2
    assert "has no sealed output to grade" in capsys.readouterr().err


def test_what_was_never_graded_can_be(project: Project, capsys: Capture) -> None:
    project.task("late", main=MAIN.replace('with check("is there"):', "1 / 0\n    if True:"))
    assert project.run("tasks").ret == 6
    project.task("late")
    assert regrade(project) == 0
    assert "legal/late[base-oracle] trial 1: none -> 1.000  " in capsys.readouterr().out


def test_a_full_disk_is_said_and_loses_no_old_grade(graded: Project, capsys: Capture) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        assert regrade(graded) == 6
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    out = capsys.readouterr().out
    assert out.count("grade-2.json cannot be written: File too large") == 3
    assert sorted(path.name for path in graded.attempt().glob("*grade*")) == ["grade.json"]


def test_a_regrade_sees_the_settings_of_the_environment(
    graded: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded.task("one", main="def evaluate():\n    while True: pass", checks=None)
    monkeypatch.setitem(os.environ, "ALE_GRADE_TIMEOUT", "0.5")
    assert regrade(graded) == 6
    assert "evaluate() of legal/one did not end within 0.5 s" in capsys.readouterr().out
