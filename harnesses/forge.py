"""forge: ForgeCode. Written from its documentation and never run here; its output is plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_ale.program import Brief

from .brought import Brought
from .plain import Plain
from .simple import Tools, served


class Forge(Plain):
    name = "forge"
    about = "ForgeCode"
    api = "openai"
    seen = False
    package = Brought(kit="forge", program="forge")
    does = Tools()

    def files(self, brief: Brief) -> Mapping[str, str]:
        """It looks for servers in the folder where it starts."""
        if not brief.servers:
            return {}
        folder = brief.task.removeprefix(f"{brief.home}/")
        return {f"{folder}/.mcp.json": json.dumps({"mcpServers": served(brief)}, indent=1)}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            "OPENAI_API_KEY": brief.key,
            "OPENAI_URL": f"{brief.base_url}/v1",
            "FORGE_SESSION__PROVIDER_ID": "openai_compatible",
            "FORGE_SESSION__MODEL_ID": brief.model,
            "FORGE_TRACKER": "false",
        }

    def arguments(self, brief: Brief) -> list[str]:
        return ["--prompt", brief.prompt, "--directory", brief.task]

    def stdin(self, brief: Brief) -> str:
        return ""

    def tool(self, server: str, name: str) -> str:
        return f"mcp_{server}_tool_{name}"
