"""The desktop as an MCP server: the screen, mouse, keyboard and clipboard as tools of an agent.

Knows nothing of X, nor how things are done. Descriptions are prompts: a model knows no more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .actions import DIRECTIONS, LONGEST, MOST_SECONDS, Actions
from .album import Album
from .coordinates import KINDS, OffScreen
from .screen import ScreenError
from .serve import Answer, Picture, Tool, ToolError, serve

__all__ = ["main"]

MOST_BYTES = 1_000_000
INSTRUCTIONS = (
    "The desktop of your machine: its screen, mouse, keyboard and clipboard. Take a screenshot "
    "to see what is there, and another to see what an action did."
)

Schema = Mapping[str, object]
Said = bytes | str | tuple[str, dict[str, object]]  # a picture, words, words and values

BUTTON: Schema = {"type": "string", "enum": ["left", "middle", "right"], "default": "left"}
KEYS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SECONDS: Schema = {"type": "number", "minimum": 0, "maximum": MOST_SECONDS}


def main() -> int:
    given = _options()
    actions = Actions(
        given.display,
        given.coordinates,
        longest=given.longest,
        most_bytes=given.bytes,
        album=Album(given.keep.expanduser()),
    )
    serve(
        "desktop",
        lambda: tools(actions),
        instructions=INSTRUCTIONS,
        close=lambda: actions.screen.close(),
        together=False,
        stuck=actions.start_over,
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the desktop over stdin and stdout (MCP).")
    add = parser.add_argument
    add("--display", default=os.environ.get("DISPLAY") or ":0", help="the X server")
    add("--coordinates", choices=KINDS, default=KINDS[0], help="how a model names places")
    add("--longest", type=int, default=LONGEST, help="pixels of a screenshot's longer side")
    add("--bytes", type=int, default=MOST_BYTES, help="bytes it has, in fewer colours if need be")
    add("--keep", type=Path, default=Path("~/.ale/screenshots"), help="folder for screenshots")
    return parser.parse_args()


def tools(actions: Actions) -> list[Tool]:
    """Every tool, with what is true of this screen in its description."""
    number = {"type": "number"}
    place = _about({"type": "array", "items": number, "minItems": 2, "maxItems": 2}, actions.told())
    found = [*_seeing(actions), *_mouse(actions, place), *_keyboard(actions), *_other(actions)]
    return [replace(tool, run=_alone(actions, tool.run)) for tool in found]


def _seeing(do: Actions) -> list[Tool]:
    return [
        _tool("screenshot", "See the whole screen, with the mouse cursor.", do.screenshot),
        _tool(
            "get_screen_size",
            "Get the size of the screenshot, and how to name a place on it.",
            do.get_screen_size,
        ),
        _tool("cursor_position", "Get the place of the mouse cursor.", do.cursor_position),
        _tool(
            "wait",
            f"Wait for something to happen on the screen, {MOST_SECONDS} seconds at most.",
            do.wait,
            {"duration": {"type": "number", "minimum": 0, "description": "seconds"}},
            ["duration"],
        ),
    ]


def _mouse(do: Actions, place: Schema) -> list[Tool]:
    pick = {
        "coordinate": _about(place, f"{place['description']}. Default: where the cursor is"),
        "button": BUTTON,
        "keys": _about(KEYS, 'keys to hold meanwhile, such as ["ctrl"]'),
    }
    clicks = {"type": "integer", "minimum": 1, "maximum": 3, "default": 1}
    button = {"button": BUTTON}
    return [
        _tool(
            "mouse_move", "Move the mouse.", do.mouse_move, {"coordinate": place}, ["coordinate"]
        ),
        _tool(
            "click",
            "Click once, twice (a double click) or three times.",
            do.click,
            pick | {"clicks": clicks},
        ),
        _tool("double_click", "Double-click.", do.double_click, pick),
        _tool("triple_click", "Triple-click, which often selects a line.", do.triple_click, pick),
        _tool(
            "drag",
            "Press the button, move the mouse to a place, let the button go.",
            do.drag,
            _dragged(place),
            ["coordinate"],
        ),
        _tool(
            "mouse_down", "Press a mouse button and hold it until mouse_up.", do.mouse_down, button
        ),
        _tool("mouse_up", "Let a mouse button go.", do.mouse_up, button),
        _tool("scroll", "Turn the mouse wheel.", do.scroll, _scrolled(pick), ["direction"]),
    ]


def _dragged(place: Schema) -> dict[str, Schema]:
    told = place["description"]
    return {
        "coordinate": _about(place, f"where to: {told}"),
        "start_coordinate": _about(place, f"where from: {told}. Default: where the cursor is"),
        "path": {"type": "array", "items": place, "description": "places to pass on the way"},
        "button": BUTTON,
        "duration": _about(SECONDS, "seconds that it takes. Default: 0.3"),
    }


def _scrolled(pick: Mapping[str, Schema]) -> dict[str, Schema]:
    return {
        "direction": {"type": "string", "enum": list(DIRECTIONS)},
        "amount": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "default": 3,
            "description": "notches of the wheel, each about three lines of text",
        },
        "coordinate": pick["coordinate"],
        "keys": pick["keys"],
    }


def _keyboard(do: Actions) -> list[Tool]:
    keys = {"keys": _about(KEYS, 'pressed together, such as ["ctrl", "s"] or ["Return"]')}
    text = {"text": {"type": "string", "description": "any Unicode; a newline is Return"}}
    seconds = {"duration": _about(SECONDS, "seconds")}
    return [
        _tool("type", "Type text where the keyboard focus is.", do.type, text, ["text"]),
        _tool("key", "Press a key, or keys together.", do.key, keys, ["keys"]),
        _tool(
            "hold_key", "Hold keys for a time.", do.hold_key, keys | seconds, ["keys", "duration"]
        ),
        _tool("key_down", "Press keys and hold them until key_up.", do.key_down, keys, ["keys"]),
        _tool("key_up", "Let keys go.", do.key_up, keys, ["keys"]),
    ]


def _other(do: Actions) -> list[Tool]:
    window = {"window": {"type": "integer", "description": "its id, from list_windows"}}
    text = {"text": {"type": "string"}}
    return [
        _tool("read_clipboard", "Read the text in the clipboard.", do.read_clipboard),
        _tool(
            "write_clipboard", "Put text into the clipboard.", do.write_clipboard, text, ["text"]
        ),
        _tool(
            "list_windows",
            "List the open windows, the lowest first: id, title, program, place and size.",
            do.list_windows,
        ),
        _tool(
            "activate_window",
            "Raise a window and give it the keyboard.",
            do.activate_window,
            window,
            ["window"],
        ),
    ]


def _about(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _alone(
    actions: Actions, run: Callable[..., str | Answer | Picture]
) -> Callable[..., str | Answer | Picture]:
    """The same, with the screen for itself alone."""

    def alone(**given: object) -> str | Answer | Picture:
        with actions.alone():
            return run(**given)

    return alone


def _answering(action: Callable[..., Said]) -> Callable[..., Answer | Picture]:
    """The same, in the words of MCP."""

    def run(**given: object) -> Answer | Picture:
        try:
            said = action(**given)
        except (OffScreen, ScreenError) as error:
            raise ToolError(str(error)) from error
        if isinstance(said, bytes):
            return Picture(said)
        return Answer(said) if isinstance(said, str) else Answer(*said)

    return run


def _tool(
    name: str,
    about: str,
    action: Callable[..., Said],
    arguments: Mapping[str, Schema] | None = None,
    required: Sequence[str] = (),
) -> Tool:
    return Tool(name, about, _answering(action), arguments or {}, required)
