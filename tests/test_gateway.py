"""The model gateway: what passes, what breaks, what ends it."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ale.gateway import (
    Config,
    Control,
    Gateway,
    GatewayFault,
    Limits,
    Terms,
    Upstream,
    upstreams,
)
from pytest_ale.leases import new_lease_id
from pytest_ale.sandbox import SandboxSpec

from .gatewaying import (
    ANSWERS,
    COUNTED,
    EVENTS,
    KEY,
    STEP,
    Agent,
    Open,
    StandIn,
    agent,
    control,
    gateway,
    standin,
    until,
)

__all__ = ["agent", "control", "gateway", "standin"]  # fixtures


# What passes.


def test_a_stream_passes_unchanged_and_as_it_comes(standin: StandIn, agent: Open) -> None:
    one = agent()
    sent = json.dumps({"model": "slow", "input": "é ☃"}, ensure_ascii=False).encode()
    reply = one.post(sent, x_own="kept", Accept_Encoding="gzip, br")
    came = [(reply.read1(), time.monotonic()) for _ in EVENTS]
    assert [data for data, _ in came] == EVENTS
    assert came[-1][1] - came[0][1] > STEP
    assert reply.read() == b"" and reply.headers["x-request-id"] == "r1"
    path, headers, body = standin.asked[-1]
    assert (path, body) == ("/v1/responses", sent)
    assert headers["Authorization"] == f"Bearer {KEY}" and headers["x-own"] == "kept"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{standin.port}"
    assert one.door.token not in str(headers)


@pytest.mark.parametrize(
    ("path", "carrier", "key"),
    [
        ("/v1/chat/completions", {"Authorization": "Bearer {}"}, "Authorization"),
        ("/v1/messages?beta=true", {"x-api-key": "{}"}, "x-api-key"),
        ("/v1/messages?beta=true", {"Authorization": "Bearer {}"}, "x-api-key"),
        ("/v1beta/models/g-1:generateContent", {"x-goog-api-key": "{}"}, "x-goog-api-key"),
        ("/v1beta/models/g-1:generateContent?alt=json&key={}&x=1", {}, "x-goog-api-key"),
    ],
)
def test_each_api_gets_the_real_key_for_the_token(
    standin: StandIn, control: Control, agent: Open, path: str, carrier: dict[str, str], key: str
) -> None:
    one = agent()
    sent = {name: text.format(one.door.token) for name, text in carrier.items()}
    one.request("POST", path.format(one.door.token), '{"model": "m"}', sent)
    reply = one.getresponse()
    assert (reply.status, json.loads(reply.read())) == (200, ANSWERS[path.partition("?")[0]])
    asked, headers, _ = standin.asked[-1]
    assert KEY in headers[key] and one.door.token not in asked + str(headers)
    assert asked == path.replace("key={}&", "")
    counted = {"/v1/c": (7, 0, 3), "/v1/m": (8, 3, 2), "/v1be": (9, 0, 6)}[path[:5]]
    usage = control.tally(one.door.token).usage
    assert (usage.prompt, usage.cached, usage.output) == counted and usage.requests == 1


def test_a_free_count_is_no_turn(control: Control, agent: Open) -> None:
    one = agent(limits=Limits(turns=0))
    assert one.post({}, "/v1/messages/count_tokens").read()
    tally = control.tally(one.door.token)
    assert (tally.usage.requests, tally.over, tally.stopped) == (0, "turns", "")


def test_what_was_compressed_nevertheless_is_counted(control: Control, agent: Open) -> None:
    one = agent()
    assert gzip.decompress(one.post({"model": "zipped"}).read()) == b"".join(EVENTS)
    assert control.tally(one.door.token).usage == COUNTED


# What breaks.


def test_a_cut_stream_is_a_cut_stream(control: Control, agent: Open) -> None:
    one = agent()
    reply = one.post({"model": "cut"})
    with pytest.raises(http.client.IncompleteRead) as cut:
        reply.read()
    assert cut.value.partial == b"".join(EVENTS[:2])
    tally = control.close(one.door.token)
    assert (
        tally.usage.estimated == 1 and tally.usage.output == 2 and "127.0.0.1" in tally.trouble[0]
    )


def test_an_agent_that_hangs_up_ends_its_request_upstream(
    standin: StandIn, control: Control, agent: Open
) -> None:
    one = agent()
    standin.left.clear()
    one.post({"model": "endless"}).read1()
    assert control.tally(one.door.token).running == 1
    one.close()
    assert standin.left.wait(5)
    standin.left.clear()
    words, before = {"Authorization": f"Bearer {one.door.token}"}, len(standin.asked)
    one.request("POST", "/v1/responses", '{"model": "silent"}', words)
    until(lambda: len(standin.asked) > before)
    one.close()
    assert standin.left.wait(5)
    until(lambda: not control.tally(one.door.token).running)
    usage = control.close(one.door.token).usage  # what was said, or asked, is charged for
    assert (usage.requests, usage.refused, usage.estimated) == (2, 1, 2)


def test_no_server_is_said_in_the_apis_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Upstream(f"http://127.0.0.1:{taken.getsockname()[1]}", KEY)
        with Gateway(Config({"anthropic": nobody}), tmp_path / "g") as gateway:
            control = Control(gateway.control)
            one = Agent(control.register(Terms()))
            reply = one.post({"model": "m"}, "/v1/messages")
            assert reply.status == 502 and json.loads(reply.read())["error"]["type"] == "api_error"
            assert "Cannot connect" in control.close(one.door.token).trouble[0]
            one.close()


def test_waiting_for_a_rate_limit_is_clocked(control: Control, agent: Open) -> None:
    one = agent()
    reply = one.post({"model": "limited"})
    assert (reply.status, reply.headers["Retry-After"], reply.read()) == (
        429,
        "1",
        b'{"error": {}}',
    )
    time.sleep(0.3)
    one.post({"model": "plain"}).read()
    tally = control.tally(one.door.token)
    assert tally.waited >= 0.3 and (tally.usage.requests, tally.usage.refused) == (2, 1)
    assert control.close(one.door.token).waited == tally.waited


# Limits.


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(turns=2), "turns"),
        (Limits(tokens=150), "tokens"),
        (Limits(usd=0.2), "usd"),
    ],
)
def test_a_used_up_budget_ends_it(control: Control, agent: Open, limits: Limits, name: str) -> None:
    one = agent(limits=limits)
    for _ in range(2):
        assert len(one.post({"model": "plain"}).read()) == sum(map(len, EVENTS))
    reply = one.post({"model": "plain"})
    error = json.loads(reply.read())["error"]
    assert (reply.status, error["code"]) == (400, "budget_exhausted") and name in error["message"]
    assert reply.headers["x-should-retry"] == "false"
    tally = control.close(one.door.token)
    assert (tally.stopped, tally.usage.requests, tally.rejected) == (name, 2, 1)
    assert tally.usd == pytest.approx(0.22)


def test_a_deadline_cuts_what_runs(control: Control, agent: Open) -> None:
    one = agent()
    control.limit(one.door.token, Limits(seconds=0.4))
    reply = one.post({"model": "endless"})
    began = time.monotonic()
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    assert 0.2 < time.monotonic() - began < 5
    tally = control.tally(one.door.token)
    assert (tally.stopped, tally.running, tally.trouble) == ("seconds", 0, [])
    one.close()
    assert one.post({"model": "plain"}).status == 400


def test_requests_at_once_count_against_a_budget(agent: Open) -> None:
    one = agent(limits=Limits(turns=3))
    agents = [Agent(one.door) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda each: each.post({"model": "slow"}).status, agents))
    for each in agents:
        each.close()
    assert sorted(replies) == [200] * 3 + [400] * 5


def test_dollars_of_an_unknown_price_are_not_spent(
    standin: StandIn, control: Control, agent: Open
) -> None:
    one = agent(limits=Limits(usd=5))
    before = len(standin.asked)
    reply = one.post({"model": "new"})
    assert (reply.status, json.loads(reply.read())["error"]["code"]) == (400, "model_not_priced")
    assert len(standin.asked) == before
    free = agent()
    free.post({"model": "new"}).read()
    assert control.tally(free.door.token).usd is None


def test_a_run_has_a_ceiling_of_its_own(standin: StandIn, tmp_path: Path) -> None:
    prices = "pytest_ale.gateway.limits:the_price"  # any function: this one fails when asked
    known = {"openai": Upstream(standin.url, KEY)}
    with Gateway(Config(known, price=prices, run_usd=0), tmp_path / "g") as gateway:
        control = Control(gateway.control)
        one = Agent(control.register(Terms()))
        assert one.post({"model": "plain"}).status == 400
        assert control.close(one.door.token).stopped == "run_usd"
        one.close()


# The process.


def test_fifty_streams_pass_at_once(control: Control, agent: Open) -> None:
    agents = [agent() for _ in range(50)]
    began = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        said = list(pool.map(lambda each: each.post({"model": "slow"}).read(), agents))
    assert said == [b"".join(EVENTS)] * 50
    assert time.monotonic() - began < 25 * STEP  # one after the other: 150
    assert all(control.tally(each.door.token).usage == COUNTED for each in agents)


def test_closing_a_door_cuts_its_streams_and_no_other(control: Control, agent: Open) -> None:
    one, other = agent(), agent()
    mine, theirs = one.post({"model": "endless"}), other.post({"model": "slow"})
    tally = control.close(one.door.token)
    assert (tally.running, tally.usage.estimated) == (0, 1) and not one.door.socket.exists()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        mine.read()
    assert theirs.read() == b"".join(EVENTS)
    with pytest.raises(GatewayFault, match="no attempt has this token"):
        control.tally(one.door.token)


def state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pytest_ale.gateway import *\n"
        "gateway = Gateway(Config({}), Path(sys.argv[1])); gateway.start()\n"
        "print(gateway.pid, flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "g")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        assert KEY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        starter.kill()
    until(lambda: state(pid) in "Z")  # gone, or its new parent has not looked yet


def test_keys_are_in_no_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Gateway(Config(upstreams(os.environ)), tmp_path / "g") as gateway:
        assert KEY.encode() not in Path(f"/proc/{gateway.pid}/environ").read_bytes()


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(GatewayFault, match="No module named 'no_such_prices'"):
        Gateway(Config({}, price="no_such_prices:price"), tmp_path / "g").start()


def test_a_port_of_the_loopback(agent: Open) -> None:
    one = agent(tcp=True)
    words = {"Authorization": f"Bearer {one.door.token}"}
    connection = http.client.HTTPConnection(one.door.url.removeprefix("http://"), timeout=10)
    connection.request("POST", "/v1/responses", '{"model": "plain"}', words)
    assert connection.getresponse().read() == b"".join(EVENTS)
    connection.close()


ASK = """
import sys, urllib.request
words = {"Authorization": "Bearer " + sys.argv[1], "Content-Type": "application/json"}
asked = urllib.request.Request("http://127.0.0.1:8080/v1/responses", b'{"model": "slow"}', words)
sys.stdout.write(urllib.request.urlopen(asked).read().decode())
"""


@pytest.mark.usefixtures("docker_engine")
def test_a_sandbox_without_a_network_reaches_its_model(control: Control) -> None:
    from pytest_ale.providers.docker import DockerProvider

    door = control.register(Terms())
    provider, lease = DockerProvider(), new_lease_id()
    try:
        sandbox = provider.create(lease, SandboxSpec(sockets={8080: door.socket}))
        said = sandbox.exec(["python3", "-c", ASK, door.token], check=True).stdout
        assert said.encode() == b"".join(EVENTS)
        assert KEY not in sandbox.exec("cat /proc/*/environ /proc/*/cmdline").stdout
        assert "401" in sandbox.exec(["python3", "-c", ASK, "guess"]).stderr
    finally:
        provider.destroy(lease)
    assert control.close(door.token).usage == COUNTED


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(GatewayFault, match="does not answer"):
        Control(tmp_path / "control.sock").register(Terms())
