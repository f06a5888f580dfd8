"""What a seed decides of a round of chaos: the agent, how long tasks take, what is killed and when.

Knows nothing of processes. Two ways to play: `workers` is pytest with -n or without, `ahead` one
process with --ale-concurrency.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["SIGNALS", "TASKS", "WAYS", "Kill", "Plan"]

TASKS = {"local": 6, "docker": 6, "sim": 12}
KILLED = ("worker", "controller", "everything", "anything")
# To end by a signal is to end in order; twice is somebody impatient, and CI systems do not wait.
SIGNALS = ("Ctrl-C", "SIGTERM")
AHEAD = ("controller", "everything", "anything", *SIGNALS, "Ctrl-C twice", "SIGTERM and kill -9")
WAYS = {"workers": KILLED, "ahead": AHEAD}

# Files whose coming is a moment worth dying at: each is one step of an attempt, or of a start.
ATTEMPT = ".ale/*/legal/*/base/*/trial-1/attempt-*"
FIRST = ("tmp/ale-*", "tmp/ale-*/lease.json", "tmp/ale-*/owner.json")
SIM_FIRST, SIM_BOX = ("tmp/ale-*", "tmp/ale-*/owner.json"), "sim.state/sandboxes*/*"
ONCE = (".ale/*", ".ale/*/run.json", ".ale/*/ledger.jsonl")
EACH = ("sandbox.json", "output", "grade.json", "attempt.json")


def steps(provider: str, *, resumed: bool) -> Mapping[str, int]:
    """The files, and how often each may come; of a run's own, in its first session."""
    tasks, sim = TASKS[provider], provider == "sim"
    once = {} if resumed else dict.fromkeys(ONCE, 1)
    each = dict.fromkeys([f"{ATTEMPT}/{name}" for name in EACH], tasks)
    found = dict.fromkeys(SIM_FIRST, 2) | {SIM_BOX: tasks} if sim else dict.fromkeys(FIRST, tasks)
    return found | once | each | ({} if resumed else {".ale/*/results.jsonl": 1})


@dataclass(frozen=True)
class Kill:
    """What is killed, and when: some seconds after a start, or when files of a kind have come."""

    what: str
    step: str
    count: int  # of the files
    seconds: float  # from the start, or from when they came

    @classmethod
    def drawn(cls, dice: random.Random, way: str, provider: str, *, resumed: bool) -> Kill:
        what = dice.choice(WAYS[way])
        if dice.random() < 0.4:
            return cls(what, "", 0, dice.uniform(0.5, 5))
        most = steps(provider, resumed=resumed)
        step = dice.choice(list(most))
        return cls(what, step, dice.randint(1, most[step]), dice.choice((0, 0.02, 0.2)))

    def __str__(self) -> str:
        when = f" after {self.step} came {self.count} times" if self.step else ""
        return f"{self.what} {self.seconds:.2f} s{when}"


@dataclass(frozen=True)
class Plan:
    """All that a seed decides."""

    seed: int
    way: str
    provider: str
    at_once: int  # workers, or attempts of one process
    agent: str
    hesitates: bool
    pause: float  # between a kill and the next start
    kills: tuple[Kill, ...]
    naps: tuple[float, ...]  # seconds that each task takes
    sim: Mapping[str, object] = field(default_factory=dict)  # rules of provider sim

    @classmethod
    def drawn(cls, seed: int, way: str = "workers", provider: str = "local") -> Plan:
        dice = random.Random(seed)
        longest = dice.choice((0.7, 0.7, 2.5))
        agents = ("oracle", "oracle", "sim" if provider == "sim" else "mine")
        return cls(
            seed=seed,
            way=way,
            provider=provider,
            at_once=dice.choice((0, 2, 2) if way == "workers" else (2, 3, 8)),
            agent=dice.choice(agents),
            hesitates=dice.random() < 0.5,
            pause=dice.choice((0, 0, 0.5)),
            kills=tuple(_kills(dice, way, provider)),
            naps=tuple(dice.uniform(0.2, longest) for _ in range(TASKS[provider])),
            sim=_sim(dice) if provider == "sim" else {},
        )

    @property
    def words(self) -> Sequence[str]:
        """What is added to `pytest tasks`, but for the model's address."""
        words = [
            "-p",
            "no:randomly",
            f"--ale-agent={self.agent}",
            f"--ale-provider={self.provider}",
        ]
        if self.agent == "sim":
            words += [f"--ale-knob=seconds={min(self.naps):.2f}-{max(self.naps):.2f}"]
        if self.sim.get("failures"):
            words += ["--ale-retries=5"]
        if self.way == "ahead":
            return [*words, f"--ale-concurrency={self.at_once}"]
        return words + ([f"-n{self.at_once}"] if self.at_once else [])

    def __str__(self) -> str:
        disk = ", slow disk" if self.hesitates else ""
        told = f", {dict(self.sim)}" if self.sim else ""
        kills = "; ".join(map(str, self.kills))
        return f"seed {self.seed}: {' '.join(self.words[2:])}{disk}{told}: kill {kills}"


def _kills(dice: random.Random, way: str, provider: str) -> list[Kill]:
    number = dice.choice((1, 1, 2, 3))
    return [Kill.drawn(dice, way, provider, resumed=each > 0) for each in range(number)]


def _sim(dice: random.Random) -> Mapping[str, object]:
    """A cloud in which all is well, or that is slow to give, or whose machines fail."""
    rules: dict[str, object] = {"seed": dice.randrange(1000), "boot": {"mean": 0.3, "spread": 0.3}}
    rules |= dice.choice(({}, {"quota": 3}, {"rate": 4}))
    return rules | dice.choice(({}, {"failures": {"create": 0.1, "lost": 0.15, "stop": 0.05}}))
