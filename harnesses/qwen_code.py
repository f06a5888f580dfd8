"""qwen_code: Qwen Code, which began as Gemini CLI.

Knows its command line and its configuration. What it writes is read in qwen_code_log.py, and what
it did is done again in qwen_code_redo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pytest_ale.dialect import KNOB, Dialect, api_of, dialect_of
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Knob
from pytest_ale.knobs import one_of, tools
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .qwen_code_log import QwenCodeLog
from .qwen_code_redo import redo

PROMPT = ".qwen/prompt.md"
MCP_MILLISECONDS = 600_000
# Nobody is there to answer, or to agree to a plan.
ASKING = ("ask_user_question", "enter_plan_mode", "exit_plan_mode")

# Its word for who asks the model, and the variables that tell it where, with what key.
AUTH: Mapping[Dialect, tuple[str, str, str, str]] = {
    "chat": ("openai", "OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "responses": ("openai-responses", "OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "anthropic": ("anthropic", "ANTHROPIC_BASE_URL", "", "ANTHROPIC_API_KEY"),
    "gemini": ("gemini", "GOOGLE_GEMINI_BASE_URL", "", "GEMINI_API_KEY"),
}


class QwenCode(Program):
    name = "qwen_code"
    about = "Qwen Code, with a model of any maker's"
    rehearsal = Rehearsal(write=("write_file", "file_path", "content"))
    subagents = True
    package = Package(
        kit="qwen_code",
        name="@qwen-code/qwen-code",
        version="0.24.4",
        program="node_modules/@qwen-code/qwen-code/cli-entry.js",
        node=True,
    )
    # Its stdout has no times, and little of sub-agents.
    followed = (".qwen/projects/*/chats/*.jsonl", ".qwen/projects/*/subagents/*/*.jsonl")
    own = {
        "api": KNOB,
        "disabled_tools": Knob("names of its tools that are not offered, with commas", "", tools),
        "images": Knob(
            "on or off: whether its model sees pictures of the desktop; of many, it thinks not",
            "on",
            one_of("on", "off"),
        ),
        "loop_detection": Knob(
            "on or off: it ends itself where it takes its calls for a loop",
            "off",
            one_of("on", "off"),
        ),
    }

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent("agent qwen_code has no model of its own: name one, qwen_code:MODEL")

    def parts(self, agent: Agent) -> list[str]:
        return ["the key of its model's API", *super().parts(agent)]

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        return api_of(agent)

    def files(self, brief: Brief) -> Mapping[str, str]:
        settings = {".qwen/settings.json": json.dumps(self._settings(brief), indent=1)}
        return settings | ({PROMPT: brief.prompt} if _has_a_meaning(brief.prompt) else {})

    def _settings(self, brief: Brief) -> dict[str, object]:
        auth, *_ = AUTH[dialect_of(brief.model, brief.knobs["api"])]
        sees = brief.servers and brief.knobs["images"] == "on"
        off = [*ASKING, *filter(None, brief.knobs["disabled_tools"].split(","))]
        return {
            "security": {"auth": {"selectedType": auth}, "folderTrust": {"enabled": False}},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {"enableAutoUpdate": False},
            "model": {
                "skipLoopDetection": brief.knobs["loop_detection"] == "off",
                "generationConfig": {"modalities": {"image": True}} if sees else {},
            },
            # It would ask its model, at the end, what it should remember for the next time.
            "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False},
            "context": {
                # Else its file tools refuse all that is not in the task's folder.
                "includeDirectories": [brief.home, "/tmp"],
                "fileFiltering": {"enableRecursiveFileSearch": False},
            },
            "tools": {
                "exclude": off,
                "useRipgrep": False,  # its own is not executable (docker.md 3)
                # Tools of servers are offered from the first request on.
                "toolSearch": {"enabled": False},
            },
            "ide": {"enabled": False},
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

    def environment(self, brief: Brief) -> Mapping[str, str]:
        _, url, version, key = AUTH[dialect_of(brief.model, brief.knobs["api"])]
        return {
            url: brief.base_url + version,
            key: brief.key,
            # It would start itself anew with more memory for its heap.
            "QWEN_CODE_NO_RELAUNCH": "true",
            # It would say so, with what may have been complained of last.
            "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1",
        }

    def arguments(self, brief: Brief) -> list[str]:
        auth, *_ = AUTH[dialect_of(brief.model, brief.knobs["api"])]
        told = ["--approval-mode", "yolo", "--output-format", "stream-json"]
        return ["--model", brief.model, "--auth-type", auth, *told]

    def stdin(self, brief: Brief) -> str:
        """It would take an @ in the prompt for a file: then the prompt itself is one."""
        return f"@{brief.home}/{PROMPT}" if _has_a_meaning(brief.prompt) else brief.prompt

    def reader(self, story: Story) -> Reader:
        return QwenCodeLog(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)


def _has_a_meaning(prompt: str) -> bool:
    """To the CLI, and not to the model alone: an address of mail would get a space in it."""
    return "@" in prompt or prompt.lstrip().startswith("/")
