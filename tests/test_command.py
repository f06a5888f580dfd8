"""command: a user's own command line, with a real program, with a script, and its templates."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pytest_ale.harnesses import command_words
from pytest_ale.harnesses.command import Command
from pytest_ale.harnesses.plain import TextLog

from pytest_ale.harness import Agent, BadAgent, parse_agents
from pytest_ale.program import Brief, Closing, Server
from pytest_ale.registry import harness_named, load_plugins
from pytest_ale.testing import Say, ScriptedModel, Usage
from pytest_ale.trajectory import load

from .conftest import Project
from .reading import of_agent, read

CANARY = "sk-canary-0123456789-command"
# A program that asks its model once, and says what it was told.
ASKS = """#!/usr/bin/python3
import json, os, sys, urllib.request
with open(sys.argv[1]) as file:
    prompt = file.read()
tools = [{"type": "function", "function": {"name": f"x_{name}", "parameters": {}}}
         for name in sys.argv[3:]]
body = {"model": sys.argv[2], "messages": [{"role": "user", "content": prompt}]}
body |= {"tools": tools} if tools else {}
head = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
head["Content-Type"] = "application/json"
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
asked = urllib.request.Request(url, json.dumps(body).encode(), head)
with urllib.request.urlopen(asked) as reply:
    print(json.load(reply)["choices"][0]["message"]["content"])
print(os.environ["GREETING"], open(os.environ["HOME"] + "/.mycli/config.json").read())
with open("inputs/word.txt") as given, open("output/word.txt", "w") as out:
    out.write(given.read())
"""


@pytest.fixture(autouse=True, scope="module")
def _known() -> None:
    load_plugins()


def examine(project: Project, url: str, *words: str, **knobs: str) -> Mapping[str, object]:
    given = [f"--ale-knob={name}={value}" for name, value in knobs.items()]
    more = (*given, f"--ale-base-url={url}", "--ale-retries=0", *words)
    project.run("tasks", "--ale-agent=command:scripted", *more, env=KEYS)
    return project.results[-1]


KEYS = {"OPENAI_API_KEY": CANARY, "ANTHROPIC_API_KEY": CANARY}


def kit_of_ones_own(project: Project) -> tuple[Path, Path]:
    kit, files = project.path / "mycli", project.path / "settings"
    (files / ".mycli").mkdir(parents=True)
    (files / ".mycli/config.json").write_text('{"model": "{model}", "at": "{base_url}", "{a}": {}}')
    kit.mkdir()
    (kit / "mycli").write_text(ASKS)
    (kit / "mycli").chmod(0o755)
    return kit, files


def test_a_program_of_ones_own_is_a_folder(project: Project) -> None:
    project.task()
    kit, files = kit_of_ones_own(project)
    given = {"kit": str(kit), "files": str(files), "argv": "{kit}/mycli {prompt_file} {model}"}
    with ScriptedModel([Usage(input=70, output=5), Say("Hello to you.")], keys=[CANARY]) as model:
        record = examine(project, model.url, env="GREETING='by {model}'", **given)
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record
    assert (record["tokens_in"], record["tokens_out"]) == (70, 5)
    (step,) = of_agent(load(project.attempt() / "trajectory.json"))
    said, told = str(step.message).splitlines()
    assert said == "Hello to you."
    assert told.startswith('by scripted {"model": "scripted", "at": "http://127.0.0.1:')
    assert told.endswith('", "{a}": {}}')


@pytest.mark.once
@pytest.mark.parametrize("tools", ["", "screenshot click"])
def test_a_bridge_that_is_configured_must_be_offered(
    project: Project, docker_engine: None, tools: str
) -> None:
    """A program that was given the servers, and offers its model few of their tools or none."""
    project.task(environment={"desktop": True})
    kit, files = kit_of_ones_own(project)
    argv = f"{{kit}}/mycli {{prompt_file}} {{model}} {tools}"
    given = {"kit": str(kit), "files": str(files), "argv": argv}
    with ScriptedModel([Say("Hello to you.")]) as model:
        record = examine(
            project, model.url, "--ale-provider=docker", env="GREETING={mcp_config}", **given
        )
    assert (record["outcome"], record["score"]) == ("fault", None), record
    said = str(record["message"])
    assert "command never offered its model these tools of the bridge: " in said
    assert ("screenshot" in said) is not tools.startswith("screenshot")


# Templates.


def agent(model: str = "m", **knobs: str) -> Agent:
    given = tuple(f"{name}={value}" for name, value in knobs.items())
    return parse_agents((f"command:{model}" if model else "command",), given, harness_named)[0]


def brief(agent: Agent, **changes: object) -> Brief:
    whole: dict[str, object] = {
        "prompt": "Do it {model}.",
        "model": agent.model or "",
        "base_url": "http://127.0.0.1:9",
        "key": CANARY,
        "servers": {"desktop": Server("python3", ("-I", "run.py"))},
        "knobs": agent.knobs,
        "home": "/home/agent",
        "task": "/home/agent/task",
        "kit": "/opt/ale/mycli",
    }
    return Brief(**{**whole, **changes})  # type: ignore[arg-type]  # by name, all of them


def test_places_are_filled() -> None:
    argv = (
        '["cli", "{prompt}", "--at={base_url}/x", "{{model}}", "a b", "{\\"n\\": {}}", "{output}"]'
    )
    told = brief(agent(argv=argv, env="AT={inputs} KEY={key} X='{{key}} {mcp_config}'"))
    harness = Command()
    assert harness.start(told) == [
        *("cli", "Do it {model}.", "--at=http://127.0.0.1:9/x", "{model}", "a b", '{"n": {}}'),
        "/home/agent/task/output",
    ]
    assert harness.environment(told) == {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": CANARY,
        "AT": "/home/agent/task/inputs",
        "KEY": CANARY,
        "X": "{key} /home/agent/.ale-mcp.json",
    }
    assert harness.stdin(told) == ""
    served = {"desktop": {"command": "python3", "args": ["-I", "run.py"]}}
    assert json.loads(harness.files(told)[".ale-mcp.json"]) == {"mcpServers": served}


def test_without_a_place_for_it_the_prompt_is_on_stdin() -> None:
    told = brief(agent(argv="cli --model '{model}'", api="gemini"))
    assert Command().stdin(told) == "Do it {model}."
    assert set(Command().environment(told)) == {"GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"}
    assert Command().start(told) == ["cli", "--model", "m"]


def test_the_program_of_a_kit_is_several_words() -> None:
    told = brief(agent(argv="{program} -p", kit="gemini_cli"), kit="/opt/ale/g")
    node, script, option = Command().start(told)
    assert (node, option) == ("/opt/ale/g/node/bin/node", "-p")
    assert script.startswith("/opt/ale/g/node_modules/@google/")


def test_what_is_in_its_folders_makes_it_another_agent(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for folder, text in ((first, "1"), (second, "1"), (third, "2")):
        folder.mkdir()
        (folder / "cli").write_text(text)
    one, two, three = (
        Command().identity(agent(argv="{kit}/cli", kit=str(each), files=str(each)))
        for each in (first, second, third)
    )
    assert one == two != three


WRONG = {
    "argv=": "agent command: knob argv='': must be the words of a command, or a list of texts such",
    "argv=[1]": "must be the words of a command",
    "argv=[1": "is no JSON: ",
    "argv='a": "cannot be split into words: No closing quotation",
    "argv=a {modle}": "{modle} is no place here; allowed: {program}, {kit}, {prompt}, ",
    "argv=a {key}": "{key} is no place here; allowed: {program}",
    "argv=a x{program}": "in 'x{program}': {program} must be a word by itself",
    "argv=a {program}": "{program} needs --ale-knob kit=AGENT, the name of one that is packed",
    "argv={kit}/a": "{kit} needs --ale-knob kit=AGENT or FOLDER",
    "env=A": "'A': must be NAME=VALUE",
    "env=1A=b": "'1A': must be NAME=VALUE, or NAME: TEXT in JSON",
    'env={"A": 1}': "'A': must be NAME=VALUE, or NAME: TEXT in JSON",
    "env=A={program}": "{program} is no place here; allowed: {kit}, ",
    "files=/nowhere": "there is no such folder",
    "api=other": "allowed: openai, anthropic, gemini, or nothing",
    "kit=/nowhere": "agent command: kit=/nowhere: there is no such folder",
    "kit=oracle": "kit=oracle: oracle is not a program of that kind; allowed: the name of an agent",
    "kit=cli": "kit=cli: allowed: the name of an agent that is packed, or a folder (./NAME, /NAME)",
    "log=nonsense": "log=nonsense: allowed: text, or an agent's name; agents: ",
    "log=command": "log=command: command is not a program of that kind",
}


@pytest.mark.parametrize("given", WRONG)
def test_what_is_wrong_is_said_before_the_run(given: str) -> None:
    knobs = {"argv": "cli"} | dict([given.split("=", 1)])
    with pytest.raises(BadAgent) as refused:
        agent(**knobs)
    assert WRONG[given] in str(refused.value)


def test_a_model_that_is_wanted_must_be_named() -> None:
    with pytest.raises(BadAgent, match=r"needs a model: --ale-agent=command:MODEL"):
        agent("", argv="cli {model}")
    with pytest.raises(BadAgent, match=r"@1\.2 needs --ale-knob kit=AGENT"):
        parse_agents(("command@1.2",), ("argv=cli",), harness_named)


def test_a_kit_that_others_cannot_read_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(BadAgent, match=r"others must be able to read it: chmod -R o\+rX"):
        agent(argv="cli", kit=str(tmp_path))


def test_files_are_texts_of_some_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(BadAgent, match="is no text in UTF-8"):
        agent(argv="cli", files=str(tmp_path))
    os.truncate(tmp_path / "a", 2 << 20)
    with pytest.raises(BadAgent, match="is larger than 1048576 bytes"):
        agent(argv="cli", files=str(tmp_path))


def test_a_place_may_be_a_text() -> None:
    assert command_words.fill("{{model}} {model} {other}", {"model": "m"}) == "{model} m {other}"


# Plain text.


def test_plain_text_is_one_turn_within_bounds(tmp_path: Path) -> None:
    lines = [("stdout", "one"), ("stderr", "not this"), ("stdout", "two")]
    trajectory, closing = read(TextLog, tmp_path, lines)
    (step,) = of_agent(trajectory)
    assert (step.message, closing) == ("one\ntwo", Closing())
    trajectory, _ = read(TextLog, tmp_path, [("stdout", "x" * 99)] * 100_000)
    (step,) = of_agent(trajectory)
    assert 10_000 < len(str(step.message)) <= 100_000
    assert not of_agent(read(TextLog, tmp_path, [])[0])
