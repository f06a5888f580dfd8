"""What a run's files tell of it, how that is put into lines, and how a terminal shows them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import IO

import pyte
import pytest

from pytest_ale.leases import Owner
from pytest_ale.now import FILE
from pytest_ale.report.board import Board, Name, dollars, lasting, tokens
from pytest_ale.report.cells import cut, padded, plain, width
from pytest_ale.report.estimate import Estimate
from pytest_ale.report.look import Look, Running, Snapshot
from pytest_ale.report.screen import Screen

from .screens import shown

# Looking.

ME = vars(Owner.of(os.getpid()))
DEAD = ME | {"pid": 2**22 + 1, "start": "1"}


def place(task: str, attempt: int = 1) -> str:
    return f"legal/{task}/base/sim/trial-1/attempt-{attempt}"


class Records:
    """A run directory as attempts write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def live(self, **line: object) -> None:
        with (self.path / "live.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def phase(self, path: str, phase: str, time: float, owner: object = ME) -> None:
        self.live(path=path, phase=phase, time=time, owner=owner)

    def result(self, path: str, score: float | None, **more: object) -> None:
        known: dict[str, object] = {"path": path, "task": path.split("/")[1], "score": score}
        known |= {"outcome": "fault" if score is None else "scored", "passed": score == 1}
        known |= {"variant": "base", "agent": "sim", "trial": 1, "started": "2026-01-01T00:00:00"}
        with (self.path / "results.jsonl").open("a") as file:
            file.write(json.dumps(known | more) + "\n")

    def now(self, path: str, text: str) -> None:
        (self.path / path).mkdir(parents=True, exist_ok=True)
        (self.path / path / FILE).write_text(text)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def test_a_look_adds_what_is_new(records: Records) -> None:
    look = Look(records.path, clock=lambda: 1000.0)
    assert look.refresh() == Snapshot(time=1000.0)
    records.live(session="begins", time=900.0, items=5, done=2, slots=2, owner=ME)
    records.phase(place("a"), "build", 910.0)
    records.phase(place("a"), "run", 930.0)
    records.phase(place("b"), "build", 920.0)
    records.now(place("a"), '{"calls": 3, "tokens": 50, "usd": 0.5, "action": "ls"}')
    first = look.refresh()
    assert (first.planned, first.at_work, first.waiting) == (7, 2, 5)
    assert [(r.path, r.phase, r.began, r.since) for r in first.running] == [
        (place("a"), "run", 910.0, 930.0),
        (place("b"), "build", 920.0, 920.0),
    ]
    assert (first.running[0].now.action, first.tokens, first.usd) == ("ls", 50, 0.5)
    records.result(place("a"), 1.0, tokens_in=70, tokens_out=7, cost_usd=2.0)
    records.phase(place("a"), "", 990.0)
    then = look.refresh()
    assert (then.scored, then.passed, then.mean, then.at_work) == (1, 1, 1.0, 1)
    assert (then.tokens, then.usd) == (77, 2.0)  # not what it had used before, too
    assert [(n.path, n.ended is not None) for n in look.news] == [
        (place("a"), False),
        (place("a"), True),
    ]


def test_half_a_line_is_read_when_it_is_whole_and_no_line_stops_a_look(records: Records) -> None:
    look, file = Look(records.path), records.path / "live.jsonl"
    line = json.dumps({"path": place("a"), "phase": "run", "time": 1.0})
    file.write_text('{"pa\n[1]\n{"path": 1}\n{"path": "x", "phase": 2, "time": 3}\n' + line[:20])
    assert look.refresh().at_work == 0
    with file.open("a") as end:
        end.write(line[20:] + "\n")
    (records.path / "results.jsonl").write_bytes(b"\xff\n{}\n" + b"[" * 100_000 + b"\n")
    records.now(place("a"), "[1")
    assert [each.phase for each in look.refresh().running] == ["run"]
    for odd in ("[]", '{"calls": "x", "tokens": [], "usd": {}, "action": 7}', "nan"):
        records.now(place("a"), odd)
        assert look.refresh().at_work == 1


def test_faults_are_told_by_what_came_of_them(records: Records) -> None:
    records.live(session="begins", time=1000.0, items=3, done=0, slots=2, owner=ME)
    later = "2026-01-01T00:00:00+00:00"
    for task in "ab":
        records.result(place(task), None, started=later)
    records.phase(place("a", 2), "build", 1001.0)
    snapshot = Look(records.path).refresh()
    assert (snapshot.retried, snapshot.faulted, snapshot.waiting) == (1, 1, 1)
    records.live(session="begins", time=4e9, items=2, done=0, slots=2, owner=ME)  # a resume
    assert Look(records.path).refresh().faulted == 0


def test_what_a_dead_process_was_at_nobody_is_at(records: Records) -> None:
    records.phase(place("a"), "build", 1.0, DEAD)
    records.phase(place("b"), "build", 2.0)
    look = Look(records.path)
    assert [each.path for each in look.refresh().running] == [place("b")]
    records.phase(place("b", 2), "build", 3.0)  # follows the last attempt, which never ended
    assert [each.path for each in look.refresh().running] == [place("b", 2)]


def test_a_thousand_at_work_are_cheap_to_look_at(records: Records) -> None:
    for number in range(1000):
        records.phase(place(f"t{number}"), "build", float(number))
        records.now(place(f"t{number}"), '{"tokens": 1}')
    look, board = Look(records.path, clock=lambda: 5000.0), Board()
    look.refresh(20)
    began = time.process_time()
    for _ in range(20):
        lines = board.lines(look.refresh(20), 200, 20)
    assert (time.process_time() - began) / 20 < 0.03  # 4 ms were measured, once a second
    assert lines[1].split()[:2] == ["83", "min"] and lines[-1].endswith("… and 982 more at work")
    assert look.refresh().tokens == 1000  # of those that are not shown, too


def test_an_estimate_needs_ground() -> None:
    estimate = Estimate()
    for _ in range(3):
        assert estimate.left(10, [5.0], 1) is None
        estimate.ended(60)
    assert estimate.left(10, [], 1) == 600
    assert estimate.left(10, [30.0, 0.0], 2) == (600 + 30 + 60) / 2
    assert estimate.left(0, [20.0, 50.0], 2) == 40  # the last one counts
    assert estimate.left(0, [600.0], 1) == 0
    assert estimate.left(None, [], 1) is None
    assert estimate.left(100, [], 32) is None  # 3 of the first 32
    assert estimate.left(10, [300.0], 1) > 600  # type: ignore[operator]  # older than the mean


# A picture.


@pytest.mark.parametrize(
    ("path", "shown", "number"),
    [
        ("legal/a/base/sim/trial-1/attempt-1", "a[base-sim]", ""),
        ("legal/a/base/sim/trial-3/attempt-2", "a[base-sim]", "-3 try 2"),
        ("l/a/b/controls/trial-1/attempt-1/oracle-2/attempt-1", "a[b-controls/oracle-2]", ""),
        ("", "[-]", ""),
    ],
)
def test_a_path_as_a_name(path: str, shown: str, number: str) -> None:
    name = Name.of(path)
    assert (name.shown(agent=True), name.number) == (shown, number)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([lasting(s) for s in (-1, 0.4, 99, 100, 3540, 7500, 400_000)],
         ["0 s", "0 s", "99 s", "2 min", "59 min", "2 h 05", "111 h"]),
        ([tokens(n) for n in (None, 0, 999, 1000, 9_999, 412_000, 2e6, 3e9)],
         ["", "", "999", "1.0k", "10.0k", "412k", "2.0M", "3.0G"]),
        ([dollars(d) for d in (None, 0, 0.434, 1234.5, 20_000)],
         ["", "$0.00", "$0.43", "$1,234.50", "$20,000"]),
    ],
)  # fmt: skip
def test_numbers_at_a_glance(told: list[str], expected: list[str]) -> None:
    assert told == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb \n c", "a b c"),
        ("\x1b[2J\x07x\x9b1m", "�[2J�x�1m"),
        ("\u202eabc\u2066\u200b\u200d!", "abc!"),
        ("e" + "\u0301" * 9, "e\u0301"),
        ("a\ud800b\ue000", "a�b�"),
        ("\ufe0f❤\ufe0f", "❤"),
        ("漢字", "漢字"),
    ],
)
def test_no_text_can_do_anything_to_a_terminal(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_texts_are_cut_by_cells() -> None:
    assert [cut("漢字漢字", n) for n in (8, 7, 6, 1, 0)] == [
        "漢字漢字",
        "漢字漢…",
        "漢字…",
        "…",
        "",
    ]
    assert padded("漢", 4) == "漢  " and width(padded("abcdef", 4)) == 4


@pytest.mark.parametrize("cells", [20, 79, 199])
def test_no_line_is_wider_than_its_terminal(cells: int) -> None:
    texts = ["x" * 500, "漢" * 300, "🎉" * 300, "\x1b[9999C", "e\u0301" * 200, "مرحبا " * 80]
    running = tuple(
        Running(f"legal/{text[:80]}/{text[:80]}/sim/trial-2/attempt-9", "run", 0, 0)
        for text in texts
    )
    snapshot = Snapshot(time=9e6, planned=10**7, at_work=6, running=running, tokens=10**9, usd=1e6)
    for most in range(1, 12):
        lines = Board().lines(snapshot, cells, most)
        assert len(lines) <= most
        for line in lines:
            assert plain(line) == " ".join(line.split())
            assert width(line) <= cells


# The block on a screen, without pytest.


class Paper:
    """A file whose text an emulator shows."""

    encoding = "utf-8"

    def __init__(self, screen: pyte.Screen) -> None:
        self._stream = pyte.Stream(screen)

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n").replace("\r\r", "\r"))  # as a tty does
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise OSError


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pyte.Screen:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "12")
    return pyte.Screen(40, 12)


def on(terminal: pyte.Screen) -> Screen:
    paper: IO[str] = Paper(terminal)  # type: ignore[assignment]  # as much of one as is used
    return Screen(paper)  # type: ignore[arg-type]


def test_what_is_written_scrolls_above_the_block(terminal: pyte.Screen) -> None:
    screen = on(terminal)
    for number in range(20):
        screen.write(f"line {number}")
        screen.show(["totals", f"row {number}"])
        screen.write(" ok\n")
    assert shown(terminal) == [*(f"line {n} ok" for n in range(11, 20)), "", "totals", "row 19"]
    screen.write("....")
    screen.say("said")
    screen.show(["totals"])
    assert shown(terminal)[-4:] == ["....", "said", "", "totals"]
    screen.close()
    assert shown(terminal)[-2:] == ["....", "said"]


@pytest.mark.parametrize("size", [38, 39, 40, 41, 79, 80, 81])
def test_full_and_long_lines_keep_every_character(terminal: pyte.Screen, size: int) -> None:
    screen = on(terminal)
    screen.show(["totals", "row"])
    for _ in range(size):
        screen.write("\x1b[32m.\x1b[0m")
        screen.show(["totals", "row"])
    screen.write("!\n")
    screen.write("next")
    screen.show(["totals", "row"])
    text = "." * size + "!"
    expected = [text[i : i + 40] for i in range(0, len(text), 40)]
    assert shown(terminal) == [*expected, "next", "totals", "row"]
    screen.close()
    assert shown(terminal) == [*expected, "next"]


def test_a_block_is_at_most_half_a_terminal_and_heals(
    terminal: pyte.Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = on(terminal)
    screen.write("here")
    screen.show([f"row {n}" for n in range(50)])
    assert shown(terminal) == ["here", *(f"row {n}" for n in range(6))]
    screen.file.write("\nfrom another process\n")
    screen.show(["row 0"])
    assert shown(terminal) == ["here", "from another process", "", "row 0"]
    monkeypatch.setenv("LINES", "7")  # too small for any
    screen.show(["row 0"])
    assert shown(terminal) == ["here", "from another process"]
