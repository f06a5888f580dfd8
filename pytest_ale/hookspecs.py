"""The hooks of pytest-ale; ours are registered through them too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_ale.record import Record

__all__ = ["pytest_ale_attempt_recorded", "pytest_ale_harnesses", "pytest_ale_providers"]


@pytest.hookspec
def pytest_ale_providers(register: Callable[[str, object], None]) -> None:
    """Register sandbox providers: `register("name", target)`.

    The target is a callable that takes the Settings and returns a `pytest_ale.sandbox.Provider`,
    or `"module:attribute"`, imported when the provider is first used. Called once in every
    process, at start-up: import no SDK here. Must not raise.

    Use in conftest plugins: only in the conftest.py of the root directory.
    """


@pytest.hookspec
def pytest_ale_harnesses(register: Callable[[str, object], None]) -> None:
    """Register agent programs: `register("name", target)`.

    The target is a subclass of `pytest_ale.harness.Harness`, or `"module:attribute"`, imported
    when the agent is first used. Called once in every process, at start-up. Must not raise.

    Use in conftest plugins: only in the conftest.py of the root directory.
    """


@pytest.hookspec
def pytest_ale_attempt_recorded(record: Record) -> None:
    """Called when an attempt is over and its record is on disk, before its sandbox is released.

    Called in the process that ran the attempt (an xdist worker), once an attempt, also for those
    that ended in an infrastructure fault or could not be hosted. What it raises is reported as a
    warning and changes nothing.

    Use in conftest plugins: any conftest.py; it is called for items below its folder.
    """
