"""OpenAI Chat Completions: `/v1/chat/completions`, which most other servers speak too.

Knows nothing of HTTP, nor of scripts. Reasoning is `reasoning_content`, as those servers have it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.testing.answer import Answer, Called, Event
from pytest_ale.testing.conversation import Asked, BadRequest, Json, Part, Tool, many, sub, word
from pytest_ale.testing.openai import pictures, refusal, text
from pytest_ale.testing.script import Usage

__all__ = ["MCP", "counted", "events", "read", "refusal", "whole"]

MCP = "mcp__{server}__{tool}"


def read(body: Json) -> Asked:
    if not many(body.get("messages")):
        raise BadRequest("Missing required parameter: 'messages'.")
    messages = many(body["messages"])
    system = [text(message.get("content")) for message in messages if _is_system(message)]
    return Asked(
        model=word(body.get("model")),
        stream=body.get("stream") is True,
        system="\n".join(system),
        history=tuple(part for m in messages if not _is_system(m) for part in _parts(m)),
        tools=tuple(
            Tool(word(about.get("name")), schema=sub(about.get("parameters")))
            for tool in many(body.get("tools"))
            if (about := sub(tool.get("function")))
        ),
        with_usage=sub(body.get("stream_options")).get("include_usage") is True,
    )


def _is_system(message: Json) -> bool:
    return message.get("role") in ("system", "developer")


def _parts(message: Json) -> Iterator[Part]:
    role, content = message.get("role"), message.get("content")
    said, shown = text(content), pictures(content)
    if role == "tool":
        yield Part("result", said, word(message.get("tool_call_id")), shown)
        return
    if said or shown:
        yield Part("model" if role == "assistant" else "user", said, "", shown)
    for call in many(message.get("tool_calls")):
        name = word(sub(call.get("function")).get("name"))
        yield Part("call", name, word(call.get("id")))


def whole(answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.thoughts:
        message["reasoning_content"] = answer.thoughts
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "finish_reason": _reason(answer), "logprobs": None}
    top = _top(answer, "chat.completion")
    return top | {"choices": [choice], "usage": _usage(answer.usage)}


def _top(answer: Answer, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": answer.time,
        "model": answer.model,
        "system_fingerprint": "fp_scripted",
    }


def _call(call: Called) -> Json:
    about = {"name": call.tool.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": about}


def _reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.written,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def events(answer: Answer) -> Iterator[Event]:
    yield _chunk(answer, {"role": "assistant", "content": ""})
    for field, said in (("reasoning_content", answer.thoughts), ("content", answer.text)):
        for piece in answer.pieces(said) if said else ():
            yield _chunk(answer, {field: piece}, token=True)
    for index, call in enumerate(answer.calls):
        begun = _call(call) | {
            "index": index,
            "function": {"name": call.tool.name, "arguments": ""},
        }
        yield _chunk(answer, {"tool_calls": [begun]})
        for piece in answer.pieces(call.arguments):
            more = {"index": index, "function": {"arguments": piece}}
            yield _chunk(answer, {"tool_calls": [more]}, token=True)
    yield _chunk(answer, {}, reason=_reason(answer))
    if answer.with_usage:
        top = _top(answer, "chat.completion.chunk")
        yield Event(top | {"choices": [], "usage": _usage(answer.usage)})
    yield Event("[DONE]")


def _chunk(answer: Answer, delta: Json, *, reason: str | None = None, token: bool = False) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    top = _top(answer, "chat.completion.chunk")
    return Event(top | {"choices": [choice], "usage": None}, token=token)


def counted(usage: Usage) -> Json:
    return {"prompt_tokens": usage.input}
