"""The scripted model: a server that plays a script to whoever asks it, through any of the APIs.

Knows nothing of agents, sandboxes or tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Self

from aiohttp import web

from pytest_ale.testing.player import Player
from pytest_ale.testing.script import Script, Step, Turn
from pytest_ale.testing.service import Request, Service

__all__ = ["ScriptFailed", "ScriptedModel"]

MOST_BYTES = 256 << 20  # of a request: a long conversation's screenshots are all in each
SECONDS = 10  # to start, and to stop: on loopback both take milliseconds


class ScriptFailed(AssertionError):
    """The model was not asked as the script expects."""


class ScriptedModel:
    """A model server on a loopback port, and on a unix socket if asked to, in a thread.

    `keys` are the only ones it takes (any, without them); `models` are what it lists. `others` are
    scripts for conversations whose prompts hold a word; what they expect is not checked.
    """

    def __init__(
        self,
        script: Script | Iterable[Step | Turn],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        socket: Path | None = None,
        keys: Sequence[str] = (),
        models: Sequence[str] = ("scripted",),
        others: Mapping[str, Iterable[Step | Turn]] | None = None,
    ) -> None:
        self.script = script if isinstance(script, Script) else Script(script)
        self.host, self.port, self.socket = host, port, socket
        told = {word: Script(steps) for word, steps in (others or {}).items()}
        self._player = Player(self.script, told)
        self._service = Service(self._player, tuple(keys), tuple(models))
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        """Its address; OpenAI's clients want `url + "/v1"`, the others just this."""
        return f"http://{self.host}:{self.port}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that was sent so far, in order."""
        return tuple(self._service.requests)

    @property
    def unused(self) -> tuple[Turn, ...]:
        """The turns that nobody was told."""
        return tuple(self._player.unused)

    @property
    def failures(self) -> tuple[str, ...]:
        """What was not as expected."""
        return tuple(self._player.failures)

    def check(self) -> None:
        """Raise ScriptFailed if an expectation was not met, or a turn not played."""
        wrong = [
            *self.failures,
            *(f"no request was at the turn that {turn}" for turn in self.unused),
        ]
        if wrong:
            said = "".join(f"\n- {why}" for why in wrong)
            raise ScriptFailed(f"not as scripted, in {len(self.requests)} requests:{said}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen; after `close` again at the same port, with all that it knew."""
        if self._thread is not None:
            raise RuntimeError(f"the scripted model already listens at {self.url}")
        ready: Future[int] = Future()
        thread = Thread(target=self._run, args=(ready,), name="scripted-model", daemon=True)
        thread.start()
        self.port = ready.result(SECONDS)
        self._thread = thread

    def close(self) -> None:
        """Stop listening, and drop whoever still waits for an answer."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(SECONDS)
        self._thread = None

    def _run(self, ready: Future[int]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._service.handle)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            port = int(runner.addresses[0][1])
            if self.socket is not None:
                await web.UnixSite(runner, self.socket).start()
            ready.set_result(port)
            await self._stop.wait()
        finally:
            await runner.cleanup()
            if self.socket is not None:
                self.socket.unlink(missing_ok=True)
