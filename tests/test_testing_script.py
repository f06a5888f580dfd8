"""Scripts of a model: what they are made of, in Python and in YAML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import pytest_ale.testing
from pytest_ale.testing import (
    Call,
    Cut,
    Expect,
    Hang,
    Refuse,
    Say,
    Script,
    ScriptError,
    Slow,
    Think,
    Turn,
    Usage,
    WrongJson,
)
from pytest_ale.testing.conversation import Tool
from pytest_ale.testing.tools import arguments, find

LINE = {"command": "ls | wc"}


def tool(name: str, *properties: str, kind: str = "string", **more: object) -> Tool:
    schema = {
        "properties": {key: {"type": kind} for key in properties},
        "required": list(properties),
    }
    return Tool(name, schema=schema, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("offered", "sent"),
    [
        (tool("exec_command", "cmd"), {"cmd": "ls | wc"}),
        (tool("shell", "command", kind="array"), {"command": ["bash", "-lc", "ls | wc"]}),
        (tool("Bash", "command"), {"command": "ls | wc"}),
        (
            tool("run_shell_command", "command", "description"),
            {"command": "ls | wc", "description": "scripted"},
        ),
        (tool("ausführen", "cmd", "timeout"), {"cmd": "ls | wc", "timeout": "scripted"}),
    ],
)
def test_a_shell_is_found_whatever_it_is_called(offered: Tool, sent: dict[str, object]) -> None:
    among = [tool("read", "path"), tool("Bash", "command", namespace="mcp__files"), offered]
    assert find("shell", among) == offered
    assert json.loads(arguments(Call("shell", LINE), offered)) == sent


def test_no_shell_is_made_up() -> None:
    assert (
        find("shell", [tool("read", "path"), tool("Bash", "command", namespace="mcp__a")]) is None
    )


@pytest.mark.parametrize("name", ["mcp__desk__click", "mcp_desk_click", "desk_click", "desk-click"])
def test_a_tool_of_a_server_is_found_whatever_it_is_called(name: str) -> None:
    assert find("desk.click", [tool("click"), tool("desk"), tool(name)]) == tool(name)


def test_a_tool_in_a_namespace_is_found() -> None:
    offered = [tool("click"), tool("click", namespace="mcp__desk")]
    assert find("desk.click", offered) == offered[1]
    assert find("click", offered) == offered[0]


def test_a_tool_that_takes_text_is_sent_text() -> None:
    patch = Call("apply_patch", {"input": "*** Begin Patch"})
    assert arguments(patch, Tool("apply_patch", freeform=True)) == "*** Begin Patch"


YAML = """
- refuse: {status: 429, retry_after: 1, times: 2}
- slow: 20
- usage: {input: 7}
- call: {tool: shell, arguments: {command: ls}}
- expect: {tool_result_contains: a.txt, tool_offered: [shell, desktop.click]}
- wrong_json
- turn:
    - think: Hm.
    - call: desktop.screenshot
    - call: read
- cut: {after_events: 1}
- hang: 1.5
- say: Done.
"""


def test_a_script_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML)
    first, second, third = Script.load(tmp_path / "a.yaml").turns
    assert first.steps == (
        Refuse(429, retry_after=1, times=2),
        Slow(20),
        Usage(input=7),
        Call("shell", {"command": "ls"}),
    )
    assert second.steps[:2] == (
        Expect(tool_result_contains="a.txt", tool_offered=("shell", "desktop.click")),
        WrongJson(),
    )
    assert second.steps[2:] == (Think("Hm."), Call("desktop.screenshot"), Call("read"))
    assert third.steps == (Cut(after_events=1), Hang(1.5), Say("Done."))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("say: Done.", "is no list of steps"),
        ("- {", "cannot be read as a script"),
        ("- sing: la", "step 1: there is no step 'sing'; there are turn, say, think"),
        ("- say: Hm.\n- refuse: {code: 3}", "step 2: Refuse has no code; it has status"),
        ("- refuse: often", "step 1: Refuse: status: .* integer"),
        ("- cut: {}", "step 1: .* either after_events or after_bytes"),
        ("- turn: [{turn: []}]", "step 1: a turn says or calls something"),
    ],
)
def test_a_script_that_cannot_be_played_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ScriptError, match=said) as error:
        Script.load(tmp_path / "a.yaml")
    assert str(tmp_path / "a.yaml") in str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Script([]), "at least one turn"),
        (lambda: Script([Say("a"), Slow(1)]), "the script ends with"),
        (lambda: Script(["a"]), "'a' is no step"),
        (lambda: Script([Refuse(times=0), Say("a")]), "times is 1 or more"),
        (lambda: Script([WrongJson("arguments"), Say("a")]), "for a turn that calls something"),
        (lambda: Turn(Think("a")), "a turn says or calls something"),
        (lambda: Usage(input=1, cached=2), "cached \\+ written are part of input"),
        (lambda: Usage(output=1, reasoning=2), "reasoning is part of output"),
        (lambda: Slow(0), "is above 0"),
    ],
)
def test_a_wrong_script_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ScriptError, match=said):
        make()


def test_the_two_scripts_of_the_documentation_are_one(tmp_path: Path) -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", pytest_ale.testing.__doc__ or "", re.M)
    python, in_yaml = (textwrap.dedent(block).strip() for block in blocks)
    told: dict[str, list[Turn]] = {}
    exec(python.partition("with ")[0], told)
    (tmp_path / "a.yaml").write_text(in_yaml)
    loaded = Script.load(tmp_path / "a.yaml").turns
    assert [turn.steps for turn in loaded] == [t.steps for t in Script(told["script"]).turns]
