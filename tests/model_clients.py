"""What the clients of all model APIs share: a conversation that is asked on, and grows."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pytest_ale.testing import ScriptedModel

__all__ = ["Client", "J", "Refused", "Reply", "loaded", "plain"]

J = dict[str, Any]  # a model's JSON, looked into by tests that fail if it is another


class Refused(Exception):
    """An answer with an error's status."""

    def __init__(self, status: int, body: J, retry_after: str | None) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body, self.retry_after = status, body, retry_after


def plain(
    model: ScriptedModel, method: str, path: str, body: bytes = b"", headers: J | None = None
) -> bytes:
    return _exchange(model.url, method, path, body, headers or {})


def _exchange(url: str, method: str, path: str, body: bytes, headers: J) -> bytes:
    """One request on a connection of its own; `IncompleteRead` for an answer that is cut."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 400:
            raise Refused(answer.status, json.loads(data), answer.headers["Retry-After"])
        return data
    finally:
        connection.close()


@dataclass
class Reply:
    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    usage: J = field(default_factory=dict)


def loaded(arguments: str) -> Any:
    """The arguments of a call; None for those that do not parse."""
    try:
        return json.loads(arguments)
    except ValueError:
        return None


class Client:
    """A conversation that grows by what is answered; each API says how."""

    shell, command, click = "Bash", "command", "mcp__desktop__click"
    absent = "mcp__files__open"  # how it is asked for a tool that it does not have
    path = listing = ""
    official = ""
    counting: list[tuple[str, bytes]] = []

    def __init__(self, url: str, key: str, *, stream: bool = False, tools: bool = True) -> None:
        self.url, self.key, self.stream, self.tools = url, key, stream, tools
        self.history: list[J] = []
        self.last: list[J] = []  # what the model said, not yet answered
        self.ids: list[str] = []  # of its calls
        self.events: list[str] = []
        self.say("Do it.")

    @property
    def offered(self) -> list[str]:
        return [self.shell, "read", self.click]

    @property
    def headers(self) -> J:
        return {"Authorization": f"Bearer {self.key}"}

    def ask(self) -> Reply:
        body = json.dumps(self.body()).encode()
        data = _exchange(self.url, "POST", self.path, body, self.headers)
        return self.whole(self.joined(self._sse(data)) if self.stream else json.loads(data))

    def _sse(self, data: bytes) -> list[J]:
        """The events of a stream; a named one carries its name as its type as well."""
        found = []
        for block in data.decode().rstrip("\n").split("\n\n"):
            *names, line = block.splitlines()
            if line == "data: [DONE]":
                continue
            found.append(json.loads(line.removeprefix("data: ")))
            assert names == ([f"event: {found[-1]['type']}"] if names else [])
        self.events = [self.label(event) for event in found]
        return found

    def label(self, event: J) -> str:
        return str(event["type"])

    def kind(self, error: J) -> str:
        return str(error["error"]["type"])

    def schemas(self) -> list[tuple[str, J]]:
        """The tools' names and schemas; none without tools."""
        text = {"type": "string"}
        shell = {"type": "object", "properties": {self.command: text}, "required": [self.command]}
        found = [(name, {"type": "object", "properties": {}}) for name in self.offered]
        return [(self.shell, shell), *found[1:]] if self.tools else []

    def say(self, text: str) -> None:
        self.history += [*self.last, {"role": "user", "content": text}]
        self.last = []

    def answer(self, *results: str, picture: bool = False, id: str = "") -> None:
        told = zip([id] if id else self.ids, results, strict=True)
        self.history += [*self.last, *self.results(list(told), picture)]
        self.last = []

    def results(self, told: list[tuple[str, str]], picture: bool) -> list[J]:
        raise NotImplementedError

    def body(self) -> J:
        raise NotImplementedError

    def joined(self, events: list[J]) -> J:
        """The whole answer out of the events of a stream."""
        raise NotImplementedError

    def whole(self, told: J) -> Reply:
        raise NotImplementedError
