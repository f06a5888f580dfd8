"""The two commands of a newcomer, as far as they can be tried without a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("bash", "cat", "chmod", "cksum", "dirname", "env", "mkdir", "sh")

# A Python that answers the questions the script asks, makes a venv, and notes each call.
PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  *version_info*) exit {old};;
  *ensurepip*) exit {bare};;
  "-m venv "*) mkdir -p "$3/bin"; cat "$0" > "$3/bin/python"; cat "$0" > "$3/bin/pytest"
               chmod 755 "$3/bin/python" "$3/bin/pytest";;
  *"pip install"*) exit {broken};;
  "tasks "*) exit 3;;
esac
"""


class Clone:
    """A fresh clone on a machine with little more than a Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "bin").mkdir()
        for tool in TOOLS:
            (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))

    def python(self, *, old: int = 0, bare: int = 0, broken: int = 0) -> None:
        path = self.folder / "bin/python3"
        path.write_text(PYTHON.format(old=old, bare=bare, broken=broken))
        path.chmod(0o755)

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        given = {"PATH": str(self.folder / "bin"), "CALLS": str(self.folder / "calls"), **env}
        command = [str(self.folder / "scripts" / words[0]), *words[1:]]
        return subprocess.run(command, env=given, capture_output=True, text=True)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_the_demo_installs_once_and_runs_the_tasks(clone: Clone) -> None:
    clone.python()
    first = clone.run("demo", "-k", "near")
    assert first.stdout.startswith("installing into .venv ...\n")
    assert "The records of this run are in the folder named above" in first.stdout
    assert first.returncode == 3  # pytest's own
    assert [call for call in clone.calls if " pip install " in call] == [
        "-m pip install --quiet --disable-pip-version-check -e .[docker,gateway,xdist]"
    ]
    assert clone.calls[-1] == "tasks -k near"
    (clone.folder / "calls").unlink()
    second = clone.run("demo")
    assert "installing" not in second.stdout
    assert clone.calls == ["tasks"]


def test_what_is_missing_is_said_in_one_line(clone: Clone) -> None:
    install = "install python3.11 or newer, or set ALE_PYTHON\n"
    assert clone.run("demo").stderr == f"demo: no Python of at least 3.11 found: {install}"
    clone.python(old=1)
    named = clone.run("test", ALE_PYTHON="python3")
    assert named.stderr == f"test: no Python of at least 3.11 found as python3: {install}"
    clone.python(bare=1)
    bare = clone.run("demo")
    assert bare.stderr.startswith("demo: python3 has no venv: install it (Debian, Ubuntu: apt-get ")
    assert bare.returncode == named.returncode == 1


def test_an_installation_that_failed_is_tried_again(clone: Clone) -> None:
    clone.python(broken=1)
    failed = clone.run("demo")
    assert (failed.returncode, failed.stderr) == (1, "demo: installing failed: see above\n")
    shutil.rmtree(clone.folder / ".venv")
    clone.python()
    assert "installing into .venv" in clone.run("demo").stdout
    with (clone.folder / "pyproject.toml").open("a") as file:
        file.write("# another dependency\n")
    assert "installing into .venv" in clone.run("demo").stdout
