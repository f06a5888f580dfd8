"""The tool calls of Qwen Code, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, with what was noted of its result.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import Json, word
from pytest_ale.trajectory import ToolCall

__all__ = ["edited", "redo"]

SHELL_SECONDS = 600.0
# Its tools that leave the sandbox as it is. What a sub-agent did is recorded as its own calls.
LOOKS = {
    *("agent", "ask_user_question", "cron_create", "cron_delete", "cron_list", "enter_plan_mode"),
    *("exit_plan_mode", "get_goal", "glob", "grep_search", "list_agents", "list_directory"),
    *("loop_wakeup", "lsp", "monitor", "read_file", "read_many_files", "read_mcp_resource"),
    *("report_findings", "save_memory", "send_message", "skill", "task_stop", "todo_write"),
    *("tool_search", "update_goal", "web_fetch", "web_search", "zoom_image"),
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
    raise Fault(f"recorded call {call.function_name} of qwen_code cannot be done again")


def _run(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    given = call.arguments
    command, folder = word(given, "command"), word(given, "directory")
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
    return path if path.startswith("/") else f"{task_folder(sandbox)}/{path}"


def _write(call: ToolCall, sandbox: RecordingSandbox) -> None:
    sandbox.write(_place(call, sandbox), word(call.arguments, "content"))


def _edit(call: ToolCall, sandbox: RecordingSandbox) -> None:
    """An edit; where it matched more loosely than word by word, what came of it is recorded."""
    path, made = _place(call, sandbox), noted(call).get("new_content")
    if not isinstance(made, str):
        made = edited(_held(path, sandbox), call.arguments)
    if made is None:
        raise Fault(f"recorded call edit cannot be done again: its old_string is not in {path}")
    sandbox.write(path, made)


def _held(path: str, sandbox: RecordingSandbox) -> str:
    with suppress(SandboxError):
        return sandbox.read(path).decode(errors="replace")
    return ""


def edited(text: str, asked: Json) -> str | None:
    """A file's text after an edit, taken by its word; None where that fits nowhere."""
    old, new = word(asked, "old_string"), word(asked, "new_string")
    if not old:
        return new
    if old not in text:
        return None
    return text.replace(old, new, -1 if asked.get("replace_all") else 1)


FILES: Mapping[str, Callable[[ToolCall, RecordingSandbox], None]] = {
    "write_file": _write,
    "edit": _edit,
}
