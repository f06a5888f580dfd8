"""The story of one attempt: lease, stage, run, stop, collect, grade, record, release.

Knows nothing of pytest, xdist or any provider's name.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.grade import Grade
from pytest_ale.grading import Built, Grader
from pytest_ale.harness import Ending, Work
from pytest_ale.leases import Lease, Pool, append_line, new_lease_id
from pytest_ale.phase import Phases, as_fault
from pytest_ale.plan import Plan
from pytest_ale.record import Outcome, Record, RunDir
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, GraderFault, PhaseTimeout, Sandbox, SandboxLost
from pytest_ale.task import render
from pytest_ale.text import clean
from pytest_ale.trajectory import Recorder, dump
from pytest_ale.trees import files, remove, seal

__all__ = ["Attempt"]


@dataclass
class Attempt:
    """One try at an instance. `prepare`, then `perform`, and `release` whatever happened."""

    plan: Plan
    pool: Pool
    grader: Grader
    run_dir: RunDir
    record: Record = field(init=False)
    lease: Lease | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.number = self.run_dir.next_attempt(self.plan.place)
        path = f"{self.plan.place}/attempt-{self.number}"
        self.folder = self.run_dir.path / path
        self.workspace = Path(tempfile.mkdtemp(prefix="ale-built-"))
        self.phases = Phases(self._event)
        self.lease_id = self.prompt = ""
        self.verifiers: list[str] = []
        self.record = self.plan.blank(self.pool, self.number, path)
        version = self.record.agent_version
        self.recorder = Recorder(self.plan.agent.harness, version, self.plan.agent.model)

    # The story.

    def prepare(self) -> None:
        """Build the inputs, lease a sandbox and stage it; a fault is recorded and raised."""
        limit = self.plan.limits.phase
        try:
            self._make_folder()
            self.built: Built = self.phases.run("build", limit, self._build)
            self.lease = self.phases.run("lease", limit, self._lease)
            self.phases.run("stage", limit, self._stage)
        except BaseException as error:
            raise self._given_up(error) from error.__cause__

    def perform(self) -> Record:
        """Let the agent work, stop it, take out what it left, grade and record."""
        limit = self.plan.limits
        try:
            ending = self._run()
            self.phases.run("stop", limit.phase, self._sandbox.stop)
            self.phases.run("collect", limit.phase, self._collect)
            grade = self.phases.run("grade", limit.grade + limit.phase, self.grade)
            self._settle(ending, grade)
            return self.record
        except BaseException as error:
            raise self._given_up(error) from error.__cause__

    def release(self) -> None:
        """Give everything back; a fault here is the ledger's and changes no score."""
        self.phases.settle()
        remove(self.workspace)
        leases, self.verifiers = [*self.verifiers, self.lease_id], []
        kept = self._kept
        for lease in filter(None, leases):
            if kept and lease == self.lease_id:
                self.pool.keep(lease, self.record.path)
            else:
                self._release(lease)
        self.lease_id = ""

    # The steps.

    def _make_folder(self) -> None:
        try:
            (self.folder / "agent").mkdir(parents=True)
        except OSError as error:
            raise Fault(f"{self.folder} cannot be made: {error.strerror}") from error

    def _build(self) -> Built:
        built = self.grader.build(self.plan.instance, self.workspace)
        if self.plan.harness.oracle and not built.solvable:
            raise GraderFault(
                f"{self.plan.instance.task.id}: main.py has no solve(); the oracle agent needs it"
            )
        return built

    def _lease(self) -> Lease:
        labels = {"attempt": self.record.path, "run": self.run_dir.path.name}
        self.lease_id = new_lease_id()
        return self.pool.lease(self.plan.instance.spec((), labels), self.lease_id)

    def _stage(self) -> None:
        sandbox = self._sandbox
        sandbox.put(self.built.inputs, sandbox.inputs)
        self.prompt = self._prompt()
        sandbox.write(self._prompt_file, self.prompt)
        self.recorder.user(self.prompt)
        self.grader.setup(self.plan.instance, sandbox)

    def _run(self) -> Ending:
        """The agent's own failings are endings, not faults; only what it cannot cause is raised."""
        recording = RecordingSandbox(self._sandbox, self.recorder, self.folder / "written")
        work = Work(
            agent=self.plan.agent,
            sandbox=recording,
            prompt=self.prompt,
            task=self.plan.instance.task.id,
            variant=self.plan.instance.variant.id,
            deadline=time.monotonic() + self.plan.limits.agent,
            log_dir=self.folder / "agent",
            env=self._agent_env(),
        )
        if self.plan.harness.oracle:
            instance = self.plan.instance
            work.solve = lambda limit: self.grader.solve(instance, recording, limit)
        limit = self.plan.limits.agent
        try:
            # A harness that ends by itself at its deadline can say more: it gets 5 s for that.
            return self.phases.run("run", limit + 5, lambda: self.plan.harness.run(work))
        except PhaseTimeout:
            return Ending("timeout", f"the agent did not end within {limit:g} s")

    def _collect(self) -> None:
        output = self.folder / "output"
        refused = self._sandbox.get(self._sandbox.output, output)
        output.mkdir(exist_ok=True)
        sums = {str(path.relative_to(output)): _sha256(path) for path in files(output)}
        seal(output)
        names = {clean(name, 500): value for name, value in sums.items()}
        shown = tuple(clean(line, 500) for line in refused[:100])
        self.record = replace(self.record, output=names, refused=shown)

    def grade(self, output: Path | None = None) -> Grade:
        """Grade what was collected; or, for a control, another output for the same inputs."""
        output = output or self.folder / "output"
        return self.grader.evaluate(self.plan.instance, self.built, output, self._verifier)

    def _verifier(self) -> Sandbox:
        """A fresh sandbox of the same kind that no agent has touched."""
        labels = {"attempt": f"{self.record.path} (verifier)", "run": self.run_dir.path.name}
        self.verifiers.append(new_lease_id())
        return self.pool.lease(self.plan.instance.spec((), labels), self.verifiers[-1]).sandbox

    def _release(self, lease: str) -> None:
        limit = self.plan.limits.phase
        self.phases.run("release", limit, lambda: self.pool.release(lease, self.record.path))

    # What is kept.

    def _settle(self, ending: Ending, grade: Grade) -> None:
        outcome: Outcome = "scored" if ending.outcome == "done" else ending.outcome
        self.record = replace(
            self.record,
            outcome=outcome,
            score=grade.score,
            passed=grade.score >= self.plan.limits.pass_at,
            checks=grade.checks,
            messages=grade.messages,
            message=clean(ending.message, 2000),
        )
        self.phases.run("record", self.plan.limits.phase, lambda: self._save(grade))

    def _given_up(self, raised: BaseException) -> BaseException:
        """Record an attempt that has no score; the first error stays the one that is told."""
        error = as_fault(raised)
        cancelled = not isinstance(error, Exception)
        self.record = replace(
            self.record,
            outcome="cancelled" if cancelled else "fault",
            score=None,
            passed=None,
            message=clean(str(error) or type(error).__name__, 5000),
            phase=getattr(error, "phase", "") or self.phases.now,
        )
        try:
            self._save(None)
        except Exception as second:
            error.add_note(f"and then: {second}")
        return error

    def _save(self, grade: Grade | None) -> None:
        seconds = self.phases.seconds.get("run", 0.0)
        self.record = replace(
            self.record, seconds=seconds, phases=dict(self.phases.seconds), kept=self._kept
        )
        if self.prompt:
            text = dump(self.recorder.finish())
            (self.folder / "trajectory.json").write_text(text, encoding="utf-8")
        self.run_dir.save(self.record, grade, listed=not self.plan.within)

    def _event(self, phase: str, seconds: float, fault: str) -> None:
        line: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "phase": phase}
        line |= {"seconds": seconds} | ({"fault": clean(fault, 2000)} if fault else {})
        try:
            append_line(self.folder / "events.jsonl", line)
        except OSError:  # the record that follows fails for the same reason, and says so
            return

    # Small things.

    @property
    def _sandbox(self) -> Sandbox:
        if self.lease is None:
            raise SandboxLost("there is no sandbox: it was released")
        return self.lease.sandbox

    @property
    def _kept(self) -> bool:
        wanted = self.plan.keep == "always" or (
            self.plan.keep == "failed" and not self.record.passed
        )
        return wanted and self.lease is not None

    @property
    def _prompt_file(self) -> str:
        return f"{self._sandbox.inputs.rpartition('/')[0]}/prompt.md"

    def _prompt(self) -> str:
        params = self.plan.instance.variant.params
        values: dict[str, object] = {f"params.{name}": value for name, value in params.items()}
        paths = {"inputs": self._sandbox.inputs, "output": self._sandbox.output}
        return render(
            self.plan.prompt, paths | values, self.plan.instance.task.folder / "prompt.md"
        )

    def _agent_env(self) -> dict[str, str]:
        sandbox = self._sandbox
        return {
            "ALE_PROMPT_FILE": self._prompt_file,
            "ALE_INPUTS": sandbox.inputs,
            "ALE_OUTPUT": sandbox.output,
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
