"""claw's memory: what its model is shown of the work so far, and what is left out when it is much.

Knows nothing of tools or models. The task, the plan and the notes stay; of pictures the last few;
older turns are summed up, and what is left of them are their calls, in short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pydantic_ai.messages as talk

from pytest_ale.text import shorten

from . import claw_words as words

__all__ = ["Memory"]

FULL = 0.8  # of the context, by what the last answer says it used
RECENT = 6  # turns that stay as they were, when older ones are summed up
LETTERS = 4  # in a token, about
SHORT = 200  # characters of an old call's argument, or of an old answer's words
SHOWN = 2000  # characters of a result, when it is summed up
PICTURE = "[a picture that is not shown any more]"

RESULT = "[cut: see the summary and your notes]"

# An answer of the model, and what was said to it: results of its calls, and words.
Turn = tuple[talk.ModelResponse, talk.ModelRequest]


@dataclass
class Memory:
    """One agent's."""

    instructions: str
    task: str
    knobs: Mapping[str, str]
    plan: str = ""
    notes: list[str] = field(default_factory=list)
    _summary: str = ""
    _turns: list[Turn] = field(default_factory=list)
    _short: int = 0  # turns of which only the calls are left
    _used: int = 0  # tokens, as the last answer says, and what came after it
    _blind: int = 0  # times that pictures were not taken

    def add(self, answer: talk.ModelResponse, results: Sequence[talk.ToolReturnPart] = ()) -> None:
        """Words that are empty are no message to some APIs, and neither is an empty answer."""
        used = answer.usage.input_tokens + answer.usage.output_tokens
        self._used = used and used + _letters(talk.ModelRequest(list(results))) // LETTERS
        parts = [p for p in answer.parts if not isinstance(p, talk.TextPart) or p.content.strip()]
        if any(isinstance(part, talk.TextPart | talk.ToolCallPart) for part in parts):
            kept = replace(answer, parts=parts)
            self._turns.append((kept, talk.ModelRequest(list(results))))
            self._keep_pictures(0 if self._blind > 1 else int(self.knobs["images"]))

    def blind(self) -> bool:
        """Show no picture that is there, from the second time on none at all; whether one was."""
        seen = self._keep_pictures(0) > 0
        self._blind += seen
        return seen

    def reply(self, text: str) -> None:
        """Say something to the model, after what it said last."""
        if self._turns:
            answer, said = self._turns[-1]
            parts = [*said.parts, talk.UserPromptPart(text)]
            self._turns[-1] = answer, talk.ModelRequest(parts)
        else:
            self.task += f"\n\n{text}"

    @property
    def messages(self) -> list[talk.ModelMessage]:
        known = [self._summary, f"Your plan:\n{self.plan}" if self.plan else ""]
        known += ["Your notes:", *(f"- {note}" for note in self.notes)] if self.notes else []
        most = int(self.knobs["context"]) * LETTERS // 4  # of it all, however much was noted
        shown = words.CONTEXT.format(known=shorten("\n".join(filter(None, known)), most))
        first = self.task + (shown if self._short or self._summary else "")
        prompt = talk.UserPromptPart(first)
        return [talk.ModelRequest([prompt], instructions=self.instructions), *_flat(self._turns)]

    @property
    def full(self) -> bool:
        used = self._used or sum(map(_letters, self.messages)) // LETTERS
        return used > int(self.knobs["context"]) * FULL

    def compact(self, summed_up: Callable[[str], str], hard: int = 0) -> None:
        """Make it shorter; `hard` says how often that was not enough."""
        room = int(self.knobs["context"]) * LETTERS
        keep = 0 if hard > 1 else min(RECENT, len(self._turns) // 2) >> hard
        old, recent = self._turns[: len(self._turns) - keep], self._turns[len(self._turns) - keep :]
        if new := old[self._short :]:
            text = "\n".join(filter(None, [self._summary, *map(_read, _flat(new))]))
            self._summary = summed_up(text[-room // 2 :])
        stubs = [_stub(*turn) for turn in old]
        if sum(map(_letters, _flat(stubs))) > room // 4 >> 2 * hard:
            stubs = []
        self._turns, self._short, self._used = stubs + recent, len(stubs), 0
        if hard:
            self._keep_pictures(0)

    def _keep_pictures(self, most: int) -> int:
        """The last so many stay, of older ones it is said that they were there; how many were."""
        seen = 0
        for part in reversed([part for _, said in self._turns for part in said.parts]):
            if isinstance(part, talk.ToolReturnPart):
                seen += (here := _pictures(part.content))
                if here and seen > most:
                    part.content = _words(part.content)
        return seen


def _flat(turns: Sequence[Turn]) -> list[talk.ModelMessage]:
    return [message for turn in turns for message in turn if message.parts]


def _pictures(content: object) -> int:
    each = content if isinstance(content, list) else []
    return sum(isinstance(one, talk.BinaryContent) for one in each)


def _words(content: object) -> str:
    each = content if isinstance(content, list) else [content]
    return "\n".join(PICTURE if isinstance(one, talk.BinaryContent) else str(one) for one in each)


def _stub(answer: talk.ModelResponse, said: talk.ModelRequest) -> Turn:
    """What was called, without what came of it; thoughts go, for they are signed as they were."""
    kept: list[talk.ModelResponsePart] = []
    for part in answer.parts:
        if isinstance(part, talk.TextPart):
            kept.append(talk.TextPart(shorten(part.content, SHORT)))
        elif isinstance(part, talk.ToolCallPart):
            given = part.args_as_dict()
            given |= {k: shorten(v, SHORT) for k, v in given.items() if isinstance(v, str)}
            kept.append(talk.ToolCallPart(part.tool_name, given, part.tool_call_id))
    for each in said.parts:
        if isinstance(each, talk.ToolReturnPart):
            each.content = RESULT
    return replace(answer, parts=kept), said


def _read(message: talk.ModelMessage, most: int = SHOWN) -> str:
    """A message as one reads it."""
    lines = []
    for part in message.parts:
        if isinstance(part, talk.ToolCallPart):
            lines.append(f"CALLED {part.tool_name} {shorten(part.args_as_json_str(), most)}")
        elif isinstance(part, talk.ToolReturnPart):
            lines.append(f"RESULT {shorten(_words(part.content), most)}")
        elif isinstance(part, talk.TextPart | talk.UserPromptPart):
            lines.append(f"SAID {shorten(_words(part.content), most)}")
    return "\n".join(lines)


def _letters(message: talk.ModelMessage) -> int:
    return len(_read(message, 1 << 30))
