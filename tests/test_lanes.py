"""What stands around many attempts at once: lanes, starts, shelves and phases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_ale import starts as starts_module
from pytest_ale.lanes import Lane, Lanes, Stopwatch, ahead_of
from pytest_ale.phase import Cancelled, Phases, Story, phase
from pytest_ale.sandbox import Busy, PhaseTimeout
from pytest_ale.shelf import Shelf
from pytest_ale.starts import FIRST, SAMPLE, Starts

# Lanes.


def test_a_lane_has_room_for_so_many() -> None:
    lane, inside, most = Lane(2), [0], [0]

    def go(_: int) -> None:
        with lane:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(go, range(16)))
    assert most == [2]


def test_who_goes_aside_makes_room_and_comes_back() -> None:
    lane, came = Lane(1), threading.Event()

    def other() -> None:
        with lane:
            came.set()

    with lane:
        thread = threading.Thread(target=other)
        thread.start()
        with lane.aside():
            assert came.wait(5)
        thread.join()
    with lane:  # and it is as free as before
        pass


def test_who_waits_when_the_run_ends_is_let_go() -> None:
    lanes, said = Lanes.of(1, patience=1), []

    def wait() -> None:
        try:
            with lanes.run:
                said.append("in")
        except Cancelled:
            said.append("cancelled")

    with lanes.run:
        thread = threading.Thread(target=wait)
        thread.start()
        lanes.close()
        thread.join(5)
    assert said == ["cancelled"]


@pytest.mark.parametrize(("agents", "more"), [(1, 0), (2, 1), (4, 1), (5, 2), (1000, 250)])
def test_a_quarter_more_sandboxes_than_agents(agents: int, more: int) -> None:
    assert ahead_of(agents) == more


# Starts.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is for those who ask for sandboxes."""
    now = [1000.0]
    monkeypatch.setattr(starts_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(starts_module.random, "uniform", lambda low, high: 1.0)
    return now


def asked(clock: list[float], seconds: float = 1.0, *said: Busy | None) -> Callable[[], str]:
    """A provider that takes so long, and first says this."""
    left = list(said)

    def ask() -> str:
        clock[0] += seconds
        if left and (busy := left.pop(0)):
            raise busy
        return "sandbox"

    return ask


def admit(starts: Starts, ask: Callable[[], str]) -> str:
    return starts.admit(ask, Stopwatch())


def test_all_came_so_it_asks_for_more(clock: list[float]) -> None:
    starts = Starts(1000, patience=10)
    assert starts.limit == FIRST
    for _ in range(FIRST):
        admit(starts, asked(clock))
    assert starts.limit == 2 * FIRST


def test_nobody_was_refused_so_it_asks_for_more() -> None:
    """Those asked for still boot: a cloud that has no room would have said so."""
    starts, here = Starts(200, patience=10), threading.Semaphore(0)
    with ThreadPoolExecutor(200) as pool:
        over = threading.Event()
        for _ in range(200):
            pool.submit(admit, starts, lambda: (here.release(), over.wait(30), "sandbox")[-1])
        assert all(here.acquire(timeout=20) for _ in range(200))
        over.set()


def test_who_came_first_goes_first() -> None:
    lane, order = Lane(1), list[int]()

    def go(number: int) -> None:
        with lane:
            order.append(number)

    with ThreadPoolExecutor(50) as pool:
        with lane:
            for number in range(50):
                pool.submit(go, number)
                while len(lane._line._waiting) <= number:
                    time.sleep(0.001)
        pool.submit(go, 50)
    assert order[:50] == list(range(50))


def test_it_never_asks_for_more_than_there_is_use_for(clock: list[float]) -> None:
    starts = Starts(40, patience=10)
    for _ in range(20):
        admit(starts, asked(clock))
    assert starts.limit == 40


def waits(starts: Starts, clock: list[float]) -> list[float]:
    """Let waiting take no time but on the clock, and note how long it was."""
    noted: list[float] = []

    def wait(_: threading.Event, seconds: float | None) -> None:
        assert seconds is not None
        noted.append(seconds)
        clock[0] += seconds

    starts._line.wait = wait  # type: ignore[method-assign]
    return noted


def test_a_refusal_halves_and_pauses_and_then_it_grows_slowly(clock: list[float]) -> None:
    starts = Starts(1000, patience=100)
    noted = waits(starts, clock)
    no = Busy("no", "quota")
    assert admit(starts, asked(clock, 0.0, no, None)) == "sandbox"
    assert (starts.limit, noted) == (FIRST / 2 + 1 / (FIRST / 2), [1.0])
    clock[0] += 1
    assert admit(starts, asked(clock, 0.0, no, None)) == "sandbox"
    assert starts.limit < FIRST / 4 + 2 and noted == [1.0, 1.0]


def test_a_row_of_refusals_pauses_longer_each_time(clock: list[float]) -> None:
    starts = Starts(1000, patience=1000)
    noted = waits(starts, clock)
    admit(starts, asked(clock, 0.001, *[Busy("no")] * 8))
    assert [round(pause) for pause in noted] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert starts.limit <= 2


def test_what_the_provider_says_about_when_is_kept_to(clock: list[float]) -> None:
    starts = Starts(1000, patience=1000)
    noted = waits(starts, clock)
    admit(starts, asked(clock, 0.0, Busy("no", "rate", retry_after=77.0)))
    assert noted == [77.0]


def test_patience_ends(clock: list[float]) -> None:
    starts = Starts(1000, patience=5)
    waits(starts, clock)
    with pytest.raises(Busy):
        admit(starts, asked(clock, 0.5, *[Busy("no")] * 99))


def test_a_slow_provider_is_asked_less(clock: list[float]) -> None:
    starts = Starts(1000, patience=5)
    for _ in range(SAMPLE):
        admit(starts, asked(clock, 1.0))
    before = starts.limit
    for _ in range(SAMPLE):
        admit(starts, asked(clock, 4.0))
    assert starts.limit < before / 1.5


def test_a_sandbox_given_back_ends_the_pause(clock: list[float]) -> None:
    starts, done = Starts(8, patience=1000), threading.Event()
    refused = threading.Event()

    def ask() -> str:
        if not refused.is_set():
            refused.set()
            raise Busy("no", retry_after=1e6)
        return "sandbox"

    def go() -> None:
        admit(starts, ask)
        done.set()

    threading.Thread(target=go, daemon=True).start()
    assert refused.wait(5)
    deadline = time.time() + 10
    while not done.is_set() and time.time() < deadline:  # it may not wait yet
        starts.freed()
        done.wait(0.01)
    assert done.is_set()


# Shelves.


def test_what_is_wanted_by_many_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []

    def make(folder: Path) -> str:
        time.sleep(0.02)
        made.append(folder.name)
        return folder.name

    numbers = iter(range(100))

    def folder() -> Path:
        path = tmp_path / str(next(numbers))
        path.mkdir()
        return path

    shelf: Shelf[str] = Shelf(folder)

    def use(key: int) -> str:
        with shelf.holding(key, make) as value:
            assert (tmp_path / value).is_dir()
            return value

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(use, [number % 3 for number in range(32)]))
    assert len(set(said)) == len(made) == 3
    for key in range(8):
        use(key)
    assert len(list(tmp_path.iterdir())) == 4  # of those that nobody uses any more
    shelf.clear()
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    shelf: Shelf[str] = Shelf(lambda: tmp_path)

    def fails(folder: Path) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), shelf.holding("key", fails):
        pass
    tmp_path.mkdir(exist_ok=True)
    with shelf.holding("key", lambda folder: "made") as value:
        assert value == "made"


# Phases.


def phases() -> tuple[Phases, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    return Phases(lambda name, seconds, fault: told.append((name, fault))), told


def test_a_phase_that_hangs_keeps_its_thread_and_the_next_has_another() -> None:
    story, told = phases()
    over = threading.Event()
    with pytest.raises(PhaseTimeout):
        story.run("one", 0.05, lambda: over.wait(30))
    assert story.run("two", 5, lambda: 2) == 2
    over.set()
    story.end()
    story.linger(5)
    assert [name for name, _ in told] == ["one", "two"]
    assert "one did not end within 0.05 s" in told[0][1]


def test_cancelling_ends_the_phase_at_work_and_those_that_follow() -> None:
    story, _ = phases()
    begun, over = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        over.wait(30)

    def cancel() -> None:
        begun.wait(5)
        story.cancel()

    threading.Thread(target=cancel).start()
    with pytest.raises(Cancelled, match="in phase run"):
        story.run("run", 30, hang)
    with pytest.raises(Cancelled):
        story.run("stop", 30, lambda: None)
    story.stand_firm()  # what was taken is given back
    assert story.run("release", 30, lambda: "given") == "given"
    over.set()
    story.end()


def test_seconds_that_do_not_count_move_the_limit() -> None:
    story, _ = phases()
    began = time.monotonic()
    assert story.run("run", 0.05, lambda: time.sleep(0.2) or "done", lambda: 10.0) == "done"
    with pytest.raises(PhaseTimeout):
        story.run("run", 0.01, lambda: time.sleep(5), lambda: 0.1)
    assert time.monotonic() - began < 4
    story.end()


def test_a_story_hears_of_what_fails_in_noting_a_phase_and_leaves_its_lane() -> None:
    """As an error does whose words cannot be written down: its place would stay taken for ever."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def fail() -> None:
        raise Odd

    def refuse(name: str, seconds: float, fault: str) -> None:
        raise OSError("nowhere to write")

    for told, step in ((lambda *_: None, fail), (refuse, lambda: None)):
        lane, story = Lane(1), Phases(told)

        def work(lane: Lane = lane, step: Callable[[], None] = step) -> Story[None]:
            with lane:
                yield from phase("run", 5, step)

        with pytest.raises((ValueError, OSError)):
            story.tell(work())
        with lane:  # it is free again
            story.end()
