"""Bounded, safe readers of deliverables, for graders: they read what an untrusted agent left.

Knows nothing of tasks, checks or sandboxes; a file it cannot vouch for is `Unreadable`, whatever
is wrong with its content. A fault of this machine (a failing disk) stays the OSError it is.
Only the last part of a path is guarded against links: folders above it are the collector's.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

__all__ = [
    "LIMIT",
    "Unreadable",
    "read_bytes",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_number",
    "read_text",
    "read_xml",
    "read_zip_member",
    "read_zip_names",
]

LIMIT = 16 * 2**20  # bytes of one file, unless the grader says otherwise
ARCHIVE_LIMIT = 64 * 2**20  # bytes of a zip as it lies there: office files carry their pictures
MAX_ROWS = 200_000
MAX_DEPTH = 100
MAX_MEMBERS = 10_000
SHOWN = 60  # characters of a hostile name or value that get into a message

AnyPath = str | os.PathLike[str]


class Unreadable(ValueError):
    """A deliverable is not what a reader may accept; one plain sentence says why."""

    def __init__(self, subject: str, wrong: str, expected: str = "") -> None:
        super().__init__(subject, wrong, expected)  # all three: it crosses processes pickled
        self.subject, self.wrong, self.expected = subject, wrong, expected

    def __str__(self) -> str:
        tail = f"; expected {self.expected}" if self.expected else ""
        return f"{_shown(self.subject)} {self.wrong}{tail}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _listed(names: Iterable[str]) -> str:
    few = list(names)
    more = f" and {len(few) - 8} more" if len(few) > 8 else ""
    return ", ".join(map(_shown, few[:8])) + more


def _name(path: AnyPath) -> str:
    return Path(path).name or os.fspath(path)


# --- bytes and text


def read_bytes(path: AnyPath, limit: int = LIMIT) -> bytes:
    """Return the content of a regular file of at most `limit` bytes."""
    name = _name(path)
    with os.fdopen(_opened(path, name), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise Unreadable(name, f"has {size} bytes", f"at most {limit}")
        data = stream.read(size + 1)
    if len(data) != size:
        raise Unreadable(name, "changed while it was read", "a file at rest")
    return data


# What an agent can do to a file so that it does not open. Anything else (EIO, EMFILE, ...) is
# this machine's fault and must not be counted against the agent.
_REFUSALS = {
    errno.ENOENT: "is missing",
    errno.ENOTDIR: "is missing",
    errno.ELOOP: "is a symbolic link",
    errno.EACCES: "may not be read",
    errno.EPERM: "may not be read",
    errno.ENAMETOOLONG: "has a name that is too long",
    errno.EINVAL: "has a name no file can have",
    errno.EILSEQ: "has a name no file can have",
    errno.ENXIO: "is a socket or a device",
    errno.ENODEV: "is a socket or a device",
    errno.EOPNOTSUPP: "is a socket or a device",
}
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
# NONBLOCK: opening a named pipe would otherwise wait for a writer, for ever.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def _opened(path: AnyPath, name: str) -> int:
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise Unreadable(name, _REFUSALS[error.errno], "a regular file") from error
    except ValueError as error:  # a NUL or a lone surrogate in the path
        raise Unreadable(name, "has a name no file can have") from error
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    kind = _KINDS.get(stat.S_IFMT(mode), "is a special file")
    raise Unreadable(name, kind, "a regular file")


def read_text(path: AnyPath, limit: int = LIMIT, *, encoding: str = "utf-8") -> str:
    """Return the text of a file, without its byte order mark; line ends stay as they are."""
    data, name = read_bytes(path, limit), _name(path)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise Unreadable(name, f"is not {encoding}{where}", f"{encoding} text") from error


def _filled_text(path: AnyPath, limit: int, expected: str) -> str:
    text = read_text(path, limit)
    if not text.strip():
        raise Unreadable(_name(path), "is empty", expected)
    return text


@contextlib.contextmanager
def _within_memory(name: str) -> Iterator[None]:
    # The grader has a memory limit, and a few MB of "[[],[],…" become hundreds when parsed.
    try:
        yield
    except (MemoryError, RecursionError) as error:
        raise Unreadable(name, "takes more memory than a grader has", "less content") from error


# --- tables


def read_csv(
    path: AnyPath,
    limit: int = LIMIT,
    *,
    columns: Iterable[str] | None = None,
    delimiter: str = ",",
    max_rows: int = MAX_ROWS,
) -> list[dict[str, str]]:
    """Return the rows under a required header; `columns`, when given, is the exact set of names."""
    name = _name(path)
    text = _filled_text(path, limit, "a header and rows")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Unreadable(name, f"has a NUL byte in line {line}", "CSV text")
    with _within_memory(name):
        rows = _csv_rows(name, text, delimiter)
        header = _csv_header(name, rows, None if columns is None else set(columns))
        return _csv_dicts(name, rows, header, max_rows)


def _csv_rows(name: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not a blank line, with the line it begins in."""
    # newline="": line ends inside quotes are content. strict: a quote never closed would
    # otherwise swallow the rest of the table without a word. No cell over csv's own limit
    # (131072): raising that is for the whole process.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise Unreadable(name, f"is not CSV in line {line} ({error})", "CSV") from error
        if row is None:
            return
        if row:
            yield line, row
        line = reader.line_num + 1


def _csv_header(
    name: str, rows: Iterator[tuple[int, list[str]]], columns: set[str] | None
) -> list[str]:
    line, cells = next(rows, (1, []))
    header = [cell.strip() for cell in cells]
    if not any(header):
        raise Unreadable(name, f"has no header in line {line}", "column names")
    if len(set(header)) != len(header):
        twice = [column for column, count in Counter(header).items() if count > 1]
        raise Unreadable(name, f"names {_listed(twice)} twice in line {line}", "each column once")
    if columns is not None and set(header) != columns:
        wrong = f"has the columns {_listed(header)} in line {line}"
        raise Unreadable(name, wrong, f"exactly {_listed(sorted(columns))}")
    return header


def _csv_dicts(
    name: str, rows: Iterator[tuple[int, list[str]]], header: list[str], max_rows: int
) -> list[dict[str, str]]:
    table: list[dict[str, str]] = []
    for line, row in rows:
        if len(row) != len(header):
            raise Unreadable(name, f"has {len(row)} cells in line {line}", f"{len(header)}")
        if len(table) == max_rows:
            raise Unreadable(name, f"has more rows, from line {line} on", f"at most {max_rows}")
        table.append(dict(zip(header, row, strict=True)))
    return table


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400  # characters: the largest float, written out, has 309 digits


def read_number(text: str) -> float:
    """Return a finite decimal such as "-12.5" or "1e-05"; blanks around it are forgiven."""
    plain = text.strip()
    value = math.inf
    if len(plain) <= _LONGEST_NUMBER and _NUMBER.fullmatch(plain):
        value = float(plain)  # "1e999" is infinite, too
    if not math.isfinite(value):
        raise Unreadable(text, "is not a number", "a finite decimal such as -12.5")
    return value


# --- JSON


# Any: what a deliverable holds is the task's to know and to check.
def read_json(path: AnyPath, limit: int = LIMIT) -> Any:
    """Return the one JSON value of a file: no NaN, no key twice, no deep nesting."""
    return _json(_name(path), _filled_text(path, limit, "JSON"))


def read_jsonl(path: AnyPath, limit: int = LIMIT, *, max_rows: int = MAX_ROWS) -> list[Any]:
    """Return the JSON values of a file, one a line; blank lines are skipped, no lines are fine."""
    name, values = _name(path), list[Any]()
    # Not splitlines(): U+2028 and its like may stand in a JSON string.
    for number, line in enumerate(io.StringIO(read_text(path, limit)), 1):
        if not line.strip():
            continue
        if len(values) == max_rows:
            raise Unreadable(name, f"has more values, from line {number} on", f"at most {max_rows}")
        values.append(_json(name, line, f" in line {number}"))
    return values


def _json(name: str, text: str, where: str = "") -> Any:
    with _within_memory(name):
        if _json_depth(text) > MAX_DEPTH:
            raise Unreadable(name, f"is nested too deeply{where}", f"at most {MAX_DEPTH} levels")
        try:
            return json.loads(
                text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite
            )
        except ValueError as error:
            raise Unreadable(name, f"is not JSON{where} ({_reason(error)})", "JSON") from error


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}: line {error.lineno} column {error.colno}"
    return str(error)


# Possessive (3.11): no backtracking, so one pass whatever the text. An unclosed string runs on to
# the end, as it does for the parser.
_NOT_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def _json_depth(text: str) -> int:
    # Counted before parsing: how deep the parser may go differs between Python versions, and
    # what it returned would still overflow the next function that walks it.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    return max(accumulate(map(_STEPS.__getitem__, _NOT_BRACKETS.sub("", text))), default=0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {_shown(twice)} twice in one object")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number {_shown(text)} is too large")
    return value


# --- XML


def read_xml(path: AnyPath, limit: int = LIMIT) -> ElementTree.Element:
    """Return the root of an XML document without a DTD: no entities, nothing fetched."""
    data, name = read_bytes(path, limit), _name(path)
    if not data.strip():
        raise Unreadable(name, "is empty", "XML")
    # Dropping NULs finds the words in UTF-16 of both byte orders as well.
    flat = data.replace(b"\0", b"")
    if b"<!DOCTYPE" in flat or b"<!ENTITY" in flat:
        raise Unreadable(name, "has a document type declaration", "XML without DTD and entities")
    with _within_memory(name):
        parser = ElementTree.XMLParser(target=_Shallow(name))
        try:
            parser.feed(data)
            root: ElementTree.Element = parser.close()
        except Unreadable:
            raise
        # ParseError; ValueError, LookupError or TypeError from the encoding it claims.
        except (ElementTree.ParseError, ValueError, LookupError, TypeError) as error:
            raise Unreadable(name, f"is not XML ({_shown(str(error))})", "XML") from error
        return root


class _Shallow(ElementTree.TreeBuilder):
    """Build a tree that code walking it by recursion survives."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.depth = name, 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable(self.name, "is nested too deeply", f"at most {MAX_DEPTH} levels")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)

    def doctype(self, *_: object) -> None:
        raise Unreadable(self.name, "has a document type declaration", "XML without DTD")


# --- zip, and the office formats that are zips


def read_zip_names(path: AnyPath, limit: int = ARCHIVE_LIMIT) -> list[str]:
    """Return the member names of a zip in their order; they are the agent's words, not paths."""
    name = _name(path)
    with _zip(path, name, limit) as archive:
        return archive.namelist()


def read_zip_member(
    path: AnyPath, name: str, limit: int = LIMIT, *, archive_limit: int = ARCHIVE_LIMIT
) -> bytes:
    """Return one member of at most `limit` bytes from a zip of at most `archive_limit`."""
    file = _name(path)
    with _zip(path, file, archive_limit) as archive:
        if name not in archive.NameToInfo:
            raise Unreadable(file, f"has no member {_shown(name)}", _listed(archive.namelist()))
        info = archive.getinfo(name)
        _check_member(file, info, limit)
        with archive.open(info) as stream:
            data = stream.read(limit + 1)
    if len(data) != info.file_size:
        wrong = f"has a member {_shown(name)} of another size than it declares"
        raise Unreadable(file, wrong, f"{info.file_size} bytes")
    return data


def _check_member(file: str, info: zipfile.ZipInfo, limit: int) -> None:
    member = f"has a member {_shown(info.filename)}"
    if info.flag_bits & 1:
        raise Unreadable(file, f"{member} that is encrypted", "no password")
    # Of Python's unpackers only zlib can be told where to stop.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(file, f"{member} packed by method {info.compress_type}", "deflate")
    if info.file_size > limit:
        raise Unreadable(file, f"{member} of {info.file_size} bytes", f"at most {limit}")


# All that zipfile raises on spoiled archives, OSError excepted: bytes in memory do no I/O,
# yet it can seek before their start.
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # and NotImplementedError
    ValueError,  # and UnicodeError
    LookupError,
    OverflowError,
    AttributeError,
    TypeError,
)


@contextlib.contextmanager
def _zip(path: AnyPath, name: str, limit: int) -> Iterator[zipfile.ZipFile]:
    data = read_bytes(path, limit)
    if not data:
        raise Unreadable(name, "is empty", "a zip archive")
    # Signatures are counted before zipfile makes an object for each.
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise Unreadable(name, "has too many members", f"at most {MAX_MEMBERS}")
    with _within_memory(name):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                _check_names(name, archive.namelist())
                yield archive
        except Unreadable:
            raise
        except _ZIP_FAULTS as error:
            wrong = f"is not a sound zip archive ({_shown(str(error))})"
            raise Unreadable(name, wrong, "a zip archive") from error


def _check_names(file: str, names: list[str]) -> None:
    # Of two members with one name, which one counts depends on the program that opens it.
    if len(set(names)) != len(names):
        raise Unreadable(file, "has two members of one name", "each name once")
