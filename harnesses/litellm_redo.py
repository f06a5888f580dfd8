"""Calls of programs that have a shell and write whole files, done again in a sandbox.

Knows no program: which of its calls are which is said by its harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

__all__ = ["redo"]

SHELL_SECONDS = 600.0


def redo(
    call: ToolCall,
    sandbox: RecordingSandbox,
    *,
    shells: Sequence[str] = (),
    writes: Sequence[str] = (),
    looks: Sequence[str] = (),
) -> bool:
    """Do a call again; False for one that changes nothing, or that there never was; else a Fault.

    `shells` run their `command` with sh, in the task's folder; `writes` put `content` at
    `file_path`.
    """
    name = call.function_name
    if name in shells and (command := word(call.arguments, "command")):
        with suppress(SandboxError):  # one may fail, or not end, again
            folder = task_folder(sandbox)
            sandbox.exec(["/bin/sh", "-c", command], cwd=folder, timeout=SHELL_SECONDS)
        return True
    if name in writes:
        sandbox.write(word(call.arguments, "file_path"), word(call.arguments, "content"))
        return True
    if name in looks or noted(call).get("is_error"):
        return False
    raise Fault(f"recorded call {name} cannot be done again")
