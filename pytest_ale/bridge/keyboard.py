"""The keyboard: any Unicode text and any chord, as the X server's test input.

Knows nothing of the mouse. Characters that the keyboard's map lacks are bound to keys that no
keyboard here has (multimedia and such, some 90, two characters each). Programs look up the map when
they come to a key event, not as it was when the key went down: so a key is bound anew only when the
program in front has taken the events before, and the key that was not used for longest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from Xlib import XK, X  # type: ignore[import-untyped]
from Xlib.ext.xtest import fake_input  # type: ignore[import-untyped]

from .calls import pause
from .errors import ScreenError
from .keynames import SHIFT, SHIFTS, chord_symbols, is_char, text_symbols
from .link import Link
from .program import caught_up

__all__ = ["Keyboard"]

PIECE = 200  # keys between two round trips: the server's queue and ours stay short
MOST_SECONDS = 300
MOST_TEXT = 1_000_000
SPARE_FROM = 158  # the first keycode that no common keyboard has
MULTIMEDIA = range(0x10080000, 0x10090000)  # symbols that may give way


class Keyboard:
    """The keyboard of one screen."""

    def __init__(self, link: Link) -> None:
        self._link = link
        info = link.display.display.info
        self._first, self._count = info.min_keycode, info.max_keycode - info.min_keycode + 1
        self._keys: dict[int, tuple[int, int]] = {}  # symbol: keycode, 1 with shift
        self._spare: dict[int, list[int]] = {}  # keycode: what it has, longest unused first
        self._used: set[int] = set()  # keycodes of these that were typed
        self._held: list[int] = []
        self._group = -1

    def type(self, text: str) -> None:
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise ScreenError(f"type takes a text of up to {MOST_TEXT} characters")
        symbols = text_symbols(text)
        self._read_map()
        with self._capitals_off():
            done = 0
            while done < len(symbols):
                pause(0)
                piece = self._piece(symbols[done : done + PIECE])
                try:
                    self._bind(piece)
                except ScreenError as error:
                    raise ScreenError(f"{error}; {done} of {len(symbols)} were typed") from error
                for symbol in piece:
                    self._stroke(symbol)
                self._link.sync()
                done += len(piece)

    def keys(self, chord: str, seconds: float) -> None:
        if isinstance(seconds, bool) or not 0 <= seconds <= MOST_SECONDS:
            raise ScreenError(f"seconds={seconds!r}: give a number from 0 to {MOST_SECONDS}")
        codes = self._codes(chord)
        try:
            self._press(codes)
            pause(seconds)
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
            self._used.add(code)
            self._spare[code] = self._spare.pop(code)

    @contextmanager
    def _capitals_off(self) -> Iterator[None]:
        """Let Shift and Caps Lock go while a text is typed, for the text says what is a capital."""
        locked = self._link.root.query_pointer().mask & X.LockMask
        lock = self._keys.get(XK.XK_Caps_Lock)
        codes = [lock[0]] if locked and lock else []
        shifts = [self._keys[symbol][0] for symbol in SHIFTS if symbol in self._keys]
        held = [code for code in self._held if code in shifts]
        self._held = [code for code in self._held if code not in held]
        self._release(held)
        self._tap(codes)
        try:
            yield
        finally:
            self._tap(codes)
            self._press(held)
            self._held += held

    def _tap(self, codes: Sequence[int]) -> None:
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
        modifiers = {code for row in self._link.display.get_modifier_mapping() for code in row}
        spare = {
            code: row[:2] for code, row in table if _spare(code, row) and code not in modifiers
        }
        order = [code for code in spare if code not in self._spare]
        order += [code for code in self._spare if code in spare]
        self._spare = {code: spare[code] for code in order}
        self._keys = _keys(table, group)
        if SHIFT not in self._keys:
            raise ScreenError("the keyboard's map has no shift key")

    def _piece(self, symbols: Sequence[int]) -> Sequence[int]:
        """As much of what is to be typed as can be bound at once, in the worst case."""
        fixed = {symbol for symbol, key in self._keys.items() if key[0] not in self._spare}
        bound: set[int] = set()
        for index, symbol in enumerate(symbols):
            if symbol not in fixed:
                bound.add(symbol)
            if len(bound) > max(1, len(self._spare)):
                return symbols[:index]
        return symbols

    def _bind(self, symbols: Sequence[int]) -> None:
        """Give each symbol a key."""
        missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._keys]
        if not missing:
            return
        pairs = [(missing[at : at + 2] * 2)[:2] for at in range(0, len(missing), 2)]
        wanted = {self._keys[symbol][0] for symbol in symbols if symbol in self._keys}
        free = [code for code in self._spare if code not in wanted]
        if len(pairs) > len(free):
            raise ScreenError(f"the keyboard's map has {len(free)} keys to spare: too few")
        chosen = dict(zip(sorted(free[: len(pairs)]), pairs))  # noqa: B905 - Python 3.10
        if self._used & chosen.keys():
            if not caught_up(self._link):
                raise ScreenError("the program in front does not take the keys it was sent")
            self._used.clear()
        self._change(chosen)
        caught_up(self._link)

    def _change(self, chosen: Mapping[int, list[int]]) -> None:
        """Change the map, all keys in a row at once: each change makes every program read it."""
        for first in [code for code in chosen if code - 1 not in chosen]:
            last = next(code for code in range(first, 257) if code not in chosen)
            rows = [chosen[code] for code in range(first, last)]
            self._link.display.change_keyboard_mapping(first, rows)
        for code, pair in chosen.items():
            for symbol in self._spare[code]:
                if self._keys.get(symbol, (0, 0))[0] == code:
                    del self._keys[symbol]
            self._spare.pop(code)
            self._spare[code] = pair
            for level in (1, 0):
                self._keys[pair[level]] = (code, level)
        self._link.sync()


def _spare(code: int, row: Sequence[int]) -> bool:
    """Whether a key may be bound: it has nothing, multimedia, or what a bridge bound to it."""
    return code >= SPARE_FROM and all(
        symbol == 0 or symbol in MULTIMEDIA or is_char(symbol) for symbol in row
    )


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
