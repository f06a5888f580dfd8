"""The gateway itself: the attempts and their doors, and what workers may ask.

Runs in its own process, on one loop; `process.py` starts it, `control.py` asks it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from pytest_ale.gateway.apis import Api, Upstream
from pytest_ale.gateway.attempt import Attempt, Run, new_token
from pytest_ale.gateway.evidence import Evidence
from pytest_ale.gateway.forward import Forwarder, session
from pytest_ale.gateway.limits import Limits, Price, the_price
from pytest_ale.gateway.scrub import Scrub
from pytest_ale.gateway.server import Listener

__all__ = ["CONTROL", "serve"]

CONTROL = "control.sock"

Asked = Mapping[str, Any]  # Any: a worker's JSON


@dataclass(frozen=True)
class _Open:
    attempt: Attempt
    listener: Listener


class Service:
    """What workers may ask: each method is a verb of `Control`."""

    def __init__(
        self,
        client: ClientSession,
        upstreams: Mapping[Api, Upstream],
        run: Run,
        secrets: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._forwarder = Forwarder(upstreams, client, self.keep)
        self._run = run
        self._secrets = secrets
        self._folder = folder
        self._numbers = itertools.count(1)
        self._open: dict[str, _Open] = {}
        self._keeper = ThreadPoolExecutor(1, "ale-evidence")

    def keep(self, write: Callable[[], None]) -> asyncio.Future[None]:
        """Run what writes evidence on the one thread for it, in order."""
        return asyncio.get_running_loop().run_in_executor(self._keeper, write)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        verbs = {"/register": self.register, "/limit": self.limit}
        verbs |= {"/tally": self.tally, "/close": self.close}
        try:
            told = await verbs[request.path](json.loads(await request.read()))
        except (LookupError, TypeError, ValueError, OSError) as error:
            return web.Response(status=400, text=f"{type(error).__name__}: {error}")
        return web.json_response(told)

    async def register(self, asked: Asked) -> Mapping[str, object]:
        token = new_token()
        scrub = Scrub({"token": token, **self._secrets})
        folder = Path(asked["folder"]) if asked["folder"] else None
        evidence = Evidence(folder, int(asked["evidence_mb"] * 2**20), scrub)
        limits, outside = Limits(**asked["limits"]), bool(asked["outside"])
        waiting = asked["waiting"]
        attempt = Attempt(self._run, limits, evidence, token, outside=outside, waiting=waiting)
        listener = Listener(partial(self._forwarder.handle, attempt))
        path = self._folder / f"{next(self._numbers)}.sock"
        await listener.unix(path, 0o666)  # the agent is another user
        self._open[token] = _Open(attempt, listener)
        url = f"http://127.0.0.1:{await listener.tcp()}" if asked["tcp"] else ""
        return {"token": token, "socket": str(path), "url": url}

    async def limit(self, asked: Asked) -> Mapping[str, object]:
        self._known(asked).attempt.limit(Limits(**asked["limits"]))
        return {}

    async def tally(self, asked: Asked) -> Mapping[str, object]:
        return asdict(self._known(asked).attempt.tally())

    async def close(self, asked: Asked) -> Mapping[str, object]:
        known = self._known(asked)
        await known.listener.close()
        await self.keep(lambda: None)  # what it said is written by then
        del self._open[asked["token"]]
        return asdict(known.attempt.tally())

    def _known(self, asked: Asked) -> _Open:
        if asked["token"] not in self._open:
            raise LookupError("no attempt has this token, or it was closed")
        return self._open[asked["token"]]

    async def end(self) -> None:
        await asyncio.gather(*(known.listener.close() for known in self._open.values()))
        self._keeper.shutdown()


async def serve(
    told: Asked, folder: Path, ended: asyncio.Future[None], ready: Callable[[], None]
) -> None:
    """Serve until `ended`; `told` is a Config's JSON."""
    upstreams: dict[Api, Upstream] = {
        api: Upstream(**known) for api, known in told["upstreams"].items()
    }
    price: Price = the_price(told["price"], told["prices"])
    secrets = {f"{api} key": known.key for api, known in upstreams.items()}
    secrets |= {f"secret {n}": text for n, text in enumerate(told["secrets"], 1)}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(session())
        service = Service(client, upstreams, Run(price, told["run_usd"]), secrets, folder)
        stack.push_async_callback(service.end)
        control = Listener(service.answer)
        stack.push_async_callback(control.close)
        await control.unix(folder / CONTROL, 0o600)
        ready()
        await ended
