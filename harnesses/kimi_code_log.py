"""What Kimi Code writes as it works, read as a story.

The record that it keeps of each agent below its home has all, with times: what an answer said, its
calls and their results, and what it used. Its stdout has the session's name, and the pictures that
the record has only by name, as it has large ones: what comes first of the two waits for the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, objects, parsed, sub, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["KimiCodeLog"]

MAIN = "main"
EXIT = re.compile(r"^Command failed with exit code: (\d+)\.$", re.MULTILINE)
APART = "blobref:"  # how the address of a picture begins that is kept in a file of its own
MOST_APART = 50  # results that wait for their pictures, and the other way round
DATA = re.compile(r"data:([\w/+.-]+);base64,")
KINDS = {"text": "text", "think": "think"}


class KimiCodeLog:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._agents: dict[str, _Agent] = {}
        self._session = ""
        self._pictures: dict[str, list[str]] = {}  # as addresses with data, by call
        self._waiting: dict[str, tuple[_Agent, Json, float | None]] = {}  # for these

    def line(self, source: str, text: str) -> None:
        told = parsed(text)
        if source == "stdout":
            self._session = word(told, "session_id") or self._session
            if word(told, "role") == "tool" and (id := word(told, "tool_call_id")):
                self._shown(id, word(told, "content"))
        elif source != "stderr":
            self._agent(source).line(told)

    def _agent(self, path: str) -> _Agent:
        """A file for each: agents/NAME/wire.jsonl."""
        name = PurePosixPath(path).parent.name
        if name not in self._agents:
            story = self._story if name == MAIN else self._story.subagent(name, "subagent")
            self._agents[name] = _Agent(story, self, name)
        return self._agents[name]

    def _shown(self, id: str, text: str) -> None:
        found = parsed(f'{{"parts": {text}}}') if text.startswith("[") else {}
        urls = [word(sub(part, "imageUrl"), "url") for part in objects(found.get("parts"))]
        if shown := [url for url in urls if DATA.match(url)]:
            self._pictures[id] = shown
        if len(self._pictures) > MOST_APART:
            del self._pictures[next(iter(self._pictures))]
        if id in self._waiting:
            agent, told, when = self._waiting.pop(id)
            agent.result(id, told, when, self._pictures.pop(id, []))

    def result(self, agent: _Agent, id: str, told: Json, when: float | None) -> None:
        """A result of the main agent's, with its pictures; others' are shown nowhere."""
        urls = [word(sub(part, "imageUrl"), "url") for part in objects(told.get("output"))]
        apart = agent.name == MAIN and any(url.startswith(APART) for url in urls)
        if apart and id not in self._pictures:
            self._waiting[id] = agent, told, when
            if len(self._waiting) > MOST_APART:
                id = next(iter(self._waiting))
                agent, told, when = self._waiting.pop(id)
                agent.result(id, told, when, [])
        else:
            agent.result(id, told, when, self._pictures.pop(id, []))

    def close(self, status: int | None) -> Closing:
        """What it complains of is on stderr, and its exit status is 1 then."""
        for id, (agent, told, when) in self._waiting.items():
            agent.result(id, told, when, [])
        spent = sum((agent.usage for agent in self._agents.values()), Usage())
        return Closing(usage=spent if spent.prompt else None, session=self._session)


@dataclass
class _Agent:
    story: Story
    log: KimiCodeLog
    name: str
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    said: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # by step
    steps: dict[str, float | None] = field(default_factory=dict)  # when each began

    def line(self, told: Json) -> None:
        kind, when = word(told, "type"), _when(told)
        if kind == "llm.request":
            self.model = word(told, "model")
        elif kind == "turn.prompt" and self.name != MAIN:
            parts = [word(part, "text") for part in objects(told.get("input"))]
            self.story.user("\n".join(parts), when=when)
        elif kind == "context.append_loop_event":
            self._event(sub(told, "event"), when)

    def _event(self, event: Json, when: float | None) -> None:
        kind = word(event, "type")
        step = word(event, "uuid") if kind == "step.begin" else word(event, "stepUuid")
        if kind == "step.begin":
            self.steps.setdefault(step, when)
        elif kind == "content.part":
            self._part(step, sub(event, "part"), when)
        elif kind == "tool.call" and (id := word(event, "toolCallId")):
            self._turn(step, when)
            self.story.call(id, word(event, "name"), sub(event, "args"), turn=step, when=when)
        elif kind == "tool.result" and (id := word(event, "toolCallId")):
            self.log.result(self, id, sub(event, "result"), when)
        elif kind == "step.end" and word(event, "uuid"):
            self._end(word(event, "uuid"), sub(event, "usage"), when)

    def _turn(self, step: str, when: float | None, metrics: Metrics | None = None) -> None:
        said = self.said.get(step, {})
        text, thought = ("\n\n".join(said.get(kind, ())) or None for kind in KINDS)
        began = self.steps.setdefault(step, when)
        model = self.model or None
        self.story.turn(
            step, when=began, text=text, reasoning=thought, model=model, metrics=metrics
        )

    def _part(self, step: str, part: Json, when: float | None) -> None:
        kind = word(part, "type")
        if kind in KINDS and (text := word(part, KINDS[kind])):
            self.said.setdefault(step, {}).setdefault(kind, []).append(text)
            self._turn(step, when)

    def _end(self, step: str, told: Json, when: float | None) -> None:
        cached, written = count(told, "inputCacheRead"), count(told, "inputCacheCreation")
        used = Usage(
            prompt=count(told, "inputOther") + cached + written,
            cached=cached,
            cache_write=written,
            output=count(told, "output"),
        )
        self.usage += used
        metrics = Metrics(
            prompt_tokens=used.prompt, completion_tokens=used.output, cached_tokens=cached
        )
        self._turn(step, when, metrics if told else None)
        self.said.pop(step, None)

    def result(self, id: str, told: Json, when: float | None, shown: list[str]) -> None:
        content = [*self._content(told.get("output"), [*shown])]
        text = "\n".join(part.text or "" for part in content)
        extra: dict[str, object] = {}
        if type(lasted := told.get("durationMs")) is int:
            extra["seconds"] = lasted / 1000
        if told.get("isError") is True:
            extra["is_error"] = True
        if found := EXIT.search(text):
            extra["exit_code"] = int(found[1])
        self.story.result(id, joined(content), when=when, extra=extra)

    def _content(self, output: object, shown: list[str]) -> Iterator[ContentPart]:
        if isinstance(output, str):
            yield ContentPart(type="text", text=output)
        for part in objects(output):
            text, url = "", word(sub(part, "imageUrl"), "url")
            if url.startswith(APART):
                url = shown.pop(0) if shown else ""
                text = "" if url else "[a picture that it does not show]"
            if match := DATA.match(url):
                yield self.story.picture(url[match.end() :], match[1])
            elif text := word(part, "text") or text:
                yield ContentPart(type="text", text=text)


def _when(told: Json) -> float | None:
    time = told.get("time")
    return time / 1000 if type(time) is int and 0 < time < 10**14 else None
