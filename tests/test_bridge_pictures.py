"""What an agent is shown: pictures made small, places on them, and where they are kept."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ale.bridge.album import Album
from pytest_ale.bridge.coordinates import Coordinates, OffScreen
from pytest_ale.bridge.picture import png
from pytest_ale.bridge.shrink import Scale, _pixels, bounded, scaled

from .bridging import size


def picture(width: int, height: int, colour: Callable[[int, int], bytes]) -> bytes:
    return png(b"".join(colour(x, y) for y in range(height) for x in range(width)), width, height)


def test_a_scaled_picture_shows_the_same_at_the_same_place() -> None:
    """Four quarters of a plain colour stay so, whatever the steps and odd sides."""
    colours = [[b"\0\0\xff\0", b"\0\xff\0\0"], [b"\xff\0\0\0", b"\xff\xff\xff\0"]]
    data = picture(121, 91, lambda x, y: colours[y > 45][x > 60])
    for scale in (Scale(1, 0), Scale(0, 1), Scale(1, 1), Scale(2, 1)):
        width, height, rgb = _pixels(scaled(data, scale))
        assert (width, height) == scale.size(121, 91)
        corners = [(2, 2), (width - 3, 2), (2, height - 3), (width - 3, height - 3)]
        seen = [rgb[3 * (y * width + x) :][:3] for x, y in corners]
        assert seen == [b"\xff\0\0", b"\0\xff\0", b"\0\0\xff", b"\xff\xff\xff"]


def test_noise_is_shown_in_fewer_colours_and_the_same_size() -> None:
    data = png(os.urandom(4 * 1280 * 800), 1280, 800)
    small = bounded(data, 1_000_000)
    assert len(data) > 3_000_000 > 1_000_000 >= len(small)
    assert size(small) == (1280, 800)
    assert bounded(small, 1_000_000) is small


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (1280, 800, (1280, 800)),
        (1366, 768, (1366, 768)),
        (1920, 1080, (1280, 720)),
        (2560, 1440, (1280, 720)),
        (3840, 2160, (1280, 720)),
        (1081, 1921, (722, 1282)),
    ],
)
def test_every_pixel_shown_is_one_of_the_screen(
    width: int, height: int, shown: tuple[int, int]
) -> None:
    places = Coordinates("pixels", Scale.to(1366, width, height), width, height)
    assert places.shown == shown
    last = places.to_screen((shown[0] - 1, shown[1] - 1))
    assert width - 3 <= last[0] < width and height - 3 <= last[1] < height
    for there in ((0, 0), (shown[0] // 2, shown[1] // 3)):
        assert places.to_model(*places.to_screen(there)) == there
    with pytest.raises(OffScreen):
        places.to_screen((float("nan"), 0))


def test_an_album_keeps_the_newest_and_goes_on_counting(tmp_path: Path) -> None:
    album = Album(tmp_path, files=3, size=100)
    for count in range(5):
        album.keep(bytes(count))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "0003.png",
        "0004.png",
        "0005.png",
    ]
    Album(tmp_path, files=3, size=100).keep(bytes(95))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"0005.png": 4, "0006.png": 95}


def test_a_picture_that_cannot_be_kept_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not kept" in Album(tmp_path / "file" / "shots").keep(b"x")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        said = Album(tmp_path / "shots").keep(bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "not kept" in said and list((tmp_path / "shots").iterdir()) == []
