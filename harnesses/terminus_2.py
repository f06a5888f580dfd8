"""terminus_2: Harbor's own agent, which types into a terminal (tmux) and looks at it.

Knows how it is started; how it works in the sandbox, and what it tells of that, is in
terminus_2_inside.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pytest_ale.again import task_folder
from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.program import Brief
from pytest_ale.pypi import Package
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.testing.script import Say
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

from .litellm_program import HERE, LitellmProgram

PROMPT = ".terminus/prompt.md"
SECONDS = 600.0
RETURNS = ("\n", "\r")


class Typing(Rehearsal):
    """Its model answers in JSON; it is asked whether it is sure that all is done."""

    def runs(self, line: str) -> Said:
        return [_answer(commands=[{"keystrokes": f"{line}\n", "duration": 2.0}])]

    def ends(self) -> Said:
        return [_answer(task_complete=True)] * 2


def _answer(**given: object) -> Say:
    told = {"analysis": "", "plan": "", "commands": [], "task_complete": False}
    return Say(json.dumps(told | given))


class Terminus2(LitellmProgram):
    name = "terminus_2"
    about = "Terminus 2, of Harbor and Terminal-Bench"
    rehearsal = Typing()
    package = Package(
        kit="terminus_2",
        name="harbor",
        version="0.24.0",
        inside=(HERE / "litellm_inside.py", HERE / "terminus_2_inside.py"),
        lock=HERE / "terminus_2.lock",
        programs=("tmux",),
    )
    own = {
        "parser": Knob("json or xml: in what its model writes", "json", one_of("json", "xml")),
    }

    def files(self, brief: Brief) -> Mapping[str, str]:
        return {PROMPT: brief.prompt}

    def stdin(self, brief: Brief) -> str:
        return ""

    def arguments(self, brief: Brief) -> list[str]:
        return [self.model(brief), f"{brief.home}/{PROMPT}", brief.knobs["parser"]]

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """A command line is run as one; what was typed into a running program cannot be."""
        keys = word(call.arguments, "keystrokes")
        if call.function_name != "bash_command":
            raise Fault(f"recorded call {call.function_name} of terminus_2 cannot be done again")
        if not keys.strip():
            return False
        if not keys.endswith(RETURNS):
            raise Fault(f"recorded keys {keys!r} of terminus_2 cannot be typed again: no command")
        with suppress(SandboxError):  # one may fail, or not end, again
            command = f"cd {shlex.quote(task_folder(sandbox))}; {keys}"
            sandbox.exec(["bash", "-c", command], timeout=SECONDS)
        return True
