"""How an answer goes out: framed, and with the fault that the script has for it.

Knows nothing of scripts' turns, nor of what is in an answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from aiohttp import web

from pytest_ale.testing.answer import Event
from pytest_ale.testing.conversation import Json
from pytest_ale.testing.script import Cut, Fault, Hang, Slow, WrongJson

__all__ = ["Delivery", "streamed", "whole"]


@dataclass(frozen=True)
class Frame:
    data: bytes
    tokens: int = 0


@dataclass(frozen=True)
class Delivery:
    """An answer as bytes, in the order they are sent."""

    frames: tuple[Frame, ...]
    content_type: str
    length: int | None = None  # said beforehand, of an answer that is not streamed

    def with_fault(self, fault: Fault | None) -> Delivery:
        if isinstance(fault, WrongJson) and fault.where == "body":
            return self._spoiled()
        return self._cut(fault) if isinstance(fault, Cut) else self

    def _spoiled(self) -> Delivery:
        """From the middle on every frame loses its second half.

        Not just one: Codex passes over a delta that does not parse, and goes on.
        """
        middle = len(self.frames) // 2
        ends = b"\n\n" if self.length is None else b""
        halves = tuple(
            replace(frame, data=frame.data[: len(frame.data) // 2] + ends)
            for frame in self.frames[middle:]
        )
        length = None if self.length is None else sum(len(frame.data) for frame in halves)
        return replace(self, frames=self.frames[:middle] + halves, length=length)

    def _cut(self, cut: Cut) -> Delivery:
        if cut.after_events is not None:
            kept = self.frames[: cut.after_events] if self.length is None else ()
            return replace(self, frames=kept)
        data = b"".join(frame.data for frame in self.frames)[: cut.after_bytes]
        return replace(self, frames=(Frame(data),) if data else ())

    async def send(
        self,
        request: web.Request,
        fault: Fault | None,
        slow: Slow | None,
        done: Callable[[], None],
    ) -> web.StreamResponse:
        """Send it; `done` is called before the last of it: a client acts on that at once."""
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        response.content_length = self.length
        hang = fault if isinstance(fault, Hang) else None
        if hang and not hang.after_events:
            await asyncio.sleep(hang.seconds)
        await response.prepare(request)
        for number, frame in enumerate(self.frames, 1):
            if slow:
                await asyncio.sleep(frame.tokens / slow.tokens_per_second)
            if number == len(self.frames) and not isinstance(fault, Cut):
                done()
            await response.write(frame.data)
            if hang and number == hang.after_events:
                await asyncio.sleep(hang.seconds)
        if isinstance(fault, Cut) and request.transport is not None:
            request.transport.close()  # what was written still goes out, the end of it does not
        return response


def whole(body: Json, tokens: int) -> Delivery:
    data = json.dumps(body).encode()
    return Delivery((Frame(data, tokens),), "application/json", len(data))


def streamed(events: Iterable[Event], *, as_list: bool) -> Delivery:
    found = list(events)
    if not as_list:
        frames = tuple(Frame(event.bytes, event.token) for event in found)
        return Delivery(frames, "text/event-stream; charset=utf-8")
    marks = ["["] + [",\r\n"] * (len(found) - 1)
    texts = [mark + event.text for mark, event in zip(marks, found, strict=True)]
    tokens = [int(event.token) for event in found]
    frames = tuple(Frame(text.encode(), n) for text, n in zip(texts, tokens, strict=True))
    return Delivery((*frames, Frame(b"]")), "application/json; charset=utf-8")
