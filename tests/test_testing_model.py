"""The scripted model, asked over HTTP as its clients ask."""

from __future__ import annotations

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_ale.testing import (
    Call,
    Cut,
    Expect,
    Hang,
    Refuse,
    Say,
    ScriptedModel,
    ScriptFailed,
    Slow,
    Think,
    Turn,
    Usage,
    WrongJson,
)

from .model_clients import Refused, plain
from .model_dialects import CLIENTS

KEY = "sk-canary/+=1"
COUNTS = Usage(input=1000, output=50, cached=400, written=100, reasoning=20)
LONG = "Some words, more of them than one delta of a stream would ever hold at once."
WORK = [
    COUNTS,
    Think("First I look."),
    Call("shell", {"command": "ls"}),
    Expect(tool_result_contains="a.txt", system_contains="careful", prompt_contains="Do it"),
    Turn(Say("Both."), Call("desktop.click", {"x": 1}), Call("read", {"path": "ü"})),
    Expect(tool_result_contains="clicked", picture=True, tool_offered=("shell", "desktop.click")),
    Say(LONG),
]

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
each = pytest.mark.parametrize("api", CLIENTS)


@both
@each
def test_a_script_is_played_to_its_end(api: str, stream: bool) -> None:
    with ScriptedModel(WORK) as model:
        client = CLIENTS[api](model.url, KEY, stream=stream)
        first = client.ask()
        assert (first.thoughts, first.text) == ("First I look.", "")
        assert first.calls == [(client.shell, {client.command: "ls"})]
        assert first.usage == client.counts
        client.answer("a.txt")
        second = client.ask()
        assert second.text == "Both."
        assert second.calls == [(client.click, {"x": 1}), ("read", {"path": "ü"})]
        client.answer("clicked", "read", picture=True)
        third = client.ask()
        assert (third.text, third.calls) == (LONG, [])
        model.check()
    assert [request.turn for request in model.requests] == [0, 1, 2]
    assert {request.api for request in model.requests} == {api}
    assert all(set(request.tools) == set(client.offered) for request in model.requests)
    assert model.requests[2].model == "scripted"
    first_told, second_told, last_told = model.requests
    assert first_told.calls == ((client.shell, {client.command: "ls"}),)
    assert [given for _, given in second_told.calls] == [{"x": 1}, {"path": "ü"}]
    assert (first_told.usage, last_told.calls, last_told.usage) == (COUNTS, (), Usage())


@each
def test_a_word_of_the_prompt_has_a_script_of_its_own(api: str) -> None:
    """Of which faults are counted apart, and which says nothing of the first one's turns."""
    others = {"Do it": [Refuse(503), Say("Of another.")]}
    with ScriptedModel([Say("Of the first.")], others=others) as model:
        client = CLIENTS[api](model.url, KEY)
        with pytest.raises(Refused):
            client.ask()
        assert client.ask().text == "Of another."
    assert len(model.unused) == 1


@each
def test_a_stream_has_every_event_in_the_official_order(api: str) -> None:
    with ScriptedModel([Think("Hm."), Turn(Say("Yes."), Call("read", {"path": "a"}))]) as model:
        client = CLIENTS[api](model.url, KEY, stream=True)
        client.ask()
    assert client.events == client.official.split()


@each
def test_keys_are_told_apart_and_never_kept(api: str) -> None:
    with ScriptedModel([Say("Yes.")], keys=[KEY, "other"]) as model:
        for key in (KEY, "other"):
            CLIENTS[api](model.url, key).ask()
        with pytest.raises(Refused) as refused:
            CLIENTS[api](model.url, "wrong").ask()
    assert refused.value.status == 401
    assert [request.key for request in model.requests] == ["<key-1>", "<key-2>", "<key-3>"]
    assert KEY not in str(model.requests)
    assert str(model.requests[0].headers).count("<key-1>") == 1


def test_a_key_in_the_query_is_not_kept_either() -> None:
    with ScriptedModel([Say("Yes.")], keys=[KEY]) as model:
        path = f"/v1beta/models?key={KEY.replace('+', '%2B')}"
        assert b"models/scripted" in plain(model, "GET", path)
    assert "canary" not in str(model.requests)


@both
@each
def test_a_refusal_has_the_apis_own_shape_and_passes(api: str, stream: bool) -> None:
    script = [Refuse(429, retry_after=2, times=2), Refuse(503, "Later."), Say("Yes.")]
    with ScriptedModel(script) as model:
        client = CLIENTS[api](model.url, KEY, stream=stream)
        for status, kind in [(429, client.limited)] * 2 + [(503, client.down)]:
            with pytest.raises(Refused) as refused:
                client.ask()
            assert (refused.value.status, client.kind(refused.value.body)) == (status, kind)
            assert refused.value.retry_after == ("2" if status == 429 else None)
        assert model.unused
        assert client.ask().text == "Yes."
        with pytest.raises(Refused):  # another key is another conversation
            CLIENTS[api](model.url, "other", stream=stream).ask()
        model.check()


def test_a_key_where_none_belongs_is_there_to_be_found() -> None:
    with ScriptedModel([Say("Yes.")]) as model:
        headers = {"X-Note": KEY, "Authorization": f"Bearer {KEY}", "x-api-key": "another"}
        plain(model, "GET", "/v1/models", headers=headers)
        (request,) = model.requests
    kept = {name: request.headers[name] for name in headers}
    assert kept == {"X-Note": KEY, "Authorization": "Bearer <key-1>", "x-api-key": "<key-2>"}


def test_what_is_refused_for_ever_counts_once_it_was_asked_for() -> None:
    with ScriptedModel([Refuse(401, times=None), Call("shell"), Say("never")]) as model:
        with pytest.raises(ScriptFailed, match=r"at the turn that calls shell$"):
            model.check()
        for _ in range(3):
            with pytest.raises(Refused):
                CLIENTS["chat"](model.url, KEY).ask()
        model.check()


def test_gemini_streams_a_list_unless_asked_for_events() -> None:
    with ScriptedModel([Say(LONG)]) as model:
        body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Do it."}]}]})
        path = "/v1beta/models/m:streamGenerateContent"
        chunks = json.loads(plain(model, "POST", path, body.encode()))
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert len(chunks) > 2
    assert "".join(part["text"] for part in parts) == LONG


@each
@pytest.mark.parametrize("cut", [Cut(after_events=2), Cut(after_bytes=30), Cut(after_events=0)])
def test_a_cut_stream_ends_without_its_end(api: str, cut: Cut) -> None:
    with ScriptedModel([cut, Say(LONG)]) as model:
        client = CLIENTS[api](model.url, KEY, stream=True)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
            client.ask()
        if isinstance(broken.value, http.client.IncompleteRead):
            assert broken.value.partial.count(b"\n\n") == (cut.after_events or 0)
            assert cut.after_bytes in (None, len(broken.value.partial))
        assert model.unused
        assert client.ask().text == LONG
        assert [request.fault for request in model.requests] == [cut, None]
        model.check()


def test_an_answer_that_is_not_streamed_is_cut_by_bytes() -> None:
    model = ScriptedModel([Cut(after_bytes=30), Say(LONG)])
    with model, pytest.raises(http.client.IncompleteRead) as broken:
        CLIENTS["chat"](model.url, KEY).ask()
    assert len(broken.value.partial) == 30


@both
@each
def test_wrong_json_does_not_parse_once(api: str, stream: bool) -> None:
    with ScriptedModel([WrongJson(), Say(LONG)]) as model:
        client = CLIENTS[api](model.url, KEY, stream=stream)
        with pytest.raises(json.JSONDecodeError):
            client.ask()
        assert client.ask().text == LONG
        model.check()


@both
@each
def test_wrong_arguments_are_in_an_answer_that_parses(api: str, stream: bool) -> None:
    with ScriptedModel([WrongJson("arguments"), Call("read", {"path": "a"})]) as model:
        client = CLIENTS[api](model.url, KEY, stream=stream)
        assert client.ask().calls != [("read", {"path": "a"})]
        assert client.ask().calls == [("read", {"path": "a"})]


@each
def test_slow_tokens_come_one_by_one(api: str) -> None:
    with ScriptedModel([Slow(20), Say("one two three four five six")]) as model:
        for stream in (True, False):
            client = CLIENTS[api](model.url, KEY, stream=stream)
            began = time.monotonic()
            assert client.ask().text == "one two three four five six"
            assert 0.25 < time.monotonic() - began < 5


@pytest.mark.parametrize("after", [0, 2])
def test_a_hanging_answer_goes_on(after: int) -> None:
    with ScriptedModel([Hang(0.8, after_events=after), Say("Yes.")]) as model:
        client = CLIENTS["anthropic"](model.url, KEY, stream=True)
        for least, most in ((0.8, 5), (0, 0.8)):
            began = time.monotonic()
            assert client.ask().text == "Yes."
            assert least <= time.monotonic() - began < most


def test_who_is_left_hanging_is_dropped_by_close() -> None:
    with ScriptedModel([Hang(60), Say("Yes.")]) as model, ThreadPoolExecutor() as pool:
        asking = pool.submit(CLIENTS["chat"](model.url, KEY).ask)
        patience = time.monotonic() + 5
        while not model.requests and time.monotonic() < patience:
            time.sleep(0.01)
        began = time.monotonic()
        model.close()
        assert isinstance(asking.exception(5), ConnectionError)
        assert time.monotonic() - began < 5
        port = model.port
        model.start()
        assert model.port == port
        assert CLIENTS["chat"](model.url, KEY).ask().text == "Yes."


@each
@pytest.mark.parametrize(
    ("expect", "said"),
    [
        (Expect(tool_result_contains="b.txt"), "the tool result does not contain 'b.txt', it is"),
        (Expect(system_contains="bold"), "the system prompt does not contain 'bold', it is 'Be"),
        (Expect(prompt_contains="Leave"), "the prompt does not contain 'Leave', it is 'Do it."),
        (Expect(picture=True), "no picture came with the tool result"),
        (Expect(tool_offered="desktop.drag"), "no tool 'desktop.drag' is offered, only"),
    ],
)
def test_what_is_not_as_expected_is_raised_by_check(api: str, expect: Expect, said: str) -> None:
    with ScriptedModel([Call("shell"), expect, Say("Yes.")]) as model:
        client = CLIENTS[api](model.url, KEY)
        client.ask()
        client.answer("a.txt")
        assert client.ask().text == "Yes."
        client.ask()  # again: said once all the same
        with pytest.raises(ScriptFailed, match=f"turn 2 says 'Yes.': {said}") as failed:
            model.check()
    assert str(failed.value).count("\n- ") == 1


@each
def test_a_tool_that_is_not_offered_is_called_all_the_same(api: str) -> None:
    with ScriptedModel([Call("files.open"), Say("never")]) as model:
        client = CLIENTS[api](model.url, KEY)
        assert client.ask().calls == [(client.absent, {})]
        with pytest.raises(ScriptFailed) as failed:
            model.check()
    assert "turn 1 calls files.open: no tool 'files.open' is offered, only" in str(failed.value)
    assert "no request was at the turn that says 'never'" in str(failed.value)


@each
def test_a_result_of_no_call_and_a_request_too_many_are_failures(api: str) -> None:
    with ScriptedModel([Call("shell"), Say("Yes.")]) as model:
        client = CLIENTS[api](model.url, KEY)
        client.ask()
        client.answer("a.txt", id="stranger")
        client.ask()
        client.say("And now?")
        assert client.ask().text == "The script is over."
        assert "the script has no turn for a request after 1 tool results" in model.failures[-1]
        assert "'stranger'" in model.failures[0]


@each
def test_calls_on_the_side_move_nothing(api: str) -> None:
    with ScriptedModel([Call("shell"), Say("Yes.")]) as model:
        client = CLIENTS[api](model.url, KEY)
        client.ask()
        assert CLIENTS[api](model.url, KEY, tools=False).ask().text == "OK"
        for path, body in client.counting:
            assert b"100" in plain(model, "POST", path, body)
        assert b"scripted" in plain(model, "GET", client.listing, headers=client.headers)
        client.answer("a.txt")
        assert client.ask().text == "Yes."
        model.check()
    assert {request.turn for request in model.requests} == {0, None, 1}


def test_a_reply_leads_on_when_the_user_says_more() -> None:
    with ScriptedModel([Say("Hello."), Call("shell"), Say("Done.")]) as model:
        for client in (kind(model.url, KEY) for kind in CLIENTS.values()):
            assert client.ask().text == "Hello."
            client.say("Go on.")
            assert client.ask().calls
            client.answer("a.txt")
            assert client.ask().text == "Done."
        model.check()


def test_fifty_conversations_at_once() -> None:
    def converse(number: int) -> str:
        client = list(CLIENTS.values())[number % len(CLIENTS)](
            model.url, f"key{number}", stream=True
        )
        client.ask()
        client.answer("a.txt")
        client.ask()
        client.answer("clicked", "read", picture=True)
        return client.ask().text

    with ScriptedModel([Slow(500), *WORK]) as model, ThreadPoolExecutor(50) as pool:
        assert set(pool.map(converse, range(50))) == {LONG}
        model.check()
    assert len({request.key for request in model.requests}) == 50


def test_it_listens_on_a_unix_socket_too(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with ScriptedModel([Say("Yes.")], socket=path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
        assert b'"scripted"' in b"".join(iter(lambda: client.recv(4096), b""))
    assert not path.exists()


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with ScriptedModel([Say("Yes.")]) as model:
        with pytest.raises(OSError, match=str(model.port)):
            ScriptedModel([Say("No.")], port=model.port).start()
        with pytest.raises(RuntimeError, match=f"already listens at {model.url}"):
            model.start()


def test_what_no_api_would_take_is_refused_and_a_failure() -> None:
    with ScriptedModel([Say("Yes.")]) as model:
        for path, body in (
            ("/v1/messages", b"{"),
            ("/v1/responses", b"[]"),
            ("/v1/responses", b'{"input": "a", "previous_response_id": "b"}'),
            ("/v1/chat/completions", b"{}"),
            ("/v1beta/models/m:generateContent", b"{}"),
        ):
            with pytest.raises(Refused) as refused:
                plain(model, "POST", path, body)
            assert refused.value.status == 400
        assert len(model.failures) == len(model.requests) == 5
        with pytest.raises(Refused) as refused:
            plain(model, "GET", "/favicon.ico")
        assert refused.value.status == 404
