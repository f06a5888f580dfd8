"""`ale agents --check`: each agent in a sandbox, against a scripted model, in less than a minute.

Knows no agent in particular: what a model says to have one run a command is the harness's word
(`rehearsal`), where it is not the usual one.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.harness import Agent, BadAgent, Harness, parse_agents
from pytest_ale.logs import STUMBLED
from pytest_ale.program import Program
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.sandbox import Fault
from pytest_ale.text import one_line
from pytest_ale.trees import remove
from pytest_ale.verbs import Complaint

if TYPE_CHECKING:
    from pytest_ale.testing.examined import Examined

__all__ = ["check"]

COPY = "cp inputs/word.txt output/word.txt"  # the working folder of every agent is the task's
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
    """Its folder stays where it did not do it, to be looked at."""
    folder = Path(tempfile.mkdtemp(prefix="ale-check-"))
    row = _tried(harness, agent, folder)
    if row.said:
        return replace(row, said=f"{row.said}; see {folder}")
    remove(folder)
    return row


def _tried(harness: Harness, agent: Agent, project: Path) -> Row:
    from pytest_ale.testing import ScriptedModel
    from pytest_ale.testing.examined import add_task, examine

    add_task(project, "copy", environment={"desktop": True})
    try:
        with ScriptedModel(_script(harness)) as model:
            name, url = f"{agent.harness}:{agent.model}", f"--ale-base-url={model.url}"
            done = examine(project, name, url, "--ale-provider=docker")
        kits = harness.kits(agent, desktop=False)
    except (Fault, subprocess.TimeoutExpired) as error:
        return Row(harness.name, harness.version(agent), said=one_line(error, 200))
    return _row(harness, agent, kits, done)


def _script(harness: Harness) -> Said:
    how = harness.rehearsal or Rehearsal()
    looks = (*how.finds("screenshot"), how.uses("screenshot")) if _sees(harness) else ()
    return [*how.first, *how.runs(COPY), *looks, *how.ends()]


def _row(harness: Harness, agent: Agent, kits: Sequence[Path], done: Examined) -> Row:
    record = done.record
    start, tokens = record.get("first_request"), record.get("tokens_in")
    attempt = done.folder(record)
    sees = _saw(attempt) if _sees(harness) else None
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
        one_line(_wrong(record, attempt, sees), 200),
    )


def _wrong(record: Mapping[str, object], attempt: Path, sees: bool | None) -> str:
    if record.get("score") != 1.0:
        return str(record.get("message") or "no score")
    if (attempt / "agent" / f"{STUMBLED}.log").exists():
        return f"its reader raised: agent/{STUMBLED}.log"
    return "the screen was not seen" if sees is False else ""


def _saw(attempt: Path) -> bool:
    """Is a screenshot among what it called?"""
    try:
        steps = json.loads((attempt / "trajectory.json").read_text())["steps"]
    except (OSError, ValueError, KeyError):
        return False
    calls = [call for step in steps for call in step.get("tool_calls") or []]
    return any("screenshot" in call["function_name"] for call in calls)


def _megabytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) >> 20
