"""The bridge's tools, as calls of a Desktop: so that what an agent did with them can be replayed.

Knows no agent program. The bridge's own actions are done, on the sandbox's desktop: a place means
what it meant to the model, which saw a scaled picture of the screen, or counted in thousandths.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pytest_ale.bridge.actions import LONGEST, Actions
from pytest_ale.bridge.album import Album
from pytest_ale.bridge.coordinates import KINDS, OffScreen
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Desktop, Fault, SandboxError

__all__ = ["redo_tool"]

LOOKS = {"screenshot", "get_screen_size", "cursor_position", "list_windows", "read_clipboard"}
DOES = {
    *("mouse_move", "click", "double_click", "triple_click", "drag", "mouse_down", "mouse_up"),
    *("scroll", "type", "key", "hold_key", "key_down", "key_up", "write_clipboard", "wait"),
    "activate_window",
}
LISTS = {"coordinate", "start_coordinate", "path", "keys"}
NUMBERS = {"clicks", "amount", "duration", "window"}
# How the bridge says which window it raised (Actions.activate_window).
RAISED = re.compile(r'Window \d+, ("(?:[^"\\]|\\.)*") of ("(?:[^"\\]|\\.)*"), is in front')


def redo_tool(
    name: str,
    arguments: Mapping[str, object],
    sandbox: RecordingSandbox,
    known: Mapping[str, object] | None = None,
) -> bool:
    """Do a call of the bridge's again; False for one that only looks, or that it had refused.

    `known` is what a recording tells besides: `knobs`, of which `coordinates` says how places are
    named, and `said`, what the bridge answered, in which an activated window has its name.
    """
    known = known or {}
    if name in LOOKS:
        return False
    if name not in DOES:
        raise Fault(f"recorded call {name} of the bridge cannot be done again: there is no such")
    given = {key: _meant(key, value) for key, value in arguments.items()}
    if name == "activate_window":
        return _activate(given, str(known.get("said", "")), sandbox)
    actions = _Again(sandbox.desktop, _kind(known.get("knobs")))
    with suppress(SandboxError):  # a call may fail again as it failed before
        return _done(cast("Callable[..., object]", getattr(actions, name)), given)
    return True


def _done(action: Callable[..., object], given: Mapping[str, object]) -> bool:
    """Do it, unless the bridge had refused such arguments, and nothing was done then either."""
    try:
        action(**given)
    except (OffScreen, TypeError, ValueError, KeyError):
        return False
    return True


def _activate(given: Mapping[str, object], said: str, sandbox: RecordingSandbox) -> bool:
    if type(given.get("window")) is not int:
        return False
    again: dict[str, object] = {"window": given["window"]}
    # Some programs keep an answer as a string in JSON.
    if found := RAISED.search(said) or RAISED.search(said.replace('\\"', '"')):
        again |= {"title": json.loads(found[1]), "program": json.loads(found[2])}
    return sandbox.redo("desktop.activate", again, Path())


def _meant(name: str, value: object) -> object:
    """What the bridge took an argument for: models write "[10, 20]" for [10, 20]."""
    if not isinstance(value, str) or name not in LISTS | NUMBERS:
        return value
    with suppress(ValueError):
        meant: object = json.loads(value)
        if isinstance(meant, list) or name in NUMBERS:
            return meant
    return [value] if name in LISTS else value


def _kind(knobs: object) -> str:
    told = knobs.get("coordinates") if isinstance(knobs, Mapping) else None
    return told if told in KINDS else KINDS[0]


class _Again(Actions):
    """The bridge's actions, on a sandbox's desktop where they had a screen of their own."""

    def __init__(self, desktop: Desktop, kind: str) -> None:
        nowhere = Album(Path())  # nothing is looked at, so nothing is kept
        super().__init__("", kind, longest=LONGEST, most_bytes=0, album=nowhere)
        self.screen = cast("Any", _Screen(desktop))  # all that the actions use of a Screen


class _Screen:
    """A desktop, used as a screen."""

    def __init__(self, desktop: Desktop) -> None:
        self.turn = threading.RLock()
        self._desktop = desktop

    # Any: each method of a desktop is one of a screen, with the same arguments.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._desktop, name)
