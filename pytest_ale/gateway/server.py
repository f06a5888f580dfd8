"""The gateway's sockets: one for each attempt, and one for the workers.

Knows nothing of model APIs. An attempt's socket is mounted into its sandbox, so whatever comes in
there is hostile: heads, connections and waits are bounded, and no word of it reaches a log.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from pytest_ale.gateway.sockets import short

__all__ = ["Listener"]

CONNECTIONS = 128  # of one socket, at once; one more is closed
BACKLOG = 512  # of connections that wait: of unix sockets, one more is refused at once
KEEP_SECONDS = 75.0  # between requests, and for the whole head of one
LINGER_SECONDS = 2.0  # of reading on what will not be used, so that the answer arrives
STOP_SECONDS = 2.0
READ_BYTES = 1 << 19
LINE_BYTES = 16 << 10  # of a header; of those there may be 128

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

QUIET = logging.getLogger("pytest_ale.gateway.hostile")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class _Server(web.Server):
    """aiohttp's, with a bound on connections; where they are made, many may be in the making."""

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()


class Listener:
    """Serves one handler on a unix socket and, where asked, on a port of the loopback."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._working: set[asyncio.Task[object]] = set()
        self._server = _Server(
            self._handle,
            handler_cancellation=True,  # an agent that hangs up ends its request upstream
            access_log=None,
            logger=QUIET,
            keepalive_timeout=KEEP_SECONDS,
            lingering_time=LINGER_SECONDS,
            read_bufsize=READ_BYTES,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            auto_decompress=False,
            tcp_keepalive=False,
        )
        self._listening: list[asyncio.Server] = []
        self._path: Path | None = None

    async def unix(self, path: Path, mode: int) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short(path) as name:
            listener.bind(name)
            Path(name).chmod(mode)
        self._path = path
        loop = asyncio.get_running_loop()
        self._listening.append(
            await loop.create_unix_server(self._server, sock=listener, backlog=BACKLOG)
        )

    async def tcp(self) -> int:
        """Listen on a free port of the loopback."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._server, "127.0.0.1", 0)
        self._listening.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task  # aiohttp runs each request in one
        self._working.add(task)
        try:
            return await self._handler(request)
        finally:
            self._working.discard(task)

    async def close(self) -> None:
        """Close it all, and cut what is going on."""
        for server in self._listening:
            server.close()
        if self._path:
            self._path.unlink(missing_ok=True)
        for connection in self._server.connections:
            if connection.transport:
                connection.transport.abort()
        for task in (working := set(self._working)):
            task.cancel()
        if working:
            await asyncio.wait(working, timeout=STOP_SECONDS)
