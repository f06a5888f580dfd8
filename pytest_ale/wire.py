"""Wire: what crosses between pytest processes. The only file that knows xdist and execnet.

Knows nothing of tasks or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

import pytest

from pytest_ale.text import clean

__all__ = ["Wire", "from_controller", "is_worker", "refuse", "runs_workers"]

# execnet ends the whole run over one value it does not know, or one lone surrogate in a text
# (facts 2 and 3 of the pytest notes); 200 kB of one message is more than anybody reads.
LONGEST = 200_000
DEEPEST = 40


class _Node(Protocol):
    workerinput: dict[str, object]


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def runs_workers(config: pytest.Config) -> bool:
    """Is this the controller of an xdist run?"""
    return bool(config.getoption("tx", None)) and not is_worker(config)


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


class Wire:
    """Hooks of both ends: `decided` makes the plain values the controller hands to each worker,
    and `lost` is shown the report that xdist makes up for an item whose worker died."""

    def __init__(
        self, decided: Callable[[], dict[str, object]], lost: Callable[[pytest.TestReport], None]
    ) -> None:
        self._decided = decided
        self._lost = lost

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: _Node) -> None:
        node.workerinput["ale"] = plain(self._decided())

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
