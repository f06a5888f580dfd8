"""Gemini: `:generateContent`, `:streamGenerateContent` and `:countTokens`.

Knows nothing of HTTP, nor of scripts. Model and streaming are in the path, not in the body.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.testing.answer import Answer, Called, Event
from pytest_ale.testing.conversation import Asked, BadRequest, Json, Part, Tool, many, sub, word
from pytest_ale.testing.script import Say, Think, Usage

MCP = "mcp_{server}_{tool}"

ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
SIGNATURE = "c2NyaXB0ZWQ="  # of a thought; the CLI sends it back as it was


def read(body: Json) -> Asked:
    if not many(body.get("contents")):
        raise BadRequest("contents is not specified")
    return Asked(
        model="",
        stream=False,
        system=_text(_either(body, "systemInstruction", "system_instruction")),
        history=tuple(part for item in many(body["contents"]) for part in _parts(item)),
        tools=tuple(
            Tool(word(told.get("name")), schema=_schema(told))
            for tool in many(body.get("tools"))
            for told in many(_either(tool, "functionDeclarations", "function_declarations"))
        ),
    )


def _either(told: Json, name: str, other: str) -> object:
    """As protobuf has it, the API takes names in either spelling; litellm and one SDK mix them."""
    return told.get(name) or told.get(other)


def _schema(told: Json) -> Json:
    names = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    return next(filter(None, (sub(told.get(name)) for name in names)), {})


def _text(content: object) -> str:
    return "\n".join(word(part.get("text")) for part in many(sub(content).get("parts")))


def _parts(content: Json) -> Iterator[Part]:
    for part in many(content.get("parts")):
        call = sub(_either(part, "functionCall", "function_call"))
        result = sub(_either(part, "functionResponse", "function_response"))
        if call:
            yield Part("call", word(call.get("name")), word(call.get("id")))
        elif result:
            pictures = sum(map(_is_picture, many(result.get("parts"))))
            said = str(result.get("response"))
            yield Part("result", said, word(result.get("id")), pictures)
        elif not part.get("thought"):
            text, pictures = word(part.get("text")), int(_is_picture(part))
            model = content.get("role") == "model"
            yield Part("model" if model else "user", text, pictures=pictures)


def _is_picture(part: Json) -> bool:
    return "inlineData" in part or "inline_data" in part


def whole(answer: Answer) -> Json:
    parts = [part for block in answer.blocks for part in _whole(block)]
    return _chunk(answer, parts) | _end(answer, parts)


def events(answer: Answer) -> Iterator[Event]:
    for block in answer.blocks:
        if isinstance(block, Called):
            yield from (Event(_chunk(answer, [part])) for part in _whole(block))
            continue
        for piece in answer.pieces(block.text):
            yield Event(_chunk(answer, [_words(block, piece)]), token=True)
    yield Event(_chunk(answer, []) | _end(answer, [{"text": ""}]))


def _words(block: Think | Say, text: str) -> Json:
    return {"text": text, "thought": True} if isinstance(block, Think) else {"text": text}


def _whole(block: Think | Say | Called) -> list[Json]:
    if not isinstance(block, Called):
        return [_words(block, block.text)]
    if block.parsed is None:  # told by the finish reason: arguments are an object here
        return []
    call = {"id": block.id, "name": block.tool.name, "args": block.parsed}
    return [{"functionCall": call, "thoughtSignature": SIGNATURE}]


def _chunk(answer: Answer, parts: list[Json]) -> Json:
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "modelVersion": answer.model,
        "responseId": answer.id,
        "usageMetadata": _usage(answer.usage),
    }


def _end(answer: Answer, parts: list[Json]) -> Json:
    wrong = any(call.parsed is None for call in answer.calls)
    reason = "MALFORMED_FUNCTION_CALL" if wrong else "STOP"
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "index": 0, "finishReason": reason}]}


def _usage(usage: Usage) -> Json:
    return {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }


def counted(usage: Usage) -> Json:
    return {"totalTokens": usage.input}


def refusal(status: int, message: str, retry_after: float | None) -> Json:
    word = ERRORS.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    error: Json = {"code": status, "message": message, "status": word}
    if retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{retry_after:g}s"}]
    return {"error": error}
