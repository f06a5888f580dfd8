"""The tool calls of OpenClaw, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, with what was noted of its result.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import objects, word
from pytest_ale.trajectory import ToolCall

from .codex_redo import patch
from .opencode_redo import patched

__all__ = ["redo"]

SHELL_SECONDS = 600.0


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing, or had failed.

    Its many other tools work on its own sessions, memory and servers: nothing in a task's folder.
    What is typed into a running command (`process`) cannot be done again.
    """
    if call.function_name == "exec":  # one may fail, or not end, again
        return _run(call, sandbox)
    if noted(call).get("is_error"):  # such as of a tool that there never was
        return False
    if call.function_name == "process" and word(call.arguments, "action") in TYPING:
        raise Fault("recorded call process of openclaw cannot be done again")
    if known := FILES.get(call.function_name):
        known(call, sandbox)
        return True
    return False


def _run(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    given = call.arguments
    command, folder = word(given, "command"), word(given, "workdir")
    if not command:
        return False
    if given.get("background"):
        command = f"setsid bash -c {shlex.quote(command)} </dev/null >/dev/null 2>&1 &"
    with suppress(SandboxError):
        sandbox.exec(["bash", "-c", command], cwd=_placed(folder, sandbox), timeout=SHELL_SECONDS)
    return True


def _placed(path: str, sandbox: RecordingSandbox) -> str:
    if path.startswith("~/"):
        return f"{sandbox.home}/{path[2:]}"
    return path if path.startswith("/") else f"{task_folder(sandbox)}/{path}".rstrip("/")


def _write(call: ToolCall, sandbox: RecordingSandbox) -> None:
    sandbox.write(_placed(word(call.arguments, "path"), sandbox), word(call.arguments, "content"))


def _edit(call: ToolCall, sandbox: RecordingSandbox) -> None:
    """Edits; where one fits only loosely, all by the change that was noted."""
    given, path = call.arguments, _placed(word(call.arguments, "path"), sandbox)
    before = sandbox.read(path).decode(errors="replace")
    made: str | None = before
    for edit in objects(given.get("edits")) or [given]:
        old, new = word(edit, "oldText"), word(edit, "newText")
        fits = made is not None and old and old in made
        made = made.replace(old, new, 1) if made is not None and fits else None
    if made is None:
        made = patched(before, word(noted(call), "patch"))
    if made is None:
        raise Fault(f"the recorded edit of {path} cannot be done again: its text is not there")
    sandbox.write(path, made)


def _patch(call: ToolCall, sandbox: RecordingSandbox) -> None:
    patch(word(call.arguments, "input"), sandbox)


TYPING = ("write", "send-keys", "submit", "paste")
FILES: Mapping[str, Callable[[ToolCall, RecordingSandbox], None]] = {
    "write": _write,
    "edit": _edit,
    "apply_patch": _patch,
}
