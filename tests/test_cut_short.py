"""What chaos found, one case at a time."""

from __future__ import annotations

import json
from collections import Counter
from xml.etree import ElementTree

import pytest
import yaml

from .conftest import Project

INTERRUPTED = """
import os, signal, time
from pytest_ale.record import RunDir

save = RunDir.save

def slow(self, record, *rest, **words):
    if record.score is not None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
    save(self, record, *rest, **words)

RunDir.save = slow
"""


REFUSED = """
import os, signal, threading
from pytest_ale import starts

tell = starts.tell

def heard(text):
    threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    tell(text)

starts.tell = heard
"""


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_record_that_is_being_written_is_not_written_over(project: Project, at_once: int) -> None:
    """Ctrl-C in phase `record`: the attempt has its score, or none, and is listed once."""
    project.task()
    project.pytester.makeconftest(INTERRUPTED)
    words = ("--ale-provider=sim", f"--ale-concurrency={at_once}")
    result = project.run("tasks", *words)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (listed,) = project.results
    (path,) = project.runs[0].glob("*/*/*/*/*/*/attempt.json")
    assert json.loads(path.read_text()) == listed


LATE = """
import glob, os, signal, time

told = []

def pytest_runtest_logreport(report):
    if report.when == "call" and not told:
        told.append(report)
        (path,) = glob.glob(".ale/*/results.jsonl")
        for _ in range(6000):
            if open(path).read().count('"outcome": "scored"') >= 4:
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
"""


def test_what_was_scored_when_the_run_was_ended_is_reported(project: Project) -> None:
    """Ctrl-C while pytest is at an item, and others are over: JUnit has them all."""
    for number in range(8):
        project.task(f"t{number}", main="def evaluate(): return 1.0", checks={})
    (project.path / "sim.yaml").write_text(yaml.safe_dump({"scale": 1000}))
    project.pytester.makeconftest(LATE)
    words = ("--ale-provider=sim", "--ale-agent=sim", "--ale-concurrency=4", "--junitxml=out.xml")
    env = {"ALE_SIM": str(project.path / "sim.yaml")}
    result = project.run("tasks", *words, env=env)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    cases = ElementTree.parse(project.path / "out.xml").findall(".//testcase")
    scored = {line["task"].rpartition("/")[2] for line in project.results if line["score"] == 1.0}
    assert len(scored) >= 4
    assert {case.get("name", "").partition("[")[0] for case in cases} >= scored


def test_no_sandbox_is_asked_for_when_the_run_has_ended(project: Project) -> None:
    """Ctrl-C while attempts wait for a quota: whoever gives one back wakes one of them."""
    for number in range(8):
        project.task(f"t{number}", main="def evaluate(): return 1.0", checks={})
    (project.path / "sim.yaml").write_text(yaml.safe_dump({"quota": 3, "scale": 100}))
    project.pytester.makeconftest(REFUSED)
    words = ("--ale-provider=sim", "--ale-agent=sim", "--ale-knob=seconds=900-900")
    env = {"ALE_SIM": str(project.path / "sim.yaml")}
    result = project.run("tasks", *words, "--ale-concurrency=8", env=env)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = (project.runs[0] / "ledger.jsonl").read_text().splitlines()
    after: Counter[str] = Counter()
    ended: set[str] = set()
    for line in map(json.loads, lines):
        after[line["lease"]] += line["lease"] in ended and line["state"] == "leasing"
        ended |= {line["lease"]} if line["state"] == "released" else set()
    assert not +after
