"""Anthropic Messages: `/v1/messages` and `/v1/messages/count_tokens`.

Knows nothing of HTTP, nor of scripts.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.testing.answer import Answer, Called, Event
from pytest_ale.testing.conversation import Asked, BadRequest, Json, Part, Tool, many, sub, word
from pytest_ale.testing.script import Say, Think, Usage

MCP = "mcp__{server}__{tool}"

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: Json) -> Asked:
    if not isinstance(body.get("messages"), list):
        raise BadRequest("messages: Field required")
    return Asked(
        model=word(body.get("model")),
        stream=body.get("stream") is True,
        system=_text(body.get("system")),
        history=tuple(part for message in many(body["messages"]) for part in _parts(message)),
        tools=tuple(
            Tool(word(tool.get("name")), schema=sub(tool.get("input_schema")))
            for tool in many(body.get("tools"))
        ),
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(word(block.get("text")) for block in many(content))


def _pictures(content: object) -> int:
    return sum(block.get("type") == "image" for block in many(content))


def _parts(message: Json) -> Iterator[Part]:
    content = message.get("content")
    who = "model" if message.get("role") == "assistant" else "user"
    if isinstance(content, str):
        yield Part("model" if who == "model" else "user", content)
    for block in many(content):
        kind = block.get("type")
        if kind == "tool_use":
            yield Part("call", word(block.get("name")), word(block.get("id")))
        elif kind == "tool_result":
            said, id = block.get("content"), word(block.get("tool_use_id"))
            yield Part("result", _text(said), id, _pictures(said))
        elif kind in ("text", "image"):
            pictures = _pictures([block])
            yield Part("model" if who == "model" else "user", _text([block]), pictures=pictures)


def whole(answer: Answer) -> Json:
    content = [_block(block) for block in answer.blocks]
    return _message(answer) | {
        "content": content,
        "stop_reason": _stop(answer),
        "usage": _usage(answer.usage),
    }


def _message(answer: Answer) -> Json:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer.usage) | {"output_tokens": 1},
    }


def _block(block: Think | Say | Called) -> Json:
    if isinstance(block, Think):
        return {"type": "thinking", "thinking": block.text, "signature": "c2NyaXB0ZWQ="}
    if isinstance(block, Say):
        return {"type": "text", "text": block.text}
    return {
        "type": "tool_use",
        "id": block.id,
        "name": block.tool.name,
        "input": block.parsed or {},
    }


def _stop(answer: Answer) -> str:
    return "tool_use" if answer.calls else "end_turn"


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "service_tier": "standard",
    }


def events(answer: Answer) -> Iterator[Event]:
    yield _event("message_start", message=_message(answer))
    yield _event("ping")
    for index, block in enumerate(answer.blocks):
        yield from _streamed(index, block, answer)
    delta = {"stop_reason": _stop(answer), "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage=_usage(answer.usage))
    yield _event("message_stop")


def _streamed(index: int, block: Think | Say | Called, answer: Answer) -> Iterator[Event]:
    start = _block(block)
    if isinstance(block, Called):
        kind, field, text = "input_json_delta", "partial_json", block.arguments
        start["input"] = {}
    elif isinstance(block, Think):
        kind, field, text = "thinking_delta", "thinking", block.text
        start |= {"thinking": "", "signature": ""}
    else:
        kind, field, text = "text_delta", "text", block.text
        start["text"] = ""
    yield _event("content_block_start", index=index, content_block=start)
    for piece in answer.pieces(text):
        delta = {"type": kind, field: piece}
        yield _event("content_block_delta", token=True, index=index, delta=delta)
    if isinstance(block, Think):
        signature = {"type": "signature_delta", "signature": "c2NyaXB0ZWQ="}
        yield _event("content_block_delta", index=index, delta=signature)
    yield _event("content_block_stop", index=index)


def _event(name: str, *, token: bool = False, **data: object) -> Event:
    return Event({"type": name} | data, name, token)


def counted(usage: Usage) -> Json:
    return {"input_tokens": usage.input}


def refusal(status: int, message: str, retry_after: float | None) -> Json:
    kind = ERRORS.get(status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_scripted",
    }
