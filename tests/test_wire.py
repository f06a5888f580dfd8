"""Workers: the same results as without, and nothing that is sent can end the run."""

from __future__ import annotations

import collections
import datetime
import enum
import math
import types
from pathlib import Path

import execnet
import pytest
from junitparser import JUnitXml

from pytest_ale.session import own_properties
from pytest_ale.wire import DEEPEST, LONGEST, plain

from .conftest import Project


class Colour(enum.IntEnum):
    RED = 1


class Word(str): ...


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


Point = collections.namedtuple("Point", "x y")


def nested(depth: int) -> object:
    value: object = "bottom"
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: dict[str, tuple[object, object]] = {
    "none": (None, None),
    "truth": (True, True),
    "number": (10**30, 10**30),
    "bytes": (b"\xff", b"\xff"),
    "surrogate": ("a\udcffb", "a\\udcffb"),
    "word": (Word("w"), "w"),
    "path": (Path("/a/b"), "/a/b"),
    "enum": (Colour.RED, "1"),
    "date": (datetime.date(2024, 1, 2), "2024-01-02"),
    "namedtuple": (Point(1, "\udcff"), (1, "\\udcff")),
    "ordered": (collections.OrderedDict(a=Path("b")), {"a": "b"}),
    "proxy": (types.MappingProxyType({Word("k"): {1}}), {"k": "{1}"}),
    "bytearray": (bytearray(b"ab"), "bytearray(b'ab')"),
    "mute": (Mute(), "<Mute: RuntimeError when shown>"),
    "class": (Colour, "<enum 'Colour'>"),
    "list": ([1.5, [Path("x")], None], [1.5, ["x"], None]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_value_is_rebuilt_from_what_execnet_can_send(name: str) -> None:
    value, expected = HOSTILE[name]
    sent = plain(value)
    assert (sent, type(sent)) == (expected, type(expected))
    assert execnet.loads(execnet.dumps(sent)) == expected


def test_not_a_number_stays_what_it_is() -> None:
    assert math.isnan(execnet.loads(execnet.dumps(plain(math.nan))))


def test_depth_and_length_are_bounded() -> None:
    text = plain("x" * 10_000_000)
    assert isinstance(text, str) and len(text) < LONGEST + 100
    assert "characters cut" in text
    deep = plain(nested(100_000))
    assert "[nested too deeply]" in str(deep)
    assert plain(nested(DEEPEST - 1)) == nested(DEEPEST - 1)
    endless: list[object] = []
    endless.append(endless)
    execnet.dumps(plain(endless))


@pytest.mark.parametrize(
    "entry", [(1, 2), ("ale.score",), "ale.score", None, (Path("ale.x"), 1), ("ale.score", 1, 2)]
)
def test_user_properties_of_other_tests_may_be_anything(entry: object) -> None:
    assert own_properties([entry, ("ale.score", 0.5), ("other", 1)]) == {"ale.score": 0.5}


# The whole run.

CONFTEST = """
import collections, datetime, enum, sys
from pathlib import Path
import pytest
from pytest_ale.harness import Ending, Harness
from pytest_ale.sandbox import HarnessFault

class Colour(enum.Enum):
    RED = "\\udcff"

class Mute:
    def __repr__(self):
        raise RuntimeError("no words")

Point = collections.namedtuple("Point", "x y")
HUGE = "\\udcff" + 10_000_000 * "x"

SHOUT = r'''
head -c 3000000 /dev/urandom
printf "\\377\\000\\033[2J\\n]]>" >&2
: > "$ALE_OUTPUT/$(printf 'a\\377')"
'''

class Shouter(Harness):
    name = "shouter"

    def run(self, work):
        result = work.sandbox.exec(["sh", "-c", SHOUT], env=work.env, timeout=30)
        if work.task == "legal/crash":
            return Ending("crashed", result.stderr + HUGE)
        if work.task == "legal/fault":
            raise HarnessFault(HUGE)
        if work.task == "legal/bug":
            raise ValueError(Mute(), HUGE)
        return Ending()

def pytest_ale_harnesses(register):
    register("shouter", Shouter)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    values = [Path("a"), Colour.RED, datetime.datetime.now(), Point(1, Path("b")), {1}, HUGE]
    report.user_properties += [(f"hostile-{n}", value) for n, value in enumerate(values)]
    report.sections += [("agent \\udcff", HUGE), ("path", str(Path("x")))]
    report.extra = {"deep": [Colour.RED, {Path("k"): Mute}]}
    return report
"""

SHOUTED = """
def evaluate(output, check):
    with check("is there"):
        assert [path.name for path in output.iterdir()] == ["\\udcff" + 10_000_000 * "y"]
    with check("is right"):
        raise ValueError("\\udcff\\x00\\x1b[31m" + 10_000_000 * "z")
"""

OWN = """
import warnings

def test_raises():
    raise ValueError("\\udcff" + 10_000_000 * "w")

def test_properties(request):
    request.node.user_properties.append((1, 2))
    request.node.user_properties.append(("ale.score", "much"))

def test_prints():
    print("\\udcff\\x00\\x1b[2J")
"""


@pytest.fixture
def hostile(project: Project) -> Project:
    for name in ("shout", "crash", "fault", "bug"):
        project.task(name, main=SHOUTED)
    project.pytester.makeconftest(CONFTEST)
    project.pytester.makepyfile(test_own=OWN)
    return project


@pytest.mark.parametrize("workers", [["-n0"], ["-n2"]])
def test_hostile_values_do_not_end_the_run(hostile: Project, workers: list[str]) -> None:
    words = ["tasks", "test_own.py", "--ale-agent=shouter", "--ale-retries=0", "--ale-unsafe-local"]
    words += ["--junitxml=r.xml", *workers]
    result = hostile.run(*words, env={"PYTHONIOENCODING": "utf-8:backslashreplace"})
    result.assert_outcomes(failed=3, errors=2, passed=2)
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert result.ret == 6
    outcomes = {r["task"]: (r["outcome"], r["score"]) for r in hostile.results}
    assert outcomes == {
        "legal/shout": ("scored", 0.0),
        "legal/crash": ("crashed", 0.0),
        "legal/fault": ("fault", None),
        "legal/bug": ("fault", None),
    }
    assert "\x1b" not in result.stdout.str() and "\x00" not in result.stdout.str()
    suite = next(iter(JUnitXml.fromfile(str(hostile.path / "r.xml"))))
    assert (suite.tests, suite.failures, suite.errors) == (7, 3, 2)


def test_workers_show_scores_as_they_come_and_one_summary(project: Project) -> None:
    project.task("copy", variants=[{"id": "a"}, {"id": "b"}])
    wrong = "def solve(sandbox): pass\n\ndef evaluate(output): return 0\n"
    project.task("wrong", main=wrong, checks=None)
    result = project.run("tasks", "-n2", "-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "[[]gw?[]] [[]*%[]] PASSED 1.000 tasks/legal/copy/main.py::copy[[]a-oracle[]]*",
            "[[]gw?[]] [[]*%[]] FAILED 0.000 tasks/legal/wrong/main.py::wrong[[]base-oracle[]]*",
        ]
    )
    assert sum(" pytest-ale " in line for line in result.outlines) == 1
    assert len(project.runs) == 1 and len(project.results) == 3


DIES = """
import os, signal
import pytest

@pytest.fixture
def ale_prompt(ale_prompt, request):
    if "dies" in request.node.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return ale_prompt
"""


def test_a_worker_that_dies_is_an_infrastructure_fault_that_stays_in_sight(
    project: Project,
) -> None:
    for name in ("a", "dies", "z"):
        project.task(name)
    project.pytester.makeconftest(DIES)
    result = project.run("tasks", "-n2")
    result.assert_outcomes(passed=2, errors=1)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        ["all *3 *2 *1.000 *2 (67%) *1 *", "exit status 6: 1 without a score*"]
    )
    project.pytester.makeconftest("")
    again = project.run("tasks", "-n2", "--ale-resume=last")
    again.assert_outcomes(passed=1)
    assert again.ret == 0
