"""Wire: what crosses between pytest processes. The only file that knows xdist and execnet.

Knows nothing of tasks or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from signal import Signals
from typing import Any, Protocol

import pytest

from pytest_ale.text import clean

__all__ = [
    "Wire",
    "deal_singly",
    "from_controller",
    "is_dealt",
    "is_worker",
    "refuse",
    "runs_workers",
    "sharing",
    "stop",
    "without_workers",
    "workers",
]

# execnet ends the whole run over one value it does not know, or one lone surrogate in a text
# (facts 2 and 3 of the pytest notes); 200 kB of one message is more than anybody reads.
LONGEST = 200_000
DEEPEST = 40

REFUSED = "ale_refused"  # in what a worker leaves: why it does not work

END_SECONDS = 2.0  # that a worker may take to be gone once its pipe is closed

ASKED: pytest.StashKey[int] = pytest.StashKey()  # workers of a run that starts none


class _Node(Protocol):
    config: pytest.Config
    gateway: Any  # execnet's, without types
    workerinput: dict[str, object]


class _Scheduler(Protocol):
    def mark_test_pending(self, item: str) -> None: ...


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def runs_workers(config: pytest.Config) -> bool:
    """Is this the controller of an xdist run?"""
    return bool(config.getoption("tx", None)) and not is_worker(config)


def workers(config: pytest.Config) -> int:
    """How many share the items; 1 without xdist. An entry of --tx may be `4*popen`."""
    counts = (spec.partition("*")[0] for spec in config.getoption("tx", None) or [])
    found = sum(int(count) if count.isdigit() else 1 for count in counts)
    return config.stash.get(ASKED, 0) or max(found, 1)


def is_dealt(config: pytest.Config) -> bool:
    """Does this controller deal items in their order, to whichever worker needs one? With any
    other --dist the user has asked for another order."""
    return runs_workers(config) and config.getoption("dist", "") == "load" and workers(config) > 1


def sharing(config: pytest.Config) -> int:
    """How many share the items, asked in one of them; 1 where nobody else does."""
    found: int = getattr(config, "workerinput", {}).get("workercount", 1)
    return found


def deal_singly(config: pytest.Config) -> None:
    """Let xdist deal item after item, unless --maxschedchunk says otherwise. By itself it deals an
    eighth of what is left at once (load.py: pending // nodes // 4), and those then wait for each
    other. Called when ids are known, and before they are dealt."""
    scheduler = getattr(config.pluginmanager.getplugin("dsession"), "sched", None)
    if scheduler and getattr(scheduler, "maxschedchunk", 0) is None:
        scheduler.maxschedchunk = 1


def without_workers(config: pytest.Config) -> None:
    """Keep xdist from starting any; it looks at these options when all others are configured."""
    config.stash[ASKED] = workers(config)
    if hasattr(config.option, "tx"):
        config.option.dist, config.option.tx, config.option.numprocesses = "no", [], None


def from_controller(
    config: pytest.Config,
) -> Mapping[str, Any]:  # Any: as plain as execnet leaves it
    """What the controller decided for all workers; empty elsewhere."""
    given: Mapping[str, Any] = getattr(config, "workerinput", {}).get("ale", {})
    return given


def refuse(config: pytest.Config, message: str) -> None:
    """End the run as a wrong use: a worker cannot, so it leaves word for its controller. That one
    would replace a worker that just ends, and with --tx alone without end."""
    if not is_worker(config):
        raise pytest.UsageError(message)
    config.workeroutput[REFUSED] = plain(message)  # type: ignore[attr-defined]  # xdist's


def stop(session: pytest.Session, why: str) -> None:
    """End the run after what is at work now; xdist's controller has a word of its own for it."""
    manager = session.config.pluginmanager.getplugin("dsession")
    (manager or session).shouldstop = why


class Wire:
    """Hooks of both ends: `decided` makes the plain values the controller hands to each worker,
    `lost` is shown the report that xdist makes up for an item whose worker died, how that died, and
    a way to have the item run again, which says whether it is; and `collected` the ids that the
    first worker to be done with it has collected (the others have the same), of which it says
    something, in lines. `met` is shown the name that was given to each worker elsewhere, and in
    words where that is, when it has collected those, too."""

    def __init__(
        self,
        decided: Callable[[], dict[str, object]],
        lost: Callable[[pytest.TestReport, str, Callable[[], bool]], None],
        collected: Callable[[Sequence[str]], Sequence[str]],
        met: Callable[[str, str], None],
    ) -> None:
        self._decided = decided
        self._lost = lost
        self._collected = collected
        self._met = met
        self._ids: list[str] = []
        self._deaths = 0
        self._first: dict[str, _Node] = {}  # by item that is run again, the worker that died of it
        self._due: dict[str, pytest.TestReport] = {}  # of these, those that have not begun yet

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: _Node) -> None:
        more: dict[str, object] = {"items": self._ids} if self._ids else {}
        if _is_elsewhere(node.gateway.spec):
            run = str(node.workerinput["testrunuid"])  # a resume has workers of the same names
            more["elsewhere"] = f"{node.gateway.id}-{run[:8]}"
        node.workerinput["ale"] = plain(self._decided() | more)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: _Node, ids: Sequence[str]) -> None:
        if not self._ids:
            self._ids = list(ids)
            _say(node.config, self._collected(ids))
        told: Mapping[str, Any] = node.workerinput["ale"]  # type: ignore[assignment]
        if (name := told.get("elsewhere")) and self._ids == list(ids):
            self._met(name, _place(node))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """A worker that comes in the place of another has that one's list, whatever was changed
        since then: xdist sends no names, but places in it."""
        result = yield
        if ids := from_controller(config).get("items"):
            known = {item.nodeid: item for item in items}
            if known.keys() >= set(ids) and len(known) == len(items):
                items[:] = [known[id] for id in ids]
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        if REFUSED in getattr(session.config, "workeroutput", {}):  # while it was configured
            pytest.exit("refused")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: _Node, error: object) -> None:
        if refused := getattr(node, "workeroutput", {}).get(REFUSED):
            who = f" ({_place(node)})" if _is_elsewhere(node.gateway.spec) else ""
            raise pytest.UsageError(f"{refused}{who}")
        self._deaths += bool(error)

    # An item whose worker died is run again, once.

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(
        self, crashitem: str, report: pytest.TestReport, sched: _Scheduler
    ) -> None:
        node: _Node = report.node
        how = f"worker {node.gateway.id} {_end_of(node)}"
        self._due.pop(crashitem, None)

        def again() -> bool:
            if crashitem in self._first or not self._queue(node.config, crashitem, sched):
                return False
            self._first[crashitem], self._due[crashitem] = node, copy(report)
            report.outcome, report.longrepr = "rerun", how  # type: ignore[assignment]
            _say(node.config, [f"ale: {how}; it is run again: {crashitem}"])
            return True

        self._lost(report, how, again)

    def _queue(self, config: pytest.Config, item: str, sched: _Scheduler) -> bool:
        """Have xdist hand out an item once more, before all others, if it can and will go on."""
        from xdist.dsession import (  # type: ignore[import-untyped]
            get_default_max_worker_restart,
        )

        most = get_default_max_worker_restart(config)
        ends = getattr(config.pluginmanager.getplugin("dsession"), "shouldstop", False)
        if ends or (most is not None and self._deaths > most):
            return False
        try:
            sched.mark_test_pending(item)
        except NotImplementedError:  # --dist=loadscope and its like do it unasked, each does not
            return hasattr(sched, "workqueue")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Reports of an item that is run again: for JUnit, which tells workers apart, they are of
        the worker that began it, or the item would be there twice."""
        if (first := self._first.get(report.nodeid)) is None:
            return
        if report.when in ("setup", "call", "teardown"):
            self._due.pop(report.nodeid, None)
        node = getattr(report, "node", first)
        if not isinstance(node, _Heir):
            report.node = _Heir(first, node)  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """What was to be run again and was not, since the run ended before, is a fault after all:
        told before anybody sums up."""
        for nodeid, report in list(self._due.items()):
            how = f"{report.longrepr}, and the run ended before it was run again"
            self._lost(report, how, lambda: False)
            session.config.hook.pytest_runtest_logreport(report=report)
            self._due.pop(nodeid, None)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, object] | None:
        if str(report.outcome) == "rerun":  # pytest would write an F
            return "rerun", "R", ("RERUN", {"yellow": True})
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_to_serializable(
        self, config: pytest.Config
    ) -> Generator[None, object, object]:
        data = yield
        return plain(data) if is_worker(config) else data


class _Heir:
    """A worker that goes on with what another began, and for dictionaries is that other one."""

    def __init__(self, first: object, now: object) -> None:
        self._first, self._now = first, now

    def __eq__(self, other: object) -> bool:
        return self._first == (other._first if isinstance(other, _Heir) else other)

    def __hash__(self) -> int:
        return hash(self._first)

    def __getattr__(self, name: str) -> object:
        return getattr(self._now, name)


def _end_of(node: _Node) -> str:
    """How a worker's process ended, as far as can be told; of one on another host, its ssh."""
    from subprocess import TimeoutExpired

    try:
        status = node.gateway._io.popen.wait(END_SECONDS)
    except (AttributeError, TimeoutExpired):
        return "died"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _say(config: pytest.Config, lines: Sequence[str]) -> None:
    """On a terminal the last line is xdist's, how many workers are ready: it is written over."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal and lines and terminal.isatty:
        terminal.rewrite("", erase=True)
        terminal.rewrite("")
    for line in lines if terminal else ():
        terminal.write_line(line)


def _place(node: _Node) -> str:
    """Which worker that is, and where, as the user wrote it."""
    keys = ("ssh", "socket", "via", "python", "chdir")
    named = ((key, getattr(node.gateway.spec, key)) for key in keys)
    where = ", ".join(f"{key}={value}" for key, value in named if value)
    return f"worker {node.gateway.id}: {where}"


def _is_elsewhere(spec: Any) -> bool:  # execnet's
    """Would this worker have another host, folder or view of the disk than its controller?"""
    return not spec.popen or any((spec.via, spec.chdir, spec.python))


def plain(value: object, depth: int = 0) -> object:
    """Rebuild a value from the exact types execnet can send."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (int, float):
        return value
    if isinstance(value, bytes):
        return bytes(value)
    if depth > DEEPEST:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {plain(k, depth + 1): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, depth + 1) for item in value)
    return _text(value)


def _text(value: object) -> str:
    try:
        return clean(value, LONGEST)
    except Exception as error:  # an object whose str() raises
        return f"<{type(value).__name__}: {type(error).__name__} when shown>"
