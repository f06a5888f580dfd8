"""Kits from PyPI: fetched by the real pip, with a copy of this host's Python, and run elsewhere."""

from __future__ import annotations

import json
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_ale.harnesses.aider import Aider

from pytest_ale import kits, pypi, pythons
from pytest_ale.pypi import Package
from pytest_ale.sandbox import HarnessFault

START = (
    "import os, sys, six\nprint(six.__version__, os.environ.get('LD_LIBRARY_PATH'), sys.argv[1:])\n"
)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of kits with nothing in it but the Python, and a process that failed at nothing."""
    python = pythons.copied("3.12")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pypi, "_failed", {})
    kits.cache().mkdir(parents=True)
    (kits.cache() / python.name).symlink_to(python)
    return kits.cache()


@pytest.fixture
def small(tmp_path: Path) -> Package:
    """12 kB, and nothing else is needed for it."""
    (tmp_path / "start.py").write_text(START)
    (tmp_path / "six.lock").write_text("six==1.17.0\n")
    inside = (tmp_path / "start.py",)
    return Package("small", "six", "1.17.0", inside, tmp_path / "six.lock")


@pytest.mark.once
def test_a_kit_runs_with_its_own_python_and_says_what_is_in_it(empty: Path, small: Package) -> None:
    kit = small.kit_of()
    assert small.is_here("1.17.0") and not small.is_here("1.16.0")
    about = json.loads((kit / "kit.json").read_text())
    assert (about["package"], about["version"], about["resolved"]) == ("six", "1.17.0", "six.lock")
    ((name, version, digest),) = about["installed"]
    assert (name, version, len(digest)) == ("six", "1.17.0", 64)
    command = [*small.command(str(kit)), "a", "b"]
    assert command[2].startswith(f"{kit}/bin/python3.12")
    said = subprocess.run(command, capture_output=True, text=True, env={}, check=True).stdout
    assert said == f"1.17.0 {kit}/libs ['a', 'b']\n"
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in kit.rglob("*")}
    assert kinds == {stat.S_IFREG, stat.S_IFDIR}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in kit.rglob("*"))
    # Of the same files, another file of ours makes another kit, with nothing fetched anew.
    small.inside[0].write_text(START + "\n")
    other = small.kit_of()
    assert other != kit and (other / "bin/python3.12").samefile(kit / "bin/python3.12")
    assert len(list(empty.glob("small_packages-*"))) == 1


@pytest.mark.once
def test_a_version_that_there_is_not_is_told(empty: Path, small: Package) -> None:
    assert small.resolve("1.16.0") == "1.16.0"
    with pytest.raises(
        HarnessFault, match=r"small \(six on PyPI\) could not be fetched: .*0\.0\.1"
    ):
        small.resolve("0.0.1")
    with pytest.raises(HarnessFault, match="small newest: not a version; one is written like"):
        small.kit_of("newest")


def test_a_python_that_is_not_here_is_asked_for(empty: Path, small: Package) -> None:
    with pytest.raises(HarnessFault, match=r"needs a Python 3\.99 of this host, to copy it once"):
        replace(small, python="3.99").kit_of()


def test_a_python_is_not_copied_for_another_machine(empty: Path, small: Package) -> None:
    with pytest.raises(HarnessFault, match="cannot be copied from this host"):
        small.kit_of(machine="aarch64")


def test_a_program_that_is_not_here_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HarnessFault, match="a kit needs nosuchprogram of this host"):
        pythons.programs(tmp_path, ["nosuchprogram"])


def test_a_lock_names_the_version_that_was_tried() -> None:
    lock = Aider.package.lock.read_text().splitlines()
    assert "aider-chat==0.86.2" in lock and len(lock) > 50
    assert all(line.count("==") == 1 for line in lock)
