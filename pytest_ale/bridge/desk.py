"""The resident that works the screen for the host: JSON lines in, JSON lines out.

Knows nothing of who asks. A line {"do": NAME, "with": {...}} calls that method of `Screen`, and is
answered by one line, {"value": ...} or {"error": why}; a picture or a text by {"bytes": N} and N
bytes after the line. One request at a time, in order. It ends when its input does, or by SIGTERM,
and lets go of all keys and buttons.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from typing import BinaryIO

from .calls import begin
from .ending import Ending
from .screen import Screen, ScreenError

__all__ = ["main", "serve"]

ACTIONS = (
    "activate",
    "click",
    "clipboard",
    "cursor",
    "drag",
    "keys",
    "keys_down",
    "keys_up",
    "move",
    "press",
    "release",
    "screenshot",
    "scroll",
    "set_clipboard",
    "size",
    "type",
    "windows",
)


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host's terminal is none of ours
    screen, over = Screen(), begin()

    def close() -> None:
        over.set()
        screen.close()

    ending = Ending(close)
    # What was asked for is done also when stdin ends; but not when nobody can read the answer.
    ending.watch(signal.SIGTERM, stdin=False)
    with suppress(BrokenPipeError):
        serve(screen, sys.stdin.buffer, sys.stdout.buffer)
    ending.now(0)
    return 0


def serve(screen: Screen, requests: BinaryIO, answers: BinaryIO) -> None:
    for line in requests:
        head, body = answer(screen, line)
        answers.write(json.dumps(head).encode() + b"\n" + body)
        answers.flush()


def answer(screen: Screen, line: bytes) -> tuple[dict[str, object], bytes]:
    """What to say to one request, and the bytes that follow it."""
    try:
        value = _do(screen, line)
    except ScreenError as error:
        return {"error": str(error)}, b""
    except Exception as error:  # a bug of ours is said, too: the resident must outlive it
        return {"error": f"{type(error).__name__}: {error}"}, b""
    if isinstance(value, str):
        value = value.encode(errors="replace")
    if isinstance(value, bytes):
        return {"bytes": len(value)}, value
    return {"value": value}, b""


def _do(screen: Screen, line: bytes) -> object:
    try:
        request = json.loads(line)
        name, given = request["do"], request.get("with", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ScreenError(f"no request: {line[:80]!r}") from None
    if name not in ACTIONS or not isinstance(given, dict):
        raise ScreenError(f"no action {name!r}; there are: {', '.join(ACTIONS)}")
    return _plain(getattr(screen, name)(**given))


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value
