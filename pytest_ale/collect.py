"""Collection: a task's folder becomes a file of items, one per variant, agent and trial.

Knows nothing of what is in `main.py`, and never touches the network. A run has thousands of items
and every worker collects them all: what is done here per folder or item is measured
(benchmarks/collect.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_ale.examine import NotPassed, check_controls, examine
from pytest_ale.sandbox import Fault
from pytest_ale.session import AGENTS, CARDS, SETTINGS
from pytest_ale.task import Instance, Task
from pytest_ale.text import clean, printable

if TYPE_CHECKING:
    from pytest_ale.harness import Agent
    from pytest_ale.index import CardEntry
    from pytest_ale.settings import Settings

__all__ = [
    "TaskFile",
    "TaskFolder",
    "TaskItem",
    "broken_tasks",
    "cases",
    "collect_directory",
    "fault_line",
    "known_tasks",
]

CARD, MAIN, PROMPT = "card.yaml", "main.py", "prompt.md"

# Records lie by task id, so that two folders of one id would write over each other's numbers.
KNOWN: pytest.StashKey[dict[str, Path]] = pytest.StashKey()
BROKEN: pytest.StashKey[set[str]] = pytest.StashKey()

# What pytest cuts or changes in a node id, and what no line can carry; `clean` leaves a \\udcXX.
UNUSABLE = re.compile(r"\[|::|[\x00-\x1f\x7f]|\\udc..|\\")


def known_tasks(session: pytest.Session) -> dict[str, Path]:
    """The folder of each task with a valid card, by the task's id."""
    return session.stash.setdefault(KNOWN, {})


def broken_tasks(session: pytest.Session) -> set[str]:
    """What the folders are called that could not be collected, as task lists name them."""
    return session.stash.setdefault(BROKEN, set())


def collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Claim a task's folder, so that nothing walks its data; and clusters, so none is imported."""
    names = set(os.listdir(path))  # noqa: PTH208  # one look instead of four
    if CARD not in names:
        return pytest.Dir.from_parent(parent, path=path)
    if MAIN not in names and PROMPT not in names:
        return None
    # A name that is no UTF-8 is refused; pytest fails over the refusal unless it is clean.
    printable_path = path if str(path).isascii() else Path(clean(path))
    folder: TaskFolder = TaskFolder.from_parent(parent, path=printable_path)
    folder.names = names
    return folder


class TaskFolder(pytest.Directory):
    """A folder with card.yaml and main.py."""

    names: set[str]

    def collect(self) -> Iterator[pytest.Collector]:
        self._refuse_path()
        task = Task(self.path, self._entry())
        self._refuse_double(task.id)
        for name in (MAIN, PROMPT):
            if name not in self.names:
                whole = f"a task has {CARD}, {PROMPT} and {MAIN}"
                raise self._broken(f"{self.path / name}: is missing; {whole}")
        file = TaskFile.from_parent(self, path=self.path / MAIN)
        file.task = task
        yield file

    def _entry(self) -> CardEntry:
        try:
            return self.config.stash[CARDS].entry(f"{self.path}/{CARD}")
        except ValueError as error:  # CardError, which lives with pydantic
            raise self._broken(str(error)) from None

    def _refuse_path(self) -> None:
        if bad := UNUSABLE.search(str(self.path).removeprefix(str(self.config.rootpath))):
            raise self._broken(
                f"{self.path}: {bad[0]!a} in the path of a task; its items could not be named"
                " on a command line: rename the folder"
            )

    def _refuse_double(self, id: str) -> None:
        if (first := known_tasks(self.session).setdefault(id, self.path)) != self.path:
            raise self._broken(
                f"{self.path / CARD}: the task {id} is {first} already;"
                " a task's id is its card's cluster and its folder's name"
            )

    def _broken(self, line: str) -> pytest.Collector.CollectError:
        # Serial pytest would stop before the first test; the other tasks are to run (issue 2).
        self.config.option.continue_on_collection_errors = True
        broken_tasks(self.session).add(f"{self.path.parent.name}/{self.path.name}")
        return self.CollectError(clean(line.replace(f"{self.config.rootpath}/", "")))


class TaskFile(pytest.File):
    """The file between folder and items: an item below a folder has no id to paste back."""

    task: Task

    def collect(self) -> Iterator[pytest.Item]:
        for marker in self.task.entry.markers:
            self.add_marker(marker)
        if self.config.pluginmanager.hasplugin("timeout"):
            self.add_marker(pytest.mark.timeout(0))  # pytest-timeout's word for none
        settings = self.config.stash[SETTINGS]
        call = check_controls if settings.controls else examine
        for name, instance, agent, trial in cases(self.task, settings, self.config.stash[AGENTS]):
            item: TaskItem = TaskItem.from_parent(self, name=name, callobj=call)
            item.task_instance, item.agent, item.trial = instance, agent, trial
            yield item


def cases(
    task: Task, settings: Settings, agents: list[Agent]
) -> Iterator[tuple[str, Instance, Agent, int]]:
    """What is asked of a task: name, instance, agent and trial of each of its items."""
    for variant in _variants(task, settings.variants):
        instance = Instance(task, variant, settings.seed)
        if settings.controls:
            yield f"{task.folder.name}[{variant}-controls]", instance, agents[0], 1
            continue
        for agent in agents:
            for trial in range(1, settings.trials + 1):
                suffix = f"-{trial}" if settings.trials > 1 else ""
                name = f"{task.folder.name}[{variant}-{agent.slug}{suffix}]"
                yield name, instance, agent, trial


def _variants(task: Task, wanted: str) -> list[str]:
    variants = task.entry.variants
    if wanted == "first":
        return variants[:1]
    return [variant for variant in variants if wanted in ("all", variant)]


class TaskItem(pytest.Function):
    """One instance for one agent, once: a test with real fixtures."""

    task_instance: Instance
    agent: Agent
    trial: int
    planned = False  # is it a double, which is only to tell what is meant (ahead.py)?

    @classmethod
    def from_parent(cls, parent: TaskFile, **given: object) -> Self:  # type: ignore[override]
        """Items of one folder see the same fixtures: pytest looks them up once, for the first."""
        seen = _Fixtures.of(parent)
        item: Self = super().from_parent(parent, fixtureinfo=seen.info, **given)
        seen.info = seen.info or getattr(item, "_fixtureinfo", None)
        return item

    @property
    def id(self) -> Any:  # pytest's NodeId, which has no public name
        """As pytest reads the id back: --lf and --sw look it up among those they wrote down."""
        return type(super().id).parse(self.nodeid)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.task_instance.task.id}[{self.name.partition('[')[2]}"

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        if isinstance(excinfo.value, Fault):
            return fault_line(excinfo.value)
        return str(super().repr_failure(excinfo))


class _Fixtures:
    """What pytest found out about the fixtures of items in one place: a sixth of collecting them.

    The place is the cluster's folder, or the task's own where it has a conftest.py.
    """

    KEY: pytest.StashKey[dict[Path, _Fixtures]] = pytest.StashKey()

    def __init__(self) -> None:
        self.info: object = None

    @classmethod
    def of(cls, file: TaskFile) -> _Fixtures:
        folder = file.parent
        assert isinstance(folder, TaskFolder)
        place = folder.path if "conftest.py" in folder.names else folder.path.parent
        return file.session.stash.setdefault(cls.KEY, {}).setdefault(place, cls())


def fault_line(fault: Fault) -> str:
    """What a user sees of an infrastructure fault."""
    phase = f" in phase {fault.phase}" if fault.phase else ""
    notes = "".join(f"\n{note}" for note in getattr(fault, "__notes__", ()) if note)
    return printable(f"infrastructure fault{phase}, no score: {fault}{notes}")
