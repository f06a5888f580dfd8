"""Onlookers: what is done for those who watch a run: a line in its directory, which `ale status`
reads, and the view on this terminal.

Lives where reports are made; imported when the first task is about to be run.
"""

from __future__ import annotations

import pytest

from pytest_ale.now import session_begins, session_ends
from pytest_ale.report.live import begin
from pytest_ale.session import COLLECTED, DONE, RUN, SETTINGS
from pytest_ale.wire import workers

__all__ = ["Onlookers"]


class Onlookers:
    """From a session's first task to its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._run = config.stash[RUN]
        self._noted = False
        self._live = begin(config, self._run, self.note)

    def note(self) -> bool:
        """Say in the run's directory that it is at work, once an attempt has made it."""
        if not self._noted and self._run.is_dir():
            done = self._config.stash[DONE] or ()
            slots = max(workers(self._config), self._config.stash[SETTINGS].concurrency)
            self._noted = session_begins(
                self._run,
                items=self._config.stash.get(COLLECTED, 0),
                done=len(done),
                slots=slots,
                argv=self._config.invocation_params.args,
            )
        return self._noted

    def close(self) -> None:
        """Leave the terminal to the summary."""
        if self._live:
            self._live.close()
        if self._noted:
            session_ends(self._run)
