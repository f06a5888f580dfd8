"""aider: pair programming in the terminal, here with nobody at it.

Knows its command line. How it is started, and what it tells of its work, is in aider_inside.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.program import Brief
from pytest_ale.pypi import Package
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.testing.script import Say
from pytest_ale.trajectory import ToolCall

from .litellm_program import HERE, LitellmProgram, number
from .litellm_redo import redo

FORMATS = ("", "whole", "diff", "diff-fenced", "udiff", "patch")
# What it takes for almost all good models. For one that it does not know it takes `whole`, in which
# there are no commands.
FORMAT = "diff"
PROMPT = ".aider/prompt.md"
# Nothing is to be asked of the network, or of anybody, and nothing left in the task's folder.
ALONE = (
    *("--yes-always", "--no-git", "--no-gitignore", "--no-check-update", "--analytics-disable"),
    *("--no-show-release-notes", "--no-show-model-warnings", "--no-detect-urls", "--no-stream"),
    *("--no-pretty", "--no-fancy-input", "--map-tokens=0"),
)


class Writing(Rehearsal):
    """What its model writes is looked through; after an edit aider adds an answer of its own."""

    def runs(self, line: str) -> Said:
        return [Say(f"```bash\n{line}\n```\n")]

    def writes(self, path: str, text: str) -> Said:
        block = f"<<<<<<< SEARCH\n=======\n{text}>>>>>>> REPLACE\n"
        return [Say(f"{path}\n```text\n{block}```\n"), Say("added")]


class Aider(LitellmProgram):
    name = "aider"
    about = "aider, pair programming in the terminal"
    # It shows its model four replies as examples; the script counts them.
    rehearsal = Writing(first=(Say("shown"),) * 4)
    package = Package(
        kit="aider",
        name="aider-chat",
        version="0.86.2",
        inside=(HERE / "litellm_inside.py", HERE / "aider_inside.py"),
        lock=HERE / "aider.lock",
    )
    own = {
        "edit_format": Knob(
            f"{', '.join(filter(None, FORMATS))}; nothing for its own choice by the model's name",
            FORMAT,
            one_of(*FORMATS),
        ),
        "shell": Knob(
            "on or off: its commands are run, and shown to it", "on", one_of("on", "off")
        ),
        "reflections": Knob(
            "how often it goes on after what came of its edits and commands; its own are 3",
            "50",
            number,
        ),
    }

    def files(self, brief: Brief) -> Mapping[str, str]:
        return {PROMPT: brief.prompt}

    def stdin(self, brief: Brief) -> str:
        return ""

    def arguments(self, brief: Brief) -> list[str]:
        model = self.model(brief)
        ours = [brief.knobs["shell"], brief.knobs["reflections"]]
        history = [
            f"--{kind}-history-file={brief.home}/.aider/{kind}" for kind in ("chat", "input")
        ]
        told = [
            f"--model={model}",
            f"--weak-model={model}",
            f"--message-file={brief.home}/{PROMPT}",
        ]
        chosen = brief.knobs["edit_format"]
        form = [f"--edit-format={chosen}"] if chosen else []
        shell = [] if brief.knobs["shell"] == "on" else ["--no-suggest-shell-commands"]
        return [*ours, *ALONE, *history, *told, *form, *shell]

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox, shells=("shell",), writes=("write_file",))
