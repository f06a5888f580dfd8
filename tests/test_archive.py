"""Files as a stream of tar: what is packed comes out again, and nothing that is hostile does."""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
import stat
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ale.channels import archive, tree
from pytest_ale.channels.tree import Limits
from pytest_ale.sandbox import SandboxError

if TYPE_CHECKING:
    from docker import APIClient

MB = 1 << 20
IMAGE = "pytest-ale/debian:bookworm"


def packed(source: Path, name: str = "t") -> Iterator[bytes]:
    return archive.pack(source, name, uid=1000, gid=1000)


def entry(name: str, data: bytes = b"", **changes: object) -> bytes:
    """One entry as tarfile writes it; `changes` are a TarInfo's fields."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return header + data + bytes(-len(data) % 512)


def folder(name: str) -> bytes:
    return entry(name, type=tarfile.DIRTYPE, mode=0o755)


def pax(**records: str) -> bytes:
    """An extended header with these records."""
    lines = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        size = next(n for n in itertools.count() if n == len(rest) + len(str(n)))
        lines += str(size).encode() + rest
    return entry("x", lines, type=tarfile.XHDTYPE)


END = bytes(1024)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def unpack(out: Path) -> Callable[..., list[str]]:
    """Unpack pieces as "t" to `out`."""

    def unpacked(*pieces: bytes, limits: Limits = tree.LIMITS) -> list[str]:
        return archive.unpack([*pieces, END], out, shown="t", limits=limits)

    return unpacked


Unpack = Callable[..., list[str]]


def listed(top: Path) -> dict[str, tuple[int, bytes | None]]:
    """Every path below a folder with its mode, and a file's content."""
    found = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode
        found[str(path.relative_to(top))] = mode, path.read_bytes() if path.is_file() else None
    return found


def in_pieces(chunks: Iterable[bytes], rng: random.Random) -> Iterator[bytes]:
    """The same bytes, cut elsewhere; some pieces are empty."""
    whole, at = b"".join(chunks), 0
    while at < len(whole):
        size = rng.choice((0, 1, 3, 511, 512, 513, 32768))
        yield whole[at : at + size]
        at += size


# What is packed comes out again.

NAMES = ("a", "b c", "new\nline", "é", "😀", "-rf", "x" * 120, "ü" * 100, "\\", "'\"", "~", "%s")


def grow(top: Path, rng: random.Random, depth: int = 0) -> None:
    top.mkdir()
    for name in rng.sample(NAMES, rng.randrange(len(NAMES))):
        if depth < 5 and rng.random() < 0.4:
            grow(top / name, rng, depth + 1)
            continue
        size = rng.choice((0, 1, 511, 512, 513, 10_000, rng.randrange(100_000)))
        (top / name).write_bytes(rng.randbytes(size))
        (top / name).chmod(rng.choice((0o600, 0o644, 0o755, 0o777)))


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_comes_out_as_it_was_packed(tmp_path: Path, out: Path, seed: int) -> None:
    rng = random.Random(seed)
    grow(tmp_path / "source", rng)
    chunks = in_pieces(packed(tmp_path / "source"), rng)
    assert archive.unpack(chunks, out, shown="t") == []
    assert listed(out) == listed(tmp_path / "source")


def test_a_single_file_takes_the_targets_name(tmp_path: Path, out: Path) -> None:
    (tmp_path / "f").write_text("one")
    target = out / "deep/f.txt"
    assert archive.unpack(packed(tmp_path / "f"), target, shown="t") == []
    assert target.read_text() == "one"
    (tmp_path / "f").write_text("two")
    assert archive.unpack(packed(tmp_path / "f"), target, shown="t") == []
    assert target.read_text() == "two"


def test_what_is_packed_is_the_owners_and_has_plain_modes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "locked").mkdir(parents=True)
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o4755)
    (source / "link").symlink_to("/elsewhere")
    os.close(os.open(bytes(source / "locked") + b"/\xff", os.O_CREAT, 0o400))
    (source / "locked").chmod(0o500)
    data = b"".join(archive.pack(source, "t", uid=7, gid=8))
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        found = {info.name: (info.type, info.mode) for info in tar}
        assert {(info.uid, info.gid, info.uname) for info in tar} == {(7, 8, "")}
        assert tar.getmember("t/link").linkname == "/elsewhere"
    assert found == {
        "t": (tarfile.DIRTYPE, 0o755),
        "t/link": (tarfile.SYMTYPE, 0o777),
        "t/locked": (tarfile.DIRTYPE, 0o700),
        "t/locked/\udcff": (tarfile.REGTYPE, 0o600),
        "t/run": (tarfile.REGTYPE, 0o755),
    }
    assert next(iter(found)) == "t"  # a folder is made before what lies in it


def test_what_cannot_be_packed_is_said(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    os.mkfifo(tmp_path / "t/fifo")
    with pytest.raises(SandboxError, match=r"t/fifo' was refused: it is a FIFO"):
        list(packed(tmp_path / "t"))
    with pytest.raises(SandboxError, match=r"gone' could not be packed: No such file"):
        list(packed(tmp_path / "gone"))


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3 * MB)
    chunks = packed(path)
    first = next(chunks)
    with path.open("ab") as file:
        file.write(b"more")
    assert archive.unpack(itertools.chain([first], chunks), out, shown="t") == []
    assert out.read_bytes() == b"x" * 3 * MB
    chunks = packed(path)
    next(chunks)
    os.truncate(path, 2 * MB)
    with pytest.raises(SandboxError, match=r"f' lost 1048580 of 3145732 bytes while it was packed"):
        list(chunks)


def test_small_files_go_in_large_pieces(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for n in range(1000):
        (tmp_path / f"t/{n}").write_bytes(b"x" * 1000)
    sizes = [len(piece) for piece in packed(tmp_path / "t")]
    assert len(sizes) <= 3
    assert max(sizes) <= MB


# What is hostile does not.


def test_what_is_no_file_is_refused_with_a_sentence_each(unpack: Unpack, out: Path) -> None:
    refused = unpack(
        folder("t"),
        entry("t/link", type=tarfile.SYMTYPE, linkname="/etc"),
        entry("t/link/in", b"through"),
        entry("t/fifo", type=tarfile.FIFOTYPE),
        entry("t/dev", type=tarfile.CHRTYPE),
        entry("t/blk", type=tarfile.BLKTYPE),
        entry("t/odd", b"what", type=b"Z"),
        entry("t/\x1b[31mred", type=tarfile.SYMTYPE),
        entry("t/\udcff", b"name"),
        entry("t/good", b"good"),
    )
    assert refused == [
        "'t/link' was refused: it is a symbolic link.",
        "'t/link/in' was refused: it lies in a folder that was not taken.",
        "'t/fifo' was refused: it is a FIFO.",
        "'t/dev' was refused: it is a device.",
        "'t/blk' was refused: it is a device.",
        "'t/odd' was refused: it is no regular file.",
        r"'t/\x1b[31mred' was refused: it is a symbolic link.",
        r"'t/\udcff' was refused: its name is not UTF-8.",
    ]
    assert [path.name for path in out.iterdir()] == ["good"]


def test_no_name_leads_elsewhere(unpack: Unpack, out: Path) -> None:
    names = ("/etc/x", "/t/x", "t/../x", "../x", "x", "other/t/x", "t/a/../../../x")
    refused = unpack(folder("t"), *[entry(name, b"bad") for name in names])
    assert refused == [f"'t/{name}' was refused: its name leads elsewhere." for name in names]
    assert unpack(folder("t"), pax(path="t/nul\0x"), entry("t/x")) == [
        r"'t/t/nul\x00x' was refused: its name leads elsewhere."
    ]
    assert list(out.parent.iterdir()) == [out]
    assert list(out.iterdir()) == []


def test_the_top_itself_may_be_a_link(unpack: Unpack, out: Path) -> None:
    refused = unpack(entry("t", type=tarfile.SYMTYPE, linkname="/etc"))
    assert refused == ["'t' was refused: it is a symbolic link."]
    assert not out.exists()


@pytest.mark.parametrize("top", ["./", "."])
def test_a_top_without_a_name(unpack: Unpack, out: Path, top: str) -> None:
    assert unpack(folder(top), entry("./x", b"1"), entry("y", b"2")) == []
    assert sorted(path.name for path in out.iterdir()) == ["x", "y"]


def test_no_link_that_lies_there_is_followed(unpack: Unpack, out: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("answer")
    out.mkdir()
    (out / "sub").symlink_to(secret)
    (out / "key").symlink_to(secret / "key")
    refused = unpack(
        folder("t"), entry("t/key", b"mine"), folder("t/sub"), entry("t/sub/key", b"x")
    )
    assert refused == ["'t/sub' was refused: Not a directory."]
    assert (secret / "key").read_text() == "answer"
    assert (out / "key").read_text() == "mine"


def test_modes_are_plain(unpack: Unpack, out: Path) -> None:
    unpack(
        entry("t", type=tarfile.DIRTYPE, mode=0o7005),
        entry("t/suid", b"x", mode=0o6755),
        entry("t/locked", b"x", mode=0),
    )
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (out, out / "suid", out / "locked")]
    assert modes == [0o705, 0o755, 0o600]


def test_a_hard_link_is_a_file_once_more(unpack: Unpack, out: Path) -> None:
    def link(name: str, first: str) -> bytes:
        return entry(name, type=tarfile.LNKTYPE, linkname=first)

    refused = unpack(
        folder("t"),
        link("t/early", "t/a"),
        entry("t/a", b"x" * 400, mode=0o755),
        link("t/b", "t/a"),
        link("t/away", "/etc/passwd"),
        link("t/up", "t/../../secret"),
        link("t/folder", "t"),
        link("t/c", "t/b"),
        limits=Limits(total_bytes=1000),
    )
    none = "was refused: it is a hard link to what was not taken."
    assert refused == [
        f"'t/early' {none}",
        f"'t/away' {none}",
        f"'t/up' {none}",
        f"'t/folder' {none}",
        "'t/c' was refused: with it all would have more than 1000 bytes.",
    ]
    assert (out / "b").read_bytes() == b"x" * 400
    assert (out / "b").stat().st_nlink == 1
    assert stat.S_IMODE((out / "b").stat().st_mode) == 0o755


def test_of_two_with_one_name_the_last_counts(unpack: Unpack, out: Path) -> None:
    refused = unpack(
        folder("t"),
        entry("t/a", b"one, longer"),
        entry("t/a", b"two"),
        folder("t/a"),
        folder("t/d"),
        entry("t/d", b"file"),
        entry("t/d/x", b"x"),
    )
    assert (out / "a").read_bytes() == b"two"
    assert (out / "d/x").read_bytes() == b"x"
    assert refused == [
        "'t/a' was refused: Not a directory.",
        "'t/d' was refused: Is a directory.",
    ]


def test_sizes_are_bounded(unpack: Unpack, out: Path) -> None:
    files = [entry(f"t/{name}", name.encode() * 400) for name in "abc"]
    large = entry("t/large", b"x" * 900)
    refused = unpack(folder("t"), large, *files, limits=Limits(total_bytes=1000, file_bytes=800))
    assert refused == [
        "'t/large' was refused: it has 900 bytes, 800 are allowed.",
        "'t/c' was refused: with it all would have more than 1000 bytes.",
    ]
    assert (out / "b").read_bytes() == b"b" * 400


@pytest.mark.parametrize("size", [100 << 30, 1 << 62])
def test_a_hole_of_any_size_is_not_read(unpack: Unpack, out: Path, size: int) -> None:
    header = entry("t/sparse", size=size)
    assert unpack(folder("t"), entry("t/a", b"a"), header) == [
        f"'t/sparse' was refused: it has {size} bytes, {1 << 30} are allowed.",
        f"'t': what was refused has more than {4 << 30} bytes, the rest was left out.",
    ]
    assert (out / "a").read_bytes() == b"a"


def test_what_has_no_body_has_none_whatever_its_size(unpack: Unpack, out: Path) -> None:
    claims = entry("t/d", type=tarfile.DIRTYPE, mode=0o755, size=5000)
    fifo = entry("t/fifo", type=tarfile.FIFOTYPE, size=1 << 40)
    assert len(unpack(folder("t"), claims, fifo, entry("t/d/x", b"x"))) == 1
    assert (out / "d/x").read_bytes() == b"x"


def test_a_size_beyond_the_header_counts(unpack: Unpack) -> None:
    refused = unpack(folder("t"), pax(size=str(9 << 30)), entry("t/a", b"small"))
    assert refused[0] == f"'t/a' was refused: it has {9 << 30} bytes, {1 << 30} are allowed."


def test_a_million_entries_are_not_read(out: Path) -> None:
    read = 0

    def million() -> Iterator[bytes]:
        nonlocal read
        yield folder("t")
        for read in range(10**6):
            yield entry(f"t/{read}")

    with closing(million()) as chunks:
        refused = archive.unpack(chunks, out, shown="t", limits=Limits(entries=100))
        assert next(chunks, None) is None  # it was closed
    assert refused == ["'t': there are more than 100 entries, the rest was left out."]
    assert read < 110
    assert len(list(out.iterdir())) == 99


def test_a_million_entries_that_are_refused_are_not_read_either(unpack: Unpack) -> None:
    deep = "/".join("t" * 70)
    names = (f"{deep}/{n}" for n in range(10**6))
    refused = unpack(
        folder("t"), *map(entry, itertools.islice(names, 200)), limits=Limits(entries=100)
    )
    assert refused[-1] == "'t': there are more than 100 entries, the rest was left out."


def test_a_tree_of_2100_levels_is_one_sentence(out: Path) -> None:
    """Deeper than any recursion, and its path is longer than the system's 4,096 bytes."""
    levels = (folder("/".join(["t", *"d" * n])) for n in range(2100))
    (refused,) = archive.unpack(itertools.chain(levels, [END]), out, shown="t")
    assert refused == f"'t{'/d' * 65}' was refused: it lies deeper than 64 folders."
    assert not tree.remove(out)


def test_paths_are_bounded_in_messages_too(unpack: Unpack) -> None:
    (refused,) = unpack(folder("t"), entry("t/" + "n" * 60_000, b"x"))
    assert refused.endswith("was refused: its path is longer than 1024 bytes.")
    assert len(refused) < 1500


def test_an_extended_header_is_not_read_into_memory(unpack: Unpack, out: Path) -> None:
    """What tarfile does: 3.11 and 3.13 read one of any size at once."""
    huge = entry("x", type=tarfile.XHDTYPE, size=512 * MB)
    zeros = [bytes(MB)] * 512
    tracemalloc.start()
    try:
        refused = unpack(folder("t"), huge, *zeros, entry("t/a", b"a"), entry("t/b", b"b"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused == [f"'t/a' was refused: its header has {512 * MB} bytes, 65536 are read."]
    assert peak < MB
    assert [path.name for path in out.iterdir()] == ["b"]


def test_gnus_long_names_are_read(unpack: Unpack, out: Path) -> None:
    info = tarfile.TarInfo("t/" + "n" * 200)
    assert unpack(folder("t"), info.tobuf(tarfile.GNU_FORMAT)) == []
    assert [path.name for path in out.iterdir()] == ["n" * 200]


GOOD = folder("t") + entry("t/a", b"a" * 1000)
NEGATIVE = tarfile.TarInfo("t/b")
NEGATIVE.size = -1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it ends early"),
        (GOOD, "it ends early"),
        (GOOD[:-600], "it ends early"),
        (GOOD[:700], "it ends early"),
        (GOOD + b"\1" * 512 + END, r"it has a header that is none \(.+\)"),
        (b"\x89PNG" * 500, r"it has a header that is none"),
        (GOOD + NEGATIVE.tobuf(tarfile.GNU_FORMAT) + END, "'t/b' in it has -1 bytes"),
        (GOOD + pax(size="1e9") + entry("t/b") + END, "'t/b' in it has '1e9' bytes"),
        (GOOD + pax(size="9" * 20) + entry("t/b") + END, "'t/b' in it has '9{20}' bytes"),
        (GOOD + pax(path="t/b") * 5 + END, "more than 4 extended headers in a row"),
        (GOOD + entry("x", b"99 path=t\n", type=b"x") + END, "an extended header that is none"),
        (GOOD + entry("x", b"0 path=t\n", type=b"x") + END, "an extended header that is none"),
        (GOOD + entry("x", b"9999999 a=t\n", type=b"x") + END, "an extended header that is none"),
    ],
)
def test_what_is_broken_is_said(out: Path, data: bytes, why: str) -> None:
    with pytest.raises(SandboxError, match=f"'t': the archive of it is broken: .*{why}"):
        archive.unpack([data], out, shown="t")


def test_an_archive_of_nothing_is_what_an_engine_makes_of_a_socket(out: Path) -> None:
    assert archive.unpack([END], out, shown="t") == ["'t' was refused: it is a socket."]


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_refused_or_unpacked_but_never_leads_out(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    good = GOOD + pax(path="t/é", size="3") + entry("t/e", b"abc") + folder("t/d") + END
    for n in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        target = tmp_path / f"{n}/out"
        try:
            archive.unpack([bytes(data)], target, shown="t")
        except SandboxError as error:
            assert "the archive of it is broken" in str(error)
    assert {path.name for path in tmp_path.glob("*/*")} <= {"out"}


def test_what_the_engine_raises_goes_up(out: Path) -> None:
    def cut() -> Iterator[bytes]:
        yield GOOD
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        archive.unpack(cut(), out, shown="t")


def test_a_full_disk_of_ours_is_no_refusal(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        archive.unpack([GOOD, END], out, shown="t")


MEMORY = """
import resource, sys
from pathlib import Path
from pytest_ale.channels import archive

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

source, target, size = Path(sys.argv[1]), Path(sys.argv[2]), 400 << 20
source.touch()
with source.open("r+b") as file:
    file.truncate(size)
before = peak()
assert archive.unpack(archive.pack(source, "f", uid=0, gid=0), target, shown="f") == []
assert target.stat().st_size == size
print(peak() - before)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "source"), str(tmp_path / "target")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 16  # MB, of 400
    for name in ("source", "target"):
        (tmp_path / name).unlink()


# With a real engine.


@pytest.fixture
def engine(require: Callable[[str, str], None]) -> Iterator[APIClient]:
    docker = pytest.importorskip("docker")
    try:
        client = docker.APIClient(timeout=30)
        client.inspect_image(IMAGE)
    except docker.errors.DockerException as error:
        require("docker", f"{IMAGE} cannot be had: {error}")
    with closing(client):
        yield client


@pytest.fixture
def container(engine: APIClient) -> Iterator[str]:
    """A container whose pid 1 sleeps as root."""
    config = engine.create_host_config(init=True, network_mode="none")
    made = engine.create_container(IMAGE, ["sleep", "600"], host_config=config)["Id"]
    try:
        engine.start(made)
        yield made
    finally:
        engine.remove_container(made, force=True)


def run(engine: APIClient, container: str, *command: str) -> str:
    made = engine.exec_create(container, command)["Id"]
    said = engine.exec_start(made).decode("utf-8", "backslashreplace")
    assert engine.exec_inspect(made)["ExitCode"] == 0, said
    return said


def test_an_engine_takes_what_is_packed(engine: APIClient, container: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "large").write_bytes(random.Random(1).randbytes(50 * MB))
    (source / "new\nline é").write_text("n")
    (source / "zero").touch()
    (source / "link").symlink_to("large")
    os.close(os.open(bytes(source) + b"/\xff\xfe", os.O_CREAT))
    engine.put_archive(container, "/", packed(source, "in"))
    assert run(engine, container, "stat", "-c", "%u %a %s", "/in/large") == "1000 644 52428800\n"
    assert run(engine, container, "readlink", "/in/link") == "large\n"
    names = run(engine, container, "sh", "-c", "cd /in; printf '%s|' *")
    assert set(names.split("|")) == {
        "empty",
        "large",
        "link",
        "new\nline é",
        "zero",
        r"\xff\xfe",
        "",
    }
    chunks, _ = engine.get_archive(container, "/in")
    assert archive.unpack(chunks, tmp_path / "out", shown="in") == [
        "'in/link' was refused: it is a symbolic link.",
        r"'in/\udcff\udcfe' was refused: its name is not UTF-8.",
    ]
    for name in ("link", os.fsdecode(b"\xff\xfe")):
        (source / name).unlink()
    assert listed(tmp_path / "out") == listed(source)


HOSTILE = r"""
set -e; mkdir -p /o/sub; cd /o
printf good > good; ln good sub/again; ln /etc/passwd passwd
mkfifo fifo; mknod dev c 1 5; mknod blk b 8 0
ln -s loop2 loop1; ln -s loop1 loop2; ln -s /etc etc
printf x > suid; chmod 6755 suid
touch empty; mkdir nothing; chmod 0 nothing
perl -e 'use IO::Socket::UNIX; IO::Socket::UNIX->new(Local => "sock", Listen => 1) or die;
    open F, ">\xff\xfe"; mkdir "deep"; chdir "deep"; for (1..2100) { mkdir "d"; chdir "d" }'
truncate -s 100G zsparse; printf x > zzafter
"""


def test_what_a_hostile_process_left(engine: APIClient, container: str, out: Path) -> None:
    run(engine, container, "sh", "-c", HOSTILE)
    chunks, _ = engine.get_archive(container, "/o")
    refused = archive.unpack(chunks, out, shown="o")
    engine.kill(container)  # its lock was given back with the stream
    assert refused == [
        "'o/blk' was refused: it is a device.",
        f"'o/deep{'/d' * 64}' was refused: it lies deeper than 64 folders.",
        "'o/dev' was refused: it is a device.",
        "'o/etc' was refused: it is a symbolic link.",
        "'o/fifo' was refused: it is a FIFO.",
        "'o/loop1' was refused: it is a symbolic link.",
        "'o/loop2' was refused: it is a symbolic link.",
        f"'o/zsparse' was refused: it has {100 << 30} bytes, {1 << 30} are allowed.",
        f"'o': what was refused has more than {4 << 30} bytes, the rest was left out.",
    ]
    kept = {"deep", "empty", "good", "nothing", "passwd", "sub", "suid"}  # sockets it never sends
    assert {path.name for path in out.iterdir()} == kept
    assert (out / "sub/again").read_text() == "good"
    assert stat.S_IMODE((out / "suid").stat().st_mode) == 0o755
