"""An agent program with a screen, in a container: examined only if it could use the bridge."""

from __future__ import annotations

import pytest

from pytest_ale.testing import ScriptedModel

from .conftest import MAIN, Project
from .test_programs import ending, model, odd, run

__all__ = ["model", "odd"]  # fixtures

pytestmark = pytest.mark.once

DESKTOP = {"desktop": True}
# It asks the bridge for its tools, as a CLI would, and offers them to its model.
OFFER = """
def offer():
    told = subprocess.check_output(json.loads(os.environ["PROBE"]))
    tools = [{"type": "function", "function": {"name": "mcp__desktop__" + name, "parameters": {}}}
        for name in json.loads(told)]
    ask(tools=tools)

def done():"""


@pytest.fixture
def seeing(odd: Project, docker_engine: None) -> Project:
    """The same program, in tasks with a screen."""
    program = odd.path / "odd-kit/odd.py"
    text = program.read_text().replace("\ndef done():", OFFER)
    text = text.replace("def ask(*more):", "def ask(*more, tools=()):")
    text = text.replace('"tools": [shell]', '"tools": [shell, *tools]')
    program.write_text(text.replace('"leak": leak,', '"leak": leak, "offer": offer,'))
    conftest = odd.path / "conftest.py"
    environment = "    def environment(self, brief): return {"
    probing = """    def environment(self, brief):
        (server,) = brief.servers.values()
        probe = [*server.args[:2], "probe", "cursor_position", server.command, *server.args]
        return {"PROBE": json.dumps([server.command, *probe]), """
    conftest.write_text(conftest.read_text().replace(environment, probing))
    odd.task("copy", environment=DESKTOP)
    return odd


def test_its_model_was_offered_the_bridge_s_tools(seeing: Project, model: ScriptedModel) -> None:
    record = run(seeing, "offer+done", model.url, "--ale-provider=docker")
    assert ending(record) == ("scored", 1.0), record["message"]
    assert "mcp__desktop__screenshot" in model.requests[0].tools


def test_without_them_it_was_not_examined(seeing: Project, model: ScriptedModel) -> None:
    record = run(seeing, "ask+done", model.url, "--ale-provider=docker")
    assert (*ending(record), record["phase"]) == ("fault", None, "run")
    said = "odd never offered its model these tools of the bridge: mcp__desktop__"
    assert str(record["message"]).startswith(said)


def test_a_bridge_that_does_not_answer_is_found_before_the_launch(
    seeing: Project, model: ScriptedModel
) -> None:
    end_x = "grep -lx Xvfb /proc/[0-9]*/comm | cut -d/ -f3 | xargs kill -9; sleep 1"
    broken = f"{MAIN}\n\ndef setup(sandbox):\n    sandbox.exec({end_x!r}, check=True)\n"
    seeing.task("copy", main=broken, environment=DESKTOP)
    record = run(seeing, "offer+done", model.url, "--ale-provider=docker")
    assert (*ending(record), record["phase"]) == ("fault", None, "stage")
    assert str(record["message"]).startswith("the bridge does not answer: ")
    assert not model.requests
