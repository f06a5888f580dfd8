"""The tool calls of Gemini CLI, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, with what was noted of its result.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

from .gemini_cli_log import edited

__all__ = ["redo"]

SHELL_SECONDS = 600.0
# Its tools that leave the sandbox as it is.
LOOKS = {
    *("list_directory", "read_file", "read_many_files", "grep_search", "search_file_content"),
    *("glob", "read_background_output", "list_background_processes", "update_topic"),
    *("write_todos", "activate_skill", "get_internal_docs", "save_memory"),
    *("google_web_search", "web_fetch", "ask_user", "enter_plan_mode", "exit_plan_mode"),
    # What a sub-agent did is recorded as its own calls.
    *("invoke_agent", "complete_task"),
}


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing, or had failed; else a Fault."""
    if call.function_name in LOOKS:
        return False
    if call.function_name == "run_shell_command":  # one may fail, or not end, again
        return _run(call, sandbox)
    if noted(call).get("is_error"):  # such as of a tool that there never was
        return False
    if known := FILES.get(call.function_name):
        known(call, sandbox)
        return True
    raise Fault(f"recorded call {call.function_name} of gemini_cli cannot be done again")


def _run(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    given = call.arguments
    command, folder = word(given, "command"), word(given, "dir_path")
    if not command:
        return False
    if given.get("is_background"):
        command = f"setsid bash -c {shlex.quote(command)} </dev/null >/dev/null 2>&1 &"
    where = folder if folder.startswith("/") else f"{task_folder(sandbox)}/{folder}"
    with suppress(SandboxError):
        sandbox.exec(["bash", "-c", command], cwd=where.rstrip("/"), timeout=SHELL_SECONDS)
    return True


def _place(call: ToolCall, sandbox: RecordingSandbox) -> str:
    path = word(call.arguments, "file_path")
    if path.startswith("~/"):
        return f"{sandbox.home}/{path[2:]}"
    return path if path.startswith("/") else f"{task_folder(sandbox)}/{path}"


def _write(call: ToolCall, sandbox: RecordingSandbox) -> None:
    sandbox.write(_place(call, sandbox), word(call.arguments, "content"))


def _replace(call: ToolCall, sandbox: RecordingSandbox) -> None:
    """An edit; where it matched more loosely than word by word, what came of it is recorded."""
    path, made = _place(call, sandbox), noted(call).get("new_content")
    if not isinstance(made, str):
        try:
            before = sandbox.read(path).decode(errors="replace")
        except SandboxError:
            before = ""
        made = edited(before, call.arguments)
    if made is None:
        raise Fault(f"recorded call replace cannot be done again: its old_string is not in {path}")
    sandbox.write(path, made)


FILES: Mapping[str, Callable[[ToolCall, RecordingSandbox], None]] = {
    "write_file": _write,
    "replace": _replace,
}
