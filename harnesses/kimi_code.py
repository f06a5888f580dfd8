"""kimi_code: Moonshot AI's Kimi Code CLI. What it writes is read in kimi_code_log.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

from .kimi_code_log import KimiCodeLog
from .simple import Simple, Tools, served

# Tries of a request; its waits double from 0.5 s. Its own 10 take four minutes at a dead server.
ATTEMPTS = 6
MOST_STEPS = 10_000  # answers; the run's own limits are the exam's
EFFORTS = ("low", "medium", "high")


class KimiCode(Simple):
    name = "kimi_code"
    about = "Moonshot AI's Kimi Code CLI"
    rehearsal = Rehearsal(write=("Write", "path", "content"))
    subagents = True
    api = "openai"
    package = Package(
        kit="kimi_code",
        name="@moonshot-ai/kimi-code",
        version="2.1.0",
        program="node_modules/@moonshot-ai/kimi-code/dist/main.mjs",
        node=True,
    )
    followed = (".kimi-code/sessions/*/*/agents/*/wire.jsonl",)
    own = {
        "effort": Knob(
            f"how hard its model thinks: {', '.join(EFFORTS)}; its own choice if none is given",
            "",
            one_of("", *EFFORTS),
        ),
        "context": Knob("tokens that its model can be told", "262144", lambda text: _number(text)),
    }
    does = Tools(
        shell={"Bash": "command"},
        cwd="cwd",
        behind="run_in_background",
        write={"Write": ("path", "content")},
        edit={"Edit": ("path", "old_string", "new_string")},
        every="replace_all",
        looks=frozenset(
            {
                *("Read", "ReadMediaFile", "Glob", "Grep", "FetchURL", "WebSearch", "Skill"),
                *("Agent", "AgentSwarm", "AskUserQuestion", "EnterPlanMode", "ExitPlanMode"),
                *("TaskList", "TaskOutput", "TaskStop", "TodoList", "WaitFor"),
                *("CreateGoal", "GetGoal", "UpdateGoal", "SetGoalBudget"),
                *("CronCreate", "CronDelete", "CronList"),
            }
        ),
    )

    def files(self, brief: Brief) -> Mapping[str, str]:
        loop = f"max_attempts_per_step = {ATTEMPTS}\nmax_steps_per_turn = {MOST_STEPS}"
        found = {".kimi-code/config.toml": f"telemetry = false\n\n[loop_control]\n{loop}\n"}
        if brief.servers:
            told = json.dumps({"mcpServers": served(brief)}, indent=1)
            found[".kimi-code/mcp.json"] = told
        return found

    def environment(self, brief: Brief) -> Mapping[str, str]:
        told = {
            "KIMI_MODEL_NAME": brief.model,
            "KIMI_MODEL_BASE_URL": f"{brief.base_url}/v1",
            "KIMI_MODEL_API_KEY": brief.key,
            "KIMI_MODEL_PROVIDER_TYPE": "openai",
            "KIMI_MODEL_MAX_CONTEXT_SIZE": brief.knobs["context"],
            "KIMI_CODE_NO_AUTO_UPDATE": "1",
        }
        effort = brief.knobs["effort"]
        return told | ({"KIMI_MODEL_THINKING_EFFORT": effort} if effort else {})

    def arguments(self, brief: Brief) -> list[str]:
        """It takes the prompt on its command line alone."""
        return ["--output-format", "stream-json", "--prompt", brief.prompt]

    def stdin(self, brief: Brief) -> str:
        return ""

    def reader(self, story: Story) -> Reader:
        return KimiCodeLog(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        if call.function_name == "Write" and word(call.arguments, "mode") == "append":
            told = {"p": word(call.arguments, "path"), "t": word(call.arguments, "content")}
            sandbox.exec(["bash", "-c", 'printf %s "$t" >>"$p"'], env=told, check=True)
            return True
        return super().again(call, sandbox, folder)


def _number(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1000 <= int(text) <= 10**8):
        raise ValueError("must be a number from 1000 on")
    return text
