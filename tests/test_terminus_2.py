"""terminus_2: Harbor's own class against the scripted model, in docker, and its command line."""

from __future__ import annotations

from pytest_ale.harnesses.terminus_2 import Terminus2

from pytest_ale.program import Brief

from .alone import CANARY

KNOBS = {"parser": "xml", "api": ""}


def test_what_is_asked_for_is_told() -> None:
    home = "/home/agent"
    brief = Brief("Do it.", "gemini-m", "http://h:1", CANARY, {}, KNOBS, home, home)
    words = Terminus2().arguments(brief)
    assert words == ["gemini/gemini-m", f"{home}/.terminus/prompt.md", "xml"]
