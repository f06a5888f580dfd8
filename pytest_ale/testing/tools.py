"""Which of the tools that an agent offers a script means.

Knows nothing of the APIs; the names are those of agents seen in the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from pytest_ale.testing.conversation import Tool, sub
from pytest_ale.testing.script import Call

__all__ = ["arguments", "find"]

SHELLS = (
    "exec_command",  # Codex
    "shell_command",
    "shell",
    "Bash",  # Claude Code
    "bash",  # OpenCode
    "run_shell_command",  # Gemini CLI, Qwen Code
    "execute_bash",
    "execute_command",
    "run_command",
    "run_terminal_command",  # Grok, which has another that takes a command: it watches
    "terminal",
)
COMMANDS = ("command", "cmd", "script", "input")
# Codex with its newer models: a tool that takes JavaScript, in which all its own tools are.
CODE = ("functions", "exec")


def find(name: str, offered: Sequence[Tool]) -> Tool | None:
    """The offered tool that a script calls by this name."""
    if name == "shell":
        return _shell(offered)
    for tool in offered:
        if name in (tool.name, str(tool)):
            return tool
    return next((tool for tool in offered if _plain(str(tool)) == _plain(name)), None)


def _plain(name: str) -> str:
    """mcp__desk__click, mcp_desk_click, mcp__desk.click and desk.click are one tool."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).removeprefix("mcp_")


def _shell(offered: Sequence[Tool]) -> Tool | None:
    own = {tool.name: tool for tool in reversed(offered) if not tool.namespace}
    for name in SHELLS:
        if name in own:
            return own[name]
    coded = (tool for tool in offered if (tool.namespace, tool.name) == CODE and tool.freeform)
    return next(
        (tool for tool in own.values() if _command(tool) in COMMANDS[:2]), next(coded, None)
    )


def _command(tool: Tool) -> str:
    """The name its schema has for the command line; "" without one."""
    known = sub((tool.schema or {}).get("properties"))
    return next((name for name in COMMANDS if name in known), "")


def arguments(call: Call, tool: Tool) -> str:
    """A call's arguments as the tool takes them: JSON, or text."""
    if tool.freeform and call.tool == "shell" and (tool.namespace, tool.name) == CODE:
        return _shell_code(call.arguments)
    if tool.freeform:
        return "\n".join(str(value) for value in call.arguments.values())
    given = dict(call.arguments)
    if call.tool == "shell":
        given = _shell_arguments(given, tool)
    return json.dumps(given)


def _shell_code(given: Mapping[str, object]) -> str:
    renamed = {"cmd" if name == "command" else name: value for name, value in given.items()}
    return f"text((await tools.exec_command({json.dumps(renamed)})).output)"


def _shell_arguments(given: Mapping[str, object], tool: Tool) -> dict[str, object]:
    schema = tool.schema or {}
    about = sub(schema.get("properties"))
    own = _command(tool) or "command"
    renamed = {own if name == "command" else name: value for name, value in given.items()}
    line = renamed.get(own)
    if sub(about.get(own)).get("type") == "array" and isinstance(line, str):
        renamed[own] = ["bash", "-lc", line]
    required = schema.get("required")
    for name in required if isinstance(required, list) else []:
        if sub(about.get(name)).get("type") == "string":
            renamed.setdefault(name, "scripted")  # a description, say: nobody reads it
    return renamed
