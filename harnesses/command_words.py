"""Command lines, variables and files that a user writes: checked, and filled in for an attempt.

Knows no agent. `{model}` and the like are places; `{{model}}` stands for the text `{model}`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["MCP", "PROMPT", "fill", "folder", "listed", "pairs", "used", "variables", "words"]

PROMPT = ("prompt", "prompt_file")
MCP = ("mcp_config", "mcp_servers")
PLACES = {
    "program": "a word by itself: what starts the program of the kit",
    "kit": "where the kit is seen",
    "prompt": "the task, as text",
    "prompt_file": "the task, as a file",
    "model": "of the agent's name",
    "base_url": "of the model gateway, without /v1",
    "mcp_config": "a file that has the MCP servers, as JSON with mcpServers",
    "mcp_servers": "what mcpServers is there",
    "inputs": "the folder with what is given",
    "output": "the folder for what is handed over",
    "task": "the folder above both, where it starts",
    "home": "its home",
    "key": "good at the gateway, for this attempt only",
}
IN_WORDS = tuple(name for name in PLACES if name != "key")  # a command line is seen by all
IN_VARIABLES = tuple(name for name in PLACES if name != "program")
PLACE = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def words(text: str) -> str:
    """A command line as a shell splits it, or a list in JSON; given back as such a list."""
    found = _json(text) if text.lstrip().startswith("[") else _split(text)
    if not (isinstance(found, list) and found and all(isinstance(each, str) for each in found)):
        raise ValueError('must be the words of a command, or a list of texts such as ["cli", "-p"]')
    _known(found, IN_WORDS)
    if odd := [word for word in found if "{program}" in word and word != "{program}"]:
        raise ValueError(f"in {odd[0]!r}: {{program}} must be a word by itself")
    return json.dumps(found)


def variables(text: str) -> str:
    """NAME=VALUE words, or an object in JSON; given back as such an object."""
    found = _json(text) if text.lstrip().startswith("{") else _assigned(_split(text))
    assert isinstance(found, dict)  # JSON that begins with a brace is an object
    for name, value in found.items():
        if not (VARIABLE.fullmatch(name) and isinstance(value, str)):
            raise ValueError(f"{name!r}: must be NAME=VALUE, or NAME: TEXT in JSON")
    _known(found.values(), IN_VARIABLES)
    return json.dumps(found, sort_keys=True)


def folder(text: str) -> str:
    """A folder of this machine; "" for none."""
    path = Path(text).expanduser().absolute()
    if text and not path.is_dir():
        raise ValueError("there is no such folder")
    return str(path) if text else ""


def listed(text: str) -> list[str]:
    """What `words` gave back."""
    return [str(word) for word in json.loads(text or "[]")]


def pairs(text: str) -> Mapping[str, str]:
    """What `variables` gave back."""
    return {str(name): str(value) for name, value in json.loads(text or "{}").items()}


def used(texts: Iterable[str]) -> set[str]:
    """The places that are named."""
    return {match[2] for text in texts for match in PLACE.finditer(text) if match[2]}


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into their places; what is no place of these stays."""

    def put(match: re.Match[str]) -> str:
        if match[1]:
            return f"{{{match[1]}}}" if match[1] in PLACES else match[0]
        return values.get(match[2], match[0])

    return PLACE.sub(put, text)


def _known(texts: Iterable[str], allowed: tuple[str, ...]) -> None:
    if odd := sorted(used(texts) - {*allowed}):
        places = ", ".join(f"{{{name}}}" for name in allowed)
        raise ValueError(
            f"{{{odd[0]}}} is no place here; allowed: {places}"
            f" (write {{{{{odd[0]}}}}} for the text itself)"
        )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None


def _assigned(found: list[str]) -> dict[str, str]:
    if odd := [word for word in found if "=" not in word]:
        raise ValueError(f"{odd[0]!r}: must be NAME=VALUE")
    split = [word.partition("=") for word in found]
    return {name: value for name, _, value in split}
