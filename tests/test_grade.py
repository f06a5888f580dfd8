"""Checks and scores: what becomes of what a grader says, without any process."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Real

import pytest

from pytest_ale import cheat, near_miss
from pytest_ale.grade import BadGrade, CheckResult, Checks, Grade, Severed, validated

TWO = {"gate": (True, 1.0), "rest": (False, 3.0)}


class NumpyLike(float):
    def __repr__(self) -> str:
        return f"np.float64({float(self)})"


@Real.register
class Single:
    """As numpy.float32: a Real by registration only."""

    def __le__(self, other: float) -> bool:
        return other >= 0.25

    def __ge__(self, other: float) -> bool:
        return other <= 0.25

    def __float__(self) -> float:
        return 0.25

    def __eq__(self, other: object) -> bool:
        return other == 0.25

    __hash__ = None  # type: ignore[assignment]


def graded(
    evaluate: Callable[[Checks], object], declared: dict[str, tuple[bool, float]] | None = None
) -> Grade:
    checks = Checks(TWO if declared is None else declared)
    return validated(evaluate(checks), checks)


def states(grade: Grade) -> dict[str, str]:
    return {check.name: check.state for check in grade.checks}


# The bare score.


@pytest.mark.parametrize(
    "score", [0, 1, 0.25, 1.0, Fraction(1, 4), NumpyLike(0.25), Single(), -0.0]
)
def test_a_number_from_0_to_1_is_a_score(score: Real) -> None:
    grade = validated(score, Checks({}))
    assert type(grade.score) is float
    assert grade.score == score
    assert math.copysign(1, grade.score) == 1


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (math.nan, "nan (float)"),
        (math.inf, "inf (float)"),
        (2.0, "2.0 (float)"),
        (-1, "-1 (int)"),
        (1 + 1e-9, "1.000000001 (float)"),
        (10**400, "(int)"),
        (True, "True (bool)"),
        ("0.5", "'0.5' (str)"),
        (Decimal("0.5"), "Decimal('0.5') (Decimal)"),
        (1j, "1j (complex)"),
        ([0.5], "[0.5] (list)"),
        ("\udcff" * 1000, "(str)"),
    ],
)
def test_anything_else_is_refused_with_the_value(returned: object, shown: str) -> None:
    with pytest.raises(BadGrade) as caught:
        validated(returned, Checks({}))
    message = str(caught.value)
    assert shown in message
    assert message.endswith("allowed: a number from 0 to 1")
    assert message.isprintable()
    assert len(message) < 250


def test_nothing_returned_needs_checks() -> None:
    with pytest.raises(BadGrade, match="returned nothing and card"):
        validated(None, Checks({}))


@pytest.mark.parametrize("returned", [0.5, Grade(1.0), False, 0])
def test_with_checks_nothing_may_be_returned(returned: object) -> None:
    with pytest.raises(BadGrade, match="declares checks: return nothing"):
        validated(returned, Checks(TWO))


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_cannot_be_shown_is_refused_all_the_same() -> None:
    with pytest.raises(BadGrade, match=r"\(Unshowable\); allowed"):
        validated(Unshowable(), Checks({}))


# A Grade of the task's own.


def test_a_grade_carries_its_checks_and_messages() -> None:
    made = Grade(0.5, (CheckResult("a", "failed", message="x"),), ("it is half right",))
    assert validated(made, Checks({})) == made


def test_messages_are_bounded() -> None:
    grade = validated(Grade(0.5, messages=("x" * 1_000_000,) * 1000), Checks({}))
    assert len(grade.messages) == 100
    assert sum(map(len, grade.messages)) < 11_000_000


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (Grade(1.5), "1.5"),
        (Grade(True), "True"),
        (Grade(0.5, messages="half"), "messages"),  # type: ignore[arg-type]
        (Grade(0.5, messages=3), "messages"),  # type: ignore[arg-type]
        (Grade(0.5, checks=("a",)), "checks"),  # type: ignore[arg-type]
        (Grade(0.5, checks={"a": True}), "checks"),  # type: ignore[arg-type]
        (Grade(0.5, checks=(CheckResult("a", "good"),)), "good"),  # type: ignore[arg-type]
    ],
)
def test_a_grade_that_is_none_is_refused(made: Grade, why: str) -> None:
    with pytest.raises(BadGrade, match=why):
        validated(made, Checks({}))


# Checks.


def test_the_score_is_the_passed_share_of_all_declared_weight() -> None:
    def evaluate(check: Checks) -> None:
        with check("a"):
            pass
        with check("b"):
            raise AssertionError

    grade = graded(evaluate, {"a": (False, 1), "b": (False, 2), "c": (False, 1)})
    assert grade.score == 0.25
    assert states(grade) == {"a": "passed", "b": "failed", "c": "unreached"}


def test_all_passed_is_exactly_1() -> None:
    def evaluate(check: Checks) -> None:
        for name in "abc":
            with check(name):
                pass

    assert graded(evaluate, dict.fromkeys("abc", (False, 0.1))).score == 1.0


def test_a_weight_of_0_costs_nothing_unless_it_is_a_gate() -> None:
    def evaluate(check: Checks) -> None:
        with check("b"):
            pass

    assert graded(evaluate, {"a": (False, 0), "b": (False, 1)}).score == 1.0
    assert graded(evaluate, {"a": (True, 0), "b": (False, 1)}).score == 0.0


@pytest.mark.parametrize("reached", [True, False])
def test_a_failed_or_unreached_gate_makes_the_whole_0(reached: bool) -> None:
    def evaluate(check: Checks) -> None:
        with check("rest"):
            pass
        if reached:
            with check("gate"):
                raise AssertionError("no")

    grade = graded(evaluate)
    assert grade.score == 0.0
    assert states(grade)["rest"] == "passed"


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (AssertionError("left != right"), "failed", "left != right"),
        (AssertionError(), "failed", "assertion failed"),
        (ValueError("no JSON"), "raised", "ValueError: no JSON (test_grade.py:"),
        (RecursionError("too deep"), "raised", "RecursionError: too deep"),
        (MemoryError(), "raised", "MemoryError"),
        (StopIteration(), "raised", "StopIteration"),
        (ExceptionGroup("two", [ValueError("a")]), "raised", "ExceptionGroup: two"),
        (pytest.fail.Exception("told so"), "failed", "told so"),
    ],
)
def test_what_fails_inside_a_check_stays_inside(
    error: BaseException, state: str, said: str
) -> None:
    def evaluate(check: Checks) -> None:
        with check("rest"):
            raise error
        with check("gate"):
            pass

    grade = graded(evaluate)
    (rest,) = (check for check in grade.checks if check.name == "rest")
    assert (rest.state, grade.score) == (state, 0.25)
    assert said in rest.message


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_error_that_cannot_be_shown_is_told_by_its_name() -> None:
    def evaluate(check: Checks) -> None:
        with check("rest"):
            raise Hostile

    assert graded(evaluate).checks[1].message.startswith("Hostile")


@pytest.mark.parametrize(
    "error", [SystemExit(0), KeyboardInterrupt(), pytest.skip.Exception("later"), Severed()]
)
def test_what_would_end_the_process_is_not_swallowed(error: BaseException) -> None:
    def evaluate(check: Checks) -> None:
        with check("rest"):
            raise error

    with pytest.raises(type(error)):
        graded(evaluate)


def test_an_undeclared_check_names_the_declared_ones() -> None:
    with pytest.raises(BadGrade, match=r"'gat' is not declared in card\.yaml; .*'gate', 'rest'"):
        graded(lambda check: check("gat"))
    with pytest.raises(BadGrade, match="declared: none"):
        graded(lambda check: check("gate"), {})


@pytest.mark.parametrize("name", [None, 3, ["gate"], {"gate"}])
def test_a_check_is_named_by_a_text(name: str) -> None:
    with pytest.raises(BadGrade, match="is not declared"):
        graded(lambda check: check(name))


def test_a_check_is_used_once() -> None:
    def twice(check: Checks) -> None:
        for _ in range(2):
            with check("gate"):
                pass

    def inside_itself(check: Checks) -> None:
        with check("gate"), check("gate"):
            pass

    def entered_twice(check: Checks) -> None:
        gate = check("gate")
        for right in (False, True):
            with gate:
                assert right

    for evaluate in (twice, inside_itself, entered_twice):
        with pytest.raises(BadGrade, match="check 'gate' is used twice"):
            graded(evaluate)


def test_checks_nest_and_each_counts_for_itself() -> None:
    def evaluate(check: Checks) -> None:
        with check("gate"), check("rest"):
            raise AssertionError("inner")

    assert states(graded(evaluate)) == {"gate": "passed", "rest": "failed"}


def test_an_undeclared_check_inside_a_check_is_still_a_fault() -> None:
    def evaluate(check: Checks) -> None:
        with check("gate"):
            check("nope")

    with pytest.raises(BadGrade, match="'nope' is not declared"):
        graded(evaluate)


def test_a_check_that_is_never_entered_is_unreached() -> None:
    grade = graded(lambda check: [check("gate"), None][1])
    assert states(grade) == {"gate": "unreached", "rest": "unreached"}


def test_a_message_is_bounded_and_plain() -> None:
    def evaluate(check: Checks) -> None:
        with check("rest"):
            raise AssertionError("\udcff" + "x" * 10_000_000)

    message = graded(evaluate).checks[1].message
    assert len(message) < 30_000
    message.encode()


# Near misses and cheats.


def test_a_control_needs_a_reason() -> None:
    for mark in (near_miss, cheat):
        for reason in ("", "  ", None, lambda output: None):
            with pytest.raises(BadGrade, match="needs a reason, a text; given"):
                mark(reason)  # type: ignore[arg-type]


def test_a_control_is_still_the_function() -> None:
    @near_miss("halved")
    def halved(output: int) -> int:
        return output // 2

    assert halved(4) == 2
