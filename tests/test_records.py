"""What is kept of a run: each file and what stands in it."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_ale.trajectory import check
from pytest_ale.trees import digest

from .conftest import Project

PHASES = ["build", "lease", "stage", "run", "stop", "collect", "grade", "record", "release"]

DELIVERY = """
def solve(sandbox):
    sandbox.exec("mkdir -p output/a/.git; echo one > output/a/.git/HEAD; echo two > output/grün")
    sandbox.exec("ln -s /etc/passwd output/link; chmod 777 output/a")

def evaluate(output, check):
    with check("is there"):
        assert (output / "grün").read_text() == "two\\n"
    with check("is right"):
        assert (output / "grün").read_text() == "three\\n"
"""


def git(project: Project, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *words]
    return subprocess.run(
        command, cwd=project.path, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def finished(project: Project) -> Project:
    """A run in a repository that was changed since its commit: a pass, a failure and a fault."""
    project.task("delivery", main=DELIVERY)
    project.task("faulty", main="def solve(sandbox): 0\ndef evaluate(): return 7", checks=None)
    project.task("sound")
    project.pytester.makeini("[pytest]\nale_retries = 1\n")
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "one")
    (project.path / "tasks/legal/sound/prompt.md").write_text("Copy {inputs}/word.txt, please.")
    result = project.run("tasks", "--ale-seed=7", env={"ALE_TRIALS": "1"})
    result.assert_outcomes(passed=1, failed=1, errors=1)
    return project


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_run_json_tells_how_it_was_run(finished: Project) -> None:
    run = read(finished.runs[-1] / "run.json")
    assert run["run"] == finished.runs[-1].name
    assert run["started"] < run["ended"]
    assert run["settings"]["seed"] == 7 and run["settings"]["agent"] == ["oracle"]
    assert run["settings"]["sources"] == {
        "trials": "env ALE_TRIALS",
        "seed": "option",
        "retries": "ini ale_retries",
    }
    assert {"pytest-ale", "pytest", "pydantic"} <= set(run["versions"])
    assert run["revision"] == git(finished, "rev-parse", "HEAD") + "+"
    assert run["argv"][-2:] == ["tasks", "--ale-seed=7"]
    folders = (finished.path / "tasks/legal").iterdir()
    assert run["digests"] == {f"legal/{folder.name}": digest(folder) for folder in folders}
    assert git(finished, "status", "--porcelain", ".ale") == ""


def test_each_attempt_is_a_line_and_a_file(finished: Project) -> None:
    for line in finished.results:
        assert read(finished.runs[-1] / str(line["path"]) / "attempt.json") == line
        assert line["folder"] == str(finished.path / "tasks" / str(line["task"]))
        assert (line["seed"], line["provider"], line["harness"]) == (7, "local", "oracle")
        assert line["isolation"] in ("bwrap", "unshare", "none")
        assert len(str(line["lease"])) == 12
        assert check(finished.runs[-1] / str(line["path"]) / "trajectory.json") == []
    outcomes = {line["task"]: (line["outcome"], line["score"]) for line in finished.results}
    assert outcomes == {
        "legal/delivery": ("scored", 0.25),
        "legal/faulty": ("fault", None),
        "legal/sound": ("scored", 1.0),
    }


def test_a_grade_has_its_reasons_and_an_output_its_sums(finished: Project) -> None:
    folder = finished.attempt(task="legal/delivery")
    grade, record = read(folder / "grade.json"), read(folder / "attempt.json")
    assert grade == {"score": 0.25, "checks": record["checks"], "messages": []}
    states = {one["name"]: (one["state"], one["gate"], one["weight"]) for one in grade["checks"]}
    assert states == {"is there": ("passed", True, 1.0), "is right": ("failed", False, 3.0)}
    assert "- three" in grade["checks"][1]["message"]
    assert not (finished.attempt(task="legal/faulty") / "grade.json").exists()
    output = folder / "output"
    assert record["output"] == {
        "a/.git/HEAD": hashlib.sha256(b"one\n").hexdigest(),
        "grün": hashlib.sha256(b"two\n").hexdigest(),
    }
    (refused,) = record["refused"]
    assert "link' was refused: it is a symbolic link." in refused
    for path in [output, *output.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444)


def test_events_tell_each_phase_as_it_ends(finished: Project) -> None:
    for task, phases in (("sound", PHASES), ("faulty", [*PHASES[:7], "release"])):
        folder = finished.attempt(task=f"legal/{task}")
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        assert [event["phase"] for event in events] == phases
        assert all(event["seconds"] >= 0 for event in events)
        assert [event["time"] for event in events] == sorted(event["time"] for event in events)
        faults = [(event["phase"], event["fault"]) for event in events if "fault" in event]
        assert [phase for phase, _ in faults] == (["grade"] if task == "faulty" else [])
    record = read(finished.attempt(task="legal/faulty") / "attempt.json")
    assert record["phase"] == "grade"
    assert record["message"] == faults[0][1]
    assert "evaluate() returned 7 (int); allowed: a number from 0 to 1" in record["message"]


def test_a_retry_is_an_attempt_of_its_own(project: Project) -> None:
    project.pytester.makeconftest(
        """
        from pytest_ale.providers.local import LocalProvider
        from pytest_ale.sandbox import ProviderFault

        class Once(LocalProvider):
            name = "once"
            asked = 0
            def create(self, lease, spec):
                self.asked += 1
                if self.asked == 1:
                    raise ProviderFault("not now")
                return super().create(lease, spec)

        def pytest_ale_providers(register):
            register("once", Once.from_settings)
        """
    )
    project.task()
    project.run("tasks", "--ale-provider=once").assert_outcomes(passed=1)
    told = [(r["attempt"], r["outcome"], r["phase"], r["message"]) for r in project.results]
    assert told == [(1, "fault", "lease", "not now"), (2, "scored", "", "")]
    first, second = (project.attempt(attempt=number) for number in (1, 2))
    assert first.name == "attempt-1" and second.name == "attempt-2"
    assert not (first / "trajectory.json").exists()  # it was not told anything yet
