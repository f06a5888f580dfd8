"""Grade: a score, the named checks it was made of, and messages; and what a `main.py` marks with.

Imported by task code inside the grader process; knows nothing of agents, providers or pytest items.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import Literal, ParamSpec, TypeVar, get_args

from pytest_ale.text import clean, one_line, shown

__all__ = ["BadGrade", "CheckResult", "Checks", "Grade", "cheat", "near_miss", "validated"]

P = ParamSpec("P")
R = TypeVar("R")
State = Literal["passed", "failed", "raised", "unreached"]

MESSAGE_LIMIT = 20_000  # characters of a check's
MESSAGES = 100  # of a Grade; the rest is dropped


class BadGrade(Exception):
    """The grader broke its contract: no score can be taken from it."""


class Severed(BaseException):
    """Grading cannot go on (its sandbox is lost); no check may swallow this."""


@dataclass(frozen=True)
class CheckResult:
    name: str
    state: State
    gate: bool = False
    weight: float = 1.0
    message: str = ""

    @property
    def passed(self) -> bool:
        return self.state == "passed"


@dataclass(frozen=True)
class Grade:
    """What `evaluate` may return where a card declares no checks."""

    score: float
    checks: tuple[CheckResult, ...] = ()
    messages: tuple[str, ...] = field(default=())


def near_miss(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function that spoils a copy of a good output as an honest mistake would."""
    return _marked("near miss", reason)


def cheat(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function that turns a copy of a good output into an attempt to fool the grader."""
    return _marked("cheat", reason)


def _marked(kind: str, reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    if not isinstance(reason, str) or not reason.strip():
        raise BadGrade(f"@{kind.replace(' ', '_')} needs a reason, a text; given {reason!r}")

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        function.__dict__["ale_control"] = f"{kind}: {reason}"
        return function

    return mark


class Checks:
    """The `check` of one evaluation: `with check("declared name"): assert ...`."""

    def __init__(self, declared: Mapping[str, tuple[bool, float]]) -> None:
        self._declared = declared
        self._results: dict[str, CheckResult] = {}
        self._asked: set[str] = set()
        self._begun: set[str] = set()

    def __call__(self, name: str) -> _Check:
        if not isinstance(name, str) or name not in self._declared:
            known = ", ".join(map(repr, self._declared)) or "none"
            raise BadGrade(f"check {name!r} is not declared in card.yaml; declared: {known}")
        self._once(name, self._asked)
        return _Check(self, name)

    def begin(self, name: str) -> None:
        self._once(name, self._begun)

    def _once(self, name: str, used: set[str]) -> None:
        if name in used:
            raise BadGrade(f"check {name!r} is used twice; allowed: once an evaluation")
        used.add(name)

    def settle(self, name: str, state: State, message: str = "") -> None:
        gate, weight = self._declared[name]
        text = clean(message, MESSAGE_LIMIT)
        self._results[name] = CheckResult(name, state, gate, weight, text)

    def results(self) -> tuple[CheckResult, ...]:
        """Every declared check in declared order; one that was not reached has failed."""
        return tuple(
            self._results.get(name)
            or CheckResult(name, "unreached", gate, weight, "evaluate() ended before this check")
            for name, (gate, weight) in self._declared.items()
        )


class _Check:
    """One milestone: what fails inside it is the deliverable's failure, and stays inside."""

    def __init__(self, checks: Checks, name: str) -> None:
        self._checks = checks
        self._name = name

    def __enter__(self) -> None:
        self._checks.begin(self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> bool:
        if error is None:
            self._checks.settle(self._name, "passed")
            return True
        if isinstance(error, AssertionError) or _is_pytest_fail(error):
            self._checks.settle(self._name, "failed", shown(error) or "assertion failed")
            return True
        if not isinstance(error, Exception) or isinstance(error, BadGrade):
            return False
        self._checks.settle(self._name, "raised", _raised_line(error))
        return True


def _is_pytest_fail(error: BaseException) -> bool:
    import pytest

    return isinstance(error, pytest.fail.Exception)


def _raised_line(error: Exception) -> str:
    """The error, and where in the task's own code: not in the library that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(Path(frames[0].filename).parent)]
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {shown(error)}{where}"


def validated(returned: object, checks: Checks) -> Grade:
    """Make a grade of what `evaluate` returned and the checks it went through, or BadGrade."""
    results = checks.results()
    if results and returned is not None:
        raise BadGrade(
            f"evaluate() returned {_shown(returned)}, but card.yaml declares checks: return nothing"
        )
    if results:
        return Grade(_weighed(results), results)
    if isinstance(returned, Grade):
        return _sound(returned)
    return Grade(_score(returned))


def _sound(grade: Grade) -> Grade:
    """Task code made it: nothing in it needs to be of the type it is declared with."""
    listed = isinstance(grade.checks, tuple | list), isinstance(grade.messages, tuple | list)
    if not listed[0] or not all(isinstance(check, CheckResult) for check in grade.checks):
        raise BadGrade(f"Grade.checks is {_shown(grade.checks)}; allowed: CheckResults in a tuple")
    if not listed[1]:
        raise BadGrade(f"Grade.messages is {_shown(grade.messages)}; allowed: texts in a tuple")
    for check in grade.checks:
        if check.state not in get_args(State):
            allowed = ", ".join(get_args(State))
            raise BadGrade(f"a check of Grade is {_shown(check.state)}; allowed: {allowed}")
    messages = tuple(clean(message) for message in grade.messages[:MESSAGES])
    return Grade(_score(grade.score), tuple(grade.checks), messages)


def _weighed(results: tuple[CheckResult, ...]) -> float:
    if any(result.gate and not result.passed for result in results):
        return 0.0
    total = math.fsum(result.weight for result in results)
    passed = [result.weight for result in results if result.passed]
    return 1.0 if len(passed) == len(results) else math.fsum(passed) / total


def _score(returned: object) -> float:
    if returned is None:
        raise BadGrade("evaluate() returned nothing and card.yaml declares no checks")
    number = isinstance(returned, Real) and not isinstance(returned, bool)
    if not (number and 0 <= returned <= 1):  # type: ignore[operator]  # False for NaN too
        raise BadGrade(f"evaluate() returned {_shown(returned)}; allowed: a number from 0 to 1")
    return abs(float(returned))  # type: ignore[arg-type]  # no score is -0.0


def _shown(value: object) -> str:
    return f"{one_line(shown(value, repr), 80)} ({type(value).__name__})"
