"""Evidence: every request and answer of an attempt, kept within a bound and without secrets.

Knows nothing of HTTP libraries. In a folder: `requests.jsonl`, a line for each, and the bodies as
`0001-request.json` and `0001-answer.txt`. Each request repeats all that came before it, so where
the bound is reached the oldest bodies go: the last request tells the whole story.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pytest_ale.gateway.scrub import Scrub, without_blobs

__all__ = ["ANSWER_BYTES", "Evidence"]

ANSWER_BYTES = 8 << 20  # of one answer that are kept
LINES = 20_000


class Evidence:
    """What one attempt said and was told; all its methods are called on one thread."""

    def __init__(self, folder: Path | None, most: int, scrub: Scrub) -> None:
        self._folder = folder
        self._most = most
        self._scrub = scrub
        self._kept: deque[tuple[Path, int]] = deque()
        self._size = 0
        self._lines = 0
        self._failed = ""

    @property
    def failed(self) -> str:
        """Why something could not be kept, or ""."""
        return self._failed

    def request(self, number: int, body: bytes) -> None:
        self._write(f"{number:04}-request.json", without_blobs(body))

    def answer(self, number: int, body: bytes) -> None:
        self._write(f"{number:04}-answer.txt", without_blobs(body))

    def line(self, about: Mapping[str, object]) -> None:
        self._lines += 1
        if self._folder and self._lines <= LINES:
            data = self._scrub(json.dumps(about).encode()) + b"\n"
            with self._noting(), (self._folder / "requests.jsonl").open("ab") as file:
                file.write(data)

    def _write(self, name: str, body: bytes) -> None:
        if not self._folder:
            return
        data = self._scrub(body)
        if len(data) > self._most:
            data = b"[%d bytes: more than are kept]" % len(data)
        self._make_room(len(data))
        path = self._folder / name
        with self._noting():
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self._kept.append((path, len(data)))
            self._size += len(data)

    def _make_room(self, size: int) -> None:
        while self._kept and self._size + size > self._most:
            path, gone = self._kept.popleft()
            self._size -= gone
            with self._noting():
                path.unlink(missing_ok=True)

    def _noting(self) -> _Noting:
        return _Noting(self)

    def note(self, error: OSError) -> None:
        self._failed = self._failed or f"evidence could not be kept: {error}"


class _Noting(suppress):
    """A full disk must not end a stream: it is told in the tally."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(OSError)
        self._evidence = evidence

    def __exit__(self, kind: object, error: BaseException | None, *rest: object) -> bool:
        if isinstance(error, OSError):
            self._evidence.note(error)
            return True
        return False
