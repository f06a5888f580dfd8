"""A run in which everything fails is stopped, and one in which something does not goes on."""

from __future__ import annotations

import pytest

from pytest_ale.report.breaker import Breaker

from .conftest import MAIN, Project

BROKEN = MAIN.replace(
    "def build(inputs, reference, rng):", "def build(inputs, reference, rng):\n    1 / 0"
)
FAULT = {"ale.outcome": "fault"}
SCORED = {"ale.outcome": "scored", "ale.score": 0.0}


def test_faults_are_counted_in_a_row() -> None:
    breaker = Breaker(3)
    said = [breaker.told(name, FAULT, f"no {name}") for name in ("a", "a", "b", "b", "c", "d")]
    assert said == [False] * 4 + [True, False]
    assert breaker.why == "3 infrastructure faults in a row, the last: no c"


def test_a_score_begins_the_row_anew_and_makes_patient() -> None:
    breaker = Breaker(2)
    breaker.told("a", FAULT, "")
    breaker.told("b", SCORED, "")
    said = [breaker.told(str(number), FAULT, "") for number in range(4)]
    assert said == [False, False, False, True]


def test_0_is_for_never() -> None:
    breaker = Breaker(0)
    assert not any(breaker.told(str(number), FAULT, "") for number in range(100))


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_run_in_which_everything_fails_is_stopped(project: Project, workers: str) -> None:
    for number in range(12):
        project.task(f"task{number:02}", main=BROKEN)
    result = project.run(workers, "--ale-max-faults=3")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*pytest-ale: 3 infrastructure faults in a row, the last: *"])
    result.stdout.fnmatch_lines(
        ["*--ale-max-faults=0 goes on; --ale-resume=last does what is left*"]
    )
    assert 3 <= len(project.results) <= 3 + 4  # what was at work, and what xdist had handed out
    assert project.run(workers, "--ale-max-faults=0").ret == 6
    assert len(project.results) == 12
