"""The bridges, asked from outside: by the real server, and by one that misbehaves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ale import outside
from pytest_ale.outside import Bridge, bridges
from pytest_ale.sandbox import HarnessFault, SandboxLost

from .clawing import Machine, work_on


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def bridge(machine: Machine) -> Iterator[Bridge]:
    with bridges(work_on(machine)) as (found,):
        yield found


def said(bridge: Bridge, name: str, **given: object) -> str:
    return "\n".join(map(str, bridge.call(name, given).parts))


def test_its_tools_are_there_and_do_what_they_say(bridge: Bridge, machine: Machine) -> None:
    assert {"run_command", "write_text", "pty_start"} <= {tool.name for tool in bridge.tools}
    long = "x" * 300_000  # more than a pipe holds
    assert "Wrote 300000 bytes" in said(bridge, "write_text", path="long.txt", content=long)
    assert (machine.folder / "task/long.txt").read_text() == long
    assert said(bridge, "run_command", command="wc -c < long.txt; exit 3") == "exit code 3\n300000"
    assert bridge.call("run_command", {"cmd": "true"}).failed
    assert bridge.call("no_such", {}).failed


def test_one_that_is_killed_is_started_anew_and_that_is_told(
    bridge: Bridge, machine: Machine
) -> None:
    died = bridge.call("run_command", {"command": "kill -9 $PPID; sleep 5"})
    assert died.failed
    assert "may have been done in part" in str(died.parts[0])
    assert "was started anew; its terminals are gone" in str(died.parts[0])
    assert said(bridge, "run_command", command="echo on") == "exit code 0\non"
    os.kill(machine.started[-1].pid, signal.SIGKILL)  # between two calls
    machine.started[-1].wait()
    while not bridge._server.ended:  # seen by the thread that reads
        pass
    again = said(bridge, "run_command", command="echo on")
    assert "was started anew" in again and again.endswith("exit code 0\non")


def test_one_that_hangs_is_given_up(
    bridge: Bridge, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "PING_SECONDS", 0.8)
    waited = said(bridge, "run_command", command="sleep 2; echo slow")  # is no hanging: it pings
    assert waited == "exit code 0\nslow"
    hung = bridge.call("run_command", {"command": "kill -STOP $PPID; echo never"})
    assert hung.failed and "not even a ping is answered" in str(hung.parts[0])
    assert said(bridge, "run_command", command="echo on") == "exit code 0\non"


def test_a_call_that_never_ends_is_given_up(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "GRACE_SECONDS", -119.5)
    late = bridge.call("run_command", {"command": "sleep 60"})
    assert late.failed and "no answer came in 0 s" in str(late.parts[0])


def test_when_the_time_is_over_nothing_is_waited_for(machine: Machine) -> None:
    with bridges(work_on(machine, limit=1.5)) as (bridge,), pytest.raises(TimeoutError):
        bridge.call("run_command", {"command": "sleep 60"})


def test_one_that_dies_too_often_is_gone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "RESTARTS", 1)
    for _ in range(2):
        assert bridge.call("run_command", {"command": "kill -9 $PPID; sleep 5"}).failed
    assert "gone for good" in said(bridge, "run_command", command="true")


def test_a_sandbox_that_is_lost_is_a_fault(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> int:
        raise SandboxLost("it went away")

    monkeypatch.setattr(machine, "stream", lost)
    with pytest.raises(SandboxLost), bridges(work_on(machine)):
        pass


# A server in whose place an agent put something else.

HOSTILE = r"""
import base64, json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    print("no json"), print("[1]"), print('{"id": "x"}'), print("[" * 5000)
    result = {"content": RESULT, "tools": [{"name": "run_command", "inputSchema": {}}]}
    print(json.dumps({"id": asked["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("5", "(nothing)"),
        ('[7, {"type": "text"}, {"type": "text", "text": [1]}]', "\n[1]"),
        ('[{"type": "image", "data": "no base64!"}]', "(nothing)"),
        ('[{"type": "image"}]', "(nothing)"),
    ],
)
def test_what_a_strange_server_says_is_no_error(
    machine: Machine, content: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = machine.folder / "strange.py"
    script.write_text(HOSTILE.replace("RESULT", content))
    monkeypatch.setattr(outside, "_program", lambda *_: [sys.executable, str(script)])
    with bridges(work_on(machine)) as (bridge,):
        assert said(bridge, "run_command", command="true") == shown


def test_a_bridge_that_does_not_start_is_a_fault(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "_program", lambda *_: ["/bin/false"])
    said = "machine does not answer: it ended with status 1"
    with pytest.raises(HarnessFault, match=said), bridges(work_on(machine)):
        pass
