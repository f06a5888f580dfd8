"""Program: an agent of somebody else's, deployed into the sandbox and watched while it works.

Knows no program in particular, no provider and nothing of grading. What one program needs is in
its file in `harnesses/`: its kit, its configuration, its command line, and a reader of its log.

    deploy   configuration files and the prompt are in the sandbox, and the bridge answers there
    run      it is started, its log becomes the trajectory while it is written, and how it ended
             is told: as the agent's ending, or as a fault of what stands around it (verdict.py)
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from pytest_ale.again import task_folder, whole
from pytest_ale.bridge.coordinates import KINDS
from pytest_ale.bridge_calls import redo_tool
from pytest_ale.gateway.usage import Usage
from pytest_ale.harness import Agent, Ending, Harness, Knob, Work
from pytest_ale.kits import Packed, bridge_kit
from pytest_ale.knobs import one_of
from pytest_ale.logs import Log, Tails
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import ExecTimeout, Fault, HarnessFault, SandboxError
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall
from pytest_ale.verdict import Stopped, Watch, ending_of

__all__ = ["Brief", "Closing", "Program", "Reader", "Server"]

BRIDGE = "desktop"  # what the agent knows the bridge by
PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """An MCP server that the agent is to start, over stdin and stdout."""

    command: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Brief:
    """What a program is told for one attempt; every path is one inside the sandbox."""

    prompt: str
    model: str  # "" for the program's own choice
    base_url: str  # of the model gateway, without /v1
    key: str  # good at the gateway, for this attempt only
    servers: Mapping[str, Server]
    knobs: Mapping[str, str]
    home: str
    task: str  # the folder it starts in
    kit: str = ""  # where its own kit is seen


@dataclass(frozen=True)
class Closing:
    """What a program said of its own end. `failed` is its complaint, "" for none."""

    failed: str = ""
    refused: bool = False  # the model would not do it
    usage: Usage | None = None
    cost_usd: float | None = None
    session: str = ""


class Reader(Protocol):
    """Makes a story of what a program writes; it is fed whole lines, in order, as they come."""

    def line(self, source: str, text: str) -> None:
        """One line of `stdout`, of `stderr`, or of a file that is followed (its path)."""
        ...

    def close(self, status: int | None) -> Closing:
        """The program has ended, with this exit status (None: it was stopped)."""
        ...


class Program(Harness):
    """An agent program; a subclass says what is particular to it."""

    package: ClassVar[Packed]  # where it comes from, and the version that was tried
    packed = True
    takes_mcp: ClassVar[bool] = True  # False: it has the shell alone, also where there is a screen
    # What its model is offered where it comes to servers' tools by tools of the program's own.
    reached_by: ClassVar[tuple[str, ...]] = ()
    followed: ClassVar[tuple[str, ...]] = ()  # globs below the home: files that grow as it works
    own: ClassVar[Mapping[str, Knob]] = {}  # knobs of its own
    common: ClassVar[Mapping[str, Knob]] = {
        "coordinates": Knob(
            f"how the model names places on the screen: {' or '.join(KINDS)}",
            KINDS[0],
            parse=one_of(*KINDS),
        ),
    }

    def __init_subclass__(cls) -> None:
        cls.knobs = {**cls.common, **cls.own}

    # What is particular to one.

    def files(self, brief: Brief) -> Mapping[str, str]:
        """Configuration files, by their paths below the home."""
        return {}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {}

    @abstractmethod
    def arguments(self, brief: Brief) -> list[str]:
        """What follows the program's name on its command line; no key may be in it."""

    def stdin(self, brief: Brief) -> str:
        """The prompt, unless it is told in another way: a command line has an end."""
        return brief.prompt

    @abstractmethod
    def reader(self, story: Story) -> Reader: ...

    # Of one whose program, or whose log, is a matter of its knobs.

    def start(self, brief: Brief) -> list[str]:
        """The whole command line."""
        return [*self.package.command(brief.kit), *self.arguments(brief)]

    def reader_of(self, brief: Brief, story: Story) -> Reader:
        return self.reader(story)

    def follows(self, brief: Brief) -> tuple[str, ...]:
        return self.followed

    def tool(self, server: str, name: str) -> str:
        """What the model is told that a tool of an MCP server is called."""
        return f"mcp__{server}__{name}"

    # What is the same for all.

    def resolve(self, agent: Agent) -> Agent:
        """Find out, once for the run, which version a name such as `latest` means."""
        asked = agent.version or self.package.version
        if asked[:1].isdigit():
            return replace(agent, resolved=asked)
        return replace(agent, resolved=self.package.resolve(asked))

    @property
    def pinned(self) -> str:
        version = self.package.version
        return version if version[:1].isdigit() else ""

    def parts(self, agent: Agent) -> list[str]:
        here = "is" if self.package.is_here(self.version(agent)) else "is not yet"
        return [f"its kit, packed once on this machine by {self.package.by} (it {here})"]

    def version(self, agent: Agent) -> str:
        return agent.resolved or agent.version or self.package.version

    def kits(self, agent: Agent, *, desktop: bool) -> tuple[Path, ...]:
        own = self.package.kit_of(self.version(agent))
        return (own, bridge_kit()) if desktop and self.takes_mcp else (own,)

    def brief(self, work: Work) -> Brief:
        screen = work.has_desktop and self.takes_mcp
        servers = {BRIDGE: self._bridge(work)} if screen else {}
        return Brief(
            prompt=work.prompt,
            model=work.agent.model or "",
            base_url=work.model_url,
            key=work.model_key,
            servers=servers,
            knobs=work.agent.knobs,
            home=work.sandbox.home,
            task=task_folder(work.sandbox),
            kit=work.kits[0] if work.kits else "",
        )

    def _bridge(self, work: Work) -> Server:
        """With -I nothing that the agent leaves in its folders is imported."""
        options = ("--coordinates", work.agent.knobs["coordinates"])
        return Server("/usr/bin/python3", ("-I", f"{work.kits[-1]}/run.py", BRIDGE, *options))

    def deploy(self, work: Work) -> None:
        brief = self.brief(work)
        try:
            for path, text in self.files(brief).items():
                work.machine.write(f"{brief.home}/{path}", text)
            for server in brief.servers.values():
                offered = self._probe(work, server)
                work.tools = self.reached_by or offered
        except SandboxError as error:
            raise HarnessFault(f"{self.name} could not be deployed: {error}") from error

    def _probe(self, work: Work, server: Server) -> tuple[str, ...]:
        """Ask the bridge for its tools, from where the agent will (peers.md 16: 209 samples), and
        have it reach the screen."""
        run = ["/usr/bin/python3", "-I", f"{work.kits[-1]}/run.py", "probe", "get_screen_size"]
        said = work.machine.exec([*run, server.command, *server.args], timeout=PROBE_SECONDS)
        if said.returncode:
            raise HarnessFault(f"the bridge does not answer: {said.stderr.strip()[-1000:]}")
        return tuple(self.tool(BRIDGE, name) for name in json.loads(said.stdout))

    def run(self, work: Work) -> Ending:
        brief = self.brief(work)
        reader = self.reader_of(brief, work.story)
        log = Log(work.log_dir, reader, work.scrub)
        tails = Tails(work.machine, self.follows(brief), log)
        status: int | None = None
        try:
            status = work.machine.stream(
                self.start(brief),
                log.take,
                timeout=work.left,
                env={**work.env, **work.keys, **self.environment(brief)},
                stdin=self.stdin(brief),
                tick=Watch(self.name, work, (tails.poll,)),
            )
        except (ExecTimeout, Stopped):
            pass
        finally:
            tails.poll()
            log.end()
            work.closing = _closed(reader, work, status)
        return ending_of(self.name, work, status, log.last_words)

    # Replay.

    @property
    def on_screen(self) -> str:
        return self.tool(BRIDGE, "")

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """Do a recorded call again: the bridge's on the desktop, others as `again` knows how."""
        call = whole(call, folder)
        if call.function_name.startswith(self.on_screen):
            name = call.function_name.removeprefix(self.on_screen)
            return redo_tool(name, call.arguments, sandbox, call.extra)
        return self.again(call, sandbox, folder)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """Do a call of its own tools again; False for one that changes nothing in the sandbox."""
        raise Fault(f"recorded call {call.function_name} of {self.name} cannot be done again")


def _closed(reader: Reader, work: Work, status: int | None) -> Closing | None:
    """An agent can write any line into a log: what a reader makes of it must be no fault."""
    try:
        return reader.close(status)
    except Fault:
        raise
    except Exception as error:
        said = f"its log could not be read to its end: {type(error).__name__}: {error}"
        work.story.system(said)
        return None
