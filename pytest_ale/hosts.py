"""Hosts: what a card's list of them means, and which addresses no name may lead a sandbox to.

Knows nothing of proxies or sockets in use. Imports little: cards are read by every process.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from pytest_ale.channels.network import NOWHERE, PRIVATE, Address, own

__all__ = ["Allowed", "canonical", "hidden", "is_private", "literal", "port_of", "resolve"]

PORTS = (443, 80)  # of an item that names none
HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that inet_aton takes for an address
NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Allowed:
    """One item of a card's `environment.network`: host, *.host, either with :port."""

    host: str
    wild: bool = False
    ports: tuple[int, ...] = PORTS

    @classmethod
    def of(cls, item: str) -> Allowed:
        """Read an item; ValueError says what is wrong with it."""
        wild = item.startswith("*.")
        host, port = _parted(item[2:] if wild else item)
        try:
            host = canonical(host)
            ports = (port_of(port),) if port else PORTS
        except ValueError as error:
            raise ValueError(f"{item!r} in `network`: {error}") from None
        if wild and literal(host):
            raise ValueError(f"{item!r} in `network`: an address has no sub-domains")
        return cls(host, wild, ports)

    def covers(self, host: str, port: int) -> bool:
        named = host.endswith(f".{self.host}") if self.wild else host == self.host
        return named and port in self.ports

    def __str__(self) -> str:
        ports = " or ".join(map(str, self.ports))
        return f"{'*.' if self.wild else ''}{self.host} (port {ports})"


def _parted(item: str) -> tuple[str, str]:
    """Host and port, "" for none; an IPv6 address with a port stands in brackets."""
    if item.startswith("["):
        host, _, port = item[1:].partition("]")
        return host, port.removeprefix(":")
    if item.count(":") > 1:
        return item, ""
    host, _, port = item.partition(":")
    return host, port


def port_of(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise ValueError(f"{text!r} is not a port")
    return int(text)


def canonical(host: str) -> str:
    """A host's one spelling: lower case, no trailing dot, IDNA, addresses as Python prints them.

    Addresses in any other spelling (2130706433, 0177.1) are no hosts.
    """
    if address := literal(host):
        return str(address)
    name = host
    with suppress(UnicodeError):
        name = host.encode("idna").decode("ascii")
    name = name.lower().removesuffix(".")
    if len(name) > 253 or not HOST.fullmatch(name) or NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError(f"{host[:253]!r} is not a host name or an address")
    return name


def literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def hidden(address: Address) -> str:
    """Say why an address is out of a sandbox's reach whatever its name, or ""."""
    for inner in _meant(address):
        if inner.is_loopback or inner.is_unspecified or any(inner in net for net in own()):
            return "this machine, or a sandbox on it"
        if inner.is_link_local or inner.is_multicast or inner.is_reserved:
            return "a link-local, multicast or reserved address"
        if any(inner in net for net in NOWHERE):
            return "this machine, or the cloud that it is in"
    return ""


def is_private(address: Address) -> bool:
    return any(inner in net for inner in _meant(address) for net in PRIVATE)


def _meant(address: Address) -> list[Address]:
    """An address, or the IPv4 address that a mapped, 6to4 or NAT64 one stands for, with it."""
    if not isinstance(address, IPv6Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in NAT64:
        return [ip_address(int(address) & 0xFFFFFFFF)]
    return [address, address.sixtofour] if address.sixtofour else [address]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, by the machine's own resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]).partition("%")[0] for *_, address in found]
