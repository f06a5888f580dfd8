"""`ale agents`: which there are, what each needs, and its knobs."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from pytest_ale.gateway import IMPORTS
from pytest_ale.harness import Agent, Harness

__all__ = ["add"]

INDENT = " " * 15


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    agents = verbs.add_parser("agents", help="List the agents, what they need, and their knobs")
    agents.add_argument(
        "--check",
        nargs="*",
        metavar="AGENT",
        help="Have each do a small task in docker, against a scripted model; default: all here",
    )
    agents.set_defaults(do=_agents)


def preflight() -> list[str]:
    """What agents of somebody else's need of this machine, a line each (`ale doctor`)."""
    npm = shutil.which("npm")
    missing = "npm, which packs them once, is not here (apt: npm)"
    has_gateway = all(map(find_spec, IMPORTS))
    return [
        f"npm packs them ({npm})" if npm else missing,
        "a model gateway" if has_gateway else "no model gateway: pip install 'pytest-ale[gateway]'",
    ]


def _agents(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        from pytest_ale.verbs.check import check

        return check(arguments.check)
    _list()
    return 0


def _list() -> None:
    from pytest_ale.registry import HARNESSES, harness_named, load_plugins

    load_plugins()
    for name in HARNESSES.names():
        harness = harness_named(name)
        print(f"{name:12} {harness.about}")
        for line in (*_about(harness), *_knobs(harness)):
            print(f"{INDENT}{line}")


def _about(harness: Harness) -> Iterator[str]:
    if not harness.seen:
        yield "not run here: written from its documentation"
    if version := harness.pinned:
        yield f"version {version} unless another is named: {harness.name}@VERSION, @latest"
    yield from (f"needs {need}" for need in needs(harness, os.environ))


def needs(harness: Harness, environ: Mapping[str, str]) -> list[str]:
    """What is to be had before it can run, and whether it is."""
    from pytest_ale.gateway.apis import KEYS

    wanted = [" or ".join(KEYS[harness.api])] if harness.api else []
    lines = []
    for names in (*wanted, *harness.keys):
        have = any(environ.get(name) for name in names.split(" or "))
        lines.append(f"{names} in the environment ({'it is' if have else 'it is not'})")
    return lines + harness.parts(Agent(harness.name))


def _knobs(harness: Harness) -> Iterator[str]:
    for knob, about in harness.knobs.items():
        default = "required" if about.default is None else f"default {about.default!r}"
        yield f"--ale-knob {knob}=...  {about.help} ({default})"
