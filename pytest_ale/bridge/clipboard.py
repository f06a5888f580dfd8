"""The clipboard (X's CLIPBOARD selection), both ways, large texts included.

Knows nothing of the rest of the screen. X keeps no clipboard: a program owns it and answers all who
paste. So each side has a connection of its own here, and the owner a thread that answers.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from Xlib import X, Xatom  # type: ignore[import-untyped]
from Xlib.protocol.event import SelectionNotify  # type: ignore[import-untyped]

from .errors import ScreenError
from .link import Link

__all__ = ["Clipboard"]

PIECE = 1 << 17  # bytes in one property; the X library's requests end at 256 KB
MOST_BYTES = 8 << 20
MOST_TRANSFERS = 16  # those that are given up half-way would stay for ever
ANSWER_SECONDS = 5.0
UTF8 = ("UTF8_STRING", "text/plain;charset=utf-8", "TEXT")
LATIN1 = ("STRING", "text/plain")


class Clipboard:
    """The clipboard of the display `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reader: Reader | None = None
        self._owner: Owner | None = None

    def get(self) -> str:
        self._reader = self._reader or Reader(Link(self._name))
        return self._reader.text()

    def set(self, text: str) -> None:
        data = _encoded(text)
        if self._owner and not self._owner.alive():
            self._owner.close()
            self._owner = None
        self._owner = self._owner or Owner(Link(self._name))
        self._owner.own(data)

    def close(self) -> None:
        for side in (self._reader, self._owner):
            if side:
                side.close()


def _encoded(text: str) -> bytes:
    if not isinstance(text, str):
        raise ScreenError(f"the clipboard takes a text, not {text!r}")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ScreenError(f"the clipboard takes Unicode text: {error}") from None
    if len(data) > MOST_BYTES:
        raise ScreenError(f"a text of {len(data)} bytes: the clipboard takes {MOST_BYTES}")
    return data


class Reader:
    """Asks whoever owns the clipboard for its text."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._window = link.own_window(X.PropertyChangeMask)
        self._clipboard, self._incr = link.atom("CLIPBOARD"), link.atom("INCR")
        self._failed = 0
        self._place = link.atom("ALE_CLIPBOARD")

    def close(self) -> None:
        self._link.close()

    def text(self) -> str:
        if self._link.display.get_selection_owner(self._clipboard) == X.NONE:
            return ""
        for target, encoding in (("UTF8_STRING", "utf-8"), ("STRING", "latin-1")):
            try:
                data = self._ask(self._link.atom(target))
            except ScreenError:
                self._move()
                raise
            if data is not None:
                return data.decode(encoding, errors="replace")
        return ""

    def _move(self) -> None:
        """Let the next answer have a place of its own: the rest of this one may still come."""
        self._window.delete_property(self._place)
        self._failed += 1
        self._place = self._link.atom(f"ALE_CLIPBOARD_{self._failed}")

    def _ask(self, target: int) -> bytes | None:
        self._link.events()  # what is left of an answer that came too late
        self._window.convert_selection(self._clipboard, target, self._place, X.CurrentTime)
        event = self._wait(self._is_answer)
        if event.property == X.NONE:
            return None
        kind, data = self._take()
        return self._pieces() if kind == self._incr else data

    def _is_answer(self, event: Any) -> bool:
        return event.type == X.SelectionNotify and event.property in (X.NONE, self._place)

    def _pieces(self) -> bytes:
        """The text of an owner that hands it over piece by piece, the last one empty."""
        data = b""
        while True:
            self._wait(self._is_new)
            _, piece = self._take()
            data += piece
            if not piece:
                return data
            if len(data) > MOST_BYTES:
                raise ScreenError(f"the clipboard holds more than {MOST_BYTES} bytes of text")

    def _is_new(self, event: Any) -> bool:
        about = (event.type, getattr(event, "atom", 0), getattr(event, "state", 0))
        return about == (X.PropertyNotify, self._place, X.PropertyNewValue)

    def _take(self) -> tuple[int, bytes]:
        """Take the answer away, which asks for the next piece."""
        units = MOST_BYTES // 4 + 1
        found = self._window.get_property(self._place, X.AnyPropertyType, 0, units, delete=True)
        if found is None:
            return 0, b""
        if found.bytes_after:
            raise ScreenError(f"the clipboard holds more than {MOST_BYTES} bytes of text")
        return found.property_type, found.value if isinstance(found.value, bytes) else b""

    def _wait(self, wanted: Callable[[Any], bool]) -> Any:
        event = self._link.wait(wanted, ANSWER_SECONDS)
        if event is None:
            raise ScreenError(
                f"the program that owns the clipboard gave no answer in {ANSWER_SECONDS:g} s"
            )
        return event


class Owner:
    """Owns the clipboard and answers all who paste, in a thread, until another program owns it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._window = link.own_window()
        self._clipboard, self._incr = link.atom("CLIPBOARD"), link.atom("INCR")
        self._utf8 = {link.atom(name) for name in UTF8}
        self._latin1 = {link.atom(name) for name in LATIN1}
        self._targets = link.atom("TARGETS")
        self._data, self._next = b"", b""
        self._left: dict[tuple[int, int], tuple[int, bytes]] = {}  # window, property: type, rest
        self._woken, self._wake = os.pipe()
        self._owns = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clipboard", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def own(self, data: bytes) -> None:
        self._next = data
        self._owns.clear()
        os.write(self._wake, b"o")
        if not self._owns.wait(ANSWER_SECONDS):
            raise ScreenError(f"the clipboard could not be owned in {ANSWER_SECONDS:g} s")

    def close(self) -> None:
        """For once only: the numbers of closed files may be those of others soon."""
        with suppress(OSError):
            os.write(self._wake, b"q")
        self._thread.join(1)
        if not self.alive():
            os.close(self._woken)
            os.close(self._wake)

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception:  # the server is gone: the next call makes a new owner, or says why not
            return
        finally:
            self._link.close()

    def _turn(self) -> bool:
        self._link.display.flush()
        while events := self._link.events():
            for event in events:
                self._answer(event)
            self._link.display.flush()  # which may read more of them
        ready, _, _ = select.select([self._link.fileno(), self._woken], [], [])
        order = os.read(self._woken, 1) if self._woken in ready else b""
        if order == b"o":
            self._data = self._next
            self._window.set_selection_owner(self._clipboard, X.CurrentTime)
            self._link.sync()
            self._owns.set()
        return order != b"q"

    def _answer(self, event: Any) -> None:
        if event.type == X.SelectionRequest:
            place = event.property or event.target  # a client of 1988 names none
            given = self._give(event.requestor, place, event.target)
            self._tell(event, place if given else X.NONE)
        elif event.type == X.PropertyNotify and event.state == X.PropertyDelete:
            self._give_piece(event.window, event.atom)

    def _tell(self, event: Any, place: int) -> None:
        notice = SelectionNotify(
            time=event.time,
            requestor=event.requestor,
            selection=event.selection,
            target=event.target,
            property=place,
        )
        event.requestor.send_event(notice)

    def _give(self, window: Any, place: int, target: int) -> bool:
        if target == self._targets:
            known = [self._targets, *sorted(self._utf8 | self._latin1)]
            window.change_property(place, Xatom.ATOM, 32, known)
        elif target in self._utf8 | self._latin1:
            self._give_text(window, place, target)
        else:
            return False
        return True

    def _give_text(self, window: Any, place: int, target: int) -> None:
        data, kind = self._data, target
        if target in self._latin1:
            data = data.decode().encode("latin-1", errors="replace")
        if kind == self._link.atom("TEXT"):
            kind = self._link.atom("UTF8_STRING")
        if len(data) <= PIECE:
            window.change_property(place, kind, 8, data)
            return
        window.change_attributes(event_mask=X.PropertyChangeMask)
        window.change_property(place, self._incr, 32, [len(data)])
        self._left[window.id, place] = (kind, data)
        while len(self._left) > MOST_TRANSFERS:
            del self._left[next(iter(self._left))]

    def _give_piece(self, window: Any, place: int) -> None:
        """Hand over the next piece; the empty one that ends it is the last."""
        key = (window.id, place)
        if key in self._left:
            kind, data = self._left.pop(key)
            window.change_property(place, kind, 8, data[:PIECE])
            if data:
                self._left[key] = (kind, data[PIECE:])
