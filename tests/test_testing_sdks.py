"""The scripted model, asked by the vendors' own SDKs where they are installed."""

from __future__ import annotations

import json

import pytest

from pytest_ale.testing import Call, Refuse, Say, ScriptedModel, Think, Turn, Usage

SCRIPT = [
    Refuse(429),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Turn(Think("First I look."), Say("Let me see."), Call("read", {"path": "ü"})),
    Say("Some words, more of them than one delta of a stream would ever hold at once."),
]
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
stream = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@stream
def test_openai_responses(stream: bool) -> None:
    openai = pytest.importorskip("openai", reason="the SDK of OpenAI is not installed")
    with ScriptedModel(SCRIPT) as model:
        client = openai.OpenAI(base_url=f"{model.url}/v1", api_key="key", max_retries=0)

        def ask(given: list[object]) -> object:
            tool = {"type": "function", "name": "read", "parameters": SCHEMA, "strict": False}
            asked = {"model": "scripted", "input": given, "tools": [tool]}
            if not stream:
                return client.responses.create(**asked)
            with client.responses.stream(**asked) as events:
                return events.get_final_response()

        given: list[object] = [{"role": "user", "content": "Do it."}]
        with pytest.raises(openai.RateLimitError):
            ask(given)
        first = ask(given)
        thought, said, call = first.output
        assert thought.summary[0].text == "First I look."
        assert (first.output_text, said.role) == ("Let me see.", "assistant")
        assert json.loads(call.arguments) == {"path": "ü"}
        assert first.usage.input_tokens_details.cached_tokens == 400
        assert first.usage.output_tokens_details.reasoning_tokens == 20
        given += [item.to_dict() for item in first.output]
        given += [{"type": "function_call_output", "call_id": call.call_id, "output": "a"}]
        assert ask(given).output_text == SCRIPT[-1].text
        assert [listed.id for listed in client.models.list()] == ["scripted"]
        client.close()
        model.check()


@stream
def test_openai_chat_completions(stream: bool) -> None:
    openai = pytest.importorskip("openai", reason="the SDK of OpenAI is not installed")
    with ScriptedModel(SCRIPT) as model:
        client = openai.OpenAI(base_url=f"{model.url}/v1", api_key="key", max_retries=0)

        def ask(messages: list[object]) -> object:
            tool = {"type": "function", "function": {"name": "read", "parameters": SCHEMA}}
            asked = {"model": "scripted", "messages": messages, "tools": [tool]}
            if not stream:
                return client.chat.completions.create(**asked)
            counted = {"stream_options": {"include_usage": True}}
            with client.chat.completions.stream(**asked, **counted) as events:
                return events.get_final_completion()

        messages: list[object] = [{"role": "user", "content": "Do it."}]
        with pytest.raises(openai.RateLimitError):
            ask(messages)
        first = ask(messages)
        message = first.choices[0].message
        assert (message.content, first.choices[0].finish_reason) == ("Let me see.", "tool_calls")
        (call,) = message.tool_calls
        assert json.loads(call.function.arguments) == {"path": "ü"}
        assert first.usage.prompt_tokens_details.cached_tokens == 400
        assert first.usage.completion_tokens_details.reasoning_tokens == 20
        messages += [message.to_dict()]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "a"}]
        assert ask(messages).choices[0].message.content == SCRIPT[-1].text
        client.close()
        model.check()


def test_openai_chat_stream_has_no_usage_that_was_not_asked_for() -> None:
    openai = pytest.importorskip("openai", reason="the SDK of OpenAI is not installed")
    with ScriptedModel([Say("Yes.")]) as model:
        client = openai.OpenAI(base_url=f"{model.url}/v1", api_key="key", max_retries=0)
        messages = [{"role": "user", "content": "Do it."}]
        chunks = client.chat.completions.create(model="m", messages=messages, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Yes."
        client.close()


@stream
def test_anthropic_messages(stream: bool) -> None:
    anthropic = pytest.importorskip("anthropic", reason="the SDK of Anthropic is not installed")
    with ScriptedModel(SCRIPT) as model:
        client = anthropic.Anthropic(base_url=model.url, api_key="key", max_retries=0)
        tools = [{"name": "read", "input_schema": SCHEMA}]

        def ask(messages: list[object]) -> object:
            asked = {"model": "scripted", "max_tokens": 9, "messages": messages, "tools": tools}
            if not stream:
                return client.messages.create(**asked)
            with client.messages.stream(**asked) as events:
                return events.get_final_message()

        messages: list[object] = [{"role": "user", "content": "Do it."}]
        with pytest.raises(anthropic.RateLimitError):
            ask(messages)
        first = ask(messages)
        thought, said, call = first.content
        assert (thought.thinking, said.text) == ("First I look.", "Let me see.")
        assert (call.name, call.input, first.stop_reason) == ("read", {"path": "ü"}, "tool_use")
        usage = first.usage
        counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
        assert counts == (600, 400, 50)
        messages += [{"role": "assistant", "content": [part.to_dict() for part in first.content]}]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "a"}
        messages += [{"role": "user", "content": [result]}]
        assert ask(messages).content[0].text == SCRIPT[-1].text
        assert client.messages.count_tokens(model="m", messages=messages).input_tokens == 100
        assert [listed.id for listed in client.models.list()] == ["scripted"]
        client.close()
        model.check()


@stream
@pytest.mark.filterwarnings("ignore")  # the SDK's own, of its own deprecations
def test_gemini(stream: bool) -> None:
    genai = pytest.importorskip("google.genai", reason="the SDK of Gemini is not installed")
    from google.genai import errors, types

    with ScriptedModel(SCRIPT) as model:
        options = types.HttpOptions(base_url=model.url)
        client = genai.Client(api_key="key", vertexai=False, http_options=options)
        told = types.FunctionDeclaration(name="read", parameters_json_schema=SCHEMA)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[told])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

        def ask(contents: list[object]) -> tuple[list[object], object]:
            asked = {"model": "scripted", "contents": contents, "config": config}
            if not stream:
                whole = client.models.generate_content(**asked)
                return whole.candidates[0].content.parts, whole.usage_metadata
            chunks = list(client.models.generate_content_stream(**asked))
            parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
            return parts, chunks[-1].usage_metadata

        contents: list[object] = [types.UserContent(parts=[types.Part(text="Do it.")])]
        with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
            ask(contents)
        parts, usage = ask(contents)
        assert "".join(part.text for part in parts if part.thought) == "First I look."
        said = [part.text for part in parts if part.text and not part.thought]
        assert "".join(said) == "Let me see."
        (call,) = [part.function_call for part in parts if part.function_call]
        assert (call.name, call.args) == ("read", {"path": "ü"})
        assert (usage.prompt_token_count, usage.cached_content_token_count) == (1000, 400)
        assert (usage.candidates_token_count, usage.thoughts_token_count) == (30, 20)
        contents += [types.ModelContent(parts=[part for part in parts if part.function_call])]
        answer = types.Part.from_function_response(name="read", response={"output": "a"})
        contents += [types.UserContent(parts=[answer])]
        parts, _ = ask(contents)
        assert "".join(part.text or "" for part in parts) == SCRIPT[-1].text
        assert client.models.count_tokens(model="m", contents=contents).total_tokens == 100
        assert [listed.name for listed in client.models.list()] == ["models/scripted"]
        client.close()
        model.check()
