"""OpenAI Responses: `/v1/responses`.

Knows nothing of HTTP, nor of scripts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from pytest_ale.testing.answer import Answer, Called, Event
from pytest_ale.testing.conversation import Asked, BadRequest, Json, Part, Tool, many, sub, word
from pytest_ale.testing.openai import pictures, refusal, text
from pytest_ale.testing.script import Say, Think, Usage

__all__ = ["MCP", "counted", "events", "read", "refusal", "whole"]

MCP = "mcp__{server}.{tool}"  # a namespace, which Codex puts the tools of a server in


def read(body: Json) -> Asked:
    if body.get("previous_response_id"):
        raise BadRequest("previous_response_id: this server keeps nothing, send the whole input")
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not many(given):
        raise BadRequest("Missing required parameter: 'input'.")
    items = many(given)
    system = [word(body.get("instructions"))]
    system += [text(item.get("content")) for item in items if _is_system(item)]
    return Asked(
        model=word(body.get("model")),
        stream=body.get("stream") is True,
        system="\n".join(system),
        history=tuple(part for item in items if not _is_system(item) for part in _parts(item)),
        tools=tuple(tool for told in _offered(body, items) for tool in _tools(told)),
    )


def _offered(body: Json, items: list[Json]) -> list[Json]:
    """Tools stand in the request, or, with the newer of Codex's own models, in its input."""
    added = [item for item in items if item.get("type") == "additional_tools"]
    return many(body.get("tools")) + [tool for item in added for tool in many(item.get("tools"))]


def _is_system(item: Json) -> bool:
    return item.get("role") in ("system", "developer")


def _parts(item: Json) -> Iterator[Part]:
    kind, id = word(item.get("type") or "message"), word(item.get("call_id"))
    if kind == "message":
        content = item.get("content")
        who = item.get("role")
        yield Part("model" if who == "assistant" else "user", text(content), "", pictures(content))
    elif kind in ("function_call", "custom_tool_call"):
        yield Part("call", word(item.get("name")), id)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        yield Part("result", text(item.get("output")), id, pictures(item.get("output")))


def _tools(told: Json, namespace: str = "") -> Iterator[Tool]:
    kind, name = told.get("type"), word(told.get("name"))
    if kind == "namespace":
        for inner in many(told.get("tools")):
            yield from _tools(inner, name)
    elif kind == "function":
        yield Tool(name, namespace, sub(told.get("parameters")))
    elif kind == "custom":
        yield Tool(name, namespace, freeform=True)


def whole(answer: Answer) -> Json:
    output = [_item(n, block, answer) for n, block in enumerate(answer.blocks)]
    return _response(answer, "completed") | {"output": output, "usage": _usage(answer.usage)}


def _response(answer: Answer, status: str) -> Json:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.time,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _item(number: int, block: Think | Say | Called, answer: Answer) -> Json:
    if isinstance(block, Think):
        summary = [{"type": "summary_text", "text": block.text}]
        return {"type": "reasoning", "id": f"rs_{answer.id}_{number}", "summary": summary}
    if isinstance(block, Say):
        return {
            "type": "message",
            "id": f"msg_{answer.id}_{number}",
            "role": "assistant",
            "status": "completed",
            "content": [_text(block.text)],
        }
    item: Json = {"call_id": block.id, "name": block.tool.name, "status": "completed"}
    if block.tool.namespace:
        item["namespace"] = block.tool.namespace
    if block.tool.freeform:
        id = f"ctc_{answer.id}_{number}"
        return {"type": "custom_tool_call", "id": id, "input": block.arguments} | item
    id = f"fc_{answer.id}_{number}"
    return {"type": "function_call", "id": id, "arguments": block.arguments} | item


def _text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.written,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def events(answer: Answer) -> Iterator[Event]:
    for number, (name, data) in zip(count(), _events(answer), strict=False):
        token = name.endswith(".delta")
        yield Event({"type": name, "sequence_number": number} | data, name, token)


def _events(answer: Answer) -> Iterator[tuple[str, Json]]:
    started = _response(answer, "in_progress")
    yield "response.created", {"response": started}
    yield "response.in_progress", {"response": started}
    for number, block in enumerate(answer.blocks):
        item = _item(number, block, answer)
        at: Json = {"output_index": number}
        yield "response.output_item.added", at | {"item": item | _begun(block)}
        for name, data in _streamed(block, answer):
            yield name, at | {"item_id": item["id"]} | data
        yield "response.output_item.done", at | {"item": item}
    yield "response.completed", {"response": whole(answer)}


def _begun(block: Think | Say | Called) -> Json:
    """What of an item is not there yet when it is announced."""
    if isinstance(block, Think):
        return {"summary": []}
    if isinstance(block, Say):
        return {"content": [], "status": "in_progress"}
    field = "input" if block.tool.freeform else "arguments"
    return {field: "", "status": "in_progress"}


def _streamed(block: Think | Say | Called, answer: Answer) -> Iterator[tuple[str, Json]]:
    if isinstance(block, Think):
        summary: Json = {"type": "summary_text"}
        for name, data in _text_streamed("reasoning_summary", summary, block.text, answer):
            yield name, {"summary_index": 0} | data
    elif isinstance(block, Say):
        for name, data in _text_streamed("content", _text(""), block.text, answer):
            yield name.replace("content_text", "output_text"), {"content_index": 0} | data
    else:
        yield from _call_streamed(block, answer)


def _text_streamed(kind: str, empty: Json, text: str, answer: Answer) -> Iterator[tuple[str, Json]]:
    more: Json = {"logprobs": []} if kind == "content" else {}
    yield f"response.{kind}_part.added", {"part": empty | {"text": ""}}
    for piece in answer.pieces(text):
        yield f"response.{kind}_text.delta", more | {"delta": piece}
    yield f"response.{kind}_text.done", more | {"text": text}
    yield f"response.{kind}_part.done", {"part": empty | {"text": text}}


def _call_streamed(call: Called, answer: Answer) -> Iterator[tuple[str, Json]]:
    free = call.tool.freeform
    kind = "custom_tool_call_input" if free else "function_call_arguments"
    for piece in answer.pieces(call.arguments):
        yield f"response.{kind}.delta", {"delta": piece}
    name: Json = {} if free else {"name": call.tool.name}
    yield f"response.{kind}.done", {"input" if free else "arguments": call.arguments} | name


def counted(usage: Usage) -> Json:
    return {"object": "response.input_tokens", "input_tokens": usage.input}
