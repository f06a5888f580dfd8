"""Every way an attempt can end, as terminal, exit status, JUnit and results.jsonl show it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

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
        found[name] = Told(case, records[name], re.split("(?m)^- generated|^={9}", block)[0])
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


# Broken tasks among sound ones: an error each, one line, and the others run.

FINE = "def evaluate(): return 1.0\n"
SOLVED = "def solve(): pass\n"
BROKEN: dict[str, tuple[str, str]] = {
    "no_evaluate": (
        SOLVED,
        "build, no score: build() of legal/no_evaluate: main.py has no function evaluate(); it is"
        " required",
    ),
    "no_solve": (
        FINE,
        "build, no score: legal/no_solve: main.py has no solve(); the oracle needs it",
    ),
    "asks": (
        FINE + "def solve(output): pass\n",
        "build, no score: build() of legal/asks: solve() asks for 'output', which it may not have;"
        " it may ask for sandbox, params",
    ),
    "build_hangs": (
        FINE + SOLVED + "def build():\n    while True: pass\n",
        "build, no score: build() of legal/build_hangs did not end within 3 s",
    ),
    "setup_raises": (
        FINE + SOLVED + "def setup(sandbox): sandbox.exec('exit 7', check=True)\n",
        "stage, no score: setup() of legal/setup_raises: raised ExecFailed: 'exit 7' ended with"
        " exit status 7 (main.py:3)",
    ),
    "nan": (
        "def evaluate(): return float('nan')\n" + SOLVED,
        "grade, no score: evaluate() of legal/nan: evaluate() returned nan (float); allowed: a"
        " number from 0 to 1",
    ),
    "loops": (
        "def evaluate(): print('so far'); sum(iter(int, 1))\n" + SOLVED,
        "grade, no score: evaluate() of legal/loops did not end within 2 s; its last output: so"
        " far",
    ),
    "exits": (
        "import os\ndef evaluate(): os._exit(0)\n" + SOLVED,
        "grade, no score: evaluate() of legal/exits: its process ended with exit status 0 before it"
        " answered",
    ),
}
PROMPTS = {
    "unknown": (
        "Put it into {outputs}.",
        "placeholder {outputs} does not exist; known: {inputs}, ",
    ),
    "no_param": (
        "Make {params.n} of {params.m}.",
        "placeholder {params.m} does not exist; known: ",
    ),
    "formatted": ("Put it into {output:>9}.", "placeholder {output:>9} does not exist; known: "),
    "no_name": ("Write {} to it.", "placeholder {} does not exist; known: "),
    "unbalanced": ('Write {"a": 1 to it.', "a literal brace is doubled: {{ }}"),
    "closed": ("Write a} to it.", "a literal brace is doubled: {{ }}"),
}


def test_broken_tasks_are_errors_of_a_line_and_the_others_run(project: Project) -> None:
    for name, (main, _) in BROKEN.items():
        project.task(name, main=main, checks={})
    for name, (prompt, _) in PROMPTS.items():
        variants = [{"id": "base", "params": {"n": 1}}]
        project.task(name, main=FINE + SOLVED, prompt=prompt, variants=variants, checks={})
    project.task("fine", main=FINE + SOLVED, checks={})
    limits = ["--ale-grade-timeout=2", "--ale-phase-timeout=3"]
    result = project.run("tasks", "--junitxml=r.xml", "-Werror", *limits)
    result.assert_outcomes(passed=1, errors=len(BROKEN) + len(PROMPTS))
    assert result.ret == 6
    found = told(project, result)
    for name, (_, line) in BROKEN.items():
        assert f"\ninfrastructure fault in phase {line}\n" in found[name].block
    for name, (_, line) in PROMPTS.items():
        folder = project.path / "tasks/legal" / name
        assert f"in phase stage, no score: {folder}/prompt.md: " in found[name].block
        assert line in found[name].block
    for name in BROKEN.keys() | PROMPTS.keys():
        assert (found[name].record["outcome"], found[name].record["score"]) == ("fault", None)
        assert found[name].junit == "Error"
        assert found[name].record["attempt"] == 1  # another attempt would not cure it
        assert len(lines_of(found[name])) == 1 or name == "setup_raises"
    assert lines_of(found["setup_raises"])[2].endswith(
        'legal/setup_raises/main.py", line 3, in setup'
    )


def lines_of(each: Told) -> list[str]:
    return each.block.strip().splitlines()


def test_a_solve_that_fails_is_graded_on_what_it_left(project: Project) -> None:
    endings = {
        "hangs": (
            "import time; time.sleep(60)",
            "timeout: solve() of legal/hangs did not end within",
        ),
        "hangs_inside": (
            "sandbox.exec('sleep 60')",
            "timeout: solve() of legal/hangs_inside did not",
        ),
        "raises": (
            "1 / 0",
            "crashed: solve() of legal/raises: raised ZeroDivisionError: division by",
        ),
        "exits": ("exit()", "crashed: solve() of legal/exits: called sys.exit(None) (main.py:4)"),
        "killed": (
            "import os; os.kill(os.getpid(), 9)",
            "crashed: solve() of legal/killed: its pro",
        ),
    }
    for name, (last, _) in endings.items():
        solve = f"def solve(sandbox):\n    sandbox.write(sandbox.output + '/a', '')\n    {last}\n"
        project.task(name, main=f"from sys import exit\n{solve}{HALVES}", checks=TWO)
    result = project.run("tasks", "--ale-timeout=1")
    result.assert_outcomes(failed=len(endings))
    assert [record["score"] for record in project.results] == [0.5] * len(endings)
    text = result.stdout.str()
    for _, line in endings.values():
        assert f"\nthe agent ended with {line}" in text


def test_a_prompt_is_filled_and_a_parameter_that_is_no_text_is_json(project: Project) -> None:
    agent = project.path / "agent.sh"
    agent.write_text('cp "$ALE_PROMPT_FILE" "$ALE_OUTPUT"\n')
    params = {"word": "ü {x}", "n": 1.5, "on": True, "none": None, "deep": {"a": [1, {"b": "ü"}]}}
    variants = [{"id": "base", "params": params}]
    prompt = (
        "{params.word} {params.n} {params.on} {params.none} {{{params.deep}}} {output} {inputs}"
    )
    project.task(main=FINE, prompt=prompt, variants=variants, checks={})
    project.run("--ale-agent=script", "--ale-knob", f"path={agent}", "--ale-prompt-suffix=a {b}")
    (record,) = project.results
    text = (project.runs[-1] / str(record["path"]) / "output/prompt.md").read_text()
    home = "/home/agent/task"
    filled = 'ü {x} 1.5 true null {{"a": [1, {"b": "ü"}]}}'
    assert text == f"{filled} {home}/output {home}/inputs\n\na {{b}}\n"


# A verifier.

VERIFIES = """
def evaluate(output, check, verifier):
    with check("fresh"):
        seen = verifier.exec("cd; find . /tmp; cat /proc/[0-9]*/cmdline | tr '\\\\0' ' '").stdout
        assert "/task/inputs" in seen
        assert "left-behind" not in seen
    with check("shared"):
        verifier.write("mine", "one")
        assert verifier.read("mine") == b"one"
"""


def test_a_verifier_is_fresh_and_released(project: Project) -> None:
    agent = project.path / "agent.sh"
    agent.write_text(
        "touch ~/left-behind /tmp/left-behind; setsid sh -c 'sleep 9; : left-behind' &"
    )
    project.task("verified", main=VERIFIES, checks={"fresh": {}, "shared": {}})
    project.task("plain", main=FINE, checks={})
    project.run("tasks", "--ale-agent=script", "--ale-knob", f"path={agent}").assert_outcomes(
        passed=2
    )
    lines = (project.runs[-1] / "ledger.jsonl").read_text().splitlines()
    states = [
        (entry["label"].partition("/")[2], entry["state"]) for entry in map(json.loads, lines)
    ]
    first = "base/script/trial-1/attempt-1"
    released = [label for label, state in states if state == "released"]
    leased = [label for label, state in states if state == "leased"]
    assert leased == [f"plain/{first}", f"verified/{first}", f"verified/{first} (verifier)"]
    assert len(released) == 3


# Controls.

SPOILT = """
from pytest_ale import cheat, near_miss

def solve(sandbox):
    sandbox.write(sandbox.output + "/a", "right")

def evaluate(output, check):
    with check("a"):
        assert (output / "a").stat().st_size

@near_miss("raises")
def raises(output): 1 / 0

@near_miss("changes nothing")
def changes_nothing(output): (output / "a").read_text()

@cheat("passes")
def passes(output): (output / "a").write_text("wrong")

@cheat("hangs")
def hangs():
    while True: pass

@cheat("links out")
def links(output):
    (output / "a").unlink()
    (output / "a").symlink_to("/etc/passwd")

@cheat("empties")
def empties(output): (output / "a").unlink()
"""


def test_a_control_that_shows_nothing_fails(project: Project) -> None:
    project.task("spoilt", main=SPOILT, checks={"a": {}})
    bare = "def evaluate(output): return float((output / 'a').exists() or 1)\ndef solve(): pass\n"
    project.task("bare", main=bare, checks={})
    result = project.run("tasks", "--ale-controls", "--ale-phase-timeout=2")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "failed: has a near miss or a cheat (weight 1)",
            "    main.py marks no function with @near_miss or @cheat",
            "failed: nop does not pass (weight 1)",
            "    an agent that does nothing passes",
            "raised: near miss: raises does not pass (weight 1)",
            "    near miss: raises() of legal/spoilt: raised ZeroDivisionError: *(main.py:12)",
            "failed: near miss: changes nothing does not pass (weight 1)",
            "    it changed nothing in the output",
            "failed: cheat: passes does not pass (weight 1)",
            "    it passes, with score 1",
            "raised: cheat: hangs does not pass (weight 1)",
            "    cheat: hangs() of legal/spoilt did not end within 2 s",
        ]
    )
    states = {c["name"]: c["state"] for c in project.results[-1]["checks"]}  # type: ignore[attr-defined]
    assert states["cheat: empties does not pass"] == "passed"
    assert states["cheat: links out does not pass"] == "passed"


# The exit status.


def test_the_exit_status_with_a_least_score(project: Project) -> None:
    half = HALVES + "def solve(sandbox): sandbox.write(sandbox.output + '/a', '')\n"
    project.task("half", main=half, checks=TWO)
    project.task("whole", main=FINE + SOLVED, checks={})
    faulty = project.task("faulty", main=FINE, checks={})
    broken = project.task("broken", card="title: [\n")
    project.pytester.makepyfile(test_other="def test_other(): assert 0")
    sound = ["tasks/legal/half", "tasks/legal/whole"]
    for least, others, status, said in (
        ("0.75", [], 0, "mean score 0.750, --ale-min-score=0.75"),
        ("0.76", [], 1, "mean score 0.750, --ale-min-score=0.76"),
        ("0", ["test_other.py"], 1, "mean score 0.750, --ale-min-score=0"),
        ("0", [str(broken)], 1, "mean score 0.750, --ale-min-score=0"),
        ("0", [str(faulty)], 6, "mean score 0.750, --ale-min-score=0"),
    ):
        result = project.run(*sound, *others, f"--ale-min-score={least}")
        assert result.ret == status, (least, others)
        result.stdout.fnmatch_lines([said])
