"""Runs in a sandbox, between us and an agent that speaks the Agent Client Protocol: its client.

Imports nothing of ours: it is sent there as text and run by the sandbox's Python (3.10 or later).
It starts the agent, gives it the prompt (on stdin), agrees to all it asks for, and writes all that
is said, a line each: {"at": when, "from": "agent" or "client", "said": the message}.

    acp_inside.py SETTINGS      JSON: argv, cwd, servers, and auth, model and mode where wanted
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

VERSION = 1
# That an agent has to end by itself once its stdin is closed (of three, one does), and then
# once it is told to.
END_SECONDS = (0.5, 5.0)
METHOD_NOT_FOUND = -32601
AGREED = ("allow_always", "allow_once")
# Files and terminals of an editor's are not offered: an agent has its own.
CAPABILITIES = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}


class Failed(Exception):
    """It said no, or ended."""


class Talk:
    """What is said on both sides, numbered and written down."""

    def __init__(self, send: Callable[[str], object], lines: Iterator[str]) -> None:
        self._send, self._lines = send, lines
        self._number = 0

    def ask(self, method: str, **params: object) -> Mapping[str, object]:
        """Ask for something, and answer what is asked meanwhile."""
        self._number += 1
        self._say({"id": self._number, "method": method, "params": params})
        for message in self._messages():
            if "method" in message:
                self._heed(message)
            elif message.get("id") == self._number:
                if "error" in message:
                    raise Failed(f"{method}: {json.dumps(message['error'])}")
                result = message.get("result")
                return result if isinstance(result, dict) else {}
        raise Failed(f"{method}: it ended without an answer")

    def _messages(self) -> Iterator[dict[str, object]]:
        for line in self._lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict):
                note("agent", message)
                yield message
            else:
                sys.stderr.write(line)

    def _heed(self, message: Mapping[str, object]) -> None:
        """A request is answered; what is only told has been written down."""
        if (id := message.get("id")) is None:
            return
        if message["method"] == "session/request_permission":
            self._say({"id": id, "result": {"outcome": agreed(message.get("params"))}})
            return
        error = {"code": METHOD_NOT_FOUND, "message": f"{message['method']} is not offered"}
        self._say({"id": id, "error": error})

    def _say(self, message: dict[str, object]) -> None:
        note("client", message)
        try:
            self._send(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        except OSError as error:
            raise Failed(f"it does not listen: {error}") from error


def agreed(params: object) -> Mapping[str, object]:
    """The choice that allows most; nobody is there to be asked."""
    options = params.get("options") if isinstance(params, dict) else None
    given = [each for each in options or [] if isinstance(each, dict)]
    for kind in AGREED:
        for option in given:
            if option.get("kind") == kind:
                return {"outcome": "selected", "optionId": option.get("optionId")}
    return {"outcome": "cancelled"}


def note(who: str, message: object) -> None:
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")  # noqa: UP017 (3.10)
    sys.stdout.write(json.dumps({"at": at, "from": who, "said": message}) + "\n")
    sys.stdout.flush()


def converse(talk: Talk, told: Mapping[str, object], prompt: str) -> None:
    client = {"name": "pytest-ale", "version": "1"}
    talk.ask(
        "initialize",
        protocolVersion=VERSION,
        clientCapabilities=CAPABILITIES,
        clientInfo=client,
    )
    if told.get("auth"):
        talk.ask("authenticate", methodId=told["auth"])
    made = talk.ask("session/new", cwd=told["cwd"], mcpServers=told["servers"])
    session = made.get("sessionId")
    if told.get("model"):
        talk.ask("session/set_model", sessionId=session, modelId=told["model"])
    if told.get("mode"):
        talk.ask("session/set_mode", sessionId=session, modeId=told["mode"])
    talk.ask("session/prompt", sessionId=session, prompt=[{"type": "text", "text": prompt}])


def main(path: str) -> int:
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    prompt = sys.stdin.read()
    pipe = subprocess.PIPE
    agent = subprocess.Popen(
        told["argv"], stdin=pipe, stdout=pipe, encoding="utf-8", errors="replace"
    )
    assert agent.stdin and agent.stdout

    def send(text: str) -> None:
        assert agent.stdin
        agent.stdin.write(text)
        agent.stdin.flush()

    try:
        converse(Talk(send, iter(agent.stdout.readline, "")), told, prompt)
    except Failed as failed:
        note("client", {"failed": str(failed)})
        return ended(agent) or 1
    ended(agent)
    return 0


def ended(agent: subprocess.Popen[str]) -> int:
    """Let it end by itself; the exit status that it had then, or had before."""
    try:
        if agent.stdin:
            agent.stdin.close()
    except OSError:  # it is gone
        pass
    for seconds, then in zip(END_SECONDS, (agent.terminate, agent.kill), strict=True):
        try:
            status = agent.wait(seconds)
        except subprocess.TimeoutExpired:
            then()
        else:
            return status if status >= 0 else 128 - status
    agent.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
