"""A desktop that writes down what is done on it: each call becomes a step of the trajectory.

Knows no harness; `redo` does a recorded call again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.desktop_calls import PREFIX, DesktopCalls, checked, packed, perform
from pytest_ale.kept import Kept, restored
from pytest_ale.recorder import Recorder
from pytest_ale.sandbox import Fault, Sandbox, SandboxError, Window
from pytest_ale.text import clean
from pytest_ale.trajectory import ContentPart, ImageSource

__all__ = ["RecordingDesktop"]

SHOWN = 20_000  # characters of an answer kept in its step
TITLE = 300  # characters kept of a window's title and program


class RecordingDesktop(DesktopCalls):
    """The desktop of a sandbox, for one attempt."""

    def __init__(self, sandbox: Sandbox, recorder: Recorder, kept: Kept) -> None:
        self._sandbox = sandbox
        self._recorder = recorder
        self._kept = kept
        self._windows: dict[int, Window] = {}  # as they were last listed, by id

    def _call(self, method: str, **given: object) -> object:
        arguments = checked(method, given)
        noted = self._noted(method, arguments)
        started, clock = time.time(), time.monotonic()
        told: str | list[ContentPart] = "did not end"
        extra: dict[str, object] = {}
        try:
            answer = perform(self._sandbox.desktop, method, arguments)
            told = self._told(method, answer)
        except Exception as error:
            told = clean(error, SHOWN)
            extra["error"] = type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - clock
            self._recorder.tool(
                PREFIX + method, noted, told, started=started, seconds=seconds, extra=extra
            )
        return answer

    def _noted(self, method: str, arguments: dict[str, object]) -> dict[str, object]:
        """The arguments for the record: what is needed to mean the same in another sandbox."""
        if "text" in arguments:
            return arguments | {"text": self._kept.content(str(arguments["text"]))}
        window = self._windows.get(arguments["window"]) if method == "activate" else None  # type: ignore[call-overload]
        if window is None:
            return arguments
        return arguments | {
            "title": clean(window.title, TITLE),
            "program": clean(window.program, TITLE),
        }

    def _told(self, method: str, answer: object) -> str | list[ContentPart]:
        if answer is None:
            return "done"
        if isinstance(answer, bytes):
            return self._pictured(answer)
        if method == "windows" and isinstance(answer, list):
            self._windows = {window.id: window for window in answer}
        plain = answer if isinstance(answer, str) else json.dumps(packed(answer))
        return clean(plain, SHOWN)

    def _pictured(self, png: bytes) -> str | list[ContentPart]:
        path = self._kept.screenshot(png)
        if not path:
            return f"a screenshot of {len(png)} bytes that was not kept"
        return [ContentPart(type="image", source=ImageSource(media_type="image/png", path=path))]

    def redo(self, method: str, arguments: Mapping[str, object], folder: Path) -> None:
        """Do a recorded call again; a call may fail again as it failed before."""
        given = dict(arguments)
        if "text" in given:
            given["text"] = restored(given["text"], folder).decode(errors="replace")
        named = {key: given.pop(key, None) for key in ("title", "program") if method == "activate"}
        try:
            given = checked(method, given)
        except TypeError as error:
            raise Fault(f"recorded call {PREFIX}{method} cannot be done again: {error}") from None
        try:
            if any(named.values()):
                given["window"] = self._same(given["window"], named)
            self._call(method, **given)
        except SandboxError:
            return

    def _same(self, id: object, named: Mapping[str, object]) -> object:
        """The window of that title and program: its id is another in another session."""

        def likeness(window: Window) -> tuple[bool, bool, bool]:
            title = clean(window.title, TITLE) == named["title"]
            return clean(window.program, TITLE) == named["program"], title, window.id == id

        found = max(self._sandbox.desktop.windows(), key=likeness, default=None)
        return found.id if found and any(likeness(found)) else id
