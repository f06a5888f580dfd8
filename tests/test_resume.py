"""Resume: only what has no score yet, in the same run, with nothing written over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ale.leases import Ledger
from pytest_ale.providers.local import LocalProvider
from pytest_ale.report.terminal import HEAD

from .conftest import MAIN, Project

# A provider that has no machines while a file says so: a fault that no task and no agent causes.
FLAKY = """
from pathlib import Path
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import ProviderFault

HERE = Path(__file__).parent

class Flaky(LocalProvider):
    name = "flaky"

    def create(self, lease, spec):
        if (HERE / "broken").exists() and "/second/" in spec.labels["attempt"]:
            raise ProviderFault("no machine is left")
        return super().create(lease, spec)

def pytest_ale_providers(register):
    register("flaky", Flaky.from_settings)
"""
WORDS = ("tasks", "--ale-provider=flaky", "--ale-retries=0")


@pytest.fixture
def flaky(project: Project) -> Project:
    """A project of which the second task cannot be hosted."""
    project.pytester.makeconftest(FLAKY)
    project.task("first")
    project.task("second")
    (project.path / "broken").touch()
    return project


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def scores(project: Project) -> list[tuple[object, ...]]:
    return [(r["task"], r["attempt"], r["outcome"], r["score"]) for r in project.results]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_only_what_has_no_score_is_run_again(flaky: Project, workers: str) -> None:
    first = flaky.run(*WORDS, workers)
    assert first.ret == 6
    first.stdout.fnmatch_lines(
        ["exit status 6: 1 without a score*", "*--ale-resume=last runs just those"]
    )
    (run,) = flaky.runs
    before = contents(run / "legal")
    (flaky.path / "broken").unlink()
    second = flaky.run(*WORDS, workers, "--ale-resume=last", "--ale-min-score=1")
    second.assert_outcomes(passed=1, deselected=1 if workers == "-n0" else 0)
    assert second.ret == 0
    assert flaky.runs == [run]
    assert before.items() <= contents(run / "legal").items()
    assert scores(flaky)[2:] == [("legal/second", 2, "scored", 1.0)]
    assert set(scores(flaky)[:2]) == {
        ("legal/first", 1, "scored", 1.0),
        ("legal/second", 1, "fault", None),
    }
    second.stdout.fnmatch_lines([HEAD, "all                      2       2  1.000     2 (100%)*"])


def test_the_whole_run_decides_over_status_and_summary(flaky: Project) -> None:
    flaky.run(*WORDS, "--ale-agent=nop", "--ale-agent=oracle")
    (flaky.path / "broken").unlink()
    words = (*WORDS, "--ale-agent=nop", "--ale-agent=oracle", "--ale-resume=last")
    for score, status in (("0.6", 1), ("0.5", 0)):
        result = flaky.run(*words, f"--ale-min-score={score}")
        assert result.ret == status
        result.stdout.fnmatch_lines([f"mean score 0.500, --ale-min-score={score}"])
    over = flaky.run(*words)
    assert over.ret == 1  # nothing is left to run, and not all has passed
    over.assert_outcomes(deselected=4)
    over.stdout.fnmatch_lines(["nop", "all                      2       2  0.000       0 (0%)*"])


def test_a_run_is_named_by_its_id_its_path_or_last(flaky: Project) -> None:
    flaky.run(*WORDS)
    (run,) = flaky.runs
    (flaky.path / "test_other.py").write_text("def test_it(ale_sandbox): pass\n")
    flaky.run("test_other.py").assert_outcomes(passed=1)  # a run directory without an attempt
    for name in ("last", run.name, str(run), f".ale/{run.name}"):
        result = flaky.run(*WORDS, f"--ale-resume={name}")
        result.stdout.fnmatch_lines([f"ale:*resume={name} (from option)*", f"records: {run}"])
    assert [attempt for task, attempt, *_ in scores_of(run) if "second" in str(task)] == [
        *range(1, 6)
    ]
    elsewhere = flaky.run(*WORDS, "--ale-resume=last", "--ale-dir=nowhere")
    elsewhere.stderr.fnmatch_lines(
        [f"ERROR: pytest-ale: --ale-resume=last: there is no run in {flaky.path}/nowhere"]
    )
    unknown = flaky.run(*WORDS, "--ale-resume=yesterday")
    assert unknown.ret == pytest.ExitCode.USAGE_ERROR
    said = f"--ale-resume=yesterday: no such run; the latest in {flaky.path}/.ale: *{run.name}*"
    unknown.stderr.fnmatch_lines([f"ERROR: pytest-ale: {said}"])


def scores_of(run: Path) -> list[tuple[object, object]]:
    lines = (run / "results.jsonl").read_text().splitlines()
    return [(line["task"], line["attempt"]) for line in map(json.loads, lines)]


CHANGED: dict[str, tuple[list[str], Callable[[Project], object] | None]] = {
    "nothing": (
        ["--ale-knob=script:path=./agent.sh", "--ale-keep=failed", "--ale-min-score=0.1"],
        lambda p: (p.path / "tasks/legal/copy/.DS_Store").write_text("a cache"),
    ),
    "seed": (["--ale-seed=1"], None),
    "agent's limit": (["--ale-timeout=7"], None),
    "grader's limit": (["--ale-grade-timeout=7"], None),
    "bar": (["--ale-pass-at=0.5"], None),
    "prompt": (["--ale-prompt-suffix=Hurry"], None),
    "model": (["--ale-agent=script:big"], None),
    "grader": ([], lambda p: p.task(main=MAIN + "\n# better\n")),
    "card": ([], lambda p: p.task(summary="Another.")),
    "script": ([], lambda p: (p.path / "agent.sh").write_text("true")),
}


def test_what_was_changed_is_run_again(project: Project) -> None:
    """One run, and then for each change a look at what a resume would select."""
    project.task()
    (project.path / "agent.sh").write_text("cp $ALE_INPUTS/word.txt $ALE_OUTPUT")
    agent = ["--ale-agent=script", "--ale-knob=path=agent.sh"]
    project.run("tasks", *agent).assert_outcomes(passed=1)
    chosen = {}
    for what, (words, change) in CHANGED.items():
        if change:
            change(project)
        given = agent if "model" not in what else agent[1:]
        look = project.run("tasks", *given, *words, "--ale-resume=last", "--collect-only", "-q")
        chosen[what] = "copy[base-script" in look.stdout.str()
    assert chosen == {what: what != "nothing" for what in CHANGED}


def test_more_trials_are_added_to_a_run(project: Project) -> None:
    project.task()
    project.run("tasks").assert_outcomes(passed=1)
    result = project.run("tasks", "--ale-trials=3", "--ale-resume=last")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["  3 trials: pass@1 1.000, pass@3 1.000, *"])
    assert sorted(r["trial"] for r in project.results) == [1, 2, 3]  # type: ignore[type-var]


def test_controls_are_no_attempt_and_no_attempt_is_a_control(project: Project) -> None:
    project.task()
    project.run("tasks", "--ale-controls").assert_outcomes(passed=1)
    project.run("tasks", "--ale-resume=last").assert_outcomes(passed=1)
    again = project.run("tasks", "--ale-resume=last", "--ale-controls")
    again.assert_outcomes(deselected=1)
    assert len(project.runs) == 1


# kill -9

SLOW = """
import pytest
from pathlib import Path

@pytest.fixture
def ale_prompt(ale_prompt, request):
    there = Path(__file__).with_name("slow").exists()
    return ale_prompt + ("slow" if there and request.path.parent.name == "slow" else "")
"""
AGENT = """
cp $ALE_INPUTS/word.txt $ALE_OUTPUT
if grep -q slow $ALE_PROMPT_FILE; then sleep 100; fi
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_run_that_was_killed_is_gone_on_with(project: Project, workers: str) -> None:
    project.task("quick")
    project.task("slow")
    project.pytester.makeconftest(SLOW)
    (project.path / "agent.sh").write_text(AGENT)
    words = ["tasks", "--ale-agent=script", "--ale-knob=path=agent.sh", workers]
    (project.path / "slow").touch()
    leases = killed(project, words)
    (project.path / "slow").unlink()
    result = project.run(*words, "--ale-resume=last", "-W", "error")
    result.assert_outcomes(passed=1, deselected=0 if workers == "-n2" else 1)
    assert result.ret == 0
    (run,) = project.runs
    assert not (run / "legal/slow/base/script/trial-1/attempt-1/attempt.json").exists()
    assert scores_of(run)[-1:] == [("legal/slow", 2)]
    assert not set(leases) & set(LocalProvider().leases())
    assert {entry.state for entry in Ledger(run / "ledger.jsonl").entries().values()} == {
        "released"
    }


def killed(project: Project, words: list[str]) -> list[str]:
    """Start a run, kill all of it when one task is done and one at work; the leases it had."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words], cwd=project.path, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while not (leases := at_work(project)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return leases


def at_work(project: Project) -> list[str]:
    """Open leases, once the quick task has its score and the slow one its sandbox."""
    done = [path.parts[-6] for path in project.path.glob(".ale/**/attempt.json")]
    staged = list(project.path.glob(".ale/**/slow/**/events.jsonl"))
    if done != ["quick"] or not staged or '"stage"' not in staged[0].read_text():
        return []
    entries = Ledger(project.runs[0] / "ledger.jsonl").entries().values()
    return [entry.lease for entry in entries if entry.open]
