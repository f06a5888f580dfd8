"""`ale agents --check`: real programs, in docker, against a scripted model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pytest_ale.cli import main
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.testing import Say
from pytest_ale.verbs.check import _wrong


@pytest.mark.once
def test_one_that_is_here_is_seen_to_work(
    docker_engine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agents", "--check", "gemini_cli", "mini_swe_agent"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["agent", "version", "kit", "start", "MCP", "URL"]
    assert first.split()[0] == "gemini_cli" and first.endswith("told        ok")
    assert first.split()[6:9] == ["yes", "yes", "300+30"]
    assert second.split()[6:9] == ["-", "yes", "200+20"]  # no desktop: it takes no MCP


@pytest.mark.once
def test_one_that_does_not_do_it_is_told_with_why(
    docker_engine: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """And with where to look: the folder of its run is kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    nothing = Rehearsal(first=[Say("Done.")])  # so that the first it hears is that all is done
    monkeypatch.setattr("pytest_ale.harnesses.gemini_cli.GeminiCli.rehearsal", nothing)
    assert main(["agents", "--check", "gemini_cli"]) == 1
    said, _, kept = capsys.readouterr().out.strip().rpartition("; see ")
    assert "No such file or directory" in said
    assert Path(kept).parent == tmp_path and [*Path(kept).glob(".ale/*/results.jsonl")]


@pytest.mark.parametrize(
    ("log", "sees", "why"),
    [
        ("unread.log", True, "its reader raised: agent/unread.log"),
        ("stdout.log", False, "the screen was not seen"),
        ("stdout.log", True, ""),
    ],
)
def test_a_score_is_not_all(tmp_path: Path, log: str, sees: bool, why: str) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / log).touch()
    assert _wrong({"score": 1.0}, tmp_path, sees) == why


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt", "agent gpt is not known; known: acp, aider, "),
        ("nop", "agent nop asks no model: there is nothing to check"),
        ("command", "agent command needs --ale-knob argv=..."),
    ],
)
def test_what_cannot_be_checked_is_said(
    capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert main(["agents", "--check", name]) == 2
    assert said in capsys.readouterr().err
