"""The numbers of a run, and how the summary shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count, product

import pytest

from pytest_ale.report.tally import Row, interval, line, lines, student, trials, unscored
from pytest_ale.report.terminal import HEAD, summary, verdict
from pytest_ale.taxonomy import CLUSTERS, TIERS

from .conftest import Project

# Two-sided 95 % and 99 % points of Student's t, from the tables.
TABLE = {
    (0.975, 1): 12.7062,
    (0.975, 2): 4.3027,
    (0.975, 3): 3.1824,
    (0.975, 4): 2.7764,
    (0.975, 5): 2.5706,
    (0.975, 7): 2.3646,
    (0.975, 10): 2.2281,
    (0.975, 30): 2.0423,
    (0.975, 120): 1.9799,
    (0.975, 1000): 1.9623,
    (0.995, 2): 9.9248,
    (0.995, 5): 4.0321,
    (0.995, 10): 3.1693,
    (0.95, 3): 2.3534,
}


@pytest.mark.parametrize(("p", "freedom"), TABLE)
def test_student_is_that_of_the_tables(p: float, freedom: int) -> None:
    assert student(p, freedom) == pytest.approx(TABLE[p, freedom], rel=0.002)
    assert student(1 - p, freedom) == pytest.approx(-TABLE[p, freedom], rel=0.002)


def test_the_interval_of_a_mean() -> None:
    low, high = interval([0.2, 0.4, 0.6, 0.8])
    # mean 0.5, standard deviation 0.2582, so 0.5 -+ 3.1824 * 0.2582 / 2
    assert [low, high] == pytest.approx([0.0892, 0.9108], abs=1e-3)
    assert interval([0.0, 1.0]) == (0.0, 1.0)  # a score cannot lie outside
    assert interval([0.7]) == (0.0, 1.0)  # one value says nothing of its spread
    assert interval([]) == (0.0, 1.0)


numbers = count()


def rows(*scores: float | None, task: str = "", agent: str = "a", **more: str) -> list[Row]:
    """One instance's trials: a score each, None for an infrastructure fault."""
    task = task or f"legal/task{next(numbers)}"
    return [
        Row(
            task=task,
            variant="base",
            agent=agent,
            trial=number,
            tier=more.get("tier", "near_term"),
            cluster=more.get("cluster", "legal"),
            outcome=more.get("outcome", "fault") if score is None else "scored",
            score=score,
            passed=score is not None and score >= 1,
            seconds=2.0,
        )
        for number, score in enumerate(scores, 1)
    ]


def test_trials_are_averaged_by_instance_first() -> None:
    told = trials([*rows(1.0, 1.0, 1.0), *rows(0.0, 0.5, 1.0), *rows(0.0, 0.0, 0.0)])
    assert told is not None
    assert told.k == 3
    assert [told.pass_at_1, told.pass_at_k] == pytest.approx([4 / 9, 2 / 3])
    assert told.mean == pytest.approx(0.5)
    assert (told.low, told.high) == (0.0, 1.0)  # three instances: 4.3027 * 0.5 / sqrt(3) = 1.24


def test_more_trials_of_one_instance_narrow_nothing() -> None:
    few = trials([*rows(0.0, 1.0), *rows(1.0, 0.0), *rows(0.5, 0.5), *rows(0.6, 0.6)])
    many = trials(
        [*rows(*[0.0, 1.0] * 9), *rows(*[0.5] * 18), *rows(*[0.5] * 18), *rows(*[0.6] * 18)]
    )
    assert few is not None and many is not None
    assert [few.low, few.high] == pytest.approx([many.low, many.high])


def test_an_unscored_trial_is_no_success_and_no_score() -> None:
    told = trials([*rows(1.0, None), *rows(None, None), *rows(1.0, 1.0)])
    assert told is not None
    assert told.k == 2
    assert told.pass_at_1 == pytest.approx((0.5 + 0 + 1) / 3)  # over all trials
    assert told.pass_at_k == pytest.approx(2 / 3)
    assert told.mean == 1.0  # over scored instances


def test_one_trial_has_no_such_numbers() -> None:
    assert trials(rows(1.0)) is None
    assert trials([]) is None
    assert trials(rows(None, None)) is None


def test_a_mean_is_over_scored_a_pass_rate_over_all() -> None:
    group = line([*rows(1.0), *rows(0.5), *rows(None), *rows(None, outcome="unrunnable")])
    assert (group.instances, group.scored, group.mean) == (4, 2, 0.75)
    assert (group.passes, group.pass_rate) == (1, 0.25)
    assert (group.faults, group.skipped) == (1, 1)
    assert group.cost_usd is None
    nothing = line([])
    assert (nothing.mean, nothing.pass_rate, nothing.seconds) == (None, 0.0, 0.0)


def test_what_a_fault_left_is_unscored_what_cannot_be_hosted_is_not() -> None:
    left = [*rows(None), *rows(None, outcome="cancelled"), *rows(None, outcome="unrunnable")]
    assert [row.outcome for row in unscored([*left, *rows(0.0)])] == ["fault", "cancelled"]


def test_lines_come_in_the_order_of_the_taxonomy() -> None:
    given = [*rows(1.0, cluster="legal"), *rows(0.0, cluster="engineering")]
    assert list(lines(given, "cluster", CLUSTERS)) == ["engineering", "legal"]


def everything() -> Iterator[Row]:
    """A run as large as the table must bear: all tiers and clusters, long times, faults."""
    for tier, cluster in product(TIERS, CLUSTERS):
        for score in (1.0, 0.5, None):
            (row,) = rows(score, tier=tier, cluster=cluster, agent="a" * 100)
            yield row


def test_the_table_fits_eighty_columns() -> None:
    text = summary(list(everything()))
    assert [text for text in text if len(text) > 80] == []
    assert text[0] == "a" * 80 and text[1] == HEAD
    assert " ".join(text[2].split()) == "all 126 84 0.750 42 (33%) 42 4m12s -"
    assert text[-1] == "  42 without a score: 42 infrastructure faults, 0 not runnable here"
    assert [row.split()[0] for row in text[3:-1]] == [*TIERS, *CLUSTERS]


def test_each_agent_has_a_table_and_trials_a_line() -> None:
    told = [*rows(1.0, 0.0, agent="first"), *rows(1.0, 1.0, agent="first")]
    text = summary([*told, *rows(0.25, agent="second")])
    assert "  2 trials: pass@1 0.750, pass@2 1.000, mean 0.750 [0.000, 1.000] (95 %)" in text
    assert text.index("second") > text.index("first")
    whole = text[text.index("second") + 2]
    assert " ".join(whole.split()) == "all 1 1 0.250 0 (0%) 0 2.0 s -"


def test_why_the_exit_status_is_not_pytest_s() -> None:
    assert verdict(rows(1.0), None, 6) == []
    assert verdict(rows(0.5), 0.75, 6) == ["mean score 0.500, --ale-min-score=0.75"]
    assert verdict(rows(None), 0.75, 6)[-1] == "mean score none, --ale-min-score=0.75"
    assert verdict(rows(None), None, 6)[0].startswith("exit status 6: 1 without a score after ")


# As a user sees it.


def test_trials_are_told_as_the_records_have_them(project: Project) -> None:
    flaky = """
    def solve(sandbox):
        sandbox.write(sandbox.output + "/number", str(len(sandbox.output)))

    def evaluate(output, task):
        import os
        seen = output.parents[1].name  # trial-N
        return {"trial-1": 1.0, "trial-2": 0.5, "trial-3": 0.0}[seen]
    """
    project.task("varied", main=flaky, checks=None)
    project.task("certain", cluster="engineering", subfield="electronics")
    result = project.run("tasks", "--ale-trials=3", "-n2")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            "oracle",
            HEAD,
            "all                      6       6  0.750      4 (67%)       0*",
            "  near_term              6       6  0.750      4 (67%)       0*",
            "  engineering            3       3  1.000     3 (100%)       0*",
            "  legal                  3       3  0.500      1 (33%)       0*",
            "  3 trials: pass@1 0.667, pass@3 1.000, mean 0.750 [[]0.000, 1.000[]] (95 %)",
        ],
        consecutive=True,
    )
    assert "\x1b" not in result.stdout.str()
    coloured = project.run("tasks", "--color=yes", "-k", "certain")
    plain = re.sub("\x1b\\[[0-9;]*m", "", coloured.stdout.str())
    assert "all                      1       1  1.000" in plain


def test_results_are_rebuilt_from_what_each_attempt_wrote(project: Project) -> None:
    """results.jsonl lost its end, as a killed run's may: a resume still knows all."""
    for name in ("one", "two", "three"):
        project.task(name)
    project.run("tasks").assert_outcomes(passed=3)
    path = project.runs[-1] / "results.jsonl"
    whole = path.read_text().splitlines()
    path.write_text(whole[0] + "\n" + whole[1][:100])
    result = project.run("tasks", "--ale-resume=last")
    result.assert_outcomes(deselected=3)
    result.stdout.fnmatch_lines(["all                      3       3  1.000     3 (100%)*"])
    assert json.loads(path.read_text().splitlines()[0]) == json.loads(whole[0])
