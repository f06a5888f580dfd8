"""A stand-in internet: a network namespace with an address for documentation, and servers in it.

Port 80 speaks HTTP and answers with what it was sent; 443 and 8443 send back what they get, say
"bye" to the end of it, and give as many bytes as they are told ("give N\n"); 53 (UDP) knows all
names.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

from pytest_ale.channels.network import own


@dataclass(frozen=True)
class Internet:
    """`public` and `private` are two addresses of the one machine that is in it."""

    public: str
    private: str


@contextmanager
def internet() -> Iterator[Internet]:
    """Set it up, routed through this machine; needs root. A number nobody else has is drawn."""
    number = _free()
    name, inner = f"ale-test-{number}", f"ale-in-{number}"
    public, private = f"198.51.100.{4 * number}", f"10.213.{number}.0"
    _ip(f"netns add {name}")
    try:
        _ip(f"link add {inner} type veth peer name eth0 netns {name}")
        for address in (public, private):
            _ip(f"addr add {_next(address, 2)}/30 dev {inner}")
            _ip(f"-n {name} addr add {_next(address, 1)}/30 dev eth0")
        _ip(f"link set {inner} up")
        _ip(f"-n {name} link set eth0 up")
        _ip(f"-n {name} link set lo up")
        _ip(f"-n {name} route add default via {_next(public, 2)}")
        with _servers(name):
            yield Internet(_next(public, 1), _next(private, 1))
    finally:
        _ip(f"netns del {name}")


def _free() -> int:
    taken = "\n".join(map(str, own()))
    return random.choice([n for n in range(1, 63) if f"10.213.{n}." not in taken])


def _next(address: str, by: int) -> str:
    return str(ip_address(address) + by)


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@contextmanager
def _servers(namespace: str) -> Iterator[None]:
    command = ["ip", "netns", "exec", namespace, sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


# The servers, in a process in the namespace.


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    answer = json.dumps({"head": head, "body": body.decode("latin-1")}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    await writer.drain()
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 18):
        if data.startswith(b"give "):
            for _ in range(int(data.split()[1]) >> 20):
                writer.write(bytes(1 << 20))
                await writer.drain()
            break
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()


class Names(asyncio.DatagramProtocol):
    """Every name has the address 192.0.2.77."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str | int, int]) -> None:
        end = data.index(0, 12) + 5  # of the one question
        kind = data[end - 4 : end - 2]
        answers = 1 if kind == b"\0\1" else 0
        head = data[:2] + b"\x81\x80\0\1" + bytes([0, answers]) + bytes(4)
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton("192.0.2.77")
        self.transport.sendto(head + data[12:end] + record * answers, address)


async def serve() -> None:
    """Addresses of a link that has just come up may be late: nothing is bound to one."""
    for port, answer in ((80, http), (443, echo), (8443, echo)):
        await asyncio.start_server(answer, "0.0.0.0", port)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Names, local_addr=("0.0.0.0", 53))
    os.write(1, b"ready\n")
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(serve())
