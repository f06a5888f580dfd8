"""Read a hostile tar, as it streams by: its entries, and of each the bytes that are asked for.

Knows nothing of files: where entries go, and which, is the caller's. tarfile's own streams move
10 KB at a time, keep every header, and read an extended header of any size into memory; only its
single headers are used here.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_ale.channels.tree import Intake

__all__ = ["BLOCK", "FILES", "KINDS", "Broken", "Headers", "Stream"]

BLOCK = 512
SKIPS = 4  # times `total_bytes`: what is read past, of refused files, before the rest is given up
EXTENDED_BYTES = 1 << 16  # one extended header: a path (4 KB at most, in an engine) and xattrs
EXTENDED_COUNT = 4  # extended headers of one entry; one, or GNU's two, is what is met

FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}
BODILESS = (tarfile.DIRTYPE, tarfile.LNKTYPE, *KINDS)  # whatever size they claim
GNU = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *GNU)

USED = ("path", "linkpath", "size")  # of a PAX header's records
RECORD = re.compile(rb"(\d{1,5}) ([^=\n]+)=")


class Broken(Exception):
    """The stream ends early, or is no tar."""


@dataclass
class Stream:
    """The bytes of an archive, read once; `left` is what is still to come of an entry's body."""

    chunks: Iterable[bytes]
    left: int = 0

    def __post_init__(self) -> None:
        self._more = iter(self.chunks)
        self._rest = memoryview(b"")

    def read(self, size: int) -> Iterator[memoryview]:
        while size:
            while not self._rest:
                self._rest = memoryview(self._next())
            piece = self._rest[:size]
            self._rest = self._rest[size:]
            size -= len(piece)
            yield piece

    def _next(self) -> bytes:
        for chunk in self._more:
            return chunk
        raise Broken("it ends early")

    def block(self) -> bytes:
        return b"".join(self.read(BLOCK))

    def body(self) -> Iterator[memoryview]:
        for piece in self.read(self.left):
            self.left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what pads the end, in bounds: only a connection read to its end is used again."""
        for _ in zip(range(64), self._more, strict=False):
            pass


class Headers:
    """The entries of an archive, each with what its extended headers say of it.

    After an entry the stream is at its body; what is not read of it is skipped, in bounds.
    """

    def __init__(self, stream: Stream, intake: Intake) -> None:
        self._stream = stream
        self._intake = intake
        self._left = SKIPS * intake.limits.total_bytes
        self._padding = 0

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
        """Each entry, and why it must be refused, if what it says of itself cannot be used."""
        said: dict[str, str] = {}
        extended = 0
        while entry := self._header():
            if entry.type not in EXTENDED:
                yield self._told(entry, said), said.get("refused")
                said, extended = {}, 0
            elif (extended := extended + 1) > EXTENDED_COUNT:
                raise Broken(f"it has more than {EXTENDED_COUNT} extended headers in a row")
            else:
                said |= self._said(entry)
            self._skip()

    def _header(self) -> tarfile.TarInfo | None:
        block = self._stream.block()
        if block == bytes(BLOCK):
            return None
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise Broken(f"it has a header that is none ({error})") from error
        self._expect(entry)
        return entry

    def _expect(self, entry: tarfile.TarInfo) -> None:
        if entry.size < 0:
            raise Broken(f"{entry.name!r} in it has {entry.size} bytes")
        self._stream.left = 0 if entry.type in BODILESS else entry.size
        self._padding = -self._stream.left % BLOCK

    def _said(self, entry: tarfile.TarInfo) -> dict[str, str]:
        """What an extended header says of the next entry."""
        if entry.type == tarfile.XGLTYPE:
            return {}
        if entry.size > EXTENDED_BYTES:
            return {"refused": f"its header has {entry.size} bytes, {EXTENDED_BYTES} are read"}
        data = b"".join(self._stream.body())
        if entry.type in GNU:
            return {GNU[entry.type]: _text(data.split(b"\0", 1)[0])}
        return {key: value for key, value in _records(data) if key in USED}

    def _told(self, entry: tarfile.TarInfo, said: Mapping[str, str]) -> tarfile.TarInfo:
        entry.name = said.get("path", entry.name)
        entry.linkname = said.get("linkpath", entry.linkname)
        if "size" in said:
            if not re.fullmatch("[0-9]{1,19}", said["size"]):
                raise Broken(f"{entry.name!r} in it has {said['size'][:40]!r} bytes")
            entry.size = int(said["size"])
            self._expect(entry)
        return entry

    def _skip(self) -> None:
        """Read past the rest of a body; a file with a hole of 1 TB would never end."""
        self._left -= self._stream.left
        if self._left < 0:
            most = SKIPS * self._intake.limits.total_bytes
            raise self._intake.full(f"what was refused has more than {most} bytes")
        for _ in self._stream.body():
            pass
        for _ in self._stream.read(self._padding):
            pass


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """The records of a PAX header, each `length key=value`."""
    at = 0
    while found := RECORD.match(data, at):
        end = at + int(found[1])
        if not found.end() < end <= len(data) or data[end - 1] != ord("\n"):
            break
        yield _text(found[2]), _text(data[found.end() : end - 1])
        at = end
    if data[at:].strip(b"\0"):
        raise Broken("it has an extended header that is none")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
