"""The readers of deliverables: what they return, and that only Unreadable comes out of them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import random
import socket
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from pytest_ale import files
from pytest_ale.files import (
    Unreadable,
    read_bytes,
    read_csv,
    read_json,
    read_jsonl,
    read_number,
    read_text,
    read_xml,
    read_zip_member,
    read_zip_names,
)

Reader = Callable[[Path], object]


def first_member(path: Path) -> object:
    return read_zip_member(path, "a.txt")


READERS: dict[str, Reader] = {
    "bytes": read_bytes,
    "text": read_text,
    "csv": read_csv,
    "json": read_json,
    "jsonl": read_jsonl,
    "xml": read_xml,
    "zip names": read_zip_names,
    "zip member": first_member,
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes | str], Path]:
    def write(content: bytes | str) -> Path:
        path = tmp_path / "answer"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


Write = Callable[[bytes | str], Path]


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(Unreadable) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1500
    return message


# --- what is not a regular file


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    (path.parent / "target").write_text("a\n1\n")
    path.symlink_to("target")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.open(path.parent, os.O_RDONLY)
        try:  # AF_UNIX paths are limited to about 108 bytes, pytest's are longer
            sock.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


NOT_FILES = {
    "is missing": lambda path: None,
    "is a folder": a_folder,
    "is a symbolic link": a_link,
    "is a named pipe": a_pipe,
    "is a socket": a_socket,
}


@every_reader
@pytest.mark.parametrize(("wrong", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_only_regular_files(
    tmp_path: Path, read: Reader, wrong: str, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "answer.x"
    make(path)
    assert refusal(lambda: read(path)).startswith(f"'answer.x' {wrong}")


@every_reader
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "gone/answer"])
def test_names_no_file_has(tmp_path: Path, read: Reader, name: str) -> None:
    refusal(lambda: read(tmp_path / name))


@every_reader
def test_devices(read: Reader) -> None:
    assert "is a device" in refusal(lambda: read(Path("/dev/zero")))


def test_a_file_as_folder_is_missing(file: Write) -> None:
    assert "is missing" in refusal(lambda: read_bytes(file("x") / "y"))


@every_reader
def test_more_than_the_limit(tmp_path: Path, read: Reader) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    assert "'sparse' has 1099511627776 bytes; expected at most" in refusal(lambda: read(path))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    a_pipe(tmp_path / "pipe")
    open_now = Path("/proc/self/fd")
    before = len([*open_now.iterdir()])
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "gone"):
        refusal(lambda path=path: read_bytes(path))  # type: ignore[misc]
    assert len([*open_now.iterdir()]) == before


def test_a_fault_of_this_machine_is_not_the_agents(
    file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "disk gone")

    path = file("x")
    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(OSError, match="disk gone"):
        read_bytes(path)


def test_a_file_that_grows_is_refused(file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file("abc")
    real = os.fdopen

    def growing(fd: int, mode: str) -> object:
        return Late(real(fd, mode))

    class Late:
        def __init__(self, stream: IO[bytes]) -> None:
            self.stream = stream

        def __enter__(self) -> Late:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def fileno(self) -> int:
            return self.stream.fileno()

        def read(self, size: int) -> bytes:
            path.write_bytes(b"abcdef")
            return self.stream.read(size)

    monkeypatch.setattr(os, "fdopen", growing)
    assert "changed" in refusal(lambda: read_bytes(path))


# --- Unreadable


def test_unreadable_is_one_bounded_sentence_and_survives_pickling() -> None:
    fault = Unreadable("a\nb" + "x" * 500, "is odd", "evenness")
    assert isinstance(fault, ValueError)
    assert str(fault).startswith("'a\\nbxxx")
    assert len(str(fault)) < 100
    again = pickle.loads(pickle.dumps(fault))
    assert (again.subject, again.wrong, str(again)) == (fault.subject, "is odd", str(fault))


# --- bytes and text


def test_bytes_up_to_the_limit_and_a_str_path(file: Write) -> None:
    path = file(b"abc")
    assert read_bytes(str(path), limit=3) == b"abc"
    assert "has 3 bytes; expected at most 2" in refusal(lambda: read_bytes(path, limit=2))
    assert read_bytes(file(b"")) == b""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (b"a\r\nb\n", "a\r\nb\n"),
        (b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe", "grüße"),
    ],
)
def test_text(file: Write, content: bytes, text: str) -> None:
    assert read_text(file(content)) == text


def test_text_in_another_encoding(file: Write) -> None:
    assert read_text(file("hé".encode("utf-16")), encoding="utf-16") == "hé"


@pytest.mark.parametrize("content", [b"ok\xff", b"\xff\xfea\0", b"\xed\xa0\x80"])
def test_text_that_is_not_utf8(file: Write, content: bytes) -> None:
    assert "is not utf-8 at byte" in refusal(lambda: read_text(file(content)))


# --- CSV


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("\ufeff a , b\r\n1, 2\r\n", [{"a": "1", "b": " 2"}]),
        ("a,b\r1,2", [{"a": "1", "b": "2"}]),
        ("\n\na\n\n1\n\n2\n\n", [{"a": "1"}, {"a": "2"}]),
        ('a,b\n"x,\n""y""",2\n', [{"a": 'x,\n"y"', "b": "2"}]),
        ('a\n""\n', [{"a": ""}]),
        (",a\n0,1\n", [{"": "0", "a": "1"}]),
        ("a,b\n", []),
    ],
)
def test_csv(file: Write, content: str, rows: list[dict[str, str]]) -> None:
    assert read_csv(file(content)) == rows


def test_csv_columns_in_any_order_and_another_delimiter(file: Write) -> None:
    assert read_csv(file("b;a\n1;2\n"), columns=["a", "b"], delimiter=";") == [{"b": "1", "a": "2"}]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "is empty; expected a header and rows"),
        ("\ufeff \n\n", "is empty"),
        (" , ,\n1,2,3\n", "has no header in line 1"),
        ("a,b,a\n", "names 'a' twice in line 1; expected each column once"),
        ("a,b\n1,2\n3\n", "has 1 cells in line 3; expected 2"),
        ("a,b\n1,2,3\n", "has 3 cells in line 2; expected 2"),
        ('a,b\n"x\ny",1\n\n2\n', "has 1 cells in line 5; expected 2"),
        ("a\n1\nx\0y\n", "has a NUL byte in line 3"),
        ('a\n1\n"open\n2\n', "is not CSV in line 3 (unexpected end of data)"),
        ('a\n"x"y\n', "is not CSV in line 2"),
        ("a\n" + "x" * 140_000, "is not CSV in line 2 (field larger than field limit (131072))"),
        (b"a\n\xff\n", "is not utf-8 at byte 2"),
    ],
)
def test_csv_refused(file: Write, content: str | bytes, wrong: str) -> None:
    assert refusal(lambda: read_csv(file(content))).startswith(f"'answer' {wrong}")


@pytest.mark.parametrize("header", ["a", "a,b,c", "a,B"])
def test_csv_columns_are_the_exact_set(file: Write, header: str) -> None:
    path = file(f"{header}\n")
    message = refusal(lambda: read_csv(path, columns=("b", "a")))
    assert "in line 1; expected exactly 'a', 'b'" in message
    assert f"has the columns '{header[0]}'" in message


def test_csv_rows_are_bounded(file: Write) -> None:
    path = file("a\n1\n2\n3\n")
    assert len(read_csv(path, max_rows=3)) == 3
    assert "has more rows, from line 4 on; expected at most 2" in refusal(
        lambda: read_csv(path, max_rows=2)
    )


def test_csv_header_of_a_million_names_is_refused_in_time(file: Write) -> None:
    names = ",".join(map(str, range(300_000)))
    message = refusal(lambda: read_csv(file(f"{names},7,8,9\n")))
    assert "names '7', '8', '9' twice" in message
    assert "and 299992 more" in refusal(lambda: read_csv(file(f"{names}\n"), columns=["a"]))


# --- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), (" -12.5\n", -12.5), ("+.5", 0.5), ("3.", 3.0), ("1e-05", 1e-05), ("2E+3", 2e3)],
)
def test_number(text: str, value: float) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "1,000",
        "1 000",
        "1'000",
        "1_000",
        "1,5",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "0x10",
        "1.2.3",
        "--1",
        "1e",
        "12%",
        "5 mm",
        "١٢",
        "²",
        "\ud800",
        "1" * 5000,
    ],
)
def test_not_a_number(text: str) -> None:
    message = refusal(lambda: read_number(text))
    assert message.endswith("is not a number; expected a finite decimal such as -12.5")


# --- JSON


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        ("\ufeff[]", []),
        (" 3 ", 3),
        ('"[[{{\\"[["', '[[{{"[['),
        ("[" * 100 + "]" * 100, None),
        ('["' + "[" * 5000 + '"]', ["[" * 5000]),
        ("[" + "[]," * 5000 + "[]]", [[]] * 5001),
    ],
)
def test_json(file: Write, content: str, value: object) -> None:
    read = read_json(file(content))
    assert value is None or read == value


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "is empty; expected JSON"),
        (" \n", "is empty; expected JSON"),
        ("{'a': 1}", "is not JSON (Expecting property name"),
        ("[1] 2", "is not JSON (Extra data"),
        ('{"a": 1, "a": 2}', "is not JSON (key 'a' twice in one object)"),
        ('[{"b": {"k": 1, "l": 2, "k": 1}}]', "is not JSON (key 'k' twice"),
        ("[NaN]", "is not JSON (NaN is no JSON number)"),
        ("-Infinity", "is not JSON (-Infinity is no JSON number)"),
        ("[1e999]", "is not JSON (number '1e999' is too large)"),
        ("[" + "9" * 5000 + "]", "is not JSON (Exceeds the limit"),
        ("[" * 101 + "]" * 101, "is nested too deeply; expected at most 100 levels"),
        ('{"a":' * 200_000, "is nested too deeply"),
        ('"' + "a" * 100_000, "is not JSON (Unterminated string"),
        ('"\\' * 50_000 + "[" * 200, "is not JSON"),
        (b'"\xff"', "is not utf-8 at byte 1"),
    ],
)
def test_json_refused(file: Write, content: str | bytes, wrong: str) -> None:
    assert refusal(lambda: read_json(file(content))).startswith(f"'answer' {wrong}")


def test_jsonl(file: Write) -> None:
    path = file('\ufeff{"a": 1}\r\n\n[2]\n"\u2028"\n3')
    assert read_jsonl(path) == [{"a": 1}, [2], "\u2028", 3]
    assert read_jsonl(file("")) == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("1\n\n{\n", "is not JSON in line 3 (Expecting property name"),
        ("1\nNaN\n", "is not JSON in line 2 (NaN"),
        ('1\n{"a":1,"a":1}\n', "is not JSON in line 2 (key 'a' twice"),
        ("1\n" + "[" * 5000, "is nested too deeply in line 2"),
        ("1\n" * 6, "has more values, from line 6 on; expected at most 5"),
    ],
)
def test_jsonl_refused(file: Write, content: str, wrong: str) -> None:
    assert refusal(lambda: read_jsonl(file(content), max_rows=5)).startswith(f"'answer' {wrong}")


# --- XML


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_xml(file: Write, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?><r a="1"><b>grüße</b></r>'
    root = read_xml(file(text.encode(encoding)))
    assert (root.tag, root.get("a"), root.findtext("b")) == ("r", "1", "grüße")


DTD = '<?xml version="1.0" encoding="{}"?><!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp037"])
def test_xml_with_a_dtd(file: Write, encoding: str) -> None:
    content = DTD.format(encoding).encode(encoding)
    if encoding == "cp037":  # only the declaration can be read without knowing the encoding
        head, body = DTD.format(encoding).split("?>")
        content = f"{head}?>".encode() + body.encode(encoding)
        assert "is not XML" in refusal(lambda: read_xml(file(content)))
        return
    assert "has a document type declaration" in refusal(lambda: read_xml(file(content)))


def test_xml_dtd_is_refused_by_the_parser_as_well() -> None:
    tree = files._Shallow("answer")
    assert "document type" in refusal(lambda: tree.doctype("r", None, None))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty; expected XML"),
        (b" \n", "is empty"),
        (b"<a><b></a>", "is not XML ('mismatched tag"),
        (b"<a/>tail", "is not XML ('junk after document element"),
        (b"<a>&nope;</a>", "is not XML ('undefined entity"),
        (b"<a>\xff</a>", "is not XML"),
        (b'<?xml version="1.0" encoding="nope"?><a/>', "is not XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "is not XML"),
        (b'<?xml version="1.0" encoding="rot13"?><a/>', "is not XML"),
        (b'<?xml version="1.0" encoding="undefined"?><a/>', "is not XML"),
        (b"<a>" * 101 + b"</a>" * 101, "is nested too deeply; expected at most 100 levels"),
        (b"<a>" * 500_000, "is nested too deeply"),
    ],
)
def test_xml_refused(file: Write, content: bytes, wrong: str) -> None:
    assert refusal(lambda: read_xml(file(content))).startswith(f"'answer' {wrong}")


def test_xml_many_siblings_are_not_deep(file: Write) -> None:
    assert len(read_xml(file(b"<a>" + b"<b/>" * 5000 + b"</a>"))) == 5000


# --- zip


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


def lying(content: bytes, declared: int) -> bytes:
    """Return a zip whose one member declares another size than it has, with a CRC to match."""
    whole = zipped({"a.txt": content})
    true, told = (n.to_bytes(4, "little") for n in (len(content), declared))
    crc, told_crc = (zlib.crc32(c).to_bytes(4, "little") for c in (content, content[:declared]))
    return whole.replace(true, told).replace(crc, told_crc)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(file: Write, method: int) -> None:
    path = file(zipped({"b/c.txt": b"C", "a.txt": b"A" * 1000, "empty": b""}, method))
    assert read_zip_names(path) == ["b/c.txt", "a.txt", "empty"]
    assert read_zip_member(path, "a.txt", 1000) == b"A" * 1000
    assert read_zip_member(path, "empty") == b""


def test_zip_members_are_bounded(file: Write) -> None:
    path = file(zipped({"a.txt": b"\0" * 2**21}))
    assert path.stat().st_size < 5000
    message = refusal(lambda: read_zip_member(path, "a.txt", limit=2**20))
    assert "has a member 'a.txt' of 2097152 bytes; expected at most 1048576" in message
    assert "expected at most 100" in refusal(lambda: read_zip_names(path, limit=100))
    assert "at most 9" in refusal(lambda: read_zip_member(path, "a.txt", archive_limit=9))


@pytest.mark.parametrize("declared", [10, 2**20 - 1])
def test_zip_that_declares_less_gives_no_more(file: Write, declared: int) -> None:
    path = file(lying(b"\0" * 2**21, declared))
    assert len(read_zip_member(path, "a.txt", limit=2**20)) == declared


def test_zip_that_declares_more(file: Write) -> None:
    path = file(lying(b"x" * 1000, 5000))
    refusal(lambda: read_zip_member(path, "a.txt"))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_that_cannot_be_bounded(file: Write, method: int) -> None:
    path = file(zipped({"a.txt": b"x"}, method))
    assert f"packed by method {method}; expected deflate" in refusal(lambda: first_member(path))


def test_zip_encrypted(file: Write) -> None:
    whole = bytearray(zipped({"a.txt": b"x"}))
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    assert "is encrypted" in refusal(lambda: first_member(file(bytes(whole))))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_with_two_members_of_one_name(file: Write) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.txt", b"1")
        archive.writestr("a.txt", b"2")
    path = file(whole.getvalue())
    assert "two members of one name" in refusal(lambda: first_member(path))
    assert "two members of one name" in refusal(lambda: read_zip_names(path))


def test_zip_with_too_many_members(file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_MEMBERS", 2)
    path = file(zipped({"1": b"", "2": b"", "3": b""}))
    assert "has too many members; expected at most 2" in refusal(lambda: read_zip_names(path))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty; expected a zip archive"),
        (b"PK", "is not a sound zip archive"),
        (b"hello" * 100, "is not a sound zip archive ('File is not a zip file')"),
        (zipped({"b": b"x"}), "has no member 'a.txt'; expected 'b'"),
        (zipped({"a.txt": b"xyz" * 99}).replace(b"PK\3\4", b"PK\3\5"), "is not a sound zip"),
    ],
)
def test_zip_refused(file: Write, content: bytes, wrong: str) -> None:
    assert refusal(lambda: first_member(file(content))).startswith(f"'answer' {wrong}")


# --- anything at all

SEEDS = {
    "bytes": b"abc",
    "text": "grüße\n".encode(),
    "csv": b'a,b\n1,"x\ny"\n3,4\n',
    "json": b'{"a": [1, 2.5e3, {"b": null}], "c": "\\u00e9"}',
    "jsonl": b'{"a": 1}\n[2, 3]\n"x"\n',
    "xml": b'<?xml version="1.0" encoding="utf-8"?><r a="1"><b>x</b><!-- c --></r>',
    "zip names": zipped({"a.txt": b"A" * 50, "b": b"B"}),
    "zip member": zipped({"a.txt": b"A" * 50, "b": b"B"}),
}


def spoiled(rng: random.Random, seed: bytes) -> bytes:
    """Return noise, or a good file with a few bytes changed, cut out or put in."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(200))
    data = bytearray(seed)
    for _ in range(rng.randrange(1, 5)):
        start = rng.randrange(len(data) + 1)
        data[start : start + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
    return bytes(data)


@pytest.mark.parametrize("kind", READERS)
def test_only_unreadable_comes_out(file: Write, kind: str) -> None:
    rng = random.Random(f"ale {kind}")
    refused = 0
    for _ in range(300):
        content = spoiled(rng, SEEDS[kind])
        path = file(content)
        try:
            READERS[kind](path)
        except Unreadable as fault:
            refused += 1
            assert str(fault).isprintable(), content
    assert (refused == 0) if kind == "bytes" else (0 < refused <= 300)


def test_only_unreadable_comes_out_of_numbers() -> None:
    rng = random.Random("ale numbers")
    for _ in range(300):
        text = "".join(rng.choices("0123456789.+-eE_, \0\udc80naif", k=rng.randrange(8)))
        with contextlib.suppress(Unreadable):
            assert read_number(text) == float(text)


@pytest.mark.parametrize("kind", ["csv", "json", "xml", "zip names"])
def test_no_memory_is_unreadable(file: Write, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> object:
        raise MemoryError

    path = file(SEEDS[kind])
    for name in ("csv.reader", "json.loads", "ElementTree.XMLParser", "zipfile.ZipFile"):
        monkeypatch.setattr(f"pytest_ale.files.{name}", full)
    assert "takes more memory" in refusal(lambda: READERS[kind](path))
