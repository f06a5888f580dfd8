"""Asks an MCP server, from where an agent will ask it, which tools it has: `probe COMMAND...`.

Knows nothing of what the tools are. Prints their names as a JSON list; or ends with status 1 and
what the server complained of.
"""

from __future__ import annotations

import json
import subprocess
import sys

__all__ = ["main"]

ABOUT = {"protocolVersion": "2025-06-18", "capabilities": {}}
ASKED = (
    {
        "id": 1,
        "method": "initialize",
        "params": {**ABOUT, "clientInfo": {"name": "ale", "version": "1"}},
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
)


def main() -> int:
    lines = b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in ASKED)
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin and server.stdout  # both are pipes
    try:
        server.stdin.write(lines)
        server.stdin.flush()
        for line in server.stdout:
            answer = json.loads(line)
            if answer.get("id") == 2:
                print(json.dumps([tool["name"] for tool in answer["result"]["tools"]]))  # noqa: T201
                return 0
    finally:
        server.kill()
    print("the server ended without an answer", file=sys.stderr)  # noqa: T201
    return 1
