"""gemini_cli: Google's Gemini CLI.

Knows its command line and its configuration. What it writes is read in gemini_cli_log.py, and what
it did is done again in gemini_cli_redo.py.
"""

from __future__ import annotations

import json
import re
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

from .gemini_cli_log import GeminiCliLog
from .gemini_cli_redo import redo

# Its own default, `auto`, has a smaller model rate the prompt and choose between two others: the
# score would be nobody's. `pro` is its own word for the model that it takes for hard work.
MODEL = "pro"

# Tries of a request that gets 429, 5xx or no connection, 5, 10 and 20 s apart (or as long as a 429
# says), each give or take a third: a dead server ends it in 25 to 46 s. Its own 10 take 4 minutes.
ATTEMPTS = "4"

# It empties DISPLAY for its shell, whatever is configured: no window opens there, and it seldom
# finds out why. This is said to the model, beside its own instructions, where there is a screen.
NO_DISPLAY = "Your shell has no DISPLAY set. To open a window on the screen, set DISPLAY=:0.\n"

MCP_MILLISECONDS = 600_000
LEVELS = ("minimal", "low", "medium", "high")
WEB = ("google_web_search", "web_fetch")
# Nobody is there to answer, or to agree to a plan.
ASKING = ("ask_user", "enter_plan_mode", "exit_plan_mode")


def attempts(text: str) -> str:
    if not (text.isdigit() and 1 <= int(text) <= 10):
        raise ValueError("must be a number from 1 to 10")
    return text


def thinking(text: str) -> str:
    if text and text not in LEVELS and not re.fullmatch(r"-1|\d{1,6}", text):
        raise ValueError(f"must be {', '.join(LEVELS)}, a number of tokens, or -1 for its choice")
    return text


class GeminiCli(Program):
    name = "gemini_cli"
    about = "Google Gemini CLI"
    rehearsal = Rehearsal(write=("write_file", "file_path", "content"))
    subagents = True
    api = "gemini"
    package = Package(
        kit="gemini_cli",
        name="@google/gemini-cli",
        version="0.61.0",
        program="node_modules/@google/gemini-cli/bundle/gemini.js",
        node=True,
    )
    # Its stdout has no thoughts, no tokens of a turn, no pictures, and little of most results.
    followed = (".gemini/tmp/*/chats/*.jsonl", ".gemini/tmp/*/chats/*/*.jsonl")
    own = {
        "thinking": Knob(
            f"{', '.join(LEVELS)} (Gemini 3), or a budget in tokens (2.5); its default",
            "",
            thinking,
        ),
        "web": Knob(
            "on or off: search and fetch, which the model's server does", "off", one_of("on", "off")
        ),
        "disabled_tools": Knob("names of its tools that are not offered, with commas", "", tools),
        "loop_detection": Knob(
            "on or off: it ends itself at the fifth call alike in a row", "off", one_of("on", "off")
        ),
        "attempts": Knob("tries of a request that fails, 1 to 10", ATTEMPTS, attempts),
    }

    def searches(self, agent: Agent) -> bool:
        return agent.knobs["web"] == "on"

    def files(self, brief: Brief) -> Mapping[str, str]:
        settings = {".gemini/settings.json": json.dumps(self._settings(brief), indent=1)}
        return settings | ({".gemini/GEMINI.md": NO_DISPLAY} if brief.servers else {})

    def _settings(self, brief: Brief) -> dict[str, object]:
        settings: dict[str, object] = {
            "security": {
                "auth": {"selectedType": "gemini-api-key"},
                "folderTrust": {"enabled": False},
            },
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {
                "enableAutoUpdate": False,
                "enableAutoUpdateNotification": False,
                "maxAttempts": int(brief.knobs["attempts"]),
                "sessionRetention": {"enabled": False},
                "plan": {"enabled": False},
            },
            # At a screen, to scroll or to press a key for the fifth time is no loop.
            "model": {"disableLoopDetection": brief.knobs["loop_detection"] == "off"},
            "context": {
                # Else its file tools refuse all that is not in the task's folder.
                "includeDirectories": [brief.home, "/tmp"],
                # For each @ in the prompt (an address of mail has one) it would search them all.
                "fileFiltering": {"enableRecursiveFileSearch": False},
            },
            # It would look for one to download.
            "tools": {"exclude": self._excluded(brief), "useRipgrep": False},
            "ide": {"enabled": False},
            # A task's own .env is none of its settings.
            "advanced": {"ignoreLocalEnv": True},
            "mcpServers": {
                name: {
                    "command": server.command,
                    "args": list(server.args),
                    "timeout": MCP_MILLISECONDS,
                    "trust": True,
                }
                for name, server in brief.servers.items()
            },
        }
        return settings | self._thinking(brief)

    def _excluded(self, brief: Brief) -> list[str]:
        web = () if brief.knobs["web"] == "on" else WEB
        return [*ASKING, *web, *filter(None, brief.knobs["disabled_tools"].split(","))]

    def _thinking(self, brief: Brief) -> dict[str, object]:
        asked = brief.knobs["thinking"]
        if not asked:
            return {}
        said = (
            {"thinkingLevel": asked.upper()} if asked in LEVELS else {"thinkingBudget": int(asked)}
        )
        config = {"generateContentConfig": {"thinkingConfig": {"includeThoughts": True, **said}}}
        override = {"match": {"isChatModel": True}, "modelConfig": config}
        return {"modelConfigs": {"customOverrides": [override]}}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            "GEMINI_API_KEY": brief.key,
            "GOOGLE_GEMINI_BASE_URL": brief.base_url,
            # It would start itself anew with more memory for its heap: 0.7 of 2 s.
            "GEMINI_CLI_NO_RELAUNCH": "true",
        }

    def arguments(self, brief: Brief) -> list[str]:
        told = ["--approval-mode", "yolo", "--skip-trust", "--output-format", "stream-json"]
        return ["--model", brief.model or MODEL, *told]

    def reader(self, story: Story) -> Reader:
        return GeminiCliLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"mcp_{server}_{name}"

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)
