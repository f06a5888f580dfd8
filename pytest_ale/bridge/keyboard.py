"""The keyboard: any Unicode text and any chord, as the X server's test input.

Knows nothing of the mouse. Characters that the keyboard's map lacks are bound to keycodes that it
has to spare, as many at a time as there are. Programs look up the map when they come to a key
event, not as it was when the key went down: so a keycode is bound anew only when the program in
front has taken the keys before (`_caught_up`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from Xlib import XK, X  # type: ignore[import-untyped]
from Xlib.ext.xtest import fake_input  # type: ignore[import-untyped]

from .errors import ScreenError
from .keynames import SHIFT, chord_symbols, text_symbols
from .link import Link
from .windows import active

__all__ = ["Keyboard"]

PIECE = 200  # keys between two round trips: the server's queue and ours stay short
PONG_SECONDS = 3.0  # a program busy for longer gets what it then finds in the map
BLIND_SECONDS = 0.12  # what a program that answers no ping (xterm) gets to take its keys
NOTICE_SECONDS = 0.02  # and to take a changed map
MOST_SECONDS = 300
MOST_TEXT = 1_000_000


class Keyboard:
    """The keyboard of one screen."""

    def __init__(self, link: Link) -> None:
        self._link = link
        info = link.display.display.info
        self._first, self._count = info.min_keycode, info.max_keycode - info.min_keycode + 1
        self._keys: dict[int, tuple[int, int]] = {}  # symbol: keycode, 1 with shift
        self._spare: dict[int, int] = {}  # keycode: symbol bound to it or 0, longest unused first
        self._typed = 0.0  # when a bound key was last typed
        self._held: list[int] = []
        self._group = -1

    def type(self, text: str) -> None:
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise ScreenError(f"type takes a text of up to {MOST_TEXT} characters")
        symbols = text_symbols(text)
        self._read_map()
        with self._capitals_off():
            while symbols:
                piece = self._piece(symbols)
                self._bind(piece)
                for symbol in piece:
                    self._stroke(symbol)
                self._link.sync()
                symbols = symbols[len(piece) :]

    def keys(self, chord: str, seconds: float) -> None:
        if isinstance(seconds, bool) or not 0 <= seconds <= MOST_SECONDS:
            raise ScreenError(f"seconds={seconds!r}: give a number from 0 to {MOST_SECONDS}")
        codes = self._codes(chord)
        try:
            self._press(codes)
            time.sleep(seconds)
        finally:
            self._release(codes)

    def keys_down(self, chord: str) -> None:
        codes = self._codes(chord)
        self._held += [code for code in codes if code not in self._held]
        self._press(codes)

    def keys_up(self, chord: str) -> None:
        codes = self._codes(chord)
        self._held = [code for code in self._held if code not in codes]
        self._release(codes)

    def let_go(self) -> None:
        """Release the keys that are held."""
        self._release(self._held)
        self._held = []

    def _press(self, codes: Sequence[int]) -> None:
        for code in codes:
            self._input(X.KeyPress, code)
        self._link.sync()

    def _release(self, codes: Sequence[int]) -> None:
        for code in reversed(codes):
            self._input(X.KeyRelease, code)
        self._link.sync()

    def _input(self, kind: int, code: int) -> None:
        fake_input(self._link.display, kind, code)

    def _codes(self, chord: str) -> list[int]:
        """The keycodes that a chord presses, shift among them where a symbol needs it."""
        symbols = chord_symbols(chord)
        self._read_map()
        self._bind(symbols)
        codes: list[int] = []
        for symbol in symbols:
            code, shifted = self._keys[symbol]
            shift = self._keys[SHIFT][0]
            codes += [shift] if shifted and shift not in codes else []
            codes += [code] if code not in codes else []
        return codes

    def _stroke(self, symbol: int) -> None:
        code, shifted = self._keys[symbol]
        shift = self._keys[SHIFT][0]
        shifted = shifted and shift not in self._held
        if shifted:
            self._input(X.KeyPress, shift)
        self._input(X.KeyPress, code)
        self._input(X.KeyRelease, code)
        if shifted:
            self._input(X.KeyRelease, shift)
        if code in self._spare:
            self._typed = time.monotonic()
            self._spare[code] = self._spare.pop(code)

    @contextmanager
    def _capitals_off(self) -> Iterator[None]:
        """Turn Caps Lock off while a text is typed, for the text says what is a capital."""
        locked = self._link.root.query_pointer().mask & X.LockMask
        lock = self._keys.get(XK.XK_Caps_Lock)
        codes = [lock[0]] if locked and lock else []
        self._press(codes)
        self._release(codes)
        try:
            yield
        finally:
            self._press(codes)
            self._release(codes)

    # The map.

    def _read_map(self) -> None:
        """Learn the server's map anew where it changed; whoever changed it, it tells all."""
        told = [event.type for event in self._link.events()]
        group = min(self._link.root.query_pointer().mask >> 13 & 3, 1)  # 2 layouts are in the map
        if group == self._group and X.MappingNotify not in told:
            return
        self._group = group
        rows = self._link.display.get_keyboard_mapping(self._first, self._count)
        table = [(self._first + index, list(row)) for index, row in enumerate(rows)]
        found = {code: _bound(row) for code, row in table[1:] if not any(row) or _bound(row)}
        order = [code for code in found if code not in self._spare]
        order += [code for code in self._spare if code in found]
        self._spare = {code: found[code] for code in order}
        self._keys = _keys(table, group)
        if SHIFT not in self._keys:
            raise ScreenError("the keyboard's map has no shift key")

    def _piece(self, symbols: Sequence[int]) -> list[int]:
        """As much of what is to be typed as can be bound at once."""
        fixed = {symbol for symbol, key in self._keys.items() if key[0] not in self._spare}
        bound: set[int] = set()
        for index, symbol in enumerate(symbols[:PIECE]):
            if symbol not in fixed:
                bound.add(symbol)
            if len(bound) > len(self._spare):
                return list(symbols[:index])
        return list(symbols[:PIECE])

    def _bind(self, symbols: Sequence[int]) -> None:
        """Give each symbol a key."""
        missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._keys]
        if not missing:
            return
        wanted = set(symbols)
        free = [code for code, symbol in self._spare.items() if symbol not in wanted]
        if len(missing) > len(free):
            raise ScreenError(f"the keyboard's map has {len(free)} keys to spare: too few")
        chosen = dict(zip(free, missing))  # noqa: B905 - Python 3.10
        if any(self._spare[code] for code in chosen):
            self._caught_up(self._typed + BLIND_SECONDS - time.monotonic())
        for code, symbol in chosen.items():
            self._keys.pop(self._spare[code], None)
            self._link.display.change_keyboard_mapping(code, [[symbol, symbol]])
            self._spare[code], self._keys[symbol] = symbol, (code, 0)
        self._link.sync()
        self._caught_up(NOTICE_SECONDS)

    def _caught_up(self, blind: float) -> None:
        """Return when the program in front has taken what was sent to it.

        A ping comes after all that was sent before; a program that answers none gets `blind`
        seconds.
        """
        front = active(self._link)
        window = self._link.window(front)
        protocols = self._link.property(window, "WM_PROTOCOLS") if front else None
        if self._link.atom("_NET_WM_PING") in (protocols or []):
            self._ping(window)
        else:
            time.sleep(max(0.0, blind))

    def _ping(self, window: Any) -> None:
        ping, nonce = self._link.atom("_NET_WM_PING"), int.from_bytes(os.urandom(4), "big")
        self._link.root.change_attributes(event_mask=X.SubstructureNotifyMask)
        try:
            self._link.tell_program(window, "WM_PROTOCOLS", [ping, nonce, window.id, 0, 0])
            self._link.wait(
                lambda event: event.type == X.ClientMessage and event.data[1][1] == nonce,
                PONG_SECONDS,
            )
        finally:
            self._link.root.change_attributes(event_mask=0)


def _bound(row: Sequence[int]) -> int:
    """The symbol that a bridge bound to a keycode, or 0; no keyboard has a character so twice."""
    first, second = row[:2]
    char = 0x20 < first < 0x7F or 0xA0 < first < 0x100 or first > 0x01000000
    return first if char and first == second else 0


def _keys(table: Sequence[tuple[int, Sequence[int]]], group: int) -> dict[int, tuple[int, int]]:
    """Where each symbol is; on the keyboard's main block rather than on odd keys, if it can be."""
    found = []
    for code, row in table:
        levels = row[2 * group : 2 * group + 2]
        for level, symbol in enumerate(levels if any(levels) else row[:2]):
            if symbol:
                found.append((code > 93, level, code, symbol))
    keys: dict[int, tuple[int, int]] = {}
    for _, level, code, symbol in sorted(found):
        keys.setdefault(symbol, (code, level))
    return keys
