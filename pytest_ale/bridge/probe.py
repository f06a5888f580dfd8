"""Asks an MCP server, from where an agent will ask it, what it has: `probe TOOL COMMAND...`.

Knows nothing of what the tools are. Calls TOOL, which must need no arguments, and prints the names
of all of them as a JSON list; or ends with status 1 and what it was told instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["main"]

Answer = Mapping[str, Any]  # Any: a server's JSON

CLIENT = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "ale", "version": "1"},
}


def main() -> int:
    asked = (
        {"id": 1, "method": "initialize", "params": CLIENT},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": sys.argv[1], "arguments": {}}},
        {"id": 3, "method": "tools/list"},
    )
    lines = b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in asked)
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin and server.stdout  # both are pipes
    server.stdin.write(lines)
    server.stdin.flush()
    answers: dict[object, Answer] = {}
    while not {2, 3} <= set(answers) and (line := server.stdout.readline()):
        answer = json.loads(line)
        answers[answer.get("id")] = answer
    server.kill()
    return _told(answers.get(2, {}).get("result", {}), answers.get(3, {}).get("result", {}))


def _told(called: Answer, listed: Answer) -> int:
    if "content" not in called or called.get("isError"):
        said = [part.get("text", "") for part in called.get("content", ())]
        print(" ".join(said) or "the server ended without an answer", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps([tool["name"] for tool in listed["tools"]]))  # noqa: T201
    return 0
