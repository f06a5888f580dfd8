"""Copying in and out of a folder whose owner is hostile."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest

from pytest_ale.channels import tree
from pytest_ale.channels.tree import Limits, Spot
from pytest_ale.sandbox import SandboxError, UnsafePath


def spot(base: Path, path: str) -> Spot:
    return Spot(base, tuple(path.split("/")), path)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    box = tmp_path / "box"
    box.mkdir()
    return box


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.mkdir()
    (path / "key").write_text("answer")
    return path


def test_what_is_written_is_read(box: Path) -> None:
    tree.write(spot(box, "a/b/c.txt"), b"hello")
    assert tree.read(spot(box, "a/b/c.txt")) == b"hello"
    tree.write(spot(box, "a/b/c.txt"), b"again")
    assert tree.read(spot(box, "a/b/c.txt")) == b"again"


def test_no_link_is_followed_by_read(box: Path, secret: Path) -> None:
    (box / "file").symlink_to(secret / "key")
    (box / "folder").symlink_to(secret)
    for path in ("file", "folder/key"):
        with pytest.raises(UnsafePath, match="symbolic link"):
            tree.read(spot(box, path))


def test_no_link_is_followed_by_write(box: Path, secret: Path) -> None:
    (box / "file").symlink_to(secret / "key")
    (box / "folder").symlink_to(secret)
    with pytest.raises(UnsafePath, match="'folder' in it is a symbolic link"):
        tree.write(spot(box, "folder/key"), b"mine")
    tree.write(spot(box, "file"), b"mine")
    assert (secret / "key").read_text() == "answer"
    assert not (box / "file").is_symlink()


def test_a_hard_link_is_not_written_through(box: Path, secret: Path) -> None:
    (box / "file").hardlink_to(secret / "key")
    tree.write(spot(box, "file"), b"mine")
    assert (secret / "key").read_text() == "answer"


def test_what_is_no_file_is_not_read(box: Path) -> None:
    os.mkfifo(box / "fifo")
    (box / "folder").mkdir()
    (box / "large").touch()
    os.truncate(box / "large", 2 << 30)
    before = time.monotonic()
    for path, why in (
        ("fifo", "a FIFO"),
        ("folder", "a folder"),
        ("gone", "No such file"),
        ("gone/there", "No such file"),
        ("large", "2147483648 bytes"),
    ):
        with pytest.raises(SandboxError, match=why):
            tree.read(spot(box, path))
    assert time.monotonic() - before < 1


def test_a_fifo_does_not_hold_up_a_write(box: Path) -> None:
    os.mkfifo(box / "fifo")
    tree.write(spot(box, "fifo"), b"data")
    assert (box / "fifo").read_bytes() == b"data"


def test_a_tree_is_copied_with_its_modes(box: Path, out: Path) -> None:
    (box / "t/sub").mkdir(parents=True)
    (box / "t/run").write_text("#!/bin/sh\n")
    (box / "t/run").chmod(0o6755)
    (box / "t/sub/locked").write_text("x")
    (box / "t/sub/locked").chmod(0o400)
    (box / "t/new\nline").write_text("é")
    assert tree.copy(spot(box, "t"), Spot.of(out)) == []
    assert sorted(path.name for path in out.rglob("*")) == ["locked", "new\nline", "run", "sub"]
    assert stat.S_IMODE((out / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "sub/locked").stat().st_mode) == 0o600


def test_a_single_file_is_copied(box: Path, out: Path) -> None:
    (box / "f").write_text("one")
    assert tree.copy(spot(box, "f"), Spot.of(out / "deep/f.txt")) == []
    assert (out / "deep/f.txt").read_text() == "one"


def test_links_and_special_files_are_refused_with_a_sentence_each(
    box: Path, out: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = box / "t"
    t.mkdir()
    (t / "good").write_text("good")
    (t / "link").symlink_to(secret)
    (t / "\x1b[31mred").symlink_to(secret / "key")
    os.mkfifo(t / "fifo")
    monkeypatch.chdir(t)  # a socket's path is 108 bytes at most
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
    refused = tree.copy(spot(box, "t"), Spot.of(out))
    assert refused == [
        r"'t/\x1b[31mred' was refused: it is a symbolic link.",
        "'t/fifo' was refused: it is a FIFO.",
        "'t/link' was refused: it is a symbolic link.",
        "'t/sock' was refused: it is a socket.",
    ]
    assert [path.name for path in out.iterdir()] == ["good"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_a_device_is_refused(box: Path, out: Path) -> None:
    os.mknod(box / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    refused = tree.copy(spot(box, "zero"), Spot.of(out))
    assert refused == ["'zero' was refused: it is a device."]


def test_the_top_itself_may_be_a_link_or_absent(box: Path, out: Path, secret: Path) -> None:
    (box / "link").symlink_to(secret)
    for path, why in (
        ("link", "'link' was refused: it is a symbolic link."),
        ("link/key", "'link/key': 'link' in it is a symbolic link."),
        ("gone", "'gone' was refused: No such file or directory."),
        ("gone/there", "'gone/there': 'gone' in it: No such file or directory."),
    ):
        assert tree.copy(spot(box, path), Spot.of(out)) == [why]
    assert not out.exists()


def test_a_sparse_file_is_refused_by_its_size(box: Path, out: Path) -> None:
    (box / "t").mkdir()
    (box / "t/sparse").touch()
    os.truncate(box / "t/sparse", 2 << 30)
    before = time.monotonic()
    (refused,) = tree.copy(spot(box, "t"), Spot.of(out))
    assert refused == ("'t/sparse' was refused: it has 2147483648 bytes, 1073741824 are allowed.")
    assert time.monotonic() - before < 1


def test_all_together_is_bounded(box: Path, out: Path) -> None:
    (box / "t").mkdir()
    for name in "abc":
        (box / "t" / name).write_bytes(b"x" * 400)
    limits = Limits(total_bytes=1000)
    refused = tree.copy(spot(box, "t"), Spot.of(out), limits=limits)
    assert refused == ["'t/c' was refused: with it all would have more than 1000 bytes."]


def test_entries_are_bounded(box: Path, out: Path) -> None:
    (box / "t").mkdir()
    for n in range(30):
        (box / "t" / f"{n:02}").touch()
    refused = tree.copy(spot(box, "t"), Spot.of(out), limits=Limits(entries=10))
    assert refused == ["'t': there are more than 10 entries, the rest was left out."]
    assert len(list(out.iterdir())) == 9


def deep(top: Path, levels: int, name: str = "deep") -> None:
    """Make a tree deeper than any path may be long."""
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_depth_is_bounded(box: Path, out: Path) -> None:
    deep(box / "t", 1500)
    before = len(list(Path("/proc/self/fd").iterdir()))
    (refused,) = tree.copy(spot(box, "t"), Spot.of(out))
    assert refused.endswith("it lies deeper than 64 folders.")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    tree.remove(box)


def test_paths_are_bounded(box: Path, out: Path) -> None:
    deep(box / "t", 20, "n" * 250)
    (refused,) = tree.copy(spot(box, "t"), Spot.of(out))
    assert refused.endswith("its path is longer than 1024 bytes.")
    tree.remove(box)


def test_names_that_are_no_text_are_refused(box: Path, out: Path) -> None:
    (box / "t").mkdir()
    os.close(os.open(os.fsencode(box / "t") + b"/\xff\xfe", os.O_CREAT))
    refused = tree.copy(spot(box, "t"), Spot.of(out))
    assert refused == [r"'t/\udcff\udcfe' was refused: its name is not UTF-8."]


def test_a_target_that_became_a_link_leads_nowhere(box: Path, tmp_path: Path, secret: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/key").write_text("mine")
    (box / "t").mkdir()
    (box / "t/sub").symlink_to(secret)
    refused = tree.copy(Spot.of(source), spot(box, "t"), limits=tree.UNLIMITED, keep_links=True)
    assert refused
    assert (secret / "key").read_text() == "answer"


def test_links_of_a_trusted_source_stay_links(box: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "link").symlink_to("elsewhere")
    for _ in range(2):
        copied = tree.copy(Spot.of(source), spot(box, "t"), limits=tree.UNLIMITED, keep_links=True)
        assert copied == []
    assert (box / "t/link").readlink() == Path("elsewhere")


def test_any_tree_can_be_removed(box: Path, secret: Path) -> None:
    (box / "locked/inner").mkdir(parents=True)
    (box / "locked/inner/file").touch()
    (box / "locked/inner").chmod(0)
    (box / "locked").chmod(0o500)
    (box / "link").symlink_to(secret)
    os.mkfifo(box / "fifo")
    deep(box / "deep", 1500)
    tree.remove(box)
    assert not box.exists()
    assert (secret / "key").exists()
    tree.remove(box)  # gone already: no error
