"""What programs have in common that ask their model through litellm.

Knows litellm's names of models and of variables, and no program.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_ale.dialect import API, dialect_of
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Knob
from pytest_ale.knobs import one_of
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.story import Story

from .litellm_log import LitellmLog

__all__ = ["ASKED", "HERE", "LitellmProgram", "number"]

HERE = Path(__file__).parent
# Where each API begins at the gateway, and at its maker's.
BASES: Mapping[Api, str] = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
WAYS = ("chat", "anthropic", "gemini")
ASKED = {
    "api": Knob(
        f"how it asks its model: {', '.join(WAYS)}; by the model's name if none is given",
        "",
        one_of("", *WAYS),
    )
}


class LitellmProgram(Program):
    """A program that is started by a file of ours in its kit (litellm_inside.py)."""

    takes_mcp = False
    common = ASKED

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent(f"agent {self.name} has no model of its own: write {self.name}:MODEL")

    def parts(self, agent: Agent) -> list[str]:
        return ["the key of its model's API", *super().parts(agent)]

    def model_api(self, agent: Agent) -> Api:
        return API[dialect_of(agent.model or "", agent.knobs.get("api", ""))]

    def asks(self, brief: Brief) -> Api:
        return API[dialect_of(brief.model, brief.knobs["api"])]

    def base(self, brief: Brief) -> str:
        return brief.base_url + BASES[self.asks(brief)]

    def environment(self, brief: Brief) -> Mapping[str, str]:
        name = self.asks(brief).upper()
        return {f"{name}_API_KEY": brief.key, f"{name}_API_BASE": self.base(brief)}

    def model(self, brief: Brief) -> str:
        """The name by which litellm knows it."""
        return f"{self.asks(brief)}/{brief.model}"

    def reader(self, story: Story) -> Reader:
        return LitellmLog(story)


def number(text: str) -> str:
    """A knob's value that is a whole number."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 6):
        raise ValueError("must be a number")
    return text
