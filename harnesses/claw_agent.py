"""claw's loop: ask the model, do what it calls, say what came of it, until it has handed over.

Knows tools by their names alone, and the mind by `ask`. The worker and the one that it sends to
the screen are of one kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pydantic_ai.messages as talk

from pytest_ale.harness import Work
from pytest_ale.outside import Said, Tool
from pytest_ale.story import Story
from pytest_ale.text import shorten
from pytest_ale.trajectory import Metrics

from . import claw_words as words
from .claw_memory import Memory
from .claw_mind import Lost, Messages, Mind, Refused, Unfit, usable

__all__ = ["Agent", "Do", "Tools", "aside"]

PICTURES = ("image", "picture", "vision", "modal")  # a server names what it does not take
ASTRAY = 4  # answers in a row that are of no use, and
SHRINKS = 3  # requests in a row that its server does not take, each smaller: then it is given up
LATE = 0.1  # of its time: when so little is left, it is told
END = 20_000  # characters of old turns that are kept where nobody can sum them up
LONGEST = 30_000  # characters of a result that the model is shown

Do = Callable[[str, Mapping[str, object]], Said]  # by the call's id, and its arguments
Tools = Mapping[str, tuple[Tool, Do]]


@dataclass
class Agent:
    """A model with tools and a memory; `run` returns its last words."""

    work: Work
    mind: Mind
    memory: Memory
    story: Story
    tools: Tools
    turns: int  # at most
    unfinished: Callable[[str], str] = lambda said: ""  # why it cannot stop yet, told its words
    _warned: bool = False

    def run(self) -> str:
        astray = 0
        for _ in range(self.turns):
            self._hurry()
            answer = self._answer()
            self.work.live()
            said = answer.text or ""
            whole = bool(said.strip()) and answer.finish_reason != "length"
            sense = self._act(answer) if answer.tool_calls else whole
            if not answer.tool_calls:
                if not (why := self.unfinished(said) if sense else words.EMPTY):
                    return said
                self.memory.add(answer)
                self._reply(why)
            astray = 0 if sense else astray + 1
            if astray >= ASTRAY:
                raise Lost(f"{self.mind.name} gave no answer of use {ASTRAY} times in a row")
        return f"[it was stopped after {self.turns} turns]"

    def _hurry(self) -> None:
        left = self.work.deadline - time.monotonic()
        if left < self.work.limit * LATE and not self._warned:
            self._warned = True
            self._reply(words.LATE.format(seconds=left))

    def _reply(self, text: str) -> None:
        self.memory.reply(text)
        self.story.user(text)

    def _answer(self) -> talk.ModelResponse:
        offered = [tool for tool, _ in self.tools.values()]
        if self.memory.full:
            self._compact(0)
        for hard in range(SHRINKS):
            try:
                return _asked(self.mind, self.story, self.memory.messages, offered)
            except Unfit as unfit:
                self.story.system(f"the request was not taken: {unfit}")
                if not (any(w in str(unfit).lower() for w in PICTURES) and self.memory.blind()):
                    self._compact(hard)
        return _asked(self.mind, self.story, self.memory.messages, offered)

    def _compact(self, hard: int) -> None:
        self.memory.compact(self._summed_up, hard)
        self.story.system("the context was compacted", extra={"hard": hard})

    def _summed_up(self, text: str) -> str:
        """What old turns come to; where even they are too long, the later ones, or their end."""
        for part in (1, 4, 16):
            work = text[-len(text) // part :]
            asked = f"The task:\n{shorten(self.memory.task, 8000)}\n\nThe work:\n{work}"
            with suppress(Unfit, Refused):
                if said := aside(self.mind, self.story, "summary", words.SUMMARY, asked):
                    return said
        return text[-END:]

    def _act(self, answer: talk.ModelResponse) -> bool:
        """Do all that is called, one after the other; whether any of it made sense."""
        results, sense = [], False
        for call in answer.tool_calls:
            id = call.tool_call_id or "call"
            while self.story.knows(id):  # a model may give two calls one name
                id += "+"
            said, sane = self._do(id, call)
            sense = sense or sane
            results.append(talk.ToolReturnPart(call.tool_name, _shown(said), call.tool_call_id))
            self.work.live()
        self.memory.add(answer, results)
        return sense

    def _do(self, id: str, call: talk.ToolCallPart) -> tuple[Said, bool]:
        wrong = self._wrong(call)
        given = call.args_as_dict()  # of a text that is no object: that text, by another name
        self.story.call(id, call.tool_name, given, extra={"astray": True} if wrong else None)
        self.work.live()
        began = time.monotonic()
        said = Said((wrong,), True) if wrong else self.tools[call.tool_name][1](id, given)
        extra = {"seconds": round(time.monotonic() - began, 3), "failed": said.failed}
        self.story.result(id, said.told(self.story), extra=extra)
        return said, not wrong

    def _wrong(self, call: talk.ToolCallPart) -> str:
        """Why nothing can be done."""
        if call.tool_name not in self.tools:
            name = shorten(call.tool_name, 200)
            return f"There is no tool {name!r}; there are {', '.join(self.tools)}."
        return "" if isinstance(call.args, dict) else words.NO_OBJECT


def _shown(said: Said) -> str | list[str | talk.BinaryContent]:
    """What came of a call, as the model is shown it."""
    texts = [shorten(part, LONGEST) for part in said.parts if isinstance(part, str)]
    seen = [talk.BinaryContent(p[0], media_type=p[1]) for p in said.parts if isinstance(p, tuple)]
    return [*texts, *seen] if seen else "\n".join(texts)


def aside(mind: Mind, story: Story, what: str, instructions: str, asked: str) -> str:
    """Ask a model something beside the work, with no tools."""
    told = talk.ModelRequest([talk.UserPromptPart(asked)], instructions=instructions)
    return _asked(mind, story, [told], what=what).text or ""


def _asked(
    mind: Mind, story: Story, said: Messages, tools: Sequence[Tool] = (), what: str = ""
) -> talk.ModelResponse:
    """The answer, which is told whether it is of use or not."""
    answer = mind.ask(said, tools)
    used, thought = answer.usage, answer.usage.output_reasoning_tokens
    metrics = Metrics(
        prompt_tokens=used.input_tokens,
        completion_tokens=used.output_tokens,
        cached_tokens=used.cache_read_tokens,
        extra={"reasoning_tokens": thought} if thought else None,
    )
    text, thoughts, extra = answer.text or "", answer.thinking, {"aside": what} if what else None
    story.turn(text=text, reasoning=thoughts or None, model=mind.name, metrics=metrics, extra=extra)
    usable(answer)
    return answer
