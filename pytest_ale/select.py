"""Selection: which of the collected items are left out, by a task list or because they are done."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ale.collect import TaskItem, broken_tasks, known_tasks
from pytest_ale.registry import harness_named
from pytest_ale.settings import Settings

__all__ = ["deselect"]


def deselect(
    session: pytest.Session,
    items: list[pytest.Item],
    settings: Settings,
    done: frozenset[str] | None,
) -> list[pytest.Item]:
    """Take items out of the list, in place, and return them; LookupError for a name unknown."""
    tasks = [item for item in items if isinstance(item, TaskItem)]
    if known_tasks(session) and not tasks:
        _refuse_unknown_variant(settings)
    gone: set[pytest.Item] = set()
    if settings.tasks_file:
        gone |= _unlisted(tasks, settings.tasks_file, broken_tasks(session))
    if done is not None:
        gone |= {item for item in tasks if item not in gone and identity(item, settings) in done}
    items[:] = [item for item in items if item not in gone]
    return sorted(gone, key=lambda item: item.nodeid)


def identity(item: TaskItem, settings: Settings) -> str:
    from pytest_ale.plan import make_plan

    harness = harness_named(item.agent.harness)
    return make_plan(item.task_instance, item.agent, harness, item.trial, settings).identity


def _refuse_unknown_variant(settings: Settings) -> None:
    if settings.variants not in ("first", "all"):
        raise LookupError(
            f"--ale-variants={settings.variants}: no collected task has this variant;"
            " allowed: first, all, or a variant's id"
        )


def _unlisted(tasks: list[TaskItem], path: Path, broken: set[str]) -> set[pytest.Item]:
    """A name that no task has is refused, but that of one whose card is told to be broken."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LookupError(f"--ale-tasks={path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LookupError(f"--ale-tasks={path}: not UTF-8 text: {error}") from None
    listed = {line.partition("#")[0].strip() for line in lines} - {""}
    known = {name for item in tasks for name in (item.task_instance.task.id, item.task_instance.id)}
    if unknown := sorted(listed - known - broken):
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise LookupError(
            f"--ale-tasks={path}: not among the collected tasks: {', '.join(unknown[:5])}{more};"
            " allowed: CLUSTER/NAME or CLUSTER/NAME/VARIANT, one a line"
        )
    return {
        item for item in tasks if not listed & {item.task_instance.task.id, item.task_instance.id}
    }
