"""What is kept beside a trajectory: contents too large for it, and what the screen showed.

Knows nothing of steps or sandboxes.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pytest_ale.sandbox import Fault, RecordFault
from pytest_ale.text import clean

__all__ = ["Kept", "restored"]

INLINE = 50_000  # bytes of a content kept in the step itself; more goes to a file beside it
PICTURES = 500  # screenshots kept of one attempt
PICTURE_BYTES = 200 << 20  # that they may have in all
# How a file of each kind begins, and how its name ends.
PICTURE_KINDS = {
    "image/png": (b"\x89PNG\r\n\x1a\n", ".png"),
    "image/jpeg": (b"\xff\xd8\xff", ".jpg"),
    "image/gif": (b"GIF8", ".gif"),
    "image/webp": (b"RIFF", ".webp"),
}


class Kept:
    """The files of one attempt; `written` is the folder of contents, `screenshots/` lies beside."""

    def __init__(self, written: Path) -> None:
        self._written = written
        self._screenshots = written.with_name("screenshots")
        self._lock = threading.Lock()
        self._count = self._bytes = 0
        self._last = (b"", "")  # what the screen showed last, and its file

    def content(self, data: str | bytes) -> object:
        """Text as it is, other bytes as base64, much of either as a file beside the trajectory."""
        raw = data.encode() if isinstance(data, str) else bytes(data)
        if len(raw) > INLINE:
            return {"file": _stored(self._written / hashlib.sha256(raw).hexdigest(), raw)}
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(raw).decode()}

    def screenshot(self, png: bytes) -> str:
        """Keep what the screen showed; see `picture`."""
        return self.picture(png, "image/png")

    def picture(self, data: bytes, media_type: str) -> str:
        """Keep a picture; return its file below the attempt's folder, or "" where it is not kept.

        What equals the picture before it is that picture's file.
        """
        start, ending = PICTURE_KINDS.get(media_type, (b"", ""))
        with self._lock:
            digest = hashlib.sha256(data).digest()
            if digest == self._last[0]:
                return self._last[1]
            if not ending or not data.startswith(start) or not self._has_room(data):
                return ""
            self._count += 1
            self._bytes += len(data)
            self._last = digest, _stored(self._screenshots / f"{self._count:04}{ending}", data)
            return self._last[1]

    def _has_room(self, png: bytes) -> bool:
        return self._count < PICTURES and self._bytes + len(png) <= PICTURE_BYTES


def _stored(path: Path, data: bytes) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        with suppress(OSError):
            path.unlink()  # half of it would take the room that the record itself needs
        raise RecordFault(f"{path} cannot be written: {error.strerror}") from error
    return f"{path.parent.name}/{path.name}"


def restored(content: object, folder: Path) -> bytes:
    """The bytes of a recorded content; `folder` is where its trajectory lies."""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, Mapping) and "base64" in content:
        return base64.b64decode(content["base64"])
    if isinstance(content, Mapping) and "file" in content:
        path = folder / str(content["file"])
        if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
            return path.read_bytes()
        raise Fault(f"the trajectory lies without its file {path}: replay it where it was recorded")
    raise Fault(f"the trajectory's written content cannot be restored: {clean(content, 200)}")
