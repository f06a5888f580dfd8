"""Tokens, in one meaning for all APIs, read beside the stream.

Knows nothing of HTTP, prices or attempts. `prompt` includes what was cached or written to a cache,
`output` includes reasoning. What is read is foreign: what is no count is 0.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from pytest_ale.gateway.apis import Api
from pytest_ale.told import count, sub

__all__ = ["Meter", "Usage", "unanswered"]

HELD_BYTES = 32 << 20  # of an event, or of an answer in one piece
# How each API says that the model would not answer, or that its server kept the answer back. In
# what is said, a quotation mark has a backslash before it: there these are not found.
REFUSALS: Mapping[Api, re.Pattern[bytes]] = {
    "openai": re.compile(
        rb'"(?:finish_reason|reason)"\s*:\s*"content_filter"|"refusal"\s*:\s*"[^"]'
    ),
    "anthropic": re.compile(rb'"stop_reason"\s*:\s*"refusal"'),
    "gemini": re.compile(
        rb'"finishReason"\s*:\s*"(?:SAFETY|BLOCKLIST|PROHIBITED_CONTENT|SPII)"'
        rb'|"blockReason"\s*:\s*"[A-Z]'
    ),
}
# What is in each API's answer, whole or in pieces, be it empty; an error's has none of it.
ANSWERS: Mapping[Api, re.Pattern[bytes]] = {
    "openai": re.compile(rb'"choices"\s*:\s*\[\s*\{|"output"\s*:\s*\[|"type"\s*:\s*"response\.'),
    "anthropic": re.compile(rb'"content"\s*:\s*\[|"type"\s*:\s*"(?:message|content_block)_'),
    "gemini": re.compile(rb'"(?:candidates|promptFeedback)"\s*:\s*[\[{]'),
}
HAS_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
# What JSON begins and ends with, or the end of OpenAI's streams; reading all would cost too much.
WHOLE = re.compile(rb"\s*(?:\{.*\}|\[.*\])?\s*", re.DOTALL)
BYTES_PER_TOKEN = 4  # of English and of code, about: only where an API tells nothing


@dataclass(frozen=True)
class Usage:
    """Tokens and requests. `requests` were sent on; of them `refused` came back with an error, and
    of `estimated` no count came (cut off, or the API was not asked for it): they were guessed."""

    prompt: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    requests: int = 0
    refused: int = 0
    estimated: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt + self.output

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = asdict(self), asdict(other)
        return Usage(**{name: mine[name] + theirs[name] for name in mine})


def unanswered(asked: int) -> Usage:
    """A guess from the size of a request, for what is not known to have been answered."""
    return Usage(prompt=asked // BYTES_PER_TOKEN, estimated=1)


class Meter:
    """Reads the usage out of one answer while its bytes pass."""

    def __init__(self, api: Api, content_type: str, encoding: str = "") -> None:
        self.events = 0
        self._api = api
        self._sse = "event-stream" in content_type
        self._unzip = _decoder(encoding)
        self._pending = bytearray()
        self._data: list[bytes] = []  # of the event that is being read
        self._size = 0
        self._seen: dict[str, object] = {}
        self._lost = False
        self._bytes = 0
        self.garbled = False  # something in it is no JSON
        self.answers = False  # it has what an answer is made of
        self.refused = False  # it says that the model would not do it

    def feed(self, chunk: bytes) -> None:
        """Take note of what passed; whatever it is, this does not raise."""
        self._bytes += len(chunk)
        if self._lost:
            return
        try:
            self._pending += self._unzip(chunk)
            if self._sse:
                self._lines()
        except zlib.error:
            self._lost = True
        if len(self._pending) + self._size > HELD_BYTES:
            self._lost = True
            self._pending.clear()
            self._data.clear()

    @property
    def is_no_answer(self) -> bool:
        """Known once it is finished; of one that could not be read to its end, nothing is."""
        return self.garbled or not (self.answers or self._seen or self._lost)

    def finish(self) -> Usage | None:
        """What the answer told, or None."""
        if not self._lost:
            self._end_event() if self._sse else self._read(bytes(self._pending))
        self._pending.clear()
        return _counted(self._api, self._seen) if self._seen else None

    def estimate(self, asked: int) -> Usage:
        """A guess from the sizes of request and answer; of a stream, about one token an event."""
        said = self.events if self._sse else self._bytes // BYTES_PER_TOKEN
        return unanswered(asked) + Usage(output=said)

    def _lines(self) -> None:
        end = self._pending.rfind(b"\n") + 1
        if not end:
            return
        lines = bytes(self._pending[:end]).split(b"\n")
        del self._pending[:end]
        for line in lines[:-1]:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._size += len(line)
            elif not line:
                self._end_event()

    def _end_event(self) -> None:
        if self._data:
            self.events += 1
            self._read(b"\n".join(self._data))
            self._data.clear()
            self._size = 0

    def _read(self, text: bytes) -> None:
        self.garbled |= not WHOLE.fullmatch(text)
        self.answers = self.answers or bool(ANSWERS[self._api].search(text))
        self.refused |= bool(REFUSALS[self._api].search(text))
        if not HAS_USAGE.search(text):  # most events: parsing each would cost what streaming does
            return
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        for event in value if isinstance(value, list) else [value]:
            for usage in _usages(event):
                self._seen |= {name: known for name, known in usage.items() if known is not None}


def _usages(event: object) -> Iterator[Mapping[str, object]]:
    if not isinstance(event, dict):
        return
    for holder in (event, event.get("response"), event.get("message")):
        if isinstance(holder, dict):
            found = (holder.get(name) for name in ("usage", "usageMetadata"))
            yield from (usage for usage in found if isinstance(usage, dict))


def _counted(api: Api, seen: Mapping[str, object]) -> Usage:
    readers = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
    return readers[api](seen)


def _openai(seen: Mapping[str, object]) -> Usage:
    """Responses say input and output, Chat Completions prompt and completion."""
    asked, said = ("prompt", "completion") if "prompt_tokens" in seen else ("input", "output")
    prompt, output = count(seen, f"{asked}_tokens"), count(seen, f"{said}_tokens")
    read, made = sub(seen, f"{asked}_tokens_details"), sub(seen, f"{said}_tokens_details")
    reasoning = count(made, "reasoning_tokens")
    if count(seen, "total_tokens") == prompt + output + reasoning:
        output += reasoning  # some servers (xAI's) do not count it as output
    cached = count(read, "cached_tokens") or count(seen, "prompt_cache_hit_tokens")  # DeepSeek's
    return Usage(prompt, cached, count(read, "cache_write_tokens"), output, reasoning)


def _anthropic(seen: Mapping[str, object]) -> Usage:
    """What was cached, and written to a cache, is not in its input."""
    cached, written = "cache_read_input_tokens", "cache_creation_input_tokens"
    prompt = count(seen, "input_tokens", cached, written)
    reasoning = count(sub(seen, "output_tokens_details"), "thinking_tokens")
    output = count(seen, "output_tokens")
    return Usage(prompt, count(seen, cached), count(seen, written), output, reasoning)


def _gemini(seen: Mapping[str, object]) -> Usage:
    """Its thoughts are not in its candidates, nor is what its own tools read in the prompt."""
    prompt = count(seen, "promptTokenCount", "toolUsePromptTokenCount")
    output = count(seen, "candidatesTokenCount", "thoughtsTokenCount")
    thoughts = count(seen, "thoughtsTokenCount")
    return Usage(prompt, count(seen, "cachedContentTokenCount"), 0, output, thoughts)


class _decoder:
    """Undo an encoding that a server chose though it was asked for none."""

    def __init__(self, encoding: str) -> None:
        known = {"gzip": 31, "x-gzip": 31, "deflate": 47}
        name = encoding.strip().lower()
        self._zip = zlib.decompressobj(known[name]) if name in known else None
        self._plain = name in ("", "identity")

    def __call__(self, chunk: bytes) -> bytes:
        if self._zip:
            return self._zip.decompress(chunk, HELD_BYTES)
        return chunk if self._plain else b""
