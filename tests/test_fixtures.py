"""The fixtures, as a user's conftest overrides them and a user's own tests ask for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ale.leases import Ledger
from pytest_ale.trajectory import load

from .conftest import Project

ORDINARY = """
import subprocess, sys
import pytest

seen = []

@pytest.mark.parametrize("number", [1, 2])
def test_a_machine_is_clean(ale_sandbox, number):
    assert ale_sandbox.exec("ls -A ~ /tmp").stdout == "/home/agent:\\ntask\\n\\n/tmp:\\n"
    ale_sandbox.write("here", str(number))
    ale_sandbox.exec("touch ~/x /tmp/y; sleep 60 &")
    assert ale_sandbox.read("here") == str(number).encode()
    assert ale_sandbox not in seen
    seen.append(ale_sandbox)

def test_a_machine_works(ale_sandbox):
    assert ale_sandbox.exec(["python3", "-c", "print(6 * 7)"]).stdout == "42\\n"

def test_that_fails(ale_sandbox):
    assert ale_sandbox.exec("exit 3").returncode == 0

def test_settings(ale_settings, ale_agents, ale_run_dir):
    assert ale_settings.provider == "local"
    assert ale_run_dir.path.is_relative_to(ale_settings.runs_dir)

def test_of_an_attempt(ale_run): pass
def test_of_an_output(ale_output): pass
def test_of_an_agent(ale_agent): pass
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_an_ordinary_test_just_gets_a_machine(project: Project, workers: str) -> None:
    (project.path / "test_it.py").write_text(ORDINARY)
    result = project.run("test_it.py", "-rE", workers)
    result.assert_outcomes(passed=4, failed=1, errors=3)
    said = "is none: ale_sandbox gives any test a machine"
    for fixture, test in (("run", "attempt"), ("run", "output"), ("agent", "agent")):
        line = f"ale_{fixture} is for tasks, and test_of_an_{test} {said}"
        assert line in result.outlines
    assert "Traceback" not in result.stdout.str() and "pytest-ale" not in result.stdout.str()
    entries = Ledger(project.runs[-1] / "ledger.jsonl").entries().values()
    assert [entry.state for entry in entries] == ["released"] * 4
    assert {entry.label.partition("::")[0] for entry in entries} == {"test_it.py"}


def test_no_machine_is_a_skip_or_an_error_of_one_line(project: Project) -> None:
    project.pytester.makeconftest(
        """
        from pytest_ale.providers.local import LocalProvider
        from pytest_ale.sandbox import ProviderFault

        class Empty(LocalProvider):
            name = "empty"
            def create(self, lease, spec): raise ProviderFault("no machine is left")

        class Closed(LocalProvider):
            name = "closed"
            def refuses(self, spec, *, trusted): return "closed on Sundays"

        def pytest_ale_providers(register):
            register("empty", Empty.from_settings)
            register("closed", Closed.from_settings)
        """
    )
    (project.path / "test_it.py").write_text("def test_it(ale_sandbox): pass\n")
    project.task()
    empty = project.run("test_it.py", "--ale-provider=empty")
    empty.assert_outcomes(errors=1)
    empty.stdout.fnmatch_lines(["infrastructure fault, no sandbox: no machine is left"])
    closed = project.run("--ale-provider=closed", "-rs")
    closed.assert_outcomes(skipped=2)
    closed.stdout.fnmatch_lines(
        [
            "SKIPPED*not runnable on provider closed: closed on Sundays",
            "SKIPPED*no sandbox on provider closed: closed on Sundays",
        ]
    )


# What a conftest may change.

CLUSTER = """
import pytest
from pytest_ale.harness import Agent

@pytest.fixture
def ale_agent(ale_agent):
    return Agent("script", knobs={"path": SCRIPT})

@pytest.fixture
def ale_prompt(ale_prompt):
    return ale_prompt + "Answer in {params.language}.\\n"
"""
FOLDER = """
import pytest

@pytest.fixture
def ale_prompt(ale_prompt):
    return ale_prompt + "Be quick.\\n"

@pytest.fixture(autouse=True)
def watched(ale_run, ale_sandbox, ale_output, record_property):
    staged = ale_sandbox.exec("ls").stdout.split()
    assert staged == ["inputs", "output", "prompt.md"]
    assert not ale_output.exists()
    yield
    assert (ale_output / "word.txt").is_file()
    assert not ale_output.stat().st_mode & 0o222
    (request_folder() / "watched").touch()

def request_folder():
    from pathlib import Path
    return Path(__file__).parent.parent.parent.parent
"""


def test_a_cluster_and_a_folder_may_change_agent_and_prompt(project: Project) -> None:
    script = project.path / "agent.sh"
    script.write_text("cp inputs/word.txt output; cp prompt.md output\n")
    variants = [{"id": "base", "params": {"language": "German"}}]
    folder = project.task("here", variants=variants)
    project.task("beside", variants=variants)
    project.task("elsewhere", cluster="other", subfield="sports")
    (folder.parent / "conftest.py").write_text(CLUSTER.replace("SCRIPT", repr(str(script))))
    (folder / "conftest.py").write_text(FOLDER)
    result = project.run("tasks", "-n2")
    result.assert_outcomes(passed=3)
    assert (project.path / "watched").exists()
    agents = {r["task"]: r["agent"] for r in project.results}
    assert agents == {"legal/here": "script", "legal/beside": "script", "other/elsewhere": "oracle"}
    here = (project.attempt(task="legal/here") / "output/prompt.md").read_text()
    assert here.endswith("output.\nAnswer in German.\nBe quick.\n")
    beside = (project.attempt(task="legal/beside") / "output/prompt.md").read_text()
    assert beside.endswith("output.\nAnswer in German.\n")
    elsewhere = load(project.attempt(task="other/elsewhere") / "trajectory.json")
    assert str(elsewhere.steps[0].message).endswith("output.\n")


def test_what_a_conftest_overrides_wrongly_is_said_in_one_line(project: Project) -> None:
    agent = "import pytest\nfrom pytest_ale.harness import Agent\n@pytest.fixture\n"
    wrong = {
        "agent": agent + "def ale_agent(): return Agent('nobody')\n",
        "prompt": "import pytest\n@pytest.fixture\ndef ale_prompt(): return 'in {place}'\n",
    }
    for name, text in wrong.items():
        (project.task(name) / "conftest.py").write_text(text)
    result = project.run("tasks")
    result.assert_outcomes(errors=2)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        [
            "fixture ale_agent: unknown agent 'nobody'; known: *claude_code*codex*",
            "*no score: *placeholder {place} does not exist; known: {inputs}, {output}*",
        ]
    )
    assert "Traceback" not in result.stdout.str() and "During" not in result.stdout.str()


POOL = """
import pytest
from pytest_ale.leases import Pool
from pytest_ale.providers.local import LocalProvider

class Mine(LocalProvider):
    name = "mine"

@pytest.fixture(scope="session")
def ale_sandboxes(ale_run_dir):
    return Pool(Mine(), ale_run_dir.ledger)
"""


def test_a_conftest_may_bring_machines_of_its_own(project: Project) -> None:
    project.task()
    (project.path / "test_it.py").write_text(
        "def test_it(ale_sandboxes, ale_sandbox):\n"
        "    assert ale_sandboxes.provider.name == 'mine'\n"
    )
    project.pytester.makeconftest(POOL)
    project.run().assert_outcomes(passed=2)
    assert project.results[0]["provider"] == "mine"


def test_a_task_item_may_use_any_fixture_of_a_project(project: Project) -> None:
    folder = project.task()
    (folder.parent / "conftest.py").write_text(
        """
import json, pytest

@pytest.fixture(autouse=True)
def seen(request, tmp_path, monkeypatch, ale_settings):
    yield
    properties = dict(request.node.user_properties)
    (ale_settings.rootdir / "seen.json").write_text(json.dumps(properties))
"""
    )
    project.run("tasks").assert_outcomes(passed=1)
    properties = json.loads((project.path / "seen.json").read_text())
    assert properties["ale.score"] == 1.0
    assert Path(properties["ale.run_dir"]) == project.attempt()
