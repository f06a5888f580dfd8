"""`ale images list|build|prune`: the images of container sandboxes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.verbs import Complaint, settings_here

if TYPE_CHECKING:
    from docker import APIClient

    from pytest_ale.stock import Done, Need

__all__ = ["add"]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    images = verbs.add_parser("images", help="List, build and remove images of containers")
    parts = images.add_subparsers(metavar="list|build|prune", required=True)
    listed = parts.add_parser("list", help="The images of ours, and the tasks that use them")
    listed.set_defaults(do=_list)
    build = parts.add_parser("build", help="Build what tasks need")
    build.set_defaults(do=_build)
    prune = parts.add_parser("prune", help="Remove what no task uses")
    prune.add_argument("--all", action="store_true", help="Also what tasks use")
    prune.set_defaults(do=_prune)
    for part in (listed, build, prune):
        part.add_argument("tasks", nargs="*", metavar="TASK", help="Folders or ids; default: tasks")


def _list(arguments: argparse.Namespace) -> None:
    from pytest_ale.stock import listing

    wanted = _needs(arguments) if arguments.tasks or Path("tasks").is_dir() else []
    with _engine() as api:
        for line in listing(api, wanted, settings_here().image):
            print(line)


def _build(arguments: argparse.Namespace) -> int:
    from pytest_ale.stock import build_all

    wanted = _needs(arguments)
    with _engine() as api:
        return _say_done(build_all(api, wanted, settings_here().image, print))


def _prune(arguments: argparse.Namespace) -> int:
    from pytest_ale.stock import prune, uses

    wanted = [] if arguments.all else _needs(arguments)
    with _engine() as api:
        used = {} if arguments.all else uses(api, wanted, settings_here().image)
        return _say_done(prune(api, used), freed=True)


def _say_done(lines: Iterator[Done], *, freed: bool = False) -> int:
    done = []
    for each in lines:
        print(each.line)
        done.append(each)
    if freed:
        print(f"{sum(each.freed for each in done) / 1e6:,.0f} MB freed")
    return 0 if all(each.ok for each in done) else 1


def _needs(arguments: argparse.Namespace) -> list[Need]:
    from pytest_ale.card import CardError
    from pytest_ale.stock import cards, needs

    if not arguments.tasks and not Path("tasks").is_dir():
        raise Complaint("there is no folder tasks here: name tasks, or the folder of some")
    try:
        return needs(cards(arguments.tasks or ["tasks"]))
    except (LookupError, CardError) as error:
        raise Complaint(str(error.args[0])) from None


@contextmanager
def _engine() -> Iterator[APIClient]:
    """What the engine cannot do is said in one line, as a wrong use is."""
    from pytest_ale.engine import connect
    from pytest_ale.sandbox import Fault

    try:
        yield connect()
    except Fault as fault:
        raise Complaint(str(fault)) from None
