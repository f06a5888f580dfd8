"""Desktop calls as data: a method's name with plain arguments, and its answer made plain.

Knows nothing of who calls: task code in its own process, a recorder, a replay.
"""

from __future__ import annotations

import base64
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import cast, get_args

from pytest_ale.sandbox import Button, Desktop, Window
from pytest_ale.text import one_line, shown

__all__ = ["METHODS", "PREFIX", "DesktopCalls", "checked", "packed", "perform", "unpacked"]

PREFIX = "desktop."  # before a method's name, where a sandbox's other calls are named as well

# What may be called by name, with which arguments: what the protocol says and nothing else.
METHODS = {
    name: inspect.signature(method)
    for name, method in vars(Desktop).items()
    if inspect.isfunction(method) and not name.startswith("_")
}


class DesktopCalls:
    """A `Desktop` each of whose methods is one `_call`, done by whoever inherits."""

    def _call(self, method: str, **given: object) -> object:
        raise NotImplementedError

    def size(self) -> tuple[int, int]:
        return cast("tuple[int, int]", self._call("size"))

    def screenshot(self) -> bytes:
        return cast(bytes, self._call("screenshot"))

    def cursor(self) -> tuple[int, int]:
        return cast("tuple[int, int]", self._call("cursor"))

    def move(self, x: int, y: int) -> None:
        self._call("move", x=x, y=y)

    def click(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", times: int = 1
    ) -> None:
        self._call("click", x=x, y=y, button=button, times=times)

    def press(self, button: Button = "left") -> None:
        self._call("press", button=button)

    def release(self, button: Button = "left") -> None:
        self._call("release", button=button)

    def drag(
        self, path: Sequence[tuple[int, int]], *, button: Button = "left", seconds: float = 0.3
    ) -> None:
        self._call("drag", path=path, button=button, seconds=seconds)

    def scroll(self, x: int, y: int, *, down: int = 0, right: int = 0) -> None:
        self._call("scroll", x=x, y=y, down=down, right=right)

    def type(self, text: str) -> None:
        self._call("type", text=text)

    def keys(self, chord: str, *, seconds: float = 0) -> None:
        self._call("keys", chord=chord, seconds=seconds)

    def keys_down(self, chord: str) -> None:
        self._call("keys_down", chord=chord)

    def keys_up(self, chord: str) -> None:
        self._call("keys_up", chord=chord)

    def clipboard(self) -> str:
        return cast(str, self._call("clipboard"))

    def set_clipboard(self, text: str) -> None:
        self._call("set_clipboard", text=text)

    def windows(self) -> list[Window]:
        return cast("list[Window]", self._call("windows"))

    def activate(self, window: int) -> None:
        self._call("activate", window=window)


def perform(desktop: Desktop, method: str, given: Mapping[str, object]) -> object:
    """Do a call on a desktop, and nothing that the protocol does not have."""
    arguments = checked(method, given)  # first: what it does not know is not even looked up
    return getattr(desktop, method)(**arguments)


def checked(method: str, given: Mapping[str, object]) -> dict[str, object]:
    """The arguments as JSON can hold them, without those that say the default; or a TypeError."""
    if method not in METHODS:
        raise TypeError(f"a desktop has no {one_line(method, 80)}(); known: {', '.join(METHODS)}")
    try:
        METHODS[method].bind(None, **given)
    except TypeError as error:
        raise TypeError(f"desktop.{method}(): {error}") from None
    known = METHODS[method].parameters
    fitted = {name: _fitted(method, known[name], value) for name, value in given.items()}
    return {name: value for name, value in fitted.items() if value != known[name].default}


def _fitted(method: str, parameter: inspect.Parameter, value: object) -> object:
    fit, allowed = KINDS[parameter.annotation]
    try:
        if value is None and parameter.default is None:
            return None
        return fit(value)
    except (TypeError, ValueError, OverflowError):
        given = one_line(shown(value, repr), 80)
        what = f"desktop.{method}(): {parameter.name} is {given}; allowed: {allowed}"
        raise TypeError(what) from None


def _whole(value: object) -> int:
    """Whole numbers of any type, such as numpy's, that another process may not know."""
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)  # type: ignore[arg-type]  # it raises TypeError itself


def _seconds(value: object) -> float:
    seconds = float(value) if isinstance(value, float) else _whole(value)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate is no character and cannot be typed
    return str.__str__(value)


def _button(value: object) -> str:
    if value not in get_args(Button):
        raise ValueError
    return str(value)


def _path(value: object) -> list[tuple[int, int]]:
    places = cast("Iterable[tuple[object, object]]", value)
    return [(_whole(x), _whole(y)) for x, y in places]


# How an argument is made plain, and what is allowed, by its annotation in the protocol.
KINDS: dict[str, tuple[Callable[[object], object], str]] = {
    "int": (_whole, "a whole number"),
    "int | None": (_whole, "a whole number, or None"),
    "float": (_seconds, "seconds, 0 or more"),
    "str": (_text, "Unicode text"),
    "Button": (_button, " or ".join(map(repr, get_args(Button)))),
    "Sequence[tuple[int, int]]": (_path, "places, each two whole numbers"),
}


def packed(answer: object) -> object:
    """An answer as JSON can hold it."""
    if isinstance(answer, bytes):
        return base64.b64encode(answer).decode()
    if isinstance(answer, list):
        return [asdict(window) for window in answer]
    return answer


def unpacked(method: str, answer: object) -> object:
    """What `packed` made plain, as the method returns it."""
    if method == "screenshot":
        return base64.b64decode(cast(str, answer))
    if method in ("size", "cursor"):
        return tuple(cast("list[int]", answer))
    if method == "windows":
        return [Window(**window) for window in cast("list[dict[str, object]]", answer)]  # type: ignore[arg-type]
    return answer
