"""What tests of the model gateway share: its real process, before a stand-in for model APIs."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from pytest_ale.gateway import Config, Control, Door, Gateway, Terms, Upstream
from pytest_ale.gateway.sockets import short
from pytest_ale.gateway.usage import Usage

KEY = "sk-real-KEY/with+odd=letters-0123456789"
CANARY = 'grader\'s "own" key/42'
SSE = "text/event-stream"
STEP = 0.2  # seconds between the chunks of a slow answer
USAGE = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 10}
DONE = {"type": "response.completed", "response": {"usage": USAGE}}
COUNTED = Usage(100, 40, 0, 10, 0, 1)
EVENTS = [
    b"event: a\ndata: [1]\n\n",
    b"data: [2]\n\n",
    b"data: " + json.dumps(DONE).encode() + b"\n\n",
]
ANSWERS = {
    "/v1/chat/completions": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    "/v1/messages": {
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}
    },
    "/v1/messages/count_tokens": {"input_tokens": 5},
    "/v1beta/models/g-1:generateContent": {
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}
    },
}


class StandIn:
    """A stand-in for the model APIs; a request's model says how it behaves."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.left = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> StandIn:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> int:
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()  # of any size
        self.asked.append((request.raw_path, dict(request.headers), body))
        if request.path in ANSWERS:
            return web.json_response(ANSWERS[request.path])
        how = getattr(self, "_" + str(json.loads(body or b"{}").get("model", "plain")), self._plain)
        answer: web.StreamResponse = await how(request)
        return answer

    async def _plain(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._stream(request, EVENTS, 0)

    async def _slow(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._stream(request, EVENTS, STEP)

    async def _stream(
        self, request: web.BaseRequest, chunks: list[bytes], step: float
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": SSE, "x-request-id": "r1"})
        await answer.prepare(request)
        for chunk in chunks:
            await answer.write(chunk)
            await asyncio.sleep(step)
        return answer

    async def _cut(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._stream(request, EVENTS[:2], 0.02)
        request.transport.abort()
        return answer

    async def _endless(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._stream(request, [b"data: more\n\n"] * 1000, 0.05)
        finally:
            self.left.set()

    async def _silent(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            await asyncio.sleep(60)
            raise AssertionError("nobody hung up")
        finally:
            self.left.set()

    async def _limited(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=429, headers={"Retry-After": "1"})

    async def _echo(self, request: web.BaseRequest) -> web.StreamResponse:
        said = f"data: your key is {KEY}, all of it\n\n".encode()
        return await self._stream(request, [said[:30], said[30:]], 0.02)

    async def _bare(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"output": "x" * 40_000})

    async def _zipped(self, request: web.BaseRequest) -> web.StreamResponse:
        data = gzip.compress(b"".join(EVENTS))
        headers = {"Content-Type": SSE, "Content-Encoding": "gzip"}
        return web.Response(body=data, headers=headers)


class Agent(http.client.HTTPConnection):
    """What a sandbox does: HTTP on its attempt's socket."""

    def __init__(self, door: Door) -> None:
        super().__init__("127.0.0.1", timeout=10)
        self.door = door

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short(self.door.socket) as name:
            self.sock.connect(name)  # without a time limit: with one, a full backlog is an error
        self.sock.settimeout(10)

    def post(self, body: object, path: str = "/v1/responses", **headers: str) -> Reply:
        given = {"Authorization": f"Bearer {self.door.token}"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        data = body if isinstance(body, bytes) else json.dumps(body)
        self.request("POST", path, data, {name: text for name, text in given.items() if text})
        return self.getresponse()


Reply = http.client.HTTPResponse


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, true
        time.sleep(0.02)


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "prices_of_this_test.py").write_text(
        "def price(model, usage):\n    return None if model == 'new' else usage.tokens / 1000\n"
    )
    known = {"openai": Upstream(f"{standin.url}/v1", KEY), "anthropic": Upstream(standin.url, KEY)}
    known |= {"gemini": Upstream(standin.url, KEY)}
    config = Config(known, price="prices_of_this_test:price", secrets=(CANARY,))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        with Gateway(config, folder / "sockets") as started:
            yield started


Open = Callable[..., Agent]


@pytest.fixture
def control(gateway: Gateway) -> Control:
    return Control(gateway.control)


@pytest.fixture
def agent(control: Control) -> Iterator[Open]:
    """Makes agents, each of an attempt of its own; keywords are its terms."""
    opened: list[Agent] = []

    def open(**terms: object) -> Agent:
        opened.append(Agent(control.register(Terms(**terms))))  # type: ignore[arg-type]
        return opened[-1]

    yield open
    for each in opened:
        each.close()
