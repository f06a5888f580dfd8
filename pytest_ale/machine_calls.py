"""The bridges' tools, done again: so that what an agent outside did can be replayed.

Knows no agent program. Those that only look are passed over; what was typed at a terminal is no
record of what ran there, and is a Fault.
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping
from contextlib import suppress

from pytest_ale.again import task_folder
from pytest_ale.bridge_calls import redo_tool
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

__all__ = ["redo_any", "redo_call"]

LOOKS = ("read_text", "read_bytes", "list_dir", "read_clipboard")
SECONDS = 120.0  # of a command that named none, as the bridge has it

Given = Mapping[str, object]


def redo_any(call: ToolCall, sandbox: RecordingSandbox, on_screen: str) -> bool:
    """Do a call of either bridge again; `on_screen` is how the names of the desktop's begin."""
    name = call.function_name.removeprefix(on_screen)
    if name == call.function_name:
        return redo_call(name, call.arguments, sandbox)
    return redo_tool(name, call.arguments, sandbox, call.extra)


def redo_call(name: str, given: Given, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing. What failed before may fail again."""
    if name in LOOKS:
        return False
    known = {"run_command": _run, "write_text": _write, "write_bytes": _bytes, "edit_text": _edit}
    known |= {"write_clipboard": _copy}
    if name not in known:
        raise Fault(f"recorded call {name} of the machine's bridge cannot be done again")
    with suppress(SandboxError, ValueError):
        known[name](given, sandbox)
    return True


def _run(given: Given, sandbox: RecordingSandbox) -> None:
    limit, env = given.get("timeout"), given.get("env")
    sandbox.exec(
        ["bash", "-c", word(given, "command")],
        timeout=limit if isinstance(limit, int | float) else SECONDS,
        cwd=_place(given, "cwd", sandbox),
        env={str(k): str(v) for k, v in env.items()} if isinstance(env, dict) else None,
    )


def _write(given: Given, sandbox: RecordingSandbox) -> None:
    sandbox.write(_place(given, "path", sandbox), word(given, "content"))


def _bytes(given: Given, sandbox: RecordingSandbox) -> None:
    path, before = _place(given, "path", sandbox), b""
    if given.get("append"):
        with suppress(SandboxError):
            before = sandbox.read(path)
    sandbox.write(path, before + base64.b64decode(word(given, "content_b64"), validate=True))


def _edit(given: Given, sandbox: RecordingSandbox) -> None:
    path, old = _place(given, "path", sandbox), word(given, "old")
    text = sandbox.read(path).decode(errors="surrogateescape")
    if old and (given.get("replace_all") or text.count(old) == 1):
        made = text.replace(old, word(given, "new"))
        sandbox.write(path, made.encode(errors="surrogateescape"))


def _copy(given: Given, sandbox: RecordingSandbox) -> None:
    sandbox.desktop.set_clipboard(word(given, "text"))


def _place(given: Given, name: str, sandbox: RecordingSandbox) -> str:
    path = word(given, name)
    if path == "~" or path.startswith("~/"):
        return sandbox.home + path[1:]
    return posixpath.normpath(posixpath.join(task_folder(sandbox), path))
