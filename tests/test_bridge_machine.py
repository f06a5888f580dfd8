"""The machine's MCP server, spoken to by a real MCP client."""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path

import anyio
from mcp import ClientSession

from .bridging import (
    BRIDGE,
    PATIENCE,
    Say,
    Start,
    alive,
    raw,
    refused,
    screens,
    talk,
    text,
    until,
    until_there,
)

__all__ = ["screens"]

MACHINE = [*BRIDGE, "machine", "--display="]
TOOLS = """run_command read_text write_text edit_text read_bytes write_bytes list_dir
pty_start pty_input pty_read pty_resize pty_kill"""


def test_a_command_says_how_it_ended_and_what_it_said(tmp_path: Path) -> None:
    script = "pwd; echo $A; echo no >&2; exit 3"

    async def body(session: ClientSession, say: Say) -> None:
        tools = (await session.list_tools()).tools
        assert {tool.name for tool in tools} == set(TOOLS.split())
        ended = await say("run_command", command=script, cwd=str(tmp_path), env={"A": "b c"})
        assert ended.structured_content == {
            "exit_code": 3,
            "stdout": f"{tmp_path}\nb c\n",
            "stderr": "no\n",
            "timed_out": False,
        }
        assert text(ended) == f"exit code 3\n{tmp_path}\nb c\n[stderr]\nno"
        assert text(await say("run_command", command="cat; echo end")) == "exit code 0\nend"
        killed = await say("run_command", command="kill -9 $$")
        assert killed.structured_content["exit_code"] == -9

    talk(MACHINE, body)


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("run_command", {"command": "true", "cwd": "/no/where"}, "/no/where: No such file"),
    ("run_command", {}, "'command' is missing"),
    ("run_command", {"cmd": "true"}, "there is no 'cmd'"),
    ("run_command", {"command": "true", "timeout": 0}, "'timeout': 0 is less than or equal"),
    ("read_text", {"path": "{here}/pipe"}, "no regular file"),
    ("read_bytes", {"path": "{here}/pipe"}, "no regular file"),
    ("write_text", {"path": "{here}/pipe", "content": ""}, "no regular file"),
    ("read_text", {"path": "{here}"}, "see list_dir"),
    ("read_text", {"path": "{here}/none"}, "No such file"),
    ("write_bytes", {"path": "{here}/a", "content_b64": "?"}, "not base64"),
    ("list_dir", {"path": "{here}/none"}, "No such file"),
    ("pty_input", {"pid": 1, "data": "x"}, "there is no terminal 1; there are: none"),
    ("pty_start", {"cwd": "/no/where"}, "/no/where: No such file"),
    ("screenshot", {}, "there is no tool 'screenshot'; there are run_command, "),
]


def test_a_wrong_call_is_told_what_is_wrong(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def body(_: ClientSession, say: Say) -> None:
        for name, given, said in WRONG:
            here = {
                key: value.format(here=tmp_path) if key == "path" else value
                for key, value in given.items()
            }
            assert said in refused(await say(name, **here))

    talk(MACHINE, body)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started() -> None:
    script = "trap '' TERM; sleep 60 & echo $! $$; sleep 60"

    async def body(_: ClientSession, say: Say) -> None:
        ended = await say("run_command", command=script, timeout=1)
        assert "killed after 1 s" in text(ended)
        assert ended.structured_content["timed_out"] is True
        pids = [int(pid) for pid in ended.structured_content["stdout"].split()]
        assert len(pids) == 2 and not any(map(alive, pids))

    talk(MACHINE, body)


def test_a_command_that_nobody_waits_for_any_more_is_killed(tmp_path: Path) -> None:
    """As a client's own deadline does it; the calls beside it go on."""
    said = tmp_path / "pid"
    with raw(MACHINE) as client:
        client.call(2, "run_command", command=f"echo $$ > {said}; sleep 60")
        client.call(3, "run_command", command=f"until [ -e {said}.go ]; do sleep 0.02; done")
        until(lambda: said.exists() and said.read_text())
        client.ask(None, "notifications/cancelled", requestId=2, reason="too slow")
        until(lambda: not alive(int(said.read_text())))
        (tmp_path / "pid.go").touch()
        assert client.answer(3)["result"]["structuredContent"]["exit_code"] == 0


def test_a_program_left_in_the_background_holds_nobody_up_and_lives(tmp_path: Path) -> None:
    """Though it says more than a pipe holds, which somebody must read for it."""
    go, done = tmp_path / "go", tmp_path / "done"
    left = f"until [ -e {go} ]; do sleep 0.02; done; yes | head -c 300000; echo > {done}; sleep 60"

    async def body(_: ClientSession, say: Say) -> None:
        ended = await say("run_command", command=f"({left}) & echo $!")
        pid = int(ended.structured_content["stdout"].split()[0])
        try:
            go.touch()
            await until_there(done)
            assert alive(pid)
        finally:
            os.killpg(os.getpgid(pid), signal.SIGKILL)

    talk(MACHINE, body)


def test_much_output_is_cut_in_the_middle() -> None:
    script = "echo first; yes | head -c 50000000; echo last"

    async def body(_: ClientSession, say: Say) -> None:
        said = (await say("run_command", command=script)).structured_content["stdout"]
        assert said.startswith("first\n") and said.endswith("last\n") and len(said) < 40_000
        assert "bytes left out" in said

    talk(MACHINE, body)


def test_commands_overlap_and_end_with_the_server(tmp_path: Path) -> None:
    said = tmp_path / "pid"

    async def body(_: ClientSession, say: Say) -> None:
        async with anyio.create_task_group() as group:
            command = f"echo $$ > {said}.new; mv {said}.new {said}; sleep 60"
            group.start_soon(lambda: say("run_command", command=command))
            await until_there(said)
            assert "exit code 0" in text(await say("run_command", command="true"))
            assert alive(int(said.read_text()))
            group.cancel_scope.cancel()

    talk(MACHINE, body)
    until(lambda: not alive(int(said.read_text())))


def test_files_of_text_and_of_bytes(tmp_path: Path) -> None:
    there = str(tmp_path / "new" / "a.txt")

    async def body(_: ClientSession, say: Say) -> None:
        text(await say("write_text", path=there, content="one\ntwo\ntwö\n"))
        assert text(await say("read_text", path=there, first_line=2, lines=1)) == "two\n"
        assert "2 times" in refused(await say("edit_text", path=there, old="tw", new="x"))
        assert "does not hold" in refused(await say("edit_text", path=there, old="three", new=""))
        text(await say("edit_text", path=there, old="tw", new="x", replace_all=True))
        assert Path(there).read_text() == "one\nxo\nxö\n"
        text(await say("write_bytes", path=there, content_b64=base64.b64encode(b"\0\xff").decode()))
        text(await say("write_bytes", path=there, content_b64="YQ==", append=True))
        got = (await say("read_bytes", path=there, offset=1)).structured_content
        assert (base64.b64decode(got["content_b64"]), got["size"]) == (b"\xffa", 3)
        assert text(await say("list_dir", path=str(tmp_path))) == "new/"
        assert text(await say("list_dir", path=str(tmp_path / "new"))) == "a.txt  3"
        (tmp_path / "long").write_text("x" * 200_000)
        assert "cut in line 1" in text(await say("read_text", path=str(tmp_path / "long")))

    talk(MACHINE, body)


def test_a_terminal_is_one_for_the_program() -> None:
    async def body(_: ClientSession, say: Say) -> int:
        started = await say("pty_start", command="bash --norc", rows=30, cols=90)
        pid = started.structured_content["pid"]

        async def until_said(words: str) -> None:
            said = ""
            with anyio.fail_after(PATIENCE):
                while words not in said:
                    said += (await say("pty_read", pid=pid)).structured_content["data"]

        text(await say("pty_input", pid=pid, data="stty size; sleep 60\n"))
        await until_said("30 90")
        text(await say("pty_input", pid=pid, data="\x03"))  # Ctrl-C reaches the sleep
        text(await say("pty_resize", pid=pid, cols=70, rows=20))
        text(await say("pty_input", pid=pid, data="stty size\n"))
        await until_said("20 70")
        text(await say("pty_kill", pid=pid))
        assert f"there is no terminal {pid}" in refused(await say("pty_read", pid=pid))
        return pid

    assert not alive(talk(MACHINE, body))


def test_a_program_that_ended_can_be_read_to_its_end() -> None:
    async def body(_: ClientSession, say: Say) -> None:
        started = await say("pty_start", command="echo out; exit 4")
        pid, said, got = started.structured_content["pid"], "", {"running": True}
        with anyio.fail_after(PATIENCE):
            while got["running"]:
                got = (await say("pty_read", pid=pid, timeout_ms=200)).structured_content
                said += got["data"]
        assert said == "out\r\n" and got["exit_code"] == 4
        assert "ended" in refused(await say("pty_input", pid=pid, data="x"))

    talk(MACHINE, body)


def test_a_flood_at_a_terminal_is_bounded_and_terminals_end_with_the_server() -> None:
    async def body(_: ClientSession, say: Say) -> int:
        pid, got = (await say("pty_start", command="yes")).structured_content["pid"], ""
        with anyio.fail_after(PATIENCE):
            while "left out" not in got:  # that is, until 2 MB were said and not asked for
                await anyio.sleep(0.3)
                got = text(await say("pty_read", pid=pid, timeout_ms=100))
                assert len(got) < 40_000 and "read again" in got
        return pid

    assert not alive(talk(MACHINE, body))


def test_the_clipboard_can_be_asked_for_by_many_at_once(screens: Start) -> None:
    """Each over the same connection, which two threads at a time would spoil."""
    words = [*BRIDGE, "machine", "--display", screens().display]

    async def body(_: ClientSession, say: Say) -> None:
        text(await say("write_clipboard", text="once"))
        found = []

        async def read() -> None:
            found.append(text(await say("read_clipboard")))

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(read)
        assert found == ["once"] * 30

    talk(words, body)
