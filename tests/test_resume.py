"""Resume: only what has no score yet, in the same run, with nothing written over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ale.harness import Agent
from pytest_ale.index import CardIndex
from pytest_ale.leases import Ledger
from pytest_ale.plan import make_plan
from pytest_ale.providers.local import LocalProvider
from pytest_ale.registry import harness_named, load_plugins
from pytest_ale.report.terminal import HEAD
from pytest_ale.settings import read_settings
from pytest_ale.task import Instance, Task

from .conftest import MAIN, Project

# A provider that has no machines while a file says so: a fault that no task and no agent causes.
FLAKY = """
from pathlib import Path
from pytest_ale.providers.local import LocalProvider
from pytest_ale.registry import harness_named, load_plugins
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


def test_only_what_has_no_score_is_run_again(flaky: Project) -> None:
    first = flaky.run(*WORDS, "-n2")
    assert first.ret == 6
    first.stdout.fnmatch_lines(
        ["exit status 6: 1 without a score*", "*--ale-resume=last runs just those"]
    )
    (run,) = flaky.runs
    before = contents(run / "legal")
    (flaky.path / "broken").unlink()
    second = flaky.run(*WORDS, "-n2", "--ale-resume=last", "--ale-min-score=1")
    second.assert_outcomes(passed=1)
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
    for name in ("last", run.name, f".ale/{run.name}"):
        result = flaky.run(*WORDS, f"--ale-resume={name}")
        result.stdout.fnmatch_lines([f"ale:*resume={name} (from option)*", f"records: {run}"])
    assert [attempt for task, attempt, *_ in scores_of(run) if "second" in str(task)] == [
        *range(1, 5)
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


OPTIONS: dict[str, object] = {
    "ale_seed": 1,
    "ale_timeout": 7,
    "ale_grade_timeout": 7,
    "ale_pass_at": 0.5,
    "ale_prompt_suffix": "Hurry",
    "ale_phase_timeout": 7,
    "ale_max_turns": 7,
    "ale_max_tokens": 7,
    "ale_max_usd": 7,
    "ale_provider": "docker",
    "ale_image": "debian:trixie",
    "ale_unsafe_local": True,
}
IRRELEVANT: dict[str, object] = {
    "ale_keep": "failed",
    "ale_min_score": 0.1,
    "ale_retries": 0,
    "ale_trials": 5,
    "ale_dir": "elsewhere",
    "ale_base_url": "http://127.0.0.1:7",
    "ale_run_max_usd": 7,
}


def identity(folder: Path, agent: Agent, options: Mapping[str, object], trial: int = 1) -> str:
    """What a resume would go by, with these options."""
    settings = read_settings(options.get, {}, lambda _: None, folder, folder)
    task = Task(folder, CardIndex(None).entry(str(folder / "card.yaml")))
    instance = Instance(task, "base", settings.seed)
    return make_plan(instance, agent, harness_named(agent.harness), trial, settings).identity


def test_whatever_would_change_the_work_is_part_of_an_identity(project: Project) -> None:
    script = project.path / "agent.sh"
    script.write_text("true")
    folder, agent = project.task(), Agent("script", knobs={"path": str(script)})
    load_plugins()
    same = identity(folder, agent, {})
    for option, value in IRRELEVANT.items():
        assert identity(folder, agent, {option: value}) == same, option
    found = {identity(folder, agent, {option: value}) for option, value in OPTIONS.items()}
    found |= {identity(folder, agent, {}, trial=2)}
    others = replace(agent, model="2"), replace(agent, version="2")
    found |= {identity(folder, other, {}) for other in others}
    script.write_text("false")
    found |= {identity(folder, agent, {})}
    assert len(found - {same}) == len(OPTIONS) + 4
    moved = script.rename(project.path / "the_same.sh")
    assert identity(folder, replace(agent, knobs={"path": str(moved)}), {}) in found


def test_a_task_that_was_changed_is_run_again(project: Project) -> None:
    for name in ("same", "cached", "prompt", "grader", "card", "helper"):
        project.task(name)
    project.run("tasks").assert_outcomes(passed=6)
    (project.path / "tasks/legal/cached/__pycache__").mkdir()
    (project.path / "tasks/legal/cached/__pycache__/main.pyc").touch()
    project.task("prompt", prompt="Please copy {inputs}/word.txt to {output}.")
    project.task("grader", main=MAIN + "\n# better\n")
    project.task("card", summary="Another.")
    (project.path / "tasks/legal/helper/score.py").touch()
    result = project.run("tasks", "--ale-resume=last")
    result.assert_outcomes(passed=4, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "ale: resume: 4 tasks have changed since (legal/card: card.yaml*;"
            " legal/grader: *main.py*; legal/helper: *score.py*; …)",
            "ale: resume: 4 instances that have a score are run again",
        ],
        consecutive=True,
    )
    again = sorted(str(r["task"]) for r in project.results if r["attempt"] == 2)
    assert again == [f"legal/{name}" for name in ("card", "grader", "helper", "prompt")]


def test_what_has_changed_since_is_said(project: Project) -> None:
    """With and without workers, of the agent, of options, of tasks that are gone."""
    for name in ("one", "two", "three"):
        project.task(name)
    script = project.path / "agent.sh"
    script.write_text("cp inputs/word.txt output")
    agents = ["--ale-agent=script", f"--ale-knob=path={script}"]
    project.run("tasks", *agents, "--ale-agent=nop", "--ale-seed=3").assert_outcomes(
        passed=3, failed=3
    )
    same = project.run("tasks", *agents, "--ale-agent=nop", "--ale-seed=3", "--ale-resume=last")
    same.assert_outcomes(deselected=6)
    same.stdout.no_fnmatch_line("*resume: *")
    script.write_text("cp inputs/word.txt output; true")
    (project.path / "tasks/legal/three").rename(project.path / "gone")
    said = [
        "ale: resume: agent nop is not asked for now (3 instances)",
        "ale: resume: 1 task of the run is gone (legal/three)",
        "ale: resume: seed was 3, is 0",
        "ale: resume: agent script is another one by what its knobs name",
        "ale: resume: timeout was 60.0, is 50.0",
        "ale: resume: 2 instances that have a score are run again",
    ]
    words = ["tasks", *agents, "--ale-resume=last", "--ale-timeout=50"]
    for more in (["--ale-dry-run"], ["-n2"]):
        result = project.run(*words, *more)
        assert [line for line in result.outlines if "resume: " in line] == said
    result.assert_outcomes(passed=2)
    again = project.run(*words)
    again.assert_outcomes(deselected=2)
    assert [line for line in again.outlines if "resume: " in line] == said[:2]


def test_a_knob_and_a_version_are_named(project: Project) -> None:
    project.task()
    words = ["tasks", "--ale-provider=sim", "--ale-agent=sim"]
    project.run(*words, "--ale-knob=seconds=0-1")
    path = project.attempt(task="legal/copy") / "attempt.json"
    older = json.loads(path.read_text()) | {"agent_version": "0.0.1"}
    (project.runs[0] / "results.jsonl").write_text(json.dumps(older) + "\n")
    result = project.run(*words, "--ale-knob=seconds=0-2", "--ale-resume=last", "--ale-dry-run")
    result.stdout.fnmatch_lines(
        [
            "ale: resume: agent sim: version was 0.0.1, is *",
            "ale: resume: agent sim: knob seconds was 0-1, is 0-2",
            "ale: resume: 1 instance that has a score is run again",
        ],
        consecutive=True,
    )
    (project.runs[0] / "results.jsonl").write_text(json.dumps(older | {"conditions": {}}) + "\n")
    result = project.run(*words, "--ale-knob=seconds=0-2", "--ale-resume=last", "--ale-dry-run")
    result.stdout.fnmatch_lines(
        ["ale: resume: the run was recorded by an older version of pytest-ale"]
    )


def test_a_run_grows_by_trials_and_keeps_controls_apart(project: Project) -> None:
    project.task()
    project.run("tasks", "--ale-controls").assert_outcomes(passed=1)
    project.run("tasks", "--ale-resume=last").assert_outcomes(passed=1)  # a control is no attempt
    again = project.run("tasks", "--ale-resume=last", "--ale-controls")
    again.assert_outcomes(deselected=1)
    result = project.run("tasks", "--ale-trials=3", "--ale-resume=last")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["  3 trials: pass@1 1.000, pass@3 1.000, *"])
    assert len(project.runs) == 1
    trials = [r["trial"] for r in project.results if r["agent"] == "oracle"]
    assert sorted(trials) == [1, 2, 3]  # type: ignore[type-var]


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


def test_a_run_that_was_killed_is_gone_on_with(project: Project) -> None:
    project.task("quick")
    project.task("slow")
    project.pytester.makeconftest(SLOW)
    (project.path / "agent.sh").write_text(AGENT)
    words = ["tasks", "--ale-agent=script", "--ale-knob=path=agent.sh", "-n2"]
    (project.path / "slow").touch()
    leases = killed(project, words)
    (project.path / "slow").unlink()
    result = project.run(*words, "--ale-resume=last", "-W", "error")
    result.assert_outcomes(passed=1)
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
