"""What a request would have its model's server do elsewhere: search, fetch, ask other servers.

Knows nothing of HTTP libraries or attempts. A sandbox without a network has none through its model
either. Tools are known by kind, and what is not known is not passed: new kinds are most often ones
that the server runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["reaches_out"]

# Run by whoever asks, or finding other tools of the same request.
OWN = re.compile(
    r"function|custom|namespace|tool_search|local_shell|shell|apply_patch|computer(_use_preview)?"
    r"|(bash|text_editor|computer|memory|tool_search_tool_[a-z0-9]+)_\d{8}"
)
DECLARED = {"functionDeclarations", "function_declarations", "computerUse", "computer_use"}
# Beside the tools: other servers, search, and prompts kept on the server with tools of their own.
FIELDS = ("mcp_servers", "plugins", "prompt", "search_parameters", "web_search_options")
# Kinds of content that may be an address which the server fetches.
PARTS = ("input_image", "image_url", "input_file", "file")
# What a call was given and what came of it is data, whatever it looks like; by the block's kind.
DATA = {"tool_use": ("input",)}
FETCHED = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
DEPTH = 3  # of namespaces in namespaces


def reaches_out(asked: Mapping[str, object]) -> str:
    """The first thing in a request that leads elsewhere, in words, or ""."""
    for field in FIELDS:
        if asked.get(field):
            return f"the field {field!r}"
    given = [asked.get("tools"), *_added(asked)]
    for kind in _kinds(given, DEPTH):
        if not OWN.fullmatch(kind) and kind not in DECLARED:
            return f"a tool of kind {kind[:80]!r}"
    return _address(asked)


def _added(asked: Mapping[str, object]) -> Iterator[object]:
    """OpenAI's newer models are given tools as items of their input."""
    items = asked.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and "tools" in item:
            yield item["tools"]


def _kinds(tools: object, depth: int) -> Iterator[str]:
    """The kinds of tools; Google's have theirs as the name of their only field."""
    for tool in tools if isinstance(tools, list) else [tools]:
        if isinstance(tool, list):
            yield from _kinds(tool, depth)
        elif isinstance(tool, dict):
            if "type" in tool:
                yield str(tool["type"])
            elif "name" not in tool:  # Anthropic's own kind has a name and may have no type
                yield from tool
            if "tools" in tool:
                yield from _kinds(tool["tools"], depth - 1) if depth else ["tools in tools"]


def _address(asked: object) -> str:
    """An address in a request's content that is not the content itself."""
    left = [asked]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            if found := next(filter(_fetched, _sources(value)), ""):
                return f"the address {found[:80]!r}"
            data = DATA.get(str(value.get("type")), ("args", "response"))
            left += [inner for name, inner in value.items() if name not in data]
    return ""


def _sources(part: Mapping[str, object]) -> Iterator[str]:
    """Where a part of a content is to be had, in the ways of all APIs."""
    image, source = part.get("image_url"), part.get("source")
    known = part.get("fileData") or part.get("file_data")
    found = [image, part.get("file_url")] if part.get("type") in PARTS else []
    found += [image.get("url")] if isinstance(image, dict) else []
    found += [source.get("url")] if isinstance(source, dict) and source.get("type") == "url" else []
    found += [known.get("fileUri"), known.get("file_uri")] if isinstance(known, dict) else []
    yield from (text for text in found if isinstance(text, str))


def _fetched(text: str) -> bool:
    return bool(FETCHED.match(text)) and text.lstrip()[:5].lower() != "data:"
