"""The witness itself, in the network of a sandbox: answers for everybody, and says who was asked.

Runs by itself, as root with NET_ADMIN, on any Python from 3.9 on. Prints `ready`, and then a line
for each name that is asked for, and for each address that is not the loopback's.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
import threading
from pathlib import Path

ADDRESS = "203.0.113.1"  # of every name, and the sandbox's own; for documentation (RFC 5737)
PORTS = (80, 443)
NEW_ROUTE, CREATE, ACKNOWLEDGE, REQUEST = 24, 0x400, 4, 1
LOCAL_TABLE, LOCAL_TYPE, HOST_SCOPE, BOOT = 255, 2, 254, 3
OUT, SET_ADDRESS, ANY_PROTOCOL = 4, 0x8916, 3
told: set[str] = set()


def tell(line: str) -> None:
    if line not in told:
        told.add(line)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def have_address() -> None:
    """Beside the loopback's: without one, some say that there is no network."""
    name, family = b"lo:1", struct.pack("=H", socket.AF_INET)
    asked = struct.pack("16s2s2s4s8x", name, family, b"", socket.inet_aton(ADDRESS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SET_ADDRESS, asked)


def own_all() -> None:
    """`ip route add local default dev lo`: every address there is, is here."""
    route = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, LOCAL_TABLE, BOOT, HOST_SCOPE, LOCAL_TYPE, 0
    )
    route += struct.pack("=HHI", 8, OUT, socket.if_nametoindex("lo"))
    flags = REQUEST | CREATE | ACKNOWLEDGE
    head = struct.pack("=IHHII", 16 + len(route), NEW_ROUTE, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.send(head + route)
        (error,) = struct.unpack_from("=i", sock.recv(4096), 16)
        if error:
            raise OSError(-error, "the route could not be made")


def name_servers() -> list[str]:
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]


def answers(server: str) -> None:
    """To a question by UDP: the address for an A, nothing for all else."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((server, 53))
    threading.Thread(target=answer, args=(sock,), daemon=True).start()


def answer(sock: socket.socket) -> None:
    while True:
        asked, who = sock.recvfrom(4096)
        labels, at = [], 12
        while asked[at]:
            labels.append(asked[at + 1 : at + 1 + asked[at]].decode("ascii", "replace"))
            at += 1 + asked[at]
        (kind,) = struct.unpack_from("!H", asked, at + 1)
        question = asked[12 : at + 5]
        name = ".".join(labels).lower()
        if name != socket.gethostname():
            tell(f"name {name}")
        found = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
        head = asked[:2] + struct.pack("!HHHHH", 0x8180, 1, int(kind == 1), 0, 0)
        sock.sendto(head + question + (found if kind == 1 else b""), who)


def lets_in(port: int) -> None:
    server = socket.create_server(("", port), backlog=50)
    threading.Thread(target=let_in, args=(server,), daemon=True).start()


def let_in(server: socket.socket) -> None:
    """Listens for a moment, and hangs up."""
    while True:
        client, _ = server.accept()
        client.settimeout(1)
        with contextlib.suppress(OSError):
            client.recv(4096)
        client.close()


def watch(sock: socket.socket) -> None:
    """All that is sent: whom to, by TCP or UDP, where that is no loopback's address."""
    servers = name_servers()
    while True:
        packet = sock.recv(65535)[14:]
        length = (packet[0] & 15) * 4 if packet else 0
        if not packet or packet[0] >> 4 != 4 or len(packet) < length + 4:
            continue
        target, (_, port) = (
            socket.inet_ntoa(packet[16:20]),
            struct.unpack_from("!HH", packet, length),
        )
        if outward(packet[9], target, port, servers) and begins(packet, length):
            tell(f"address {target}:{port}")


def outward(protocol: int, target: str, port: int, servers: list[str]) -> bool:
    if protocol not in (6, 17) or target.startswith("127."):
        return False
    return not (port == 53 and target in servers)


def begins(packet: bytes, length: int) -> bool:
    """A packet that opens a connection; of UDP, one that is no answer of ours."""
    if packet[9] == 6:
        return packet[length + 13] & 18 == 2
    (source,) = struct.unpack_from("!H", packet, length)
    return bool(source != 53)


have_address()
own_all()
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ANY_PROTOCOL))
sniffer.bind(("lo", 0))
for each in name_servers():
    answers(each)
for port in PORTS:
    lets_in(port)
tell("ready")
watch(sniffer)
