"""The `ale` command: what it says, what it makes, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_ale.cli import main
from pytest_ale.plugin import HARNESSES
from pytest_ale.registry import PROVIDERS
from pytest_ale.taxonomy import CLUSTERS

from .conftest import Project

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder far from this repository, where the user stands."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ALE_")]:
        monkeypatch.delenv(name)
    return tmp_path


def ale(*words: str) -> int:
    return main(words)


# new


def test_a_new_task_of_every_cluster_passes_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(project.path)
    for cluster in CLUSTERS:
        assert ale("new", f"{cluster}/my_task") == 0
        assert f"pytest tasks/{cluster}/my_task --ale-controls" in capsys.readouterr().out
    result = project.run(
        "tasks", "--ale-variants=small", "--ale-agent=oracle", "--ale-agent=nop", "-n2"
    )
    result.assert_outcomes(passed=len(CLUSTERS), failed=len(CLUSTERS))
    scores = {(r["cluster"], r["agent"]): r["score"] for r in project.results}
    assert scores == {(c, a): s for c in CLUSTERS for a, s in (("oracle", 1.0), ("nop", 0.0))}


def test_a_new_task_is_sound(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path)
    assert ale("new", "legal/first", "--in", "exam") == 0
    result = project.run("exam", "--ale-controls", "-n2")
    result.assert_outcomes(passed=2)
    names = [check["name"] for check in project.results[0]["checks"]]  # type: ignore[attr-defined]
    assert sum(name.startswith("near miss: ") for name in names) >= 2
    assert sum(name.startswith("cheat: ") for name in names) >= 1


@pytest.mark.parametrize("name", ["on", "null", "yes", "true", "title", "x1"])
def test_a_new_task_may_be_called_what_yaml_takes_for_something_else(
    place: Path, name: str
) -> None:
    assert ale("new", f"other/{name}") == 0
    card = yaml.safe_load((place / f"tasks/other/{name}/card.yaml").read_text())
    assert card["title"] == name.capitalize()
    assert (card["cluster"], card["subfield"]) == ("other", "sports")


def test_two_new_tasks_have_canaries_of_their_own(place: Path) -> None:
    ale("new", "legal/a")
    ale("new", "legal/b")
    cards = [yaml.safe_load(path.read_text()) for path in place.rglob("card.yaml")]
    assert len({card["canary"] for card in cards}) == 2


REFUSED = {
    "legal": "task name '': a name is lower-case letters, digits and _",
    "legal/": "task name '': a name is lower-case letters, digits and _",
    "legal/A": "task name 'A': a name is",
    "legal/a-b": "task name 'a-b': a name is",
    "legal/a/b": "task name 'a/b': a name is",
    "legal/..": "task name '..': a name is",
    "legal/1st": "task name '1st': a name is",
    "legal/grün": "task name 'grün': a name is",
    "legal/build": "task name 'build': pytest passes over folders of this name",
    "law/x": f"unknown cluster 'law'; known: {', '.join(CLUSTERS)}",
    "/etc/x": "unknown cluster ''; known: ",
    "legal/there": "tasks/legal/there exists already",
    "legal/" + "x" * 300: "File name too long",
}


def test_a_name_that_cannot_be_is_refused_in_one_line(place: Path, capsys: Capture) -> None:
    (place / "tasks/legal/there").mkdir(parents=True)
    for name, said in REFUSED.items():
        assert ale("new", name) == 2
        out, err = capsys.readouterr()
        assert err.startswith("ale: ") and said in err and err.count("\n") == 1
        assert out == ""
    assert [path.name for path in (place / "tasks").rglob("*")] == ["legal", "there"]


def test_a_place_that_cannot_be_written_is_named(place: Path, capsys: Capture) -> None:
    (place / "tasks").write_text("a file, no folder")
    assert ale("new", "legal/x") == 2
    assert capsys.readouterr().err == "ale: tasks/legal/x: Not a directory\n"


# doctor, agents


def test_doctor_says_what_there_is(place: Path, capsys: Capture) -> None:
    assert ale("doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"python: {sys.version.split()[0]} ({sys.executable})"
    local = [line for line in lines if line.startswith("local: ")]
    assert re.fullmatch("local: mode (bwrap|unshare|none)", local[0])
    assert [line.split(": ")[1] for line in local[1:3]] == ["bwrap", "unshare"]
    assert any(line.startswith("docker: ") for line in lines)


def test_doctor_says_what_to_install_for_more(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(Path(sys.executable).with_name("ale")), "doctor"]
    done = subprocess.run(words, env={"PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0
    assert "local: bwrap: there is no bwrap on PATH\n" in done.stdout
    assert "local: for more, install bubblewrap (apt-get install bubblewrap)" in done.stdout


def test_a_provider_that_cannot_be_used_does_not_stop_the_doctor(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALE_LOCAL_MODE", "jail")
    assert ale("doctor") == 0
    said = "local: cannot be used: ALE_LOCAL_MODE=jail: it may be bwrap, unshare, none\n"
    assert said in capsys.readouterr().out


def test_the_doctor_says_whether_agents_can_be_packed(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ale("doctor") == 0
    assert "agents: npm packs them (" in capsys.readouterr().out
    monkeypatch.setenv("PATH", "/nowhere")
    assert ale("doctor") == 0
    assert "agents: npm, which packs them once, is not here (apt: npm)" in capsys.readouterr().out


def test_agents_are_listed_with_their_knobs(place: Path, capsys: Capture) -> None:
    assert ale("agents") == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert names == sorted([*HARNESSES, "sim"])
    assert f"{'script':12} runs a script in the sandbox: --ale-knob path=FILE" in lines
    assert f"{'':15}--ale-knob path=...  the script to run (required)" in lines


# What it refuses.

COMPLAINTS: dict[tuple[str, ...], str] = {
    ("shell", "legal/gone"): "'legal/gone' is neither a task's folder or id nor a lease",
    ("shell", "."): "'.' is neither a task's folder or id nor a lease",
    ("shell", "0123456789ab"): "no sandbox 0123456789ab in the ledgers below {place}/.ale: it is"
    " released, or --dir=DIR names another folder of runs",
    ("shell", "0123456789ab", "--dir=runs"): "no sandbox 0123456789ab in the ledgers below runs:",
    ("reap", "0123456789ab"): "no sandbox 0123456789ab in the ledgers below {place}/.ale:",
    ("regrade", "gone"): "{place}/gone is no run directory: it has no run.json",
}


@pytest.mark.parametrize("words", COMPLAINTS, ids=" ".join)
def test_what_is_not_there_is_said_in_one_line(
    place: Path, capsys: Capture, words: tuple[str, ...]
) -> None:
    assert ale(*words) == 2
    out, err = capsys.readouterr()
    assert err.startswith("ale: " + COMPLAINTS[words].format(place=place))
    assert (out, err.count("\n")) == ("", 1)


def test_nothing_to_reap_is_no_failure(place: Path, capsys: Capture) -> None:
    assert ale("reap") == 0
    assert capsys.readouterr().out == "nothing to reap\n"


def test_a_wrong_setting_is_named_with_its_source(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALE_TRIALS", "many")
    assert ale("doctor") == 2
    err = capsys.readouterr().err
    assert err == "ale: env ALE_TRIALS: 'many' is not a whole number of at least 1\n"


def test_the_folder_of_runs_may_be_named_by_the_environment(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALE_DIR", "mine")
    for verb in ("reap", "shell"):
        assert ale(verb, "0123456789ab") == 2
        assert f"in the ledgers below {place}/mine: " in capsys.readouterr().err


def test_a_command_is_asked_for(place: Path, capsys: Capture) -> None:
    for words in ((), ("fly",)):
        with pytest.raises(SystemExit, match="2"):
            ale(*words)
        assert "ale: error: " in capsys.readouterr().err


def test_the_command_knows_what_installed_plugins_bring(place: Path) -> None:
    PROVIDERS.clear()
    assert ale("reap") == 0
    assert "local" in PROVIDERS.names()
