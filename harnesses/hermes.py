"""hermes: Nous Research's Hermes Agent. Written from its documentation and never run here.

Its output is plain text; what it did stands in a database of its own, which is not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_ale.program import Brief

from .brought import Brought
from .plain import Plain
from .simple import Tools, served

MOST_TURNS = 10_000  # the run's own limits are the exam's


class Hermes(Plain):
    name = "hermes"
    about = "Nous Research's Hermes Agent"
    api = "openai"
    seen = False
    package = Brought(kit="hermes", program="bin/hermes")
    does = Tools()

    def files(self, brief: Brief) -> Mapping[str, str]:
        """YAML, of which JSON is a part."""
        model = {
            "default": brief.model,
            "provider": "custom",
            "base_url": f"{brief.base_url}/v1",
        }
        config = {"model": model, "mcp_servers": served(brief, enabled=True)}
        return {".hermes/config.yaml": json.dumps(config, indent=1)}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {"OPENAI_API_KEY": brief.key, "OPENAI_BASE_URL": f"{brief.base_url}/v1"}

    def arguments(self, brief: Brief) -> list[str]:
        words = ["chat", "--quiet", "--yolo", "--accept-hooks", "--ignore-rules"]
        return [*words, "--max-turns", str(MOST_TURNS), "--query", brief.prompt]

    def stdin(self, brief: Brief) -> str:
        return ""

    def tool(self, server: str, name: str) -> str:
        return f"mcp_{server}_{name}"
