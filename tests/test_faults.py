"""Faults of everything around the agent: providers, disks, signals. Never a score of 0."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from junitparser import JUnitXml

from .conftest import Project

# A provider that does its worst at the attempts that a task's name tells.
PROVIDER = """
import time
from pathlib import Path
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import ProviderFault, SandboxLost

HERE = Path(__file__).parent

class Sandbox:
    def __init__(self, sandbox, hurt):
        self.real, self.hurt = sandbox, hurt

    def __getattr__(self, name):
        self.hurt(name)
        return getattr(self.real, name)

class Bad(LocalProvider):
    name = "bad"

    def create(self, lease, spec):
        _, task, _, agent, _, attempt = spec.labels["attempt"].split("/")
        number, _, verifier = attempt.removeprefix("attempt-").partition(" ")

        def hurt(deed):
            if task == f"slow_{deed}":
                (HERE / f"{task}.begun").touch()
                time.sleep(60)
            if number == "1" and task == f"lost_{deed}{verifier and '_verifier'}":
                raise SandboxLost("the machine was switched off")

        if task == "twice" and int(number) < 3 or task == "never":
            raise ProviderFault(f"there is no room for {task} today")
        if task == "buggy":
            raise KeyError("a bug")
        if task == "slow_lease":
            super().create(lease, spec)
            hurt("lease")
        if task == "hung":
            time.sleep(60)
        if task == "unreleased":
            self.stuck = lease
        return Sandbox(super().create(lease, spec), hurt)

    def destroy(self, lease):
        if lease == getattr(self, "stuck", ""):
            raise ProviderFault("the machine does not answer")
        super().destroy(lease)

def pytest_ale_providers(register):
    register("bad", Bad.from_settings)
"""

MAIN = """
def evaluate(output, verifier):
    return float((output / "a").exists()) if verifier.exec("true").returncode == 0 else 0.0

def solve(sandbox):
    sandbox.exec(["touch", sandbox.output + "/a"], check=True)
"""


@pytest.fixture
def bad(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the bad provider, its sandboxes in a folder of their own."""
    project.pytester.makeconftest(PROVIDER)
    project.pytester.makeini("[pytest]\nale_provider = bad\n")
    (project.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "tmp"))
    return project


def left(project: Project) -> list[str]:
    """What is left of sandboxes, workspaces and scratch folders."""
    return sorted(path.name for path in (project.path / "tmp").glob("ale-*"))


def attempts(project: Project, task: str, run: str = ".ale") -> list[dict[str, object]]:
    paths = (project.path / run).glob(f"*/legal/{task}/base/*/trial-1/attempt-*/attempt.json")
    return [json.loads(path.read_text()) for path in sorted(paths)]


# Providers.


def test_what_a_fresh_sandbox_cures_is_tried_again_and_its_evidence_kept(bad: Project) -> None:
    cured = {
        "twice": (3, "lease", "there is no room for twice today"),
        "lost_put": (2, "stage", "the machine was switched off"),
        "lost_exec": (2, "run", "the machine was switched off"),
        "lost_stop": (2, "stop", "the machine was switched off"),
        "lost_get": (2, "collect", "the machine was switched off"),
        "lost_exec_verifier": (2, "grade", "the machine was switched off"),
    }
    for name in cured:
        bad.task(name, main=MAIN, checks={})
    result = bad.run("tasks", "--junitxml=r.xml", "-Werror", "-n2")
    result.assert_outcomes(passed=len(cured))
    assert result.ret == 0
    numbers = dict(re.findall(r'classname="tasks.legal.(\w+).*?ale.attempts" value="(\d)"', junit(bad)))
    for name, (number, phase, message) in cured.items():
        *failed, last = attempts(bad, name)
        assert numbers[name] == str(last["attempt"]) == str(number)
        assert (last["outcome"], last["score"]) == ("scored", 1.0)
        assert len(failed) == number - 1
        for record in failed:
            assert (record["outcome"], record["score"], record["phase"]) == ("fault", None, phase)
            assert record["message"] == message
    assert len(bad.results) == sum(number for number, _, _ in cured.values())
    result.stdout.fnmatch_lines(["all *6 *6 *1.000 *6 (100%) *0 *"])
    assert left(bad) == []


def junit(project: Project) -> str:
    return (project.path / "r.xml").read_text().replace("\n", " ")


def test_what_no_sandbox_cures_is_an_error_and_never_a_0(bad: Project) -> None:
    for name in ("never", "buggy", "hung", "unreleased", "fine"):
        bad.task(name, main=MAIN, checks={})
    result = bad.run("tasks", "--ale-retries=1", "--ale-phase-timeout=2", "-Werror")
    result.assert_outcomes(passed=2, errors=3)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        [
            "infrastructure fault in phase lease, no score: KeyError: 'a bug'",
            "Traceback (most recent call last):",
            "infrastructure fault in phase lease, no score: lease did not end within 2 s",
            "infrastructure fault in phase lease, no score: there is no room for never today",
            "all *5 *2 *1.000 *2 (40%) *3 *",
            "not released *: *the machine does not answer; try `ale reap`",
        ]
    )
    tried = {name: len(attempts(bad, name)) for name in ("never", "buggy", "hung", "unreleased")}
    assert tried == {"never": 2, "buggy": 1, "hung": 2, "unreleased": 1}
    assert all(record["score"] in (None, 1.0) for record in bad.results)
    assert len(left(bad)) == 1  # the one that could not be released
