"""A sandbox's screen in a browser: noVNC's page and a way to the screen, on the loopback alone.

Knows nothing of engines: a provider hands over the page's files and a stream of VNC. What comes
from the screen is the agent's, and is only ever passed on to the page.
"""

from __future__ import annotations

import mimetypes
import posixpath
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_ale.sandbox import Fault, Screen, ScreenStream

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import ServerConnection

__all__ = ["Missing", "serve"]

HOST = "127.0.0.1"
CHUNK = 1 << 16


class Missing(Exception):
    """A package is not installed; the message says which extra has it."""


def serve(screen: Screen, *, port: int, tell: Callable[[str], object]) -> None:
    """Serve until interrupted; the address is told, and holds a word that nobody can guess."""
    try:
        from websockets.sync.server import serve
    except ImportError:
        raise Missing(
            "the Python package websockets is not installed: pip install 'pytest-ale[watch]'"
        ) from None
    watch = Watch(screen)
    try:
        # What VNC sends is compressed already.
        server = serve(
            watch.connected,
            HOST,
            port,
            process_request=watch.asked,
            compression=None,
            max_size=None,
        )
    except OSError as error:
        raise Missing(f"port {port} of the loopback cannot be had: {error.strerror}") from None
    with server:
        tell(watch.address(server.socket.getsockname()[1]))
        with suppress(KeyboardInterrupt):
            server.serve_forever()


@dataclass
class Watch:
    """One screen under one address: whoever does not know the word sees nothing."""

    screen: Screen
    word: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def address(self, port: int) -> str:
        asked = f"autoconnect=true&resize=scale&reconnect=true&path={self.word}/screen"
        return f"http://{HOST}:{port}/{self.word}/vnc.html?{asked}"

    def asked(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer with a file of the page; None goes on to the screen."""
        from http import HTTPStatus

        word, _, name = urlsplit(request.path).path[1:].partition("/")
        if not secrets.compare_digest(word.encode(), self.word.encode()):
            return connection.respond(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if name == "screen":
            return None
        if (data := self.screen.page.get(posixpath.normpath(name))) is None:
            return connection.respond(HTTPStatus.NOT_FOUND, f"There is no {name!r}.\n")
        return _file(connection, name, data)

    def connected(self, socket: ServerConnection) -> None:
        """Pass bytes on, both ways, until either end is gone."""
        from websockets.exceptions import ConnectionClosed

        try:
            stream = self.screen.dial()
        except Fault as fault:
            socket.close(1011, str(fault)[:120])
            return
        pump = threading.Thread(target=_to_page, args=(stream, socket), daemon=True)
        pump.start()
        try:
            with suppress(OSError, ConnectionClosed):
                for message in socket:
                    stream.send(message if isinstance(message, bytes) else message.encode())
        finally:
            stream.close()
            pump.join()


def _to_page(stream: ScreenStream, socket: ServerConnection) -> None:
    from websockets.exceptions import ConnectionClosed

    with suppress(OSError, ConnectionClosed):
        while data := stream.receive(CHUNK):
            socket.send(data)
    socket.close()


def _file(connection: ServerConnection, name: str, data: bytes) -> Response:
    from http import HTTPStatus

    response = connection.respond(HTTPStatus.OK, "")
    response.body = data
    for header, value in {
        "Content-Length": str(len(data)),
        "Content-Type": mimetypes.guess_type(name)[0] or "application/octet-stream",
    }.items():
        del response.headers[header]
        response.headers[header] = value
    return response
