"""Live: the view of a run while it is at work: a block on a terminal, plain lines elsewhere.

Lives in the controller, or in the only process there is, and reads files only (look.py), so that
`ale status` sees the same. Whatever fails in it switches it off; the run goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from pytest_ale import progress
from pytest_ale.registry import harness_named
from pytest_ale.report.board import Board, news, totals
from pytest_ale.report.look import Look
from pytest_ale.report.screen import Screen
from pytest_ale.session import AGENTS, SETTINGS
from pytest_ale.text import one_line
from pytest_ale.wire import runs_workers

if TYPE_CHECKING:
    from pytest_ale.harness import Agent

__all__ = ["Live", "begin"]

View = Literal["block", "plain", "off"]

EVERY = 1.0  # seconds between two looks
REDRAWN = 5.0  # seconds after which the block is drawn anew though nothing changed: other processes
# may have written over it
SILENT = {
    "block": 0.5,
    "plain": 10.0,
}  # seconds: a short run needs no view, unless one is asked for
TOTALS = 60.0  # seconds between two lines of totals
LINES = 2  # the part of a terminal's lines that the block takes at most: one of so many


class Live:
    """Looks at the run now and then, from a thread of its own, and shows what it sees."""

    def __init__(
        self, run: Path, terminal: object, view: View, silent: float, first: Callable[[], object]
    ) -> None:
        self._look, self._board = Look(run), Board()
        self._view, self._silent, self._first = view, silent, first
        self._writer = terminal._tw  # type: ignore[attr-defined]  # pytest's: all goes through it
        self._bold = bool(self._writer.hasmarkup)
        self._screen = Screen(self._writer._file)
        self._writer._file = self._screen
        self._undo = progress.show(self._screen.say) if view == "block" else _nothing
        self._end = threading.Event()
        self._drawn: tuple[list[str], float] = [], 0.0
        self._told = 0.0
        self._thread = threading.Thread(target=self._work, name="ale-live", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._wait()
            step = self._draw if self._view == "block" else self._tell
            while not self._end.is_set():
                step()
                self._end.wait(EVERY)
        except Exception as error:  # a view is not worth a night's run
            said = one_line(f"{type(error).__name__}: {error}")
            with suppress(Exception):
                self._screen.show(())
                self._screen.say(f"ale: the live view is off: {said}")
            self._restore()

    def _wait(self) -> None:
        """Say nothing for a while, nor later what was news then."""
        until = time.monotonic() + self._silent
        while not self._first() or time.monotonic() < until:
            if self._end.wait(0.1):
                return
        if self._silent:
            self._look.refresh(0)
            self._look.news.clear()

    def _draw(self) -> None:
        columns, lines = self._screen.size
        most = max(lines // LINES, 3)
        rows = self._board.lines(self._look.refresh(most), columns - 1, most)
        if self._bold:
            rows = [f"\x1b[1m{rows[0]}\x1b[0m", *rows[1:]]
        before, when = self._drawn
        if rows != before or time.monotonic() - when > REDRAWN:
            self._drawn = rows, time.monotonic()
            self._screen.show(rows)

    def _tell(self) -> None:
        snapshot = self._look.refresh(0)
        while self._look.news:
            self._say(news(self._look.news.popleft()))
        if time.monotonic() - self._told > TOTALS and snapshot.at_work:
            self._told = time.monotonic()
            self._say(", ".join(totals(snapshot)))

    def _say(self, line: str) -> None:
        self._screen.say(f"ale: {datetime.now():%H:%M:%S} {line}")

    def close(self) -> None:
        """Leave the terminal as if there had been no view."""
        if self._end.is_set():
            return
        self._end.set()
        self._thread.join(5)  # it may be reading; a disk that hangs is not waited for
        with suppress(Exception):
            if self._view == "plain" and not self._silent:
                self._tell()  # what ended last
        self._restore()

    def _restore(self) -> None:
        with suppress(Exception), self._screen.lock:
            if self._writer._file is self._screen:
                self._writer._file = self._screen.file
                self._undo()
            self._screen.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_enter_pdb(self) -> None:
        """Who debugs wants the terminal alone."""
        self.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self) -> None:
        self.close()


def _nothing() -> None:
    pass


def begin(config: pytest.Config, run: Path, first: Callable[[], object]) -> Live | None:
    """The view of a run that begins, if there is to be one; `first` is called until it is true."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    settings = config.stash[SETTINGS]
    if terminal is None or (view := _view(config, terminal)) == "off":
        return None
    silent = SILENT[view] if settings.live == "auto" else 0.0
    try:
        live = Live(run, terminal, view, silent, first)
    except AttributeError as error:  # another pytest than those we know
        progress.tell(f"ale: no live view: {error}")
        return None
    config.pluginmanager.register(live, "ale-live")
    config.add_cleanup(live.close)
    return live


def _view(config: pytest.Config, terminal: pytest.TerminalReporter) -> View:
    """What is to be shown; where nothing is asked for, what does no harm."""
    asked = config.stash[SETTINGS].live
    agents = config.stash.get(AGENTS, [])
    if asked != "auto":
        return "plain" if asked == "plain" else "off"
    if config.option.verbose < 0 or config.getoption("usepdb", False):
        return "off"
    if any(agent.harness == "human" for agent in agents):  # who has the terminal
        return "off"
    if _can_draw(terminal, os.environ) and (runs_workers(config) or _captures(config)):
        return "block"
    many = runs_workers(config) or config.stash[SETTINGS].concurrency > 1
    return "plain" if many or any(map(_costs, agents)) else "off"


def _can_draw(terminal: pytest.TerminalReporter, environ: Mapping[str, str]) -> bool:
    """Only under pytest's own reporter: others draw themselves."""
    ci = any(environ.get(name) for name in ("CI", "BUILD_NUMBER"))  # as pytest knows one
    own = type(terminal) is pytest.TerminalReporter
    return own and bool(terminal.isatty) and environ.get("TERM", "dumb") != "dumb" and not ci


def _captures(config: pytest.Config) -> bool:
    """Does what tests print stay away from the terminal?"""
    return config.getoption("capture", "no") in ("fd", "sys")


def _costs(agent: Agent) -> bool:
    harness = harness_named(agent.harness)
    return bool(harness.model_api(agent) or harness.keys)
