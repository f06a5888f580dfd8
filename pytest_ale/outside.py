"""The bridges, for a harness that works on this machine: MCP servers in the sandbox, asked here.

Knows no harness and no model. It needs no more of a sandbox than `stream` and `exec`: a server's
stdin is a FIFO inside, which commands write to, and its stdout is streamed out. A server that ends,
or does not answer a ping, is started anew, and the caller is told so.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pytest_ale.harness import Work
from pytest_ale.sandbox import Fault, HarnessFault, SandboxError
from pytest_ale.story import Story, joined
from pytest_ale.trajectory import ContentPart

__all__ = ["Bridge", "Said", "Tool", "bridges"]

RESTARTS = 5  # of one bridge without an answer between: each takes about a second
START_SECONDS = 60.0
WRITE_SECONDS = 15.0  # a line that is not taken in this time never will be
PING_SECONDS = 10.0
CLOSE_SECONDS = 3.0
END_SECONDS = 1.0  # from its end to the news of it
CALL_SECONDS = 180.0  # the desktop itself gives up after 150
COMMAND_SECONDS, GRACE_SECONDS = 120.0, 30.0  # of run_command, when it is told no timeout
MOST_SECONDS = 3600.0  # that it can be told
LINE_BYTES = 64 << 20
PNG = b"\x89PNG"  # the only kind of picture that a bridge makes
PICTURES = {PNG: "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
PIECE, PIECES = 1_000_000, 5  # of a picture's bytes, that the bridge reads at once, and in all
COMPLAINT = 500  # characters of its last words

Json = dict[str, Any]  # Any: a server's JSON


class BridgeError(Exception):
    """A bridge cannot be had, or did not answer."""


class _Closed(Exception):
    """Raised in a stream to end it."""


@dataclass(frozen=True)
class Tool:
    name: str
    about: str
    schema: Json


@dataclass(frozen=True)
class Said:
    """What came of a call: texts, and pictures as (bytes, media type)."""

    parts: tuple[str | tuple[bytes, str], ...]
    failed: bool = False

    def told(self, story: Story) -> str | Sequence[ContentPart]:
        """As a result's content in a trajectory."""
        return joined(
            [
                ContentPart(type="text", text=part)
                if isinstance(part, str)
                else story.picture(*part)
                for part in self.parts
            ]
        )


class _Server:
    """One life of a server."""

    def __init__(self, work: Work, program: list[str], fifo: str) -> None:
        self._work, self._fifo = work, fifo
        self._answers: dict[int, Json] = {}
        self._changed = threading.Condition()
        self._pending, self._complaint, self._number = b"", b"", 0
        self._closing = False
        self.ended = ""
        self.fault: Fault | None = None
        made = 'mkdir -p "${1%/*}" && rm -f "$1" && mkfifo -m 600 "$1"'
        work.machine.exec(["/bin/sh", "-c", made, "sh", fifo], timeout=WRITE_SECONDS, check=True)
        # Open for both, the FIFO never ends, whoever writes to it.
        self._command = ["/bin/sh", "-c", f'exec "$@" <>{fifo}', "sh", *program]
        self._thread = threading.Thread(target=self._run, name=f"bridge-{fifo}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            status = self._work.machine.stream(
                self._command, self._take, env=self._work.env, tick=self._look
            )
            said = f"it ended with status {status}"
        except _Closed:
            said = "it was closed"
        except Fault as fault:
            self.fault, said = fault, str(fault)
        except SandboxError as error:
            said = str(error)
        complaint = self._complaint.decode(errors="replace").strip()[-COMPLAINT:]
        with self._changed:
            self.ended = f"{said}: {complaint}" if complaint else said
            self._changed.notify_all()

    def _look(self) -> None:
        if self._closing:
            raise _Closed

    def _take(self, source: str, data: bytes) -> None:
        self._look()
        if source == "stderr":
            self._complaint = (self._complaint + data)[-4 * COMPLAINT :]
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LINE_BYTES:
            raise SandboxError(f"it wrote a line of more than {LINE_BYTES >> 20} MB")
        for line in lines:
            with suppress(ValueError, RecursionError):
                self._heard(json.loads(line))

    def _heard(self, message: object) -> None:
        if isinstance(message, dict) and isinstance(number := message.get("id"), int):
            with self._changed:
                self._answers[number] = message
                self._changed.notify_all()

    def ask(self, method: str, params: Json, seconds: float) -> Json:
        """The answer's result; BridgeError where there is none, or will be none."""
        number, until = self._send(method, params), time.monotonic() + seconds
        look = PING_SECONDS if method == "tools/call" else seconds  # it may be slow to start
        while not self._came(number, min(look, until - time.monotonic())):
            if time.monotonic() >= until:
                raise BridgeError(f"no answer came in {seconds:.0f} s")
            self._work.live()
            ping = self._send("ping", {})
            if not self._came(ping, PING_SECONDS):
                raise BridgeError("it hangs: not even a ping is answered")
            self._answers.pop(ping)
        message = self._answers.pop(number)
        if not isinstance(message.get("result"), dict):
            raise BridgeError(f"it answered {json.dumps(message.get('error'))[:COMPLAINT]}")
        return dict(message["result"])

    def tell(self, method: str, **more: object) -> None:
        line = json.dumps({"jsonrpc": "2.0", "method": method, **more}) + "\n"
        write = '[ -p "$1" ] && exec cat >"$1"'  # which waits for a server that has just begun
        try:
            command = ["/bin/sh", "-c", write, "sh", self._fifo]
            self._work.machine.exec(command, stdin=line, timeout=WRITE_SECONDS, check=True)
        except SandboxError as error:
            with self._changed:  # it may have ended just now: then that is the reason
                self._changed.wait_for(lambda: bool(self.ended), END_SECONDS)
            self._gone()
            raise BridgeError(f"it takes no calls: {error}") from error

    def _send(self, method: str, params: Json) -> int:
        self._gone()
        self._number += 1
        self.tell(method, id=self._number, params=params)
        return self._number

    def _came(self, number: int, seconds: float) -> bool:
        def known() -> bool:
            return number in self._answers or bool(self.ended)

        with self._changed:
            self._changed.wait_for(known, max(seconds, 0))
            if number not in self._answers:
                self._gone()
            return number in self._answers

    def _gone(self) -> None:
        if self.fault:
            raise self.fault
        if self.ended:
            raise BridgeError(self.ended)

    def close(self) -> None:
        """End it: at its next word, which a ping brings about, or at the stream's next tick."""
        self._closing = True
        ping = b'{"jsonrpc": "2.0", "id": 0, "method": "ping"}\n'
        # Opened for both: it is not waited for a server that has just ended.
        write = ["/bin/sh", "-c", '[ -p "$1" ] && exec cat 1<>"$1"', "sh", self._fifo]
        with suppress(SandboxError, Fault):
            if not self.ended:
                self._work.machine.exec(write, stdin=ping, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)


class Bridge:
    """One of the two, however often it has to be started."""

    def __init__(self, work: Work, name: str, options: tuple[str, ...] = ()) -> None:
        self._work, self.name = work, name
        self._program = [*_program(work, name), *options]
        self._lives = self._vain = 0  # servers that it had, and those that answered no call
        self._why = ""  # it has no server now
        self._server = self._started()
        self.tools = tuple(self._listed())

    def _started(self) -> _Server:
        self._lives += 1
        self._vain += 1
        fifo = f"{self._work.sandbox.home}/.ale/{self.name}-{self._lives}"
        server = _Server(self._work, self._program, fifo)
        client = {"name": "ale", "version": "1"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        try:
            server.ask("initialize", hello, START_SECONDS)
            server.tell("notifications/initialized")
        except BaseException:
            server.close()
            raise
        return server

    def _listed(self) -> Iterator[Tool]:
        for tool in self._server.ask("tools/list", {}, START_SECONDS).get("tools", ()):
            about = str(tool.get("description", ""))
            yield Tool(tool["name"], about, tool["inputSchema"])

    def call(self, name: str, arguments: Mapping[str, object]) -> Said:
        """Do it; what goes wrong with the bridge is told to the model, which can look and go on."""
        left = self._work.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        before = self._revived()
        if self._why:
            return Said((f"The {self.name} bridge is gone for good ({self._why}).",), failed=True)
        given = {"name": name, "arguments": dict(arguments)}
        try:
            seconds = min(_patience(name, arguments), left)
            said = _said(self._server.ask("tools/call", given, seconds), before)
            self._vain = 0
            return said
        except BridgeError as error:
            if time.monotonic() >= self._work.deadline:
                raise TimeoutError from error
            told = f"{name} was not answered: {error}. It may have been done in part: look first."
            self._lost(str(error))
            return Said((f"{told} {self._revived()}".strip(),), failed=True)

    def look(self, path: str) -> Said:
        """See a picture in a file: the machine's bridge reads it, in pieces."""
        data = b""
        for _ in range(PIECES):
            said = self.call("read_bytes", {"path": path, "offset": len(data)})
            if said.failed:
                return said
            piece = _decoded("".join(part for part in said.parts if isinstance(part, str)))
            data += piece
            if len(piece) < PIECE:
                break
        else:
            return Said((f"{path} has more than {len(data)} bytes: make it smaller.",), failed=True)
        kind = next((kind for begin, kind in PICTURES.items() if data.startswith(begin)), "")
        if kind:
            return Said((f"{path}:", (data, kind)))
        return Said((f"{path} is no PNG, JPEG or GIF: make a picture of it first.",), failed=True)

    def _lost(self, why: str) -> None:
        self._why = why
        self._server.close()

    def _revived(self) -> str:
        """What the model is told of a bridge that had to be started anew."""
        if not self._why and self._server.ended:
            self._lost(self._server.ended)
        why = self._why
        if not why or self._vain > RESTARTS:
            return ""
        try:
            self._server, self._why = self._started(), ""
        except (BridgeError, SandboxError) as error:
            self._why = str(error)
            return f"The {self.name} bridge could not be started anew: {error}."
        held = "terminals" if self.name == "machine" else "held keys"
        return f"[The {self.name} bridge was started anew; its {held} are gone. Before: {why}]"

    def close(self) -> None:
        self._server.close()


def _program(work: Work, name: str) -> list[str]:
    """With -I nothing that the agent leaves in its folders is imported."""
    return ["/usr/bin/python3", "-I", f"{work.kits[0]}/run.py", name]


def _patience(name: str, arguments: Mapping[str, object]) -> float:
    if name != "run_command":
        return CALL_SECONDS
    with suppress(ValueError):
        if 0 < (seconds := float(str(arguments.get("timeout")))) <= MOST_SECONDS:  # no NaN is
            return seconds + GRACE_SECONDS
    return COMMAND_SECONDS + GRACE_SECONDS


def _decoded(text: str) -> bytes:
    with suppress(ValueError):
        return base64.b64decode(text, validate=True)
    return b""


def _said(result: Json, before: str) -> Said:
    """An answer in MCP's words; what runs in the sandbox may have had a hand in it."""
    parts: list[str | tuple[bytes, str]] = [before] if before else []
    content = result.get("content")
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "image":
            data = _decoded(str(part.get("data")))
            parts += [(data, "image/png")] if data.startswith(PNG) else []
        elif isinstance(part, dict):
            parts.append(str(part.get("text", "")))
    return Said(tuple(parts) or ("(nothing)",), failed=bool(result.get("isError")))


@contextmanager
def bridges(work: Work) -> Iterator[list[Bridge]]:
    """The machine's, and the desktop's where there is one."""
    wanted: list[tuple[str, tuple[str, ...]]] = [("machine", ())]
    if work.has_desktop:
        wanted.append(("desktop", ("--coordinates", work.agent.knobs["coordinates"])))
    started: list[Bridge] = []
    try:
        for name, options in wanted:
            try:
                started.append(Bridge(work, name, options))
            except (BridgeError, SandboxError) as error:
                raise HarnessFault(f"the bridge {name} does not answer: {error}") from error
        yield started
    finally:
        for bridge in started:
            bridge.close()
