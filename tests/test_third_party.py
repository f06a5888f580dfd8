"""The wheel of ours, and a package of somebody else's, installed far from this repository."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from .conftest import CARD, MAIN, PROMPT

ROOT = Path(__file__).parent.parent
OURS = ("pytest_ale", "__editable__", "_distutils_hack", "distutils-precedence")

ACME = {
    "pyproject.toml": """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"

    [project]
    name = "acme-ale"
    version = "1.2"
    dependencies = ["pytest-ale"]

    [project.entry-points.pytest11]
    acme = "acme.plugin"

    [tool.setuptools]
    packages = ["acme", "acme.tasks"]

    [tool.setuptools.package-data]
    "acme.tasks" = ["*/*/*"]
    """,
    "acme/__init__.py": "",
    "acme/plugin.py": """
    def pytest_ale_providers(register):
        register("acme", "acme.provider:AcmeProvider")

    def pytest_ale_harnesses(register):
        register("acme", "acme.harness:Acme")
    """,
    "acme/provider.py": """
    from pytest_ale.providers.local import LocalProvider

    class AcmeProvider(LocalProvider):
        name = "acme"

        @classmethod
        def from_settings(cls, settings):
            return cls(unsafe=settings.unsafe_local)

        def preflight(self):
            return ["machines by Acme"]

        def create(self, lease, spec):
            sandbox = super().create(lease, spec)
            sandbox.write(sandbox.home + "/maker", "Acme")
            return sandbox
    """,
    "acme/harness.py": """
    from pytest_ale.harness import Ending, Harness, Knob

    class Acme(Harness):
        name = "acme"
        about = "the agent of Acme"
        trusted = True
        knobs = {"speed": Knob("how fast it is", default="high")}

        def run(self, work):
            assert work.agent.knobs == {"speed": "high"}
            done = work.sandbox.exec("cp inputs/word.txt output; cat ~/maker", env=work.env)
            return Ending() if done.stdout == "Acme" else Ending("refused", "not my machine")
    """,
    "acme/tasks/__init__.py": "",
    "acme/tasks/legal/copy/card.yaml": json.dumps(CARD),
    "acme/tasks/legal/copy/prompt.md": PROMPT,
    "acme/tasks/legal/copy/score.py": "def right(one, other): return one == other",
    "acme/tasks/legal/copy/main.py": MAIN.replace(
        "def evaluate(output, reference, check):",
        "def evaluate(output, reference, check, verifier):\n"
        "    from score import right\n"
        '    assert right(verifier.exec("cat ~/maker").stdout, "Acme")',
    ),
}


@dataclass(frozen=True)
class Place:
    """An environment of its own, and an empty folder to stand in."""

    folder: Path
    bin: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.bin}:/usr/bin:/bin:/usr/sbin", "HOME": str(self.folder)}
        env |= {name: os.environ[name] for name in ("ALE_LOCAL_MODE",) if name in os.environ}
        command = [str(self.bin / words[0]), *words[1:]]
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheels(
    tmp_path_factory: pytest.TempPathFactory, require: Callable[[str, str], None]
) -> dict[str, Path]:
    """Both wheels, built without a network from copies of the sources."""
    version = importlib.metadata.version("setuptools") if find_spec("setuptools") else "0"
    if int(version.partition(".")[0]) < 77:
        require("wheel", f"setuptools is {version}; `scripts/test` installs 77 or newer")
    folder = tmp_path_factory.mktemp("sources")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("pytest_ale", "harnesses"):
        shutil.copytree(ROOT / name, folder / "ours" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "ours")
    for name, text in ACME.items():
        (folder / "acme" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "acme" / name).write_text(
            dedent(text) if name.endswith(".toml") else dedented(text)
        )
    return {name: built(folder / name) for name in ("ours", "acme")}


def dedented(text: str) -> str:
    return dedent(text).lstrip("\n")


def built(source: Path) -> Path:
    """The wheel of a source tree, by its own build backend."""
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty environment in which only what we depend on is installed, by links."""
    venv.create(tmp_path / "env", symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")}))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(OURS):
            (packages / path.name).symlink_to(path)
    script = tmp_path / "env/bin/pytest"
    script.write_text('#!/bin/sh\nexec "${0%/*}/python" -m pytest "$@"\n')
    script.chmod(0o755)
    (tmp_path / "far").mkdir()
    return Place(tmp_path / "far", tmp_path / "env/bin")


def install(place: Place, *wheels: Path) -> None:
    words = ["install", "--quiet", "--no-deps", "--no-index", *map(str, wheels)]
    python = str(place.bin / "python")
    if find_spec("pip"):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    else:  # an environment made by uv has none
        command = ["uv", "pip"]
        words += ["--python", python, "--offline"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_wheel_alone_is_enough(place: Place, wheels: dict[str, Path]) -> None:
    install(place, wheels["ours"])
    where = place.run("python", "-c", "import pytest_ale; print(pytest_ale.__file__)").stdout
    assert where.startswith(str(place.bin.parent))
    agents = place.run("ale", "agents").stdout
    names = [line.split()[0] for line in agents.splitlines() if not line.startswith(" ")]
    assert {"claude_code", "claw", "nop", "oracle", "replay", "script", "sim"} < {*names}
    assert "\nlocal: mode " in place.run("ale", "doctor").stdout
    assert place.run("ale", "new", "legal/mine").returncode == 0
    (place.folder / "agent.sh").write_text("cp inputs/orders.csv output/total.csv\n")
    agents_of = ["--ale-agent=oracle", "--ale-agent=script", "--ale-knob=path=agent.sh"]
    run = place.run("pytest", "tasks", *agents_of, "-p", "no:cacheprovider")
    assert "2 failed, 2 passed" in run.stdout, run.stdout + run.stderr
    regraded = place.run("ale", "regrade", str(next(place.folder.glob(".ale/*/"))))
    assert (regraded.returncode, regraded.stdout.count(" -> ")) == (0, 4)
    assert place.run("pytest").returncode == 0  # tasks are found as tests are, with no testpaths


def test_a_package_brings_provider_harness_and_tasks(place: Place, wheels: dict[str, Path]) -> None:
    install(place, *wheels.values())
    words = ["pytest", "--pyargs", "acme.tasks", "-p", "no:cacheprovider"]
    for workers in ("-n0", "-n2"):
        run = place.run(*words, "--ale-agent=acme", "--ale-provider=acme", workers)
        assert "1 passed" in run.stdout and run.returncode == 0, run.stdout + run.stderr
    folder = max(place.folder.glob(".ale/*/"))
    (line,) = (folder / "results.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["agent"], record["provider"], record["score"]) == ("acme", "acme", 1.0)
    assert record["knobs"] == {"speed": "high"}
    regraded = place.run("ale", "regrade", str(folder))
    assert "legal/copy[base-acme] trial 1: 1.000 -> 1.000  " in regraded.stdout, regraded.stdout
    assert "acme: machines by Acme\n" in place.run("ale", "doctor").stdout
    assert (
        "--ale-knob speed=...  how fast it is (default 'high')" in place.run("ale", "agents").stdout
    )
    unknown = place.run(*words, "--ale-provider=nobody")
    assert "unknown provider 'nobody'; known: acme, docker, local, sim\n" in unknown.stderr
    for path in place.bin.parent.glob("lib/*/site-packages/acme_ale*"):
        shutil.rmtree(path)  # what is installed no more: its sandboxes are nobody else's to make
    gone = place.run("ale", "regrade", str(folder))
    assert gone.returncode == 6
    assert "no grade: unknown provider 'acme'; known: docker, local, sim\n" in gone.stdout
