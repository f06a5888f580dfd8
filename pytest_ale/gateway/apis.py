"""The model APIs that are passed through: their paths, keys, errors, and where they name tools.

Knows nothing of HTTP libraries or attempts. Only what is listed here is forwarded: other paths can
spend money that no answer tells of (batches, background answers, fine-tuning).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

__all__ = ["APIS", "ENDS", "Route", "Upstream", "error", "route", "tokens", "tools", "upstreams"]

Api = Literal["openai", "anthropic", "gemini"]
Kind = Literal["answer", "free"]  # what is paid for, and what is not: counts and lists

APIS: tuple[Api, ...] = ("openai", "anthropic", "gemini")
KEYS: Mapping[Api, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
URLS: Mapping[Api, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
MODEL = r"(?P<model>[A-Za-z0-9][A-Za-z0-9._:@-]{0,199})"
PATHS: tuple[tuple[str, str, Api, Kind], ...] = (
    ("POST", r"/v1/responses(/compact)?", "openai", "answer"),
    ("POST", r"/v1/responses/input_tokens", "openai", "free"),
    ("POST", r"/v1/chat/completions", "openai", "answer"),
    ("POST", r"/v1/messages", "anthropic", "answer"),
    ("POST", r"/v1/messages/count_tokens", "anthropic", "free"),
    ("POST", rf"/v1(beta|alpha)?/models/{MODEL}:(stream)?[gG]enerateContent", "gemini", "answer"),
    ("POST", rf"/v1(beta|alpha)?/models/{MODEL}:countTokens", "gemini", "free"),
    ("GET", rf"/v1(beta|alpha)/models(/{MODEL})?", "gemini", "free"),
    ("GET", rf"/v1/models(/{MODEL})?", "openai", "free"),  # or Anthropic's: by its headers
)
ROUTES = [(method, re.compile(path), api, kind) for method, path, api, kind in PATHS]
VERSION = re.compile(r"/v\d[a-z0-9]*$")
# What tools are in: Gemini takes its names in either spelling, and litellm has the second.
DECLARATIONS = ("functionDeclarations", "function_declarations", "function")
NAME = 200  # characters of a tool's name that are kept
DEPTH = 3  # of namespaces in namespaces


@dataclass(frozen=True)
class Upstream:
    """Where an API is, and the key to it; without a key it is sent none."""

    url: str
    key: str = ""

    def target(self, path: str) -> str:
        """The address of a path; a base that ends in a version, as OpenAI's do, has it already."""
        base = self.url.rstrip("/")
        version = path[: path.index("/", 1)]
        return (base if VERSION.search(urlsplit(base).path) else base + version) + path[
            len(version) :
        ]


def upstreams(environ: Mapping[str, str], base_url: str = "") -> dict[Api, Upstream]:
    """The official servers, or one other for all, with the keys that the environment has."""
    keys = {
        api: next((environ[name] for name in names if environ.get(name)), "")
        for api, names in KEYS.items()
    }
    return {api: Upstream(base_url or URLS[api], keys[api]) for api in APIS}


@dataclass(frozen=True)
class Route:
    """What a request asks for; `model` is "" where the body names it."""

    api: Api
    kind: Kind
    model: str = ""


def route(method: str, path: str, headers: Mapping[str, str]) -> Route | int:
    """What is asked for, or the status that says no: 404, or 405 for a path that is known."""
    status = 404
    for wanted, pattern, api, kind in ROUTES:
        if found := pattern.fullmatch(path):
            if method == wanted:
                model = found.groupdict().get("model") or ""
                return Route(_whose(api, path, headers), kind, model)
            status = 405
    return status


def _whose(api: Api, path: str, headers: Mapping[str, str]) -> Api:
    """`GET /v1/models` is OpenAI's and Anthropic's."""
    listing = path.startswith("/v1/models") and api == "openai"
    anthropic = "x-api-key" in headers or "anthropic-version" in headers
    return "anthropic" if listing and anthropic else api


# Keys.

CARRIERS = ("authorization", "x-api-key", "x-goog-api-key")  # of a key, in any API


def tokens(headers: Mapping[str, str], query: str) -> list[str]:
    """Everything a request sends as its key."""
    sent = [headers[name] for name in CARRIERS if name in headers]
    sent = [text[7:] if text[:7].lower() == "bearer " else text for text in sent]
    return sent + [value for name, value in parse_qsl(query) if name == "key"]


def without_key(query: str) -> str:
    """A query without `key=`, and otherwise as it was written."""
    parts = [part for part in query.split("&") if parse_qsl(part, True)[:1]]
    return "&".join(part for part in parts if parse_qsl(part, True)[0][0] != "key")


def hiding(query: str) -> str:
    """A part of a query that has Google leave out its count of tokens, or tell it in another
    format, or ""."""
    for name, value in parse_qsl(query, True):
        plain = name.lower().removeprefix("$")
        if plain == "fields" or (plain == "alt" and value not in ("json", "sse")):
            return f"{name}={value}"[:200]
    return ""


def authorised(api: Api, key: str) -> dict[str, str]:
    """The headers by which an API knows whose request it is."""
    if not key:
        return {}
    named = {"anthropic": {"x-api-key": key}, "gemini": {"x-goog-api-key": key}}
    return named.get(api) or {"Authorization": f"Bearer {key}"}


# What ends an agent that is over its budget. Measured with real CLIs: codex tries again after 402
# as often as it is configured to, and ends at once by 400; claude and gemini end at once by 402.
ENDS: Mapping[Api, int] = {"openai": 400, "anthropic": 402, "gemini": 402}

# Errors, each in the shape that the API's own clients read.

ANTHROPIC = {401: "authentication_error", 402: "billing_error", 404: "not_found_error"}
ANTHROPIC |= {413: "request_too_large", 429: "rate_limit_error", 502: "api_error", 503: "api_error"}
GOOGLE = {401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 404: "NOT_FOUND"}
GOOGLE |= {429: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE"}


def error(api: Api, status: int, code: str, message: str) -> dict[str, object]:
    """An error's body; the message begins with the code, since not every client shows codes."""
    said = f"{code}: {message}"
    if api == "anthropic":
        kind = ANTHROPIC.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "code": code, "message": said}}
    if api == "gemini":
        about = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code.upper()}
        named = GOOGLE.get(status, "INVALID_ARGUMENT")
        return {"error": {"code": status, "message": said, "status": named, "details": [about]}}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": said, "type": kind, "param": None, "code": code}}


# Tools.


def tools(body: Mapping[str, object]) -> Iterator[str]:
    """Names of the tools that a request offers; one in a namespace of codex's is `SPACE__NAME`."""
    yield from _named(body.get("tools"), "", 0)
    for item in _dicts(body.get("input")):  # Codex 0.169 with its newer models: all of them here
        if item.get("type") == "additional_tools":
            yield from _named(item.get("tools"), "", 0)


def _named(offered: object, space: str, depth: int) -> Iterator[str]:
    for tool in _dicts(offered):
        inside = (tool.get(name) for name in DECLARATIONS)
        if found := list(_dicts(next(filter(None, inside), None))):
            yield from (name for each in found if (name := _name(each, space)))
        elif (inner := tool.get("tools")) and depth < DEPTH:
            yield from _named(inner, _name(tool, space) + "__", depth + 1)
        elif name := _name(tool, space):
            yield name


def _name(tool: Mapping[str, object], space: str) -> str:
    """A tool's name; the API's own tools have a type instead."""
    name = tool.get("name") or tool.get("type") or next(iter(tool), "")
    return f"{space}{name}"[:NAME] if isinstance(name, str) and name else ""


def _dicts(value: object) -> Iterator[Mapping[str, object]]:
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    yield from (item for item in items if isinstance(item, dict))
