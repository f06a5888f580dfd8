"""A sandbox's keyboard and clipboard as a person would have them, by witnesses inside it."""

from __future__ import annotations

import signal
import string
import threading
import time
from collections.abc import Callable

import pytest
from Xlib import XK

from pytest_ale.channels.contained import Contained
from pytest_ale.sandbox import DesktopError

from .witnesses import (
    ALT,
    CTRL,
    SHIFT,
    Seen,
    box,
    catcher,
    caught,
    launch,
    seen,
    shared,
    until,
)

__all__ = ["box", "seen", "shared"]

pytestmark = pytest.mark.once

# The keyboard.


def held(box: Contained) -> str:
    """What the server has as held: buttons and modifiers."""
    ask = "from Xlib.display import Display as D; print(D().screen().root.query_pointer().mask)"
    return box.exec(["/usr/bin/python3", "-c", ask], check=True).stdout.strip()


ASCII = "".join(chr(code) for code in range(0x20, 0x7F))
MANY = "".join(chr(0x4E00 + 7 * number) for number in range(250))
TEXTS = [
    ASCII,
    "Grüße aus Köln: Äpfel, 5 €, „süß“",
    "Ελληνικά, кириллица, עברית, ไทย",
    "世界、日本語テスト、한국어",
    "🙂🎉👍🏽 ❤️ 𒀀𝄞",
    "aa  bb^^``~~''\"\"¨¨ñÑ",
    MANY,
]


def test_what_is_typed_arrives_in_a_terminal(box: Contained) -> None:
    catcher(box)
    text = "\n".join([*TEXTS, "a\ttab", "", "end"]) + "\n"
    box.desktop.type(text)
    until(lambda: caught(box).endswith("end\n"))
    assert caught(box) == text


def test_what_is_typed_arrives_in_an_editor(box: Contained) -> None:
    box.write("/tmp/note.txt", "")
    launch(box, "l3afpad", "/tmp/note.txt")
    text = "\n".join([*TEXTS, "a\ttab", "end"])
    box.desktop.type(text)
    box.desktop.keys("ctrl+s")
    until(lambda: box.read("/tmp/note.txt").decode().endswith("end"))
    assert box.read("/tmp/note.txt").decode() == text


def test_five_thousand_letters_are_neither_lost_nor_swapped(box: Contained) -> None:
    catcher(box)
    letters = string.ascii_letters + string.digits
    text = "".join(f"{letters[n:] + letters[:n]} {n}\n" for n in range(80))
    assert len(text) > 5000
    box.desktop.type(text)
    until(lambda: len(caught(box)) >= len(text))
    assert caught(box) == text


LAYOUTS = ["de", "us -variant intl", "fr", "us,ru", "gr"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_typed_does_not_depend_on_the_layout(box: Contained, layout: str) -> None:
    catcher(box)
    box.exec(f"setxkbmap {layout}", check=True)
    text = "\n".join([*TEXTS[:4], ""])
    box.desktop.type(text)
    until(lambda: caught(box).count("\n") >= 4)
    assert caught(box) == text


def test_what_is_typed_does_not_depend_on_which_layout_is_in_use(box: Contained) -> None:
    catcher(box)
    box.exec("setxkbmap us,ru -option grp:alt_shift_toggle", check=True)
    box.desktop.keys("alt+shift")
    assert held(box) == "8192"
    text = "\n".join([*TEXTS[:4], ""])
    box.desktop.type(text)
    until(lambda: caught(box).count("\n") >= 4)
    assert caught(box) == text
    box.desktop.keys("alt+shift")
    box.exec("setxkbmap -option", check=True)
    assert held(box) == "0"


def test_shortcuts_do_not_depend_on_the_layout(box: Contained) -> None:
    launch(box, "l3afpad")
    box.exec("setxkbmap ru", check=True)
    box.desktop.type("где")
    box.desktop.keys("ctrl+a")
    box.desktop.keys("ctrl+c")
    until(lambda: box.desktop.clipboard() == "где")


def test_what_is_typed_does_not_depend_on_caps_lock(box: Contained, seen: Seen) -> None:
    box.desktop.keys("caps_lock")
    seen()
    box.desktop.type("aBc")
    keys = seen("key")
    box.desktop.keys("caps_lock")
    assert [(chr(what), state) for _, what, state in keys if 32 < what < 127] == [
        ("a", 0),
        ("B", SHIFT),
        ("c", 0),
    ]


CHORDS = {
    "ctrl+shift+t": [("Control_L", 0), ("Shift_L", CTRL), ("T", CTRL | SHIFT)],
    "super": [("Super_L", 0)],
    "Alt+F7": [("Alt_L", 0), ("F7", ALT)],
    "ctrl++": [("Control_L", 0), ("Shift_L", CTRL), ("plus", CTRL | SHIFT)],
    "KP_5": [("Shift_L", 0), ("KP_5", SHIFT)],
    "A": [("Shift_L", 0), ("A", SHIFT)],
    "ctrl+A": [("Control_L", 0), ("a", CTRL)],
}


def test_chords_are_pressed_in_order(box: Contained, seen: Seen) -> None:
    for chord, wanted in CHORDS.items():
        box.desktop.keys(chord)
        told = seen("key", "key up")
        symbols = [(XK.string_to_keysym(name), state) for name, state in wanted]
        assert [each[1:] for each in told[: len(wanted)]] == symbols, chord
        assert [kind for kind, _, _ in told] == ["key"] * len(wanted) + ["key up"] * len(wanted)


NAMES = {
    "Return": "return enter Enter RETURN",
    "Escape": "esc escape ESC",
    "Control_L": "ctrl control Control_L",
    "Page_Up": "page_up pageup PgUp Prior page-up",
    "BackSpace": "backspace Back_Space",
    "Delete": "del delete",
    "Left": "left ArrowLeft arrow_left",
    "F12": "f12 F12",
    "space": "space Space spacebar",
    "Tab": "tab",
    "Super_L": "win cmd super meta",
    "Print": "PrintScreen print",
    "KP_Enter": "kp_enter KP_Enter",
}


def test_keys_have_the_names_that_people_use(box: Contained, seen: Seen) -> None:
    for name, spellings in NAMES.items():
        for spelling in spellings.split():
            box.desktop.keys(spelling)
        told = [what for _, what, _ in seen("key")]
        assert told == [XK.string_to_keysym(name)] * len(spellings.split()), name


def test_a_key_that_is_none_is_named_with_those_near_it(box: Contained) -> None:
    with pytest.raises(DesktopError, match=r"there is no key 'Entre'; near it: .*enter"):
        box.desktop.keys("ctrl+Entre")
    with pytest.raises(DesktopError, match="empty name"):
        box.desktop.keys("ctrl+")


def test_alt_f4_closes_a_window(box: Contained) -> None:
    launch(box, "xterm")
    box.desktop.keys("alt+F4")
    until(lambda: not box.desktop.windows())


def test_keys_are_held_for_as_long_as_was_asked(box: Contained, seen: Seen) -> None:
    start = time.monotonic()
    box.desktop.keys("x", seconds=0.4)
    assert time.monotonic() - start >= 0.4
    assert seen("key", "key up")[-1] == ("key up", XK.XK_x, 0)


def interrupted(act: Callable[[], None]) -> None:
    """Do what takes long, with a Ctrl-C soon after its beginning."""
    timer = threading.Timer(0.3, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    timer.start()
    act()


def test_what_is_held_is_let_go_at_the_end(box: Contained) -> None:
    box.desktop.keys_down("ctrl+shift")
    box.desktop.press("right")
    assert held(box) == str(CTRL | SHIFT | 1024)
    box.desktop.close()  # type: ignore[attr-defined]  # as the provider does when a sandbox ends
    assert held(box) == "0"
    box.desktop.press()
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: box.desktop.keys("alt+x", seconds=60))
    assert held(box) == "0"
    assert box.desktop.size() == (1280, 800)


# The clipboard.


def pasted(box: Contained) -> str:
    said = box.exec("xclip -o -selection clipboard > /tmp/pasted.txt", timeout=20, check=True)
    assert not said.stderr
    return box.read("/tmp/pasted.txt").decode()


def copy(box: Contained, text: str) -> None:
    """Give a text to xclip, and wait: it owns the clipboard only a little after it is started."""
    box.desktop.set_clipboard("before")
    box.write("/tmp/copied.txt", text)
    box.exec("xclip -i -selection clipboard /tmp/copied.txt >/dev/null 2>&1", check=True)
    until(lambda: box.exec("xclip -o -selection clipboard | head -c 6").stdout != "before")


BIG = "Grüße, 世界 🙂\n" * 240_000


@pytest.mark.parametrize("text", ["a", "Grüße,\n\t世界 🙂\n", "", BIG], ids=len)
def test_the_clipboard_is_shared_with_programs(box: Contained, text: str) -> None:
    box.desktop.set_clipboard(text)
    assert pasted(box) == text == box.desktop.clipboard()
    copy(box, text + "!")
    assert box.desktop.clipboard() == text + "!"


def test_an_editor_pastes_and_copies(box: Contained) -> None:
    text = "Grüße, 世界 🙂\n" * 20_000  # more than fits in one piece
    box.write("/tmp/note.txt", "")
    launch(box, "l3afpad", "/tmp/note.txt")
    box.desktop.set_clipboard(text)
    box.desktop.keys("ctrl+v")
    until(lambda: box.desktop.windows()[0].title.startswith("*"))
    box.desktop.keys("ctrl+s")
    until(lambda: box.read("/tmp/note.txt"))
    assert box.read("/tmp/note.txt").decode() == text
    box.desktop.set_clipboard("")
    box.desktop.keys("ctrl+a")
    box.desktop.keys("ctrl+c")
    until(box.desktop.clipboard)
    assert box.desktop.clipboard() == text


def test_a_clipboard_that_is_too_large_is_refused(box: Contained) -> None:
    with pytest.raises(DesktopError, match="9437184 bytes: the clipboard takes 8388608"):
        box.desktop.set_clipboard("x" * (9 << 20))
    copy(box, "x" * (9 << 20))
    with pytest.raises(DesktopError, match="more than 8388608 bytes"):
        box.desktop.clipboard()
    copy(box, "less")
    assert box.desktop.clipboard() == "less"
