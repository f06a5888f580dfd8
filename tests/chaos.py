"""Chaos: whole runs of pytest, of which something is killed at a moment that a seed chooses.

A round is a project with a few tasks, one or two kills, and `--ale-resume=last` until it ends by
itself; then nothing may be left, lost or doubled. `scripts/chaos` plays many, test_chaos.py a few.
The project: chaos_project.py; what must hold afterwards: chaos_checks.py.
"""

from __future__ import annotations

import json
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

from pytest_ale.testing import Say, Script, ScriptedModel, Usage

from . import chaos_checks
from .chaos_project import write

TASKS = 6
MOST_SECONDS = 90.0  # that one pytest may take; a round's takes about ten
WHAT = ("worker", "controller", "everything", "anything")
# Files whose coming is a moment worth dying at: each is one step of an attempt, or of a start.
ATTEMPT = ".ale/*/legal/*/base/*/trial-1/attempt-*"
STEPS = {  # and how often it may come
    "tmp/ale-*": TASKS,
    "tmp/ale-*/lease.json": TASKS,
    "tmp/ale-*/owner.json": TASKS,
    ".ale/*": 1,
    ".ale/*/run.json": 1,
    ".ale/*/ledger.jsonl": 1,
    f"{ATTEMPT}/sandbox.json": TASKS,
    f"{ATTEMPT}/output": TASKS,
    f"{ATTEMPT}/grade.json": TASKS,
    f"{ATTEMPT}/attempt.json": TASKS,
    ".ale/*/results.jsonl": 1,
}


@dataclass(frozen=True)
class Kill:
    """What is killed, and when: some seconds after a start, or when files of a kind have come."""

    what: str
    step: str
    count: int  # of the files
    seconds: float  # from the start, or from when they came

    @classmethod
    def drawn(cls, dice: random.Random) -> Kill:
        what = dice.choice(WHAT)
        if dice.random() < 0.4:
            return cls(what, "", 0, dice.uniform(0.5, 5))
        step = dice.choice(list(STEPS))
        return cls(what, step, dice.randint(1, STEPS[step]), dice.choice((0, 0.02, 0.2)))

    def __str__(self) -> str:
        when = f" after {self.step} came {self.count} times" if self.step else ""
        return f"{self.what} {self.seconds:.2f} s{when}"


@dataclass(frozen=True)
class Plan:
    """All that a seed decides."""

    seed: int
    workers: int
    agent: str
    hesitates: bool
    pause: float  # between a kill and the next start
    kills: tuple[Kill, ...]
    naps: tuple[float, ...]  # seconds that each task takes

    @classmethod
    def drawn(cls, seed: int) -> Plan:
        dice = random.Random(seed)
        longest = dice.choice((0.7, 0.7, 2.5))
        return cls(
            seed=seed,
            workers=dice.choice((0, 2, 2)),
            agent=dice.choice(("oracle", "oracle", "mine")),
            hesitates=dice.random() < 0.5,
            pause=dice.choice((0, 0, 0.5)),
            kills=tuple(Kill.drawn(dice) for _ in range(dice.choice((1, 1, 2, 3)))),
            naps=tuple(dice.uniform(0.2, longest) for _ in range(TASKS)),
        )

    def __str__(self) -> str:
        disk = ", slow disk" if self.hesitates else ""
        kills = "; ".join(map(str, self.kills))
        return f"seed {self.seed}: {self.agent}, -n {self.workers}{disk}: kill {kills}"


@dataclass
class Round:
    """One project, and what has happened to it."""

    plan: Plan
    folder: Path
    provider: str = "local"
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
        words = ["-p", "no:randomly", f"--ale-agent={self.plan.agent}"]
        words += [f"--ale-provider={self.provider}"]
        words += [f"-n{self.plan.workers}"] if self.plan.workers else []
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
        self.unscored = unscored(round)
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
        if kill.what in ("worker", "anything"):
            self.wait()
        self.process.wait(MOST_SECONDS)
        self.round.before |= self.round.attempts()
        return f"{victim} after {after:.2f} s"

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
        choice = {"worker": self._workers()}
        if self.round.provider == "local":  # all others are not ours alone to kill
            choice["anything"] = sorted(self.round.processes())
        victim = dice.choice(choice.get(what) or [controller])
        name = "controller" if victim == controller else name_of(victim)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return name

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


def name_of(pid: int) -> str:
    """What a process is, as the end of its command line tells."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return f"process {pid} ({' '.join(line.replace(chr(0), ' ').split())[-60:]})"
    return f"process {pid}"


def unscored(round: Round) -> set[str]:
    """The tasks that a session is to run."""
    records = map(json.loads, round.attempts().values())
    scored = {str(record["task"]) for record in records if record["score"] is not None}
    return {f"legal/task_{number}" for number in range(TASKS)} - scored


def play(seed: int, provider: str = "local") -> Round:
    """Play the round of a seed; the folder of one that fails stays, and is named."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-")).resolve()
    script = Script([Usage(input=100, output=7), Say("Hello to you.")])
    with ScriptedModel(script) as model:
        round = Round(Plan.drawn(seed), folder, provider, model.url)
        try:
            write(folder, round.plan.naps, seed if round.plan.hesitates else None)
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
    parser.add_argument("--provider", default="local")
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.rounds):
        print(Plan.drawn(seed), flush=True)  # noqa: T201
        began = time.monotonic()
        killed = play(seed, given.provider).happened
        print(f"  killed {'; '.join(killed)}: ok, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
