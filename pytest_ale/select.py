"""Selection: which of the collected items are left out, by a task list or because they are done."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ale.collect import TaskItem
from pytest_ale.registry import harness_named
from pytest_ale.settings import Settings

__all__ = ["deselect"]


def deselect(
    items: list[pytest.Item], settings: Settings, done: frozenset[str] | None
) -> list[pytest.Item]:
    """Take items out of the list, in place, and return them; LookupError for a name unknown."""
    tasks = [item for item in items if isinstance(item, TaskItem)]
    _refuse_doubles(tasks)
    _refuse_unknown_variant(tasks, settings)
    gone: set[pytest.Item] = set()
    if settings.tasks:
        gone |= _unlisted(tasks, settings.cwd / settings.tasks)
    if done is not None:
        gone |= {item for item in tasks if item not in gone and identity(item, settings) in done}
    items[:] = [item for item in items if item not in gone]
    return sorted(gone, key=lambda item: item.nodeid)


def identity(item: TaskItem, settings: Settings) -> str:
    from pytest_ale.plan import make_plan

    harness = harness_named(item.agent.harness)
    return make_plan(item.task_instance, item.agent, harness, item.trial, settings).identity


def _refuse_doubles(tasks: list[TaskItem]) -> None:
    """Records lie by task id: two folders of one id would write over each other's numbers."""
    folders: dict[str, Path] = {}
    for item in tasks:
        task = item.task_instance.task
        if folders.setdefault(task.id, task.folder) != task.folder:
            raise LookupError(
                f"two tasks are called {task.id}: {folders[task.id]} and {task.folder};"
                " a task's id is its card's cluster and its folder's name"
            )


def _refuse_unknown_variant(tasks: list[TaskItem], settings: Settings) -> None:
    if not tasks and settings.variants not in ("first", "all"):
        raise LookupError(
            f"--ale-variants={settings.variants}: no collected task has this variant;"
            " allowed: first, all, or a variant's id"
        )


def _unlisted(tasks: list[TaskItem], path: Path) -> set[pytest.Item]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LookupError(f"--ale-tasks={path}: {error}") from None
    listed = {line.partition("#")[0].strip() for line in lines} - {""}
    known = {name for item in tasks for name in (item.task_instance.task.id, item.task_instance.id)}
    if unknown := sorted(listed - known):
        raise LookupError(f"--ale-tasks={path}: no such task: {', '.join(unknown[:5])}")
    return {
        item for item in tasks if not listed & {item.task_instance.task.id, item.task_instance.id}
    }
