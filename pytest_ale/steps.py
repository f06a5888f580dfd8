"""The steps of an attempt, each as it is done; their order and their deadlines are run.py's.

Knows nothing of pytest or of what is written down about them.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pytest_ale.access import Access
from pytest_ale.deadline import most_waiting
from pytest_ale.gateway import Control, GatewayFault, Tally, Terms
from pytest_ale.grade import Grade
from pytest_ale.grading import Built, Grader
from pytest_ale.harness import Ending, How, Work
from pytest_ale.journal import Journal
from pytest_ale.lanes import Lanes, Stopwatch
from pytest_ale.leases import Lease, Pool, new_lease_id
from pytest_ale.plan import Plan
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import (
    ExecTimeout,
    Fault,
    GraderFault,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxSpec,
)
from pytest_ale.secrets import cleanse, scrub
from pytest_ale.story import Story
from pytest_ale.task import render
from pytest_ale.text import shown
from pytest_ale.trees import remove
from pytest_ale.verdict import judged, with_waiting

__all__ = ["Steps"]

KITS = "/opt/ale"  # where a provider shows kits, each by its name
REGAIN_SECONDS = 30.0  # that a provider may be away, for an engine that is started anew
SHOTS = ".ale/screenshots"  # where the bridge keeps what it showed, in the agent's home


class Steps:
    """One attempt's sandbox, inputs and leases."""

    def __init__(
        self,
        plan: Plan,
        pool: Pool,
        grader: Grader,
        journal: Journal,
        lanes: Lanes,
        gateway: Control | None = None,
    ) -> None:
        self._plan = plan
        self._pool = pool
        self._grader = grader
        self._journal = journal
        self._lanes = lanes
        self._gateway = gateway
        self.queued = Stopwatch()  # for a place among those who start, and for a provider's quota
        self._access: Access | None = None
        self._work: Work | None = None
        self._workspace: Path | None = None
        self._lease: Lease | None = None
        self._leases: list[str] = []  # the agent's first, then a verifier's
        self._released = threading.Event()
        self.built: Built | None = None

    def build(self) -> None:
        instance = self._plan.instance
        self._workspace = self._grader.workspace()
        self.built = self._grader.build(instance, self._workspace, shared=self._plan.shared)
        if self._plan.harness.oracle and "solve" not in self.built.functions:
            raise GraderFault(f"{instance.task.id}: main.py has no solve(); the oracle needs it")

    def lease(self) -> None:
        """Kits are packed now at the latest, by whoever is first: never in an agent's time."""
        plan, harness = self._plan, self._plan.harness
        desktop = plan.instance.task.card.environment.desktop
        kits = harness.kits(plan.agent, desktop=desktop)
        if harness.model_api(plan.agent):
            folder = self._journal.folder / "model"
            terms = Terms(
                folder=folder,
                limits=plan.limits.model,
                tcp=harness.outside,
                outside=harness.searches(plan.agent)
                or plan.instance.task.card.environment.network == "open",
                waiting=most_waiting(plan.limits.agent),
            )
            self._access = Access.open(self._gateway, plan.agent.harness, terms)
        sockets = self._access.sockets if self._access and not harness.outside else {}
        self._lease = self._new_lease(plan.spec(self._labels(), kits, sockets))
        self._journal.leased(self._lease.id, self.sandbox.about)
        self._work = self._new_work(tuple(f"{KITS}/{kit.name}" for kit in kits))

    def stage(self) -> None:
        sandbox, instance = self.sandbox, self._plan.instance
        assert self.built is not None
        sandbox.put(self.built.inputs, sandbox.inputs)
        paths: dict[str, object] = {"inputs": sandbox.inputs, "output": sandbox.output}
        params = {f"params.{name}": value for name, value in instance.variant.params.items()}
        prompt = render(self._plan.prompt, paths | params, instance.task.folder / "prompt.md")
        sandbox.write(self._prompt_file, prompt)
        self._journal.prompt(prompt, sandbox.home)
        if "setup" in self.built.functions:
            self._grader.setup(instance, sandbox)
        self.work.prompt = prompt
        self._plan.harness.deploy(self.work)

    def run(self) -> Ending:
        """Let the harness work until it is done; its own failings are endings, not faults."""
        work, harness = self.work, self._plan.harness
        work.began = time.monotonic()
        try:
            ending = harness.run(work)
        except SandboxError as error:  # the machine works and says no: the agent's to handle
            # Not by its deadline: a provider may know nothing of one that moves (deadline.py).
            late = isinstance(error, ExecTimeout) and time.monotonic() >= work.began + work.limit
            said = f"{type(error).__name__}: {error}" + (with_waiting(work) if late else "")
            ending = Ending("timeout" if late else "crashed", said)
        except Exception as error:
            if isinstance(error, Fault) or work.tally is None:
                raise
            # One of the harness's own: was it that its model was not to be had any more?
            ending = Ending("crashed", f"{type(error).__name__}: {error}")
            if self.judged(ending) == ending:
                raise
        if not (isinstance(ending, Ending) and ending.outcome in get_args(How)):
            said = f"agent {self._plan.agent.harness}: run() returned {shown(ending, repr)}"
            raise Fault(f"{said}; allowed: Ending({' | '.join(map(repr, get_args(How)))})")
        return self.judged(ending)

    def judged(self, ending: Ending) -> Ending:
        """What an ending comes to, by what the gateway saw of the agent."""
        try:
            return judged(self._plan.harness.name, self.work, ending)
        except Fault:  # the record of a failed attempt says what it used and where it waited, too
            with suppress(GatewayFault):
                self._journal.account(self.work.tally and self.work.tally(), self.work.closing)
            raise

    def late(self) -> Ending:
        """What it comes to that an agent was still at work when its time was over."""
        return self.judged(Ending("timeout", f"the agent did not end within {self.work.given}"))

    def waited(self) -> float:
        return self.work.waited

    @property
    def work(self) -> Work:
        assert self._work is not None  # made with the lease
        return self._work

    def _new_work(self, kits: tuple[str, ...]) -> Work:
        plan, sandbox, journal, access = self._plan, self.sandbox, self._journal, self._access
        recording = RecordingSandbox(sandbox, journal.recorder, journal.kept)
        work = Work(
            agent=plan.agent,
            sandbox=recording,
            machine=sandbox,
            story=Story(journal.recorder, journal.kept),
            prompt="",
            task=plan.instance.task.id,
            variant=plan.instance.variant.id,
            limit=plan.limits.agent,
            log_dir=journal.logs,
            env={
                "ALE_PROMPT_FILE": self._prompt_file,
                "ALE_INPUTS": sandbox.inputs,
                "ALE_OUTPUT": sandbox.output,
            },
            has_desktop=plan.instance.task.card.environment.desktop,
            live=journal.live,
            scrub=journal.hide({"model key": access.door.token} if access else {}),
            kits=kits,
            model_url=access.url if access else "",
            model_key=access.door.token if access else "",
            tally=journal.asked(access.tally) if access else None,
            keys={name: os.environ[name] for name in plan.harness.keys if name in os.environ},
        )
        if plan.harness.oracle:
            work.solve = lambda limit: self._grader.solve(plan.instance, recording, limit)
        return work

    @property
    def _prompt_file(self) -> str:
        return f"{self.sandbox.inputs.rpartition('/')[0]}/prompt.md"

    def stop(self) -> None:
        self.sandbox.stop()
        self._journal.sandbox(self.sandbox.about)
        tally = self._close_access()
        self._journal.account(tally, self.work.closing)

    def collect(self) -> None:
        """Copy the deliverables out and seal them."""
        output = self._journal.output
        refused = self.sandbox.get(self.sandbox.output, output)
        if output.is_file():
            output.unlink()
            refused = [f"{self.sandbox.output!r} was refused: it is a file."]
        if not output.is_dir():
            output.mkdir()
        if keys := self._plan.harness.keys:
            refused += cleanse(output, scrub(*keys))
        if self._plan.instance.task.card.environment.desktop:
            # What the agent's own bridge kept; it may be missing, or not be what it says.
            with suppress(SandboxError):
                kept = self._journal.screenshots / "bridge"
                self.sandbox.get(f"{self.sandbox.home}/{SHOTS}", kept)
        self._journal.seal(refused)

    def grade(self, output: Path | None) -> Grade:
        assert self.built is not None
        output = output or self._journal.output
        return self._grader.evaluate(self._plan.instance, self.built, output, self._verifier)

    def _verifier(self) -> Sandbox:
        """A fresh sandbox of the same kind that no agent has touched."""
        spec = self._plan.instance.spec((), self._labels(" (verifier)"))
        with self._lanes.grade.aside():
            return self._new_lease(spec).sandbox

    def _labels(self, what: str = "") -> dict[str, str]:
        return {"attempt": self._journal.record.path + what, "run": self._journal.run}

    def _new_lease(self, spec: SandboxSpec) -> Lease:
        """Note the id before the sandbox exists: an interrupted lease is released by it."""
        self._leases.append(id := new_lease_id())
        spec = replace(spec, avoid=self._plan.avoid)
        try:
            return self._lanes.start.admit(lambda: self._asked_for(id, spec), self.queued)
        finally:
            self._journal.queued(self.queued.seconds)

    def _asked_for(self, id: str, spec: SandboxSpec) -> Lease:
        """Ask for a sandbox; Ctrl-C or a deadline may not have waited for the provider, and what
        was given back before it came is given back again, were it only in the ledger."""
        late = SandboxLost(f"sandbox {id} came when the attempt was over")
        if self._released.is_set():  # a turn that came when nobody waits for it any more
            raise late
        try:
            lease = self._pool.lease(spec, id)
        except Exception:
            if self._released.is_set():
                self._pool.release(id, spec.labels["attempt"])
            raise
        if self._released.is_set():
            self._pool.release(id, spec.labels["attempt"])
            raise late
        return lease

    def release(self) -> None:
        """Give every sandbox back but one that is to be kept; one failing hinders no other."""
        self._released.set()
        self._grader.interrupt(self._plan.instance)  # a call that nobody waits for any more
        with suppress(Fault):
            self._close_access()
        if self._workspace is not None:
            remove(self._workspace)
        label, leases, self._leases = self._journal.record.path, self._leases, []
        with ExitStack() as stack:
            for number, lease in enumerate(leases):
                kept = number == 0 and self._journal.record.kept
                stack.callback(self._pool.keep if kept else self._pool.release, lease, label)

    def _close_access(self) -> Tally | None:
        access, self._access = self._access, None
        return access.close() if access else None

    def regain(self) -> None:
        self._pool.regain(min(REGAIN_SECONDS, self._plan.limits.phase))

    @property
    def zone(self) -> str:
        return str(self._lease.sandbox.about.get("zone", "")) if self._lease else ""

    @property
    def sandbox(self) -> Sandbox:
        if self._lease is None:
            raise SandboxLost("there is no sandbox: none was leased")
        return self._lease.sandbox
