"""Journal: the folder of one attempt, and its record as it grows.

Knows neither sandboxes nor the grader.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.gateway import Tally
from pytest_ale.gateway.scrub import Scrub
from pytest_ale.grade import Grade
from pytest_ale.harness import Ending
from pytest_ale.kept import Kept
from pytest_ale.leases import Pool, append_line
from pytest_ale.now import Asked, Doing, enters, scribe
from pytest_ale.plan import Plan
from pytest_ale.record import Record, RunDir, write_atomically, write_text
from pytest_ale.recorder import Recorder
from pytest_ale.sandbox import RecordFault
from pytest_ale.secrets import scrub
from pytest_ale.spending import metrics, spending
from pytest_ale.text import clean
from pytest_ale.trajectory import FinalMetrics, dump
from pytest_ale.trees import ALL, files, make_folders, seal, summed

if TYPE_CHECKING:
    from pytest_ale.program import Closing

__all__ = ["Journal", "sums"]

# Phases after which events are written: before what may take long, and where a story may end. One
# by one they took a twentieth of the processor's time of an attempt.
WRITTEN = frozenset({"stage", "run", "release"})

SAVE_SECONDS = 10.0  # that a record may take to be written when its attempt is given up


class Journal:
    """Writes down one attempt: events, trajectory, output, record."""

    def __init__(self, plan: Plan, pool: Pool, run_dir: RunDir) -> None:
        number = run_dir.next_attempt(plan.place)
        path = f"{plan.place}/attempt-{number}"
        self._plan = plan
        self._run_dir = run_dir
        self.folder = run_dir.path / path
        self.record: Record = plan.blank(pool, number, path)
        self.recorder = Recorder(plan.agent.harness, self.record.agent_version, plan.agent.model)
        self.told = ""
        self.kept = Kept(self.folder / "written")
        self._metrics: FinalMetrics | None = None
        self._live = Live()
        self._asked: Asked | None = None
        self._leasing = time.time()
        self._saving = threading.Lock()  # of what settles it, and of what gives it up
        self._is_over = self._is_settled = False
        self._about: dict[str, object] = {}
        self._events: list[dict[str, object]] = []  # that are to be written
        self._scrub = scrub(*plan.harness.keys)

    @property
    def run(self) -> str:
        return self._run_dir.path.name

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def logs(self) -> Path:
        return self.folder / "agent"

    def open(self) -> None:
        try:
            make_folders(self._run_dir.path, f"{self.record.path}/{self.logs.name}")
        except OSError as error:
            raise RecordFault(f"{self.logs} cannot be made: {error.strerror}") from error

    def begin(self, phase: str) -> None:
        """Note that a phase begins, for those who look on."""
        enters(self._run_dir.path, self.record.path, phase)
        if phase == "build":
            scribe().follow(self)

    def _ended(self, phase: str, fault: str) -> None:
        """Likewise that one is over, after which an attempt may wait for its turn, or is gone."""
        if phase == "release":
            enters(self._run_dir.path, self.record.path, "")
            scribe().forget(self)
        elif phase in ("stage", "stop") and not fault:
            enters(self._run_dir.path, self.record.path, "waits")

    def doing(self) -> Doing:
        """What its agent is at."""
        return Doing(self.recorder.latest, self._asked.lately() if self._asked else None)

    def asked(self, tally: Callable[[], Tally]) -> Asked:
        """The same, which lets those who look on know what was used."""
        self._asked = Asked(tally)
        return self._asked

    def hidden(self, text: str) -> str:
        return self._scrub.text(text)

    def event(self, phase: str, seconds: float, fault: str) -> None:
        """Note that a phase is over."""
        self._ended(phase, fault)
        if phase == "build":
            self._leasing = time.time()
        line: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "phase": phase}
        self._events.append(
            line | {"seconds": seconds} | ({"fault": clean(fault, 2000)} if fault else {})
        )
        if not (fault or phase in WRITTEN):
            return
        events, self._events = self._events, []
        try:
            append_line(self.folder / "events.jsonl", *events, careful=False)
        except OSError:  # the record that follows fails for the same reason, and says so
            return

    @property
    def screenshots(self) -> Path:
        return self.folder / "screenshots"

    def hide(self, more: Mapping[str, str]) -> Scrub:
        """Keep these, too, out of what is written down; returns what takes all out."""
        self._scrub = self._scrub.also(more)
        return self._scrub

    def leased(self, lease: str, about: Mapping[str, object]) -> None:
        self.record = replace(self.record, lease=lease)
        self.sandbox(about)

    def queued(self, seconds: float) -> None:
        """Note how long it waited for a sandbox that could be asked for."""
        self.record = replace(self.record, queued=round(seconds, 3))

    def sandbox(self, about: Mapping[str, object]) -> None:
        """Note what the sandbox is made of: a file of its own, for an image has 500 packages."""
        if (told := dict(about)) == self._about:
            return
        self._about, path = told, self.folder / "sandbox.json"
        try:
            write_atomically(path, told)
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error

    def prompt(self, text: str, home: str) -> None:
        """Note what the agent is told, in which home and with which knobs: a replay needs both."""
        self.told = text
        knobs = dict(self._plan.agent.knobs)
        self.recorder.user(text, extra={"home": home} | ({"knobs": knobs} if knobs else {}))

    def seal(self, refused: list[str]) -> None:
        """Make the output read-only, and note what is in it and what was not taken out."""
        found = sums(self.output)
        seal(self.output)
        shown = tuple(clean(line, 500) for line in refused[:100])
        self.record = replace(self.record, output=found, refused=shown)

    def account(self, tally: Tally | None, closing: Closing | None) -> None:
        """Note what was used: as the gateway saw it, or else as the program says."""
        if self._asked:
            self._asked.close(tally)
        spent = spending(tally, closing)
        self._metrics = metrics(spent)
        if tally and tally.models and not self._plan.agent.model:
            self.recorder.name_model(max(tally.models, key=lambda name: tally.models[name].tokens))
        self.record = replace(
            self.record,
            cost_usd=spent.usd,
            cost_source=spent.source,
            tokens_in=spent.usage.prompt if spent.usage else None,
            tokens_out=spent.usage.output if spent.usage else None,
            tokens_cached=spent.usage.cached if spent.usage else None,
            requests=tally.usage.requests if tally else None,
            waited=round(tally.waited, 3) if tally else 0.0,
            first_request=self._after_lease(tally.first_request if tally else None),
            models=sorted(tally.models) if tally else [],
        )

    def _after_lease(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self._leasing, 3)

    def settle(self, ending: Ending, grade: Grade, seconds: Mapping[str, float]) -> None:
        """Record an attempt that has a score, unless it was given up meanwhile."""
        with self._saving:
            if self._is_over:
                return
            self.record = replace(
                self.record,
                outcome="scored" if ending.outcome == "done" else ending.outcome,
                score=grade.score,
                passed=grade.score >= self._plan.limits.pass_at,
                checks=grade.checks,
                messages=grade.messages,
                message=clean(ending.message, 2000),
            )
            self._save(grade, seconds)
            self._is_over = self._is_settled = True

    def give_up(self, error: BaseException, phase: str, seconds: Mapping[str, float]) -> bool:
        """Record an attempt that has no score; the first error stays the one that is told. False
        for one that has a score all the same: its record was being written, by a thread that
        nobody waits for any more, and is not to be written over."""
        if not self._saving.acquire(timeout=SAVE_SECONDS):
            return True  # a disk that hangs: nothing else could be written, either
        try:
            if not self._is_settled:
                self._is_over = True
                self._give_up(error, phase, seconds)
            return not self._is_settled
        finally:
            self._saving.release()

    def _give_up(self, error: BaseException, phase: str, seconds: Mapping[str, float]) -> None:
        self.record = replace(
            self.record,
            outcome="fault" if isinstance(error, Exception) else "cancelled",
            score=None,
            passed=None,
            message=clean(str(error) or type(error).__name__, 5000),
            phase=getattr(error, "phase", "") or phase,
        )
        try:
            self._save(None, seconds)
        except RecordFault as second:
            error.add_note(f"and then: {second}")

    def _save(self, grade: Grade | None, seconds: Mapping[str, float]) -> None:
        self.record = replace(
            self.record,
            seconds=(whole := seconds.get("run", 0.0)),
            working=round(max(whole - self.record.waited, 0.0), 3),
            phases=dict(seconds),
            kept=self._plan.keeps(self.record) and self.record.phase not in ("build", "lease"),
        )
        if self.told:
            self._save_trajectory()
        self._run_dir.save(self.record, grade, listed=not self._plan.within)

    def live(self) -> None:
        """Write the trajectory as far as it goes, now and then: what follows may never come."""
        if self.told and self._live.due(self.recorder.changes):
            with self._live:
                self._save_trajectory()

    def _save_trajectory(self) -> None:
        path = self.folder / "trajectory.json"
        try:
            write_text(path, self._scrub.text(dump(self.recorder.finish(self._metrics))))
        except OSError as error:
            raise RecordFault(f"{path} cannot be written: {error.strerror}") from error


class Live:
    """When to write a growing document again: about once in two seconds, and in no more than a
    twentieth of the time, however long writing it takes."""

    def __init__(self) -> None:
        self._next = self._began = 0.0
        self._written = 0
        self._wanted = 0

    def due(self, changes: int) -> bool:
        self._wanted = changes
        return changes != self._written and time.monotonic() >= self._next

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        now = time.monotonic()
        self._written, self._next = self._wanted, now + max(2.0, 20 * (now - self._began))


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by its path below the folder."""
    found = files(folder, ALL)
    return {clean(path.relative_to(folder), 500): summed(path).hexdigest() for path in found}
