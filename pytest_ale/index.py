"""Index of validated cards: a second collection reads one file instead of a thousand YAMLs.

Knows nothing of pytest; an entry is as good as its file's size and times. It is plain data, so that
a collection that finds all cards known does not even import pydantic (0.1 s of it).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ale.card import Card

__all__ = ["CardEntry", "CardIndex"]


@dataclass(frozen=True)
class CardEntry:
    """A valid card, and what collection wants of it."""

    cluster: str
    markers: list[str]
    variants: list[str]
    data: dict[str, object]

    def card(self) -> Card:
        from pytest_ale.card import Card

        return Card.model_validate(self.data)


class CardIndex:
    """Cards by path; without a cache file it only loads and validates."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._changed = False
        self._known: dict[str, tuple[list[int], list[object]]] = _read(cache) if cache else {}

    def entry(self, path: str) -> CardEntry:
        """The card of a file, validated now or when it was last changed; or CardError."""
        stamp = _stamp(path)
        if known := self._entry_of(path, stamp):
            return known
        entry = _validated(Path(path))
        self._known[path] = (stamp, list(vars(entry).values()))
        self._changed = True
        return entry

    def _entry_of(self, path: str, stamp: list[int]) -> CardEntry | None:
        try:
            then, values = self._known[path]
            return CardEntry(*values) if then == stamp else None  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):  # not there, or not as it was written below
            return None

    def save(self) -> None:
        """Write by rename: workers of one run may all do so."""
        if not (self._cache and self._changed):
            return
        partial = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"schema": _schema(), "cards": self._known}))
            partial.replace(self._cache)
        except OSError:  # an index is a convenience
            return


def _validated(path: Path) -> CardEntry:
    from pytest_ale.card import load_card

    card = load_card(path)
    ids = [variant.id for variant in card.variants]
    data = card.model_dump(mode="json", exclude_unset=True)
    return CardEntry(card.cluster, card.markers, ids, data)


def _stamp(path: str) -> list[int]:
    """Change time too: a file put back with its old modification time is still another file."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # a third of the time of Path.stat, 1,000 times
    except OSError:
        return []
    return [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino]


def _schema() -> list[list[int]]:
    """An entry was validated by the schema of its day: of these files, as they were."""
    folder = Path(__file__).parent
    return [_stamp(f"{folder}/{name}.py") for name in ("card", "index", "taxonomy")]


def _read(cache: Path) -> dict[str, tuple[list[int], list[object]]]:
    try:
        stored = json.loads(cache.read_bytes())
        return dict(stored["cards"]) if stored["schema"] == _schema() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
