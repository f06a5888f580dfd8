"""The tool calls of Claude Code, done again in a sandbox.

Knows nothing of its log: a call is what a trajectory has of it, and `said` what came of it then.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress

from pytest_ale.again import said, task_folder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.trajectory import ToolCall

__all__ = ["redo"]

# Its tools that leave the sandbox as it is. What sub-agents do is recorded, and done again, itself.
LOOKS = {
    *("Read", "Glob", "Grep", "LS", "LSP", "WebFetch", "WebSearch", "Skill", "ToolSearch"),
    *("Agent", "Task", "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop"),
    *("TaskUpdate", "TodoWrite", "BashOutput", "KillShell", "ListAgents", "SendMessage"),
    *("ReportFindings", "CronCreate", "CronDelete", "CronList", "ScheduleWakeup"),
    *("EnterPlanMode", "ExitPlanMode", "AskUserQuestion", "StructuredOutput"),
    *("ListMcpResourcesTool", "ReadMcpResourceTool"),
}
NOT_DONE = "<tool_use_error>"  # how the result of a call begins that it refused to do
SHELL_SECONDS = 120.0  # its own limit, where a call has none
BEHIND_SECONDS = 10  # that a command in the background is waited for

Given = Mapping[str, object]


def redo(call: ToolCall, sandbox: RecordingSandbox) -> bool:
    """Do a call again; False for one that changes nothing, or was refused; else a Fault."""
    if call.function_name in LOOKS or said(call).startswith(NOT_DONE):
        return False
    if known := TOOLS.get(call.function_name):
        # What is missing, in a call or in the sandbox.
        with suppress(KeyError, IndexError, TypeError, ValueError, SandboxError):
            known({**(call.extra or {}), **call.arguments}, sandbox)
            return True
    raise Fault(f"recorded call {call.function_name} of Claude Code cannot be done again")


def _run(given: Given, sandbox: RecordingSandbox) -> None:
    """A command, in the folder where the one before it ended, as its shell does it.

    It goes back to the task's folder from outside of that, and after a failure to where it was; a
    sub-agent begins each command there.
    """
    task, state = shlex.quote(task_folder(sandbox)), f"{sandbox.home}/.replayed-cwd"
    alone = "agent" in given
    behind = bool(given.get("run_in_background") or "timeout_ms" in given)  # a Monitor has that
    start = f"cd {task}" if alone else f'cd "$(cat {state} 2>&- || echo {task})"'
    line = f"{start}\neval {shlex.quote(str(given['command']))} </dev/null"
    if not (alone or behind):
        line += f" && case $(pwd -P)/ in {task}/*) pwd -P;; *) echo {task};; esac >{state}"
    if behind:
        wait = f"for i in $(seq {BEHIND_SECONDS}); do kill -0 $! 2>&- || break; sleep 1; done"
        line = f"({line}) >/dev/null 2>&1 &\n{wait}"
    limit = given.get("timeout") or given.get("timeout_ms")
    seconds = float(limit) / 1000 if isinstance(limit, int | float) else SHELL_SECONDS
    with suppress(SandboxError):  # a command may fail again as it failed before
        sandbox.exec(["bash", "-c", line], timeout=seconds)


def _write(given: Given, sandbox: RecordingSandbox) -> None:
    path, content = str(given["file_path"]), str(given["content"])
    with suppress(SandboxError):  # as above
        sandbox.write(path, content)


def _edit(given: Given, sandbox: RecordingSandbox) -> None:
    path = str(given["file_path"])
    old, new = (str(given[name]).encode() for name in ("old_string", "new_string"))
    if not old:  # a new file
        sandbox.write(path, new)
        return
    held, end = sandbox.read(path), b"\n"
    if b"\r\n" in held:  # of which it knows nothing while it edits
        end = b"\r\n"
        old, new = (text.replace(end, b"\n").replace(b"\n", end) for text in (old, new))
    if old not in held:
        raise Fault(f"the recorded edit of {path} cannot be done again: its text is not there")
    if not new and not old.endswith(b"\n") and old + end in held:
        old += end  # what becomes empty goes with its line
    sandbox.write(path, held.replace(old, new, -1 if given.get("replace_all") else 1))


def _notebook(given: Given, sandbox: RecordingSandbox) -> None:
    """Replace, insert or delete a cell; one that was inserted gets the id that it got then."""
    path, mode = str(given["notebook_path"]), given.get("edit_mode", "replace")
    book = json.loads(sandbox.read(path))
    cells, named = book["cells"], given.get("cell_id")
    at = _cell(cells, str(named)) if named is not None else -1
    if mode == "delete":
        del cells[at]
    elif mode == "insert":
        id = re.match(r"Inserted cell (\S+) with", str(given.get("said", "")))
        cell = {"cell_type": given["cell_type"], "metadata": {}, "source": given["new_source"]}
        cell |= {"id": id[1]} if id and book.get("nbformat_minor", 0) >= 5 else {}
        cells.insert(at + 1, _not_run(cell))
    else:
        cells[at] = _not_run(cells[at] | {"source": given["new_source"]})
        cells[at]["cell_type"] = given.get("cell_type", cells[at]["cell_type"])
    sandbox.write(path, json.dumps(book, indent=1, ensure_ascii=False))


def _cell(cells: list[dict[str, object]], named: str) -> int:
    """The place of a cell by its id, or by its number, as in cell-0."""
    for number, cell in enumerate(cells):
        if named in (cell.get("id"), f"cell-{number}"):
            return number
    raise KeyError(named)


def _not_run(cell: dict[str, object]) -> dict[str, object]:
    return cell | ({"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {})


TOOLS: Mapping[str, Callable[[Given, RecordingSandbox], None]] = {
    "Bash": _run,
    "Monitor": _run,
    "Write": _write,
    "Edit": _edit,
    "NotebookEdit": _notebook,
}
