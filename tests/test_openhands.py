"""openhands: the real CLI against the scripted model, in docker, and its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from pytest_ale.harnesses.openhands import Openhands
from pytest_ale.harnesses.openhands_redo import edited

from pytest_ale.program import Brief, Server
from pytest_ale.testing import Call, Expect, Say, ScriptedModel, Think, Turn, Usage

from .conftest import Project
from .litellm_runs import CANARY, COPY, NOTES, ended, examine, look, replay
from .reading import calls, of_agent, results

TYPED = """
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference, check):
    with check("copied"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()
    with check("typed"):
        assert (output / "typed.txt").read_text() == "seen it\\n"
    with check("written"):
        assert (output / "notes.txt").read_text() == "first\\nLAST\\n"
"""
XTERM = (
    "DISPLAY=:0 setsid xterm -geometry 80x24+100+100 -e sh -c 'head -n 1 > output/typed.txt' "
    f"</dev/null >/dev/null 2>&1 & sleep 1; {COPY}; false"
)
DESKTOP = ("screenshot", "click", "type")
# Its models say how risky they find each call; nobody is asked, whatever they say.
RISK = {"security_risk": "LOW"}
CREATE = {"command": "create", "path": NOTES, "file_text": "first\nlast\n"}
REPLACE = {"command": "str_replace", "path": NOTES, "old_str": "last", "new_str": "LAST"}


def called(tool: str, arguments: Mapping[str, object]) -> Call:
    return Call(tool, {**arguments, **RISK})


PLAY = [
    Expect(tool_offered=DESKTOP, prompt_contains="Copy /home/agent/task/inputs/word.txt"),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Turn(Think("I look around."), called("terminal", {"command": XTERM})),
    Expect(tool_result_contains="exit code 1"),
    Usage(input=1200, output=30),
    Turn(Say("Now the screen."), called("screenshot", {})),
    Expect(picture=True),
    Turn(called("click", {"coordinate": [300, 300]})),
    Turn(called("type", {"text": "seen it\n"})),
    Turn(called("file_editor", CREATE)),
    Turn(called("file_editor", REPLACE)),
    Say("Done."),
]


@pytest.mark.once
def test_it_works_with_shell_screen_and_files_and_is_replayed(
    project: Project, docker_engine: None
) -> None:
    checks = {"copied": {}, "typed": {}, "written": {}}
    project.task(main=TYPED, environment={"desktop": True}, checks=checks)
    with ScriptedModel(PLAY, keys=[CANARY]) as model:
        said = examine(project, "openhands", model)
        model.check()
    assert ended(project)[:2] == ("scored", 1.0), said
    steps = of_agent(look(project))
    assert [step.message for step in steps] == ["", "Now the screen.", *[""] * 4, "Done."]
    assert steps[0].reasoning_content == "I look around."
    made = calls(steps)
    assert [call.function_name for call in made] == ["terminal", *DESKTOP, *["file_editor"] * 2]
    assert made[0].arguments == {"command": XTERM, **RISK}
    came = [result for step in steps for result in results(step)]
    assert came[0].extra and came[0].extra["exit_code"] == 1
    assert came[1].content is not None and not isinstance(came[1].content, str)
    picture = came[1].content[-1].source
    assert picture and (project.attempt() / picture.path).read_bytes().startswith(b"\x89PNG")
    assert "Clicked left at [300, 300]." in str(came[2].content)
    assert replay(project)["score"] == 1.0


@pytest.mark.once
def test_a_key_that_is_refused_is_no_score(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel([Say("Never.")], keys=["another"]) as model:
        examine(project, "openhands", model)
    outcome, score, message = ended(project)
    assert (outcome, score) == ("fault", None)
    assert "the model's server never answered: status 401" in message


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
