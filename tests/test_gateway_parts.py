"""Parts of the model gateway: counting, masking, addresses."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from pytest_ale.gateway import Upstream, Usage, upstreams
from pytest_ale.gateway.apis import Api, error, route, without_key
from pytest_ale.gateway.scrub import Mask, Scrub, without_blobs
from pytest_ale.gateway.usage import HELD_BYTES, Meter

SSE = "text/event-stream; charset=utf-8"


def events(*values: object) -> bytes:
    return b"".join(b"event: x\ndata: " + json.dumps(value).encode() + b"\n\n" for value in values)


START = {"input_tokens": 5, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 15}
CHAT = {"prompt_tokens": 50, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 20}}
CASES: dict[str, tuple[Api, bytes, Usage]] = {
    "responses": (
        "openai",
        events(
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.output_text.delta", "delta": '"usage": {"input_tokens": 7}'},
            {
                "type": "response.completed",
                "response": {
                    "usage": {
                        "input_tokens": 100,
                        "input_tokens_details": {"cached_tokens": 60},
                        "output_tokens": 30,
                        "output_tokens_details": {"reasoning_tokens": 20},
                        "total_tokens": 130,
                    }
                },
            },
        ),
        Usage(100, 60, 0, 30, 20),
    ),
    "chat": (
        "openai",
        events({"usage": None}, {"choices": [], "usage": CHAT}) + b"data: [DONE]\n\n",
        Usage(50, 20, 0, 8),
    ),
    "chat, reasoning apart": (
        "openai",
        events(
            {
                "usage": CHAT
                | {"completion_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 62}
            }
        ),
        Usage(50, 20, 0, 12, 4),
    ),
    "messages": (
        "anthropic",
        events(
            {"type": "message_start", "message": {"usage": START | {"output_tokens": 1}}},
            {"type": "ping"},
            {"type": "message_delta", "usage": {"output_tokens": 42, "input_tokens": None}},
            {"type": "message_stop"},
        ),
        Usage(100, 80, 15, 42),
    ),
    "gemini": (
        "gemini",
        events(
            {"usageMetadata": {"promptTokenCount": 40, "totalTokenCount": 40}},
            {
                "usageMetadata": {
                    "promptTokenCount": 40,
                    "cachedContentTokenCount": 30,
                    "candidatesTokenCount": 6,
                    "thoughtsTokenCount": 9,
                    "toolUsePromptTokenCount": 2,
                }
            },
        ),
        Usage(42, 30, 0, 15, 9),
    ),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("case", CASES)
def test_tokens_mean_the_same_everywhere(case: str, ending: bytes, size: int) -> None:
    api, stream, wanted = CASES[case]
    stream = stream.replace(b"\n", ending)
    meter = Meter(api, SSE)
    for at in range(0, len(stream), size):
        meter.feed(stream[at : at + size])
    assert meter.finish() == wanted


ANSWERS: list[tuple[Api, str]] = [
    ("openai", '{"choices": [{"message": {"content": null}}]}'),
    ("openai", '{"output": [], "status": "incomplete"}'),
    ("anthropic", '{"type": "message", "content": []}'),
    ("gemini", '{"promptFeedback": {"blockReason": "OTHER"}}'),
    ("gemini", '{"usageMetadata": {"promptTokenCount": 40}}'),
]


@pytest.mark.parametrize(("api", "said"), ANSWERS)
def test_an_empty_answer_is_one(api: Api, said: str) -> None:
    meter = Meter(api, "application/json")
    meter.feed(said.encode())
    meter.finish()
    assert not meter.is_no_answer


NONE = ["", "{}", "null", "[]", '{"choices": []}', '{"error": {"type": "m"}}', '{"choices": [{']


@pytest.mark.parametrize("api", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("said", NONE)
def test_what_has_nothing_of_an_answer_is_none(api: Api, said: str) -> None:
    meter = Meter(api, "application/json")
    meter.feed(said.encode())
    meter.finish()
    assert meter.is_no_answer


SAYS = 'no: "finish_reason": "content_filter", "refusal": "x", "stop_reason": "refusal"'
REFUSED: dict[str, tuple[Api, object, bool]] = {
    "chat, filtered": ("openai", {"choices": [{"finish_reason": "content_filter"}]}, True),
    "chat, in its words": ("openai", {"choices": [{"delta": {"refusal": "I can"}}]}, True),
    "chat, answered": (
        "openai",
        {"choices": [{"delta": {"refusal": None, "content": SAYS}}]},
        False,
    ),
    "responses, filtered": (
        "openai",
        {"response": {"incomplete_details": {"reason": "content_filter"}}},
        True,
    ),
    "responses, in its words": (
        "openai",
        {"item": {"content": [{"type": "refusal", "refusal": "I cannot."}]}},
        True,
    ),
    "messages": ("anthropic", {"delta": {"stop_reason": "refusal"}}, True),
    "messages, answered": (
        "anthropic",
        {"delta": {"stop_reason": "end_turn", "text": SAYS}},
        False,
    ),
    "gemini": ("gemini", {"candidates": [{"finishReason": "SAFETY"}]}, True),
    "gemini, its prompt": ("gemini", {"promptFeedback": {"blockReason": "OTHER"}}, True),
    "gemini, answered": ("gemini", {"candidates": [{"finishReason": "STOP"}]}, False),
}


@pytest.mark.parametrize("kind", [SSE, "application/json"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_seen_where_the_api_says_it_and_not_in_what_is_said(
    case: str, kind: str
) -> None:
    api, event, wanted = REFUSED[case]
    meter = Meter(api, kind)
    meter.feed(events(event) if kind == SSE else json.dumps(event).encode())
    meter.finish()
    assert meter.refused is wanted


def test_a_last_event_without_its_empty_line_counts() -> None:
    meter = Meter("openai", SSE)
    meter.feed(events({"usage": CHAT}).rstrip() + b"\n")
    assert meter.finish() == Usage(50, 20, 0, 8)


def test_geminis_stream_may_be_one_json_list() -> None:
    meter = Meter("gemini", "application/json")
    meter.feed(json.dumps([{}, {"usageMetadata": {"promptTokenCount": 3}}]).encode())
    assert meter.finish() == Usage(prompt=3)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": "many"},
        {"prompt_tokens": True, "prompt_tokens_details": [1], "completion_tokens": 1.5},
        {"prompt_tokens": None, "other": {}},
    ],
)
def test_what_is_no_count_is_nothing(usage: dict[str, object]) -> None:
    meter = Meter("openai", "application/json")
    meter.feed(json.dumps({"usage": usage}).encode())
    assert (meter.finish() or Usage()) == Usage()


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br"])
def test_garbage_counts_for_nothing_and_raises_nothing(encoding: str) -> None:
    dice = random.Random(4)
    for kind in (SSE, "application/json"):
        meter = Meter("anthropic", kind, encoding)
        for _ in range(200):
            meter.feed(dice.randbytes(300) + b'\ndata: {"usage": {"a": [[[\n\n')
        assert meter.finish() is None


def test_an_event_without_end_and_a_bomb_are_bounded() -> None:
    endless = Meter("openai", SSE)
    for _ in range(HELD_BYTES // (1 << 20) + 2):
        endless.feed(b"data: " + b"a" * (1 << 20))
    assert endless.finish() is None and endless.estimate(400) == Usage(prompt=100, estimated=1)
    bomb = Meter("openai", "application/json", "gzip")
    bomb.feed(gzip.compress(bytes(HELD_BYTES * 2)))
    assert bomb.finish() is None


@pytest.mark.parametrize("size", [1, 3, 10, 1000])
def test_a_mask_hides_a_key_across_chunks_and_holds_nothing_else_back(size: int) -> None:
    text = b"a sk-ab sk-abcdefgh, sk-abcdefgsk-abcdefgh sk-abcdefg"
    mask, got = Mask(["sk-abcdefgh", ""]), b""
    for at in range(0, len(text), size):
        got += mask.feed(text[at : at + size])
    assert got + mask.end() == text.replace(b"sk-abcdefgh", b"*" * 11)
    assert mask.feed(b"data: {}\n\n") == b"data: {}\n\n"


def test_a_short_secret_is_not_looked_for() -> None:
    assert Scrub({"key": "a"})(b"banana") == b"banana"


def test_blobs_are_cut_by_their_hash_and_words_are_not() -> None:
    cut = without_blobs(b'{"data":"' + b"A" * 5000 + b'","text":"' + b"word " * 2000 + b'"}')
    assert b"[5000 characters, sha256 " in cut and cut.count(b"word ") == 2000
    assert "data" in json.loads(cut)


@pytest.mark.parametrize(
    ("base", "path", "wanted"),
    [
        ("https://api.openai.com/v1", "/v1/responses", "https://api.openai.com/v1/responses"),
        ("http://vllm:8000", "/v1/chat/completions", "http://vllm:8000/v1/chat/completions"),
        ("https://proxy/llm/v1/", "/v1/messages", "https://proxy/llm/v1/messages"),
        ("https://proxy/g", "/v1beta/models/m:x", "https://proxy/g/v1beta/models/m:x"),
    ],
)
def test_a_base_may_end_in_its_version(base: str, path: str, wanted: str) -> None:
    assert Upstream(base).target(path) == wanted


def test_keys_come_from_the_environment_and_one_address_may_serve_all() -> None:
    found = upstreams({"OPENAI_API_KEY": "o", "GEMINI_API_KEY": "", "GOOGLE_API_KEY": "g"})
    assert {api: known.key for api, known in found.items()} == {
        "openai": "o",
        "anthropic": "",
        "gemini": "g",
    }
    assert {known.url for known in upstreams({}, "http://one").values()} == {"http://one"}


def test_a_query_loses_its_key_alone() -> None:
    assert without_key("alt=sse&key=a%20b&x=%41&%6Bey=c&y") == "alt=sse&x=%41&y"


def test_lists_of_models_belong_to_whoever_asks() -> None:
    asked = [route("GET", "/v1/models", headers) for headers in ({}, {"x-api-key": "a"})]
    assert [found.api for found in asked if not isinstance(found, int)] == ["openai", "anthropic"]
    assert route("GET", "/v1beta/models", {}) != 404


def test_each_error_says_its_code_where_people_read_it() -> None:
    for api in ("openai", "anthropic", "gemini"):
        told = error(api, 402, "budget_exhausted", "no more")["error"]
        assert isinstance(told, dict) and told["message"] == "budget_exhausted: no more"
