"""Wire: what crosses between pytest processes. The only file that knows xdist and execnet.

Knows nothing of tasks or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol

import pytest

from pytest_ale.text import clean

__all__ = [
    "Wire",
    "from_controller",
    "is_worker",
    "refuse",
    "runs_workers",
    "stop",
    "without_workers",
    "workers",
]

# execnet ends the whole run over one value it does not know, or one lone surrogate in a text
# (facts 2 and 3 of the pytest notes); 200 kB of one message is more than anybody reads.
LONGEST = 200_000
DEEPEST = 40

ASKED: pytest.StashKey[int] = pytest.StashKey()  # workers of a run that starts none


class _Node(Protocol):
    config: pytest.Config
    workerinput: dict[str, object]


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
    """End the run as a wrong use: a worker cannot, so it leaves word for its controller."""
    if not is_worker(config):
        raise pytest.UsageError(message)
    config.workeroutput["ale_refused"] = plain(message)  # type: ignore[attr-defined]  # xdist's


def stop(session: pytest.Session, why: str) -> None:
    """End the run after what is at work now; xdist's controller has a word of its own for it."""
    manager = session.config.pluginmanager.getplugin("dsession")
    (manager or session).shouldstop = why


class Wire:
    """Hooks of both ends: `decided` makes the plain values the controller hands to each worker,
    `lost` is shown the report that xdist makes up for an item whose worker died, and `collected`
    the ids that the first worker to be done with it has collected (the others have the same), of
    which it says something, in lines."""

    def __init__(
        self,
        decided: Callable[[], dict[str, object]],
        lost: Callable[[pytest.TestReport], None],
        collected: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        self._decided = decided
        self._lost = lost
        self._collected = collected
        self._told = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: _Node) -> None:
        node.workerinput["ale"] = plain(self._decided())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: _Node, ids: Sequence[str]) -> None:
        if not self._told:
            self._told = True
            _say(node.config, self._collected(ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        self._lost(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: _Node) -> None:
        if refused := getattr(node, "workeroutput", {}).get("ale_refused"):
            raise pytest.UsageError(refused)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_to_serializable(
        self, config: pytest.Config
    ) -> Generator[None, object, object]:
        data = yield
        return plain(data) if is_worker(config) else data


def _say(config: pytest.Config, lines: Sequence[str]) -> None:
    """On a terminal the last line is xdist's, how many workers are ready: it is written over."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal and lines and terminal.isatty:
        terminal.rewrite("", erase=True)
        terminal.rewrite("")
    for line in lines if terminal else ():
        terminal.write_line(line)


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
