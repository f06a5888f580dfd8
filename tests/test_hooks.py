"""The hooks of pytest-ale: each is documented, tested, and keeps its contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ale import hookspecs

from .conftest import Project

ROOT = Path(__file__).parent.parent
HOOKS = [name for name in vars(hookspecs) if name.startswith("pytest_ale_")]


def unnamed(paths: list[Path]) -> list[str]:
    """The hooks that none of these files names."""
    text = "\n".join(path.read_text() for path in paths)
    return [hook for hook in HOOKS if hook not in text]


def test_every_hook_is_public() -> None:
    assert sorted(hookspecs.__all__) == sorted(HOOKS)


def test_every_hook_is_documented() -> None:
    assert unnamed([*ROOT.glob("docs/*.md"), ROOT / "README.md"]) == []


def test_every_hook_has_a_test() -> None:
    tests = Path(__file__).read_text().partition("CONFTESTS")[2]
    assert [hook for hook in HOOKS if f"def {hook}(" not in tests] == []


# CONFTESTS: what a plugin of a user's says in each of the tests below.

AGENT = """
from pathlib import Path
import pytest_ale

@pytest_ale.hookimpl
def pytest_ale_harnesses(register):
    with Path("asked").open("a") as log:
        log.write("asked\\n")
    register("mine", "my_harness:Mine")
    register("nop", "my_harness:Mine")
    register("gone", "no_such_module:Thing")
    register("empty", "my_harness")
    register("other", "collections:OrderedDict")
    register("raises", "raises:Thing")
"""

HARNESS = """
from pathlib import Path
from pytest_ale.harness import Ending, Harness

with Path("imported").open("a") as log:
    log.write("imported\\n")

class Mine(Harness):
    name = "mine"

    def run(self, work):
        work.sandbox.exec(["cp", f"{work.sandbox.inputs}/word.txt", work.sandbox.output])
        return Ending()
"""


@pytest.fixture
def own_agent(project: Project) -> Project:
    project.task()
    project.pytester.makeconftest(AGENT)
    project.pytester.makepyfile(my_harness=HARNESS, raises="raise RuntimeError('at import')\n")
    project.pytester.makeini("[pytest]\npythonpath = .\n")
    return project


def test_a_conftest_brings_an_agent_and_goes_before_ours(own_agent: Project) -> None:
    words = ["tasks", "--ale-agent=mine", "--ale-agent=nop", "--ale-unsafe-local"]
    own_agent.run(*words, "-n2").assert_outcomes(passed=2)
    assert {r["harness"] for r in own_agent.results} == {"mine", "nop"}


def test_agents_are_asked_for_once_and_imported_when_used(own_agent: Project) -> None:
    own_agent.run("tasks", "--ale-agent=oracle").assert_outcomes(passed=1)
    assert (own_agent.path / "asked").read_text() == "asked\n"
    assert not (own_agent.path / "imported").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gone", "'no_such_module:Thing' cannot be loaded: ModuleNotFoundError: *"),
        ("empty", "'my_harness' cannot be loaded: AttributeError: *"),
        ("raises", "'raises:Thing' cannot be loaded: RuntimeError: at import"),
        ("other", "<class 'collections.OrderedDict'> is no subclass of Harness"),
    ],
)
def test_an_agent_that_cannot_be_loaded_is_a_wrong_use(
    own_agent: Project, name: str, told: str
) -> None:
    result = own_agent.run("tasks", f"--ale-agent={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pytest-ale: agent '{name}': its target {told}"])


PROVIDER = """
from pathlib import Path
import pytest
from pytest_ale.providers.local import LocalProvider

class Counting(LocalProvider):
    name = "counting"

    def create(self, lease, spec):
        with Path("created").open("a") as log:
            log.write(lease + "\\n")
        return super().create(lease, spec)

    def refuses(self, spec, *, trusted):
        return "it is full" if spec.cpus > 8 else super().refuses(spec, trusted=trusted)

def pytest_ale_providers(register):
    register("counting", Counting.from_settings)
    register("gone", "no_such_module:thing")
"""


def test_a_conftest_brings_a_provider(project: Project) -> None:
    project.task()
    project.task("large", environment={"cpus": 64})
    project.pytester.makeconftest(PROVIDER)
    result = project.run("tasks", "--ale-provider=counting", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*not runnable on provider counting: it is full"])
    assert {r["provider"] for r in project.results} == {"counting"}
    assert len((project.path / "created").read_text().split()) == 1


def test_a_provider_that_cannot_be_loaded_is_a_wrong_use(project: Project) -> None:
    project.pytester.makeconftest(PROVIDER)
    result = project.run("--ale-provider=gone")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: pytest-ale: provider 'gone': its target 'no_such_module:thing' cannot be loaded:*"]
    )
    result = project.run("--ale-provider=moon")
    result.stderr.fnmatch_lines(
        ["*unknown provider 'moon'; known: counting, docker, gone, local, sim"]
    )


HEARD = """
import json
from pathlib import Path

def pytest_ale_attempt_recorded(record):
    run = max(Path(".ale").glob("2*"))
    there = (run / record.path / "attempt.json").exists()
    states = [json.loads(line)["state"] for line in (run / "ledger.jsonl").read_text().split("\\n")
              if record.path in line]
    with Path("{log}").open("a") as log:
        log.write(json.dumps([record.task, record.outcome, there, states[-1:]]) + "\\n")
"""


def heard(project: Project, log: str) -> list[list[object]]:
    lines = (project.path / log).read_text().splitlines()
    return sorted(json.loads(line) for line in lines)


def test_each_attempt_is_told_once_it_is_on_disk_and_before_its_release(project: Project) -> None:
    project.task("good")
    project.task("fault", main="def evaluate(): return 2\n\ndef solve(): pass\n", checks=None)
    project.task("gui", environment={"desktop": True}, cluster="other", subfield="sports")
    project.pytester.makeconftest(HEARD.format(log="all"))
    (project.path / "tasks/legal/conftest.py").write_text(HEARD.format(log="legal"))
    result = project.run("tasks", "--ale-retries=0", "-n2")
    result.assert_outcomes(passed=1, errors=1, skipped=1)
    legal = [["legal/fault", "fault", True, ["leased"]], ["legal/good", "scored", True, ["leased"]]]
    assert heard(project, "legal") == legal
    assert heard(project, "all") == [*legal, ["other/gui", "unrunnable", True, []]]


RAISING = """
def pytest_ale_attempt_recorded(record):
    raise RuntimeError("\\udcff" + 10_000_000 * "x")
"""


def test_what_a_listener_raises_is_a_warning_and_changes_nothing(project: Project) -> None:
    project.task()
    project.pytester.makeconftest(RAISING)
    result = project.run("tasks", "-n2")
    result.assert_outcomes(passed=1, warnings=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*PytestWarning: pytest_ale_attempt_recorded raised RuntimeError:*"]
    )
    assert project.results[0]["score"] == 1.0


def test_what_a_listener_raises_changes_no_score_where_warnings_are_errors(
    project: Project,
) -> None:
    project.task()
    project.pytester.makeconftest(RAISING)
    project.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    project.run("tasks").assert_outcomes(passed=1)
    assert [(r["outcome"], r["score"]) for r in project.results] == [("scored", 1.0)]
