"""`ale kit`: an agent's program, or the bridge's, packed now rather than at the first attempt."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_ale.harness import Agent
from pytest_ale.sandbox import Fault
from pytest_ale.verbs import Complaint

__all__ = ["add"]

BRIDGE = "bridge"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kit = verbs.add_parser("kit", help="Pack an agent's program, and say in which folder")
    kit.add_argument(
        "name",
        nargs="?",
        default=BRIDGE,
        metavar="AGENT[@VERSION]",
        help="Default: the bridge's MCP servers",
    )
    kit.set_defaults(do=_kit)


def _kit(arguments: argparse.Namespace) -> None:
    try:
        print(_packed(arguments.name))
    except Fault as fault:
        raise Complaint(str(fault)) from None


def _packed(name: str) -> Path:
    from pytest_ale.kits import bridge_kit
    from pytest_ale.registry import harness_named, load_plugins

    if name == BRIDGE:
        return bridge_kit()
    load_plugins()
    program, _, version = name.partition("@")
    harness = harness_named(program)
    kits = harness.kits(harness.resolve(Agent(program, version or None)), desktop=False)
    if not kits:
        raise Complaint(f"agent {program} has no kit: it needs none")
    return kits[0]
