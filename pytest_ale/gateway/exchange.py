"""One exchange with upstream: its answer streamed back, and what is told of it afterwards.

Bytes pass as they are and as they come; counting and keeping happen beside them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pytest_ale.gateway import apis
from pytest_ale.gateway.apis import Route
from pytest_ale.gateway.attempt import Attempt
from pytest_ale.gateway.evidence import ANSWER_BYTES
from pytest_ale.gateway.scrub import Mask, without_blobs
from pytest_ale.gateway.usage import Meter, Usage, unanswered

__all__ = ["Exchange", "Keep", "headers_up"]

IDLE_SECONDS = 900.0  # a model may think that long before it says anything

# Of one connection, not of a message (RFC 9110, 7.6.1).
HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
HOP |= {"upgrade", "proxy-authenticate", "proxy-authorization"}
# Ours to say: where it goes, how long it is, and whose account it is.
OURS = HOP | {"host", "content-length", "accept-encoding", "expect", "cookie", *apis.CARRIERS}
OURS |= {"openai-organization", "openai-project"}
OURS |= {"x-goog-fieldmask", "x-http-method-override"}  # Google's: an answer without its count
THEIRS = HOP | {"set-cookie", "alt-svc"}

Keep = Callable[[Callable[[], None]], asyncio.Future[None]]


@dataclass
class Exchange:
    """One request that is sent on, and what became of it."""

    attempt: Attempt
    route: Route
    model: str
    body: bytes
    number: int
    began: float
    keep: Keep
    response: web.StreamResponse | None = None
    status: int | None = None
    first_byte: float | None = None
    whole: bool = False
    said: str = ""
    handing: bool = False  # something to the agent: what breaks now, the agent broke
    left: bool = False  # the agent did not wait for the end
    kept: bytearray = field(default_factory=bytearray)
    _meter: Meter | None = None
    _saved: asyncio.Future[None] | None = None

    async def stream(
        self,
        request: web.BaseRequest,
        reply: aiohttp.ClientResponse,
        secrets: Iterable[str],
        clock: asyncio.Timeout,
    ) -> web.StreamResponse:
        """Hand an answer down, a chunk when it comes; a break upstream is raised."""
        self._answered(reply)
        mask = Mask(secrets)
        headers = _headers_down(reply.headers, mask)
        self.response = web.StreamResponse(status=reply.status, headers=headers)
        self.handing = True
        await self.response.prepare(request)
        self.handing = False
        self.save()
        async for chunk in reply.content.iter_any():
            await self._pass(self.response, mask.feed(chunk))
            self.wind(clock)
        await self._pass(self.response, mask.end())
        self.whole = True
        return self.response

    def _answered(self, reply: aiohttp.ClientResponse) -> None:
        self.status = reply.status
        self.attempt.answered(self.number, reply.status, reply.headers.get("Retry-After", ""))
        kind, encoding = (reply.headers.get(f"Content-{n}", "") for n in ("Type", "Encoding"))
        self._meter = Meter(self.route.api, kind, encoding)

    async def _pass(self, response: web.StreamResponse, data: bytes) -> None:
        if not data or not self._meter:
            return
        self.first_byte = self.first_byte or time.monotonic() - self.began
        self.handing = True
        await response.write(data)
        self.handing = False
        self._meter.feed(data)
        self.kept += data[: ANSWER_BYTES - len(self.kept)]

    def wind(self, clock: asyncio.Timeout) -> None:
        """Give it time until nothing comes for too long, or the attempt's time is up."""
        idle, deadline = time.monotonic() + IDLE_SECONDS, self.attempt.deadline
        if not clock.expired():
            clock.reschedule(idle if deadline is None else min(idle, deadline))

    def save(self) -> asyncio.Future[None]:
        """Keep the request, once: when its answer begins, since what keeps it takes time."""
        if self._saved is None:
            write = self.attempt.evidence.request
            self._saved = self.keep(partial(write, self.number, self.body))
        return self._saved

    # Afterwards.

    @property
    def told(self) -> str:
        """What is to be said of how it ended: our words, or an error's own."""
        if self.said or (self.status or 0) < 400:
            return self.said
        return " ".join(self.kept[:300].decode(errors="replace").split())

    def usage(self) -> Usage:
        """What is counted: nothing for an error, and a guess where the answer does not tell."""
        if self.route.kind != "answer":
            return Usage()
        if self._meter and (self.status or 0) < 400:
            told = self._meter.finish() or self._meter.estimate(len(without_blobs(self.body)))
            return told + Usage(requests=1)
        # One that was hung up on before its answer began is paid for all the same.
        guess = unanswered(len(without_blobs(self.body))) if self.left else Usage()
        return guess + Usage(requests=1, refused=1)

    @property
    def garbled(self) -> bool:
        """It came whole, and was no answer: no agent can cause that."""
        meter = self._meter if self.route.kind == "answer" else None
        return self.whole and self.status == 200 and bool(meter and meter.is_no_answer)

    @property
    def refused(self) -> bool | None:
        """Whether its model would not do it; None where that is not known."""
        told = bool(self._meter and self._meter.refused)
        return told or (False if self.whole and self.status == 200 else None)

    def leave(self) -> None:
        """The agent hung up, or did not read on: nothing that failed upstream."""
        self.left = True
        self.said = "the connection was closed before the answer ended"

    def note(self, usage: Usage, path: str, ended: float) -> None:
        """Keep the answer, and a line that tells of the whole; on the thread for evidence."""
        evidence = self.attempt.evidence
        if self.kept:
            evidence.answer(self.number, bytes(self.kept))
        about = {"number": self.number, "path": path, "model": self.model, "status": self.status}
        about |= {"at": time.time() - (time.monotonic() - self.began)}
        about |= {"first_byte": self.first_byte, "seconds": ended - self.began}
        evidence.line(about | {"whole": self.whole, "said": self.said, "usage": asdict(usage)})


def headers_up(route: Route, key: str, sent: Mapping[str, str]) -> CIMultiDict[str]:
    """The agent's headers with the real key for its token.

    The answer is asked for without compression, since it is read on its way.
    """
    gone = OURS | _named(sent)
    kept = CIMultiDict((name, text) for name, text in sent.items() if name.lower() not in gone)
    kept["Accept-Encoding"] = "identity"
    kept.extend(apis.authorised(route.api, key))
    return kept


def _headers_down(sent: Mapping[str, str], mask: Mask) -> CIMultiDict[str]:
    gone = THEIRS | _named(sent)
    return CIMultiDict(
        (name, mask.whole(text)) for name, text in sent.items() if name.lower() not in gone
    )


def _named(headers: Mapping[str, str]) -> set[str]:
    """The headers that `Connection` says are of one connection only."""
    return {name.strip().lower() for name in headers.get("Connection", "").split(",")}
