"""The model gateway against direct access to the same server, interleaved in one run.

    python benchmarks/gateway.py [--rounds 200] [--streams 50] [--seconds 5]

Prints, for bodies of 2 kB and 500 kB, the milliseconds to an answer's first byte, direct and
through the gateway, their difference (promised: at most 5 ms) and ratio; then, with that many
streams at once (of five attempts) of 50 events a second each, how late events arrive, direct and
through the gateway, and how much of one core the gateway took, to which it is bound for these
(promised: 50 streams on one core).
The server is a stand-in for a model API, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
from aiohttp import web

from pytest_ale.gateway import Config, Control, Door, Gateway, Terms, Upstream

DOORS = 5
RATE = 50.0  # events a second of one stream: as fast as the fastest models speak
HEAD = {"Content-Type": "text/event-stream"}
USAGE = {"type": "response.completed", "response": {"usage": {"input_tokens": 9}}}


def event(value: object) -> bytes:
    return b"event: x\ndata: " + json.dumps(value).encode() + b"\n\n"


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """Events at a fixed rate, each with the time it was sent at."""
    asked = json.loads(await request.content.read())
    reply = web.StreamResponse(headers=HEAD)
    await reply.prepare(request)
    due = time.monotonic()
    for _ in range(asked["events"]):
        await reply.write(event({"delta": "word ", "at": time.monotonic()}))
        due += 1 / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await reply.write(event(USAGE))
    return reply


def server(told: Connection) -> None:
    async def serve() -> None:
        runner = web.ServerRunner(web.Server(answer, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


class Way:
    """One way to the server, and how long things take on it."""

    def __init__(self, name: str, url: str, client: aiohttp.ClientSession) -> None:
        self.name = name
        self._url = f"{url}/v1/responses"
        self._client = client

    async def first_byte(self, size: int) -> float:
        """Milliseconds; a request looks like a coding agent's, with many messages."""
        said = [{"role": "user", "content": "word " * 200}] * (size // 1000)
        body = json.dumps({"model": "m", "events": 0, "input": said})
        began = time.perf_counter()
        async with self._client.post(self._url, data=body) as reply:
            await reply.content.readany()
            took = time.perf_counter() - began
            await reply.read()
        return took * 1000

    async def lateness(self, events: int) -> list[float]:
        """Milliseconds from the sending of each event to its arrival."""
        body = json.dumps({"model": "m", "events": events})
        late: list[float] = []
        async with self._client.post(self._url, data=body) as reply:
            async for line in reply.content:
                if b'"at"' in line:
                    sent = json.loads(line.removeprefix(b"data:"))["at"]
                    late.append((time.monotonic() - sent) * 1000)
        return late


async def measure(args: argparse.Namespace, url: str, doors: list[Door], gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        plain = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        direct = Way("direct", url, await stack.enter_async_context(plain))
        through = []
        for door in doors:
            keyed = {"Authorization": f"Bearer {door.token}"}
            unix = aiohttp.UnixConnector(str(door.socket), limit=0)
            session = aiohttp.ClientSession(connector=unix, headers=keyed)
            through.append(
                Way("gateway", "http://gateway", await stack.enter_async_context(session))
            )
        for size in (2_000, 500_000):
            await first_bytes([direct, through[0]], size, args.rounds)
        os.sched_setaffinity(gateway.pid, {max(os.sched_getaffinity(0))})
        events = int(args.seconds * RATE)
        for _ in range(2):
            for ways in ([direct], through):
                await streams(ways, args.streams, events, gateway)


async def first_bytes(ways: list[Way], size: int, rounds: int) -> None:
    took: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            took[way.name].append(await way.first_byte(size))
    direct, gateway = (statistics.median(took[way.name]) for way in ways)
    worst = statistics.quantiles(took["gateway"], n=20)[-1]
    print(
        f"first byte, {size // 1000} kB: direct {direct:.2f} ms, gateway {gateway:.2f} ms", end=""
    )
    print(f" (95 %: {worst:.2f}): +{gateway - direct:.2f} ms, {gateway / direct:.1f} times")


async def streams(ways: list[Way], number: int, events: int, gateway: Gateway) -> None:
    before, began = cpu(gateway.pid), time.monotonic()
    taken = itertools.islice(itertools.cycle(ways), number)
    found = await asyncio.gather(*(way.lateness(events) for way in taken))
    seconds = time.monotonic() - began
    late = [each for stream in found for each in stream]
    worst = statistics.quantiles(late, n=100)[-1]
    told = f"{number} streams, {ways[0].name}: events late by {statistics.median(late):.2f} ms"
    used = (cpu(gateway.pid) - before) / seconds
    core = f", {used:.0%} of a core" if len(ways) > 1 else ""
    print(f"{told} (99 %: {worst:.2f}), {seconds:.2f} s for {events / RATE:.2f} s{core}")


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=server, args=(theirs,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    with tempfile.TemporaryDirectory() as folder:
        config = Config({"openai": Upstream(url, "sk-a-key-of-this-benchmark")})
        with Gateway(config, Path(folder) / "gateway") as gateway:
            control = Control(gateway.control)
            folders = [Path(folder) / f"evidence-{number}" for number in range(DOORS)]
            doors = [control.register(Terms(folder=each)) for each in folders]
            asyncio.run(measure(args, url, doors, gateway))
    process.terminate()


if __name__ == "__main__":
    main()
