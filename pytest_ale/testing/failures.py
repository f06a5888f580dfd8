"""What fails an agent, or is its own failure, and what becomes of each: never the other's.

Knows no agent: how long its program goes on trying stands in its `Subject`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pytest_ale.rehearsal import Said
from pytest_ale.testing import Cut, Refuse, Say, ScriptedModel, Turn
from pytest_ale.testing.examined import add_task, examine
from pytest_ale.testing.subject import COPY, WAYS, Subject
from pytest_ale.trajectory import check

__all__ = ["tells_failures"]

EITHER = """\
def build(inputs):
    (inputs / "word.txt").write_text("word")


def evaluate(output):
    return float((output / "word.txt").is_file())
"""
PATIENCE = 90  # seconds that any other has to end by itself: 30 where nothing else is at work
AT_ONCE = 4  # most of them wait; with more, they wait for each other to start


def tells_failures(subject: Subject, folder: Path, *, provider: str = "local") -> None:
    """All at once, for most of it is waiting: none is a score, but where it killed itself."""
    ways = subject.ways
    with ThreadPoolExecutor(2) as pool:
        down = pool.submit(_down, subject, folder / "down", provider) if "down" in ways else None
        records = _failing(subject, folder, [way for way in ways if way != "down"], provider)
        if down:
            records |= down.result()
    wrong = [line for way in ways for line in _wrong(subject, way, records.get(way, {}))]
    assert not wrong, "\n".join(wrong)


def _wrong(subject: Subject, way: str, record: Mapping[str, object]) -> Iterator[str]:
    outcome, message = WAYS[way]
    told = f"{way}: {record.get('outcome')}, {record.get('score')}: {record.get('message')}"
    told += f" after {record.get('seconds')} s"
    if record.get("outcome") != outcome or message not in str(record.get("message")):
        yield f"{told}; to be {outcome}: {message}"
    if record.get("score") != (1.0 if outcome == "crashed" else None):
        yield f"{told}: a wrong score"
    over = float(str(record.get("seconds") or 0)) >= _limit(subject, way)
    if over and way not in subject.patient:
        yield f"{told}: it did not end by itself"
    if not over and way in subject.patient:
        yield f"{told}: it ended by itself; {subject.patient[way]}"
    if not record.get("message"):
        yield f"{told}: nothing says why"


def _scripts(subject: Subject) -> Mapping[str, Said]:
    how = subject.how
    never = Say("Never. " * 20)
    copied = [*how.first, *how.runs(f"{COPY}; echo copied")]  # aider goes on by what it is shown
    return {
        "refused": [*how.first, Refuse(401, "no such key", times=None), never],
        "unknown": [*how.first, Refuse(404, "no such model", times=None), never],
        "broken": [*how.first, Refuse(500, "it broke", times=None), never],
        # Some go on from what they had before it broke off: that is cut, too.
        "cut": [*copied, *[Turn(Cut(after_events=2, times=None), never)] * 30],
        "later": [*copied, Refuse(404, "404: no such model", times=None), never],
        "killed": [*how.first, *how.runs(f"{COPY}; {subject.kill}"), *how.ends()],
    }


def _failing(
    subject: Subject, folder: Path, ways: Sequence[str], provider: str
) -> dict[str, Mapping[str, object]]:
    """A task for each way, all on one server, which knows them by their prompts."""
    for way in ways:
        _task(subject, folder, way)
    told = {_mark(way): script for way, script in _scripts(subject).items() if way in ways}
    with ScriptedModel([Say("Which way?")], others=told) as model:
        return _records(subject, folder, model.url, provider)


def _down(subject: Subject, folder: Path, provider: str) -> dict[str, Mapping[str, object]]:
    folder.mkdir()
    _task(subject, folder, "down")
    with _nobody() as url:
        return _records(subject, folder, url, provider)


@contextmanager
def _nobody() -> Iterator[str]:
    """A port of this machine's that nobody listens at, nor can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _mark(way: str) -> str:
    return f"This is the way: {way}."


def _task(subject: Subject, folder: Path, way: str) -> None:
    prompt = "Copy {inputs}/word.txt to {output}/word.txt. " + _mark(way) + "\n"
    add_task(folder, way, main=EITHER, prompt=prompt, timeout_s=_limit(subject, way))


def _limit(subject: Subject, way: str) -> int:
    return subject.seconds if way in subject.patient else max(PATIENCE, subject.seconds)


def _records(
    subject: Subject, folder: Path, url: str, provider: str
) -> dict[str, Mapping[str, object]]:
    words = [f"--ale-base-url={url}", f"--ale-provider={provider}", f"--ale-concurrency={AT_ONCE}"]
    words += ["--ale-max-faults=99", *(f"--ale-knob={knob}" for knob in subject.quick)]
    words += subject.words
    done = examine(folder, f"{subject.agent}:scripted", *words)
    assert done.records, done.said
    for record in done.records:
        assert check(done.folder(record) / "trajectory.json") == [], record["message"]
    return {str(record["task"]).rpartition("/")[2]: record for record in done.records}
