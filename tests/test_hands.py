"""What oracles have for a desktop: hands, and eyes for a pixel."""

from __future__ import annotations

import random
import struct
import uuid
import zlib
from collections.abc import Iterator

import pytest

from pytest_ale.bridge.picture import png
from pytest_ale.channels.contained import Contained
from pytest_ale.hands import Hands
from pytest_ale.pixels import Pixels
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import SandboxSpec


@pytest.fixture
def box(docker_engine: None) -> Iterator[Contained]:
    provider, lease = DockerProvider(), uuid.uuid4().hex[:12]
    try:
        yield provider.create(lease, SandboxSpec(desktop=True, memory_gb=1))
    finally:
        provider.destroy(lease)


@pytest.mark.once
def test_a_terminal_is_opened_used_and_closed(box: Contained) -> None:
    hands = Hands(box.desktop)
    hands.run("echo 'Grüße, 世界' > output/said")
    hands.until("the file", lambda: box.exec("cat output/said").returncode == 0, 10)
    assert hands.text("output/said") == "Grüße, 世界\n"
    hands.run("xterm -T second &")
    second = hands.window("second")
    assert second.active
    hands.desktop.keys("alt+F4")
    hands.closed(second)
    with pytest.raises(TimeoutError, match=r"waited 0\.2 s for a window titled third; windows: \["):
        hands.window("third", 0.2)
    with pytest.raises(TimeoutError, match="something on the clipboard"):
        hands.copied(lambda: None)


@pytest.mark.once
def test_what_the_screen_shows_is_seen(box: Contained) -> None:
    box.exec("xsetroot -solid '#123456'; sleep 0.2")
    shown = Pixels(box.desktop.screenshot())
    assert (shown.width, shown.height) == (1280, 800)
    assert shown.at(900, 300) == (0x12, 0x34, 0x56)


def test_the_bridges_pictures_are_read() -> None:
    pixels = bytes(range(24))  # blue, green, red, nothing; three by two
    shown = Pixels(png(pixels, 3, 2))
    assert [shown.at(x, y) for y in (0, 1) for x in (0, 1, 2)] == [
        (pixels[i + 2], pixels[i + 1], pixels[i]) for i in range(0, 24, 4)
    ]


@pytest.mark.parametrize("step", [3, 4])
def test_every_filter_of_a_png_is_undone(step: int) -> None:
    rng = random.Random(step)
    rows = [rng.randbytes(7 * step) for _ in range(5)]
    above = [bytes(7 * step), *rows]
    data = b"".join(
        bytes([kind]) + filtered(kind, row, above[kind], step) for kind, row in enumerate(rows)
    )
    head = struct.pack(">IIBBBBB", 7, 5, 8, {3: 2, 4: 6}[step], 0, 0, 0)
    shown = Pixels(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data))
    )
    for y, row in enumerate(rows):
        assert [shown.at(x, y) for x in range(7)] == [
            tuple(row[at : at + 3]) for at in range(0, 7 * step, step)
        ]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + bytes(4)


def filtered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """One row as RFC 2083, section 6, has it."""

    def guess(i: int) -> int:
        a, b, c = (row[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
        near = min((a, b, c), key=lambda value: abs(a + b - c - value))
        return (0, a, b, (a + b) // 2, near)[kind]

    return bytes((row[i] - guess(i)) & 255 for i in range(len(row)))


def test_other_pictures_are_refused() -> None:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0)
    with pytest.raises(ValueError, match="colour type 3"):
        Pixels(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head))
