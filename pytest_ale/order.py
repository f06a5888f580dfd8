"""Order: in a run that does several at once, the longest items first, those of one image together.

Knows nothing of how items run. What it goes by is decided once for all processes (decided.py):
xdist gives no work to a worker whose list is another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence

import pytest

from pytest_ale.collect import CARD, MAIN, TaskItem
from pytest_ale.durations import Durations
from pytest_ale.settings import Settings

__all__ = ["Order", "arrange", "has_tasks", "turns"]

TIMEOUT_S = 3600.0  # a card's, where it says nothing

# Items whose expected durations lie in one half octave are sorted by image. Simulated with 200
# items of 5 images on 32 workers: wall 1.05 of the ideal with 34 changes of image, against 1.08
# and 20 with octaves, and 1.06 and 157 without.
STEPS = 2.0

Key = tuple[float, str, float, str]


class Order:
    """The hook that sorts: after all that select or sort as plain hooks, and before wrappers, so
    that what failed last is first with --ff."""

    def __init__(self, settings: Settings, packed: bytes, workers: int) -> None:
        self._settings = settings
        self._durations = Durations.unpack(packed)
        self._workers = workers

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        result = yield
        arrange(items, self._key, self._workers)
        return result

    def _key(self, item: TaskItem) -> Key:
        seconds = self._expected(item)
        step = math.floor(STEPS * math.log2(max(seconds, 1.0)))
        return -step, _image(item), -seconds, item.nodeid

    def _expected(self, item: TaskItem) -> float:
        known = self._durations.expected(item.task_instance.id, item.agent.label)
        if known is not None:
            return known
        given = item.task_instance.task.entry.data.get("timeout_s", TIMEOUT_S)
        return self._settings.timeout or float(given)  # type: ignore[arg-type]  # it was validated


def _image(item: TaskItem) -> str:
    """What decides the image, of a card that is not made whole here: that takes pydantic."""
    env = item.task_instance.task.entry.data.get("environment")
    given = env if isinstance(env, dict) else {}
    lists = [sorted(given.get(name, [])) for name in ("packages", "python")]
    return json.dumps([given.get("os", "linux"), *lists, given.get("desktop", False)])


def arrange(items: list[pytest.Item], key: Callable[[TaskItem], Key], workers: int) -> None:
    """Sort tasks, in place; tests that are no tasks keep their places."""
    mine = [item for item in items if isinstance(item, TaskItem)]
    places = [place for place, item in enumerate(items) if isinstance(item, TaskItem)]
    mine.sort(key=key)
    for place, item in zip(turns(places, len(items), workers), mine, strict=True):
        items[place] = item


def turns(places: Sequence[int], total: int, workers: int) -> list[int]:
    """Places, that of the longest item first.

    xdist deals the first 2n items in pairs: each worker begins with a long one, and has a short one
    behind it. Fewer than 2n are dealt one by one.
    """
    if workers < 2 or total < 2 * workers:
        return list(places)
    pairs = [place for place in places if place < 2 * workers]
    firsts = [place for place in pairs if place % 2 == 0]
    seconds = [place for place in pairs if place % 2 == 1]
    return firsts + [place for place in places if place >= 2 * workers] + seconds[::-1]


def has_tasks(config: pytest.Config, ids: Iterable[str]) -> bool:
    """Is any of these ids a task's?"""
    from pytest_ale.ceiling import roots  # asked by a controller, which needs the rest of it too

    files = dict.fromkeys(id.partition("::")[0] for id in ids)
    mains = [file for file in files if file.endswith(MAIN)]
    return any((root / file).with_name(CARD).is_file() for root in roots(config) for file in mains)
