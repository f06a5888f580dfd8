"""openhands: the real CLI against the scripted model, in docker, and its configuration."""

from __future__ import annotations

import json

from pytest_ale.harnesses.openhands import Openhands
from pytest_ale.harnesses.openhands_redo import edited

from pytest_ale.program import Brief, Server

from .alone import CANARY

# Its models say how risky they find each call; nobody is asked, whatever they say.


def test_what_is_asked_for_is_configured() -> None:
    home, servers = "/home/agent", {"desktop": Server("p", ("-I", "x"))}
    knobs = {"attempts": "2", "vision": "auto", "api": ""}
    brief = Brief("Do it.", "claude-m", "http://h:1", CANARY, servers, knobs, home, home)
    openhands = Openhands()
    files = openhands.files(brief)
    told = json.loads(files[".openhands/mcp.json"])["mcpServers"]["desktop"]
    assert (told["command"], told["args"]) == ("p", ["-I", "x"])
    words = openhands.arguments(brief)
    assert words[:3] == [f"{home}/.openhands/prompt.md", "2", "auto"] and "--headless" in words
    told = openhands.environment(brief)
    assert (told["LLM_MODEL"], told["LLM_BASE_URL"]) == ("anthropic/claude-m", "http://h:1")
    assert CANARY not in "".join(files.values()) + " ".join(words)


def test_an_edit_is_done_again_as_it_was() -> None:
    made = {"command": "insert", "path": "x", "insert_line": 1, "new_str": "b"}
    assert edited("insert", "a\nc\n", made) == "a\nb\nc\n"
    made = {"old_str": "a", "new_str": "b"}
    assert edited("str_replace", "a a", made) == "b a"
    assert edited("str_replace", "c", made) is None
    assert edited("undo_edit", "c", made) is None
