"""The tool calls of opencode, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, with what was noted of its result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from pytest_ale.again import noted, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

from .codex_redo import patch

__all__ = ["patched", "redo"]

SHELL_SECONDS = 600.0
# Its tools that leave the sandbox as it is. What a sub-agent did is recorded as its own calls.
LOOKS = {
    *("read", "grep", "glob", "list", "lsp", "skill", "todowrite", "todoread", "question"),
    *("webfetch", "websearch", "codesearch", "task", "plan_enter", "plan_exit", "invalid"),
}
HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@.*$")


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing, or had failed; else a Fault."""
    if call.function_name in LOOKS:
        return False
    if call.function_name == "bash":  # one may fail, or not end, again
        return _run(call, sandbox)
    if noted(call).get("is_error"):  # such as of a tool that there never was
        return False
    if known := FILES.get(call.function_name):
        known(call, sandbox)
        return True
    raise Fault(f"recorded call {call.function_name} of opencode cannot be done again")


def _run(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    command, folder = word(call.arguments, "command"), word(call.arguments, "workdir")
    if not command:
        return False
    with suppress(SandboxError):
        sandbox.exec(["bash", "-c", command], cwd=_placed(folder, sandbox), timeout=SHELL_SECONDS)
    return True


def _placed(path: str, sandbox: RecordingSandbox) -> str:
    if path.startswith("/"):
        return path
    return f"{task_folder(sandbox)}/{path}".rstrip("/")


def _write(call: ToolCall, sandbox: RecordingSandbox) -> None:
    sandbox.write(
        _placed(word(call.arguments, "filePath"), sandbox), word(call.arguments, "content")
    )


def _edit(call: ToolCall, sandbox: RecordingSandbox) -> None:
    """An edit; where its text fits only loosely, by the change that was noted."""
    given, path = call.arguments, _placed(word(call.arguments, "filePath"), sandbox)
    old, new = word(given, "oldString"), word(given, "newString")
    before = sandbox.read(path).decode(errors="replace") if old else ""
    made: str | None = before.replace(old, new, -1 if given.get("replaceAll") else 1)
    if old and old not in before:
        made = patched(before, word(noted(call), "patch"))
    if made is None:
        raise Fault(f"the recorded edit of {path} cannot be done again: its text is not there")
    sandbox.write(path, made)


def _patch(call: ToolCall, sandbox: RecordingSandbox) -> None:
    patch(word(call.arguments, "patchText"), sandbox)


def patched(text: str, diff: str) -> str | None:
    """A text after a unified diff; None where one of its hunks does not fit."""
    lines, out, at, hunks = text.splitlines(keepends=True), [], 0, 0
    for start, old, new in _hunks(diff):
        if not at <= start <= len(lines):
            return None
        if [line.rstrip("\n") for line in lines[start : start + len(old)]] != old:
            return None
        out += [*lines[at:start], *new]
        at, hunks = start + len(old), hunks + 1
    return "".join([*out, *lines[at:]]) if hunks else None


def _hunks(diff: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Of each hunk the line before which it is, the lines that go, and those that come."""
    start, old, new = -1, list[str](), list[str]()
    for line in diff.splitlines(keepends=True):
        if found := HUNK.match(line):
            if start >= 0:
                yield start, old, new
            # One that takes no lines away stands after the line that it names.
            start, old, new = int(found[1]) - (found[2] != "0"), [], []
        elif start >= 0 and line.startswith("\\"):  # of the line before: it has no end
            new[-1:] = [each.rstrip("\n") for each in new[-1:]]
        elif start >= 0:
            old += [line[1:].rstrip("\n")] if line[0] in " -" else []
            new += [line[1:]] if line[0] in " +" else []
    if start >= 0:
        yield start, old, new


FILES: Mapping[str, Callable[[ToolCall, RecordingSandbox], None]] = {
    "write": _write,
    "edit": _edit,
    "apply_patch": _patch,
}
