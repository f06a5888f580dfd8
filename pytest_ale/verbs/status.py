"""`ale status`: what a run is at, from the files in its directory, wherever it was started."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_ale.text import printable
from pytest_ale.verbs import Complaint, settings_here

if TYPE_CHECKING:
    from pytest_ale.report.board import Board
    from pytest_ale.report.look import Look, Snapshot

__all__ = ["add"]

State = Literal["at work", "over", "interrupted"]

EVERY = 1.0  # seconds between two looks of --watch
MOST = 1000  # attempts at work that are told of
HEAD = 2  # lines before the board's


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = verbs.add_parser("status", help="Say what a run is at, or what came of it")
    status.add_argument("run", nargs="?", default="last", metavar="RUN|last", help="Default: last")
    how = status.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="Go on until it is over")
    how.add_argument("--json", action="store_true", help="As JSON, for machines")
    status.add_argument("--dir", help="Folder of the run directories; default: .ale")
    status.set_defaults(do=_status)


def _status(arguments: argparse.Namespace) -> int:
    from pytest_ale.report.look import Look

    run = _named(arguments.run, _runs(arguments))
    about = _about(run)
    if arguments.watch and sys.stdout.isatty():
        _watch(run, about, Look(run))
    snapshot = Look(run).refresh(MOST)
    if arguments.json:
        print(json.dumps(_plain(run, snapshot, _state(run, about, snapshot))))
        return 0
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    print("\n".join(_lines(run, about, snapshot, columns - 1, MOST)))
    return 0


def _runs(arguments: argparse.Namespace) -> Path:
    return Path(arguments.dir) if arguments.dir else settings_here().runs_dir


def _named(wanted: str, runs: Path) -> Path:
    """A run by its directory or id; `last` is the one that began last."""
    known = sorted(path.parent for path in runs.glob("*/run.json"))
    if wanted == "last":
        if known:
            return known[-1]
        raise Complaint(f"there is no run in {runs}; --dir=DIR names another folder of runs")
    for path in (Path(wanted), runs / wanted):
        if (path / "run.json").is_file():
            return path.absolute()
    latest = ", ".join(path.name for path in known[-3:]) or "none"
    raise Complaint(f"{wanted!r} is no run; the latest in {runs}: {latest}")


def _about(run: Path) -> Mapping[str, object]:
    """What run.json says, if it can be read."""
    try:
        told = json.loads((run / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _watch(run: Path, about: Mapping[str, object], look: Look) -> None:
    """Draw until it is over; what is said at last is printed by who called."""
    from pytest_ale.report.board import Board
    from pytest_ale.report.screen import Screen

    screen, board = Screen(sys.stdout), Board()
    try:
        while _state(run, about, snapshot := look.refresh(MOST)) == "at work":
            columns, lines = screen.size
            screen.show(_lines(run, about, snapshot, columns - 1, lines // 2, board))
            time.sleep(EVERY)
    finally:
        screen.close()


def _lines(
    run: Path,
    about: Mapping[str, object],
    snapshot: Snapshot,
    cells: int,
    most: int,
    board: Board | None = None,
) -> list[str]:
    from pytest_ale.report import board as boards
    from pytest_ale.report.cells import cut, plain

    state = _state(run, about, snapshot)
    if state != "at work":
        snapshot = replace(snapshot, left=None, ended=True)
    head = [f"run {run.name}: {state}{_where(snapshot, state)}", _exam(about)]
    lines = (board or boards.Board()).lines(snapshot, cells, max(most - HEAD, 1))
    return [cut(plain(line), cells) for line in head] + lines + _next(run, snapshot, state)


def _where(snapshot: Snapshot, state: State) -> str:
    owner = snapshot.owner
    if state == "interrupted":
        return ": nobody is at work on it any more"
    if state == "over" or owner is None or owner.dead:  # workers may outlive their controller
        return ""
    if owner.host == socket.gethostname():
        return f", process {owner.pid}"
    return f", process {owner.pid} of {owner.host}, as far as its records tell"


def _exam(about: Mapping[str, object]) -> str:
    """Who is examined, where."""
    settings = about.get("settings")
    told: Mapping[str, object] = settings if isinstance(settings, dict) else {}
    agents = told.get("agent")
    names = ", ".join(map(str, agents)) if isinstance(agents, list) else "?"
    since = str(about.get("started", ""))[:19].replace("T", " ")
    return f"agent {names} on {told.get('provider', '?')}, begun {since or '?'} UTC"


def _next(run: Path, snapshot: Snapshot, state: State) -> list[str]:
    """How to have what is missing."""
    left = (snapshot.waiting or 0) + snapshot.faulted
    if state == "at work" or (state == "over" and not left):
        return []
    told = snapshot.argv or ("...",)  # older runs say only what a worker of xdist was started with
    words = [word for word in told if not word.startswith("--ale-resume")]
    again = shlex.join(["pytest", *words, f"--ale-resume={run.name}"])
    return [f"what is missing: {printable(again)}"]


def _state(run: Path, about: Mapping[str, object], snapshot: Snapshot) -> State:
    from pytest_ale.hold import is_held

    owner, now = snapshot.owner, not snapshot.ended
    if (owner is not None and now and not owner.dead) or is_held(run):
        return "at work"
    return "over" if snapshot.ended or (owner is None and "ended" in about) else "interrupted"


def _plain(run: Path, snapshot: Snapshot, state: State) -> dict[str, object]:
    if state != "at work":
        snapshot = replace(snapshot, left=None)
    told = {"run": str(run), "state": state, "done": snapshot.done, "waiting": snapshot.waiting}
    return told | asdict(snapshot)
