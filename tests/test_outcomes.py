"""Every way an attempt can end, as terminal, exit status, JUnit and results.jsonl show it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase

from .conftest import Project

# An agent whose prompt says what it does: it runs it, and ends as its exit status tells.
ACTOR = """
from pytest_ale.harness import Ending, Harness
from pytest_ale.sandbox import HarnessFault

class Actor(Harness):
    name = "actor"

    def run(self, work):
        word = ["sh", "-c", '. "$ALE_PROMPT_FILE"']
        match work.sandbox.exec(word, env=work.env).returncode:
            case 41: return Ending("budget", "3 $ are spent")
            case 42: return Ending("refused", "I would rather not")
            case 43: raise HarnessFault("the program is not there")
            case 44: raise KeyError("a bug")
            case 45: work.sandbox.exec("exit 1", check=True)
            case 46: return "done"
        return Ending()

def pytest_ale_harnesses(register):
    register("actor", Actor)
"""

# Half of the score for a file a, half for b.
HALVES = """
def evaluate(output, check):
    for name in "ab":
        with check(name):
            assert (output / name).is_file(), f"there is no {name}"
"""
TWO = {"a": {}, "b": {}}

BOTH = "touch {output}/a {output}/b"
ONE = "touch {output}/a"


@dataclass
class Told:
    """What is said of one task, in each place."""

    case: TestCase
    record: dict[str, object]
    block: str  # of the terminal, below its heading

    @property
    def properties(self) -> dict[str, str]:
        return {p.name: p.value for p in self.case.properties()}

    @property
    def junit(self) -> str:
        return ", ".join(type(result).__name__ for result in self.case.result)


def told(project: Project, result: pytest.RunResult) -> dict[str, Told]:
    """By task, what JUnit, results.jsonl and the terminal say."""
    blocks = re.split(r"(?m)^_{2,} (?:ERROR at setup of )?(\S+) _{2,}$", result.stdout.str())
    shown = dict(zip(blocks[1::2], blocks[2::2], strict=False))
    records = {str(r["task"]).partition("/")[2]: r for r in project.results}
    found = {}
    for case in next(iter(JUnitXml.fromfile(str(project.path / "r.xml")))):
        name = str(case.name).partition("[")[0]
        block = next((text for key, text in shown.items() if f"/{name}[" in key), "")
        found[name] = Told(case, records[name], block)
    return found


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outcomes")


def test_every_row_of_the_outcome_table(project: Project) -> None:
    project.pytester.makeconftest(ACTOR)
    rows: dict[str, tuple[str, dict[str, object]]] = {
        "passed": (BOTH, {}),
        "enough": (ONE, {"pass_at": 0.5}),
        "failed": (ONE, {}),
        "late": (f"{ONE}; sleep 60", {"timeout_s": 1}),
        "late_and_right": (f"{BOTH}; sleep 60", {"timeout_s": 1}),
        "spent": (f"{ONE}; exit 41", {}),
        "refused": ("exit 42", {}),
        "crashed": ("exit 45", {}),
        "not_launched": ("exit 43", {}),
        "buggy": ("exit 44", {}),
        "no_ending": ("exit 46", {}),
        "desktop": (BOTH, {"environment": {"desktop": True}}),
    }
    for name, (prompt, changes) in rows.items():
        project.task(name, main=HALVES, prompt=prompt, checks=TWO, **changes)
    result = project.run(
        "tasks", "--ale-agent=actor", "--ale-retries=0", "--junitxml=r.xml", "-Werror", "-v", "-rs"
    )
    told_of = told(project, result)
    assert {name: (t.record["outcome"], t.record["score"], t.junit) for name, t in told_of.items()} == {
        "passed": ("scored", 1.0, ""),
        "enough": ("scored", 0.5, ""),
        "failed": ("scored", 0.5, "Failure"),
        "late": ("timeout", 0.5, "Failure"),
        "late_and_right": ("timeout", 1.0, ""),
        "spent": ("budget", 0.5, "Failure"),
        "refused": ("refused", 0.0, "Failure"),
        "crashed": ("crashed", 0.0, "Failure"),
        "not_launched": ("fault", None, "Error"),
        "buggy": ("fault", None, "Error"),
        "no_ending": ("fault", None, "Error"),
        "desktop": ("unrunnable", None, "Skipped"),
    }
    result.assert_outcomes(passed=3, failed=5, errors=3, skipped=1)
    assert result.ret == 6
    for name, each in told_of.items():
        check_properties(each)
        assert each.properties["ale.run_dir"].endswith(f"legal/{name}/base/actor/trial-1/attempt-1")
    assert "ale.score" not in told_of["buggy"].properties

    said = {name: each.block for name, each in told_of.items()}
    assert "the agent ended with timeout: " in said["late"]
    assert "did not end within 1 s" in said["late"]
    assert "the agent ended with budget: 3 $ are spent" in said["spent"]
    assert "the agent ended with refused: I would rather not" in said["refused"]
    assert "the agent ended with crashed: ExecFailed: 'exit 1' ended with" in said["crashed"]
    assert "infrastructure fault in phase run, no score: the program is not there\n" in said["not_launched"]
    assert "no score: KeyError: 'a bug'\n" in said["buggy"]
    assert "Traceback" in said["buggy"]  # a bug is somebody's to mend
    assert "in phase run, no score: agent actor's run() returned 'done' (str)" in said["no_ending"]
    assert "failed: b (weight 1)\n    there is no b" in said["failed"]
    assert "Traceback" not in "".join(said[name] for name in said if name != "buggy")
    result.stdout.fnmatch_lines(
        [
            "*enough[[]base-actor[]] PASSED 0.500*",
            "*failed[[]base-actor[]] FAILED 0.500*",
            "SKIPPED *not runnable on provider local: local provider has no desktop",
            "all                     12       8  0.563        3 (25%)       3 *",
            "  4 without a score: 3 infrastructure faults, 1 not runnable here",
            "  1 ended with budget",
            "  1 ended with crashed",
            "  1 ended with refused",
            "  2 ended with timeout",
            "exit status 6: 3 without a score after infrastructure faults; *",
        ]
    )
    fits_a_terminal(result)


def check_properties(each: Told) -> None:
    record, properties = each.record, each.properties
    for name in ("outcome", "task", "variant", "agent", "tier", "cluster", "digest"):
        assert properties[f"ale.{name}"] == record[name]
    assert properties.get("ale.score") == (record["score"] and str(record["score"]) or properties.get("ale.score"))
    assert properties["ale.attempts"] == properties["ale.trial"] == "1"
    assert [name for name in properties if name.startswith("ale.check.")] == [
        f"ale.check.{check['name']}" for check in record["checks"]  # type: ignore[attr-defined]
    ]


def fits_a_terminal(result: pytest.RunResult) -> None:
    """What is ours: from the summary's rule on."""
    begin = next(n for n, line in enumerate(result.outlines) if " pytest-ale " in line)
    end = next(n for n, line in enumerate(result.outlines) if line.startswith("records:"))
    wide = [line for line in result.outlines[begin:end] if len(line) > 80]
    assert wide == []
    assert "\x1b" not in result.stdout.str()
