"""The documents say what the code does: what can be checked of that is checked."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from pytest_ale import hookspecs
from pytest_ale.program import Brief, Program, Server
from pytest_ale.settings import OPTIONS, Option
from pytest_ale.story import Story
from pytest_ale.taxonomy import CLUSTERS, TIERS

from .reading import of_agent, pairs, read, results, spent

ROOT = Path(__file__).parent.parent


def doc(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.name))
def test_every_option_is_in_the_table_with_its_default(option: Option) -> None:
    flag = "--" + option.key.replace("_", "-")
    (row,) = [line for line in doc("running.md").splitlines() if line.startswith(f"| `{flag}")]
    default = option.default[0] if isinstance(option.default, tuple) and option.default else ""
    if isinstance(option.default, str | int | float) and not isinstance(option.default, bool):
        default = str(option.default).removesuffix(".0")
    assert row.removesuffix(" |").rpartition("|")[2].strip(" `") == default


def test_every_cluster_subfield_and_tier_is_in_the_taxonomy() -> None:
    text = doc("taxonomy.md")
    for cluster, subfields in CLUSTERS.items():
        assert f"| `{cluster}` | {', '.join(f'`{s}`' for s in subfields)} |" in text
    assert all(f"`{tier}`" in text for tier in TIERS)


def test_every_module_stands_in_the_table_of_the_design() -> None:
    text = doc("design.md").partition("## 4.")[0]
    folder = ROOT / "pytest_ale"
    names = {p.name for p in folder.glob("*.py")} - {"__init__.py"}
    names |= {p.name for p in folder.glob("channels/*.py")} - {"__init__.py"}
    missing = [name for name in sorted(names) if f"`{name}`" not in text]
    assert missing == []


def test_every_module_of_the_table_exists() -> None:
    table = doc("design.md").partition("| module | is |")[2].partition("\n\n")[0]
    named = [cell.split("|")[1].strip() for cell in table.splitlines() if cell.startswith("| `")]
    files = [name.strip("` ") for cell in named for name in cell.split(",")]
    for name in files:
        places = [ROOT / "pytest_ale", ROOT]
        assert any(list(place.glob(name.rstrip("/"))) for place in places), name


@pytest.mark.parametrize("hook", [n for n in vars(hookspecs) if n.startswith("pytest_ale_")])
def test_every_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"| `{hook}({arguments})` |" in doc("extending.md")


@pytest.fixture
def acme() -> Program:
    """The harness that docs/extending.md shows, whole."""
    (code,) = re.findall(
        r"```python\n(# acme_ale/harness.py\n.*?)```", doc("extending.md"), re.DOTALL
    )
    names: dict[str, type[Program]] = {}
    exec(code, names)
    return names["Acme"]()


def test_the_program_of_extending_is_started_and_configured(acme: Program) -> None:
    servers = {"desktop": Server("python3", ("run.py", "desktop"))}
    knobs = {name: knob.default or "" for name, knob in acme.knobs.items()}
    brief = Brief("Copy.", "gpt-5.1", "http://127.0.0.1:80", "token", servers, knobs, "/h", "/h/t")
    ((path, text),) = acme.files(brief).items()
    told = json.loads(text)
    assert (path, told["base_url"]) == (".acme/config.json", "http://127.0.0.1:80/v1")
    assert told["mcpServers"] == {"desktop": {"command": "python3", "args": ["run.py", "desktop"]}}
    assert acme.start(brief)[-5:] == ["run", "--json", "--yes", "--effort=high", "-"]
    assert (acme.environment(brief), acme.stdin(brief)) == ({"ACME_API_KEY": "token"}, "Copy.")


def test_the_reader_of_extending_reads(acme: Program, tmp_path: Path) -> None:
    call = {"id": "c1", "name": "bash", "arguments": {"command": "false"}}
    used = {"input": 100, "cached": 40, "output": 10}
    events: list[object] = [
        {"type": "assistant", "id": "a1", "text": "I try.", "calls": [call], "usage": used},
        {"type": "result", "call": "c1", "text": "exit status 1", "failed": True},
        {"type": "error", "message": "no more turns"},
    ]
    lines = [("/home/agent/.acme/sessions/1.jsonl", json.dumps(event)) for event in events]
    trajectory, closing = read(acme.reader, tmp_path, [("stdout", "{}"), *lines])
    (step,) = steps = of_agent(trajectory)
    assert (step.message, pairs(steps)) == ("I try.", [("bash", {"command": "false"})])
    (result,) = results(step)
    assert (result.content, result.extra) == ("exit status 1", {"is_error": True})
    assert list(spent(trajectory)) == [(100, 10, 40)]
    assert closing.failed == "no more turns"


def test_every_call_of_a_story_is_in_extending() -> None:
    """With the arguments that its table gives them."""
    table = dict(
        re.findall(r"`(\w+)\(([^`]*)\)`", doc("extending.md").partition("### What it tells")[2])
    )
    for name in ("turn", "call", "result", "picture", "subagent", "system", "user"):
        known = inspect.signature(getattr(Story, name)).parameters
        assert {word.strip(" =") for word in table[name].split(",")} <= set(known), name
