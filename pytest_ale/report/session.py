"""Reporting of a session: what its reports said, the summary, and the exit status.

Lives in the controller, or in the only process there is; imports the rest when there is a task.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from pytest_ale.decided import hold_run
from pytest_ale.session import (
    AGENTS,
    CARDS,
    COLLECTED,
    RUN,
    SETTINGS,
    heed_sigterm,
    own_properties,
)
from pytest_ale.wire import stop

if TYPE_CHECKING:
    from pytest_ale.record import Record, RunDir
    from pytest_ale.report.breaker import Breaker
    from pytest_ale.report.onlookers import Onlookers
    from pytest_ale.report.tally import Row

__all__ = ["UNSCORED", "Reporting"]

UNSCORED = 6  # exit status: infrastructure faults left instances without a score


class Reporting:
    """Hooks that listen to reports and speak at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seen: dict[str, dict[str, object]] = {}
        self._session: pytest.Session | None = None
        self._onlookers: Onlookers | None = None
        self._breaker: Breaker | None = None
        self._others_failed = 0  # tests that are no tasks, and cards that cannot be read
        self._reaped: list[str] = []
        self._records: list[Record] | None = None  # all of the run, once it is over

    def knows(self, nodeid: str) -> bool:
        """Was it told how this item ended?"""
        return nodeid in self._seen

    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        if location[0].endswith("main.py"):  # a task, most likely; xdist's controller has no items
            heed_sigterm(self._config)
            self._let_others_look()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """In one process attempts may be at work long before the first item is reported."""
        only_looks = session.config.option.collectonly or session.config.stash[SETTINGS].dry_run
        if CARDS in session.config.stash and not (only_looks or session.testsfailed):
            from pytest_ale.collect import TaskItem

            mine = sum(isinstance(item, TaskItem) for item in session.items)
            self._config.stash[COLLECTED] = mine
            if mine:
                self._let_others_look()

    def _let_others_look(self) -> None:
        if self._onlookers is None:
            from pytest_ale.report.onlookers import Onlookers

            self._onlookers = Onlookers(self._config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._onlookers:
            self._onlookers.note()
        mine = own_properties(report.user_properties)
        if "ale.outcome" in mine:
            hold_run(self._config)
            self._seen[report.nodeid] = mine
            self._heed(report, mine)
        if report.failed and (not mine or report.when == "teardown"):
            self._others_failed += 1

    def _heed(self, report: pytest.TestReport, mine: dict[str, object]) -> None:
        """Stop a run in which everything fails."""
        if self._breaker is None:
            from pytest_ale.report.breaker import Breaker

            self._breaker = Breaker(self._config.stash[SETTINGS].max_faults)
        said = report.longreprtext if report.failed else ""
        if self._breaker.told(report.nodeid, mine, said) and self._session:
            hint = "--ale-max-faults=0 goes on; --ale-resume=last does what is left"
            stop(self._session, f"pytest-ale: {self._breaker.why} ({hint})")

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._others_failed += report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the run, and give infrastructure faults and --ale-min-score their exit status."""
        if self._onlookers:
            self._onlookers.close()
        if not self._speaks:
            return
        self._reaped = self._reap()
        if self._seen:
            self._records = self._run_dir().close()
            self._note_durations()
        own = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if self._breaker and self._breaker.why:
            session.exitstatus = UNSCORED
        elif exitstatus in own | ({pytest.ExitCode.NO_TESTS_COLLECTED} if self._resumes else set()):
            session.exitstatus = self._status(exitstatus)

    @property
    def _resumes(self) -> bool:
        """Is this session the rest of a run? Then it speaks for the whole of it."""
        return self._config.stash[SETTINGS].resume is not None

    @property
    def _cut_short(self) -> bool:
        """By -x or --maxfail: then it is as wished that attempts were cancelled."""
        return bool(self._session and self._session.shouldfail)

    @property
    def _speaks(self) -> bool:
        only_looks = self._config.option.collectonly or self._config.stash[SETTINGS].dry_run
        return bool(self._seen) or (self._resumes and not only_looks)

    def _status(self, exitstatus: int) -> int:
        from pytest_ale.report.tally import line, unscored

        least = self._config.stash[SETTINGS].min_score
        rows = self._rows
        if any(row.outcome == "fault" or not self._cut_short for row in unscored(rows)):
            return UNSCORED
        if least is None and self._resumes:
            lost = any(row.score is not None and not row.passed for row in rows)
            failed = lost or exitstatus == pytest.ExitCode.TESTS_FAILED
            return pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK
        if least is None:
            return exitstatus
        mean = line(rows).mean
        enough = mean is not None and mean >= least and not self._others_failed
        return pytest.ExitCode.OK if enough else pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._speaks:
            return
        from pytest_ale.report.terminal import kept_and_left, summary, verdict

        rows, run_dir = self._rows, self._run_dir()
        terminalreporter.section("pytest-ale", sep="=", bold=True)
        said = summary(rows) + verdict(rows, self._config.stash[SETTINGS].min_score, UNSCORED)
        for text in said + kept_and_left(run_dir):
            terminalreporter.write_line(text)
        for text in self._reaped:
            terminalreporter.write_line(f"left by a process that died: {text}")
        terminalreporter.write_line(f"records: {run_dir.path}")

    def _reap(self) -> list[str]:
        """Release what workers left that died, and, where nothing was left to be run and so
        nobody has done it, earlier runs."""
        from pytest_ale import scratch
        from pytest_ale.leases import ledgers, reap
        from pytest_ale.registry import fill, provider_named

        settings = self._config.stash[SETTINGS]
        if AGENTS not in self._config.stash:  # nobody has asked the plugins yet
            fill(self._config.hook)
        with suppress(OSError):  # a disk's fault must not end a run that is over
            scratch.sweep()
            left = ledgers(settings.runs_dir)
            done = reap(left, lambda name: provider_named(name, settings), dead=True)
            return [each.line for each in done]
        return []

    def _note_durations(self) -> None:
        """What attempts took, those of an earlier session of the run too: it may have been killed
        before it could note them."""
        from pytest_ale.durations import note

        latest = {record.key: record for record in self._records or ()}
        note(self._config.stash[SETTINGS].runs_dir, latest.values())

    @cached_property
    def _rows(self) -> list[Row]:
        """Asked for when all is over."""
        from pytest_ale.report.tally import all_rows

        reported = [list(properties.items()) for properties in self._seen.values()]
        records = self._run_dir().records() if self._records is None else self._records
        return all_rows(records, reported)

    def _run_dir(self) -> RunDir:
        from pytest_ale.record import RunDir

        return RunDir(self._config.stash[RUN])
