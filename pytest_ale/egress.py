"""Egress: the way out of a sandbox for the hosts its card names, and for no others.

Knows nothing of containers, leases or agents: it listens on a unix socket, speaks HTTP/1.1 as
proxies do, and connects from this machine. What is inside has no other way out, so who it may talk
to is decided here alone: names are resolved here, and the very address that was checked is used.

All of it runs on one thread of its own. What comes in is hostile: everything has a limit.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

from pytest_ale.asked import Asked, Refusal, understood
from pytest_ale.channels.network import Address
from pytest_ale.hosts import Allowed, hidden, is_private, literal, resolve
from pytest_ale.sandbox import ProviderFault

__all__ = ["Egress", "environment"]

Resolve = Callable[[str, int], Sequence[str]]

HEAD_BYTES = 1 << 16
HEAD_SECONDS = 30.0
CONNECT_SECONDS = 20.0
IDLE_SECONDS = 600.0
LINGER_SECONDS = 2.0
STOP_SECONDS = 5.0
CONNECTIONS = 256  # at once; more wait, in the socket's backlog
LOOKUPS = 16  # threads: a lookup cannot be ended, only waited for
ADDRESSES = 4  # of one name that are tried
NOTES = 200
CHUNK = 1 << 18


def environment(port: int) -> dict[str, str]:
    """What tells programs in the sandbox of the proxy, which the forwarder has on that port."""
    proxy, direct = f"http://127.0.0.1:{port}", "localhost,127.0.0.1,::1"
    named = {"http_proxy": proxy, "https_proxy": proxy, "all_proxy": proxy, "no_proxy": direct}
    return named | {name.upper(): value for name, value in named.items()}


class Egress:
    """A proxy for one sandbox, on a unix socket in a folder that is mounted into it.

    Start it before anything of the agent's runs: it makes the socket's file writable for all.
    """

    def __init__(
        self, allowed: Sequence[str], socket_path: Path, *, resolve: Resolve = resolve
    ) -> None:
        self.allowed = tuple(Allowed.of(item) for item in allowed)
        self._path = socket_path
        self._resolve = resolve
        self._refused: dict[str, None] = {}
        self._more = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._lookups = asyncio.Semaphore(LOOKUPS)
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._stop: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    @property
    def refused(self) -> tuple[str, ...]:
        """What was asked for and not allowed, each thing once, the first `NOTES` of them."""
        more = (f"and {self._more} more",) if self._more else ()
        return (*tuple(self._refused), *more)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen; what is asked is answered from now on."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(self._path) as path:
                listener.bind(path)
                Path(path).chmod(0o666)  # the agent is another user
            listener.listen(CONNECTIONS)
        except OSError as error:
            listener.close()
            raise ProviderFault(f"egress cannot listen on {self._path}: {error}") from error
        listener.setblocking(False)
        loop = asyncio.new_event_loop()
        work = loop.create_task(self._serve(listener))
        self._stop = partial(loop.call_soon_threadsafe, work.cancel)
        self._thread = threading.Thread(
            target=self._run, args=(loop, work), name="ale-egress", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End every connection at once, and remove the socket's file."""
        thread, self._thread = self._thread, None
        if thread:
            self._path.unlink(missing_ok=True)
            with suppress(RuntimeError):  # it has ended by itself
                self._stop()
            thread.join(STOP_SECONDS)

    def _run(self, loop: asyncio.AbstractEventLoop, work: asyncio.Task[None]) -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(work)
        loop.close()

    async def _serve(self, listener: socket.socket) -> None:
        """Accept until cancelled, and then end every connection."""
        try:
            with listener:
                while True:
                    await self._slots.acquire()
                    self._begin(await self._accept(listener))
        finally:
            for task in self._clients:
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> socket.socket:
        while True:
            try:
                return (await asyncio.get_running_loop().sock_accept(listener))[0]
            except OSError:  # no file left in this process: others use it, too
                await asyncio.sleep(0.1)

    def _begin(self, client: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._client(client))
        self._clients.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._clients.discard(task)
        self._slots.release()

    async def _client(self, client: socket.socket) -> None:
        with client:
            try:
                head, rest = await _read_head(client)
                await self._carry(client, understood(head), rest)
            except Refusal as refusal:
                with suppress(OSError):
                    await _answer(client, refusal)
            except OSError:  # either side went away, or said nothing for too long
                pass

    async def _carry(self, client: socket.socket, asked: Asked, rest: bytes) -> None:
        if not any(item.covers(asked.host, asked.port) for item in self.allowed):
            raise self._refuse(asked, "not allowed")
        with await self._connect(asked) as server:
            if asked.tunnel:
                await _send(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _send(server, rest)
                await _join(client, server)
            else:
                body = rest[: asked.body]
                await _send(server, asked.head + body)
                await _join(client, server, asked.body - len(body))
                await _end(client)

    def _refuse(self, asked: Asked, why: str) -> Refusal:
        """Note it for the record, once, and say it."""
        note = f"asked for {asked.target}: {why}"
        if note not in self._refused:
            if len(self._refused) < NOTES:
                self._refused[note] = None
            else:
                self._more += 1
        allowed = ", ".join(map(str, self.allowed)) or "nothing"
        said = f"{asked.target} cannot be reached from this sandbox: {why}. Allowed: {allowed}"
        return Refusal("403 Forbidden", said)

    async def _connect(self, asked: Asked) -> socket.socket:
        """Connect to an address that was found and checked here; no name is looked up twice."""
        said = "it has no address"
        for address in await self._addresses(asked):
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            server = socket.socket(family, socket.SOCK_STREAM)
            try:
                server.setblocking(False)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(CONNECT_SECONDS):
                    loop = asyncio.get_running_loop()
                    await loop.sock_connect(server, (str(address), asked.port))
                return server
            except OSError as error:
                server.close()
                said = f"{address}: {error or 'no answer in time'}"
            except BaseException:
                server.close()
                raise
        raise Refusal("502 Bad Gateway", f"{asked.target}: {said}")

    async def _addresses(self, asked: Asked) -> list[Address]:
        """The addresses of a host that a sandbox may reach."""
        found = [ip for ip in map(literal, await self._look_up(asked)) if ip][:ADDRESSES]
        whys = {address: self._banned(asked, address) for address in found}
        if found and all(whys.values()):
            address, why = next(iter(whys.items()))
            raise self._refuse(asked, f"it leads to {address}, {why}")
        return [address for address, why in whys.items() if not why]

    def _banned(self, asked: Asked, address: Address) -> str:
        exact = any(i.covers(asked.host, asked.port) and not i.wild for i in self.allowed)
        if is_private(address) and not exact:
            return "a private address, which only a host named in full may have"
        return hidden(address)

    async def _look_up(self, asked: Asked) -> Sequence[str]:
        """Look up a name on a thread of its own, which is not waited for when all this ends."""
        if literal(asked.host):
            return [asked.host]
        await self._lookups.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def done(found: Sequence[str] | OSError) -> None:
            self._lookups.release()
            if answer.cancelled():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look() -> None:
            found: Sequence[str] | OSError
            try:
                found = self._resolve(asked.host, asked.port)
            except (OSError, UnicodeError) as error:
                found = OSError(str(error))
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done, found)

        threading.Thread(target=look, name="ale-lookup", daemon=True).start()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await answer
        except OSError as error:
            why = f"{error or 'no answer in time'}"
            raise Refusal("502 Bad Gateway", f"{asked.host!r} cannot be found: {why}") from error


# Bytes.


async def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Everything up to the empty line, without it, and what came after."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    seen = 0
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            while (end := data.find(b"\r\n\r\n", seen)) < 0:
                if len(data) >= HEAD_BYTES:
                    said = f"the head of a request may have {HEAD_BYTES} bytes"
                    raise Refusal("431 Request Header Fields Too Large", said)
                seen = max(0, len(data) - 3)
                more = await loop.sock_recv(client, HEAD_BYTES - len(data))
                if not more:
                    raise ConnectionResetError
                data += more
    except TimeoutError:
        said = f"no whole request within {HEAD_SECONDS:g} s"
        raise Refusal("408 Request Timeout", said) from None
    return bytes(data[:end]), bytes(data[end + 4 :])


async def _send(target: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(IDLE_SECONDS):
        await asyncio.get_running_loop().sock_sendall(target, data)


async def _answer(client: socket.socket, refusal: Refusal) -> None:
    body = f"{refusal}\n".encode()
    head = f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    await _send(client, head.encode() + body)
    await _end(client)


async def _end(client: socket.socket) -> None:
    """Read on for a moment: what lies unread when a socket is closed takes the answer with it."""
    async with asyncio.timeout(LINGER_SECONDS):
        client.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(client, CHUNK):
            await asyncio.sleep(0)


async def _join(client: socket.socket, server: socket.socket, size: int | None = None) -> None:
    """Carry bytes both ways until both have ended; `size` is how many more the server is sent."""
    try:
        async with asyncio.timeout(IDLE_SECONDS) as idle, asyncio.TaskGroup() as ways:
            ways.create_task(_copy(client, server, idle, size))
            ways.create_task(_copy(server, client, idle))
    except* OSError:
        pass


async def _copy(
    source: socket.socket, target: socket.socket, idle: asyncio.Timeout, size: int | None = None
) -> None:
    loop = asyncio.get_running_loop()
    while size is None or size:
        data = await loop.sock_recv(source, CHUNK if size is None else min(size, CHUNK))
        if not data:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
            return
        try:
            await loop.sock_sendall(target, data)
        except OSError:  # nobody reads on; what they said before is still carried the other way
            return
        size = None if size is None else size - len(data)
        if not idle.expired():
            idle.reschedule(loop.time() + IDLE_SECONDS)
        await asyncio.sleep(0)  # neither call waits where both ends are fast: others want a turn


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A socket's path may have 107 bytes: one that leads through its open folder is short."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
