"""Workers on other hosts: what they must have in common with their controller, and who says so.

A program that stands for `python` takes away what another host would not have: a folder, by a mount
of its own, or a variable. Real hosts are tried by hand (docs/scale-out.md).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Project
from .test_faults import mounting

Host = Callable[..., str]


@pytest.fixture
def host(project: Project) -> Host:
    """The --tx of a worker before whose start something is done."""

    def made(*before: str) -> str:
        program = project.path / "python-elsewhere"
        program.write_text("\n".join(["#!/bin/sh", *before, f'exec {sys.executable} "$@"', ""]))
        program.chmod(0o755)
        return f"--tx=popen//python={program}"

    return made


@pytest.fixture
def without(host: Host, require: Callable[[str, str], None]) -> Host:
    """The --tx of a worker that has another disk at a place."""
    if why := mounting("size=1m"):
        require("unshare", f"no tmpfs can be mounted here: {why}")

    def made(place: Path) -> str:
        place.mkdir(exist_ok=True)
        mount = f"mount -t tmpfs tmpfs {place}"
        return host(f"""exec unshare -rm sh -c '{mount}; exec {sys.executable} "$@"' sh "$@" """)

    return made


def refused(project: Project, *words: str, **env: str) -> str:
    """Why there is no run; nothing has been leased for it."""
    result = project.run("--dist=load", *words, env=env)
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.outlines
    assert not list(project.path.glob(".ale/*/ledger.jsonl"))
    assert not list(project.path.glob(".ale/*/.worker-*"))
    said = [line for line in result.errlines if line.startswith("ERROR: pytest-ale: ")]
    assert len(said) == 1, result.errlines
    return said[0].removeprefix("ERROR: pytest-ale: ")


def test_a_worker_that_writes_to_another_disk_gets_no_work(project: Project, without: Host) -> None:
    project.task()
    told = refused(project, "tasks", "--tx=popen", without(project.path / ".ale"))
    run = project.runs[-1]
    assert told == (
        f"worker gw1: python={project.path}/python-elsewhere: it cannot write to {run}, or has"
        " another disk there: --ale-dir must be a folder that all hosts share, at the same path and"
        " for the same user (docs/scale-out.md)"
    )


def test_a_worker_that_shares_the_disk_works(project: Project, host: Host) -> None:
    for name in ("first", "second"):
        project.task(name)
    result = project.run("tasks", "--dist=load", "--tx=popen", host(), "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*gw1* PASSED*"])
    assert len(project.results) == 2
    assert not list(project.runs[-1].glob(".worker-*"))


def test_settings_of_the_environment_travel(project: Project, host: Host) -> None:
    for name in ("first", "second"):
        project.task(name)
    words = ("tasks", "--dist=load", "--tx=popen", host("unset ALE_SEED; export ALE_TRIALS=9"))
    project.run(*words, env={"ALE_SEED": "7"}).assert_outcomes(passed=2)
    assert [record["seed"] for record in project.results] == [7, 7]


def test_settings_of_its_own_are_refused(project: Project, host: Host) -> None:
    project.task()
    words = ("tasks", "--tx=popen", host("export PYTEST_ADDOPTS=--ale-grade-timeout=5"))
    told = refused(project, *words)
    assert "worker gw1: " in told
    assert " has --ale-grade-timeout '5.0', which is '600.0' here (docs/scale-out.md)" in told


def test_a_gateway_that_cannot_be_reached_is_told(project: Project, without: Host) -> None:
    project.task()
    (project.path / "agent.sh").touch()
    words = ["--ale-agent=script:m", "--ale-knob=path=agent.sh", "--ale-knob=api=openai"]
    words += ["--ale-base-url=http://127.0.0.1:9", without(project.path / "tmp")]
    told = refused(project, "tasks", *words, TMPDIR=str(project.path / "tmp"))
    assert "cannot reach the model gateway of this run" in told
    assert "need their workers on the host of the gateway" in told
    assert not list((project.path / "tmp").glob("ale-gateway-*"))


NEEDY = """
from pytest_ale.harness import Ending, Harness

class Needy(Harness):
    name, about = "needy", "needs a key"
    keys = ("NEEDY_KEY",)

    def run(self, work):
        return Ending()

def pytest_ale_harnesses(register):
    register("needy", Needy)
"""


def test_a_key_that_is_not_there_is_told(project: Project, host: Host) -> None:
    project.pytester.makeconftest(NEEDY)
    project.task()
    words = ("tasks", "--ale-agent=needy", "--tx=popen", host("unset NEEDY_KEY"))
    told = refused(project, *words, NEEDY_KEY="k")
    assert ": it has no NEEDY_KEY in its environment for agent needy (docs/scale-out.md)" in told


def test_an_agent_that_is_not_there_is_told_once(project: Project, without: Host) -> None:
    """With --tx alone xdist replaces workers without end."""
    project.task()
    elsewhere = without(project.path / "agents")
    (project.path / "agents/a.sh").touch()
    told = refused(project, "tasks", "--ale-agent=script", "--ale-knob=path=agents/a.sh", elsewhere)
    assert told.startswith("agent script: knob path='agents/a.sh': there is no such file")
    assert told.endswith(f"(worker gw0: python={project.path}/python-elsewhere)")


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_another_revision_of_the_tasks_is_refused(project: Project) -> None:
    project.pytester.makeini("[pytest]\ntestpaths = tasks\n")
    project.task()
    here, there = project.path, project.path.parent / f"{project.path.name}-there"
    git(here, "init", "-q")
    git(here, "add", ".")
    git(here, "commit", "-qm", "one")
    git(here, "clone", "-q", str(here), str(there))
    words = ("--dist=load", f"--tx=popen//chdir={there}")
    project.run(*words).assert_outcomes(passed=1)
    for run in project.runs:  # what is there is told from what will be
        (run / "ledger.jsonl").unlink()
    git(there, "commit", "-q", "--allow-empty", "-m", "two")
    told = refused(project, *words)
    assert f"worker gw0: chdir={there}: it has git revision '" in told
