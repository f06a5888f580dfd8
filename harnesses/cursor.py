"""cursor: Cursor's command line agent. Written from its documentation and never run here.

It asks its model by its maker's servers alone, with a key of theirs: no gateway sees what it uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_ale.harness import Agent, BadAgent
from pytest_ale.program import Brief, Reader
from pytest_ale.story import Story

from .brought import Brought
from .cursor_log import CursorLog
from .simple import Simple, Tools, served

KEY = "CURSOR_API_KEY"
HOSTS = ("*.cursor.sh", "*.cursor.com", "cursor.com", "*.cursorapi.com")


class Cursor(Simple):
    name = "cursor"
    about = "Cursor's agent"
    seen = False
    keys = (KEY,)
    hosts = HOSTS
    package = Brought(kit="cursor", program="cursor-agent")
    does = Tools(
        shell={"shell": "command"},
        write={"write": ("path", "fileText")},
        looks=frozenset(
            {"read", "ls", "glob", "grep", "semSearch", "updateTodos", "readLints", "webSearch"}
        ),
    )

    def check(self, agent: Agent) -> None:
        """It has a model of its own choice."""
        if agent.version:
            raise BadAgent(f"agent {agent.label}: its program is brought by hand, without @VERSION")

    def files(self, brief: Brief) -> Mapping[str, str]:
        if not brief.servers:
            return {}
        return {".cursor/mcp.json": json.dumps({"mcpServers": served(brief)}, indent=1)}

    def arguments(self, brief: Brief) -> list[str]:
        words = ["--print", "--output-format", "stream-json", "--force", "--trust"]
        words += ["--approve-mcps", "--sandbox", "disabled"]
        words += ["--model", brief.model] if brief.model else []
        return [*words, brief.prompt]

    def stdin(self, brief: Brief) -> str:
        return ""

    def reader(self, story: Story) -> Reader:
        return CursorLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}-{name}"
