"""What must hold when a run that was killed has been gone on with: nothing left, lost or doubled.

Knows nothing of when and how anything was killed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pytest_ale.leases import Ledger
from pytest_ale.record import RunDir
from pytest_ale.registry import load_plugins, provider_named
from pytest_ale.settings import read_settings

if TYPE_CHECKING:
    from .chaos import Round, Session

GONE_SECONDS = 5.0  # for processes that are ended by the end of another


def check(round: Round, last: Session) -> None:
    said = last.said.read_text()
    assert last.process.returncode == 0, said
    assert "INTERNALERROR" not in said, said
    nothing_is_left(round)
    ledgers_are_closed(round)
    nothing_is_lost_or_doubled(round)
    for session in round.sessions:
        if session.ended and session.junit.exists():
            junit_agrees(round, session)
    assert reported(last).keys() <= last.unscored


def nothing_is_left(round: Round) -> None:
    """No sandbox, no scratch folder, no process."""
    assert sorted(path.name for path in (round.folder / "tmp").glob("ale-*")) == []
    assert sorted(path.name for path in round.folder.glob("sim.state/sandboxes*/*")) == []
    deadline = time.monotonic() + GONE_SECONDS
    while left := round.processes():
        assert time.monotonic() < deadline, f"processes {left} are left"
        time.sleep(0.05)


def ledgers_are_closed(round: Round) -> None:
    """Every lease was released, and its sandbox is gone whatever the ledger says."""
    load_plugins()
    for path in round.folder.glob(".ale/*/ledger.jsonl"):
        entries = Ledger(path).entries()
        assert {lease for lease, entry in entries.items() if entry.open} == set()
        if round.plan.provider == "docker":  # all others' sandboxes lie in the round's folder
            settings = read_settings(lambda _: None, {}, lambda _: None, path, path)
            there = provider_named("docker", settings).leases()  # type: ignore[attr-defined]
            assert not entries.keys() & set(there)


def has_ended_in_order(session: Session) -> None:
    """Whoever was asked to end has given back all sandboxes of its own, and told no lies."""
    said = session.said.read_text()
    assert "INTERNALERROR" not in said, said
    for path in session.round.folder.glob(".ale/*/ledger.jsonl"):
        for entry in Ledger(path).entries().values():
            assert not (entry.open and entry.owner.pid == session.process.pid), entry


def unscored(round: Round) -> set[str]:
    """The tasks that a session is to run."""
    records = map(json.loads, round.attempts().values())
    scored = {str(record["task"]) for record in records if record["score"] is not None}
    return {f"legal/task_{number}" for number in range(len(round.plan.naps))} - scored


def scored_and_not_reported(session: Session) -> set[str]:
    """Tasks of which pytest, told to end, had no more time to say what is recorded."""
    told = reported(session) if session.junit.exists() else {}
    return session.unscored - unscored(session.round) - told.keys()


def nothing_is_lost_or_doubled(round: Round) -> None:
    """Each attempt is recorded once, each task has one score, and no record was changed."""
    kept = round.attempts()
    for path, content in round.before.items():
        assert kept.get(path) == content, f"{path} was changed"
    for run in round.runs:
        results = (
            run / "results.jsonl"
        )  # not there if all was killed before the first attempt ended
        lines = results.read_text().splitlines() if results.exists() else []
        listed = {record["path"]: record for record in map(json.loads, lines)}
        assert len(listed) == len(lines), "an attempt is listed twice"
        written = {
            str(path.parent.relative_to(run)): kept[path] for path in kept if run in path.parents
        }
        assert listed == {path: json.loads(content) for path, content in written.items()}
        assert Counter(record.path for record in RunDir(run).records()) == Counter(list(listed))
    records = [json.loads(content) for content in kept.values()]
    scored = Counter(record["task"] for record in records if record["score"] is not None)
    assert set(scored.values()) == {1}, scored
    assert len(scored) == len(round.plan.naps)
    assert all(record["passed"] for record in records if record["score"] is not None)


def junit_agrees(round: Round, session: Session) -> None:
    """Each task is reported once, as its record says."""
    kept = {
        json.loads(content)["path"]: json.loads(content) for content in round.attempts().values()
    }
    for task, (outcome, told) in reported(session).items():
        number = told.get("ale.attempts")
        if outcome == "passed":
            (record,) = (r for r in kept.values() if r["task"] == task and r["score"] is not None)
            assert number == str(record["attempt"])
            assert float(told["ale.score"]) == record["score"]
        else:
            assert "ale.score" not in told, f"{task} has a score, and is reported as {outcome}"


def reported(session: Session) -> dict[str, tuple[str, dict[str, str]]]:
    """How a JUnit file says that each task ended, and its properties."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for case in ElementTree.parse(session.junit).iter("testcase"):
        told = {each.get("name", ""): each.get("value", "") for each in case.iter("property")}
        task = "/".join(case.get("classname", "").split(".")[1:3])
        assert task not in found, f"{task} is reported twice in {session.junit}"
        ill = [each.tag for each in case if each.tag in ("error", "failure", "skipped")]
        found[task] = (ill or ["passed"])[0], told
    return found
