"""Index of validated cards: a second collection reads one file instead of a thousand YAMLs.

Knows nothing of pytest; an entry is as good as its file's size and times. It is plain data, so that
a collection that finds all cards known does not even import pydantic (0.1 s of it). Of workers that
start at once and find a card unknown, one validates all and the others wait for it: 1,000 short
cards take 0.4 s of the processor, which 32 workers would take 32 times.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ale.card import Card

__all__ = ["CardEntry", "CardIndex"]


WAIT_SECONDS = 60.0  # for the worker that validates


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

    def __init__(self, cache: Path | None, *, one_of_many: bool = False) -> None:
        self._cache = cache
        self._changed = False
        self._asked = not one_of_many
        self._turn: IO[bytes] | None = None  # held by the one that validates
        self._known: dict[str, tuple[list[int], list[object]]] = _read(cache) if cache else {}

    def entry(self, path: str) -> CardEntry:
        """The card of a file, validated now or when it was last changed; or CardError."""
        stamp = _stamp(path)
        if known := self._entry_of(path, stamp) or self._others_entry(path, stamp):
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

    def _others_entry(self, path: str, stamp: list[int]) -> CardEntry | None:
        """At the first card that is not known, once: what another worker has found out."""
        if self._cache is None or self._asked:
            return None
        self._asked = True
        with suppress(OSError):  # a file system without locks
            self._turn = _my_turn(self._cache)
        self._known = _read(self._cache)
        if known := self._entry_of(path, stamp):
            self.close()
        return known

    def save(self) -> None:
        """Write what is new, and let those go on that wait for it."""
        self._write()
        self.close()

    def close(self) -> None:
        """Let another worker look for itself."""
        if self._turn:
            self._turn.close()

    def _write(self) -> None:
        """By rename: not all that collect wait for each other."""
        if not (self._cache and self._changed):
            return
        partial = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"schema": _schema(), "cards": self._known}))
            partial.replace(self._cache)
        except OSError:  # an index is a convenience
            return


def _my_turn(cache: Path) -> IO[bytes] | None:
    """A lock, to be held until the index is saved; None if that takes somebody else for ever."""
    file, began = cache.with_name("cards.lock").open("ab"), time.monotonic()
    while time.monotonic() - began < WAIT_SECONDS:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            break
    file.close()
    return None


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
