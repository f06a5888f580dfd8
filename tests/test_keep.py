"""Kept sandboxes: which are, how they are entered, and how they are removed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ale.channels.tagged import directory
from pytest_ale.cli import main
from pytest_ale.leases import Ledger
from pytest_ale.providers.local import LocalProvider

from .conftest import Project
from .terminal import Terminal

ALE = str(Path(sys.executable).with_name("ale"))
WORDS = ("tasks", "--ale-agent=oracle", "--ale-agent=nop")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _cleaned(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user stands in the project; what a test kept goes with it."""
    monkeypatch.chdir(project.path)
    yield
    for path in project.path.rglob("ledger.jsonl"):
        for lease in Ledger(path).entries():
            LocalProvider().destroy(lease)


def kept(project: Project) -> dict[str, str]:
    """Agent and lease of each sandbox that is there."""
    return {
        str(record["agent"]): str(record["lease"])
        for record in project.results
        if directory(str(record["lease"])).is_dir()
    }


@pytest.mark.parametrize(
    ("keep", "agents"), [("never", []), ("failed", ["nop"]), ("always", ["nop", "oracle"])]
)
def test_what_was_asked_for_is_kept(project: Project, keep: str, agents: list[str]) -> None:
    project.task()
    result = project.run(*WORDS, f"--ale-keep={keep}", *(["-n2"] if keep == "always" else []))
    result.assert_outcomes(passed=1, failed=1)
    leases = kept(project)
    assert sorted(leases) == agents
    assert {r["agent"] for r in project.results if r["kept"]} == set(agents)
    for agent, lease in leases.items():
        result.stdout.fnmatch_lines(
            [
                f"kept {lease} (legal/copy/base/{agent}/trial-1/attempt-1)",
                f"  enter it by `ale shell {lease}`",
                f"  remove it by `ale reap {lease}`",
            ]
        )
    assert len([line for line in result.outlines if line.startswith("kept ")]) == len(agents)


def test_a_kept_sandbox_is_entered_again_and_again(project: Project) -> None:
    project.task()
    result = project.run("tasks", "--ale-keep=always", "--ale-dir=runs/of mine")
    shell, reap = re.findall("it by `ale ([^`]+)`", result.stdout.str())
    for there in ("task", "seen-2"):
        with Terminal(["sh", "-c", f"{ALE} {shell}"], project.path) as terminal:
            terminal.wait_for("$ ")
            terminal.type("ls output ~; echo $HOME > ~/seen-$((1+1)); exit 7\n")
            terminal.wait_for(there)
            terminal.wait_for("word.txt")
            status, shown = terminal.end()
        assert status == 7, shown
    done = subprocess.run(["sh", "-c", f"{ALE} {reap}"], capture_output=True, text=True)
    lease = shell.split()[1]
    assert done.stdout.startswith(f"local sandbox {lease} of legal/copy/base/oracle/trial-1/")
    assert not directory(lease).exists()


def test_kept_sandboxes_outlive_runs_and_plain_reaps(project: Project, capsys: Capture) -> None:
    project.task()
    project.run(*WORDS, "--ale-keep=always")
    leases = kept(project)
    project.run("tasks").assert_outcomes(passed=1)  # a start reaps what dead runs left, not these
    capsys.readouterr()
    assert main(["reap"]) == 0
    assert capsys.readouterr().out == "nothing to reap\n"
    assert main(["reap", leases["nop"]]) == 0
    assert f"local sandbox {leases['nop']} of legal/copy/base/nop/" in capsys.readouterr().out
    assert not directory(leases["nop"]).exists() and directory(leases["oracle"]).is_dir()
    assert main(["reap", "--kept"]) == 0
    assert not directory(leases["oracle"]).exists()
    for verb in ("reap", "shell"):
        assert main([verb, leases["nop"]]) == 2
        assert f"ale: no sandbox {leases['nop']} in the ledgers" in capsys.readouterr().err


def test_no_process_of_an_agent_is_left_in_a_kept_sandbox(project: Project) -> None:
    project.task()
    (project.path / "agent.sh").write_text("setsid nohup sleep 1234.5 & cp inputs/* output")
    agent = ["--ale-agent=script", "--ale-knob=path=agent.sh"]
    project.run("tasks", *agent, "--ale-keep=always").assert_outcomes(passed=1)
    assert list(kept(project)) == ["script"]
    found = subprocess.run(["pgrep", "-f", "sleep 1234[.]5"], capture_output=True, text=True)
    assert found.stdout == ""


def test_a_sandbox_is_kept_after_a_fault_too_but_not_by_controls(project: Project) -> None:
    project.task(main="def setup(sandbox): 1 / 0\ndef solve(sandbox): 0\ndef evaluate(): 0")
    assert project.run("tasks", "--ale-keep=failed", "--ale-retries=0").ret == 6
    assert list(kept(project)) == ["oracle"]
    project.run("tasks", "--ale-controls", "--ale-keep=always")
    assert "kept " not in (project.runs[-1] / "ledger.jsonl").read_text()


def test_a_kept_sandbox_that_is_gone_is_said(project: Project) -> None:
    project.task()
    project.run("tasks", "--ale-keep=always")
    lease = kept(project)["oracle"]
    LocalProvider().destroy(lease)
    with Terminal([ALE, "shell", lease], project.path) as terminal:
        status, shown = terminal.end()
    assert status == 2
    assert f"ale: sandbox {lease} cannot be entered: sandbox {lease}: there is no " in shown
    alone = subprocess.run(
        [ALE, "shell", lease], start_new_session=True, capture_output=True, text=True
    )
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.startswith("ale: ale shell needs a terminal: ")
    assert main(["reap", lease]) == 0  # what is gone is no failure
