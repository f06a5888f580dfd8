"""droid: Factory's Droid, by `droid exec`. What it keeps is read in droid_log.py."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_ale.harness import Knob
from pytest_ale.knobs import one_of
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Reader
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.story import Story
from pytest_ale.testing.script import Call

from .droid_log import DroidLog
from .simple import Simple, Tools, served

EFFORTS = ("off", "low", "medium", "high")
# A model of the user's own is named by its place in the settings.
CHOSEN = "custom:examined-0"
# It wants a key of its maker's to start, and asks nobody whether it is one.
NO_KEY = "fk-none"
SEARCH = "ToolSearch"  # by which its model comes to the tools of servers
# What is done by its maker's servers, or asks somebody.
OFF = ("WebSearch", "FetchUrl", "GenerateImage", "AskUser")


class Searching(Rehearsal):
    def finds(self, *tools: str) -> Said:
        return [
            Call(SEARCH, {"query": "select:" + ",".join(f"desktop___{tool}" for tool in tools)})
        ]


class Droid(Simple):
    name = "droid"
    about = "Factory's Droid"
    rehearsal = Searching(write=("Create", "file_path", "content"))
    api = "openai"
    package = Package(
        kit="droid",
        name="droid",
        version="0.215.0",
        program="node_modules/@factory/cli-linux-{cpu}/bin/droid",
    )
    reached_by = (SEARCH,)  # what was not looked for is not offered
    followed = (".factory/sessions/*/*.jsonl",)
    own = {
        "effort": Knob(
            f"how hard its model thinks: {', '.join(EFFORTS)}; its own choice if none is given",
            "",
            one_of("", *EFFORTS),
        ),
    }
    does = Tools(
        shell={"Execute": "command"},
        behind="fireAndForget",
        write={"Create": ("file_path", "content")},
        edit={"Edit": ("file_path", "old_str", "new_str")},
        every="change_all",
        looks=frozenset(
            {
                *("Read", "LS", "Grep", "Glob", "TodoWrite", "Skill", "Task", "TaskOutput"),
                *("TaskStop", "ExitSpecMode", SEARCH, *OFF),
            }
        ),
    )

    def files(self, brief: Brief) -> Mapping[str, str]:
        model = {
            "model": brief.model,
            "displayName": "examined",
            "baseUrl": f"{brief.base_url}/v1",
            "apiKey": "${ALE_MODEL_KEY}",
            "provider": "generic-chat-completion-api",
            "maxOutputTokens": 32_000,
            "noImageSupport": False,  # a model that it does not know is shown none
        }
        settings = {"customModels": [model], "cloudSessionSync": False, "autoUpdate": False}
        found = {".factory/settings.json": json.dumps(settings, indent=1)}
        if brief.servers:
            told = {"mcpServers": served(brief, type="stdio", disabled=False)}
            found[".factory/mcp.json"] = json.dumps(told, indent=1)
        return found

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            "FACTORY_API_KEY": NO_KEY,
            "ALE_MODEL_KEY": brief.key,
            "FACTORY_DROID_AUTO_UPDATE_ENABLED": "false",
            "FACTORY_OTEL_ENABLED": "false",
            "FACTORY_AIRGAP_ENABLED": "true",
        }

    def arguments(self, brief: Brief) -> list[str]:
        words = ["exec", "--output-format", "stream-json", "--skip-permissions-unsafe"]
        words += ["--model", CHOSEN, "--remove-tools", ",".join(OFF)]
        effort = brief.knobs["effort"]
        return words + (["--reasoning-effort", effort] if effort else [])

    def reader(self, story: Story) -> Reader:
        return DroidLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}___{name}"
