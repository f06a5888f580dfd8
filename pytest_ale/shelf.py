"""Shelf: a few folders that were made lately, shared by all who want the same.

Knows nothing of what is in them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from pytest_ale.trees import remove

__all__ = ["Shelf"]

T = TypeVar("T")

MOST = 4  # kept that nobody uses now; inputs may be large, and those of one task come together


class _Place(Generic[T]):
    def __init__(self) -> None:
        self.lock = threading.Lock()  # held while it is made: others want it and wait
        self.users = 0
        self.folder: Path | None = None
        self.made: T | None = None


class Shelf(Generic[T]):
    """Folders by key, each made once by whoever is first; what differs is made side by side."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder  # makes an empty one
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place[T]] = {}

    @contextmanager
    def holding(self, key: Hashable, make: Callable[[Path], T]) -> Iterator[T]:
        """What `make` made in a folder of its own, now or when it was last wanted."""
        with self._lock:
            place = self._places.pop(key) if key in self._places else _Place()
            self._places[key] = place
            place.users += 1
        try:
            with place.lock:
                if place.made is None:
                    place.made = self._make(place, make)
            yield place.made
        finally:
            with self._lock:
                place.users -= 1
                self._forget(MOST)

    def clear(self) -> None:
        with self._lock:
            self._forget(0)

    def _make(self, place: _Place[T], make: Callable[[Path], T]) -> T:
        folder = self._folder()
        try:
            made = make(folder)
        except BaseException:
            remove(folder)
            raise
        place.folder = folder
        return made

    def _forget(self, most: int) -> None:
        """Remove those that nobody uses, the longest unused first."""
        idle = [key for key, place in self._places.items() if not place.users]
        for key in idle[: max(len(idle) - most, 0)]:
            if folder := self._places.pop(key).folder:
                remove(folder)
