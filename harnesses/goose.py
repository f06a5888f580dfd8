"""goose: the open source agent that began at Block, in headless mode. Its log is goose_log.py's."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_ale.harness import Knob
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Reader
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story

from .goose_log import GooseLog
from .simple import Simple, Tools, served

MCP_SECONDS = 600
MOST_TURNS = "10000"  # the run's own limits are the exam's; its own are 1000


def turns(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10**6):
        raise ValueError("must be a number from 1 on")
    return text


class Goose(Simple):
    name = "goose"
    about = "goose, the Agentic AI Foundation's agent"
    rehearsal = Rehearsal(write=("write", "path", "content"))
    api = "openai"
    package = Package(
        kit="goose",
        name="@aaif/goose-sdk",  # of which the programs for all kinds of machines are parts
        version="0.20.2",
        program="node_modules/@aaif/goose-binary-linux-{cpu}/bin/goose",
    )
    own = {"turns": Knob("answers of its model before it asks whether to go on", MOST_TURNS, turns)}
    does = Tools(
        shell={"shell": "command"},
        write={"write": ("path", "content")},
        edit={"edit": ("path", "before", "after")},
        looks=frozenset(
            {
                *("tree", "analyze", "read_image", "load", "load_skill", "todo__todo_write"),
                *("extensionmanager__list_resources", "extensionmanager__read_resource"),
                *("extensionmanager__search_available_extensions", "delegate"),
            }
        ),
    )

    def files(self, brief: Brief) -> Mapping[str, str]:
        """YAML, of which JSON is a part."""
        extensions: dict[str, object] = {
            "developer": {
                "enabled": True,
                "type": "platform",
                "name": "developer",
                "description": "Shell and files",
                "bundled": True,
            }
        }
        told = {"enabled": True, "type": "stdio", "timeout": MCP_SECONDS, "description": "Tools"}
        for name, each in served(brief).items():
            words = {"name": name, "cmd": each["command"], "args": each["args"]}
            extensions[name] = told | words | {"envs": {}, "env_keys": []}
        config = {"GOOSE_TELEMETRY_ENABLED": False, "extensions": extensions}
        return {".config/goose/config.yaml": json.dumps(config, indent=1)}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            "GOOSE_PROVIDER": "openai",
            "GOOSE_MODEL": brief.model,
            "OPENAI_HOST": brief.base_url,
            "OPENAI_API_KEY": brief.key,
            "GOOSE_MODE": "auto",
            "GOOSE_DISABLE_KEYRING": "1",
            # A request of its own, for a title that nobody reads.
            "GOOSE_DISABLE_SESSION_NAMING": "true",
            "GOOSE_TELEMETRY_ENABLED": "false",
        }

    def arguments(self, brief: Brief) -> list[str]:
        told = ["run", "--instructions", "-", "--output-format", "stream-json"]
        return [*told, "--max-turns", brief.knobs["turns"]]

    def reader(self, story: Story) -> Reader:
        return GooseLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}__{name}"
