"""A sandbox's screen, mouse and windows as a person would have them, by witnesses inside it."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_ale.channels.contained import Contained
from pytest_ale.sandbox import DesktopError, Window

from .witnesses import (
    BACKGROUND,
    CTRL,
    IDLE,
    LEFT_HELD,
    SHIFT,
    WHITE,
    Picture,
    Seen,
    box,
    catcher,
    caught,
    launch,
    sandbox,
    seen,
    shared,
    until,
)

__all__ = ["box", "seen", "shared"]

pytestmark = pytest.mark.once

# The screen.


def is_placed(window: Window, said: str) -> bool:
    """Is a window where xwininfo sees it?"""
    place = all(f"{each}:  {at}\n" in said for each, at in (("X", window.x), ("Y", window.y)))
    return place and f"Width: {window.width}\n  Height: {window.height}\n" in said


def test_ready_means_that_a_window_can_be_opened_and_seen(docker_engine: None) -> None:
    with sandbox(1024, 768) as box:
        before = Picture(box.desktop.screenshot())
        window = launch(box, "xterm")
        corner = window.x + window.width - 30, window.y + window.height - 30
        until(lambda: Picture(box.desktop.screenshot())[corner] == WHITE)
        assert before[corner] == BACKGROUND
        assert (before.width, before.height) == box.desktop.size() == (1024, 768)
        said = box.exec("xdpyinfo | grep dimensions; xwininfo -name xterm").stdout
        assert "1024x768 pixels" in said and is_placed(window, said)


def test_a_screenshot_shows_where_the_cursor_is(box: Contained) -> None:
    box.desktop.move(700, 300)
    one = Picture(box.desktop.screenshot())
    box.desktop.move(900, 500)
    two = Picture(box.desktop.screenshot())
    assert box.desktop.cursor() == (900, 500)
    for picture, here, away in ((one, (701, 303), (901, 503)), (two, (901, 503), (701, 303))):
        assert picture[here] != BACKGROUND and picture[away] == BACKGROUND


def test_a_place_off_the_screen_is_refused(box: Contained) -> None:
    allowed = "x is 0 to 1279, y is 0 to 799"
    for x, y in ((1280, 5), (5, 800), (-1, 5), (5, -1)):
        for act in (box.desktop.click, box.desktop.move, box.desktop.scroll):
            with pytest.raises(DesktopError, match=allowed):
                act(x, y)
    with pytest.raises(DesktopError, match=allowed):
        box.desktop.drag([(5, 5), (5, 5000)])
    for corner in ((0, 0), (1279, 0), (0, 799), (1279, 799)):
        box.desktop.move(*corner)
        assert box.desktop.cursor() == corner
        assert Picture(box.desktop.screenshot()).height == 800


# The mouse.


def test_every_button_arrives_with_what_is_held(box: Contained, seen: Seen) -> None:
    for number, button in enumerate(("left", "middle", "right"), 1):
        box.desktop.click(button=button)  # type: ignore[arg-type]
        assert seen("button", "button up") == [
            ("button", number, 0),
            ("button up", number, 128 << number),
        ]
    x, y = seen.place
    box.desktop.click(x, y, times=3)
    assert seen("button") == [("button", 1, 0)] * 3
    box.desktop.keys_down("ctrl+shift")
    box.desktop.click(x + 5, y + 5)
    box.desktop.keys_up("ctrl+shift")
    box.desktop.click()
    assert [state for _, _, state in seen("button")] == [CTRL | SHIFT, 0]
    box.desktop.press()
    box.desktop.move(300, 200)
    box.desktop.release()
    assert [state for _, _, state in seen("move", "button up")] == [LEFT_HELD] * 2


def test_a_drag_passes_by_its_way(box: Contained, seen: Seen) -> None:
    x, y = seen.place
    box.desktop.drag([(x + 10, y + 10), (x + 210, y + 10), (x + 210, y + 110)], seconds=0.1)
    told = seen("button", "move", "button up")
    start = told.index(("button", 1, 0))
    assert told[start - 1] == ("move", [10, 10], 0) and told[-1] == ("button up", 1, LEFT_HELD)
    moves = told[start + 1 : -1]
    assert len(moves) > 5 and ("move", [210, 10], LEFT_HELD) in moves
    assert moves[-1] == ("move", [210, 110], LEFT_HELD)


def test_a_window_is_dragged_by_its_title(box: Contained) -> None:
    window = launch(box, "xterm")
    at = window.x + 200, window.y - 10
    box.desktop.drag([at, (at[0] - 50, at[1] + 30)])
    moved = lambda: [(w.x - window.x, w.y - window.y) for w in box.desktop.windows()]  # noqa: E731
    until(lambda: moved() == [(-50, 30)])


def test_the_wheel_turns_in_four_directions(box: Contained, seen: Seen) -> None:
    turns = {4: {"down": -3}, 5: {"down": 3}, 6: {"right": -3}, 7: {"right": 3}}
    for number, turn in turns.items():
        box.desktop.scroll(300, 300, **turn)
        assert [what for _, what, _ in seen("button")] == [number] * 3


def test_a_triple_click_selects_a_line(box: Contained) -> None:
    window = launch(box, "xterm", "-e", "sh", "-c", "printf 'one line of words\\nanother'; cat")
    bottom = [(window.x + x, window.y + 30) for x in range(60)]  # of its second line
    shown = lambda: Picture(box.desktop.screenshot())  # noqa: E731
    until(lambda: any(picture[place] != WHITE for picture in [shown()] for place in bottom))
    for times, selected in ((2, "line"), (3, "one line of words")):
        time.sleep(0.6)  # else it would be a click more of the last ones
        box.desktop.click(window.x + 60, window.y + 12, times=times)
        until(lambda selected=selected: box.desktop.clipboard().strip() == selected)


# Windows.

TITLES = """
import time
from Xlib import X, display
screen = display.Display()
text, utf8 = screen.get_atom("STRING"), screen.get_atom("UTF8_STRING")
for kind, form, data in ((utf8, 8, "Grüße, 世界 🙂".encode()), (utf8, 8, b"a\\x1b[31m\\n\\0\\x07b"),
    (text, 8, "Grüße".encode("latin-1")), (text, 8, b"\\xff\\xfe\\x80"), (utf8, 8, b""),
    (utf8, 32, [1, 2]), (utf8, 8, "世".encode() * 40_000)):
    window = screen.screen().root.create_window(0, 0, 99, 99, 0, X.CopyFromParent)
    for _ in range(9 if len(data) > 9999 else 1):
        window.change_property(screen.get_atom("WM_NAME"), kind, form, data, X.PropModeAppend)
    window.map()
screen.sync()
time.sleep(1000)
"""


def test_any_title_is_shown_as_far_as_can_be(box: Contained) -> None:
    box.write("/tmp/titles", "#!/usr/bin/python3" + TITLES)
    box.exec("chmod +x /tmp/titles; setsid -f /tmp/titles", check=True)
    until(lambda: len(box.desktop.windows()) == 7)
    titles = {window.title for window in box.desktop.windows()}
    assert {"Grüße, 世界 🙂", "a\x1b[31m\n", "Grüße", "Unnamed Window", "世" * 1000} <= titles


def test_windows_are_listed_and_brought_to_the_front(box: Contained) -> None:
    first = launch(box, "xterm", "-T", "first 世界", "-geometry", "80x20+10+10", *IDLE)
    second = launch(
        box, "xterm", "-T", "second", "-class", "Other", "-geometry", "80x20+90+90", *IDLE
    )
    one, two = box.desktop.windows()
    assert (one.title, one.program, one.active) == ("first 世界", "XTerm", False)
    assert (two.title, two.program, two.active) == ("second", "Other", True)
    assert is_placed(two, box.exec(f"xwininfo -id {two.id}").stdout)
    box.desktop.activate(first.id)
    assert [(w.id, w.active) for w in box.desktop.windows()] == [
        (second.id, False),
        (first.id, True),
    ]
    with pytest.raises(DesktopError, match=rf"no window 5; there are: {second.id}, {first.id}"):
        box.desktop.activate(5)


def test_a_window_that_was_put_away_is_brought_back(box: Contained) -> None:
    window = launch(box, "xterm")
    time.sleep(0.3)  # for its frame
    box.desktop.click(window.x + window.width - 47, window.y - 11)  # the title's first button
    until(lambda: not box.desktop.windows()[0].active)
    assert "IsUnMapped" in box.exec(f"xwininfo -id {window.id}").stdout
    box.desktop.activate(window.id)
    assert box.desktop.windows()[0].active
    assert "IsViewable" in box.exec(f"xwininfo -id {window.id}").stdout


# A screen that is busy.

GRAB = """
import sys, time
from Xlib import X, display
screen = display.Display()
root = screen.screen().root
if sys.argv[1] == "server":
    screen.grab_server()
else:
    root.grab_keyboard(False, X.GrabModeAsync, X.GrabModeAsync, X.CurrentTime)
    root.grab_pointer(False, 0, X.GrabModeAsync, X.GrabModeAsync, X.NONE, X.NONE, X.CurrentTime)
screen.sync()
open("/tmp/grabbed.txt", "w").close()
time.sleep(float(sys.argv[2]))
"""


def grab(box: Contained, what: str, seconds: float) -> None:
    box.write("/tmp/grab", "#!/usr/bin/python3" + GRAB)
    box.exec(f"chmod +x /tmp/grab; setsid -f /tmp/grab {what} {seconds}", check=True)
    until(lambda: not box.exec("test -e /tmp/grabbed.txt").returncode)


def everything(box: Contained, window: Window) -> None:
    box.desktop.type("aä世")
    box.desktop.click(5, 5)
    box.desktop.screenshot()
    box.desktop.activate(window.id)
    box.desktop.set_clipboard("x")
    assert box.desktop.clipboard() == "x"


def test_a_program_that_takes_all_input_does_not_hang_us(box: Contained) -> None:
    window = launch(box, "xterm")
    grab(box, "input", 1000)
    everything(box, window)


def test_a_program_that_takes_the_whole_server_is_waited_for(box: Contained) -> None:
    window = launch(box, "xterm")
    grab(box, "server", 1)
    everything(box, window)


def test_an_open_menu_does_not_hang_us(box: Contained) -> None:
    window = launch(box, "xterm")
    box.desktop.click(1200, 100, button="right")
    everything(box, window)
    box.desktop.keys("Escape")


def test_a_program_that_hangs_has_it_later(box: Contained) -> None:
    box.write("/tmp/note.txt", "")
    launch(box, "l3afpad", "/tmp/note.txt")
    box.desktop.type("Grüße 世界, ")
    box.exec("pkill -STOP l3afpad", check=True)
    box.desktop.type("世界 Grüße")
    box.desktop.keys("ctrl+s")
    with pytest.raises(DesktopError, match=r"does not take the keys .* of 250 were typed"):
        box.desktop.type("".join(chr(0x4E00 + number) for number in range(250)))
    box.exec("pkill -CONT l3afpad", check=True)
    until(lambda: box.read("/tmp/note.txt"))
    assert box.read("/tmp/note.txt").decode() == "Grüße 世界, 世界 Grüße"


def test_threads_share_a_desktop(box: Contained) -> None:
    catcher(box)
    done = []

    def work(number: int) -> None:
        for _ in range(5):
            box.desktop.type(f"{number} 世界\n")
            assert Picture(box.desktop.screenshot()).width == 1280
            assert len(box.desktop.windows()) == 1
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(8))
    until(lambda: caught(box).count("\n") == 40)
    assert sorted(caught(box).splitlines()) == sorted(5 * [f"{number} 世界" for number in range(8)])
