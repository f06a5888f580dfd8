"""What a request may not have its model's server do, where a sandbox has no network."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pytest_ale.gateway import Config, Control, Gateway, Terms, upstreams
from pytest_ale.gateway.hosted import reaches_out
from pytest_ale.testing import Say, Script, ScriptedModel

FUNCTION = {"type": "function", "name": "shell", "parameters": {"properties": {"url": {}}}}
IMAGE = "data:image/png;base64,iVBORw0KGgo="

OWN: dict[str, dict[str, object]] = {
    "functions": {"tools": [FUNCTION, {"type": "custom", "name": "apply_patch"}]},
    "a namespace": {"tools": [{"type": "namespace", "name": "desktop", "tools": [FUNCTION]}]},
    "added tools": {"input": [{"type": "additional_tools", "tools": [{"type": "tool_search"}]}]},
    "anthropic's": {"tools": [{"name": "Bash", "input_schema": {}}, {"type": "bash_20250124"}]},
    "google's": {"tools": [{"functionDeclarations": [{"name": "googleSearch"}]}]},
    "chat": {"tools": [{"type": "function", "function": {"name": "web_search"}}]},
    "text": {"input": "see https://example.org and web_search", "instructions": "https://a.b"},
    "inline": {"input": [{"content": [{"type": "input_image", "image_url": IMAGE}]}]},
    "a call's data": {
        "messages": [
            {"content": [{"type": "tool_use", "input": {"image_url": "https://a", "type": "url"}}]},
            {"content": [{"type": "image", "source": {"type": "base64", "data": "aa"}}]},
        ]
    },
    "google's data": {
        "contents": [
            {"parts": [{"functionCall": {"args": {"fileData": {"fileUri": "https://a"}}}}]},
            {"parts": [{"functionResponse": {"response": {"source": {"type": "url"}}}}]},
        ]
    },
}

OUT: dict[str, dict[str, object]] = {
    "a tool of kind 'web_search'": {"tools": [FUNCTION, {"type": "web_search"}]},
    "a tool of kind 'mcp'": {"tools": [{"type": "mcp", "server_url": "https://a"}]},
    "a tool of kind 'web_fetch_20250910'": {"tools": [{"type": "web_fetch_20250910", "name": "f"}]},
    "a tool of kind 'urlContext'": {"tools": [{"urlContext": {}}]},
    "a tool of kind 'google_search'": {"tools": {"google_search": {}}},
    "a tool of kind 'code_interpreter'": {
        "tools": [{"type": "namespace", "tools": [{"type": "code_interpreter"}]}]
    },
    "a tool of kind 'image_generation'": {
        "input": [{"type": "additional_tools", "tools": [{"type": "image_generation"}]}]
    },
    "the field 'mcp_servers'": {"mcp_servers": [{"type": "url", "url": "https://a"}]},
    "the field 'web_search_options'": {"web_search_options": {"user_location": None}},
    "the field 'prompt'": {"prompt": {"id": "pmpt_1"}},
    "the address 'https://a/p.png'": {
        "input": [{"content": [{"type": "input_image", "image_url": "https://a/p.png"}]}]
    },
    "the address 'http://a'": {
        "messages": [{"content": [{"type": "image_url", "image_url": {"url": "http://a"}}]}]
    },
    "the address 'https://b'": {
        "messages": [
            {"content": [{"type": "document", "source": {"type": "url", "url": "https://b"}}]}
        ]
    },
    "the address 'gs://c'": {"contents": [{"parts": [{"fileData": {"fileUri": "gs://c"}}]}]},
    "the address ' HTTPS://d'": {"input": [{"type": "input_file", "file_url": " HTTPS://d"}]},
}


@pytest.mark.parametrize("name", OWN)
def test_what_an_agent_does_itself_passes(name: str) -> None:
    assert reaches_out(OWN[name]) == ""


@pytest.mark.parametrize("what", OUT)
def test_what_its_model_s_server_would_do_elsewhere_is_seen(what: str) -> None:
    assert reaches_out(OUT[what]) == what


@pytest.mark.parametrize("outside", [False, True])
def test_it_is_passed_on_only_where_that_was_asked_for(tmp_path: Path, outside: bool) -> None:
    with ScriptedModel(Script([Say("Found.")])) as model:
        config = Config(upstreams({"OPENAI_API_KEY": "sk-1234567890"}, model.url))
        with Gateway(config, tmp_path / "gateway") as gateway:
            control = Control(gateway.control)
            door = control.register(Terms(tcp=True, outside=outside))
            body = {"model": "scripted", "input": "Search.", "tools": [{"type": "web_search"}]}
            asked = urllib.request.Request(
                f"{door.url}/v1/responses",
                json.dumps(body).encode(),
                {"Authorization": f"Bearer {door.token}", "Content-Type": "application/json"},
            )
            if outside:
                with urllib.request.urlopen(asked) as answer:
                    assert answer.status == 200
            else:
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(asked)
                said = json.load(refused.value)["error"]
                assert (refused.value.code, said["code"]) == (400, "reaches_out")
                assert "a tool of kind 'web_search' would reach out" in said["message"]
            assert len(model.requests) == outside
            assert control.close(door.token).rejected == (not outside)
