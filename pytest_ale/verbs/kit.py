"""`ale kit`: the bridge's programs, packed to be mounted or put into any machine."""

from __future__ import annotations

import argparse

from pytest_ale.sandbox import Fault
from pytest_ale.verbs import Complaint

__all__ = ["add"]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kit = verbs.add_parser("kit", help="Pack the bridge's MCP servers, and say in which folder")
    kit.set_defaults(do=_kit)


def _kit(_: argparse.Namespace) -> None:
    from pytest_ale.kits import bridge_kit

    try:
        print(bridge_kit())
    except Fault as fault:
        raise Complaint(str(fault)) from None
