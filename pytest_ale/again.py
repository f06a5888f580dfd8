"""Again: what a recorded call tells, for a program that does calls of its own again.

Knows no program. What came of the call is in its `extra`, where replay put it (Harness.redo).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pytest_ale.kept import restored
from pytest_ale.trajectory import ToolCall

if TYPE_CHECKING:
    from pytest_ale.recording import RecordingSandbox
    from pytest_ale.sandbox import Sandbox

__all__ = ["noted", "said", "task_folder", "whole"]


def said(call: ToolCall) -> str:
    """The text of its result."""
    return str((call.extra or {}).get("said", ""))


def noted(call: ToolCall) -> Mapping[str, object]:
    """What else its story noted with the result."""
    known = (call.extra or {}).get("result")
    return known if isinstance(known, dict) else {}


def task_folder(sandbox: Sandbox | RecordingSandbox) -> str:
    """The folder in which an agent is started."""
    return sandbox.output.rpartition("/")[0]


def whole(call: ToolCall, folder: Path) -> ToolCall:
    """The call, with the texts that its story put into files beside the recording."""
    arguments = {name: _whole(value, folder) for name, value in call.arguments.items()}
    return call.model_copy(update={"arguments": arguments})


def _whole(value: JsonValue, folder: Path) -> JsonValue:
    file = value.get("file") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(file, str) and file.startswith("written/"):
        return restored(value, folder).decode(errors="replace")
    return value
