"""How the bridge's programs end: soon after their client, with nothing held and no work left."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ale.bridge import screen as x11
from pytest_ale.bridge.errors import ScreenError

from .bridging import BRIDGE, Raw, Start, Xserver, alive, cpu_seconds, raw, screen, screens, until

__all__ = ["screen", "screens"]

ENDS = 10.0  # seconds in which a program ends on a busy machine; on a quiet one it is 1.1
USES = 1.5  # of a processor; one that turns in circles uses all of one
MACHINE = [*BRIDGE, "machine", "--display="]


def closed_stdin(client: Raw) -> None:
    client.process.stdin.close()


def closed_stdout(client: Raw) -> None:
    client.process.stdout.close()


def killed(client: Raw) -> None:
    closed_stdout(client)
    closed_stdin(client)


def deaf(client: Raw) -> None:
    """It asks for more than the pipe holds, reads nothing, and goes without closing that end."""
    for id in range(100, 160):
        client.ask(id, "tools/list")
    closed_stdin(client)


def stopped(client: Raw) -> None:
    client.process.send_signal(signal.SIGTERM)


def interrupted(client: Raw) -> None:
    client.process.send_signal(signal.SIGINT)


WAYS = [closed_stdin, closed_stdout, killed, deaf, stopped, interrupted]


def ends(client: Raw, way: Callable[[Raw], None]) -> int:
    """Let the client go that way; its server ends in time, and has used hardly any of it."""
    before = cpu_seconds(client.process.pid)
    start = time.monotonic()
    way(client)
    while client.process.poll() is None:
        with suppress(OSError):  # it has just ended
            used = cpu_seconds(client.process.pid) - before
        assert time.monotonic() - start < ENDS, f"it is there, and has used {used:.2f} s"
        time.sleep(0.01)
    assert used < USES
    return client.process.returncode


@pytest.mark.parametrize("way", WAYS)
def test_a_desktop_in_the_midst_of_a_drag(screen: Xserver, way: Callable[[Raw], None]) -> None:
    with raw(screen.server()) as client:
        client.call(2, "key_down", keys=["shift", "a"])
        client.answer(2)
        client.call(3, "drag", coordinate=[900, 700], duration=50)
        until(lambda: screen.held() == (2, 1))
        code = ends(client, way)
        assert code == {stopped: 143, interrupted: 130}.get(way, 0)
    until(lambda: screen.held() == (0, 0))


@pytest.mark.parametrize("way", [killed, deaf, stopped])
def test_a_machine_in_the_midst_of_a_command(tmp_path: Path, way: Callable[[Raw], None]) -> None:
    said = tmp_path / "pid"
    with raw(MACHINE) as client:
        client.call(2, "run_command", command=f"echo $$ > {said}; trap '' TERM; sleep 60; sleep 60")
        until(lambda: said.exists() and said.read_text())
        ends(client, way)
    assert not alive(int(said.read_text()))


@pytest.mark.parametrize("name", ["wait", "type"])
def test_a_desktop_in_the_midst_of_other_calls(screen: Xserver, name: str) -> None:
    given = {"wait": {"duration": 60}, "type": {"text": "Ωж世\n" * 50_000}}[name]
    with raw(screen.server()) as client:
        client.call(2, name, **given)
        time.sleep(0.3)
        ends(client, killed)


def test_a_desktop_whose_x_server_died_or_never_was(screens: Start) -> None:
    screen = screens()
    with raw(screen.server()) as client:
        client.call(2, "screenshot")
        client.answer(2)
        screen.end()
        client.call(3, "screenshot")
        assert client.answer(3)["result"]["isError"]
        ends(client, closed_stdin)
    with raw([*BRIDGE, "desktop", "--display=:64123"]) as client:
        client.call(2, "screenshot")
        assert client.answer(2)["result"]["isError"]
        ends(client, closed_stdin)


def test_a_desktop_whose_x_server_gives_no_answer(screens: Start) -> None:
    screen = screens()
    with raw(screen.server()) as client:
        client.call(2, "screenshot")
        client.answer(2)
        screen.started[0].send_signal(signal.SIGSTOP)
        client.call(3, "screenshot")
        time.sleep(0.3)
        ends(client, closed_stdin)


def test_what_was_given_up_ends_and_the_next_call_is_done(screen: Xserver) -> None:
    with raw(screen.server()) as client:
        client.call(2, "drag", coordinate=[900, 700], duration=50)
        until(lambda: screen.held() == (0, 1))
        client.ask(None, "notifications/cancelled", requestId=2)
        client.call(3, "mouse_move", coordinate=[5, 6])
        assert not client.answer(3)["result"].get("isError")
        assert screen.held() == (0, 0) and screen.mouse() == (5, 6)
        before = cpu_seconds(client.process.pid)
        time.sleep(0.5)
        assert cpu_seconds(client.process.pid) - before < 0.25
        assert screen.mouse() == (5, 6)


def test_lines_that_are_no_requests_are_outlived() -> None:
    with raw(MACHINE) as client:
        client.write(b"nonsense\n\xff\xfe\n{}\n[1\n\n")
        client.ask(2, "no/such/method")
        assert client.answer(2)["error"]["code"] == -32601
        client.ask(3, "ping")
        assert client.answer(3)["result"] == {}


@pytest.mark.parametrize("end", ["SIGTERM", "nobody reads", "stdin"])
def test_a_desk_in_the_midst_of_a_drag(screen: Xserver, end: str) -> None:
    """What was asked for is done when only stdin ends."""
    pipe = subprocess.PIPE
    seconds = 3 if end == "stdin" else 50
    words = [*BRIDGE, "desk"]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=screen.env) as desk:
        assert desk.stdin and desk.stdout
        for do, given in (
            ("keys_down", {"chord": "shift"}),
            ("drag", {"path": [[0, 0], [300, 300]], "seconds": seconds}),
        ):
            desk.stdin.write(json.dumps({"do": do, "with": given}).encode() + b"\n")
        desk.stdin.flush()
        until(lambda: screen.held() == (1, 1))
        if end == "SIGTERM":
            desk.terminate()
        elif end == "stdin":
            desk.stdin.close()
        else:
            desk.stdout.close()
        assert desk.wait(ENDS) == (143 if end == "SIGTERM" else 0)
        if end == "stdin":
            assert [json.loads(line) for line in desk.stdout] == [{"value": None}] * 2
    assert screen.held() == (0, 0)


def test_a_failure_in_the_midst_of_an_answer_leaves_a_screen_that_works(
    screen: Xserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The X library would wait for a thread that is none, in circles, at the next request."""
    mouse = x11.Screen(screen.display)
    mouse.keys_down("shift")
    display = mouse._open.link.display.display

    def fail(request: object) -> bool:
        monkeypatch.undo()
        raise ValueError("a wrong answer")

    monkeypatch.setattr(display, "parse_response", fail)
    with pytest.raises(ScreenError, match="ValueError: a wrong answer"):
        mouse.size()
    assert screen.held() == (0, 0) and mouse.size() == (1280, 800)
    mouse.close()
