"""What our own tests share: a project with tasks in it, made in a moment."""

from __future__ import annotations

import compileall
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
import pytest_ale.harnesses
import yaml

from pytest_ale.registry import HARNESSES, PROVIDERS

pytest_plugins = ["pytester"]

# A shell that starts us in the background has it ignored, by us and by all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# pytester gives each run a home of its own; kits of 400 MB are not to be packed in each.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())

CARD: dict[str, object] = {
    "title": "Copy a word",
    "summary": "Hand over the word that was given.",
    "tier": "near_term",
    "cluster": "legal",
    "subfield": "litigation_discovery",
    "timeout_s": 60,
    "checks": {"is there": {"gate": True}, "is right": {"weight": 3}},
}

MAIN = """
from pytest_ale import cheat, near_miss


def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def solve(sandbox):
    sandbox.exec(["cp", sandbox.inputs + "/word.txt", sandbox.output], check=True)


def evaluate(output, reference, check):
    with check("is there"):
        assert (output / "word.txt").is_file()
    with check("is right"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()


@near_miss("another word")
def another(output):
    (output / "word.txt").write_text("another")


@cheat("an empty file")
def empty(output):
    (output / "word.txt").write_text("")
"""

PROMPT = "Copy {inputs}/word.txt to {output}.\n"


class Project:
    """A project of a user's: tasks, and pytest run in it as a user runs it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makeini("[pytest]\n")

    def task(
        self,
        name: str = "copy",
        *,
        main: str = MAIN,
        prompt: str | None = PROMPT,
        card: Mapping[str, object] | str | None = None,
        **changes: object,
    ) -> Path:
        """Write `tasks/<cluster>/<name>/`; `changes` are keys of the card, None leaves one out."""
        given = dict(CARD) | changes
        folder = self.path / "tasks" / str(given["cluster"] or "legal") / name
        folder.mkdir(parents=True, exist_ok=True)
        if not isinstance(card, str):
            card = yaml.safe_dump(card or _present(given), sort_keys=False)
        (folder / "card.yaml").write_text(card)
        (folder / "main.py").write_text(dedent(main))
        if prompt is not None:
            (folder / "prompt.md").write_text(prompt)
        return folder

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            return self.pytester.runpytest_subprocess("-p", "no:randomly", *words)

    @property
    def runs(self) -> list[Path]:
        return sorted(path.parent for path in (self.path / ".ale").glob("*/run.json"))

    @property
    def results(self) -> list[dict[str, object]]:
        """The lines of results.jsonl of the last run."""
        text = (self.runs[-1] / "results.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def attempt(self, **wanted: object) -> Path:
        """Folder of the last attempt in the last run whose record holds what is wanted."""
        found = [record for record in self.results if wanted.items() <= record.items()]
        return self.runs[-1] / str(found[-1]["path"])


def _present(card: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in card.items() if value is not None}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what we start some thousand Pythons of, which may be kept from writing bytecode.

    Under PYTHONDONTWRITEBYTECODE, a run of one task in a fresh tree took 1.4 s of processor time,
    and 1.1 s with bytecode; one by two workers 3.4 s, and 2.7 s.
    """
    if not hasattr(session.config, "workerinput"):
        copied = re.compile("/(skeleton|image)/")  # for others, as they are
        for module in (pytest_ale, pytest_ale.harnesses):
            compileall.compile_dir(module.__path__[0], quiet=2, rx=copied)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, away from this one's settings."""
    for name in [name for name in os.environ if name.startswith(("ALE_", "PYTEST_"))]:
        if name not in ("ALE_REQUIRE", "ALE_LOCAL_MODE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)
    return Project(pytester)


@pytest.fixture(autouse=True)
def _own_registries() -> Iterator[None]:
    """What a test registers is gone with it."""
    kept = [(registry, dict(registry._targets)) for registry in (HARNESSES, PROVIDERS)]
    yield
    for registry, targets in kept:
        registry._targets = targets


@pytest.fixture(scope="session")
def docker_engine(require: Callable[[str, str], None]) -> None:
    """A real engine with the image that every sandbox is made from, built at the first need."""
    from pytest_ale import engine, images
    from pytest_ale.sandbox import Fault, SandboxSpec

    try:
        images.ensure(engine.connect(), SandboxSpec(), None, print)
    except Fault as fault:
        require("docker", str(fault))


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], None]:
    """Skip with a reason where an engine is missing, unless ALE_REQUIRE says it must be there."""

    def missing(engine: str, reason: str) -> None:
        if engine in os.environ.get("ALE_REQUIRE", "").split(","):
            pytest.fail(f"ALE_REQUIRE={engine}, but {reason}", pytrace=False)
        pytest.skip(f"{engine}: {reason}")

    return missing
