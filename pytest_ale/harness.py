"""Harness and agent: a program we can deploy, and that program with version, model and knobs.

Knows no provider's name, nothing of grading, and never sees a reference.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pytest_ale.deadline import LEAST, Left
from pytest_ale.desktop_calls import PREFIX

if TYPE_CHECKING:
    from pytest_ale.gateway import Tally
    from pytest_ale.gateway.apis import Api
    from pytest_ale.program import Closing
    from pytest_ale.recording import RecordingSandbox
    from pytest_ale.rehearsal import Rehearsal
    from pytest_ale.sandbox import Sandbox
    from pytest_ale.story import Story
    from pytest_ale.trajectory import ToolCall

__all__ = ["Agent", "BadAgent", "Ending", "Harness", "How", "Knob", "Work", "parse_agents"]


class BadAgent(ValueError):
    """An agent or a knob that does not exist; the message names the known ones."""


@dataclass(frozen=True)
class Knob:
    """One harness-specific setting, part of the agent's identity."""

    help: str
    default: str | None = None  # None: the knob is required
    parse: Callable[[str], str] = str


@dataclass(frozen=True)
class Agent:
    """The thing that gets a score."""

    harness: str
    version: str | None = None
    model: str | None = None
    knobs: Mapping[str, str] = field(default_factory=dict)
    resolved: str = field(default="", compare=False)  # what `latest` meant when the run began

    @property
    def label(self) -> str:
        version = f"@{self.version}" if self.version else ""
        return f"{self.harness}{version}{f':{self.model}' if self.model else ''}"

    @property
    def slug(self) -> str:
        """The label as a path and a node id can carry it; what was replaced is told by a hash."""
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", self.label)
        if re.fullmatch(r"[\w.]+(@[\w.]+)?(:[\w.-]+)?", self.label, re.ASCII) and len(slug) <= 60:
            return slug
        return f"{slug[:50]}-{hashlib.sha256(self.label.encode()).hexdigest()[:6]}"


How = Literal["done", "timeout", "budget", "crashed", "refused"]


@dataclass(frozen=True)
class Ending:
    """How an agent's work ended: `done`, or what marks its score."""

    outcome: How = "done"
    message: str = ""


@dataclass
class Work:
    """What a harness gets for one attempt."""

    agent: Agent
    sandbox: RecordingSandbox  # each call becomes a step of the trajectory
    machine: Sandbox  # the same sandbox, where what is done in it is no step
    story: Story  # of a program that tells itself what it did
    prompt: str
    task: str
    variant: str
    limit: float  # seconds it may work; waiting for rate limits is no work
    log_dir: Path  # raw logs go here, on the host
    env: Mapping[str, str]  # ALE_* variables for the agent's process
    has_desktop: bool
    live: Callable[[], None]  # writes the trajectory down as far as it goes
    scrub: Callable[[bytes], bytes]  # takes known secrets out of what is kept
    kits: tuple[str, ...] = ()  # where the harness's kits are seen inside, in its own order
    model_url: str = ""  # of the model gateway, where the harness works; "" where it asks none
    model_key: str = ""  # good there, for this attempt only
    tally: Callable[[], Tally] | None = None  # what the gateway has seen of this attempt
    keys: Mapping[str, str] = field(default_factory=dict)  # the real ones of `Harness.keys`
    solve: Callable[[float], None] | None = None  # only for a harness that is the oracle
    began: float = field(default_factory=time.monotonic)
    # What a harness notes on the way.
    tools: tuple[str, ...] = ()  # that its model must have been offered
    closing: Closing | None = None
    last_words: str = ""

    @property
    def waited(self) -> float:
        """Seconds in which the model's server had it wait for its rate limits, as known by now."""
        return self.tally().waited if self.tally else 0.0

    @property
    def deadline(self) -> float:
        """Of time.monotonic(), as far as is known now: waiting moves it."""
        return self.began + self.limit + self.waited

    @property
    def left(self) -> float:
        """Seconds that it may still work; as a command's timeout it grows by what is waited."""
        if self.tally is None:
            return max(self._remaining(), LEAST)
        return Left(self._remaining)

    def _remaining(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def given(self) -> str:
        """The time it had, in words, once it is over."""
        waited, whole = self.waited, time.monotonic() - self.began
        if waited < 0.5:
            return f"{self.limit:g} s"
        return (
            f"{self.limit:g} s of working time"
            f" ({whole:.0f} s in all, {waited:.0f} s waiting for rate limits)"
        )


@cache
def _own_version() -> str:
    from importlib.metadata import version  # 2 ms each time

    return version("pytest-ale")


class Harness:
    """What every harness is; a subclass lives in `harnesses/<name>.py` or in a plugin."""

    name: ClassVar[str]
    about: ClassVar[str] = ""
    trusted: ClassVar[bool] = False  # runs nothing but the task's own code: no isolation needed
    oracle: ClassVar[bool] = False  # runs the task's solve()
    terminal: ClassVar[bool] = False  # needs a person at a terminal
    knobs: ClassVar[Mapping[str, Knob]] = {}
    api: ClassVar[Api | Literal[""]] = ""  # of the model that it asks, through the gateway
    # Of one that cannot be pointed at the gateway: the real keys it is given, the hosts it needs.
    keys: ClassVar[tuple[str, ...]] = ()
    hosts: ClassVar[tuple[str, ...]] = ()
    packed: ClassVar[bool] = False  # has kits, which its sandbox must be able to show
    outside: ClassVar[bool] = False  # works on this machine, and reaches into the sandbox
    subagents: ClassVar[bool] = False  # does it have such, and tell what they do?
    # How a scripted model has it work, where its tools are not called as most are.
    rehearsal: ClassVar[Rehearsal | None] = None
    seen: ClassVar[bool] = True  # False: written from documentation and not run here

    @property
    def pinned(self) -> str:
        """The version that runs where none is named; "" for one that has no versions."""
        return ""

    def parts(self, agent: Agent) -> list[str]:
        """What it needs besides keys, a line each, and whether it is here (`ale agents`)."""
        return []

    def check(self, agent: Agent) -> None:
        """Say before the run what would not work: raise BadAgent."""

    def resolve(self, agent: Agent) -> Agent:
        """Find out, once for a run, which version a name such as `latest` means."""
        return agent

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        """The API of the model that this agent asks, through the gateway; "" for none."""
        return self.api

    def searches(self, agent: Agent) -> bool:
        """May it have its model's server search or fetch, where the card gives no network?"""
        return False

    def kits(self, agent: Agent, *, desktop: bool) -> tuple[Path, ...]:
        """Host folders that are to be seen inside; packed now where they are not yet."""
        return ()

    def deploy(self, work: Work) -> None:
        """Make all ready in a staged sandbox, before the agent's time begins; or HarnessFault."""

    def version(self, agent: Agent) -> str:
        """The version that runs; ours are those of pytest-ale itself."""
        return agent.version or _own_version()

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """What makes two runs the same agent: resolved version, model, and what the knobs mean."""
        knobs = sorted(agent.knobs.items())
        return (agent.harness, self.version(agent), agent.model, knobs)

    def run(self, work: Work) -> Ending:
        """Work until done; a fault of the harness itself is a HarnessFault."""
        raise NotImplementedError

    @property
    def on_screen(self) -> str:
        """How the names of its calls begin that use the screen: replay keeps pauses about them."""
        return PREFIX

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """Do a recorded tool call again (replay); False for one that changes nothing; or Fault.

        To its `extra`, replay adds `said`, the text of its result, `result`, what else is noted
        with that, and `knobs`, the agent's.
        """
        return sandbox.redo(call.function_name, call.arguments, folder)


def parse_agents(
    names: tuple[str, ...], knobs: tuple[str, ...], harness: Callable[[str], Harness]
) -> list[Agent]:
    """Make agents of `--ale-agent` and `--ale-knob`, or raise BadAgent."""
    agents = [_parse(name) for name in names]
    programs = {agent.harness: harness(agent.harness) for agent in agents}
    given = [_parse_knob(knob, programs) for knob in knobs]
    made = []
    for agent in agents:
        program = programs[agent.harness]
        chosen = {name: value for who, name, value in given if agent.harness in who}
        agent = Agent(agent.harness, agent.version, agent.model, _fit(program, chosen))
        program.check(agent)
        made.append(agent)
    _refuse_doubles(made)
    return made


def _parse(name: str) -> Agent:
    match = re.fullmatch(r"([a-z][a-z0-9_]*)(?:@([^:@\s]+))?(?::(\S+))?", name)
    if not match:
        raise BadAgent(f"agent {name!r} is not of the form NAME[@VERSION][:MODEL]")
    return Agent(match[1], match[2], match[3])


def _parse_knob(text: str, programs: Mapping[str, Harness]) -> tuple[list[str], str, str]:
    """Split a knob into the harnesses it is for, its name and its value."""
    match = re.fullmatch(r"(?:([a-z][a-z0-9_]*):)?([a-z][a-z0-9_]*)=(.*)", text, re.DOTALL)
    if not match:
        raise BadAgent(f"knob {text!r} is not of the form [AGENT:]NAME=VALUE")
    meant = {match[1]: programs.get(match[1])} if match[1] else programs
    if None in meant.values():
        raise BadAgent(f"knob {text!r}: no agent {match[1]!r} in this run")
    who = [name for name, program in meant.items() if program and match[2] in program.knobs]
    if not who:
        known = "; ".join(
            f"{name}: {', '.join(program.knobs) or 'none'}"
            for name, program in meant.items()
            if program
        )
        raise BadAgent(
            f"knob {text!r}: no agent of this run has a knob {match[2]!r}; known: {known}"
        )
    return who, match[2], match[3]


def _fit(harness: Harness, given: Mapping[str, str]) -> dict[str, str]:
    fitted = {}
    for name, knob in harness.knobs.items():
        value = given.get(name, knob.default)
        if value is None:
            raise BadAgent(f"agent {harness.name} needs --ale-knob {name}=...: {knob.help}")
        try:
            fitted[name] = knob.parse(value)
        except ValueError as error:
            raise BadAgent(f"agent {harness.name}: knob {name}={value!r}: {error}") from None
    return fitted


def _refuse_doubles(agents: list[Agent]) -> None:
    """Records and node ids carry slugs: two agents of one would be taken for one."""
    labels: dict[str, str] = {}
    for agent in agents:
        first = labels.setdefault(agent.slug, agent.label)
        if first != agent.label:
            raise BadAgent(
                f"agents {first!r} and {agent.label!r} are both {agent.slug!r} in paths and ids;"
                " examine them in two runs"
            )
    if len(labels) < len(agents):
        doubled = next(a.label for a in agents if agents.count(a) > 1)
        raise BadAgent(f"agent {doubled!r} is given twice; --ale-trials repeats an agent")
