"""Networks: what of this machine no sandbox may reach, and the network of a sandbox that is `open`.

Knows nothing of leases, images or proxies. An open sandbox hangs on a bridge that all of them
share, and a rule set in its own network namespace, where the agent has no say, keeps it from this
machine, from private networks and from other sandboxes.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
)
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.sandbox import ProviderFault

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["NAME", "PRIVATE", "Address", "close_off", "leave", "open_network", "own", "start"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAME = "pytest-ale-open"
# The bridge's name is that of the network, for two bridges of one name cannot be: of processes that
# make the network at once, one does. With Docker's own check for duplicates 46 of 48 did, and a
# name that two networks have is of no use. 15 bytes: no interface may be called anything longer.
OPTIONS = {
    "com.docker.network.bridge.name": NAME,
    "com.docker.network.bridge.enable_icc": "false",
}
RULES_SECONDS = 30
TRIES = 20
TRY_SECONDS = 0.05

PRIVATE = [
    ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
NOWHERE = [  # of no use to anyone but this machine and its neighbours
    *(ip_network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16")),
    *(ip_network(net) for net in ("224.0.0.0/4", "240.0.0.0/4")),
    ip_network("168.63.129.16/32"),  # Azure's, for its machines; other clouds have a link-local one
]

# Root's own sockets may ask for names: Docker's resolver lives on the sandbox's loopback and asks
# the machine's name server from inside the sandbox; no process of the agent's can be root.
RULES = """
table inet ale {{
    chain out {{
        type filter hook output priority -10; policy drop;
        oifname "lo" accept
        meta skuid 0 meta l4proto {{ tcp, udp }} th dport 53 accept
        meta nfproto ipv6 reject
        ip daddr {{ {banned} }} reject
        accept
    }}
    chain in {{
        type filter hook input priority -10; policy drop;
        iifname "lo" accept
        ct state established,related accept
    }}
    chain through {{
        type filter hook forward priority -10; policy drop;
    }}
}}
"""


# What is this machine's own, as the kernel tells it.


def own() -> list[Network]:
    """Every address of this machine, and the networks of its bridges: containers live there."""
    found = [*_addresses4(), *_addresses6(), *_bridged(list(_routes()))]
    return list(dict.fromkeys(found))


def _addresses4() -> Iterator[Network]:
    """Each "32 host LOCAL" of the routing tree stands below the address it is about."""
    address = ""
    for line in _lines("/proc/net/fib_trie"):
        if "|--" in line:
            address = line.split()[-1]
        elif "host LOCAL" in line:
            yield ip_network(f"{address}/{line.split()[0].lstrip('/')}", strict=False)


def _addresses6() -> Iterator[Network]:
    for line in _lines("/proc/net/if_inet6"):
        yield IPv6Network(bytes.fromhex(line.split()[0]))


def _routes() -> Iterator[tuple[str, Network]]:
    """Interface and destination of each route; the kernel prints IPv4 in its own byte order."""
    for line in _lines("/proc/net/route")[1:]:
        interface, destination, *_, mask, _, _, _ = line.split()
        yield interface, ip_network(f"{_dotted(destination)}/{_dotted(mask)}")
    for line in _lines("/proc/net/ipv6_route"):
        words = line.split()
        prefix = bytes.fromhex(words[0]), int(words[1], 16)
        yield words[-1], IPv6Network(prefix, strict=False)


def _dotted(number: str) -> str:
    return socket.inet_ntoa(struct.pack("=I", int(number, 16)))


def _bridged(routes: list[tuple[str, Network]]) -> Iterator[Network]:
    """A bridge that leads to the world is a network card in disguise, and not for containers."""
    outward = {interface for interface, network in routes if network.prefixlen == 0}
    for interface, network in routes:
        if interface not in outward and Path("/sys/class/net", interface, "bridge").exists():
            yield network


def _lines(path: str) -> list[str]:
    """A file that is not there is of a protocol that is switched off."""
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []


# The network of open sandboxes.


def open_network(api: APIClient) -> str:
    """Make the network where it is missing; any number of processes may ask, and leave, at once."""
    from docker.errors import APIError, NotFound

    for left in reversed(range(TRIES)):
        try:
            api.inspect_network(NAME)
            return NAME
        except NotFound:
            pass
        try:
            api.create_network(NAME, driver="bridge", options=OPTIONS, check_duplicate=True)
            return NAME
        except APIError as error:  # another was faster, or there is a real reason
            if not left:
                message = f"docker network {NAME!r} cannot be made: {_said(error)}"
                raise ProviderFault(message) from error
        time.sleep(TRY_SECONDS)
    raise AssertionError("the last try returns or raises")


def start(api: APIClient, container: str) -> None:
    """Start a container of the network, which another process may just be removing."""
    from docker.errors import APIError

    for left in reversed(range(TRIES)):
        open_network(api)
        try:
            api.start(container)
            return
        except APIError as error:
            if not left or NAME not in _said(error):
                message = f"container {container} on {NAME!r} does not start: {_said(error)}"
                raise ProviderFault(message) from error


def leave(api: APIClient) -> None:
    """Remove the network unless it is in use: the engine knows, and refuses."""
    from docker.errors import APIError

    with suppress(APIError):
        api.remove_network(NAME)


def close_off(
    api: APIClient, container: str, image: str, labels: Mapping[str, str] | None = None
) -> None:
    """Put the rules into a running container's network, before anything of the agent's runs.

    They are put by a container of an instant that shares this network and may administer it,
    from an image with nftables. They hold until the container stops: to be put after each start.
    """
    from docker.errors import APIError

    helper = ""
    try:
        helper = _helper(api, container, image, labels or {})
        api.start(helper)
        status = api.wait(helper, timeout=RULES_SECONDS)["StatusCode"]
        said = api.logs(helper).decode(errors="replace").strip()[-500:]
    except (APIError, OSError) as error:
        raise _unclosed(container, image, _said(error)) from error
    finally:
        if helper:
            with suppress(APIError, OSError):
                api.remove_container(helper, force=True)
    if status:
        raise _unclosed(container, image, f"nft ended with {status}: {said}")


def _helper(api: APIClient, container: str, image: str, labels: Mapping[str, str]) -> str:
    config = api.create_host_config(
        network_mode=f"container:{container}",
        cap_drop=["ALL"],
        cap_add=["NET_ADMIN"],
        security_opt=["no-new-privileges"],
        read_only=True,
    )
    made = api.create_container(
        image,
        entrypoint=["/usr/sbin/nft"],
        command=[rules(own())],
        user="0:0",
        labels=dict(labels),
        host_config=config,
    )
    return str(made["Id"])


def rules(own: Iterable[Network]) -> str:
    """The rule set; sets of nftables take no overlapping networks."""
    networks = [net for net in [*PRIVATE, *NOWHERE, *own] if isinstance(net, IPv4Network)]
    return RULES.format(banned=", ".join(map(str, collapse_addresses(networks))))


def _unclosed(container: str, image: str, why: str) -> ProviderFault:
    return ProviderFault(
        f"network 'open': container {container} could not be kept from this machine's own network: "
        f"{why} (the image {image!r} must hold nftables, the kernel nf_tables)"
    )


def _said(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
