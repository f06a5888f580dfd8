"""Ahead: attempts at many items at once in one process; pytest runs an item once its attempt is
over, so that nothing about phases, fixtures or reports changes.

Knows nothing of what an attempt does. An item is planned first, as pytest sets up a test: what its
fixtures and marks say holds before anything is leased. One that cannot be (it asks for the sandbox
itself, is skipped, is no task) is run when its turn comes, while the attempts of others go on.
"""

from __future__ import annotations

import gc
import queue
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from inspect import isgeneratorfunction
from itertools import zip_longest

import pytest

from pytest_ale.bench import Bench
from pytest_ale.collect import TaskItem
from pytest_ale.fixtures import __all__ as FIXTURES
from pytest_ale.fixtures import own_plan
from pytest_ale.lanes import ahead_of
from pytest_ale.progress import tell
from pytest_ale.runner import Job, Runner
from pytest_ale.sandbox import Fault
from pytest_ale.session import JOB, SETTINGS

__all__ = ["run_ahead", "seconds_of"]

END_SECONDS = 600.0  # for all sandboxes to be given back when the run is ended early


def run_ahead(session: pytest.Session, agents: int) -> None:
    """Run a session's items, with attempts for so many agents at once."""
    show = Show(session)
    flight = Flight(agents + ahead_of(agents))
    planner = Planner(session, show.ground, flight)
    alone: list[pytest.Item] = []
    with rarely_collected():
        try:
            for item in session.items:
                if job := planner.job(item):
                    flight.add(item, job)
                else:
                    alone.append(item)
                show.all(flight.over())
            planner.tell()
            _run_alone(alone, show, flight)
            while show.left:
                show.item(flight.next_over())
        except KeyboardInterrupt:  # with -x pytest has ended the session's fixtures by now
            flight.cancel()
            show.rest(flight.over())
            raise
        finally:
            flight.cancel()


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Leave what pytest has collected out of Python's garbage collection, and do that more rarely:
    with 500 threads it took an eighth of all time.

    What there is at the end is left out, too, until another such run of this process: pytest and
    the interpreter look through all of it seven times as they end, 3 s of 1,490 attempts.
    """
    before = gc.get_threshold()
    gc.unfreeze()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.freeze()


def _run_alone(items: list[pytest.Item], show: Show, flight: Flight) -> None:
    """In their order: between two of one file nobody else comes, so its fixtures stay."""
    for item, after in zip_longest(items, items[1:]):
        together = after is not None and after.parent is item.parent
        show.item(item, after if together else None)
        if not together:
            show.all(flight.over())


def seconds_of(item: pytest.Item, phase: str) -> float:
    """What an item's attempt took, of a phase of pytest's, before the item was run."""
    job = item.stash.get(JOB, None)
    return job.seconds.get(phase, 0.0) if job else 0.0


class Show:
    """Lets pytest run items in the order in which they come."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self.left = len(session.items)
        # What pytest is told comes next: with it only the session's own fixtures stay (a guessed
        # item would have to come).
        self.ground: Ground = Ground.from_parent(session, name="ground")

    def item(self, item: pytest.Item, after: pytest.Item | None = None) -> None:
        self._run(item, after)
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)

    def all(self, items: Iterator[pytest.Item]) -> None:
        for item in items:
            self.item(item)

    def rest(self, items: Iterator[pytest.Item]) -> None:
        """Those that have a score: it is recorded, and so it is told."""
        self._session._setupstate.teardown_exact(self.ground)  # an item may have been cut short
        for item in items:
            job = item.stash[JOB]
            if job and not job.cancelled:
                self._run(item, None)

    def _run(self, item: pytest.Item, after: pytest.Item | None) -> None:
        self.left -= 1
        following = after or (self.ground if self.left else None)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


class Ground(pytest.Item):
    """An item that lies right under the session, and is never run."""

    def runtest(self) -> None:
        raise NotImplementedError


def doubled(item: TaskItem) -> TaskItem:
    """An item's double, which is set up to learn what its attempt is to be.

    A copy: whatever a project has put on its items, fixtures find it on the double, too.
    """
    double = copy(item)
    double.planned = True
    double.own_markers, double.user_properties = [*item.own_markers], [*item.user_properties]
    double._report_sections, double.stash = [], pytest.Stash()
    double.stash._storage.update(item.stash._storage)  # what fixtures put there is not its item's
    asked = [name for name in item.fixturenames if name != "ale_run"]
    double.fixturenames = [*asked, "ale_attempts", "ale_bench"]
    double._initrequest()  # fixtures of its own
    return double


class Planner:
    """Finds out what the attempt at an item is to be."""

    def __init__(self, session: pytest.Session, ground: pytest.Item, flight: Flight) -> None:
        self._ground, self._flight = ground, flight
        self._hooked = _has_foreign_setup(session.config)
        self._first = True  # the first is warned of what session fixtures say once
        self._has_a_hand = _conftests_hand(session.config)
        self._overridden: dict[int, bool] = {}
        self._lasting: Counter[str] = Counter()
        self._settings = session.config.stash[SETTINGS]
        self.bench: Bench | None = None  # of items in which nobody but us has a say

    def job(self, item: pytest.Item) -> Job | None:
        """The attempts of an item, to be made now; None for one that is to be run in its turn."""
        if not isinstance(item, TaskItem) or "ale_run" not in item.fixturenames:
            return None
        if "ale_sandbox" in item.fixturenames or len(_definitions(item, "ale_run")) > 1:
            return None  # something wants the sandbox before, or while, the agent is at work
        if lasting := self._has_a_hand or _lasting(item):
            self._lasting[lasting] += 1
            return None
        runner = self._made(item) if self.bench and self._is_plain(item) else self._set_up(item)
        return None if runner is None or runner.refused else Job(runner)

    def tell(self) -> None:
        """Say what keeps items from being run ahead."""
        for name, count in self._lasting.items():
            tell(f"ale: {count} items are run one at a time, in spite of --ale-concurrency: {name}")

    def _made(self, item: TaskItem) -> Runner | None:
        assert self.bench is not None
        try:
            plan = own_plan(item, self._settings)
        except Fault:  # it will be told when the item itself is set up
            return None
        return self.bench.runner(plan, self._settings.retries)

    def _is_plain(self, item: TaskItem) -> bool:
        """Has nothing a say in it but us? Then setting it up would tell nothing new."""
        told = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail"))
        return not (told or self._hooked or self._has_own_fixtures(item))

    def _has_own_fixtures(self, item: TaskItem) -> bool:
        """Overrides are asked for once of all items that share what pytest knows of fixtures."""
        theirs = id(getattr(item, "_fixtureinfo", item))
        if theirs not in self._overridden:
            changed = any(len(_definitions(item, name)) > 1 for name in FIXTURES)
            self._overridden[theirs] = changed
        return self._overridden[theirs] or not OURS.issuperset(item.fixturenames)

    def _set_up(self, item: TaskItem) -> Runner | None:
        """None if that fails or skips: it will be told when the item itself is set up."""
        double = doubled(item)
        try:
            with warnings_of(item) if self._first else nullcontext():
                self._first = False
                try:
                    double.ihook.pytest_runtest_setup(item=double)
                    runner, bench = double.funcargs["ale_attempts"], double.funcargs["ale_bench"]
                finally:
                    double.ihook.pytest_runtest_teardown(item=double, nextitem=self._ground)
        except (Exception, SystemExit, *OUTCOMES):
            return None
        assert isinstance(runner, Runner)
        assert isinstance(bench, Bench)
        self._flight.end_with(bench)
        if self.bench is None and self._is_plain(item):
            self.bench = bench
        return runner


def _lasting(item: TaskItem) -> str:
    """A fixture of somebody else's that is to last while the agent works; an attempt that is made
    ahead would be over before it begins."""
    for name in sorted({*item.fixturenames, *FIXTURES} - {"request"}):
        found = _definitions(item, name)[-1:]
        for each in found:
            ours = each.func.__module__.startswith(("pytest_ale.", "_pytest."))
            lasts = isgeneratorfunction(each.func) or "monkeypatch" in each.argnames
            if each.scope == "function" and lasts and not ours:
                return f"fixture {name} lasts for one test; give it a wider scope"
    return ""


@contextmanager
def warnings_of(item: pytest.Item) -> Iterator[None]:
    """Let pytest's summary tell what is warned of meanwhile: session fixtures say it only once."""
    with warnings.catch_warnings(record=True) as seen:
        yield
    for warning in seen:
        told = {"warning_message": warning, "nodeid": item.nodeid, "when": "runtest"}
        item.ihook.pytest_warning_recorded.call_historic(kwargs=told | {"location": None})


OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception)

OURS = frozenset({"request", "pytestconfig", *FIXTURES})


def _definitions(item: TaskItem, name: str) -> Sequence[pytest.FixtureDef[object]]:
    """Of a fixture as an item sees it; more than one where somebody overrides ours."""
    manager = item.session._fixturemanager  # what fixtures ask for at their time is in no closure
    return manager.getfixturedefs(name, item) or ()


def _conftests_hand(config: pytest.Config) -> str:
    """What a conftest does around a test's call would come when the agent has worked already."""
    for name in ("pytest_runtest_protocol", "pytest_runtest_call"):
        for impl in getattr(config.hook, name).get_hookimpls():
            if str(getattr(impl.plugin, "__file__", "")).endswith("conftest.py"):
                return f"{impl.plugin.__file__} has a {name}"
    return ""


def _has_foreign_setup(config: pytest.Config) -> bool:
    """Does anything but pytest itself have a hand in how tests are set up?"""
    impls = config.hook.pytest_runtest_setup.get_hookimpls()
    return any(not impl.function.__module__.startswith("_pytest.") for impl in impls)


class Flight:
    """Jobs at work, each in a thread, and those that wait for a place."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[pytest.Item, Job]] = deque()
        self._flying: dict[Job, threading.Thread] = {}
        self._over: queue.SimpleQueue[pytest.Item] = queue.SimpleQueue()
        self._ended = False

    def end_with(self, bench: Bench) -> None:
        """End when pytest ends the session's fixtures: with -x it does so before it says so."""
        if self.cancel not in bench.lanes.at_end:
            bench.lanes.at_end.append(self.cancel)

    def add(self, item: pytest.Item, job: Job) -> None:
        self._waiting.append((item, job))
        self._fill()

    def next_over(self) -> pytest.Item:
        """Wait for an item whose attempt is over."""
        return self._over.get()

    def over(self) -> Iterator[pytest.Item]:
        """Those whose attempts are over now."""
        with suppress(queue.Empty):
            while True:
                yield self._over.get_nowait()

    def cancel(self) -> None:
        """End what is at work, wherever it is; their sandboxes are given back."""
        with self._lock:
            self._ended = True
            flying = dict(self._flying)
        at_work = [job for job in flying if not job.over]
        for job in at_work:
            job.runner.cancel()
        if at_work:
            tell(f"ale: {len(at_work)} attempts are ended, and their sandboxes given back")
        deadline = time.monotonic() + END_SECONDS
        for thread in flying.values():
            thread.join(max(deadline - time.monotonic(), 0))

    def _fill(self) -> None:
        """Begin as many as have a place, and as the machine has threads for."""
        with self._lock:
            while self._waiting and len(self._flying) < self._most and not self._ended:
                item, job = self._waiting[0]
                thread = threading.Thread(
                    target=self._fly, args=(item, job), name=f"ale {item.name}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:
                    if not self._flying:
                        raise
                    self._most = len(self._flying)
                    tell(f"ale: this machine has threads for {self._most} attempts at once only")
                    return
                self._flying[job] = thread
                self._waiting.popleft()

    def _fly(self, item: pytest.Item, job: Job) -> None:
        def over() -> None:
            item.stash[JOB] = job
            self._over.put(item)

        try:
            job.work(over)
        finally:
            try:
                job.runner.release()
            finally:
                with self._lock:
                    self._flying.pop(job, None)
                self._fill()
