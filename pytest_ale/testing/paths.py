"""Which API a path belongs to, and what is wanted there.

Knows nothing of what is in a request but its path and headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_ale.testing import anthropic, chat, gemini, responses
from pytest_ale.testing.answer import Api
from pytest_ale.testing.conversation import Json

__all__ = ["APIS", "Wanted", "listed", "wanted"]

APIS: dict[str, Api] = {
    "responses": responses,
    "chat": chat,
    "anthropic": anthropic,
    "gemini": gemini,
}

GEMINI = re.compile(r"/v1(?:beta|alpha)?/models/(?P<model>[^/:]+):(?P<verb>\w+)")
POSTS = {
    "/responses": ("responses", "answer"),
    "/responses/input_tokens": ("responses", "count"),
    "/chat/completions": ("chat", "answer"),
    "/messages": ("anthropic", "answer"),
    "/messages/count_tokens": ("anthropic", "count"),
}


@dataclass(frozen=True)
class Wanted:
    """What a path asks for; `model` and `stream` where the path says them."""

    api: str
    what: Literal["answer", "count", "models", "nothing"]
    model: str = ""
    stream: bool | None = None
    as_list: bool = False  # Gemini streams a JSON list unless it is asked for events


def wanted(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Wanted:
    """With or without /v1 in front: clients differ in whether it is part of their base URL."""
    if method == "POST" and (found := GEMINI.fullmatch(path)):
        return _gemini(found["model"], found["verb"], query)
    short = path.removeprefix("/v1")
    if method == "POST" and short in POSTS:
        api, what = POSTS[short]
        return Wanted(api, "count" if what == "count" else "answer")
    api = _asking(path, headers)
    if method == "GET" and (found := re.fullmatch(r"(?:/v1|/v1beta)?/models(?:/([^/]+))?", path)):
        return Wanted(api, "models", model=found[1] or "")
    return Wanted(api, "nothing")


def _asking(path: str, headers: Mapping[str, str]) -> str:
    """Whose client it is, where a path is not one API's alone: all have /v1/models."""
    if "anthropic-version" in headers:
        return "anthropic"
    return "gemini" if path.startswith("/v1beta") or "x-goog-api-key" in headers else "chat"


def _gemini(model: str, verb: str, query: Mapping[str, str]) -> Wanted:
    if verb == "countTokens":
        return Wanted("gemini", "count", model)
    if verb == "generateContent":
        return Wanted("gemini", "answer", model, stream=False)
    if verb == "streamGenerateContent":
        return Wanted("gemini", "answer", model, stream=True, as_list=query.get("alt") != "sse")
    return Wanted("gemini", "nothing", model)


def listed(wanted: Wanted, models: Sequence[str]) -> Json | None:
    """The models, or the one that was asked for; None when there is no such model."""
    known = {name: _model(wanted.api, name) for name in models}
    if wanted.model:
        return known.get(wanted.model)
    found = list(known.values())
    if wanted.api == "gemini":
        return {"models": found}
    if wanted.api == "anthropic":
        return {"data": found, "has_more": False, "first_id": models[0], "last_id": models[-1]}
    return {"object": "list", "data": found}


def _model(api: str, name: str) -> Json:
    if api == "gemini":
        verbs = ["generateContent", "countTokens"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": verbs}
    if api == "anthropic":
        since = "2026-01-01T00:00:00Z"
        return {"type": "model", "id": name, "display_name": name, "created_at": since}
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "scripted"}
