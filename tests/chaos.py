"""Chaos: whole runs of pytest, of which something is killed at a moment that a seed chooses.

A round is a project with a few tasks, one to three kills, and `--ale-resume=last` until it ends by
itself; then nothing may be left, lost or doubled. `scripts/chaos` plays many, test_chaos.py a few.
What a seed decides: chaos_plan.py; the project: chaos_project.py; what must hold afterwards:
chaos_checks.py.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pytest import ExitCode

from pytest_ale.testing import Say, Script, ScriptedModel, Usage

from . import chaos_checks
from .chaos_plan import SIGNALS, TASKS, WAYS, Kill, Plan
from .chaos_project import write

MOST_SECONDS = 90.0  # that one pytest may take; a round's takes about ten


@dataclass
class Round:
    """One project, and what has happened to it."""

    plan: Plan
    folder: Path
    url: str = ""
    happened: list[str] = field(default_factory=list)
    before: dict[Path, bytes] = field(default_factory=dict)  # attempt.json files, at each kill
    sessions: list[Session] = field(default_factory=list)

    def play(self) -> None:
        """Kill as planned, each time in a new session; then let one end, and look around."""
        dice = random.Random(self.plan.seed + 1)
        with ExitStack() as stack:
            for kill in self.plan.kills:
                session = stack.enter_context(Session(self))
                self.happened.append(session.kill(kill, dice))
                time.sleep(self.plan.pause)
            last = stack.enter_context(Session(self))
            last.wait()
            chaos_checks.check(self, last)

    @property
    def words(self) -> list[str]:
        """What is added to `pytest tasks`."""
        words = list(self.plan.words)
        if self.plan.agent == "mine":
            words += [f"--ale-base-url={self.url}"]
        resumable = any(any(run.glob("*/")) for run in self.runs)
        return words + (["--ale-resume=last"] if resumable else [])

    @property
    def environment(self) -> dict[str, str]:
        own = ("ALE_", "PYTEST_", "TMPDIR")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(own)}
        key = {"OPENAI_API_KEY": "sk-chaos-0123456789abcdef"}
        more = {"TMPDIR": str(self.folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        more |= {"ALE_SIM": str(self.folder / "sim.yaml")} if self.plan.sim else {}
        return kept | key | more

    @property
    def runs(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob(".ale/*/run.json"))

    def processes(self) -> list[int]:
        """Those that know of this folder; one in a sandbox does by what is mounted there."""
        mark, found = str(self.folder).encode(), []
        for path in Path("/proc").glob("[0-9]*"):
            if int(path.name) != os.getpid() and mark in b"".join(told(path)):
                found.append(int(path.name))
        return found

    def attempts(self) -> dict[Path, bytes]:
        found = self.folder.glob(".ale/*/legal/*/base/*/trial-1/attempt-*/attempt.json")
        return {path: path.read_bytes() for path in found}


def told(process: Path) -> Iterator[bytes]:
    for name in ("cmdline", "environ", "mountinfo"):
        with suppress(OSError):
            yield (process / name).read_bytes()


class Session:
    """One pytest, as a user's shell has it."""

    def __init__(self, round: Round) -> None:
        self.round, self.number = round, len(round.sessions) + 1
        self.junit = round.folder / f"{self.number}.xml"
        self.said = round.folder / f"said-{self.number}.txt"
        self.unscored = chaos_checks.unscored(round)
        round.sessions.append(self)
        words = ["tasks", f"--junitxml={self.junit}", *round.words]
        with self.said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *words],
                cwd=round.folder,
                env=round.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill(self, kill: Kill, dice: random.Random) -> str:
        """Kill when it is time; what survives of the session goes on to its end."""
        began = time.monotonic()
        self._await(kill)
        after = time.monotonic() - began
        victim = self._kill(kill.what, dice)
        self.wait()
        told = ""
        if kill.what in SIGNALS and self.interrupted:
            chaos_checks.has_ended_in_order(self)
            untold = len(chaos_checks.scored_and_not_reported(self))
            told = f" ({untold} scored, not reported)" if untold else ""
        self.round.before |= self.round.attempts()
        return f"{victim} after {after:.2f} s{told}"

    def _await(self, kill: Kill) -> None:
        """Return at the moment; a session that is over before cannot be killed any more."""
        if kill.step:
            there = seen = frozenset(self.round.folder.glob(kill.step))
            while len(seen - there) < kill.count and self.process.poll() is None:
                time.sleep(0.001)
                seen |= set(self.round.folder.glob(kill.step))
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(kill.seconds)

    def _kill(self, what: str, dice: random.Random) -> str:
        controller = self.process.pid
        if self.process.poll() is not None:
            return "nothing (it was over)"
        if what == "everything":
            os.killpg(controller, signal.SIGKILL)
            return "everything"
        if what.startswith(SIGNALS):
            self._end(what, dice)
            return what
        choice = {"worker": self._workers()}
        if self.round.plan.provider == "local":  # all others are not ours alone to kill
            choice["anything"] = sorted(self.round.processes())
        victim = dice.choice(choice.get(what) or [controller])
        name = "controller" if victim == controller else name_of(victim)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return name

    def _end(self, what: str, dice: random.Random) -> None:
        """As a terminal and CI systems do it: the first tells all that it started, others one."""
        tell = os.killpg if what.startswith("Ctrl-C") else os.kill
        first = signal.SIGINT if what.startswith("Ctrl-C") else signal.SIGTERM
        tell(self.process.pid, first)
        if what in SIGNALS:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(dice.choice((0.0, 0.1, 0.5)))
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, first if "twice" in what else signal.SIGKILL)

    def _workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(pid) for pid in path.read_text().split()]
        return [pid for pid in children if "sys.stdin.readline" in name_of(pid)]

    def wait(self) -> int:
        try:
            return self.process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"pytest did not end within {MOST_SECONDS:g} s") from None

    @property
    def ended(self) -> bool:
        """Did it end by itself, whatever was killed in it?"""
        return self.process.returncode >= 0

    @property
    def interrupted(self) -> bool:
        """Did pytest itself end it, by a signal that it heeds?"""
        return self.process.returncode == ExitCode.INTERRUPTED


def name_of(pid: int) -> str:
    """What a process is, as the end of its command line tells."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return f"process {pid} ({' '.join(line.replace(chr(0), ' ').split())[-60:]})"
    return f"process {pid}"


def play(seed: int, way: str = "workers", provider: str = "local") -> Round:
    """Play the round of a seed; the folder of one that fails stays, and is named."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-")).resolve()
    script = Script([Usage(input=100, output=7), Say("Hello to you.")])
    with ScriptedModel(script) as model:
        round = Round(Plan.drawn(seed, way, provider), folder, model.url)
        try:
            write(folder, round.plan)
            round.play()
        except BaseException as error:
            error.add_note(f"{round.plan}\nkilled: {round.happened}\nsee {folder}")
            raise
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)  # outputs are sealed
    shutil.rmtree(folder)
    return round


def main() -> None:
    """The command line: how many rounds, and the first one's seed."""
    parser = ArgumentParser(prog="chaos", description=str(__doc__).partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    parser.add_argument("seed", nargs="?", type=int, default=int(time.time()))
    parser.add_argument("--way", choices=WAYS, default="workers")
    parser.add_argument("--provider", choices=TASKS, default="local")
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.rounds):
        print(Plan.drawn(seed, given.way, given.provider), flush=True)  # noqa: T201
        began = time.monotonic()
        killed = play(seed, given.way, given.provider).happened
        print(f"  killed {'; '.join(killed)}: ok, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
