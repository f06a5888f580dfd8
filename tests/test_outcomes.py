"""Every way an attempt can end, as terminal, exit status, JUnit and results.jsonl show it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from junitparser import JUnitXml, Properties, TestCase

from .conftest import Project

# An agent whose prompt says what it does: it runs it, and ends as its exit status tells.
ACTOR = """
from pytest_ale.harness import Ending, Harness
from pytest_ale.sandbox import HarnessFault

class Actor(Harness):
    name = "actor"

    def run(self, work):
        word = ["sh", "-c", '. "$ALE_PROMPT_FILE"']
        limit = None if work.task == "legal/stubborn" else work.left
        match work.sandbox.exec(word, env=work.env, timeout=limit).returncode:
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
        return {str(p.name): str(p.value) for p in self.case.child(Properties) or ()}

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


def test_every_row_of_the_outcome_table(project: Project) -> None:
    project.pytester.makeconftest(ACTOR)
    rows: dict[str, tuple[str, dict[str, object]]] = {
        "passed": (BOTH, {}),
        "enough": (ONE, {"pass_at": 0.5}),
        "failed": (ONE, {}),
        "late": (f"{ONE}; sleep 60", {"timeout_s": 1}),
        "stubborn": (f"{BOTH}; sleep 60", {"timeout_s": 1}),
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
    found = told(project, result)
    assert {n: (t.record["outcome"], t.record["score"], t.junit) for n, t in found.items()} == {
        "passed": ("scored", 1.0, ""),
        "enough": ("scored", 0.5, ""),
        "failed": ("scored", 0.5, "Failure"),
        "late": ("timeout", 0.5, "Failure"),
        "stubborn": ("timeout", 1.0, ""),
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
    for each in found.values():
        check_properties(each)
    said = {name: each.block for name, each in found.items()}
    for name, line in {
        "failed": "failed: b (weight 1)\n    there is no b",
        "late": "the agent ended with timeout: ExecTimeout: 'sh -c ",
        "spent": "the agent ended with budget: 3 $ are spent",
        "refused": "the agent ended with refused: I would rather not",
        "crashed": "the agent ended with crashed: ExecFailed: 'exit 1' ended with exit status 1",
        "not_launched": "infrastructure fault in phase run, no score: the program is not there\n",
        "no_ending": "agent actor: run() returned 'done'; allowed: Ending('done' | 'timeout' | ",
        "buggy": "no score: KeyError: 'a bug'\nTraceback",  # a bug is somebody's to mend
    }.items():
        assert line in said[name]
    assert "Traceback" not in "".join(said[name] for name in said if name != "buggy")
    result.stdout.fnmatch_lines(
        [
            "*enough[[]base-actor[]] PASSED 0.500*",
            "*failed[[]base-actor[]] FAILED 0.500*",
            "all *12 *8 *0.500 *3 (25%) *3 * s *-",
            "  4 without a score: 3 infrastructure faults, 1 not runnable here",
            "  1 ended with budget",
            "  1 ended with crashed",
            "  1 ended with refused",
            "  2 ended with timeout",
            "exit status 6: 3 without a score after infrastructure faults",
            "SKIPPED *not runnable on provider local: local provider has no desktop",
        ]
    )
    fits_a_terminal(result)


def check_properties(each: Told) -> None:
    record, properties = each.record, each.properties
    for name in ("outcome", "task", "variant", "agent", "tier", "cluster", "digest"):
        assert properties[f"ale.{name}"] == record[name]
    score = properties.get("ale.score")
    assert score == (None if record["score"] is None else str(record["score"]))
    assert properties["ale.attempts"] == properties["ale.trial"] == "1"
    assert properties["ale.run_dir"].endswith(f"/{record['path']}")
    checks = {name[10:]: value for name, value in properties.items() if "ale.check." in name}
    assert checks == {check["name"]: check["state"] for check in record["checks"]}  # type: ignore[attr-defined]


def fits_a_terminal(result: pytest.RunResult) -> None:
    """What is ours: from the summary's rule on."""
    begin = next(n for n, line in enumerate(result.outlines) if " pytest-ale " in line)
    end = next(n for n, line in enumerate(result.outlines) if line.startswith("records:"))
    wide = [line for line in result.outlines[begin:end] if len(line) > 80]
    assert wide == []
    assert "\x1b" not in result.stdout.str()


# Deliverables.

OBEYS = '#!/bin/sh\ncd "$ALE_OUTPUT" && . "$ALE_PROMPT_FILE"\n'
LOOKS = """
import os, stat
from pytest_ale import Grade

def evaluate(output):
    seen = []
    for top, folders, files in os.walk(output):
        for name in folders + files:
            about = os.lstat(os.path.join(top, name))
            seen.append(f"{os.path.relpath(os.path.join(top, name), output)} {oct(about.st_mode)}")
    return Grade(1.0, messages=sorted(seen)[:10] + [str(len(seen))])
"""
FILE, FOLDER = "0o100444", "0o40555"

# Root reads everything; anybody else is told what they may not.
LOCKED: tuple[list[str], str] = ([f"a {FILE}", f"b {FOLDER}", f"b/c {FILE}", "3"], "")
if os.geteuid():
    LOCKED = ([f"b {FOLDER}", "1"], "/output/a' was refused: Permission denied")

# What the agent does in output/, what the grader then sees, what the record says was refused.
DELIVERABLES: dict[str, tuple[str, list[str], str]] = {
    "missing": ("", ["0"], ""),
    "empty": (": > a", [f"a {FILE}", "1"], ""),
    "link_to_file": ("ln -s /etc/passwd a", ["0"], "/output/a' was refused: it is a symbolic link"),
    "link_to_folder": ("ln -s /etc a", ["0"], "/output/a' was refused: it is a symbolic link"),
    "output_a_link": (
        "cd ..; rm -r output; ln -s /etc output",
        ["0"],
        "/output' was refused: it is a symbolic link",
    ),
    "task_a_link": ("cd ~; rm -r task; ln -s / task", ["0"], "'task' in it is a symbolic link"),
    "output_gone": ("cd ..; rm -r output", ["0"], "/output' was refused: No such file"),
    "output_a_file": ("cd ..; rm -r output; echo x > output", ["0"], "/output' was refused: it is"),
    "output_a_fifo": ("cd ..; rm -r output; mkfifo output", ["0"], "/output' was refused: it is a"),
    "fifo": ("mkfifo a; : > b", [f"b {FILE}", "1"], "/output/a' was refused: it is a FIFO"),
    "sparse": ("truncate -s 2G a", ["0"], "it has 2147483648 bytes, 1073741824 are allowed"),
    "newline": (": > 'a\nb'", [f"a\nb {FILE}", "1"], ""),
    "quotes": (': > "\'\\"\\$(x)"', [f"'\"$(x) {FILE}", "1"], ""),
    "escape": (": > $(printf '\\033[31mred')", [f"\x1b[31mred {FILE}", "1"], ""),
    "not_utf8": (": > $(printf 'a\\377')", ["0"], "/output/a\\udcff' was refused: its name is not"),
    "many": ("seq 25000 | xargs touch", ["19999"], "there are more than 20000 entries"),
    "deep": ("mkdir -p $(printf 'd/%.0s' $(seq 99))", ["64"], "it lies deeper than 64 folders"),
    "setuid": (": > a; chmod 6755 a; mkdir b; chmod 1777 b", [f"a {FILE}", f"b {FOLDER}", "2"], ""),
    "locked": (": > a; mkdir b; : > b/c; chmod 0 a b", *LOCKED),
    "hard_links": (": > a; ln a b; ln a ../c", [f"a {FILE}", f"b {FILE}", "2"], ""),
}


def test_whatever_is_delivered_is_collected_safely_and_graded(project: Project) -> None:
    agent = project.path / "agent.sh"
    agent.write_text(OBEYS)
    for name, (prompt, _, _) in DELIVERABLES.items():
        project.task(name, main=LOOKS, prompt=prompt.replace("{", "{{"), checks={})
    words = ["--ale-agent=script", "--ale-knob", f"path={agent}", "--junitxml=r.xml", "-Werror"]
    result = project.run("tasks", *words)
    result.assert_outcomes(passed=len(DELIVERABLES))
    assert result.ret == 0
    for name, each in told(project, result).items():
        _, seen, refused = DELIVERABLES[name]
        messages, said = list(each.record["messages"]), list(each.record["refused"])  # type: ignore[call-overload]
        assert messages[-len(seen) :] == seen, name
        assert (refused in said[0]) if refused else not said, name
        assert len(said) <= 100
        check_properties(each)
    assert "\x1b" not in result.stdout.str()


def test_what_was_refused_is_told_where_it_cost_the_score(project: Project) -> None:
    agent = project.path / "agent.sh"
    agent.write_text(OBEYS)
    project.task("link", main=HALVES, checks=TWO, prompt="ln -s /etc/passwd a; touch b; exit 3")
    words = ["--ale-agent=script", "--ale-knob", f"path={agent}"]
    result = project.run("tasks", *words)
    result.stdout.fnmatch_lines(
        [
            "score 0.5, passes at 1",
            "the agent ended with crashed: the script ended with exit status 3",
            "failed: a (weight 1)",
            "not taken out: '/home/agent/task/output/a' was refused: it is a symbolic link.",
        ]
    )
