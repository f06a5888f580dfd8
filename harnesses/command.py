"""command: any command line of a user's own, so that a program can be examined without a harness.

Its words, variables and files are templates (command_words.py). Its log is read as that of another
agent, or as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Ending, Knob, Work
from pytest_ale.kits import Packed, bridge_kit
from pytest_ale.knobs import one_of
from pytest_ale.program import BRIDGE, Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.registry import HARNESSES, Unknown, harness_named
from pytest_ale.sandbox import Fault
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall
from pytest_ale.trees import digest, files

from . import command_words
from .plain import TEXT, TextLog, doubted
from .script import VARIABLES

__all__ = ["Command"]

SERVERS = ".ale-mcp.json"
MOST_FILE = 1 << 20
NOT_SAID = "unknown"


class Command(Program):
    name = "command"
    about = "any command line: --ale-knob argv='mycli --model {model} --prompt-file {prompt_file}'"
    own = {
        "argv": Knob(
            "its words, or a list of them in JSON, with {places}", None, command_words.words
        ),
        "env": Knob("its variables, NAME=VALUE with {places}", "", command_words.variables),
        "files": Knob(
            "a folder of files with {places}, put into its home", "", command_words.folder
        ),
        "api": Knob(
            f"of the model it asks: {', '.join(get_args(Api))}; nothing: it asks none",
            "openai",
            one_of("", *get_args(Api)),
        ),
        "kit": Knob(
            "what is shown in its sandbox: an agent's name, of which {program} then is the"
            " program, or a folder of this machine; {kit} says where",
            "",
        ),
        "log": Knob(f"the agent as which its log is read, or {TEXT}", TEXT),
    }

    # What it is.

    @property
    def pinned(self) -> str:
        return ""

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        return cast(Api, agent.knobs.get("api", ""))

    def check(self, agent: Agent) -> None:
        try:
            self._check(agent)
        except (Unknown, ValueError, OSError) as error:
            raise BadAgent(f"agent {self.name}: {error}") from None

    def _check(self, agent: Agent) -> None:
        self._inner(agent.knobs)
        self._folder(agent.knobs)
        package, needed = self._package(agent.knobs), self._places(agent.knobs)
        if "program" in needed and not package:
            raise ValueError("{program} needs --ale-knob kit=AGENT, the name of one that is packed")
        if "kit" in needed and not agent.knobs["kit"]:
            raise ValueError("{kit} needs --ale-knob kit=AGENT or FOLDER")
        if "model" in needed and not agent.model:
            raise ValueError(f"{{model}} needs a model: --ale-agent={agent.label}:MODEL")
        if agent.version and not package:
            raise ValueError(f"@{agent.version} needs --ale-knob kit=AGENT, one that has versions")

    def _places(self, knobs: Mapping[str, str]) -> set[str]:
        words = command_words.listed(knobs.get("argv", ""))
        values = command_words.pairs(knobs.get("env", "")).values()
        return command_words.used([*words, *values, *_templates(knobs).values()])

    def _inner(self, knobs: Mapping[str, str]) -> Program | None:
        """The agent as which its log is read; None for plain text."""
        log = knobs.get("log", TEXT)
        return None if log == TEXT else _program(log, f"log={log}", f"{TEXT}, or an agent's name")

    def _package(self, knobs: Mapping[str, str]) -> Packed | None:
        """That of another agent, where its kit is wanted."""
        kit = knobs.get("kit", "")
        if not kit or "/" in kit or kit.startswith((".", "~")):
            return None
        allowed = "the name of an agent that is packed, or a folder (./NAME, /NAME)"
        return getattr(_program(kit, f"kit={kit}", allowed), "package", None)

    def _folder(self, knobs: Mapping[str, str]) -> Path | None:
        if not knobs.get("kit") or self._package(knobs):
            return None
        folder = Path(knobs["kit"]).expanduser().resolve()
        if not folder.is_dir():
            raise ValueError(f"kit={knobs['kit']}: there is no such folder")
        if folder.stat().st_mode & 0o5 != 0o5:
            raise ValueError(
                f"kit={folder}: others must be able to read it: chmod -R o+rX {folder}"
            )
        return folder

    def resolve(self, agent: Agent) -> Agent:
        package = self._package(agent.knobs)
        asked = agent.version or (package.version if package else "")
        if package is None or asked[:1].isdigit():
            return replace(agent, resolved=asked)
        return replace(agent, resolved=package.resolve(asked))

    def version(self, agent: Agent) -> str:
        package = self._package(agent.knobs)
        return agent.resolved or agent.version or (package.version if package else NOT_SAID)

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """Folders are what is in them, not where they lie."""
        knobs = dict(agent.knobs)
        if folder := self._folder(knobs):
            knobs["kit"] = _digest(folder)
        if knobs.get("files"):
            knobs["files"] = _digest(Path(knobs["files"]))
        return (agent.harness, self.version(agent), agent.model, sorted(knobs.items()))

    def parts(self, agent: Agent) -> list[str]:
        return ["a command line, and what that needs: its kit, or packages of the card's"]

    def kits(self, agent: Agent, *, desktop: bool) -> tuple[Path, ...]:
        package, folder = self._package(agent.knobs), self._folder(agent.knobs)
        own = package.kit_of(self.version(agent)) if package else folder
        bridge = (bridge_kit(),) if desktop and self._takes_mcp(agent.knobs) else ()
        return ((own,) if own else ()) + bridge

    def _takes_mcp(self, knobs: Mapping[str, str]) -> bool:
        return bool(self._places(knobs) & {*command_words.MCP})

    # What it is told.

    def brief(self, work: Work) -> Brief:
        knobs = work.agent.knobs
        takes = work.has_desktop and self._takes_mcp(knobs)
        brief = super().brief(replace(work, has_desktop=takes))
        return brief if knobs["kit"] else replace(brief, kit="")

    def _values(self, brief: Brief) -> Mapping[str, str]:
        return {
            "kit": brief.kit,
            "prompt": brief.prompt,
            "prompt_file": f"{brief.task}/prompt.md",
            "model": brief.model,
            "base_url": brief.base_url,
            "mcp_config": f"{brief.home}/{SERVERS}",
            "mcp_servers": json.dumps(_servers(brief)),
            "inputs": f"{brief.task}/inputs",
            "output": f"{brief.task}/output",
            "task": brief.task,
            "home": brief.home,
            "key": brief.key,
        }

    def files(self, brief: Brief) -> Mapping[str, str]:
        # A prompt is no part of a file: it would have to be quoted in each one's own way.
        values = {name: text for name, text in self._values(brief).items() if name != "prompt"}
        found = {
            path: command_words.fill(text, values) for path, text in _templates(brief.knobs).items()
        }
        return {SERVERS: json.dumps({"mcpServers": _servers(brief)}, indent=1)} | found

    def environment(self, brief: Brief) -> Mapping[str, str]:
        """Those of the API's own clients, and the user's."""
        told: dict[str, str] = {}
        if api := brief.knobs["api"]:
            url, version, key = VARIABLES[cast(Api, api)]
            told = {url: brief.base_url + version, key: brief.key}
        given = command_words.pairs(brief.knobs["env"])
        values = self._values(brief)
        return told | {name: command_words.fill(text, values) for name, text in given.items()}

    def arguments(self, brief: Brief) -> list[str]:
        values = self._values(brief)
        return [command_words.fill(word, values) for word in self._words(brief)]

    def _words(self, brief: Brief) -> list[str]:
        package = self._package(brief.knobs)
        found: list[str] = []
        for word in command_words.listed(brief.knobs["argv"]):
            found += package.command(brief.kit) if package and word == "{program}" else [word]
        return found

    def start(self, brief: Brief) -> list[str]:
        return self.arguments(brief)

    def stdin(self, brief: Brief) -> str:
        """The prompt, unless it is told in another way."""
        return "" if self._places(brief.knobs) & {*command_words.PROMPT} else brief.prompt

    # What it does.

    def tool(self, server: str, name: str) -> str:
        """As it is; which name its model is told is seen in what it is offered."""
        return name

    def deploy(self, work: Work) -> None:
        super().deploy(work)
        if inner := self._inner(work.agent.knobs):
            work.tools = tuple(inner.tool(BRIDGE, name) for name in work.tools)

    def run(self, work: Work) -> Ending:
        if self._inner(work.agent.knobs):
            return super().run(work)
        names, work.tools = work.tools, ()
        ending = super().run(work)
        offered = work.tally().tools if work.tally else ()
        work.tools = tuple(_offered(name, offered) for name in names)
        return doubted(work, ending)

    def reader(self, story: Story) -> Reader:
        return TextLog(story)

    def reader_of(self, brief: Brief, story: Story) -> Reader:
        inner = self._inner(brief.knobs)
        return inner.reader(story) if inner else self.reader(story)

    def follows(self, brief: Brief) -> tuple[str, ...]:
        inner = self._inner(brief.knobs)
        return inner.followed if inner else ()

    # Replay.

    @property
    def on_screen(self) -> str:
        return "mcp"  # so all of ours begin

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """As the agent does whose log it was read as."""
        knobs = (call.extra or {}).get("knobs")
        if isinstance(knobs, dict) and (inner := self._inner(cast(dict[str, str], knobs))):
            return inner.redo(call, sandbox, folder)
        return super().redo(call, sandbox, folder)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        raise Fault(f"recorded call {call.function_name} of {self.name} cannot be done again")


def _program(name: str, given: str, allowed: str) -> Program:
    if name not in HARNESSES.names():
        raise ValueError(f"{given}: allowed: {allowed}; agents: {', '.join(HARNESSES.names())}")
    found = harness_named(name)
    if not isinstance(found, Program) or isinstance(found, Command):
        raise ValueError(f"{given}: {name} is not a program of that kind; allowed: {allowed}")
    return found


def _servers(brief: Brief) -> Mapping[str, object]:
    """As most programs have them in a file."""
    return {
        name: {"command": server.command, "args": list(server.args)}
        for name, server in brief.servers.items()
    }


def _templates(knobs: Mapping[str, str]) -> Mapping[str, str]:
    """The user's files, by their paths below the home."""
    if not knobs.get("files"):
        return {}
    folder = Path(knobs["files"])
    return {str(path.relative_to(folder)): _text(path) for path in files(folder)}


def _text(path: Path) -> str:
    if path.stat().st_size > MOST_FILE:
        raise ValueError(f"files: {path} is larger than {MOST_FILE} bytes; a kit can hold it")
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise ValueError(f"files: {path} is no text in UTF-8; a kit can hold it") from None


@cache
def _digest(folder: Path) -> str:
    return digest(folder)


def _offered(name: str, offered: Iterable[str]) -> str:
    """What its model was told that the tool is called: most put the server's name before."""
    return next((each for each in offered if each == name or each.endswith(f"_{name}")), name)
