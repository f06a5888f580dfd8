"""Order: longest first where several run at once, by what attempts took; equal in all workers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_ale import durations
from pytest_ale.durations import FILE, Durations, note
from pytest_ale.order import turns

from .conftest import Project

# What attempts took.


@dataclass(frozen=True)
class Attempt:
    task: str = "legal/copy"
    variant: str = "base"
    agent: str = "oracle"
    score: float | None = 0.0
    phases: Mapping[str, float] = field(default_factory=lambda: {"lease": 4.0, "run": 6.0})
    waited: float = 0.0
    queued: float = 0.0


def seconds(runs: Path) -> Mapping[str, Mapping[str, float]]:
    return Durations.read(runs).seconds


def test_what_attempts_took_is_noted(tmp_path: Path) -> None:
    once = Attempt(variant="a", waited=2, queued=3)
    twice = [Attempt(phases={"run": 10}), Attempt(phases={"run": 30})]
    fault, control = Attempt(variant="b", score=None), Attempt(variant="c", phases={})
    note(tmp_path, [once, *twice, fault, control])
    assert seconds(tmp_path) == {"legal/copy/a": {"oracle": 5}, "legal/copy/base": {"oracle": 20}}
    note(tmp_path, [Attempt(phases={"run": 40}), Attempt(agent="nop", phases={"run": 1})])
    assert seconds(tmp_path)["legal/copy/base"] == {"oracle": 30, "nop": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", FILE]


def test_durations_are_kept_from_git_but_no_gitignore_is_written_over(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    runs = tmp_path / ".ale"
    runs.mkdir()
    note(runs, [Attempt()])
    status = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""
    (runs / ".gitignore").write_text("mine\n")
    note(runs, [Attempt()])
    assert (runs / ".gitignore").read_text() == "mine\n"


def test_a_folder_of_the_users_gets_no_gitignore(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    note(tmp_path, [Attempt()])
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "theirs"]


def test_nothing_is_noted_where_nothing_was_scored_or_nothing_can_be_written(
    tmp_path: Path,
) -> None:
    note(tmp_path, [Attempt(score=None)])
    assert list(tmp_path.iterdir()) == []
    note(tmp_path / "gone", [Attempt()])


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"seconds": {"legal/cop',
        "[]",
        '"seconds"',
        '{"seconds": 3}',
        '{"seconds": {"legal/copy/base": 3}}',
        '{"seconds": {"legal/copy/base": {"a": "1", "b": NaN, "c": -1, "d": null, "e": Infinity}}}',
        "[" * 100_000,
        "\ud800",
    ],
)
def test_a_file_that_is_not_ours_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogatepass"))
    assert Durations.read(tmp_path).expected("legal/copy/base", "oracle") is None
    note(tmp_path, [Attempt()])
    assert Durations.read(tmp_path).expected("legal/copy/base", "oracle") == 10


def test_what_is_not_known_is_guessed_from_the_nearest() -> None:
    known = Durations(
        {
            "legal/copy/a": {"one": 10, "two": 20, "three": 90},
            "legal/copy/b": {"one": 30},
            "legal/other/a": {"one": 5},
            "legal/other/b": {"one": 7},
        }
    )
    for unpacked in (known, Durations.unpack(known.pack())):
        assert unpacked.expected("legal/copy/a", "two") == 20  # its own
        assert unpacked.expected("legal/copy/a", "new") == 20  # the others' median
        assert unpacked.expected("legal/copy/c", "one") == 25  # of 10, 20, 90, 30
        assert unpacked.expected("legal/new/a", "one") == 15  # of all
    assert Durations.unpack(b"").expected("legal/copy/a", "one") is None


def test_the_file_is_bounded_and_keeps_what_was_noted_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durations, "MOST", 4)
    note(tmp_path, [Attempt(variant=f"v{n}") for n in range(3)])
    note(tmp_path, [Attempt(variant="v0", agent=f"a{n}") for n in range(2)])
    assert seconds(tmp_path) == {
        "legal/copy/v2": {"oracle": 10},
        "legal/copy/v0": {"oracle": 10, "a0": 10, "a1": 10},
    }
    note(tmp_path, [Attempt(variant="v9", agent=f"a{n}") for n in range(9)])
    assert seconds(tmp_path) == {"legal/copy/v9": {f"a{n}": 10 for n in range(5, 9)}}


NOTING = """
import sys
from pathlib import Path
from tests.test_order import Attempt
from pytest_ale.durations import note

print("ready", flush=True)
sys.stdin.read()
for number in range(50):
    note(Path(sys.argv[1]), [Attempt(variant=f"{sys.argv[2]}-{number}")])
"""


def test_sessions_that_end_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOTING, str(tmp_path)]
    root, pipe = Path(__file__).parents[1], subprocess.PIPE
    with (
        subprocess.Popen([*command, "a"], stdin=pipe, stdout=pipe, cwd=root) as one,
        subprocess.Popen([*command, "b"], stdin=pipe, stdout=pipe, cwd=root) as two,
    ):
        assert one.stdin and one.stdout and two.stdin and two.stdout
        assert one.stdout.readline() == two.stdout.readline() == b"ready\n"
        one.stdin.close()
        two.stdin.close()
    assert len(seconds(tmp_path)) == 100


# Which place is whose.


def test_a_long_item_has_a_short_one_behind_it() -> None:
    # Eleven items for three workers, which are dealt 0 and 1, 2 and 3, 4 and 5.
    assert turns(range(11), 11, 3) == [0, 2, 4, 6, 7, 8, 9, 10, 5, 3, 1]
    assert turns(range(6), 6, 3) == [0, 2, 4, 5, 3, 1]
    assert turns(range(5), 5, 3) == [0, 1, 2, 3, 4]  # fewer than two each: dealt one by one
    assert turns(range(5), 5, 1) == [0, 1, 2, 3, 4]


def test_every_place_has_its_turn() -> None:
    dice = random.Random(5)
    for _ in range(300):
        total, workers = dice.randrange(1, 60), dice.randrange(1, 12)
        places = sorted(dice.sample(range(total), dice.randrange(total + 1)))
        assert sorted(turns(places, total, workers)) == places


# Runs: what each process collected, in its order.

CONFTEST = """
import json, os

def pytest_collection_finish(session):
    input = getattr(session.config, "workerinput", {"workerid": "main"})
    if session.config.pluginmanager.hasplugin("dsession"):
        return  # a controller collects nothing
    names = [item.name.partition("-")[0].partition("[base")[0] for item in session.items]
    names = [name.rpartition("[")[2] for name in names]
    with open(f"order-{input['workerid']}", "w") as file:
        json.dump(names, file)
"""

# Nothing is run where only the order is asked for.
IDLE = """
def pytest_runtest_protocol(item):
    return True
"""

PLAIN = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "g-" not in item.name)
"""

SEVEN = [{"id": id} for id in "abcdefg"]
LONG = dict(zip("abcdefg", (30, 70, 1, 500, 200, 3, 10), strict=True))  # d e b a g f c


@pytest.fixture
def seven(project: Project) -> Project:
    """A task with seven variants, of which is known how long they take."""
    project.pytester.makeconftest(CONFTEST + IDLE)
    project.task(variants=SEVEN)
    known(project, LONG)
    return project


def known(project: Project, long: Mapping[str, float]) -> None:
    (project.path / ".ale").mkdir(exist_ok=True)
    found = {f"legal/copy/{id}": {"oracle": seconds} for id, seconds in long.items()}
    (project.path / ".ale" / FILE).write_text(json.dumps({"seconds": found}))


def orders(project: Project) -> dict[str, str]:
    """What each process collected; forgotten then."""
    found = {}
    for path in sorted(project.path.glob("order-*")):
        found[path.name.removeprefix("order-")] = "".join(json.loads(path.read_text()))
        path.unlink()
    return found


def ran(project: Project, *words: str) -> dict[str, str]:
    result = project.run("tasks", "--ale-provider=sim", "--ale-agent=oracle", *words)
    assert result.ret in (0, 1, 5, 6), result.stdout.str()
    return orders(project)


def test_the_longest_go_first_in_all_workers_alike(seven: Project) -> None:
    # The first four are dealt in pairs: the longest with the shortest behind it.
    assert ran(seven, "-n2") == dict.fromkeys(("gw0", "gw1"), "dcefbag")


def test_one_after_the_other_they_keep_their_order(seven: Project) -> None:
    assert ran(seven) == {"main": "abcdefg"}
    assert ran(seven, "-n1") == {"gw0": "abcdefg"}
    assert ran(seven, "-n2", "--collect-only") == {"main": "abcdefg"}


@pytest.mark.parametrize(
    "words", [("--dist=worksteal",), ("--dist=loadfile",), ("--sw",), ("-p", "no:ale-order")]
)
def test_who_asks_for_another_order_has_it(seven: Project, words: Sequence[str]) -> None:
    assert ran(seven, "-n2", *words) == dict.fromkeys(("gw0", "gw1"), "abcdefg")


def test_several_at_once_in_one_process_are_taken_longest_first(seven: Project) -> None:
    seven.pytester.makeconftest(CONFTEST)
    assert ran(seven, "--ale-concurrency=2") == {"main": "debagfc"}


def test_pairs_are_made_of_what_is_selected(seven: Project) -> None:
    assert ran(seven, "-n2", "-k", "not d-") == dict.fromkeys(("gw0", "gw1"), "ecbfag")


def test_what_failed_last_is_first_with_ff(seven: Project) -> None:
    cache = seven.path / ".pytest_cache/v/cache"
    cache.mkdir(parents=True)
    failed = "tasks/legal/copy/main.py::copy[g-oracle]"
    (cache / "lastfailed").write_text(json.dumps({failed: True}))
    assert ran(seven, "-n2", "--ff")["gw1"] == "gdcefba"


def test_a_wrapper_of_the_projects_has_the_last_word(seven: Project) -> None:
    wrapper = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    yield
    items.sort(key=lambda item: item.name, reverse=True)
"""
    seven.pytester.makeconftest(CONFTEST + IDLE + wrapper)
    assert ran(seven, "-n2")["gw0"] == "gfedcba"


def test_tests_that_are_no_tasks_keep_their_places(seven: Project) -> None:
    seven.pytester.makeconftest(CONFTEST + IDLE + PLAIN)
    tests = "\n".join(f"def test_{n}(): pass" for n in range(2))
    (seven.path / "tasks/test_own.py").write_text(tests)
    found = ran(seven, "-n2")
    # Collected: g, the others, and two tests; a plain hook that sorts goes before.
    assert found == dict.fromkeys(("gw0", "gw1"), "dcefbagtest_0test_1")


def test_without_records_cards_tell_and_images_stay_together(project: Project) -> None:
    project.pytester.makeconftest(CONFTEST)
    long = {"a": 3600, "b": 3500, "c": 3400, "d": 3300, "e": 600, "f": 610}
    for name, timeout in long.items():
        ngspice = {"packages": ["ngspice"]} if name in "bde" else {}
        project.task(name, timeout_s=timeout, environment=ngspice)
    assert ran(project, "--ale-concurrency=4") == {"main": "bdacef"}


# A worker that dies.

DYING = """
import os, signal, time
from pathlib import Path

def pytest_runtest_setup(item):
    worker, began = os.environ.get("PYTEST_XDIST_WORKER"), time.monotonic()
    if "[a-" in item.name and not Path("died").exists():
        Path("died").touch()
        Path(".ale/durations.json").write_text('{"seconds": {"legal/copy/c": {"oracle": 9999}}}')
        os.kill(os.getpid(), signal.SIGKILL)
    while worker in ("gw0", "gw1") and not Path("ran-gw2").exists():
        assert time.monotonic() < began + 60  # it would have done all before the other is there
        time.sleep(0.01)

def pytest_runtest_logreport(report):
    if report.when == "teardown" and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
        with open(f"ran-{worker}", "a") as file:
            print(report.nodeid, file=file)
"""


def test_a_worker_in_the_place_of_a_dead_one_is_given_work(seven: Project) -> None:
    """Though by then another session has noted other durations: what counts is frozen."""
    seven.pytester.makeconftest(CONFTEST + DYING)
    known(seven, LONG | {"a": 900})  # so that it is the first of one of the two
    result = seven.run("tasks", "--ale-provider=sim", "-n2")
    assert (seven.path / "ran-gw2").read_text().count("\n") >= 1, result.stdout.str()
    found = orders(seven)
    assert found == dict.fromkeys(("gw0", "gw1", "gw2"), "acdfebg")
    assert len(seven.results) >= 6


# How items are dealt.

CHUNK = """
import pytest

def pytest_sessionfinish(session):
    if dsession := session.config.pluginmanager.getplugin("dsession"):
        with open("chunk", "w") as file:
            print(dsession.sched.maxschedchunk, file=file)
"""


@pytest.mark.parametrize(
    ("words", "chunk"), [((), "1"), (("--maxschedchunk=3",), "3"), (("-k", "test_"), "20")]
)
def test_tasks_are_dealt_one_by_one_and_plain_tests_are_not(
    project: Project, words: Sequence[str], chunk: str
) -> None:
    project.task()
    project.pytester.makeconftest(CHUNK)
    tests = "\n".join(f"def test_{n}(): pass" for n in range(20))
    (project.path / "tasks/test_own.py").write_text(tests)
    project.run("tasks", "--ale-provider=sim", "-n2", *words)
    assert (project.path / "chunk").read_text().strip() == chunk


def test_a_session_notes_what_its_attempts_took(project: Project) -> None:
    project.task(variants=SEVEN[:2])
    project.run("tasks", "--ale-agent=sim", "--ale-provider=sim", "--ale-knob=seconds=0.2-0.2")
    found = seconds(project.path / ".ale")
    assert sorted(found) == ["legal/copy/a", "legal/copy/b"]
    assert all(0.2 <= known["sim"] < 10 for known in found.values())
    assert os.listdir(project.path / ".ale").count(FILE) == 1  # noqa: PTH208
