"""What 32 workers would all do to start, though one or none of them needs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_ale import index
from pytest_ale.index import CardEntry, CardIndex

from .conftest import Project

CONFTEST = """
import json, sys

def pytest_sessionfinish(session):
    if input := getattr(session.config, "workerinput", None):
        with open(f"loaded-{input['workerid']}", "w") as file:
            json.dump(sorted(sys.modules), file)
"""

HEAVY = {"pydantic", "yaml", "http.client", "statistics"}
OURS = ["ceiling", "channels.boxed", "gateway", "grading", "leases", "prices", "record", "run"]


@pytest.fixture
def loaded(project: Project) -> Callable[..., list[set[str]]]:
    """The modules of each worker that has nothing to run."""

    def run(*words: str) -> list[set[str]]:
        result = project.run("tasks", "-k", "nothing", *words)
        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, result.stdout.str()
        return [set(json.loads(path.read_text())) for path in project.path.glob("loaded-*")]

    project.pytester.makeconftest(CONFTEST)
    project.task()
    return run


@pytest.mark.parametrize("words", [(), ("--ale-agent=oracle", "--ale-provider=docker")])
def test_an_idle_worker_loads_nothing_heavy(
    project: Project, loaded: Callable[..., list[set[str]]], words: Sequence[str]
) -> None:
    project.run("tasks", "--collect-only")  # the card is known then
    for modules in loaded("-n2", *words):
        assert "pytest_ale.collect" in modules
        assert [name for name in OURS if f"pytest_ale.{name}" in modules] == []
        assert HEAVY & modules == set()


def test_one_worker_validates_the_cards_for_all(loaded: Callable[..., list[set[str]]]) -> None:
    assert sorted("pydantic" in modules for modules in loaded("-n3")) == [False, False, True]


# The index's part of it.


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The cards that were validated."""
    seen: list[Path] = []

    def validate(path: Path) -> CardEntry:
        seen.append(path)
        return CardEntry("legal", [], ["base"], {})

    monkeypatch.setattr(index, "_validated", validate)
    return seen


@pytest.fixture
def cards(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{name}.yaml" for name in "ab"]
    for path in paths:
        path.write_text("")
    return [str(path) for path in paths]


def read(cache: Path, cards: Sequence[str]) -> None:
    found = CardIndex(cache, one_of_many=True)
    assert [found.entry(card).cluster for card in cards] == ["legal"] * len(cards)
    found.save()


def test_who_comes_second_takes_what_the_first_has_found(
    tmp_path: Path, cards: list[str], validated: list[Path]
) -> None:
    first = CardIndex(tmp_path / "cards.json", one_of_many=True)
    first.entry(cards[0])
    others = [
        threading.Thread(target=read, args=(tmp_path / "cards.json", cards)) for _ in range(3)
    ]
    for other in others:
        other.start()
    first.entry(cards[1])
    first.save()
    for other in others:
        other.join()
    assert [path.stem for path in validated] == ["a", "b"]


def test_a_worker_that_ends_without_a_word_is_not_waited_for(
    tmp_path: Path, cards: list[str], validated: list[Path]
) -> None:
    first = CardIndex(tmp_path / "cards.json", one_of_many=True)
    first.entry(cards[0])
    first.close()  # as the kernel does for one that died
    read(tmp_path / "cards.json", cards)
    assert [path.stem for path in validated] == ["a", "a", "b"]


def test_nobody_waits_for_ever(
    tmp_path: Path, cards: list[str], validated: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = CardIndex(tmp_path / "cards.json", one_of_many=True)
    first.entry(cards[0])
    monkeypatch.setattr(index, "WAIT_SECONDS", 0.05)
    read(tmp_path / "cards.json", cards)
    first.close()
    assert [path.stem for path in validated] == ["a", "a", "b"]
    assert (tmp_path / "cards.json").is_file()
