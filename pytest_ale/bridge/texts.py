"""Files as an agent reads, writes and changes them, within bounds.

Knows nothing of MCP. Paths are any that the process may use.
"""

from __future__ import annotations

import base64
import stat
from itertools import islice
from pathlib import Path

__all__ = ["FileError", "edit", "listed", "placed", "read", "read_bytes", "write", "write_bytes"]

MOST_TEXT = 64_000  # characters read at once, about 16000 tokens
MOST_BYTES = 1_000_000
MOST_ENTRIES = 1000


class FileError(Exception):
    """A file is not there, or not what was asked for."""


def placed(path: str) -> Path:
    return Path(path).expanduser()


def read(path: str, first: int = 1, lines: int | None = None) -> str:
    """Lines of a text file, from `first` on, counted from 1."""
    stop = None if lines is None else first - 1 + lines
    with _regular(path).open(encoding="utf-8", errors="replace", newline="") as file:
        text = ""
        for number, line in enumerate(islice(file, first - 1, stop), first):
            if len(text) + len(line) > MOST_TEXT:
                return text + line[: MOST_TEXT - len(text)] + _cut(number)
            text += line
    return text


def _cut(number: int) -> str:
    return f"\n[... cut in line {number}, at {MOST_TEXT} characters: read on from there ...]"


def read_bytes(path: str, offset: int = 0, length: int = MOST_BYTES) -> tuple[bytes, int]:
    """Bytes of a file, and how many it has."""
    whole = _regular(path)
    with whole.open("rb") as file:
        file.seek(offset)
        return file.read(min(length, MOST_BYTES)), whole.stat().st_size


def _regular(path: str) -> Path:
    """A file that can be read to an end: a FIFO would never answer."""
    found = placed(path)
    mode = found.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder: see list_dir" if stat.S_ISDIR(mode) else "no regular file"
        raise FileError(f"{path} is {kind}")
    return found


def write(path: str, text: str) -> int:
    return write_bytes(path, text.encode())


def write_bytes(path: str, data: bytes, *, append: bool = False) -> int:
    """Write a file, and the folders above it; say how many bytes."""
    whole = placed(path)
    if whole.exists():
        _regular(path)
    whole.parent.mkdir(parents=True, exist_ok=True)
    with whole.open("ab" if append else "wb") as file:
        return file.write(data)


def edit(path: str, old: str, new: str, *, everywhere: bool = False) -> int:
    """Put `new` in the place of `old`, which must be there once, or `everywhere`; say how often."""
    data, was = _regular(path).read_bytes(), old.encode()
    count = data.count(was) if was else 0
    if not count:
        raise FileError(f"{path} does not hold that text: give it exactly, with its spaces")
    if count > 1 and not everywhere:
        raise FileError(f"{path} holds that text {count} times: give more of it, or replace_all")
    placed(path).write_bytes(data.replace(was, new.encode()))
    return count


def listed(path: str) -> list[str]:
    """What is in a folder: folders end in /, links in @, files have their size behind them."""
    entries = sorted(placed(path).iterdir())
    lines = [_entry(entry) for entry in entries[:MOST_ENTRIES]]
    if more := len(entries) - len(lines):
        lines.append(f"[... {more} more ...]")
    return lines


def _entry(path: Path) -> str:
    about = path.lstat()
    if stat.S_ISDIR(about.st_mode):
        return f"{path.name}/"
    if stat.S_ISLNK(about.st_mode):
        return f"{path.name}@ -> {path.readlink()}"
    return f"{path.name}  {about.st_size}"


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise FileError(f"content_b64 is not base64: {error}") from error
