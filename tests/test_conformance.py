"""Every agent that asks a model, the real programs: one task, and what is a failure of what.

What an agent does not do as the others do stands in this table, with its reason. All seconds in it
were measured where little else was at work.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ale.registry import HARNESSES, harness_named, load_plugins
from pytest_ale.testing.conformance import WAYS, Subject, does_a_task, tells_failures
from pytest_ale.testing.examined import add_task, examine
from pytest_ale.testing.witness import witnessed

CLAUDE = (
    "{program} --print --verbose --output-format=stream-json --include-partial-messages"
    " --dangerously-skip-permissions --strict-mcp-config --mcp-config={mcp_config} --model={model}"
)
QUIET = (
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 ENABLE_TOOL_SEARCH=false IS_SANDBOX=1"
    " MCP_CONNECTION_NONBLOCKING=false CLAUDE_CODE_MAX_RETRIES=1"
)
ANOTHER = "it is the program of {}, which is tried there"


def found(name: str) -> str:
    """Kill it by its name: commands are not run by the program itself."""
    return f"pkill -SEGV -f '{name[:-1]}[{name[-1]}]'; sleep 9"


def but(*ways: str, because: str) -> dict[str, str]:
    return {way: because for way in WAYS if way not in ways}


SUBJECTS = {
    "acp-codex": Subject(
        "acp",
        ("agent=codex",),
        names=False,  # the protocol has titles for people
        tokens=False,  # and no tokens
        untried=but(because=ANOTHER.format("codex")),
    ),
    "acp-gemini_cli": Subject(
        "acp",
        ("agent=gemini_cli",),
        names=False,
        tokens=False,
        replayed=False,  # it does not tell its commands
    ),
    "aider": Subject("aider"),
    "claude_code": Subject(
        "claude_code",
        patient=dict.fromkeys(("refused", "broken", "down", "cut"), "it tries for 40 s"),
    ),
    "claw": Subject("claw", untried={"killed": "nothing in a sandbox can: it works from outside"}),
    "codex": Subject("codex"),
    "command": Subject(
        "command",
        ("api=anthropic", "kit=claude_code", "log=claude_code", f"argv={CLAUDE}", f"env={QUIET}"),
        untried=but(because=ANOTHER.format("claude_code")),
    ),
    "droid": Subject(
        "droid",
        tokens=False,
        kill="pkill -SEGV droid; sleep 9",
        patient=dict.fromkeys(("broken", "down"), "it had not ended after 140 s"),
    ),
    "gemini_cli": Subject("gemini_cli", quick=("attempts=2",)),
    "goose": Subject("goose", tokens=False),
    "grok": Subject("grok", patient=dict.fromkeys(("broken", "down", "cut"), "it tries for 95 s")),
    "hermes": Subject("hermes"),
    "kimi_code": Subject("kimi_code"),
    "mini_swe_agent": Subject("mini_swe_agent"),
    "openclaw": Subject(
        "openclaw",
        kill=found("told.mjs"),
        seconds=180,
        untried=but("refused", "cut", "killed", because="each takes it 18 s to start"),
    ),
    "opencode": Subject("opencode", quick=("attempts=2",)),
    "openhands": Subject("openhands", quick=("attempts=2",), kill=found("openhands_inside")),
    "qwen_code": Subject(
        "qwen_code", patient=dict.fromkeys(("broken", "down"), "it tries for 105 s")
    ),
    "terminus_2": Subject("terminus_2", kill=found("terminus_2_inside")),
}


def test_nobody_is_forgotten() -> None:
    load_plugins()
    known = map(harness_named, HARNESSES.names())
    asking = {
        each.name for each in known if each.seen and (each.api or each.packed or each.outside)
    }
    assert asking == {subject.agent for subject in SUBJECTS.values()}


ASKS = """#!/usr/bin/python3
import shutil, socket
for place in (("Telemetry.example.com", 443), ("198.51.100.7", 4317), ("127.0.0.1", 9)):
    try:
        socket.create_connection(place, 5).close()
    except OSError:
        pass
shutil.copy("inputs/word.txt", "output/word.txt")
"""


@pytest.mark.once
def test_the_witness_tells_whom_an_agent_asks(docker_engine: None, tmp_path: Path) -> None:
    """Though there is no network in its sandbox; and its own loopback is nobody."""
    asked = witnessed(tmp_path)
    add_task(tmp_path, "copy")
    (tmp_path / "asks.py").write_text(ASKS)
    words = ("--ale-provider=witness", f"--ale-knob=path={tmp_path}/asks.py")
    done = examine(tmp_path, "script", *words, env={"ALE_WITNESS": str(asked)})
    assert done.record.get("score") == 1.0, (done.record, done.said)
    assert asked.read_text().splitlines() == [
        "name telemetry.example.com",
        "address 203.0.113.1:443",
        "address 198.51.100.7:4317",
    ]


@pytest.mark.once
@pytest.mark.parametrize("name", SUBJECTS)
def test_it_does_a_task(docker_engine: None, name: str, tmp_path: Path) -> None:
    does_a_task(SUBJECTS[name], tmp_path)


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name, each in SUBJECTS.items() if each.ways])
def test_failures_are_told_from_success(name: str, tmp_path: Path) -> None:
    tells_failures(SUBJECTS[name], tmp_path)
