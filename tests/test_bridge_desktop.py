"""The desktop's MCP server, spoken to by a real MCP client, over a real X server."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from contextlib import closing

import anyio
import pytest
from mcp import ClientSession
from mcp_types import CallToolResult

from pytest_ale.bridge import screen as x11

from .bridging import (
    Say,
    Start,
    Witness,
    Xserver,
    refused,
    screen,
    screens,
    size,
    talk,
    text,
    until,
)

__all__ = ["screen", "screens"]

TOOLS = """key key_down key_up type hold_key mouse_move click double_click triple_click drag
mouse_down mouse_up scroll wait screenshot cursor_position get_screen_size read_clipboard
write_clipboard list_windows activate_window"""


@pytest.fixture
def witness(screen: Xserver) -> Iterator[Witness]:
    with closing(x11.Screen(screen.display)) as mouse:
        mouse.move(0, 0)
    found = Witness(screen)
    yield found
    found.display.close()


def shown(result: CallToolResult) -> bytes:
    assert not result.is_error, result
    assert result.content[0].type == "image" and result.content[0].mime_type == "image/png"
    return base64.b64decode(result.content[0].data)


async def told(session: ClientSession) -> str:
    """What the tools say about places."""
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(tools) == set(TOOLS.split()) and all(tool.description for tool in tools.values())
    return tools["click"].input_schema["properties"]["coordinate"]["description"]


def test_an_agent_works_a_program_by_what_it_sees(screens: Start) -> None:
    screen = screens()
    typed = screen.furnish()

    async def body(_: ClientSession, say: Say) -> None:
        window = (await say("list_windows")).structured_content["windows"][-1]
        assert window["title"] == "notes" and window["program"] == "XTerm"
        assert f"there are: {window['id']}" in refused(await say("activate_window", window=1))
        text(await say("activate_window", window=window["id"]))
        text(await say("click", coordinate=[window["x"] + 50, window["y"] + 50]))
        text(await say("type", text="Grüße, 世界 🙂\n"))
        text(await say("key", keys=["ctrl", "d"]))
        before = shown(await say("screenshot"))
        assert size(before) == (1280, 800)
        text(await say("mouse_move", coordinate=[20, 20]))
        after = shown(await say("screenshot"))
        assert before != after
        kept = sorted((screen.folder / "shots").glob("*.png"))
        assert [path.read_bytes() for path in kept] == [before, after]

    talk(screen.server(), body)
    until(lambda: typed.read_text() == "Grüße, 世界 🙂\n")


def test_every_way_to_click_arrives(screen: Xserver, witness: Witness) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        text(await say("mouse_move", coordinate=[0, 799]))
        assert screen.mouse() == (0, 799)
        assert text(await say("click", coordinate=[9, 8], button="right")) == (
            "Clicked right at [9, 8]."
        )
        assert witness.seen("button", "button up") == [("button", 3), ("button up", 3)]
        # As some models write it.
        text(await say("double_click", coordinate="[900, 700]", keys="ctrl"))
        assert witness.seen("button", "key") == [("key", None), *[("button", 1)] * 2]
        text(await say("triple_click"))
        assert witness.seen("button") == [("button", 1)] * 3 and screen.mouse() == (900, 700)
        text(await say("click", clicks=2, button="middle"))
        assert witness.seen("button") == [("button", 2)] * 2
        text(await say("mouse_down"))
        assert screen.held() == (0, 1)
        text(await say("mouse_up"))
        assert screen.held() == (0, 0)

    talk(screen.server(), body)


def test_drags_pass_by_and_wheels_turn(screen: Xserver, witness: Witness) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        way = {"start_coordinate": [600, 600], "path": [[650, 500]], "coordinate": [700, 650]}
        text(await say("drag", **way, duration=0.1))
        passed = witness.seen("move", "button", "button up")
        assert passed.index(("button", 1)) < passed.index(("move", (650, 500)))
        assert passed[-2:] == [("move", (700, 650)), ("button up", 1)] and len(passed) > 10
        assert (await say("cursor_position")).structured_content == {"x": 700, "y": 650}
        assert text(await say("scroll", direction="down", coordinate=[5, 6], amount=2)) == (
            "Scrolled down by 2 at [5, 6]."
        )
        text(await say("scroll", direction="left", amount=1))
        assert witness.seen("button") == [("button", 5), ("button", 5), ("button", 6)]

    talk(screen.server(), body)


def test_keys_are_pressed_held_and_let_go(screen: Xserver, witness: Witness) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        text(await say("type", text="ab"))
        text(await say("key", keys="c"))
        keys = [("key", "a"), ("key up", "a"), ("key", "b"), ("key up", "b")]
        assert witness.seen("key", "key up") == [*keys, ("key", "c"), ("key up", "c")]
        text(await say("key_down", keys=["ctrl", "x"]))
        assert screen.held() == (2, 0)
        text(await say("key_up", keys=["ctrl", "x"]))
        assert screen.held() == (0, 0)
        start = time.monotonic()
        text(await say("hold_key", keys=["y"], duration=0.2))
        assert time.monotonic() - start >= 0.2 and ("key", "y") in witness.seen("key")

    talk(screen.server(), body)


def test_the_clipboard_is_the_one_that_programs_have(screen: Xserver) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        text(await say("write_clipboard", text="naïve"))
        assert screen.says("xclip", "-o", "-selection", "clipboard") == "naïve"
        assert text(await say("read_clipboard")) == "naïve"
        assert "no window manager" in refused(await say("list_windows"))

    talk(screen.server(), body)


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("click", {"coordinate": [1280, 5]}, "[1280, 5] is off the screen: give [x, y] in pixels"),
    ("click", {"coordinate": [1, -1]}, "which is 1280x800: x 0 to 1279, y 0 to 799"),
    ("click", {"coordinate": [1]}, "'coordinate': [1] is too short"),
    ("click", {"x": 1, "y": 2}, "there is no 'x'; there is no 'y'. Its arguments: coordinate"),
    ("drag", {"coordinate": [1, 1], "path": [[5, 800]]}, "[5, 800] is off the screen"),
    ("type", {}, "'text' is missing"),
    ("screenshot", {"path": "a"}, "there is no 'path'. It takes no arguments."),
    ("scroll", {"direction": "north"}, "'north' is not one of ['up', 'down', 'left', 'right']"),
    ("key", {"keys": ["ctrl", "nosuchkey"]}, "nosuchkey"),
    ("hold_key", {"keys": ["a"], "duration": 61}, "61 is greater than the maximum of 60"),
    ("wait", {"duration": "long"}, "'long' is not of type 'number'"),
    ("teleport", {}, "there is no tool 'teleport'; there are screenshot, "),
]


def test_a_wrong_call_is_told_what_is_allowed(screen: Xserver) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        for name, given, said in WRONG:
            assert said in refused(await say(name, **given))
        text(await say("cursor_position"))

    talk(screen.server(), body)


def test_a_large_screen_is_shown_scaled_and_clicks_are_scaled_back(screens: Start) -> None:
    screen = screens(1920, 1080)

    async def body(session: ClientSession, say: Say) -> None:
        assert "1280x720: x 0 to 1279, y 0 to 719" in await told(session)
        assert size(shown(await say("screenshot"))) == (1280, 720)
        assert (await say("get_screen_size")).structured_content == {"width": 1280, "height": 720}
        text(await say("mouse_move", coordinate=[1279, 360]))
        assert screen.mouse() == (1919, 540)
        assert (await say("cursor_position")).structured_content == {"x": 1279, "y": 360}
        assert "in pixels of the screenshot, which is 1280x720" in refused(
            await say("mouse_move", coordinate=[1280, 360])
        )

    talk(screen.server(), body)


def test_a_picture_stays_within_its_bytes(screens: Start) -> None:
    """Though it is of noise, 770 KB as it is."""
    screen = screens(640, 400)
    with closing(Witness(screen).display) as display:
        root = display.screen().root
        context = root.create_gc(subwindow_mode=1)
        for top in range(0, 400, 50):
            root.put_image(context, 0, top, 640, 50, 2, 24, 0, os.urandom(640 * 50 * 4))
        display.sync()

        async def body(_: ClientSession, say: Say) -> None:
            small = shown(await say("screenshot"))
            assert size(small) == (640, 400) and 100_000 < len(small) <= 200_000

        talk(screen.server("--bytes=200000"), body)


def test_places_can_be_named_from_0_to_1000(screen: Xserver) -> None:
    async def body(session: ClientSession, say: Say) -> None:
        assert "from 0 to 1000" in await told(session)
        text(await say("mouse_move", coordinate=[1000, 500]))
        assert screen.mouse() == (1279, 400)
        assert (await say("cursor_position")).structured_content == {"x": 1000, "y": 501}
        assert "0 to 1000" in refused(await say("click", coordinate=[1001, 5]))

    talk(screen.server("--coordinates=thousandths"), body)


def test_it_outlives_its_x_server_and_finds_the_next(screens: Start) -> None:
    """At a number that no server chooses by itself: another could come in between."""
    screen = screens(display=f":{1000 + os.getpid() % 50_000}")

    async def body(_: ClientSession, say: Say) -> None:
        text(await say("write_clipboard", text="a"))
        screen.end()
        for name, given in (("screenshot", {}), ("key", {"keys": ["a"]}), ("read_clipboard", {})):
            assert screen.display in refused(await say(name, **given))
        screen.start()
        assert size(shown(await say("screenshot"))) == (1280, 800)
        text(await say("write_clipboard", text="b"))
        assert text(await say("read_clipboard")) == "b"

    talk(screen.server(), body)


def test_calls_at_once_are_done_one_after_the_other(screen: Xserver, witness: Witness) -> None:
    """And the tools can be listed meanwhile."""
    starts = [[100 * place, 100] for place in range(1, 4)]

    async def body(session: ClientSession, say: Say) -> None:
        async def drag(start: list[int]) -> None:
            to = [start[0], 200]
            text(await say("drag", start_coordinate=start, coordinate=to, duration=0.2))

        async with anyio.create_task_group() as group:
            for start in starts:
                group.start_soon(drag, start)
            for _ in range(20):
                assert "1280x800" in await told(session)

    talk(screen.server(), body)
    moves = [place for _, place in witness.seen("move")]
    order = list(dict.fromkeys(x for x, _ in moves if x))
    assert sorted(order) == [100, 200, 300]
    assert [x for x, _ in moves if x] == sorted((x for x, _ in moves if x), key=order.index)
