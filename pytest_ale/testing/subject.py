"""Who is put to the conformance suite, and what is not as usual with it.

Knows no agent, and nothing of what is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_ale.harness import Harness
from pytest_ale.program import Program
from pytest_ale.registry import HARNESSES, harness_named, load_plugins
from pytest_ale.rehearsal import Rehearsal

__all__ = ["COPY", "WAYS", "Subject"]

COPY = "cp inputs/word.txt output/word.txt"
# Twice: at the first codex only takes its own handler, for an overflow of its stack, away.
KILL = "kill -SEGV $PPID; sleep 1; kill -SEGV $PPID; sleep 9"
# How a model's server fails it from the beginning, later, and what it does to itself.
WAYS = {
    "refused": ("fault", "the model's server never answered: status 401"),
    "unknown": ("fault", "the model's server never answered: status 404"),
    "broken": ("fault", "the model's server never answered: status 500"),
    "down": ("fault", "the model's server never answered: 127.0.0.1:"),
    "cut": ("fault", "the model's server failed: "),
    # What an agent can bring about itself, once it has had an answer, is its own.
    "later": ("crashed", ""),
    "killed": ("crashed", ""),
}


@dataclass(frozen=True)
class Subject:
    """An agent, and what its program does not do as others do; each with its reason."""

    agent: str  # its name
    knobs: tuple[str, ...] = ()
    replayed: bool = True  # all that it does is in its log
    names: bool = True  # its log has the tools' names and arguments as its model knows them
    tokens: bool = True  # and what each answer used
    kill: str = KILL  # a command that kills the program from inside
    quick: tuple[str, ...] = ()  # knobs that have it give up soon where its model's server fails
    seconds: int = 30  # that it is given to fail, where it would go on for longer than that
    # Ways in which it would, and for how long; it is stopped then.
    patient: Mapping[str, str] = field(default_factory=dict)
    # Ways that are not tried, and why.
    untried: Mapping[str, str] = field(default_factory=dict)

    @property
    def ways(self) -> list[str]:
        return [way for way in WAYS if way not in self.untried]

    @property
    def words(self) -> list[str]:
        return [f"--ale-knob={knob}" for knob in self.knobs]

    @property
    def harness(self) -> Harness:
        if self.agent not in HARNESSES.names():
            load_plugins()
        return harness_named(self.agent)

    @property
    def how(self) -> Rehearsal:
        return self.harness.rehearsal or Rehearsal()

    @property
    def sees(self) -> bool:
        harness = self.harness
        return harness.takes_mcp if isinstance(harness, Program) else harness.outside
