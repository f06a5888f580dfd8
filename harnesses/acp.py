"""acp: any agent that speaks the Agent Client Protocol over its stdin and stdout.

Our client runs beside it in the sandbox (acp_inside.py), and what it writes down is read in
acp_log.py. The agent is one of ours, by name, or a command line of the user's.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pytest_ale.again import noted, task_folder
from pytest_ale.bridge_calls import redo_tool
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, Knob, Work
from pytest_ale.kits import Packed
from pytest_ale.knobs import one_of
from pytest_ale.npm import Package
from pytest_ale.program import BRIDGE, Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.registry import harness_named
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.story import Story
from pytest_ale.told import objects, word
from pytest_ale.trajectory import ToolCall

from . import command_words
from .acp_log import AcpLog
from .command import Command

__all__ = ["Acp"]

CLIENT, SETTINGS = ".ale-acp.py", ".ale-acp.json"
SHELL_SECONDS = 600.0
SCREEN = re.compile(rf"(?:mcp_+)?{BRIDGE}_+(\w+)")
LOOKS = ("read", "search", "fetch", "think", "switch_mode")


@dataclass(frozen=True)
class Known:
    """A program of ours that speaks the protocol, configured as its own harness does."""

    words: tuple[str, ...]  # of its command line
    model: str = ""  # the option before its model, where it has one
    package: Packed | None = None  # where not its own


CODEX = Package(
    kit="codex_acp",
    name="@zed-industries/codex-acp",
    version="0.16.0",
    program="node_modules/@zed-industries/codex-acp-linux-{cpu}/bin/codex-acp",
)
KNOWN = {
    "codex": Known((), package=CODEX),
    "gemini_cli": Known(("--acp", "--approval-mode", "yolo", "--skip-trust"), "--model"),
}


class Acp(Command):
    name = "acp"
    about = "any agent that speaks the Agent Client Protocol: --ale-knob agent=gemini_cli"
    own = {
        "agent": Knob(
            f"one of ours that is configured and started for it: {', '.join(KNOWN)};"
            " or nothing: argv says which",
            "",
            one_of("", *KNOWN),
        ),
        "argv": Knob("its command line, with {places}", "", lambda text: _words(text)),
        **{name: Command.own[name] for name in ("env", "files", "api", "kit")},
        "auth": Knob("the protocol's id of a way to log in, if it wants one", ""),
        "mode": Knob("the protocol's id of a mode, such as one that asks no leave", ""),
    }

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        ours = self._ours(agent.knobs)
        return ours.api if ours else super().model_api(agent)

    def _check(self, agent: Agent) -> None:
        given = [name for name in ("argv", "kit") if agent.knobs[name]]
        if agent.knobs["agent"] and given:
            raise ValueError(f"agent={agent.knobs['agent']} has its own {given[0]}")
        if not (agent.knobs["agent"] or agent.knobs["argv"]):
            raise ValueError("needs --ale-knob argv=..., or agent=... for one of ours")
        if odd := self._places(agent.knobs) & {*command_words.PROMPT}:
            raise ValueError(f"{{{min(odd)}}} has no place here: the protocol tells the prompt")
        super()._check(agent)

    def _ours(self, knobs: Mapping[str, str]) -> Program | None:
        found = harness_named(knobs["agent"]) if knobs.get("agent") else None
        return found if isinstance(found, Program) else None

    def _package(self, knobs: Mapping[str, str]) -> Packed | None:
        if ours := self._ours(knobs):
            return KNOWN[knobs["agent"]].package or ours.package
        return super()._package(knobs)

    def _takes_mcp(self, knobs: Mapping[str, str]) -> bool:
        return True

    def parts(self, agent: Agent) -> list[str]:
        return ["the kit of its agent"]

    # What it is told.

    def brief(self, work: Work) -> Brief:
        brief = super().brief(work)
        return replace(brief, kit=work.kits[0]) if brief.knobs["agent"] else brief

    def files(self, brief: Brief) -> Mapping[str, str]:
        told = {
            "argv": self._argv(brief),
            "cwd": brief.task,
            "servers": [
                {"name": name, "command": each.command, "args": list(each.args), "env": []}
                for name, each in brief.servers.items()
            ],
            "auth": brief.knobs["auth"],
            "mode": brief.knobs["mode"],
        }
        client = Path(__file__).with_name("acp_inside.py").read_text()
        ours = {CLIENT: client, SETTINGS: json.dumps(told, indent=1)}
        return self._inner_files(brief) | dict(super().files(brief)) | ours

    def _inner_files(self, brief: Brief) -> dict[str, str]:
        ours = self._ours(brief.knobs)
        return dict(ours.files(_as_told(ours, brief))) if ours else {}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        if not (ours := self._ours(brief.knobs)):
            return super().environment(brief)
        given = super().environment(replace(brief, knobs={**brief.knobs, "api": ""}))
        return {**ours.environment(_as_told(ours, brief)), **given}

    def _argv(self, brief: Brief) -> list[str]:
        if not (ours := self._ours(brief.knobs)):
            return self.arguments(brief)
        known, package = KNOWN[brief.knobs["agent"]], self._package(brief.knobs)
        model = [known.model, brief.model] if known.model and brief.model else []
        return [*(package or ours.package).command(brief.kit), *known.words, *model]

    def start(self, brief: Brief) -> list[str]:
        return ["/usr/bin/python3", "-I", f"{brief.home}/{CLIENT}", f"{brief.home}/{SETTINGS}"]

    def stdin(self, brief: Brief) -> str:
        return brief.prompt

    def reader(self, story: Story) -> Reader:
        return AcpLog(story)

    # Replay.

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        if match := SCREEN.fullmatch(call.function_name):
            return redo_tool(match[1], call.arguments, sandbox, call.extra)
        return self.again(call, sandbox, folder)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """A command that is told, or the edits of a call; which tool it was says each program."""
        if edits := objects(noted(call).get("edits")):
            for edit in edits:
                _edit(word(edit, "path"), word(edit, "old"), word(edit, "new"), sandbox)
            return True
        if command := _command(call.arguments.get("command")):
            with suppress(SandboxError):  # one may fail, or not end, again
                sandbox.exec(command, cwd=task_folder(sandbox), timeout=SHELL_SECONDS)
            return True
        if (call.extra or {}).get("kind") in LOOKS or noted(call).get("is_error"):
            return False
        return super().again(call, sandbox, folder)


def _words(text: str) -> str:
    return command_words.words(text) if text else ""


def _as_told(ours: Program, brief: Brief) -> Brief:
    """As its own harness would be told, but for servers: those the protocol names."""
    knobs = {name: knob.default or "" for name, knob in ours.knobs.items()}
    return replace(brief, servers={}, knobs=knobs | {"coordinates": brief.knobs["coordinates"]})


def _command(told: object) -> list[str]:
    if isinstance(told, str) and told:
        return ["bash", "-c", told]
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []


def _edit(path: str, old: str, new: str, sandbox: RecordingSandbox) -> None:
    if not old:
        sandbox.write(path, new)
        return
    held = sandbox.read(path).decode(errors="replace")
    if old not in held:
        raise Fault(
            f"the recorded edit of {shlex.quote(path)} cannot be done again: it has no such text"
        )
    sandbox.write(path, held.replace(old, new, 1))
