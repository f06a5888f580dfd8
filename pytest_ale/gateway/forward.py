"""Which requests are sent on, with the real key, and what the others are told.

What an agent sends is hostile, and what comes from upstream is foreign: each has its limits.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import web
from yarl import URL

from pytest_ale.gateway import apis
from pytest_ale.gateway.apis import Api, Route, Upstream
from pytest_ale.gateway.attempt import TOOLS, Attempt
from pytest_ale.gateway.exchange import Exchange, Keep, headers_up
from pytest_ale.gateway.hosted import reaches_out
from pytest_ale.gateway.scrub import without_blobs

__all__ = ["Forwarder", "session"]

BODY_BYTES = 100 << 20
TEXT_BYTES = 16 << 20  # of a body without its images: parsing more would hold up other streams
QUICK_BYTES = 64 << 10  # of a body that is understood in 30 ms, whatever is in it
HELD_BYTES = 256 << 20  # of one attempt's bodies, at once
BODY_SECONDS = 120.0
CONNECT_SECONDS = 30.0
KEEP_SECONDS = 4.0  # for another request: vLLM closes after 5, and what is sent then is lost
HEAD_BYTES = 64 << 10  # of a line of an answer's head
QUERY = re.compile(r"[A-Za-z0-9._~%&=+$:,*-]{0,2000}")
ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # by aiohttp, unasked


def session() -> aiohttp.ClientSession:
    """The way upstream: no cookies, nothing decoded, as many connections as there are streams."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        max_line_size=HEAD_BYTES,
        max_field_size=HEAD_BYTES,
    )


class Refused(Exception):
    """A request is not sent on; it is told so in its API's own words."""

    def __init__(self, api: Api, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.response = web.Response(
            status=status,
            text=json.dumps(apis.error(api, status, code, message)),
            content_type="application/json",
            # Heeded by the SDKs of OpenAI and Anthropic.
            headers={} if status >= 500 else {"x-should-retry": "false"},
        )


class Forwarder:
    """Carries the requests of all attempts; `keep` runs what writes evidence, in its order."""

    def __init__(
        self, upstreams: Mapping[Api, Upstream], client: aiohttp.ClientSession, keep: Keep
    ) -> None:
        self._upstreams = upstreams
        self._client = client
        self._keep = keep

    async def handle(self, attempt: Attempt, request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        try:
            route = _checked(attempt, request)
            async with attempt.slots:
                with _holding(attempt) as hold:
                    body = await _read(route.api, request, hold)
                    return await self._asked(attempt, route, request, body, began)
        except Refused as refused:
            attempt.reject()
            return refused.response

    async def _asked(
        self,
        attempt: Attempt,
        route: Route,
        request: web.BaseRequest,
        body: bytes,
        began: float,
    ) -> web.StreamResponse:
        asked, offered = await _looked_into(attempt, route, request.method, body)
        model = route.model or str(asked.get("model"))[:200]
        if route.kind == "answer":
            _within(attempt, route)  # others may have used it up while this waited for its turn
            _affordable(attempt, route, model)
        paid = route.kind == "answer"
        number = attempt.begin(offered if paid else (), paid=paid)
        exchange = Exchange(attempt, route, model, body, number, began, self._keep)
        try:
            return await self._carry(exchange, request)
        finally:
            await asyncio.shield(exchange.save())  # the body is in memory until then

    async def _carry(self, exchange: Exchange, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._exchanged(exchange, request)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._broken(exchange, request, error)
        except asyncio.CancelledError:
            exchange.leave()
            raise
        finally:
            usage = exchange.usage()
            if exchange.garbled:
                exchange.said = "an answer that is none"
                exchange.attempt.trouble(exchange.said)
            exchange.attempt.end(
                exchange.number,
                exchange.model,
                usage,
                exchange.status,
                whole=exchange.whole,
                said=exchange.told,
                refused=exchange.refused,
            )
            path = request.raw_path
            exchange.save()
            self._keep(partial(exchange.note, usage, path, time.monotonic()))

    async def _exchanged(self, exchange: Exchange, request: web.BaseRequest) -> web.StreamResponse:
        api = exchange.route.api
        upstream = self._upstreams[api]
        url = _target(upstream, request)
        async with asyncio.timeout(None) as clock:
            exchange.wind(clock)
            async with self._client.request(
                request.method,
                URL(url, encoded=True),
                headers=headers_up(exchange.route, upstream.key, request.headers),
                data=io.BytesIO(exchange.body) if exchange.body else None,
                skip_auto_headers=ADDED,
                allow_redirects=False,
                proxy=_proxy(url),
            ) as reply:
                secrets = {known.key for known in self._upstreams.values()}
                return await exchange.stream(request, reply, secrets, clock)

    def _broken(
        self, exchange: Exchange, request: web.BaseRequest, error: Exception
    ) -> web.StreamResponse:
        """Nothing came: an error, in the API's words. It broke off: so do we."""
        attempt, api = exchange.attempt, exchange.route.api
        if late := attempt.late and bool(attempt.stop()):
            exchange.said = attempt.why()
        elif exchange.handing:
            exchange.leave()
        else:
            host = urlsplit(self._upstreams[api].url).netloc.rpartition("@")[2]
            exchange.said = f"{host}: {type(error).__name__}: {error}"[:500]
            attempt.trouble(exchange.said)
        if exchange.response is not None:
            if request.transport:
                request.transport.close()  # what was said goes out, but no end of it
            return exchange.response
        if late:
            return Refused(api, apis.ENDS[api], "budget_exhausted", exchange.said).response
        return Refused(api, 502, "upstream_unreachable", exchange.said).response


# What an agent sends.


def _checked(attempt: Attempt, request: web.BaseRequest) -> Route:
    """All that can be said without the body."""
    path, _, query = request.raw_path.partition("?")
    route = apis.route(request.method, path, request.headers)
    if isinstance(route, int):
        told = f"{request.method} {path[:200]} is not passed through"
        raise Refused("openai", route, "not_forwarded", told)
    if not attempt.knows(apis.tokens(request.headers, query)):
        told = "this request does not carry its attempt's token as API key"
        raise Refused(route.api, 401, "invalid_api_key", told)
    if not QUERY.fullmatch(query):
        raise Refused(route.api, 400, "bad_query", "the query has characters it may not have")
    if named := apis.hiding(query):
        told = f"{named} is not passed through: it may leave out what was used"
        raise Refused(route.api, 400, "bad_query", told)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused(route.api, 415, "encoded_body", "send the body without Content-Encoding")
    if route.kind == "answer":
        _within(attempt, route)
    return route


def _within(attempt: Attempt, route: Route) -> None:
    if attempt.stop():
        raise Refused(route.api, apis.ENDS[route.api], "budget_exhausted", attempt.why())


def _affordable(attempt: Attempt, route: Route, model: str) -> None:
    if attempt.unpriced(model):
        told = f"there is a limit in dollars, and no price is known for model {model!r}"
        raise Refused(route.api, apis.ENDS[route.api], "model_not_priced", told)


@contextmanager
def _holding(attempt: Attempt) -> Iterator[Callable[[int], bool]]:
    """Memory for one body; asking for more says whether the attempt may have it."""
    mine = 0

    def hold(size: int) -> bool:
        nonlocal mine
        mine += size
        attempt.held += size
        return mine <= BODY_BYTES and attempt.held <= HELD_BYTES

    try:
        yield hold
    finally:
        attempt.held -= mine


async def _read(api: Api, request: web.BaseRequest, hold: Callable[[int], bool]) -> bytes:
    too_large = Refused(api, 413, "too_large", f"a body may have {BODY_BYTES} bytes")
    if (request.content_length or 0) > BODY_BYTES:
        raise too_large
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body.append(chunk)
                if not hold(len(chunk)):
                    raise too_large
    except TimeoutError:
        told = f"the body did not come within {BODY_SECONDS:g} s"
        raise Refused(api, 408, "too_slow", told) from None
    return b"".join(body)


async def _looked_into(
    attempt: Attempt, route: Route, method: str, body: bytes
) -> tuple[Mapping[str, Any], list[str]]:
    """A request as it is understood, and the tools that it offers.

    15 MB of `{},` take 7 s. On the loop, 16 of them held up every attempt's streams and the
    workers' own questions for minutes.
    """

    def look() -> tuple[Mapping[str, Any], list[str]]:
        asked = _understood(route, body) if method == "POST" else {}
        if not attempt.outside and (what := reaches_out(asked)):
            told = f"{what} would reach out by the model's server, and this attempt has no network"
            raise Refused(route.api, 400, "reaches_out", told)
        return asked, list(islice(apis.tools(asked), TOOLS))

    if len(body) <= QUICK_BYTES:
        return look()
    async with attempt.looking:
        return await asyncio.to_thread(look)


def _understood(route: Route, body: bytes) -> Mapping[str, Any]:  # Any: whatever JSON holds
    """A request as the server will read it: what can be read in two ways is not sent on."""
    text = without_blobs(body) if len(body) > TEXT_BYTES // 16 else body
    if len(text) > TEXT_BYTES:
        told = f"a body may have {TEXT_BYTES} bytes besides images"
        raise Refused(route.api, 413, "too_large", told)
    try:
        asked = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        told = f"the body is no JSON object: {error}"[:300]
        raise Refused(route.api, 400, "invalid_json", told) from None
    if not isinstance(asked, dict):
        raise Refused(route.api, 400, "invalid_json", "the body is no JSON object")
    if asked.get("background"):
        # Its tokens would be counted in another answer, which nobody may ask for.
        raise Refused(route.api, 400, "no_background", "background answers are not passed through")
    return asked


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


# Where it goes.


def _target(upstream: Upstream, request: web.BaseRequest) -> str:
    path, _, query = request.raw_path.partition("?")
    kept = apis.without_key(query)
    return upstream.target(path) + (f"?{kept}" if kept else "")


def _proxy(url: str) -> str | None:
    """A proxy of this machine's, as the environment names it; aiohttp's way reads ~/.netrc, too."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)
