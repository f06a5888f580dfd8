"""`ale watch`: a running attempt's screen in a browser, to look at and not to touch."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pytest_ale.channels.contained import Contained
from pytest_ale.cli import main
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import SandboxSpec

ALE = str(Path(sys.executable).with_name("ale"))
LABEL = "legal/copy/base/oracle/trial-1/attempt-1"


@pytest.fixture
def box(docker_engine: None) -> Iterator[Contained]:
    provider, lease = DockerProvider(), f"watched{id(object()):012x}"[-12:]
    spec = SandboxSpec(desktop=True, memory_gb=1, screen=(800, 600), labels={"attempt": LABEL})
    try:
        yield provider.create(lease, spec)
    finally:
        provider.destroy(lease)


@contextmanager
def watching(box: Contained, *words: str) -> Iterator[str]:
    lease = box.container.name.removeprefix("ale-")
    command = [ALE, "watch", lease, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout
        try:
            yield watch.stdout.readline().strip()
        finally:
            watch.send_signal(signal.SIGINT)
            try:
                assert watch.wait(10) == 0
            finally:
                watch.kill()


def got(address: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, "", error.read()


class Viewer:
    """As much of a VNC client as it takes to see a pixel and to move the mouse."""

    def __init__(self, web: ClientConnection) -> None:
        self._web, self._held = web, b""
        assert self._read(12) == b"RFB 003.008\n"
        web.send(b"RFB 003.008\n")
        assert 1 in self._read(self._read(1)[0])  # no password is asked for
        web.send(b"\1")
        assert self._read(4) == bytes(4)
        web.send(b"\1")
        self.size = struct.unpack(">HH", self._read(4))
        self._read(16)
        self.title = self._read(struct.unpack(">L", self._read(4))[0])

    def _read(self, size: int) -> bytes:
        while len(self._held) < size:
            data = self._web.recv(20)
            assert isinstance(data, bytes)
            self._held += data
        data, self._held = self._held[:size], self._held[size:]
        return data

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        layout = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        self._web.send(b"\0\0\0\0" + layout)
        self._web.send(struct.pack(">BxHl", 2, 1, 0))  # raw, nothing else
        self._web.send(struct.pack(">BBHHHH", 3, 0, x, y, 1, 1))
        found = b""
        while not found:  # it may tell of other parts of the screen first
            kind, count = struct.unpack(">BxH", self._read(4))
            assert kind == 0
            for _ in range(count):
                left, top, width, height, _ = struct.unpack(">HHHHl", self._read(12))
                pixels = self._read(width * height * 4)
                if left <= x < left + width and top <= y < top + height:
                    found = pixels[4 * ((y - top) * width + x - left) :]
        blue, green, red = found[:3]
        return red, green, blue

    def move(self, x: int, y: int) -> None:
        self._web.send(struct.pack(">BBHH", 5, 0, x, y))


@contextmanager
def viewer(address: str) -> Iterator[Viewer]:
    asked = urlsplit(address)
    (path,) = parse_qs(asked.query)["path"]
    with connect(f"ws://{asked.netloc}/{path}", compression=None) as web:
        yield Viewer(web)


def test_a_screen_is_seen_and_not_touched(box: Contained) -> None:
    box.desktop.move(7, 9)
    with watching(box) as address, viewer(address) as view:
        assert address.startswith("http://127.0.0.1:")
        assert view.size == (800, 600)
        assert view.pixel(400, 200) == (0x34, 0x56, 0x6F)  # what ale-desktop paints
        view.move(300, 200)
        assert view.pixel(400, 200) == (0x34, 0x56, 0x6F)  # it was heard by now
        assert box.desktop.cursor() == (7, 9)
        assert box.exec("pgrep -c x11vnc").stdout == "1\n"
    assert box.exec("sleep 1; pgrep -c x11vnc").stdout == "0\n"


def test_it_is_touched_where_that_is_asked_for_by_several_at_once(box: Contained) -> None:
    with watching(box, "--control") as address, viewer(address) as one, viewer(address) as two:
        one.move(300, 200)
        assert one.pixel(400, 200) == two.pixel(400, 200)
        assert box.desktop.cursor() == (300, 200)


def test_the_page_is_there_for_those_who_know_its_word(box: Contained) -> None:
    with watching(box) as address:
        status, kind, page = got(address)
        assert (status, kind) == (200, "text/html") and b"noVNC" in page
        root = address.partition("/vnc.html")[0]
        assert got(f"{root}/core/rfb.js")[:2] == (200, "text/javascript")
        for path in ("core/none.js", "../vnc.html", "%2e%2e/vnc.html", "screen/x", ""):
            assert got(f"{root}/{path}")[0] == 404
        host = "http://" + urlsplit(address).netloc
        for path in ("", "vnc.html", "websockify", "x/vnc.html", "%00"):
            assert got(f"{host}/{path}")[0] == 404
        with pytest.raises(InvalidStatus, match="404"):
            connect(f"{host.replace('http', 'ws')}/wrong/screen")


def test_a_sandbox_that_ends_ends_the_view(box: Contained) -> None:
    with watching(box) as address, viewer(address) as view:
        box.stop()
        with pytest.raises(ConnectionClosed):
            view.pixel(1, 1)
        with pytest.raises(ConnectionClosed, match="the screen of ale-"), viewer(address):
            pass


def test_what_cannot_be_watched_is_said(box: Contained, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "nosuchlease"]) == 2
    said = "ale: no sandbox nosuchlease with a screen is running here: a card's `desktop: true`"
    assert capsys.readouterr().err.startswith(said)
    lease = box.container.name.removeprefix("ale-")
    assert DockerProvider().screens()[lease] == LABEL
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["watch", lease, f"--port={port}"]) == 2
    assert f"port {port} of the loopback cannot be had: Address already" in capsys.readouterr().err
    box.stop()
    assert main(["watch", lease]) == 2
