"""Offers: what the main.py of a task was found to offer, so that it need not be asked again.

Knows nothing of graders. Only tasks without a build() are kept, whose call would do nothing else;
a folder with another digest, or another Python or environment, is another task.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from pathlib import Path

from pytest_ale.task import Task

__all__ = ["Offers"]

MOST = 10_000  # tasks that are kept, newest last; 150 bytes each
# What such an import brings is said by another file, which the digest may know nothing of.
STARRED = re.compile(r"^\s*from\b.*\bimport\b\s*\(?\s*\*", re.MULTILINE)


class Offers:
    """Functions and controls by task; without a file, of this process only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known = _read(file) if file else {}
        self._new: dict[str, list[list[str]]] = {}

    def of(self, task: Task) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Its functions and its controls; None if it has to be asked."""
        known = self._new.get(_key(task)) or self._known.get(_key(task))
        if known is None:
            return None
        functions, controls = known
        return tuple(functions), tuple(controls)

    def note(self, task: Task, functions: tuple[str, ...], controls: tuple[str, ...]) -> None:
        if "build" not in functions and not STARRED.search(_source(task)):
            self._new[_key(task)] = [list(functions), list(controls)]

    def save(self) -> None:
        """By rename, with what others saved meanwhile; losing one of them costs a call."""
        if not (self._file and self._new):
            return
        known = list((_read(self._file) | self._new).items())[-MOST:]
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(dict(known)))
            partial.replace(self._file)
        except OSError:  # a convenience
            return


def _key(task: Task) -> str:
    """What it imports from elsewhere is of an environment, and checked by a grader of its day."""
    return f"{task.digest} {sys.version_info[:3]} {sys.prefix} {_ours()}"


@cache
def _ours() -> int:
    return Path(__file__).with_name("grader.py").stat().st_mtime_ns


def _source(task: Task) -> str:
    return (task.folder / "main.py").read_text(encoding="utf-8", errors="replace")


def _read(file: Path) -> dict[str, list[list[str]]]:
    try:
        stored = json.loads(file.read_bytes())
        return {
            key: [_words(functions), _words(controls)]
            for key, (functions, controls) in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _words(found: object) -> list[str]:
    if not (isinstance(found, list) and all(isinstance(word, str) for word in found)):
        raise TypeError(found)
    return found
