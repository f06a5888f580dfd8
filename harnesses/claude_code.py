"""claude_code: Anthropic's Claude Code.

Knows its command line, its configuration, and how its tool calls are done again. What it says is
read in claude_code_log.py.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from pytest_ale.harness import Knob
from pytest_ale.kept import restored
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import Fault, SandboxError
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .claude_code_log import Log

SERVERS = ".claude/mcp.json"
WEB = ("WebSearch", "WebFetch")
EFFORTS = ("low", "medium", "high", "xhigh", "max")

# Tries after the first, for 401, 408, 429, 5xx, and answers that break off or never begin. The
# waits double from 0.5 s, or are what the server says: a dead one ends it in 36 to 44 s (measured).
RETRIES = 6
ENVIRONMENT = {
    # Without these it calls home: 5 s at each start where there is no network (docker.md 4).
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # It refuses to skip permissions as root, unless it is told that this is a sandbox.
    "IS_SANDBOX": "1",
    # Tools of servers are offered from the first request on, and not behind a search for tools.
    "ENABLE_TOOL_SEARCH": "false",
    "MCP_CONNECTION_NONBLOCKING": "false",
    "MCP_TIMEOUT": "60000",
    "MCP_TOOL_TIMEOUT": "600000",
    "CLAUDE_CODE_MAX_RETRIES": str(RETRIES),
    # Another model in place of one that is overloaded or refuses would get this one's score.
    "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
}

# Its tools that leave the sandbox as it is. What sub-agents do is recorded, and done again, itself.
LOOKS = {
    *("Read", "Glob", "Grep", "LS", "LSP", "WebFetch", "WebSearch", "Skill", "ToolSearch"),
    *("Agent", "Task", "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop"),
    *("TaskUpdate", "TodoWrite", "BashOutput", "KillShell", "ListAgents", "SendMessage"),
    *("ReportFindings", "CronCreate", "CronDelete", "CronList", "ScheduleWakeup"),
    *("EnterPlanMode", "ExitPlanMode", "AskUserQuestion", "StructuredOutput"),
    *("ListMcpResourcesTool", "ReadMcpResourceTool"),
}
SHELLS = {"Bash", "Monitor"}
SHELL_SECONDS = 120.0  # its own limit, where a call has none
BEHIND_SECONDS = 10  # that a replay waits for a command in the background to end
NOT_DONE = "<tool_use_error>"  # how the result of a call begins that it refused to do


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"not one of {', '.join(filter(None, allowed))}")
        return text

    return parse


def thinking(text: str) -> str:
    if text in ("", "off") or (text.isascii() and text.isdigit() and int(text) >= 1024):
        return text
    raise ValueError("not off, nor a number of tokens from 1024 on")


def names(text: str) -> str:
    found = [name.strip() for name in text.split(",") if name.strip()]
    if odd := [name for name in found if not re.fullmatch(r"[A-Za-z_][\w-]*", name)]:
        raise ValueError(f"{odd[0]!r} is not the name of a tool, such as Agent or Bash")
    return ",".join(found)


class ClaudeCode(Program):
    name = "claude_code"
    about = "Anthropic's Claude Code"
    api = "anthropic"
    package = Package(
        kit="claude_code",
        name="@anthropic-ai/claude-code",
        version="2.1.330",
        # Its install script would copy this over a placeholder.
        program="node_modules/@anthropic-ai/claude-code-linux-{cpu}/claude",
    )
    followed = (".claude/projects/*/*/subagents/*.jsonl",)
    own = {
        "effort": Knob(
            f"how hard it works: {', '.join(EFFORTS)}; its own choice if none is given",
            default="",
            parse=one_of("", *EFFORTS),
        ),
        "thinking": Knob(
            "off, or tokens it may think before an answer; newer models only go by effort",
            default="",
            parse=thinking,
        ),
        "web": Knob(
            "on: it may search and fetch from the web, on its provider's servers",
            default="off",
            parse=one_of("on", "off"),
        ),
        "disallowed_tools": Knob("tools it does not get: Agent,Monitor", default="", parse=names),
    }

    def files(self, brief: Brief) -> Mapping[str, str]:
        # Without the check it asks its makers' server about each page, which no sandbox reaches.
        files = {".claude/settings.json": json.dumps({"skipWebFetchPreflight": True})}
        if brief.servers:
            servers = {
                name: {
                    "type": "stdio",
                    "command": server.command,
                    "args": list(server.args),
                    "alwaysLoad": True,
                }
                for name, server in brief.servers.items()
            }
            files[SERVERS] = json.dumps({"mcpServers": servers})
        return files

    def environment(self, brief: Brief) -> Mapping[str, str]:
        told = ENVIRONMENT | {"ANTHROPIC_BASE_URL": brief.base_url, "ANTHROPIC_API_KEY": brief.key}
        if brief.model:  # sub-agents are of the same one: it is in the agent's name
            told["CLAUDE_CODE_SUBAGENT_MODEL"] = brief.model
        if brief.knobs["thinking"] == "off":
            told["CLAUDE_CODE_DISABLE_THINKING"] = "1"
        elif brief.knobs["thinking"]:
            told["MAX_THINKING_TOKENS"] = brief.knobs["thinking"]
        return told

    def arguments(self, brief: Brief) -> list[str]:
        """The prompt is on stdin. Partial messages are where it says what an answer used."""
        words = ["--print", "--verbose", "--output-format=stream-json"]
        words += ["--include-partial-messages", "--forward-subagent-text"]
        words += ["--thinking-display=summarized", "--dangerously-skip-permissions"]
        words += ["--strict-mcp-config"]
        if brief.servers:
            words += [f"--mcp-config={brief.home}/{SERVERS}"]
        if brief.model:
            words += [f"--model={brief.model}"]
        if brief.knobs["effort"]:
            words += [f"--effort={brief.knobs['effort']}"]
        gone = [*filter(None, brief.knobs["disallowed_tools"].split(","))]
        gone += WEB if brief.knobs["web"] == "off" else ()
        return words + ([f"--disallowedTools={','.join(gone)}"] if gone else [])

    def reader(self, story: Story) -> Reader:
        return Log(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        told = call.extra or {}
        if call.function_name in LOOKS or str(told.get("said", "")).startswith(NOT_DONE):
            return False
        given = {name: _whole(value, folder) for name, value in call.arguments.items()}
        with suppress(KeyError, SandboxError):
            if call.function_name in SHELLS:
                return _run(given, sandbox, alone="agent" in told)
            if call.function_name == "Write":
                sandbox.write(str(given["file_path"]), str(given["content"]))
                return True
            if call.function_name == "Edit":
                return _edit(given, sandbox)
        raise Fault(f"recorded call {call.function_name} of {self.name} cannot be done again")


# Replay.


def _whole(value: object, folder: Path) -> object:
    """An argument that was too long for the trajectory is in a file beside it."""
    is_kept = isinstance(value, dict) and value.keys() == {"file"}
    return restored(value, folder).decode() if is_kept else value


def _run(given: Mapping[str, object], sandbox: RecordingSandbox, *, alone: bool) -> bool:
    """A command, in the folder where the one before it ended, as its shell does it.

    It goes back to the task's folder from outside of that, and after a failure to where it was; a
    sub-agent begins each command there.
    """
    task, state = shlex.quote(sandbox.output.rpartition("/")[0]), f"{sandbox.home}/.replayed-cwd"
    behind = bool(given.get("run_in_background") or "persistent" in given)
    start = f"cd {task}" if alone else f'cd "$(cat {state} 2>&-)" 2>&- || cd {task}'
    line = f"{start}\neval {shlex.quote(str(given['command']))} </dev/null"
    if not (alone or behind):
        line += f" && case $(pwd -P)/ in {task}/*) pwd -P;; esac >{state}"
    if behind:
        wait = f"for i in $(seq {BEHIND_SECONDS}); do kill -0 $! 2>&- || break; sleep 1; done"
        line = f"({line}) >/dev/null 2>&1 &\n{wait}"
    limit = given.get("timeout") or given.get("timeout_ms")
    seconds = float(limit) / 1000 if isinstance(limit, int | float) else SHELL_SECONDS
    with suppress(SandboxError):  # a command may fail again as it failed before
        sandbox.exec(["bash", "-c", line], timeout=seconds)
    return True


def _edit(given: Mapping[str, object], sandbox: RecordingSandbox) -> bool:
    path, old, new = (str(given[name]) for name in ("file_path", "old_string", "new_string"))
    if not old:  # a new file
        sandbox.write(path, new)
        return True
    text = sandbox.read(path).decode()
    if "\r\n" in text:  # of which it knows nothing while it edits
        old, new = (part.replace("\r\n", "\n").replace("\n", "\r\n") for part in (old, new))
    if old not in text:
        raise Fault(f"the recorded edit of {path} cannot be done again: its text is not there")
    sandbox.write(path, text.replace(old, new, -1 if given.get("replace_all") else 1))
    return True
