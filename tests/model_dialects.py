"""Clients of the four model APIs that know just enough of each to hold a conversation."""

from __future__ import annotations

from typing import Any

from .model_clients import Client, J, Reply, loaded

__all__ = ["CLIENTS"]


class Responses(Client):
    """As Codex offers its tools: those of a server in a namespace."""

    path, listing = "/v1/responses", "/v1/models"
    shell, command, click = "exec_command", "cmd", "mcp__desktop.click"
    absent = "mcp__files.open"
    counting = [("/v1/responses/input_tokens", b"{}")]
    limited, down = "requests", "server_error"
    official = """response.created response.in_progress
        response.output_item.added response.reasoning_summary_part.added
        response.reasoning_summary_text.delta response.reasoning_summary_text.done
        response.reasoning_summary_part.done response.output_item.done
        response.output_item.added response.content_part.added response.output_text.delta
        response.output_text.done response.content_part.done response.output_item.done
        response.output_item.added response.function_call_arguments.delta
        response.function_call_arguments.done response.output_item.done
        response.completed"""

    counts: J = {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1050,
    }

    def body(self) -> J:
        about = [{"type": "function", "name": n, "parameters": s} for n, s in self.schemas()]
        server = {"type": "namespace", "name": "mcp__desktop", "tools": about[2:]}
        server["tools"] = [tool | {"name": "click"} for tool in about[2:]]
        return {
            "model": "scripted",
            "instructions": "Be careful.",
            "input": self.history,
            "tools": [*about[:2], server] if about else [],
            "stream": self.stream,
        }

    def joined(self, events: list[J]) -> J:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        told: J = events[-1]["response"]
        for kind, text in (("output_text", "text"), ("reasoning_summary_text", "thoughts")):
            deltas = [e["delta"] for e in events if e["type"] == f"response.{kind}.delta"]
            assert "".join(deltas) == getattr(self.whole(told), text)
        kind = "response.function_call_arguments.delta"
        for index, item in enumerate(told["output"]):
            mine = [e["delta"] for e in events if e["type"] == kind and e["output_index"] == index]
            assert "".join(mine) == item.get("arguments", "")
        return told

    def whole(self, told: J) -> Reply:
        reply = Reply(usage=told["usage"])
        self.last, self.ids = told["output"], []
        for item in told["output"]:
            if item["type"] == "reasoning":
                reply.thoughts += item["summary"][0]["text"]
            elif item["type"] == "message":
                reply.text += item["content"][0]["text"]
            else:
                space = f"{item['namespace']}." if "namespace" in item else ""
                reply.calls.append((space + item["name"], loaded(item["arguments"])))
                self.ids.append(item["call_id"])
        return reply

    def results(self, told: list[tuple[str, str]], picture: bool) -> list[J]:
        shown = [{"type": "input_image", "image_url": "data:"}] if picture else []
        return [
            {
                "type": "function_call_output",
                "call_id": id,
                "output": [{"type": "input_text", "text": text}, *shown] if picture else text,
            }
            for id, text in told
        ]


class Chat(Client):
    path, listing = "/v1/chat/completions", "/v1/models"
    counting: list[tuple[str, bytes]] = []
    shell, click = "bash", "desktop_click"
    limited, down = "requests", "server_error"
    official = "role reasoning_content content tool_calls tool_calls tool_calls usage"

    counts: J = {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }

    def body(self) -> J:
        about = [{"name": name, "parameters": schema} for name, schema in self.schemas()]
        return {
            "model": "scripted",
            "messages": [{"role": "system", "content": "Be careful."}, *self.history],
            "tools": [{"type": "function", "function": tool} for tool in about],
            "stream": self.stream,
            "stream_options": {"include_usage": True},
        }

    def label(self, event: J) -> str:
        if not event["choices"]:
            return "usage"
        choice = event["choices"][0]
        return str(choice["finish_reason"] or next(iter(choice["delta"])))

    def joined(self, events: list[J]) -> J:
        message: J = {"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": []}
        for delta in (event["choices"][0]["delta"] for event in events[:-1]):
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name, "")
            for call in delta.get("tool_calls", []):
                if "id" in call:
                    message["tool_calls"].append(call)
                    continue
                begun = message["tool_calls"][call["index"]]["function"]
                begun["arguments"] += call["function"]["arguments"]
        return {"choices": [{"message": message}], "usage": events[-1]["usage"]}

    def whole(self, told: J) -> Reply:
        message = told["choices"][0]["message"]
        calls = message.get("tool_calls", [])
        self.last, self.ids = [message], [call["id"] for call in calls]
        return Reply(
            message["content"] or "",
            message.get("reasoning_content", ""),
            [(c["function"]["name"], loaded(c["function"]["arguments"])) for c in calls],
            told["usage"],
        )

    def results(self, told: list[tuple[str, str]], picture: bool) -> list[J]:
        """Pictures come from the user, as this API has it."""
        found = [{"role": "tool", "tool_call_id": id, "content": text} for id, text in told]
        shown = [{"type": "image_url", "image_url": {"url": "data:"}}]
        return [*found, {"role": "user", "content": shown}] if picture else found


class Anthropic(Client):
    path, listing = "/v1/messages?beta=true", "/v1/models"
    counting = [("/v1/messages/count_tokens", b"{}")]
    limited, down = "rate_limit_error", "api_error"
    official = """message_start ping
        content_block_start content_block_delta content_block_delta content_block_stop
        content_block_start content_block_delta content_block_stop
        content_block_start content_block_delta content_block_stop
        message_delta message_stop"""

    @property
    def headers(self) -> J:
        return {"x-api-key": self.key, "anthropic-version": "2023-06-01"}

    counts: J = {
        "input_tokens": 500,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 400,
        "output_tokens": 50,
        "service_tier": "standard",
    }

    def body(self) -> J:
        return {
            "model": "scripted",
            "max_tokens": 100,
            "system": [{"type": "text", "text": "Be careful."}],
            "messages": self.history,
            "tools": [{"name": name, "input_schema": schema} for name, schema in self.schemas()],
            "stream": self.stream,
        }

    def joined(self, events: list[J]) -> J:
        told: J = events[0]["message"]
        for event in events[1:]:
            if event["type"] == "content_block_start":
                told["content"].append(event["content_block"] | {"partial_json": ""})
                assert event["index"] == len(told["content"]) - 1
            elif event["type"] == "content_block_delta":
                field = event["delta"]["type"].removesuffix("_delta").replace("input", "partial")
                told["content"][event["index"]][field] += event["delta"][field]
            elif event["type"] == "message_delta":
                told |= event["delta"] | {"usage": event["usage"]}
        for block in told["content"]:
            if partial := block.pop("partial_json"):
                block["input"] = loaded(partial)
        return told

    def whole(self, told: J) -> Reply:
        self.last = [{"role": "assistant", "content": told["content"]}]
        calls = [block for block in told["content"] if block["type"] == "tool_use"]
        assert told["stop_reason"] == ("tool_use" if calls else "end_turn")
        self.ids = [block["id"] for block in calls]
        return Reply(
            "".join(block.get("text", "") for block in told["content"]),
            "".join(block.get("thinking", "") for block in told["content"]),
            [(block["name"], block["input"]) for block in calls],
            told["usage"],
        )

    def results(self, told: list[tuple[str, str]], picture: bool) -> list[J]:
        shown = [{"type": "image", "source": {}}] if picture else []
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": id,
                "content": [{"type": "text", "text": text}, *shown],
            }
            for id, text in told
        ]
        return [{"role": "user", "content": [*blocks, {"type": "text", "text": "Remember."}]}]


class Gemini(Client):
    listing = "/v1beta/models/scripted"
    shell, click = "run_shell_command", "mcp_desktop_click"
    absent = "mcp_files_open"
    counting = [("/v1beta/models/scripted:countTokens", b"{}")]
    limited, down = "RESOURCE_EXHAUSTED", "UNAVAILABLE"
    official = "thought text functionCall STOP"

    @property
    def path(self) -> str:  # type: ignore[override]
        verb = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
        return f"/v1beta/models/scripted:{verb}"

    @property
    def headers(self) -> J:
        return {"x-goog-api-key": self.key}

    def kind(self, error: J) -> str:
        return str(error["error"]["status"])

    counts: J = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1050,
    }

    def say(self, text: str) -> None:
        self.history += [*self.last, {"role": "user", "parts": [{"text": text}]}]
        self.last = []

    def body(self) -> J:
        about = [{"name": n, "parametersJsonSchema": schema} for n, schema in self.schemas()]
        return {
            "systemInstruction": {"parts": [{"text": "Be careful."}]},
            "contents": self.history,
            "tools": [{"functionDeclarations": about}],
        }

    def label(self, event: J) -> str:
        (candidate,) = event["candidates"]
        if "finishReason" in candidate:
            return str(candidate["finishReason"])
        (part,) = candidate["content"]["parts"]
        return next(name for name in ("thought", "functionCall", "text") if name in part)

    def joined(self, events: list[J]) -> J:
        parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
        assert all(event["responseId"] == events[0]["responseId"] for event in events)
        end = events[-1]["candidates"][0]["finishReason"]
        last = {"content": {"role": "model", "parts": parts}, "finishReason": end}
        return events[-1] | {"candidates": [last]}

    def whole(self, told: J) -> Reply:
        (candidate,) = told["candidates"]
        self.last = [candidate["content"]]
        calls = [p["functionCall"] for p in candidate["content"]["parts"] if "functionCall" in p]
        self.ids = [call["id"] for call in calls]
        texts = [part for part in candidate["content"]["parts"] if "text" in part]
        return Reply(
            "".join(part["text"] for part in texts if "thought" not in part),
            "".join(part["text"] for part in texts if "thought" in part),
            [(call["name"], call["args"]) for call in calls],
            told["usageMetadata"],
        )

    def results(self, told: list[tuple[str, str]], picture: bool) -> list[J]:
        """A picture lies beside the response, as the CLI has it."""
        parts: list[J] = [
            {"functionResponse": {"id": id, "name": "it", "response": {"output": text}}}
            for id, text in told
        ]
        shown = [{"inlineData": {"mimeType": "image/png", "data": ""}}] if picture else []
        return [{"role": "user", "parts": [*parts, *shown]}]


CLIENTS: dict[str, Any] = {
    "responses": Responses,
    "chat": Chat,
    "anthropic": Anthropic,
    "gemini": Gemini,
}
