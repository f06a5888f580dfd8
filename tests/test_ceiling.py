"""What a run may cost at most is said before it starts; a dry run ends there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from pytest_ale.ceiling import Ceiling, Planned, Way
from pytest_ale.settings import Settings
from pytest_ale.testing import Say, Script, ScriptedModel

from .conftest import Project
from .test_settings import configured, refusal

# Agents that cost money: each leaves the right answer, and a trace of it. `paid` asks once.
CONFTEST = """
import json
from pathlib import Path
from urllib.request import Request, urlopen
from pytest_ale.harness import Ending, Harness

HERE = Path(__file__).parent

class Paid(Harness):
    name = "paid"
    api = "openai"
    outside = True

    def run(self, work):
        if self.api:
            body = {"model": "gpt-5.1", "messages": [{"role": "user", "content": "Hello"}]}
            head = {"Authorization": f"Bearer {work.model_key}", "Content-Type": "application/json"}
            url = work.model_url + "/v1/chat/completions"
            urlopen(Request(url, json.dumps(body).encode(), head)).read()
        (HERE / "spent").touch()
        work.sandbox.exec(["cp", work.sandbox.inputs + "/word.txt", work.sandbox.output])
        return Ending()

class Past(Paid):
    name = "past"
    api = ""
    outside = False
    keys = ("OPENAI_API_KEY",)

def pytest_ale_harnesses(register):
    register("paid", Paid)
    register("past", Past)
"""
GROUPS = """
@__import__("pytest").hookimpl(tryfirst=True)  # before xdist, which looks for the mark
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(__import__("pytest").mark.xdist_group("g"))
"""
VARIANTS = [{"id": "one"}, {"id": "two"}]
KEY = {"OPENAI_API_KEY": "sk-none"}


@pytest.fixture
def paid(project: Project) -> Project:
    """Two tasks of two variants, one of an hour and one of half an hour, and an ordinary test."""
    project.pytester.makeconftest(CONFTEST)
    project.task("long", variants=VARIANTS, timeout_s=3600)
    project.task("short", variants=VARIANTS, timeout_s=1800)
    (project.path / "tasks" / "test_sums.py").write_text("def test_wrong(): assert 1 + 1 == 3\n")
    return project


@pytest.fixture
def model() -> Iterator[str]:
    """The option that names a server of models."""
    with ScriptedModel(Script([Say("Hello to you.")])) as server:
        yield f"--ale-base-url={server.url}"


def said(project: Project, *words: str) -> list[str]:
    """What a dry run says, without the header's line of settings."""
    result = project.run("tasks", "--ale-dry-run", *words, env=KEY)
    assert (result.ret, list(project.path.glob(".ale"))) == (0, [])
    return told(result)


def told(result: pytest.RunResult) -> list[str]:
    lines = [line for line in result.outlines if line.startswith("ale: ")]
    return [line.removeprefix("ale: ") for line in lines if "(from option)" not in line]


# The arithmetic.


def ceiling(
    project: Project,
    *words: str,
    agents: tuple[tuple[str, Way], ...] = (("a", "gateway"),),
    trials: int = 1,
    instances: int = 4,
    seconds: float = 3600,
    workers: int = 1,
) -> list[str]:
    planned = [
        Planned(f"i{number}", agent, trial, seconds, way)
        for number, (agent, way), trial in product(range(instances), agents, range(1, trials + 1))
    ]
    return list(Ceiling(planned, settings(project, *words), workers).lines())


def settings(project: Project, *words: str) -> Settings:
    return configured(project, "--ale-retries=0", *words)


def test_attempts_hours_and_dollars_are_multiplied(project: Project) -> None:
    assert ceiling(
        project,
        "--ale-max-usd=2",
        agents=(("a", "gateway"), ("b", "gateway")),
        instances=16,
        workers=4,
    ) == [
        "16 instances × 2 agents × 1 trial = 32 attempts;"
        " at most 32.0 h of agents' work (8.0 h with 4 workers), $64.00"
    ]


def test_only_agents_that_cost_are_charged(project: Project) -> None:
    agents: tuple[tuple[str, Way], ...] = (("a", "gateway"), ("oracle", ""), ("b", "past"))
    (line,) = ceiling(project, "--ale-max-usd=0.25", agents=agents)
    assert line.startswith("4 instances × 3 agents × 1 trial = 12 attempts; at most 12.0 h")
    assert line.endswith(", $1.00")
    (free,) = ceiling(project, "--ale-max-usd=0.25", agents=(("oracle", ""),))
    assert "$" not in free and "dollars" not in free


def test_the_runs_dollars_hold_where_they_are_fewer(project: Project) -> None:
    both = ("--ale-max-usd=2", "--ale-run-max-usd=5")
    assert ceiling(project, *both)[0].endswith(", $5.00 (--ale-run-max-usd)")
    assert ceiling(project, *both, instances=2)[0].endswith(", $4.00")
    assert ceiling(project, both[1])[0].endswith(", $5.00 (--ale-run-max-usd)")
    (none,) = ceiling(project)
    assert none.endswith(", no ceiling in dollars (--ale-max-usd, --ale-run-max-usd)")


def test_attempts_after_faults_are_told(project: Project) -> None:
    words = ("--ale-retries=2", "--ale-max-usd=1", "--ale-run-max-usd=10")
    first, again = ceiling(project, *words, workers=2)
    assert first.endswith("at most 4.0 h of agents' work (2.0 h with 2 workers), $4.00")
    assert again == (
        "an attempt that infrastructure spoils is made again, up to 2 times: if all were, at most"
        " 12.0 h of agents' work (6.0 h with 2 workers), $10.00 (--ale-run-max-usd)"
    )
    (free,) = ceiling(project, *words, agents=(("oracle", ""),))
    assert "again" not in free


@pytest.mark.parametrize(
    ("instances", "workers", "hours"), [(1, 4, "1.0 h"), (5, 4, "2.0 h"), (9, 4, "3.0 h")]
)
def test_the_last_attempt_is_waited_for(
    project: Project, instances: int, workers: int, hours: str
) -> None:
    """The sum divided by the workers would be 0.25, 1.25 and 2.25 hours."""
    assert f"({hours} with 4 workers)" in ceiling(project, instances=instances, workers=workers)[0]


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        (0.5, "0.5 s"),
        (59, "59 s"),
        (60, "1.0 min"),
        (61, "1.1 min"),
        (3600, "1.0 h"),
        (3601, "1.1 h"),
        (36_000_000, "10,000.0 h"),
    ],
)
def test_times_are_rounded_up(project: Project, seconds: float, span: str) -> None:
    (line,) = ceiling(project, instances=1, seconds=seconds, agents=(("oracle", ""),))
    said = "1 instance × 1 agent × 1 trial = 1 attempt"
    assert line == f"{said}; at most {span} of agents' work"


# Before a run.

COUNTED = "4 instances × 1 agent × 1 trial = 4 attempts"
AGAIN = "an attempt that infrastructure spoils is made again, up to 2 times: if all were, at most"


def test_a_dry_run_says_what_the_run_would_cost_and_does_nothing(paid: Project) -> None:
    lines = said(paid, "--ale-agent=paid:gpt-5.1", "--ale-max-usd=2")
    assert lines[:2] == [
        f"{COUNTED}; at most 3.0 h of agents' work, $8.00",
        f"{AGAIN} 9.0 h of agents' work, $24.00",
    ]
    assert lines[2].startswith("gpt-5.1: price from genai-prices ")
    (last,) = lines[3:]
    assert last == "a dry run: nothing is leased or started; other tests do not run either: 1"
    assert not (paid.path / "spent").exists()


def test_with_workers_a_dry_run_says_the_same_and_starts_none(paid: Project) -> None:
    (paid.path / "started").mkdir()
    conftest = paid.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\nimport os\n(HERE / 'started' / str(os.getpid())).touch()\n"
    )
    lines = said(paid, "--ale-agent=paid:gpt-5.1", "-n2", "--ale-timeout=600")
    assert lines[0].startswith(f"{COUNTED}; at most 40.0 min of agents' work (20.0 min with 2")
    assert len(list((paid.path / "started").iterdir())) == 1


@pytest.mark.parametrize("dist", [[], ["-n2"], ["--tx=2*popen", "--dist=loadgroup"]])
def test_it_is_said_once_before_the_first_attempt(
    paid: Project, dist: list[str], model: str
) -> None:
    conftest = paid.path / "conftest.py"
    conftest.write_text(conftest.read_text() + GROUPS)
    words = ["tasks", "--ale-agent=paid:gpt-5.1", "--ale-agent=nop", "--ale-run-max-usd=7", *dist]
    result = paid.run(*words, model, "-k", "not (short and nop)", "-v", env=KEY)
    result.assert_outcomes(passed=4, failed=3)
    assert (paid.path / "spent").exists()
    line = "ale: 6 attempts (4 instances, 2 agents, 1 trial); at most 5.0 h of agents' work"
    line += " (2.5 h with 2 workers)" * bool(dist) + ", $7.00 (--ale-run-max-usd)"
    assert result.outlines.count(line) == 1
    first = next(n for n, out in enumerate(result.outlines) if "PASSED" in out or "FAILED" in out)
    assert result.outlines.index(line) < first


def test_nothing_is_said_where_nobody_costs_anything(paid: Project) -> None:
    assert told(paid.run("tasks", "--ale-agent=nop", "--ale-max-usd=3", "--collect-only")) == []
    assert told(paid.run("tasks", "--ale-agent=nop", "-n2", "-k", "long and one")) == []


def test_the_list_itself_is_collect_onlys(paid: Project) -> None:
    lines = paid.run("tasks", "--ale-dry-run", "--collect-only", "-q", "-n2").outlines
    assert "tasks/legal/long/main.py::long[one-oracle]" in lines
    assert f"ale: {COUNTED}; at most 3.0 h of agents' work (1.5 h with 2 workers)" in lines


@pytest.mark.parametrize("words", [["tasks", "-k", "nothing"], ["empty"]])
def test_a_dry_run_of_nothing_is_status_5(paid: Project, words: list[str]) -> None:
    (paid.path / "empty").mkdir()
    result = paid.run("--ale-dry-run", *words)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert told(result) == ["a dry run: nothing is leased or started"]


def test_a_card_that_cannot_be_read_fails_a_dry_run(paid: Project) -> None:
    paid.task("broken", tier="nowhere")
    result = paid.run("tasks", "--ale-dry-run")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert told(result)[0] == f"{COUNTED}; at most 3.0 h of agents' work"


def test_a_module_that_cannot_be_imported_ends_a_dry_run_as_any_run(paid: Project) -> None:
    (paid.path / "tasks" / "test_other.py").write_text("import no_such_module\n")
    assert paid.run("tasks", "--ale-dry-run").ret == pytest.ExitCode.INTERRUPTED


def test_controls_are_no_attempts(paid: Project) -> None:
    assert said(paid, "--ale-controls")[0] == "the controls of 4 instances; no agent works"


def test_what_a_resume_skips_is_not_counted(paid: Project, model: str) -> None:
    words = ("tasks/legal", "--ale-agent=paid:gpt-5.1", model)
    paid.run(*words, "-k", "long", env=KEY)
    before = {path: path.stat().st_mtime_ns for path in (paid.path / ".ale").rglob("*")}
    result = paid.run(*words, "--ale-resume=last", "--ale-dry-run", env=KEY)
    assert told(result)[0].startswith("2 instances × 1 agent × 1 trial = 2 attempts; at most 1.0 h")
    assert result.ret == 0 and "records:" not in result.stdout.str()
    assert {path: path.stat().st_mtime_ns for path in (paid.path / ".ale").rglob("*")} == before


def test_tasks_outside_of_the_root_are_counted_too(paid: Project, tmp_path: Path) -> None:
    ini = tmp_path / "elsewhere" / "pytest.ini"
    ini.parent.mkdir()
    ini.write_text("[pytest]\n")
    given = ["--rootdir", str(ini.parent), "-c", str(ini), "-k", "long and one", "-n2"]
    result = paid.run("tasks", "--ale-agent=paid:gpt-5.1", *given, env=KEY)
    assert told(result)[0].startswith("1 instance × 1 agent × 1 trial = 1 attempt")


# Prices.


def test_a_script_that_asks_a_model_costs_money(paid: Project) -> None:
    (paid.path / "agent.sh").write_text("true\n")
    knobs = [f"--ale-knob=path={paid.path}/agent.sh", "--ale-knob=api=openai"]
    lines = said(paid, "--ale-agent=script:gpt-5.1", *knobs, "--ale-max-usd=1")
    assert lines[0].endswith(", $4.00") and lines[2].startswith("gpt-5.1: price from ")


def test_each_model_is_told_with_its_price(paid: Project) -> None:
    (paid.path / "own.yaml").write_text("local*: {input: 0, output: 0}\n")
    names = ("paid:gpt-5.1", "paid:gpt-5.9", "paid:local-7b", "paid", "past")
    agents = [f"--ale-agent={name}" for name in names]
    lines = said(paid, *agents, f"--ale-prices={paid.path}/own.yaml")
    assert lines[2].startswith("gpt-5.1: price from genai-prices ")
    assert lines[3:-1] == [
        "gpt-5.9: no price known: --ale-max-usd cannot be kept; --ale-prices names a file",
        f"local-7b: price from {paid.path}/own.yaml",
        "paid: names no model: whether its price is known is seen when it asks",
        "past: asks its model past the gateway: no limit but time is kept",
    ]


@pytest.mark.parametrize("limit", ["--ale-max-usd", "--ale-run-max-usd"])
def test_dollars_without_a_price_are_refused(paid: Project, limit: str) -> None:
    given = ["--ale-agent=paid:gpt-5.9", f"{limit}=3", "--ale-dry-run"]
    assert refusal(paid, *given) == (
        f"pytest-ale: agent paid:gpt-5.9: gpt-5.9: no price known: {limit} cannot be kept;"
        " --ale-prices names a file"
    )
    (paid.path / "own.yaml").write_text("gpt-5.9: {input: 1, output: 2}\n")
    configured(paid, *given, "--ale-prices=own.yaml")


def test_they_are_refused_before_any_worker_or_sandbox(paid: Project) -> None:
    result = paid.run("tasks", "--ale-agent=paid:gpt-5.9", "--ale-max-usd=3", "-n2", env=KEY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (result.outlines or (paid.path / ".ale").exists())


def test_a_wrong_file_of_prices_is_refused(project: Project) -> None:
    (project.path / "own.yaml").write_text("a: {input: 1}\n")
    line = refusal(project, "--ale-prices=own.yaml")
    path = os.fspath(project.path / "own.yaml")
    assert line.startswith(
        f"pytest-ale: --ale-prices={path}: line 1: a: output is missing; allowed"
    )
