"""claude_code: Anthropic's Claude Code.

Knows its command line and its configuration. What it says is read in claude_code_log.py, and what
it did is done again in claude_code_redo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.harness import Agent, Knob
from pytest_ale.knobs import one_of, tools
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .claude_code_log import ClaudeCodeLog
from .claude_code_redo import redo

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
    # What sub-agents say and think, too. (The option of that name is unknown to older versions.)
    "CLAUDE_CODE_FORWARD_SUBAGENT_TEXT": "1",
    # Another model in place of one that is overloaded or refuses would get this one's score.
    "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
}


def thinking(text: str) -> str:
    if text in ("", "off") or (text.isascii() and text.isdigit() and int(text) >= 1024):
        return text
    raise ValueError("not off, nor a number of tokens from 1024 on")


class ClaudeCode(Program):
    name = "claude_code"
    about = "Anthropic's Claude Code"
    rehearsal = Rehearsal(write=("Write", "file_path", "content"))
    subagents = True
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
            "off, or tokens it may think before an answer (newer models heed effort alone)",
            default="",
            parse=thinking,
        ),
        "web": Knob(
            "on or off: whether it may search the web, at its model's provider, and fetch pages",
            default="off",
            parse=one_of("on", "off"),
        ),
        "disabled_tools": Knob("tools it does not get: Agent,Monitor", default="", parse=tools),
    }

    def searches(self, agent: Agent) -> bool:
        return agent.knobs["web"] == "on"

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
        words += ["--include-partial-messages", "--thinking-display=summarized"]
        words += ["--dangerously-skip-permissions", "--strict-mcp-config"]
        if brief.servers:
            words += [f"--mcp-config={brief.home}/{SERVERS}"]
        if brief.model:
            words += [f"--model={brief.model}"]
        if brief.knobs["effort"]:
            words += [f"--effort={brief.knobs['effort']}"]
        gone = [*filter(None, brief.knobs["disabled_tools"].split(","))]
        gone += WEB if brief.knobs["web"] == "off" else ()
        return words + ([f"--disallowedTools={','.join(gone)}"] if gone else [])

    def stdin(self, brief: Brief) -> str:
        """What begins with a word like /cost would be a command to it, and nobody is asked."""
        return f"\n{brief.prompt}" if brief.prompt.startswith("/") else brief.prompt

    def reader(self, story: Story) -> Reader:
        return ClaudeCodeLog(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)
