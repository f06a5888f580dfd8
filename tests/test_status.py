"""`ale status`: what it says of runs that are at work, over, interrupted, odd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ale.cli import main
from pytest_ale.hold import at_work

from .conftest import Project
from .screens import Seen
from .test_look import DEAD, ME, Records, place

Capture = pytest.CaptureFixture[str]

RUN = "20260101-000000-abcdef"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    """The directory of a run that has begun, below where the user stands."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ALE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / ".ale" / RUN
    folder.mkdir(parents=True)
    about = {"started": "2026-01-01T00:00:00+00:00"}
    settings = {"agent": ["codex"], "provider": "docker"}
    (folder / "run.json").write_text(json.dumps(about | {"settings": settings}))
    return Records(folder)


def begun(run: Records, owner: object = ME) -> None:
    argv = ["tasks", "-k", "a or b", "--ale-resume=last", "-n2"]
    now = time.time()
    run.live(session="begins", time=now, items=3, done=0, slots=2, owner=owner, argv=argv)
    run.result(place("a"), 1.0)
    run.phase(place("b"), "build", now - 300, owner)
    run.phase(place("b"), "run", now - 290, owner)
    run.now(place("b"), '{"tokens": 12000, "usd": 0.5, "action": "ls \\u001b[2J"}')


def said(capsys: Capture, *words: str) -> list[str]:
    assert main(["status", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_of_one_that_is_at_work(run: Records, capsys: Capture) -> None:
    begun(run)
    lines = said(capsys)
    assert lines[0] == f"run {RUN}: at work, process {os.getpid()}"
    assert lines[1] == "agent codex on docker, begun 2026-01-01 00:00:00 UTC"
    assert lines[2].startswith("ale: 1 of 3 done · 1 at work · ")
    assert " ".join(lines[3].split()) == "5 min run 5 min b[base-sim] 12.0k $0.50 ls �[2J"
    assert len(lines) == 4
    assert lines[:2] == said(capsys, RUN)[:2] == said(capsys, f".ale/{RUN}")[:2]


def test_of_one_whose_processes_are_gone(run: Records, capsys: Capture) -> None:
    begun(run, DEAD)
    lines = said(capsys)
    assert lines[0] == f"run {RUN}: interrupted: nobody is at work on it any more"
    assert lines[2] == "ale: 1 of 3 done · 0 at work · mean 1.000 · 1 passed"
    assert lines[3:] == [f"what is missing: pytest tasks -k 'a or b' -n2 --ale-resume={RUN}"]


def test_a_worker_that_goes_on_is_at_work(run: Records, capsys: Capture) -> None:
    """Whoever holds the run: a resume would have to wait for it."""
    begun(run, DEAD)
    with at_work(run.path):
        assert said(capsys)[0] == f"run {RUN}: at work"
    assert "interrupted" in said(capsys)[0]


def test_of_one_that_is_over(run: Records, capsys: Capture) -> None:
    begun(run)
    run.result(place("b"), 0.5)
    run.phase(place("b"), "", time.time())
    run.result(place("c"), None, started="9", message="no disk")
    run.live(session="ends", time=time.time())
    lines = said(capsys)
    assert lines[0] == f"run {RUN}: over"
    assert lines[2].endswith("mean 0.750 · 1 passed · faults: 1 without a score")
    assert lines[3].endswith(f"--ale-resume={RUN}") and len(lines) == 4
    run.result(place("c", 2), 0.0)
    assert len(said(capsys)) == 3


def test_for_machines(run: Records, capsys: Capture) -> None:
    begun(run)
    (line,) = said(capsys, "--json")
    told = json.loads(line)
    assert (told["state"], told["planned"], told["done"], told["at_work"]) == ("at work", 3, 1, 1)
    assert told["running"][0]["path"] == place("b")
    assert told["running"][0]["now"]["tokens"] == 12000
    assert (told["waiting"], told["left"]) == (1, None)


@pytest.mark.parametrize("live", [None, "", "{}\n", '{"session": "begins"}\n{"sess', "\0\xff\n"])
@pytest.mark.parametrize("about", ["{}", "", "[]", '{"settings": 1, "ended": "x"}'])
def test_of_what_is_empty_odd_or_older(
    run: Records, capsys: Capture, live: str | None, about: str
) -> None:
    if live is not None:
        (run.path / "live.jsonl").write_text(live)
    (run.path / "run.json").write_text(about)
    run.result(place("a"), 1.0)
    lines = said(capsys)
    assert lines[0].startswith(f"run {RUN}: " + ("over" if "ended" in about else "interrupted"))
    assert "1 done · 0 at work · mean 1.000" in lines[2]


def test_a_huge_run_is_read_in_a_moment(run: Records, capsys: Capture) -> None:
    line = json.dumps({"path": "", "outcome": "scored", "score": 1, "messages": ["x" * 2000]})
    with (run.path / "results.jsonl").open("w") as file:
        for number in range(20_000):
            file.write(line.replace('"path": ""', f'"path": "{number}", "task": {number}') + "\n")
    began = time.process_time()
    assert "20,000 done" in said(capsys)[2]
    assert time.process_time() - began < 5  # 0.3 s were measured


@pytest.mark.parametrize("words", [[], ["last"], ["other"], ["--dir=nowhere"]])
def test_no_such_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["status", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ale: ") and error.count("\n") == 1
    assert ("'other' is no run; the latest" if "other" in words else "there is no run") in error


# A run of pytest's, seen from another process.


@pytest.fixture
def exam(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """Two tasks, whose agents work for long; two processes are at work on them."""
    for number in range(2):
        folder = project.task(f"task{number}")
        (folder / "inputs").mkdir()
        (folder / "inputs/sim.sh").write_text("cp inputs/word.txt output\n")
    (project.path / "sim.yaml").write_text("scale: 30\n")
    command = [sys.executable, "-m", "pytest", "tasks", "-n2", *SIM]
    with subprocess.Popen(
        [*command, "--ale-knob=seconds=0-9000"],
        cwd=project.path,
        env=os.environ | {"ALE_SIM": "sim.yaml"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield process
        with_all(process, signal.SIGKILL)


SIM = ("--ale-provider=sim", "--ale-agent=sim", "-p", "no:cacheprovider")


def with_all(process: subprocess.Popen[bytes], signal: int) -> None:
    """Of its session: workers, too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal)


def test_a_run_from_its_start_over_its_end_to_its_resume(
    project: Project,
    exam: subprocess.Popen[bytes],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(project.path)
    ale = [sys.executable, "-c", "from pytest_ale.cli import main; raise SystemExit(main())"]
    deadline = time.monotonic() + 30
    while not project.runs:
        assert time.monotonic() < deadline and exam.poll() is None
        time.sleep(0.05)
    with Seen([*ale, "status", "--watch"], project.path, 80, 24) as watching:
        lines = watching.wait_for(lambda lines: "\n".join(lines).count("  sleep ") == 2)
        assert f"at work, process {exam.pid}" in "\n".join(lines)
        assert any(line.startswith("ale: 0 of 2 done · 2 at work") for line in lines)
        with_all(exam, signal.SIGKILL)
        exam.wait()
        assert watching.end() == 0
        assert watching.lines[0].endswith(": interrupted: nobody is at work on it any more")
        assert watching.lines[2] == "ale: 0 of 2 done · 0 at work"
        assert watching.lines[3].startswith("what is missing: ")
    (run,) = project.runs
    again = f"pytest tasks -n2 {' '.join(SIM)} --ale-knob=seconds=0-9000 --ale-resume={run.name}"
    assert said(capsys)[3] == f"what is missing: {again}"
    words = ["-n0", *SIM, "--ale-knob=seconds=0-1", f"--ale-resume={run.name}"]
    assert project.run("tasks", *words, env={"ALE_SIM": "sim.yaml"}).ret == 0
    capsys.readouterr()  # pytester's own
    lines = said(capsys)
    assert lines[0] == f"run {run.name}: over"
    assert lines[2] == "ale: 2 of 2 done · 0 at work · mean 1.000 · 2 passed"
