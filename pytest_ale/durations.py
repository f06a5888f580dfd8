"""Durations: what attempts took, kept between runs, and how long one is expected to take.

Knows nothing of items, or of who asks. Imports no record; one is whatever has these fields.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

__all__ = ["FILE", "Durations", "Took", "note"]

FILE = "durations.json"  # in the folder of the run directories

# Numbers that are kept: of 2,000 instances, ten agents' each; 1.5 MB as text, 0.2 MB packed.
MOST = 20_000


class Took(Protocol):
    """An attempt that is over."""

    @property
    def task(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def score(self) -> float | None: ...
    @property
    def phases(self) -> Mapping[str, float]: ...
    @property
    def waited(self) -> float: ...
    @property
    def queued(self) -> float: ...


class Durations:
    """Seconds by instance and agent; those that were noted last stand last."""

    def __init__(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        self.seconds = seconds

    @classmethod
    def read(cls, runs: Path) -> Self:
        """What was noted; nothing of a file that is not there, cut off, or somebody else's."""
        try:
            return cls(_known((runs / FILE).read_bytes()))
        except OSError:
            return cls({})

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        return cls(_known(zlib.decompress(packed)) if packed else {})

    def pack(self) -> bytes:
        """For other processes: one value, which execnet sends as it is, however much is in it."""
        return zlib.compress(self._text().encode(), 1)

    def expected(self, instance: str, agent: str) -> float | None:
        """What the agent took for it, or others, or for the task's other variants, or for any."""
        known = self.seconds.get(instance, {})
        if agent in known:
            return known[agent]
        task = instance.rpartition("/")[0]
        return median(known.values()) if known else self._by_task.get(task, self._median)

    @cached_property
    def _by_task(self) -> dict[str, float]:
        tasks: dict[str, list[float]] = defaultdict(list)
        for instance, known in self.seconds.items():
            tasks[instance.rpartition("/")[0]] += known.values()
        return {task: median(values) for task, values in tasks.items() if values}

    @cached_property
    def _median(self) -> float | None:
        values = [value for known in self.seconds.values() for value in known.values()]
        return median(values) if values else None

    def with_these(self, attempts: Iterable[Took]) -> Self:
        """Half of a number is what was known before: the last attempt alone says less."""
        noted = {instance: dict(known) for instance, known in self.seconds.items()}
        for (instance, agent), values in _by_instance(attempts).items():
            known = noted.pop(instance, {})  # to stand last
            now = math.fsum(values) / len(values)
            before = known.pop(agent, now)
            noted[instance] = known | {agent: round((before + now) / 2, 3)}
        return type(self)(_newest(noted))

    def write(self, runs: Path) -> None:
        """By rename: a reader sees all of it or none."""
        partial = runs / f".{FILE}.{os.getpid()}"
        try:
            partial.write_text(self._text(), encoding="utf-8")
            partial.replace(runs / FILE)
        finally:
            partial.unlink(missing_ok=True)

    def _text(self) -> str:
        return json.dumps({"seconds": self.seconds}, indent=1) + "\n"


def note(runs: Path, attempts: Iterable[Took]) -> None:
    """Add what attempts with a score took to what is known (controls have no phases, and are not
    what an agent is); a disk's trouble is none of the run's."""
    scored = [each for each in attempts if each.score is not None and each.phases]
    if not scored:
        return
    with suppress(OSError), _alone(runs):
        Durations.read(runs).with_these(scored).write(runs)
        _keep_from_git(runs)


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Of two sessions that end at once, neither writes over what the other has added."""
    folder = os.open(runs, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def median(values: Iterable[float]) -> float:
    """That of the standard library takes 2 ms to import, in every worker."""
    ranked = sorted(values)
    half = len(ranked) // 2
    return (ranked[half] + ranked[~half]) / 2


def _keep_from_git(runs: Path) -> None:
    """As run directories do; but a folder with anything else in it is the user's."""
    if all(path.name == FILE or (path / "run.json").is_file() for path in runs.iterdir()):
        (runs / ".gitignore").write_text(f"/{FILE}\n/.gitignore\n")


def _known(text: bytes) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(text)["seconds"]
        return {instance: _numbers(known) for instance, known in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _numbers(known: dict[str, object]) -> dict[str, float]:
    return {
        agent: float(value)
        for agent, value in known.items()
        if isinstance(value, int | float) and 0 <= value < math.inf
    }


def _by_instance(attempts: Iterable[Took]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in attempts:
        # From build to grade; waiting for others' sake, and for rate limits, is not the task's.
        seconds = max(math.fsum(each.phases.values()) - each.waited - each.queued, 0.0)
        found[f"{each.task}/{each.variant}", each.agent].append(seconds)
    return found


def _newest(noted: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """As many as may be kept, from the end; of one instance, too, the agents noted last."""
    kept: list[tuple[str, dict[str, float]]] = []
    room = MOST
    for instance, known in reversed(noted.items()):
        newest = list(known.items())[-room:] if room else []
        room -= len(newest)
        if newest:
            kept.append((instance, dict(newest)))
    return dict(reversed(kept))
