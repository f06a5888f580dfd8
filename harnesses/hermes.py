"""hermes: Nous Research's Hermes Agent, run for one task.

Knows its configuration. How it is started, and what it tells of its work, is in hermes_inside.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.again import noted
from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.program import Brief, Reader
from pytest_ale.pypi import Package
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.sandbox import Fault
from pytest_ale.story import Story
from pytest_ale.told import word
from pytest_ale.trajectory import ToolCall

from .codex_redo import patch
from .litellm_log import LitellmLog
from .simple import Simple, Tools, served

HERE = Path(__file__).parent
KEY = "ALE_MODEL_KEY"
PROMPT = ".hermes/prompt.md"
MOST_TURNS = "10000"  # the run's own limits are the exam's; its own are 90
MCP_SECONDS = 600
# Of these nothing is there, or nobody to hear it; the first four would ask other servers.
OFF = ("web", "browser", "image_gen", "tts", "cronjob", "clarify", "memory", "session_search")


def tokens(text: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text) >= 64_000):
        raise ValueError("must be a number of tokens from 64000 on: it does not run with less")
    return text


class Quoting(Rehearsal):
    """It takes no command line that leaves something running: it wants to do that itself."""

    def runs(self, line: str) -> Said:
        return super().runs(f"bash -c {shlex.quote(line)}" if "&" in line else line)


class Hermes(Simple):
    name = "hermes"
    about = "Nous Research's Hermes Agent"
    api = "openai"
    rehearsal = Quoting(shell="terminal", write=("write_file", "path", "content"))
    package = Package(
        kit="hermes",
        name="hermes-agent",
        version="0.19.0",
        inside=(HERE / "litellm_inside.py", HERE / "hermes_inside.py"),
        lock=HERE / "hermes.lock",
        also=("mcp",),
    )
    own = {
        "context": Knob("tokens that fit its model: it sums up at half of them", "200000", tokens),
        "images": Knob(
            "on or off: whether its model sees pictures of the desktop", "on", one_of("on", "off")
        ),
    }
    does = Tools(
        shell={"terminal": "command"},
        cwd="workdir",
        behind="background",
        write={"write_file": ("path", "content")},
        edit={"patch": ("path", "old_string", "new_string")},
        every="replace_all",
        looks=frozenset(
            {
                *("read_file", "search_files", "vision_analyze", "todo", "delegate_task"),
                *("skills_list", "skill_view", "skill_manage"),
            }
        ),
    )

    def files(self, brief: Brief) -> Mapping[str, str]:
        """YAML, of which JSON is a part."""
        config = json.dumps(self._config(brief), indent=1)
        return {".hermes/config.yaml": config, PROMPT: brief.prompt}

    def _config(self, brief: Brief) -> dict[str, object]:
        return {
            "model": {
                "default": brief.model,
                "provider": "custom",
                "base_url": f"{brief.base_url}/v1",
                "api_key": f"${{{KEY}}}",
                # Else it asks its model's server, and others, for what they know of its model.
                "context_length": int(brief.knobs["context"]),
                "supports_vision": brief.knobs["images"] == "on",
            },
            "agent": {"disabled_toolsets": list(OFF)},
            "approvals": {"mode": "off"},
            # What it would remember for, and learn from, other tasks: there are none.
            "memory": {"memory_enabled": False, "user_profile_enabled": False},
            "skills": {"creation_nudge_interval": 0},
            "curator": {"enabled": False},
            # It would ask its model for a title.
            "auxiliary": {"title_generation": {"enabled": False}},
            # And fetch a program that looks at commands, what it lacks, and lists of models.
            "security": {"tirith_enabled": False, "allow_lazy_installs": False},
            "lsp": {"enabled": False},
            "model_catalog": {"enabled": False},
            # Tools of servers are offered from the first request on.
            "tools": {"tool_search": {"enabled": "off"}},
            "mcp_servers": served(brief, enabled=True, timeout=MCP_SECONDS),
        }

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {KEY: brief.key}

    def stdin(self, brief: Brief) -> str:
        return ""

    def arguments(self, brief: Brief) -> list[str]:
        return [f"{brief.home}/{PROMPT}", MOST_TURNS]

    def reader(self, story: Story) -> Reader:
        return LitellmLog(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """What it typed into a running command, and its scripts, cannot be done again."""
        name, given = call.function_name, call.arguments
        if name == "process" and word(given, "action") in ("write", "submit"):
            raise Fault("recorded call process of hermes cannot be done again: it typed")
        if name == "process":
            return False
        if name == "patch" and word(given, "mode") == "patch" and not noted(call).get("is_error"):
            patch(word(given, "patch"), sandbox)
            return True
        return super().again(call, sandbox, folder)
