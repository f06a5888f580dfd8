"""Codex's own tools, done again in a sandbox: commands, what was typed into them, and patches.

What was recorded decides how: a command that Codex left running is left running again.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from pytest_ale.again import said
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

__all__ = ["redo"]

INSIDE = "/tmp/codex-again/inside.py"
# Codex's own defaults and limits, in seconds: how long it waits for a command, and for more of it.
YIELD, YIELD_MOST, POLL = 10.0, 30.0, 5.0
LONGEST = 1800.0  # for a command that ended when it was recorded
# What only looks, asks or plans, or is done by calls that are recorded themselves.
LOOKS = {
    *("exec", "wait", "view_image", "update_plan", "request_user_input", "web_search"),
    *("list_mcp_resources", "list_mcp_resource_templates", "read_mcp_resource", "tool_search"),
    *("get_goal", "create_goal", "update_goal", "clock__sleep", "clock__curr_time"),
    *("read_file", "list_dir", "grep_files"),
    *("request_user_input_async", "send_user_message_async", "request_permissions"),
}
AGENTS = ("multi_agent_v1__", "collaboration__")  # what sub-agents do is recorded as their own
# Of what a script types into a command there is no other record: it would have to be run.
TYPES = re.compile(r"write_stdin\([^)]*chars\b(?!\s*:\s*(\"\"|''|``))")
RUNNING = re.compile(r"^Process running with session ID (\d+)$", re.MULTILINE)
HERE_PATCH = re.compile(
    r"""\s*(?:cd\s+(?P<cd>[^;&|<>]+?)\s*&&\s*)?(?:apply_patch|applypatch)\s*<<-?\s*['"]?(\w+)['"]?\n"""
    r"(?P<patch>.*)\n\2\s*",
    re.DOTALL,
)

_told: WeakSet[RecordingSandbox] = WeakSet()  # where INSIDE is


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a recorded call again; False for one that changes nothing in the sandbox."""
    name, given, told = call.function_name, call.arguments, said(call)
    if told.startswith("unsupported call") or (call.extra or {}).get("failed"):
        return False  # a tool that the model made up, or a patch that did not fit
    if name == "exec" and TYPES.search(word(given, "input")):
        raise Fault("a recorded script of codex types into a command: it cannot be done again")
    if name in LOOKS or name.startswith(AGENTS):
        return False
    if name == "exec_command":
        _command(call, sandbox)
    elif name in ("shell", "local_shell", "shell_command"):  # of older versions
        _shell(given, sandbox)
    elif name == "write_stdin":
        _type(given, sandbox)
    elif name == "apply_patch":
        patch(word(given, "input"), sandbox)
    else:
        raise Fault(f"recorded call {name}({', '.join(given)}) of codex cannot be done again")
    return True


def patch(text: str, sandbox: RecordingSandbox) -> None:
    """Change files by a text in the format of its `apply_patch`, which others have, too."""
    _inside(["patch"], text, None, sandbox)


def _command(call: ToolCall, sandbox: RecordingSandbox) -> None:
    given = call.arguments
    command, folder = word(given, "cmd"), word(given, "workdir") or None
    if found := HERE_PATCH.fullmatch(command):  # Codex does not leave these to the shell
        into = posixpath.join(folder or "", *shlex.split(found["cd"] or ""))
        _inside(["patch"], found["patch"], into or None, sandbox)
        return
    tty = bool(given.get("tty"))
    left = (call.extra or {}).get("left_running")
    if (running := RUNNING.search(said(call))) or tty or left:
        id = running[1] if running else call.tool_call_id
        waits = _seconds(given, YIELD, YIELD_MOST)
        _inside(["start", id, f"{waits}", "tty" if tty else "pipe"], command, folder, sandbox)
        return
    shell = str(given.get("shell") or "bash"), "-c" if given.get("login") is False else "-lc"
    with suppress(SandboxError):  # it may fail again as it failed before
        sandbox.exec([*shell, command], cwd=folder, timeout=LONGEST)


def _shell(given: Mapping[str, object], sandbox: RecordingSandbox) -> None:
    command = given.get("command")
    many = command if isinstance(command, list) else ["bash", "-lc", command]
    words = [str(each) for each in many]
    with suppress(SandboxError):
        sandbox.exec(words, cwd=word(given, "workdir") or None, timeout=LONGEST)


def _type(given: Mapping[str, object], sandbox: RecordingSandbox) -> None:
    waits = _seconds(given, POLL, LONGEST)
    words = ["type", str(given.get("session_id")), f"{waits}"]
    _inside(words, word(given, "chars"), None, sandbox)


def _inside(words: list[str], stdin: str, folder: str | None, sandbox: RecordingSandbox) -> None:
    if sandbox not in _told:
        sandbox.write(INSIDE, Path(__file__).with_name("codex_inside.py").read_text())
        _told.add(sandbox)
    with suppress(SandboxError):
        sandbox.exec(
            ["/usr/bin/python3", "-I", INSIDE, *words], cwd=folder, stdin=stdin, timeout=LONGEST
        )


def _seconds(given: Mapping[str, object], usual: float, most: float) -> float:
    asked = given.get("yield_time_ms")
    return min(asked / 1000, most) if isinstance(asked, int | float) and asked > 0 else usual
