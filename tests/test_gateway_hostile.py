"""The model gateway and hostile agents: what they may not ask, what they may not see or spoil."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from pytest_ale.gateway import Control, Limits, server
from pytest_ale.gateway.sockets import short

from .gatewaying import CANARY, EVENTS, KEY, Agent, Open, StandIn, agent, control, gateway, standin

__all__ = ["agent", "control", "gateway", "standin"]  # fixtures

WHOLE = b"".join(EVENTS)
BAD = re.compile(rb"HTTP/1\.[01] 400 ")


# Whom it answers.


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/responses", ("error", "code", "invalid_api_key")),
        ("/v1/messages", ("error", "type", "authentication_error")),
        ("/v1beta/models/g:generateContent", ("error", "status", "UNAUTHENTICATED")),
    ],
)
def test_who_has_no_token_is_told_so_in_the_apis_words(
    standin: StandIn, control: Control, agent: Open, path: str, where: tuple[str, str, str]
) -> None:
    one, other, before = agent(), agent(), len(standin.asked)
    for sent in ("", "Bearer ale-guess", f"Bearer {other.door.token}", f"Bearer {KEY}", "Bearer é"):
        reply = one.post({"model": "m"}, path, Authorization=sent)
        assert reply.status == 401
        assert json.loads(reply.read())[where[0]][where[1]] == where[2]
    both = one.post({"model": "m"}, path, x_api_key="another")
    assert (both.status, len(standin.asked)) == (401, before) and both.read()
    assert control.tally(one.door.token).rejected == 6


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/v1/responses", 405),
        ("POST", "/v1/batches", 404),
        ("POST", "/v1/responses/r_1/cancel", 404),
        ("POST", "/v1/responses/../batches", 404),
        ("POST", "/v1/%72esponses", 404),
        ("POST", "//other.example/v1/responses", 404),
        ("POST", "http://other.example/v1/responses", 404),
        ("POST", "/v1beta/models/..:generateContent", 404),
        ("POST", "/v1beta/models/a%2fb:generateContent", 404),
        ("DELETE", "/v1/models/m", 405),
        ("POST", "/v1/responses?a=<b>", 400),
        ("POST", "/v1/responses?" + "a" * 3000, 400),
    ],
)
def test_only_what_is_known_is_sent_on(
    standin: StandIn, agent: Open, method: str, path: str, status: int
) -> None:
    one, before = agent(), len(standin.asked)
    one.request(method, path, "{}", {"Authorization": f"Bearer {one.door.token}"})
    assert one.getresponse().status == status
    assert (len(standin.asked) > before) == (status == 200)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "a", "model": "b"}', 400),
        (b'{"model": "a", "background": true}', 400),
        (b"[1]", 400),
        (b"", 400),
        (b"{" * 100_000, 400),
        (b'{"model": "\xff"}', 400),
        (b'{"input": "' + b"spaced out " * (17 << 17) + b'"}', 413),
    ],
)
def test_what_cannot_be_read_is_not_sent_on(
    standin: StandIn, agent: Open, body: bytes, status: int
) -> None:
    one, before = agent(), len(standin.asked)
    assert (one.post(body).status, len(standin.asked)) == (status, before)


def test_a_large_image_passes(standin: StandIn, agent: Open) -> None:
    image = base64.b64encode(bytes(range(256)) * (80 << 10)).decode()
    sent = json.dumps({"model": "plain", "input": f"data:image/png;base64,{image}"}).encode()
    assert agent().post(sent).read() == WHOLE
    assert standin.asked.pop()[2] == sent


# Bytes that are no request, or more than one.


@contextmanager
def raw(one: Agent) -> Iterator[socket.socket]:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
        short(one.door.socket) as name,
    ):
        client.settimeout(10)
        client.connect(name)
        yield client


def said(client: socket.socket) -> bytes:
    found = b""
    while more := client.recv(1 << 16):
        found += more
    return found


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: +2",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X-Line: a\nb: c",
        "X-Nul: a\0b",
        "X-Long: " + "a" * 20_000,
        "\r\n".join(f"X-{n}: a" for n in range(200)),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_not_read(
    standin: StandIn, agent: Open, head: str
) -> None:
    one, before = agent(), len(standin.asked)
    with raw(one) as client:
        first = f"POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.door.token}"
        client.sendall(f"{first}\r\n{head}\r\n\r\n{{}}".encode())
        assert BAD.match(said(client))
    assert len(standin.asked) == before


def test_garbage_and_too_many_connections_spoil_nothing(agent: Open) -> None:
    one, other = agent(), agent()
    with raw(one) as client:
        client.sendall(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
        assert BAD.match(said(client))
    held = [Agent(one.door) for _ in range(150)]
    for each in held:
        each.connect()
    for each in held[128:]:
        assert each.sock.recv(1) == b""  # one too many
    assert other.post({"model": "plain"}).read() == WHOLE
    for each in held:
        each.close()
    time.sleep(0.05)
    assert one.post({"model": "plain"}).read() == WHOLE


def test_a_head_that_does_not_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_SECONDS", 0.3)

    async def slowly() -> float:
        async def never(request: web.BaseRequest) -> web.StreamResponse:
            raise AssertionError("no whole request came")

        listener = server.Listener(never)
        await listener.unix(tmp_path / "s", 0o600)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        began = time.monotonic()
        writer.write(b"POST /v1/responses HTTP/1.1\r\n")
        while not reader.at_eof() and time.monotonic() < began + 5:
            writer.write(b"X-A: b\r\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)
        writer.close()
        await listener.close()
        return time.monotonic() - began

    assert 0.2 < asyncio.run(slowly()) < 2


def test_headers_of_a_connection_and_of_an_account_stay_here(standin: StandIn, agent: Open) -> None:
    one = agent()
    sent = {"Connection": "keep-alive, x-mine", "x-mine": "1", "Cookie": "a=b", "Te": "trailers"}
    one.post({"model": "plain"}, OpenAI_Organization="other", **sent).read()
    found = {name.lower() for name in standin.asked[-1][1]}
    assert not found & {"x-mine", "cookie", "te", "openai-organization", "connection"}


# Secrets.


def test_a_key_that_is_repeated_comes_back_as_stars(agent: Open) -> None:
    reply = agent().post({"model": "echo"}).read()
    assert reply == f"data: your key is {'*' * len(KEY)}, all of it\n\n".encode()


def test_no_secret_is_kept_however_it_is_encoded(
    standin: StandIn, control: Control, agent: Open, tmp_path: Path
) -> None:
    one = agent(folder=tmp_path / "kept")
    secrets = (KEY, CANARY, one.door.token)
    spread = [f"{'x' * n}{text}yz" for text in secrets for n in range(3)]
    coded = [base64.b64encode(text.encode()).decode() for text in spread]
    coded += [base64.urlsafe_b64encode(text.encode()).decode() for text in spread]
    coded += [quote(text, safe="") for text in secrets] + [t.encode().hex() for t in secrets]
    coded += [json.dumps(text) for text in secrets]
    one.post({"model": "plain", "input": [*secrets, *coded], "end": "kept"}).read()
    one.post({"model": "echo"}).read()
    one.post({"model": "plain"}, f"/v1/responses?key={one.door.token}").read()
    control.close(one.door.token)
    files = {path.name: path.read_text() for path in (tmp_path / "kept").iterdir()}
    assert sorted(files) == [
        f"000{n}-{w}" for n in (1, 2, 3) for w in ("answer.txt", "request.json")
    ] + ["requests.jsonl"]
    assert '"kept"' in files["0001-request.json"] and files["0001-answer.txt"].encode() == WHOLE
    assert len(files["requests.jsonl"].splitlines()) == 3
    for secret in secrets:
        core = base64.b64encode(secret.encode()).decode()[:-4]
        for form in (
            secret,
            core,
            quote(secret, safe=""),
            secret.encode().hex(),
            json.dumps(secret)[1:-1],
        ):
            assert not [name for name, text in files.items() if form in text], form
    for text in coded:
        assert not [name for name, kept in files.items() if text in kept], text


def test_evidence_is_bounded_and_the_last_request_stays(
    control: Control, agent: Open, tmp_path: Path
) -> None:
    one = agent(folder=tmp_path / "kept", evidence_mb=0.1)
    image = base64.b64encode(bytes(60_000)).decode()
    for number in range(8):
        one.post({"model": "plain", "image": image, "text": f"{number} " * 10_000}).read()
    control.close(one.door.token)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "kept").iterdir()}
    assert sum(sizes.values()) < 0.11 * 2**20 and "0001-request.json" not in sizes
    last = (tmp_path / "kept/0008-request.json").read_text()
    assert "[80000 characters, sha256 " in last and image not in last
    lines = (tmp_path / "kept/requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, 9))


def test_evidence_that_cannot_be_kept_stops_no_stream(
    control: Control, agent: Open, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    one = agent(folder=tmp_path / "file")
    assert one.post({"model": "plain"}).read() == WHOLE
    assert "evidence could not be kept" in control.close(one.door.token).trouble[0]


# Tools.


def test_the_tools_that_were_offered_are_known_by_the_request_that_first_had_them(
    control: Control, agent: Open
) -> None:
    one = agent(limits=Limits(turns=9))
    shell = {"type": "function", "name": "exec_command"}
    desk = {
        "type": "namespace",
        "name": "mcp__desk",
        "tools": [{"type": "function", "name": "click"}],
    }
    one.post(
        {"model": "plain", "tools": [shell, {"type": "tool_search"}, "junk", {"name": 1}]}
    ).read()
    one.post({"model": "plain", "tools": [shell, desk]}).read()
    declared = {"functionDeclarations": [{"name": "run_shell_command"}, {"name": "mcp_desk_click"}]}
    one.post({"tools": [declared]}, "/v1beta/models/g-1:generateContent").read()
    one.post({"tools": [{"name": "mcp__desk__click"}]}, "/v1/messages").read()
    chat = {"type": "function", "function": {"name": "bash"}}
    one.post({"tools": [chat]}, "/v1/chat/completions").read()
    assert control.tally(one.door.token).tools == {
        "exec_command": 1,
        "tool_search": 1,
        "mcp__desk__click": 2,
        "run_shell_command": 3,
        "mcp_desk_click": 3,
        "bash": 5,
    }
