"""`ale agents --check`: each agent in a sandbox, against a scripted model, in less than a minute.

Knows no agent in particular: what a model says to have one run a command is the harness's word
(`rehearsal`), where it is not the usual one.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.harness import Agent, BadAgent, Harness, parse_agents
from pytest_ale.program import Program
from pytest_ale.sandbox import Fault
from pytest_ale.text import one_line
from pytest_ale.verbs import Complaint

if TYPE_CHECKING:
    from pytest_ale.testing import ScriptedModel

__all__ = ["check"]

SECONDS = 300  # for one agent; an image may have to be built, and its kit to be packed
CARD = """\
title: Copy a word
summary: Hand over the word that was given.
tier: near_term
cluster: legal
subfield: litigation_discovery
timeout_s: 120
environment: {desktop: true}
"""
MAIN = """\
def build(inputs, reference, rng):
    (inputs / "word.txt").write_text("word")


def evaluate(output):
    return float((output / "word.txt").read_text() == "word")
"""
# The working folder of every agent is the task's.
USUAL = """\
- call: {tool: shell, arguments: {command: cp inputs/word.txt output/word.txt}}
"""
LOOK = "- call: {tool: desktop.screenshot}\n"
DONE = "- say: Done.\n"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
COLUMNS = ("agent", "version", "kit", "start", "MCP", "URL", "tokens", "cost", "sub-agents", "")


@dataclass(frozen=True)
class Row:
    """What is told of one agent; `said` is why it did not do it, "" if it did."""

    agent: str
    version: str = "-"
    kit: str = "-"
    start: str = "-"
    mcp: str = "-"
    url: str = "-"
    tokens: str = "-"
    cost: str = "-"
    subagents: str = "-"
    said: str = ""


def check(names: Sequence[str]) -> int:
    """Print a line for each; 1 if one that was tried did not do it."""
    if not find_spec("aiohttp"):
        raise Complaint("--check needs the scripted model: pip install 'pytest-ale[testing]'")
    failed = False
    # Its web server tells of every client that hangs up.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    print(_line(COLUMNS))
    for harness, agent in _chosen(names):
        row = _checked(harness, agent) if agent else Row(harness.name, said=_why_not(harness))
        failed = failed or bool(agent and row.said)
        print(_line([*(vars(row) | {"said": row.said or "ok"}).values()]), flush=True)
    return int(failed)


def _line(words: Sequence[str]) -> str:
    widths = (15, 11, 7, 7, 5, 5, 10, 12, 11, 0)
    return " ".join(f"{word:{width}}" for word, width in zip(words, widths, strict=True)).rstrip()


def _chosen(names: Sequence[str]) -> Iterator[tuple[Harness, Agent | None]]:
    """Those that ask a model, and as which agent they are tried; without names, those that can be
    at once."""
    from pytest_ale.registry import HARNESSES, harness_named, load_plugins

    load_plugins()
    if unknown := set(names) - set(HARNESSES.names()):
        known = ", ".join(HARNESSES.names())
        raise Complaint(f"agent {', '.join(sorted(unknown))} is not known; known: {known}")
    for name in names or HARNESSES.names():
        harness = harness_named(name)
        agent = _agent(harness, must=bool(names))
        asks = agent and (harness.model_api(agent) or not harness.seen)
        if names and not asks:
            raise Complaint(f"agent {name} asks no model: there is nothing to check")
        if agent and asks:
            here = bool(names) or (harness.seen and _is_here(harness))
            yield harness, agent if here else None


def _agent(harness: Harness, *, must: bool) -> Agent | None:
    """None for one that has to be told more than a model."""
    try:
        (agent,) = parse_agents((f"{harness.name}:scripted",), (), lambda name: harness)
    except BadAgent as error:
        if must:
            raise Complaint(str(error)) from None
        return None
    return agent


def _is_here(harness: Harness) -> bool:
    if isinstance(harness, Program):
        return harness.package.is_here(harness.package.version)
    return True


def _sees(harness: Harness) -> bool:
    return harness.takes_mcp if isinstance(harness, Program) else harness.outside


def _why_not(harness: Harness) -> str:
    return f"its kit is not here: ale kit {harness.name}" if harness.seen else "not run here"


def _checked(harness: Harness, agent: Agent) -> Row:
    from pytest_ale.testing import Script, ScriptedModel

    with tempfile.TemporaryDirectory(prefix="ale-check-") as folder:
        project = _project(Path(folder))
        (project / "script.yaml").write_text(_script(harness))
        try:
            with ScriptedModel(Script.load(project / "script.yaml")) as model:
                said = _run(project, agent, model)
            kits = harness.kits(agent, desktop=False)
        except (Fault, subprocess.TimeoutExpired) as error:
            return Row(harness.name, harness.version(agent), said=one_line(error, 200))
        return _row(harness, agent, kits, _record(project, said), project)


def _script(harness: Harness) -> str:
    look = LOOK if _sees(harness) else ""
    return harness.rehearsal or USUAL + look + DONE


def _project(folder: Path) -> Path:
    task = folder / "tasks/legal/copy"
    task.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (task / "card.yaml").write_text(CARD)
    (task / "main.py").write_text(MAIN)
    (task / "prompt.md").write_text("Copy {inputs}/word.txt to {output}/word.txt.\n")
    return folder


def _run(project: Path, agent: Agent, model: ScriptedModel) -> str:
    where = [f"--ale-agent={agent.harness}:{agent.model}", "--ale-provider=docker"]
    words = [*where, f"--ale-base-url={model.url}", "--ale-retries=0", "--ale-live=off"]
    command = [sys.executable, "-m", "pytest", "-q", "tasks", "-p", "no:cacheprovider", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALE_")}
    keys = dict.fromkeys(KEYS, "not-a-key")
    done = subprocess.run(
        command, cwd=project, env=environ | keys, capture_output=True, text=True, timeout=SECONDS
    )
    return done.stdout + done.stderr


def _record(project: Path, said: str) -> Mapping[str, object]:
    for path in project.glob(".ale/*/results.jsonl"):
        record: dict[str, object] = json.loads(path.read_text().splitlines()[-1])
        return record | {"run": str(path.parent)}
    return {"message": said.strip()[-300:]}


def _row(
    harness: Harness, agent: Agent, kits: Sequence[Path], record: Mapping[str, object], at: Path
) -> Row:
    start, tokens = record.get("first_request"), record.get("tokens_in")
    sees = _saw(record) if _sees(harness) else None
    well = record.get("score") == 1.0 and sees is not False
    why = record.get("message") or ("the screen was not seen" if sees is False else "no score")
    return Row(
        harness.name,
        harness.version(agent),
        f"{_megabytes(kits[0])} MB" if kits else "-",
        f"{float(str(start)):.1f} s" if start is not None else "-",
        {True: "yes", False: "no", None: "-"}[sees],
        "yes" if record.get("requests") else "no",
        f"{tokens}+{record.get('tokens_out')}" if tokens is not None else "-",
        str(record.get("cost_source") or "-"),
        "told" if harness.subagents else "-",
        "" if well else one_line(str(why).replace(str(at), ""), 200),
    )


def _saw(record: Mapping[str, object]) -> bool:
    """Is a screenshot among what it called?"""
    path = Path(str(record.get("run")), str(record.get("path")), "trajectory.json")
    try:
        steps = json.loads(path.read_text())["steps"]
    except (OSError, ValueError, KeyError):
        return False
    calls = [call for step in steps for call in step.get("tool_calls") or []]
    return any("screenshot" in call["function_name"] for call in calls)


def _megabytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) >> 20
