"""The tool calls of OpenHands, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, with what was noted of its result.
"""

from __future__ import annotations

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import Json, word
from pytest_ale.trajectory import ToolCall

from .litellm_redo import redo as run_or_write

__all__ = ["OWN", "edited", "redo"]

LOOKS = {"task_tracker", "task", "think", "finish", "invoke_skill", "view"}
OWN = LOOKS | {"terminal", "file_editor"}


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing, or had failed; else a Fault."""
    if call.function_name == "file_editor":
        return _edit(call, sandbox)
    if call.arguments.get("is_input"):
        raise Fault("recorded call terminal cannot be done again: it typed into a running command")
    return run_or_write(call, sandbox, shells=("terminal",), looks=tuple(LOOKS))


def _edit(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    given, what = call.arguments, word(call.arguments, "command")
    if what == "view" or noted(call).get("is_error"):
        return False
    path = word(given, "path")
    path = path if path.startswith("/") else f"{task_folder(sandbox)}/{path}"
    if what == "create":
        sandbox.write(path, word(given, "file_text"))
        return True
    try:
        before = sandbox.read(path).decode(errors="replace")
    except SandboxError:
        before = ""
    made = edited(what, before, given)
    if made is None:
        raise Fault(f"recorded call file_editor cannot be done again: {what} in {path}")
    sandbox.write(path, made)
    return True


def edited(what: str, before: str, given: Json) -> str | None:
    """A file's text after an edit; None where that fits nowhere."""
    old, new = word(given, "old_str"), word(given, "new_str")
    if what == "str_replace" and old and old in before:
        return before.replace(old, new, 1)
    line = given.get("insert_line")
    if what == "insert" and isinstance(line, int):
        lines = before.splitlines(keepends=True)
        return "".join([*lines[:line], new.rstrip("\n") + "\n", *lines[line:]])
    return None
