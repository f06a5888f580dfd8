"""forge: what it is told, by its documentation: it was never run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.forge import Forge
from pytest_ale.harnesses.plain import Plain, TextLog

from pytest_ale.harness import Agent, BadAgent
from pytest_ale.program import Brief, Server

from .reading import of_agent, read

KEY = "canary-0123456789-brought-key"
URL = "http://127.0.0.1:9"
SERVED = {"command": "python3", "args": ["-I", "run.py"]}


def brief(harness: Plain) -> Brief:
    knobs = {name: knob.default or "" for name, knob in harness.knobs.items()}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    home = "/home/agent"
    return Brief("Do it.", "m", URL, KEY, servers, knobs, home, f"{home}/task", "/opt/ale/x")


@pytest.mark.parametrize("harness", [Forge()])
def test_its_key_is_in_its_environment_alone(harness: Plain, tmp_path: Path) -> None:
    told = brief(harness)
    assert KEY not in "".join([*harness.files(told).values(), *harness.start(told)])
    assert harness.environment(told)["OPENAI_API_KEY"] == KEY
    assert "Do it." in harness.start(told) and harness.stdin(told) == ""
    assert not harness.seen and isinstance(harness.reader(None), TextLog)  # type: ignore[arg-type]  # is not asked
    with pytest.raises(BadAgent, match=f"--ale-agent={harness.name}:MODEL"):
        harness.check(Agent(harness.name))
    (step,) = of_agent(read(TextLog, tmp_path, [("stdout", "Done.")])[0])
    assert step.message == "Done."


def test_what_forge_is_told() -> None:
    told = brief(Forge())
    (text,) = [Forge().files(told)["task/.mcp.json"]]
    assert json.loads(text) == {"mcpServers": {"desktop": SERVED}}
    assert Forge().environment(told)["OPENAI_URL"] == f"{URL}/v1"
    assert Forge().start(told)[:2] == ["/opt/ale/x/forge", "--prompt"]
