"""Verdict: whether what happened to a program is its own doing, or that of what stands around it.

Knows no program. It goes by what the gateway saw, which no agent can make up (peers.md 16, 18):
an agent that never asked its model, or was never offered its tools, was not examined; one whose
model's server failed it cannot be scored. None of these is a score of 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_ale.gateway import GatewayFault, ModelLost, Tally
from pytest_ale.harness import Ending, How
from pytest_ale.sandbox import HarnessFault
from pytest_ale.text import clean, one_line

if TYPE_CHECKING:
    from pytest_ale.harness import Work

__all__ = ["Stopped", "Watch", "ending_of", "judged", "with_waiting"]

SILENT_SECONDS = 120.0  # until the first request: the slowest of three CLIs takes 3 s
TOOLLESS_REQUESTS = 6  # and
TOOLLESS_SECONDS = 60.0  # after which a bridge that was never offered will not be
BUDGET_SECONDS = 30.0  # that a program has to end by itself once it is refused
SAID = 600  # characters of its last words in a message


class Stopped(Exception):
    """The program was ended by us; what follows from it is for `judged` to say."""


class Watch:
    """Called each second while a program works: writes down, and looks whether it may go on."""

    def __init__(self, name: str, work: Work, also: Iterable[Callable[[], None]]) -> None:
        self._name, self._work, self._also = name, work, tuple(also)
        self._began = time.monotonic()
        self._refused: float | None = None

    def __call__(self) -> None:
        for each in self._also:
            each()
        self._work.live()
        if self._work.tally is not None:
            self._look(self._work.tally())

    def _look(self, tally: Tally) -> None:
        now = time.monotonic()
        if tally.first_request is None and now - self._began > SILENT_SECONDS:
            raise Stopped
        enough = tally.usage.requests >= TOOLLESS_REQUESTS and now - self._began > TOOLLESS_SECONDS
        if enough and toolless(self._work, tally):
            raise Stopped
        if tally.stopped:
            self._refused = self._refused or now
            if now - self._refused > BUDGET_SECONDS:
                raise Stopped


def toolless(work: Work, tally: Tally) -> bool:
    return not set(work.tools) <= set(tally.tools)


def ending_of(name: str, work: Work, status: int | None, last_words: str) -> Ending:
    """How a program ended, by its own word; `status` is None for one that was stopped."""
    closing = work.closing
    work.last_words = last_words
    if status is None:
        said = f"{name} was still at work when its time was over"
        return Ending("timeout", said + with_waiting(work))
    if closing and (closing.refused or closing.failed):
        outcome: How = "refused" if closing.refused else "crashed"
        return Ending(outcome, clean(closing.failed, 2000))
    if status:
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        said = f": {one_line(last_words, SAID)}" if last_words else ""
        return Ending("crashed", f"{name} ended with {ended}{said}")
    return Ending()


def with_waiting(work: Work) -> str:
    """What a timeout's message adds where waiting for rate limits moved the deadline."""
    return f": {work.given}" if work.waited >= 0.5 else ""


def judged(name: str, work: Work, ending: Ending) -> Ending:
    """What an ending comes to, by what the gateway saw; a fault is raised."""
    if work.tally is None:
        return ending
    tally = work.tally()
    if tally.stopped:
        _had_a_chance(tally)
        return Ending("budget", f"the limit of {tally.stopped} was reached")
    _asked(name, work, ending, tally)
    _offered(name, work, tally)
    if ending.outcome != "done" and tally.failing:
        raise ModelLost(f"the model's server failed: {tally.failing}")
    if tally.refusing and ending.outcome in ("done", "crashed"):  # most programs do not tell
        return Ending("refused", ending.message or "the model would not do it")
    return ending


def _had_a_chance(tally: Tally) -> None:
    """Others may have used up the run's dollars before this one had a single answer."""
    if tally.stopped == "run_usd" and tally.usage.requests <= tally.usage.refused:
        raise GatewayFault("the run's dollars were used up before it began: --ale-run-max-usd")


def _asked(name: str, work: Work, ending: Ending, tally: Tally) -> None:
    """It must have had an answer from a model: else there is nothing to examine."""
    if tally.usage.requests > tally.usage.refused:
        return
    if tally.failing:
        raise GatewayFault(f"the model's server never answered: {tally.failing}")
    how = ending.message or "it ended as if all were done"
    last = f"; its last words: {one_line(work.last_words, SAID)}" if work.last_words else ""
    raise HarnessFault(f"{name} asked no model; {how}{last}")


def _offered(name: str, work: Work, tally: Tally) -> None:
    if toolless(work, tally):
        missing = sorted(set(work.tools) - set(tally.tools))
        raise HarnessFault(
            f"{name} never offered its model these tools of the bridge: {', '.join(missing)}"
        )
