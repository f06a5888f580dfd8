"""openhands: the command line agent of OpenHands.

Knows its command line and its configuration. How it is started, and what it tells of its work, is
in openhands_inside.py; what it did is done again in openhands_redo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.again import whole
from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.program import Brief, Program
from pytest_ale.pypi import Package
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.testing.script import Call
from pytest_ale.trajectory import ToolCall

from .litellm_program import ASKED, HERE, LitellmProgram, number
from .openhands_redo import OWN, redo

# What it has its model say with each call; no server is told of it.
ADDED = ("security_risk", "summary")
PROMPT = ".openhands/prompt.md"


class Creating(Rehearsal):
    def writes(self, path: str, text: str) -> Said:
        given = {"command": "create", "path": path, "file_text": text}
        return [Call("file_editor", {**given, **self.more})]


class Openhands(LitellmProgram):
    name = "openhands"
    about = "OpenHands CLI"
    # Its models say of each call how risky it is.
    rehearsal = Creating(shell="terminal", screen="{}", more={"security_risk": "LOW"})
    takes_mcp = True
    common = {**Program.common, **ASKED}
    package = Package(
        kit="openhands",
        name="openhands",
        version="1.16.0",
        inside=(HERE / "litellm_inside.py", HERE / "openhands_inside.py"),
        lock=HERE / "openhands.lock",
        built=("func-timeout",),
    )
    own = {
        "attempts": Knob("tries of a request that fails", "4", number),
        "vision": Knob(
            "on: any model is shown pictures; auto: one of which litellm knows that it sees",
            "on",
            one_of("on", "auto"),
        ),
    }

    def files(self, brief: Brief) -> Mapping[str, str]:
        servers = {
            name: {"command": server.command, "args": list(server.args), "transport": "stdio"}
            for name, server in brief.servers.items()
        }
        told = {"mcpServers": servers}
        return {PROMPT: brief.prompt, ".openhands/mcp.json": json.dumps(told, indent=1)}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            "LLM_MODEL": self.model(brief),
            "LLM_API_KEY": brief.key,
            "LLM_BASE_URL": self.base(brief),
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "FASTMCP_CHECK_FOR_UPDATES": "off",
            # Else it says that it needs a terminal, for a screen that nobody sees.
            "TTY_INTERACTIVE": "1",
        }

    def stdin(self, brief: Brief) -> str:
        return ""

    def arguments(self, brief: Brief) -> list[str]:
        ours = [f"{brief.home}/{PROMPT}", brief.knobs["attempts"], brief.knobs["vision"]]
        return [*ours, "--headless", "--override-with-envs", "--exit-without-confirmation"]

    def tool(self, server: str, name: str) -> str:
        """With one server alone, its tools have no prefix."""
        return name

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        if call.function_name in OWN:
            return self.again(whole(call, folder), sandbox, folder)
        given = {name: value for name, value in call.arguments.items() if name not in ADDED}
        return super().redo(call.model_copy(update={"arguments": given}), sandbox, folder)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)
