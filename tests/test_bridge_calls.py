"""An agent's calls of the bridge, done again on a desktop: each as the bridge itself did it.

The bridge works a real X server, over MCP; what is done again is compared with what it did there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from mcp import ClientSession

from pytest_ale.bridge import screen as x11
from pytest_ale.bridge_calls import DOES, LOOKS, redo_tool
from pytest_ale.desktop_calls import DesktopCalls, perform
from pytest_ale.kept import Kept
from pytest_ale.recorder import Recorder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import DesktopError, Fault, Sandbox

from .bridging import Say, Start, Witness, Xserver, screen, screens, talk, text, until

__all__ = ["screen", "screens"]

Replaying = Callable[[str], RecordingSandbox]

KINDS = ("key", "key up", "button", "button up", "move")


class Own(DesktopCalls):
    """A desktop that is this X server's, as a sandbox's is that of its own."""

    def __init__(self, display: str) -> None:
        self.screen = x11.Screen(display)

    def _call(self, method: str, **given: object) -> object:
        try:
            return perform(self.screen, method, given)  # type: ignore[arg-type]  # but for Window
        except x11.ScreenError as error:
            raise DesktopError(str(error)) from error


class Box:
    """As much of a sandbox as its desktop needs."""

    inputs = output = home = "/home/agent"

    def __init__(self, desktop: DesktopCalls) -> None:
        self.desktop = desktop


@pytest.fixture
def witness(screen: Xserver) -> Iterator[Witness]:
    with closing(x11.Screen(screen.display)) as mouse:
        mouse.move(0, 0)
    found = Witness(screen)
    yield found
    found.display.close()


@pytest.fixture
def replaying(tmp_path: Path) -> Iterator[Replaying]:
    """A sandbox of which the desktop is an X server's."""
    with ExitStack() as stack:

        def made(display: str) -> RecordingSandbox:
            own = Own(display)
            stack.callback(own.screen.close)
            box: Sandbox = Box(own)  # type: ignore[assignment]
            recorder = Recorder("gemini_cli", "1")
            return RecordingSandbox(box, recorder, Kept(tmp_path / "written"))

        yield made


CALLS: list[tuple[str, dict[str, object]]] = [
    ("mouse_move", {"coordinate": [30, 40]}),
    ("click", {"coordinate": [200, 100], "button": "right"}),
    ("click", {"clicks": 2}),
    ("double_click", {"coordinate": "[310, 200]", "keys": "ctrl"}),
    ("triple_click", {}),
    ("mouse_down", {"button": "left"}),
    ("mouse_up", {"button": "left"}),
    ("scroll", {"direction": "up", "amount": 2, "coordinate": [50, 60], "keys": ["shift"]}),
    ("scroll", {"direction": "right", "amount": "1"}),
    ("type", {"text": "abc"}),
    ("key", {"keys": ["ctrl", "x"]}),
    ("hold_key", {"keys": ["y"], "duration": 0.1}),
    ("key_down", {"keys": ["z"]}),
    ("key_up", {"keys": ["z"]}),
    ("wait", {"duration": 0.1}),
    # Refused by the bridge: nothing is done, then or now.
    ("click", {"coordinate": [9999, 1]}),
    ("click", {"where": [1, 1]}),
    ("click", {"coordinate": ["a", "b"]}),
    ("scroll", {"direction": "inwards"}),
    ("key", {"keys": ["no such key"]}),
]


@pytest.mark.parametrize("kind", ["pixels", "thousandths"])
def test_what_is_done_again_is_what_was_done(
    screen: Xserver, witness: Witness, replaying: Replaying, kind: str
) -> None:
    done: list[list[tuple[str, object]]] = []

    async def body(_: ClientSession, say: Say) -> None:
        for name, given in CALLS:
            await say(name, **given)
            done.append(witness.seen(*KINDS))

    talk(screen.server(f"--coordinates={kind}"), body)
    with closing(x11.Screen(screen.display)) as mouse:
        mouse.move(0, 0)
    witness.seen(*KINDS)
    sandbox = replaying(screen.display)
    again = []
    for name, given in CALLS:
        redo_tool(name, given, sandbox, {"knobs": {"coordinates": kind}})
        again.append(witness.seen(*KINDS))
    assert again == done
    assert [bool(events) for events in done] == [True] * 14 + [False] * 6
    places = [event[1] for events in done for event in events if event[0] == "move"]
    assert (30, 40) in places if kind == "pixels" else (38, 32) in places


def test_a_drag_goes_the_same_way(screen: Xserver, witness: Witness, replaying: Replaying) -> None:
    way = {"start_coordinate": [600, 600], "path": [[650, 500]], "coordinate": [700, 650]}
    sandbox = replaying(screen.display)
    assert redo_tool("drag", {**way, "duration": 0.1, "button": "middle"}, sandbox)
    seen = witness.seen("move", "button", "button up")
    assert seen[0] == ("move", (600, 600)) and seen[-2:] == [
        ("move", (700, 650)),
        ("button up", 2),
    ]
    assert ("move", (650, 500)) in seen and seen.index(("button", 2)) < 3


def test_a_place_on_a_picture_that_was_scaled_down_is_the_same_on_the_screen(
    screens: Start, replaying: Replaying
) -> None:
    screen = screens(1920, 1080)  # shown as 1280x720

    async def body(_: ClientSession, say: Say) -> None:
        text(await say("mouse_move", coordinate=[1279, 360]))

    talk(screen.server(), body)
    there = screen.mouse()
    sandbox = replaying(screen.display)
    sandbox.desktop.move(0, 0)
    assert redo_tool("mouse_move", {"coordinate": [1279, 360]}, sandbox)
    assert screen.mouse() == there == (1919, 540)


def test_a_window_is_found_again_by_what_the_bridge_called_it(
    screens: Start, replaying: Replaying
) -> None:
    first, second = screens(), screens()
    first.furnish()
    said = []

    async def body(_: ClientSession, say: Say) -> None:
        window = (await say("list_windows")).structured_content["windows"][-1]
        said.append(text(await say("activate_window", window=window["id"])))

    talk(first.server(), body)
    assert re.fullmatch(r'Window \d+, "notes" of "XTerm", is in front and .*', said[0])
    for end in (first, second):
        end.end()
    second.start()
    typed = second.furnish()
    sandbox = replaying(second.display)
    # An id of nothing: the name alone finds it. In JSON, as some programs keep it.
    for answer in (said[0], said[0].replace('"', '\\"')):
        assert redo_tool("activate_window", {"window": 1}, sandbox, {"said": answer})
    assert redo_tool("write_clipboard", {"text": "Grüße"}, sandbox)
    assert sandbox.desktop.clipboard() == "Grüße"
    assert redo_tool("type", {"text": "again\n"}, sandbox)
    assert redo_tool("key", {"keys": ["ctrl", "d"]}, sandbox)
    until(lambda: typed.read_text() == "again\n")
    # Without a name it may be another's; it fails as a call may.
    assert redo_tool("activate_window", {"window": 1}, sandbox)
    assert not redo_tool("activate_window", {"window": "notes"}, sandbox)


def test_what_only_looks_is_not_done_again(replaying: Replaying) -> None:
    sandbox = replaying(":nowhere")  # where a look would fail
    assert not any(redo_tool(name, {}, sandbox) for name in LOOKS)
    with pytest.raises(Fault, match="recorded call fly of the bridge cannot be done again"):
        redo_tool("fly", {}, sandbox)


def test_every_tool_of_the_bridge_is_known(screen: Xserver) -> None:
    offered: list[Mapping[str, object]] = []

    async def body(session: ClientSession, _: Say) -> None:
        offered.extend(tool.model_dump() for tool in (await session.list_tools()).tools)

    talk(screen.server(), body)
    assert {tool["name"] for tool in offered} == LOOKS | DOES
