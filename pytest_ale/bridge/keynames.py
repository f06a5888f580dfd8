"""Names of keys, and what a text or a chord such as "ctrl+shift+t" means in X key symbols.

Knows nothing of a server or of its keyboard map.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from Xlib import XK  # type: ignore[import-untyped]

from .errors import ScreenError

__all__ = ["SHIFT", "SHIFTS", "chord_symbols", "is_char", "symbol_of", "text_symbols"]

SHIFT = XK.XK_Shift_L
SHIFTS = (XK.XK_Shift_L, XK.XK_Shift_R)
UNICODE = 0x01000000  # + the code point: how X names a character that has no name of its own
TYPED = {"\n": XK.XK_Return, "\t": XK.XK_Tab, "\b": XK.XK_BackSpace, "\x1b": XK.XK_Escape}

# What people and models call keys, beside the names that X has; without case, "_" and "-".
ALIASES = {
    "ctrl": "Control_L",
    "control": "Control_L",
    "shift": "Shift_L",
    "alt": "Alt_L",
    "option": "Alt_L",
    "opt": "Alt_L",
    "altgr": "ISO_Level3_Shift",
    "super": "Super_L",
    "win": "Super_L",
    "windows": "Super_L",
    "cmd": "Super_L",
    "command": "Super_L",
    "meta": "Super_L",
    "hyper": "Hyper_L",
    "enter": "Return",
    "esc": "Escape",
    "del": "Delete",
    "ins": "Insert",
    "back": "BackSpace",
    "pgup": "Page_Up",
    "pgdn": "Page_Down",
    "pgdown": "Page_Down",
    "arrowup": "Up",
    "arrowdown": "Down",
    "arrowleft": "Left",
    "arrowright": "Right",
    "spacebar": "space",
    "caps": "Caps_Lock",
    "printscreen": "Print",
    "prtsc": "Print",
    "contextmenu": "Menu",
    "dash": "minus",
    "hyphen": "minus",
    "dot": "period",
    "backtick": "grave",
    "quote": "apostrophe",
}
# Groups of names beyond the usual ones, read when a name is not among those: 5 ms.
GROUPS = ("xkb", "xf86", "latin2", "latin3", "latin4", "greek", "cyrillic", "technical")


def text_symbols(text: str) -> list[int]:
    """The key symbols that type a text."""
    return [_char(char) for char in text.replace("\r\n", "\n").replace("\r", "\n")]


def chord_symbols(chord: str) -> list[int]:
    """The key symbols of a chord in the order they are pressed; a letter after others is small."""
    names = _split(chord)
    if len(names) > 1:
        names = [name.lower() if len(name) == 1 else name for name in names]
    return [symbol_of(name) for name in names]


def symbol_of(name: str) -> int:
    """The key symbol of a character, or of a key by name."""
    if len(name) == 1:
        return _char(name)
    plain = _plain(name)
    for known in (ALIASES.get(plain, name), name):
        if found := XK.string_to_keysym(known):
            return int(found)
    found = _names().get(plain) or _more_names().get(plain)
    if found is None:
        raise ScreenError(f"there is no key {name!r}{_near(plain)}")
    return found


def _split(chord: str) -> list[str]:
    if not isinstance(chord, str) or not chord:
        raise ScreenError(f"{chord!r} is no chord: give one such as 'ctrl+c' or 'Return'")
    text = chord.strip() or chord
    if text == "+":
        return [text]
    if text.endswith("++"):
        return [*_split(text[:-2]), "+"]
    names = [name.strip() or name for name in text.split("+")]
    if "" in names:
        raise ScreenError(f"the chord {chord!r} has an empty name: the key + itself is 'plus'")
    return names


def _char(char: str) -> int:
    code = ord(char)
    if char in TYPED:
        return int(TYPED[char])
    if 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF:
        return code
    if unicodedata.category(char) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE:
        raise ScreenError(f"the character U+{code:04X} cannot be typed: it is none of a text's")
    return UNICODE + code


def is_char(symbol: int) -> bool:
    """Whether a symbol is a character's, rather than a function's such as Return or F1."""
    return 0x20 < symbol < 0x7F or 0xA0 < symbol < 0x100 or UNICODE < symbol <= UNICODE + 0x10FFFF


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def _found() -> dict[str, int]:
    names = sorted((name for name in vars(XK) if name.startswith("XK_")), key=str.swapcase)
    found: dict[str, int] = {}
    for name in names:  # small letters first: "aacute" before "Aacute"
        found.setdefault(_plain(name[3:]), getattr(XK, name))
    return found


@functools.lru_cache(1)
def _names() -> dict[str, int]:
    return _found()


@functools.lru_cache(1)
def _more_names() -> dict[str, int]:
    for group in GROUPS:
        XK.load_keysym_group(group)
    return _found()


def _near(plain: str) -> str:
    """A few names that look alike, for a message."""
    import difflib

    names = [*ALIASES, *_names()]
    near = difflib.get_close_matches(plain, names, 3, 0.6)
    return f"; near it: {', '.join(near)}" if near else "; names are X's, such as Return, Page_Up"
