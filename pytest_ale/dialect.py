"""Dialect: how a model is asked, by a program that can ask in several ways.

Knows no program. A dialect is of one of the gateway's APIs; OpenAI's has two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, Knob
from pytest_ale.knobs import one_of

__all__ = ["API", "KNOB", "Dialect", "api_of", "dialect_of"]

Dialect = Literal["chat", "responses", "anthropic", "gemini"]

API: Mapping[Dialect, Api] = {
    "chat": "openai",
    "responses": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
}
# Models of the three whose names are their own. All others are asked by Chat Completions, which
# every server speaks: one that has a maker's model under another name (a slash in it) does so too.
NAMED: tuple[tuple[str, Dialect], ...] = (
    (r"claude-[^/]+", "anthropic"),
    (r"gemini-[^/]+", "gemini"),
    (r"(gpt-[5-9]|o[34])([.-][^/]*)?", "responses"),
)
KNOB = Knob(
    f"how it asks its model: {', '.join(API)}; by the model's name if none is given",
    "",
    one_of("", *API),
)


def dialect_of(model: str, asked: str) -> Dialect:
    """The one that is asked for; else by the model's name."""
    for dialect in API:
        if dialect == asked:
            return dialect
    return next((found for name, found in NAMED if re.fullmatch(name, model)), "chat")


def api_of(agent: Agent) -> Api:
    """Of an agent with the knob `api`."""
    return API[dialect_of(agent.model or "", agent.knobs.get("api", ""))]
