"""The `open` network, against the real engine: what is in reach from inside, and what is not."""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ale import engine, images
from pytest_ale.channels import network
from pytest_ale.sandbox import ProviderFault, SandboxSpec
from tests.internet import Internet, internet

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = pytest.mark.once

Require = Callable[[str, str], None]

# Each word is tcp|udp|raw:address:port; a UDP packet is a question that a name server answers.
PROBE = """
import concurrent.futures, json, socket, sys
QUESTION = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\7example\\0\\0\\1\\0\\1"
def probe(word):
    kind, _, place = word.partition(":")
    host, _, port = place.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if kind == "raw":
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
            return "reached"
        types = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
        with socket.socket(family, types[kind]) as sock:
            sock.settimeout(3)
            sock.connect((host, int(port)))
            if kind == "udp":
                sock.send(QUESTION)
                sock.recv(512)
        return "reached"
    except OSError as error:
        return type(error).__name__
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(probe, sys.argv[1:])))))
"""
LISTEN = """
import socket
server = socket.create_server(("0.0.0.0", 7777), backlog=50)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
    heard.bind(("0.0.0.0", 7777))
    print("ready", flush=True)
    while True:
        print(heard.recv(100), flush=True)
"""


@pytest.fixture(scope="module")
def api(docker_engine: None) -> APIClient:
    return engine.connect()


@pytest.fixture(scope="module")
def world(require: Require) -> Iterator[Internet]:
    if os.geteuid():
        require("docker", "a stand-in internet needs root")
    with internet() as made:
        yield made


@pytest.fixture(scope="module")
def image(api: APIClient) -> str:
    return images.ensure(api, SandboxSpec(), None, lambda line: None).id


@pytest.fixture(autouse=True, scope="module")
def _nothing_left(api: APIClient) -> Iterator[None]:
    yield
    network.leave(api)


class Box:
    """A running container, and programs in it as the agent."""

    def __init__(self, api: APIClient, id: str) -> None:
        self.api = api
        self.id = id

    def run(self, *command: str) -> tuple[int, str]:
        made = self.api.exec_create(self.id, list(command), user="1000:1000")
        said: bytes = self.api.exec_start(made["Id"])
        return self.api.exec_inspect(made["Id"])["ExitCode"], said.decode()

    def probe(self, *places: str) -> dict[str, str]:
        status, said = self.run("/usr/bin/python3", "-c", PROBE, *places)
        assert status == 0, said
        found: dict[str, str] = json.loads(said)
        return found

    @property
    def address(self) -> str:
        about = self.api.inspect_container(self.id)["NetworkSettings"]["Networks"]
        return str(about[network.NAME]["IPAddress"])


@contextmanager
def opened(api: APIClient, image: str, command: str = "import time; time.sleep(600)",
           **config: Any) -> Iterator[Box]:  # fmt: skip
    """A container on the open network, as the provider makes one, and without the rules."""
    host = api.create_host_config(
        network_mode=network.NAME,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        **config,
    )
    words = ["/usr/bin/python3", "-c", command]
    made = api.create_container(image, words, user="1000:1000", host_config=host)
    try:
        network.start(api, made["Id"])
        yield Box(api, made["Id"])
    finally:
        api.remove_container(made["Id"], force=True)
        network.leave(api)


def reached(found: dict[str, str]) -> set[str]:
    return {place for place, how in found.items() if how == "reached"}


@pytest.fixture(scope="module")
def host_port() -> Iterator[int]:
    """A service of this machine's, on all its addresses."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        yield server.getsockname()[1]


def host_addresses() -> list[str]:
    """As `ip` tells them, who is another witness than the code that is tested."""
    said = subprocess.run(["ip", "-j", "address"], check=True, capture_output=True).stdout
    addresses = [info["local"] for link in json.loads(said) for info in link["addr_info"]]
    return [address for address in addresses if not ip_address(address).is_loopback]


def test_open_reaches_the_world_and_nothing_that_is_near(
    api: APIClient, image: str, world: Internet, host_port: int
) -> None:
    far = {f"tcp:{world.public}:443", f"udp:{world.public}:53", "udp:127.0.0.11:53"}
    with opened(api, image, LISTEN) as other, opened(api, image, dns=[world.private]) as box:
        hosts = {f"tcp:{address}:{host_port}" for address in host_addresses()}
        private = {f"tcp:{world.private}:443", f"udp:{world.private}:53"}
        near = {*hosts, *private, f"tcp:{other.address}:7777"}
        before = reached(box.probe(*far, *near))
        bridge = f"tcp:{network_gateway(api)}:{host_port}"
        assert before >= {*far, *private, bridge}  # or being kept from them proves nothing

        network.close_off(api, box.id, image)
        found = box.probe(*far, *near, bridge, "tcp:169.254.169.254:80", "raw::0")
    assert reached(found) == far
    assert not [place for place, how in found.items() if how == "TimeoutError"]  # said at once


def network_gateway(api: APIClient) -> str:
    return str(api.inspect_network(network.NAME)["IPAM"]["Config"][0]["Gateway"])


def test_docker_resolver_answers_where_the_name_server_is_out_of_reach(
    api: APIClient, image: str, world: Internet
) -> None:
    ask = "import socket; print(socket.gethostbyname('www.example.org'))"
    with opened(api, image, dns=[world.private]) as box:
        network.close_off(api, box.id, image)
        assert box.run("/usr/bin/python3", "-c", ask) == (0, "192.0.2.77\n")
        assert reached(box.probe(f"udp:{world.private}:53")) == set()


def test_nobody_reaches_an_open_sandbox(api: APIClient, image: str) -> None:
    with opened(api, image, LISTEN) as box, opened(api, image) as other:
        place = (box.address, 7777)
        heard(api, box, b"ready")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            socket.create_connection(place, 5).close()
            sender.sendto(b"before", place)
            heard(api, box, b"before")

            network.close_off(api, box.id, image)
            sender.sendto(b"after", place)
            with pytest.raises(OSError):
                socket.create_connection(place, 0.5)
        assert reached(other.probe(f"tcp:{box.address}:7777")) == set()
        assert b"after" not in api.logs(box.id)  # nor is it heard by who cannot answer


def heard(api: APIClient, box: Box, word: bytes) -> None:
    deadline = time.monotonic() + 10
    while word not in api.logs(box.id):
        assert time.monotonic() < deadline, f"{word!r} was not heard within 10 s"
        time.sleep(0.05)


def test_the_agent_cannot_undo_the_rules(api: APIClient, image: str, world: Internet) -> None:
    with opened(api, image) as box:
        network.close_off(api, box.id, image)
        for command in (["flush", "ruleset"], ["delete", "table", "inet", "ale"]):
            status, said = box.run("/usr/sbin/nft", *command)
            assert (status, "Operation not permitted" in said) == (1, True), said
        status, said = box.run("unshare", "-Urn", "true")
        assert status, said
        assert reached(box.probe(f"tcp:{world.private}:443")) == set()


def test_rules_that_cannot_be_put_are_a_fault_and_leave_nothing(api: APIClient, image: str) -> None:
    label = {"test": secrets.token_hex(8)}
    with opened(api, image) as box:
        api.kill(box.id)
        with pytest.raises(ProviderFault, match=f"container {box.id} could not be kept from"):
            network.close_off(api, box.id, image, label)
    assert api.containers(all=True, filters={"label": f"test={label['test']}"}) == []


def test_an_image_without_nftables_is_a_fault(api: APIClient, image: str) -> None:
    with opened(api, image) as box:
        recipe = f"FROM {image}\nUSER root\nRUN rm /usr/sbin/nft\n"
        said = list(api.build(fileobj=io.BytesIO(recipe.encode()), rm=True, decode=True))
        bare = next(each["aux"]["ID"] for each in said if "aux" in each)
        try:
            with pytest.raises(ProviderFault, match="must hold nftables"):
                network.close_off(api, box.id, bare)
        finally:
            api.remove_image(bare, force=True)


def test_many_processes_make_and_leave_the_network_at_once(api: APIClient, image: str) -> None:
    work = (
        "from pytest_ale import engine\n"
        "from pytest_ale.channels import network\n"
        "api = engine.connect()\n"
        "for _ in range(8):\n"
        "    assert network.open_network(api) == network.NAME\n"
        "    network.leave(api)\n"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", work], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for _ in range(2):
        with opened(api, image) as box:
            assert box.address
    ends = [(process.communicate(timeout=60)[1], process.returncode) for process in others]
    assert ends == [("", 0)] * 3
    same = [each for each in api.networks() if each["Name"] == network.NAME]
    assert len(same) <= 1


def test_a_network_that_cannot_be_made_is_a_fault(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bridge is another network's here: never one that others use."""
    options = {"com.docker.network.bridge.name": f"ale-{secrets.token_hex(4)}"}
    taken = api.create_network(f"{options['com.docker.network.bridge.name']}-t", options=options)
    try:
        monkeypatch.setattr(network, "NAME", f"ale-{secrets.token_hex(4)}")
        monkeypatch.setattr(network, "OPTIONS", options)
        with pytest.raises(ProviderFault, match=r"cannot be made: .*same bridge name"):
            network.open_network(api)
    finally:
        api.remove_network(taken["Id"])


def api_subnets(api: APIClient) -> Iterator[IPv4Network]:
    for config in api.inspect_network("bridge")["IPAM"]["Config"]:
        yield IPv4Network(config["Subnet"])


def test_own_holds_every_address_and_the_bridges(api: APIClient) -> None:
    found = network.own()
    subnet = next(api_subnets(api))
    addresses = [ip_address(address) for address in host_addresses()]
    assert addresses
    assert [ip for ip in addresses if not any(ip in each for each in found)] == []
    assert subnet in found
    assert not any(each.prefixlen == 0 for each in found)
