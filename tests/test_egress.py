"""The way out for named hosts: the forwarder inside, the proxy outside, and who tries to cheat."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pytest_ale import egress, engine, images
from pytest_ale.bridge import forward
from pytest_ale.egress import Egress
from pytest_ale.hosts import Allowed, canonical, hidden, is_private
from pytest_ale.sandbox import ProviderFault, SandboxSpec
from tests.internet import Internet, internet

Require = Callable[[str, str], None]
Start = Callable[..., Egress]


@pytest.fixture(scope="module")
def world(require: Require) -> Iterator[Internet]:
    if os.geteuid():
        require("docker", "a stand-in internet needs root")
    with internet() as made:
        yield made


@pytest.fixture
def start(world: Internet, tmp_path: Path) -> Iterator[Start]:
    """Start an egress for hosts; `names` says where they lead, and all others to the world."""
    with ExitStack() as stack:

        def begin(*allowed: str, names: dict[str, list[str]] | None = None) -> Egress:
            def resolve(host: str, port: int) -> Sequence[str]:
                return (names or {}).get(host, [world.public])

            return stack.enter_context(Egress(allowed, tmp_path / "egress.sock", resolve=resolve))

        yield begin


def dial(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    return sock


def read(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def ask(proxy: Egress, sent: bytes) -> bytes:
    """All that comes back until the proxy closes."""
    with dial(proxy._path) as sock:
        sock.sendall(sent)
        return read(sock)


def get(proxy: Egress, url: str, *headers: str) -> bytes:
    return ask(proxy, "\r\n".join([f"GET {url} HTTP/1.1", *headers, "", ""]).encode())


def connect(proxy: Egress, target: str) -> bytes:
    """The answer's first line; a tunnel that stands is ended."""
    with dial(proxy._path) as sock:
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        return sock.recv(1 << 16).split(b"\r\n")[0]


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def passed(answer: bytes) -> dict[str, str]:
    """What the server in the world was sent."""
    assert status(answer) == 200, answer
    found: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


# Which hosts a card means.


@pytest.mark.parametrize(
    ("item", "host", "port", "covers"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "example.org", 22, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("Example.ORG.", "example.org", 443, True),
        ("example.org", "www.example.org", 443, False),
        ("example.org", "badexample.org", 443, False),
        ("*.example.org", "www.example.org", 443, True),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "badexample.org", 443, False),
        ("*.example.org:8443", "www.example.org", 8443, True),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("198.51.100.1", "198.51.100.1", 443, True),
        ("[2001:DB8::0:1]:443", "2001:db8::1", 443, True),
        ("2001:db8::1", "2001:db8::1", 80, True),
    ],
)
def test_item_covers(item: str, host: str, port: int, covers: bool) -> None:
    assert Allowed.of(item).covers(canonical(host), port) is covers


@pytest.mark.parametrize(
    "item",
    ["", "*", "*.", ".", "a b", "http://example.org", "example.org/x", "u@example.org", "a..b",
     "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "*.198.51.100.1", "example.org:0",
     "example.org:65536", "example.org:x", "x\r\ny", "-a.example", "*.*.example", "a" * 64],
)  # fmt: skip
def test_no_item(item: str) -> None:
    with pytest.raises(ValueError, match="in `network`: "):
        Allowed.of(item)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "::", "::1",
     "255.255.255.255", "240.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1",
     "ff02::1", "2002:7f00:1::", "64:ff9b::7f00:1"],
)  # fmt: skip
def test_address_out_of_reach(text: str) -> None:
    from ipaddress import ip_address

    assert hidden(ip_address(text))
    assert not hidden(ip_address("198.51.101.1"))
    assert not hidden(ip_address("2001:4860::1"))


def test_private_addresses_are_known() -> None:
    from ipaddress import ip_address

    inside = ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"]
    assert [text for text in inside if not is_private(ip_address(text))] == []
    assert not is_private(ip_address("172.32.0.1"))


# What the proxy does.


def test_get_is_passed_on_as_its_url_says(start: Start) -> None:
    proxy = start("example.org")
    headers = [
        "Host: evil.example",
        "Proxy-Connection: x",
        "Connection: close, X-Mine",
        "X-Mine: 1",
    ]
    sent = passed(get(proxy, "http://Example.org./a?b=c", *headers, "X-Kept: \xe9"))
    assert sent["head"] == (
        "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-Kept: Ã©\r\nConnection: close\r\n\r\n"
    )
    assert passed(get(proxy, "http://example.org"))["head"].startswith("GET / HTTP/1.1\r\n")
    assert passed(get(proxy, "http://example.org?x"))["head"].startswith("GET /?x HTTP/1.1\r\n")


def test_a_body_is_passed_on_and_nothing_behind_it(start: Start) -> None:
    proxy = start("example.org")
    head = b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
    answer = ask(proxy, head + b"hello" + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert passed(answer)["body"] == "hello"
    assert answer.count(b"HTTP/1.1 200") == 1
    with dial(proxy._path) as sock:
        sock.sendall(head + b"he")
        time.sleep(0.1)
        sock.sendall(b"llo and more")
        assert passed(read(sock))["body"] == "hello"


def test_a_tunnel_carries_both_ways_and_each_end_by_itself(start: Start) -> None:
    proxy = start("example.org:8443", "example.org")
    for target in ("example.org:443", "EXAMPLE.org:8443"):
        with dial(proxy._path) as sock:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
            sock.shutdown(socket.SHUT_WR)
            assert read(sock) == b"HTTP/1.1 200 Connection established\r\n\r\nearlybye"


def test_what_is_not_allowed_is_said_and_noted(start: Start) -> None:
    proxy = start("example.org", "*.example.net")
    answer = get(proxy, "http://evil.example/")
    assert status(answer) == 403
    assert b"evil.example:80 cannot be reached from this sandbox: not allowed" in answer
    assert b"example.org (port 443 or 80), *.example.net" in answer
    assert connect(proxy, "evil.example:443") == b"HTTP/1.1 403 Forbidden"
    get(proxy, "http://evil.example/again")
    assert proxy.refused == (
        "asked for evil.example:80: not allowed",
        "asked for evil.example:443: not allowed",
    )


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:443", "localhost:443", "0.0.0.0:443", "[::1]:443", "[::]:443", "169.254.169.254:80",
     "[::ffff:127.0.0.1]:443", "example.org:22", "evil.example:443", "example.org.evil.example:443",
     "198.51.100.200:443", "example.net:443"],
)  # fmt: skip
def test_tunnels_that_are_refused(start: Start, target: str) -> None:
    assert connect(start("example.org", "*.example.net"), target) == b"HTTP/1.1 403 Forbidden"


@pytest.mark.parametrize(
    "request_line",
    ["CONNECT 2130706433:443", "CONNECT 0177.0.0.1:443", "CONNECT 0x7f.1:443", "CONNECT 127.1:443",
     "CONNECT example.org@evil.example:443", "CONNECT example.org:99999", "CONNECT example.org:",
     "CONNECT example.org:443:80", "CONNECT [::1%lo]:443", "CONNECT http://example.org/",
     "GET http://2130706433/", "GET http://example.org@evil.example/", "GET http:///x", "GET /",
     "GET http://example.org\\@evil.example/", "GET http://example.org#@evil.example/",
     "GET https://example.org/", "GET ftp://example.org/", "GET http://example.org:0/", "GET *",
     "GET http://ex%61mple.org/", "GET http://evil.example\texample.org/", "GET  http://x/",
     "GET http://example.org:80:443/", "GET http://éxample.org/", "get http://example.org/", ""],
)  # fmt: skip
def test_requests_that_are_not_understood(start: Start, request_line: str) -> None:
    proxy = start("example.org")
    assert status(ask(proxy, f"{request_line} HTTP/1.1\r\n\r\n".encode())) == 400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Content-Length: 1\r\nContent-Length: 2", 400),
        (b"Content-Length: +5", 400),
        (b"Content-Length: -1", 400),
        (b"Content-Length: 1, 1", 400),
        (b"Content-Length : 1", 400),
        (b"Content-Length: \xb2", 400),
        (b"Transfer-Encoding: chunked", 411),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 411),
        (b"X: a\nHost: evil.example", 400),
        (b"X: a\rHost: evil.example", 400),
        (b"X: a\r\n folded", 400),
        (b"X: a\0b", 400),
        (b"no colon", 400),
        (b": nothing", 400),
    ],
)
def test_headers_that_could_be_read_in_two_ways(
    start: Start, headers: bytes, expected: int
) -> None:
    proxy = start("example.org")
    sent = b"POST http://example.org/ HTTP/1.1\r\n" + headers + b"\r\n\r\n12345"
    assert status(ask(proxy, sent)) == expected


def test_names_that_lead_home_are_refused(start: Start, world: Internet) -> None:
    mine = subprocess.run(["hostname", "-I"], check=True, capture_output=True, text=True).stdout
    places = ["127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "::ffff:127.0.0.1", *mine.split()]
    names = {f"n{n}.example.org": [place] for n, place in enumerate(places)}
    proxy = start("*.example.org", *names, names=names)
    answers = {place: connect(proxy, f"{name}:443") for name, [place] in names.items()}
    assert answers == dict.fromkeys(places, b"HTTP/1.1 403 Forbidden")
    assert any("it leads to 169.254.169.254" in note for note in proxy.refused)


def test_a_service_of_this_machine_is_not_reached_by_any_spelling(start: Start) -> None:
    """It listens, so that only the proxy's own check stands between it and the sandbox."""
    mine = subprocess.run(["hostname", "-I"], check=True, capture_output=True, text=True).stdout
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        hosts = [f"[{ip}]" if ":" in ip else ip for ip in ["127.0.0.1", "::1", *mine.split()]]
        items = [f"{host}:{port}" for host in hosts]
        proxy = start(*items)  # even if the card says so
        server.settimeout(0)
        for item in items:
            assert connect(proxy, item) == b"HTTP/1.1 403 Forbidden", item
            with pytest.raises(BlockingIOError):
                server.accept()


def test_private_addresses_are_for_hosts_named_in_full(start: Start, world: Internet) -> None:
    names = {"in.example.org": [world.private], "in.example.net": [world.private]}
    proxy = start("*.example.org", "in.example.net", names=names)
    assert connect(proxy, "in.example.org:443") == b"HTTP/1.1 403 Forbidden"
    assert connect(proxy, "in.example.net:443") == b"HTTP/1.1 200 Connection established"


def test_the_address_that_was_checked_is_the_one_that_is_used(
    world: Internet, tmp_path: Path
) -> None:
    answers = iter([[world.public, "127.0.0.1"], ["127.0.0.1"]])
    with Egress(["example.org"], tmp_path / "s", resolve=lambda host, port: next(answers)) as proxy:
        assert connect(proxy, "example.org:443").startswith(b"HTTP/1.1 200")
        assert connect(proxy, "example.org:443").startswith(b"HTTP/1.1 403")
    assert next(answers, "asked twice only") == "asked twice only"


def test_hosts_that_cannot_be_found_or_do_not_answer(start: Start, world: Internet) -> None:
    names: dict[str, list[str]] = {"none.example.org": [], "shut.example.org": [world.public]}
    proxy = start("*.example.org:81", "name.invalid", names=names)
    assert connect(proxy, "none.example.org:81") == b"HTTP/1.1 502 Bad Gateway"
    answer = get(proxy, "http://shut.example.org:81/")
    assert status(answer) == 502
    assert world.public.encode() in answer


def test_the_machines_own_resolver_is_asked_for_allowed_names_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: asked.append(a[0]) or real(*a, **k))
    with Egress(["localhost"], tmp_path / "s") as proxy:
        answer = ask(proxy, b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
        assert b"it leads to" in answer
        assert b"secret.evil.example:443 cannot" in ask(
            proxy, b"CONNECT secret.evil.example:443 HTTP/1.1\r\n\r\n"
        )
    assert asked == ["localhost"]


# What hostile clients can do to others: nothing.


def test_giant_slow_and_broken_requests_end_by_themselves(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(egress, "LINGER_SECONDS", 0.2)
    proxy = start("example.org")
    with dial(proxy._path) as slow, dial(proxy._path) as gone:
        slow.sendall(b"GET http://exam")
        gone.sendall(b"GET")
        gone.close()
        giant = b"GET http://example.org/ HTTP/1.1\r\nX: " + b"x" * (1 << 20)
        with dial(proxy._path) as sock:
            sock.sendall(giant)
            assert status(read(sock)) == 431
        assert status(ask(proxy, secrets.token_bytes(3000) + b"\r\n\r\n")) == 400
        assert status(get(proxy, "http://example.org/")) == 200
        assert status(read(slow)) == 408


def test_more_connections_than_are_served_wait_their_turn(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "CONNECTIONS", 4)
    proxy = start("example.org")
    idle = [dial(proxy._path) for _ in range(4)]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, proxy, "http://example.org/")
        time.sleep(0.2)
        assert not answer.done()
        idle.pop().close()
        assert status(answer.result(5)) == 200
    for sock in idle:
        sock.close()


def test_an_idle_tunnel_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "IDLE_SECONDS", 0.6)
    proxy = start("example.org")
    with dial(proxy._path) as sock:
        sock.sendall(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        sock.recv(1 << 16)
        for _ in range(4):  # longer than the limit, but never silent
            time.sleep(0.3)
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        began = time.monotonic()
        assert read(sock) == b""
        assert 0.3 < time.monotonic() - began < 3


def test_notes_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "NOTES", 3)
    proxy = start("example.org")
    for n in range(5):
        connect(proxy, f"n{n}.example:443")
    assert len(proxy.refused) == 4
    assert proxy.refused[-1] == "and 2 more"


def test_close_ends_all_at_once_and_removes_the_socket(world: Internet, tmp_path: Path) -> None:
    hangs = threading.Event()
    names = {"example.org": lambda: [world.public], "slow.example": lambda: hangs.wait(20) or []}
    proxy = Egress([*names], tmp_path / "s", resolve=lambda host, port: names[host]())  # type: ignore[operator]
    proxy.start()
    with dial(tmp_path / "s") as tunnel, dial(tmp_path / "s") as looking, dial(tmp_path / "s"):
        tunnel.sendall(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        assert tunnel.recv(1 << 16)
        looking.sendall(b"CONNECT slow.example:443 HTTP/1.1\r\n\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        proxy.close()
        assert time.monotonic() - began < 1
        assert read(tunnel) == b""
        assert not (tmp_path / "s").exists()
    hangs.set()
    assert not [each for each in threading.enumerate() if each.name == "ale-egress"]
    proxy.close()  # once more is no error


def test_a_socket_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ProviderFault, match=r"cannot listen on .*/absent/s"):
        Egress([], tmp_path / "absent" / "s").start()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    with Egress([], folder / "s"):
        assert (folder / "s").is_socket()
        assert (folder / "s").stat().st_mode & 0o777 == 0o666
    assert not (folder / "s").exists()


# The forwarder.


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A stand-in for what waits on a socket outside."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "model.sock"))
        made.listen(5)  # fewer than come at once
        made.settimeout(10)
        yield made


@contextmanager
def forwarder(*words: str, limit: int = 1024) -> Iterator[subprocess.Popen[bytes]]:
    """Run it as it is run inside, on a Python that sees nothing of ours."""
    command = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", sys.executable, "-I", "-S"]
    command += [forward.__file__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read() == b"ready\n"  # to its end: it lets go of stdout
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def memory(process: subprocess.Popen[bytes]) -> int:
    """MB that it has held at most."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10


def test_fifty_streams_at_once(listener: socket.socket, tmp_path: Path) -> None:
    port, size = free_port(), 1 << 20

    def echo(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(1 << 16):
                sock.sendall(data)
            sock.sendall(b"bye")

    def talk(number: int) -> bool:
        sent = number.to_bytes(2, "big") * (size // 2)
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            writer = threading.Thread(target=lambda: (sock.sendall(sent), sock.shutdown(1)))
            writer.start()
            got = read(sock)
            writer.join()
        return got == sent + b"bye"

    with forwarder(str(port), listener.getsockname()) as process, ThreadPoolExecutor(100) as pool:
        clients = [pool.submit(talk, number) for number in range(50)]
        for _ in range(50):
            pool.submit(echo, listener.accept()[0])
        assert all(client.result(30) for client in clients)
        assert memory(process) < 40


def test_a_slow_reader_costs_no_memory(listener: socket.socket) -> None:
    port = free_port()
    with forwarder(str(port), listener.getsockname()) as process:
        client = socket.create_connection(("127.0.0.1", port), 10)
        server, _ = listener.accept()
        with client, server:
            before = memory(process)
            server.settimeout(0.5)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 1 << 28:
                    sent += server.send(bytes(1 << 20))
            assert sent < 1 << 25  # the sender is held up: 32 MB are more than all buffers
            assert memory(process) - before < 4
            server.close()
            assert len(read(client)) == sent


def test_sockets_that_are_absent_or_refuse_end_one_connection(
    listener: socket.socket, tmp_path: Path
) -> None:
    ports = [free_port() for _ in range(3)]
    refusing = tmp_path / "refusing"
    with socket.socket(socket.AF_UNIX) as shut:
        shut.bind(str(refusing))  # and does not listen
        paths = [listener.getsockname(), str(tmp_path / "absent"), str(refusing)]
        words = [str(word) for pair in zip(ports, paths, strict=True) for word in pair]
        with forwarder(*words):
            for port in ports[1:]:
                with socket.create_connection(("127.0.0.1", port), 10) as sock:
                    assert sock.recv(1) == b""
            with socket.create_connection(("127.0.0.1", ports[0]), 10) as sock:
                server, _ = listener.accept()
                with server:
                    server.sendall(b"said before it went")
                assert read(sock) == b"said before it went"


def test_a_client_that_is_reset_ends_the_other_side(listener: socket.socket) -> None:
    port = free_port()
    with forwarder(str(port), listener.getsockname()):
        client = socket.create_connection(("127.0.0.1", port), 10)
        client.sendall(b"x")
        server, _ = listener.accept()
        with server:
            server.settimeout(5)
            assert server.recv(1) == b"x"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            assert server.recv(1) == b""


def test_both_loopbacks(listener: socket.socket) -> None:
    port = free_port()
    inside = forwarder(str(port), listener.getsockname())
    with inside, socket.create_connection(("::1", port), 10) as sock:
        server, _ = listener.accept()
        server.sendall(b"six")
        server.close()
        assert read(sock) == b"six"


def test_it_survives_running_out_of_files(listener: socket.socket) -> None:
    port = free_port()
    with forwarder(str(port), listener.getsockname(), limit=30):
        crowd = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
        time.sleep(0.3)
        for sock in crowd:
            sock.close()
        listener.listen(100)
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(b"mine")
            while True:  # the crowd comes first, and ends
                server, _ = listener.accept()
                with server:
                    if server.recv(10) == b"mine":
                        break


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "usage: "),
        (["80"], 2, "usage: "),
        (["x", "/s"], 2, "usage: "),
        (["99999", "/s"], 1, "cannot listen on 127.0.0.1:99999"),
    ],
)
def test_forwarder_says_what_is_wrong(words: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-I", "-S", forward.__file__, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


# All of it, in a container that has no network.

INSIDE = """
import json, socket, subprocess, sys, urllib.request
found = {}
def attempt(name, call):
    try:
        found[name] = call()
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
forwarder = subprocess.Popen([sys.executable, "-I", "-S", "/opt/ale/forward.py", "3128",
                              "/run/ale/egress.sock"], stdout=subprocess.PIPE)
forwarder.stdout.read()
def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
def tcp(host, port):
    with socket.create_connection((host, port), 3):
        return "reached"
def udp(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"question", (host, 53))
        return "sent"
public, host, port, other = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
attempt("allowed", lambda: get("http://example.org/x"))
attempt("other name", lambda: get("http://evil.example/"))
attempt("tunnel", lambda: get("https://evil.example/"))
attempt("through the proxy, home", lambda: get(f"http://{host}:{port}/"))
attempt("direct", lambda: tcp(public, 443))
attempt("host", lambda: tcp(host, port))
attempt("other sandbox", lambda: tcp(other, 7777))
attempt("six", lambda: tcp("2606:4700:4700::1111", 443))
for server in ("8.8.8.8", "127.0.0.11", public, "2001:4860:4860::8888"):
    attempt(f"dns {server}", lambda: udp(server))
attempt("name", lambda: socket.getaddrinfo("example.org", 443) and "found")
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) and "made")
attempt("raw4", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and "made")
attempt("interfaces", lambda: [name for _, name in socket.if_nameindex()])
print(json.dumps(found))
"""


def test_in_a_container_nothing_but_the_allowed_is_reached(
    docker_engine: None, start: Start, world: Internet, tmp_path: Path
) -> None:
    api = engine.connect()
    image = images.ensure(api, SandboxSpec(), None, lambda line: None).id
    proxy = start("example.org")
    tmp_path.chmod(0o755)
    command = ["ip", "-4", "-br", "address", "show", "docker0"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    gateway = shown.split()[2].partition("/")[0]
    with socket.create_server((gateway, 0)) as service:
        port = service.getsockname()[1]
        binds = [f"{tmp_path}:/run/ale", f"{forward.__file__}:/opt/ale/forward.py:ro"]
        config = api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            init=True,
            binds=binds,
        )
        words = ["/usr/bin/python3", "-c", INSIDE, world.public, gateway, str(port), "172.17.0.2"]
        made = api.create_container(
            image,
            words,
            user="1000:1000",
            host_config=config,
            environment=egress.environment(3128),
        )
        try:
            api.start(made["Id"])
            assert api.wait(made["Id"], timeout=60)["StatusCode"] == 0, api.logs(made["Id"])
            found = json.loads(api.logs(made["Id"], stderr=False))
        finally:
            api.remove_container(made["Id"], force=True)
        service.settimeout(0)
        with pytest.raises(BlockingIOError):
            service.accept()
    assert json.loads(found.pop("allowed"))["head"].startswith(
        "GET /x HTTP/1.1\r\nHost: example.org"
    )
    assert "403" in found.pop("other name")
    assert "403" in found.pop("tunnel")
    assert "403" in found.pop("through the proxy, home")
    assert found.pop("interfaces") == ["lo"]
    assert "PermissionError" in found.pop("raw")
    assert "PermissionError" in found.pop("raw4")
    assert "gaierror" in found.pop("name")
    found.pop("dns 127.0.0.11")  # a datagram to the own loopback: nobody hears it
    nowhere = ("Network is unreachable", "Cannot assign requested address")  # 4 and 6
    assert [name for name, how in found.items() if not how.endswith(nowhere)] == [], found
    assert "asked for evil.example:443: not allowed" in proxy.refused
