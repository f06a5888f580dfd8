"""What an agent does at a desktop: each call does it and says in a few words what was done.

Knows nothing of MCP. Places are as the model names them, here and in what is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from .album import Album
from .calls import pause
from .coordinates import Coordinates
from .screen import Screen, ScreenError
from .shrink import Scale, bounded, scaled

__all__ = ["DIRECTIONS", "LONGEST", "MOST_SECONDS", "Actions"]

LONGEST = 1366  # pixels of a picture's longer side that current models see without losing any
MOST_SECONDS = 60
UNKNOWN = "[x, y]; get_screen_size says which there are"
DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}

Place = Sequence[float]


class Actions:
    """A screen, and how a model is shown it."""

    def __init__(
        self, display: str, kind: str, *, longest: int, most_bytes: int, album: Album
    ) -> None:
        self._display = display
        self.screen = Screen(display)
        self._kind, self._longest, self._most_bytes = kind, longest, most_bytes
        self._album = album
        self._told = UNKNOWN

    def start_over(self) -> None:
        """Leave a screen on which another thread is stuck, and connect anew."""
        self.screen = Screen(self._display)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do a whole call alone; one that was given up may still be at its last step."""
        with self.screen.turn:
            yield

    def told(self) -> str:
        """How places are named, in a description; as it last was while a call is at work."""
        if self.screen.turn.acquire(blocking=False):
            try:
                self._told = self.places.told()
            except ScreenError:  # no screen yet, or no more; a call will say so
                self._told = UNKNOWN
            finally:
                self.screen.turn.release()
        return self._told

    @property
    def places(self) -> Coordinates:
        """How places are named; asked anew each time, for a screen can change its size."""
        width, height = self.screen.size()
        return Coordinates(self._kind, Scale.to(self._longest, width, height), width, height)

    def screenshot(self) -> bytes:
        png = scaled(self.screen.screenshot(), self.places.scale)
        png = bounded(png, self._most_bytes)
        self._album.keep(png)
        return png

    def get_screen_size(self) -> tuple[str, dict[str, object]]:
        places = self.places
        width, height = places.shown
        said = f"The screenshot is {width}x{height} pixels. A place is {places.told()}."
        return said, {"width": width, "height": height}

    def cursor_position(self) -> tuple[str, dict[str, object]]:
        x, y = self.places.to_model(*self.screen.cursor())
        return f"[{x}, {y}]", {"x": x, "y": y}

    def wait(self, duration: float) -> str:
        seconds = min(duration, MOST_SECONDS)
        pause(seconds)
        return f"Waited {seconds:g} s" + (", the most there is." if duration > seconds else ".")

    def mouse_move(self, coordinate: Place) -> str:
        self.screen.move(*self.places.to_screen(coordinate))
        return f"Moved to {_named(coordinate)}."

    def click(
        self,
        coordinate: Place | None = None,
        button: str = "left",
        clicks: int = 1,
        keys: Sequence[str] = (),
    ) -> str:
        x, y = self.places.to_screen(coordinate) if coordinate else self.screen.cursor()
        with self._held(keys):
            self.screen.click(x, y, button=button, times=clicks)
        said = {1: "Clicked", 2: "Double-clicked", 3: "Triple-clicked"}[clicks]
        return f"{said} {button} at {self._at(coordinate, x, y)}."

    def double_click(
        self, coordinate: Place | None = None, button: str = "left", keys: Sequence[str] = ()
    ) -> str:
        return self.click(coordinate, button, 2, keys)

    def triple_click(
        self, coordinate: Place | None = None, button: str = "left", keys: Sequence[str] = ()
    ) -> str:
        return self.click(coordinate, button, 3, keys)

    def drag(
        self,
        coordinate: Place,
        start_coordinate: Place | None = None,
        path: Sequence[Place] = (),
        button: str = "left",
        duration: float = 0.3,
    ) -> str:
        places = self.places
        start = places.to_screen(start_coordinate) if start_coordinate else self.screen.cursor()
        way = [places.to_screen(place) for place in (*path, coordinate)]
        self.screen.drag([start, *way], button=button, seconds=duration)
        return (
            f"Dragged {button} from {self._at(start_coordinate, *start)} to {_named(coordinate)}."
        )

    def mouse_down(self, button: str = "left") -> str:
        self.screen.press(button)
        return f"The {button} button is down."

    def mouse_up(self, button: str = "left") -> str:
        self.screen.release(button)
        return f"The {button} button is up."

    def scroll(
        self,
        direction: str,
        amount: int = 3,
        coordinate: Place | None = None,
        keys: Sequence[str] = (),
    ) -> str:
        x, y = self.places.to_screen(coordinate) if coordinate else self.screen.cursor()
        down, right = DIRECTIONS[direction]
        with self._held(keys):
            self.screen.scroll(x, y, down=down * amount, right=right * amount)
        return f"Scrolled {direction} by {amount} at {self._at(coordinate, x, y)}."

    def type(self, text: str) -> str:
        self.screen.type(text)
        return f"Typed {len(text)} characters."

    def key(self, keys: Sequence[str]) -> str:
        self.screen.keys(_chord(keys))
        return f"Pressed {_chord(keys)}."

    def hold_key(self, keys: Sequence[str], duration: float) -> str:
        self.screen.keys(_chord(keys), seconds=duration)
        return f"Held {_chord(keys)} for {duration:g} s."

    def key_down(self, keys: Sequence[str]) -> str:
        self.screen.keys_down(_chord(keys))
        return f"{_chord(keys)} is down."

    def key_up(self, keys: Sequence[str]) -> str:
        self.screen.keys_up(_chord(keys))
        return f"{_chord(keys)} is up."

    def list_windows(self) -> tuple[str, dict[str, object]]:
        places, found = self.places, []
        for window in self.screen.windows():
            x, y = places.to_model(window.x, window.y)
            width, height = places.to_model(window.width, window.height)
            found.append(asdict(window) | {"x": x, "y": y, "width": width, "height": height})
        lines = [json.dumps(window, ensure_ascii=False) for window in found]
        return "\n".join(lines) or "No window is open.", {"windows": found}

    def activate_window(self, window: int) -> str:
        self.screen.activate(window)
        # By name as well: in another session, where this is done again, its id is another.
        found = next((each for each in self.screen.windows() if each.id == window), None)
        named = [json.dumps(each) for each in (found.title, found.program)] if found else []
        called = f", {' of '.join(named)}," if named else ""
        return f"Window {window}{called} is in front and has the keyboard."

    def read_clipboard(self) -> str:
        return self.screen.clipboard()

    def write_clipboard(self, text: str) -> str:
        self.screen.set_clipboard(text)
        return f"The clipboard holds {len(text)} characters."

    @contextmanager
    def _held(self, keys: Sequence[str]) -> Iterator[None]:
        if not keys:
            yield
            return
        self.screen.keys_down(_chord(keys))
        try:
            yield
        finally:
            self.screen.keys_up(_chord(keys))

    def _at(self, coordinate: Place | None, x: int, y: int) -> str:
        return _named(coordinate or self.places.to_model(x, y))


def _named(place: Place) -> str:
    return f"[{place[0]:g}, {place[1]:g}]"


def _chord(keys: Sequence[str]) -> str:
    return "+".join(keys)
