"""What tests of the desktop share: a sandbox that has one, and witnesses of what happens in it."""

from __future__ import annotations

import json
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from Xlib import XK

from pytest_ale.channels.contained import Contained
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import SandboxSpec, Window

# A window that writes down what happens to it, as a program sees it: an event a line.
WITNESS = """
import json, sys
from Xlib import X, display
names = {2: "key", 3: "key up", 4: "button", 5: "button up", 6: "move"}
screen = display.Display()
window = screen.screen().root.create_window(
    200, 150, 600, 400, 0, X.CopyFromParent, background_pixel=0xffffff,
    event_mask=X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask
    | X.PointerMotionMask)
window.set_wm_name("witness")
window.set_wm_class("witness", "Witness")
window.set_wm_normal_hints(flags=1, x=200, y=150)
window.map()
with open("/tmp/seen", "w", 1) as seen:
    while True:
        event = screen.next_event()
        if event.type == X.MappingNotify:
            screen.refresh_keyboard_mapping(event)
        elif event.type in names:
            place = [event.event_x, event.event_y] if event.type == 6 else event.detail
            if event.type in (2, 3):
                place = screen.keycode_to_keysym(event.detail, event.state & 1)
            print(json.dumps([names[event.type], place, event.state & 0x1fff]), file=seen)
"""
SHIFT, CTRL, ALT, LEFT_HELD = 1, 4, 8, 256
BACKGROUND, WHITE = (0x34, 0x56, 0x6F), (0xFF, 0xFF, 0xFF)
IDLE = ("-e", "sleep", "1000")

T = TypeVar("T")


def until(true: Callable[[], T], seconds: float = 20) -> T:
    """What is true at last."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not in {seconds:g} s"
        time.sleep(0.02)
    return found


@contextmanager
def sandbox(width: int, height: int) -> Iterator[Contained]:
    provider, lease = DockerProvider(), uuid.uuid4().hex[:12]
    try:
        yield provider.create(lease, SandboxSpec(desktop=True, memory_gb=1, screen=(width, height)))
    finally:
        provider.destroy(lease)


@pytest.fixture(scope="module")
def shared(docker_engine: None) -> Iterator[Contained]:
    with sandbox(1280, 800) as box:
        box.write("/tmp/witness", "#!/usr/bin/python3" + WITNESS)
        box.exec("chmod +x /tmp/witness", check=True)
        yield box


@pytest.fixture
def box(shared: Contained) -> Iterator[Contained]:
    """A desktop with nothing open."""
    yield shared
    programs = "witness|titles|grab|xterm|l3afpad|xclip"
    shared.exec(f"pkill '{programs}'; setxkbmap us; rm -f /tmp/typed /tmp/*.txt")
    until(lambda: not shared.desktop.windows())


def launch(box: Contained, *words: str) -> Window:
    """Start a program and return its window, which has the keyboard."""
    before = {window.id for window in box.desktop.windows()}
    box.exec(["setsid", "-f", *words])
    new = lambda: [w for w in box.desktop.windows() if w.active and w.id not in before]  # noqa: E731
    return until(new)[0]


def catcher(box: Contained) -> None:
    """A terminal that writes what is typed into a file, a line at a time."""
    launch(box, "xterm", "-e", "sh", "-c", "stty -echo; cat > /tmp/typed")
    until(lambda: not box.exec("test -e /tmp/typed").returncode)


class Seen:
    """What a window was told since the last look."""

    def __init__(self, box: Contained) -> None:
        self.box, self.looked = box, 0
        self.window = launch(box, "/tmp/witness")
        self.place = self.window.x, self.window.y
        box.desktop.move(self.window.x + 300, self.window.y + 200)

    def __call__(self, *kinds: str) -> list[tuple[str, object, int]]:
        """Until a key that is pressed now: what came before it is there then."""
        self.box.desktop.keys("F35")
        mark = ["key up", XK.XK_F35]
        until(lambda: [each[:2] for each in self._read()[-1:]] == [mark])
        found = self._read()
        self.looked += len(found)
        return [(kind, what, state) for kind, what, state in found[:-2] if kind in kinds]

    def _read(self) -> list[list[object]]:
        lines = self.box.read("/tmp/seen").decode().splitlines()
        return [json.loads(line) for line in lines[self.looked :]]


@pytest.fixture
def seen(box: Contained) -> Seen:
    return Seen(box)


class Picture:
    """A screenshot's pixels; each of our rows begins with a 0, for a filter that is none."""

    def __init__(self, png: bytes) -> None:
        self.width, self.height = struct.unpack_from(">II", png, 16)
        size = struct.unpack_from(">I", png, 33)[0]
        self.rows = zlib.decompress(png[41 : 41 + size])

    def __getitem__(self, place: tuple[int, int]) -> tuple[int, ...]:
        at = place[1] * (3 * self.width + 1) + 1 + 3 * place[0]
        return tuple(self.rows[at : at + 3])


def caught(box: Contained) -> str:
    """The lines that were typed into a catcher."""
    return box.read("/tmp/typed").decode()
