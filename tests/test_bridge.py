"""The MCP servers, spoken to by a real MCP client; the desktop's over a real X server."""

from __future__ import annotations

import base64
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp_types import CallToolResult

from pytest_ale.bridge import screen as x11
from pytest_ale.bridge.album import Album
from pytest_ale.bridge.coordinates import Coordinates, OffScreen
from pytest_ale.bridge.errors import ScreenError
from pytest_ale.bridge.picture import png
from pytest_ale.bridge.shrink import Scale, bounded, scaled
from pytest_ale.kits import bridge_kit
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import SandboxSpec

T = TypeVar("T")
Say = Callable[..., Awaitable[CallToolResult]]
BRIDGE = [sys.executable, "-m", "pytest_ale.bridge"]


def talk(words: list[str], body: Callable[[ClientSession, Say], Awaitable[T]], **env: str) -> T:
    """Start a server, speak with it as an agent's program does, and let it go."""

    async def run() -> T:
        server = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ) | env)
        with anyio.fail_after(30):
            async with stdio_client(server) as streams, ClientSession(*streams) as session:
                await session.initialize()

                async def say(name: str, **given: object) -> CallToolResult:
                    return await session.call_tool(name, given)

                return await body(session, say)

    return anyio.run(run)


def text(result: CallToolResult) -> str:
    assert not result.is_error, result
    return result.content[0].text


def refused(result: CallToolResult) -> str:
    assert result.is_error, result
    return result.content[0].text


def size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG, by its header."""
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


# The desktop.


@dataclass
class Screen:
    """An X server with a window manager and a terminal in which somebody types into a file."""

    folder: Path
    width: int = 1280
    height: int = 800
    display: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> Screen:
        out, into = os.pipe()
        shape = f"{self.width}x{self.height}x24"
        words = ["Xvfb", self.display or "-displayfd", *([] if self.display else [str(into)])]
        words += ["-screen", "0", shape, "-nolisten", "tcp", "-noreset"]
        self._run(words, pass_fds=[into])
        os.close(into)
        with os.fdopen(out) as file:
            self.display = self.display or f":{int(file.readline())}"
        return self

    def furnish(self) -> None:
        self._run(["openbox"])
        target = self.folder / "typed.txt"
        command = ["xterm", "-u8", "-geometry", "80x24+100+100", "-T", "notes", "-e", "sh", "-c"]
        self._run([*command, f"cat > {target}"])
        self.until(lambda: target.exists() and self.managed())

    def managed(self) -> bool:
        """Does the window manager know the terminal yet?"""
        with suppress(ScreenError):
            return bool(x11.Screen(self.display).windows())
        return False

    def says(self, *words: str) -> str:
        return subprocess.run(
            words, env=self.env, capture_output=True, text=True, timeout=10
        ).stdout.strip()

    @property
    def env(self) -> dict[str, str]:
        return dict(os.environ) | {"DISPLAY": self.display, "LANG": "C.UTF-8"}

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 15
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _run(self, words: list[str], **options: object) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.started.append(subprocess.Popen(words, env=self.env, **quiet, **options))

    def end(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()
        self.started.clear()

    def server(self, *options: str) -> list[str]:
        keep = str(self.folder / "shots")
        return [*BRIDGE, "desktop", "--display", self.display, "--keep", keep, *options]


def wanted(require: Callable[[str, str], None]) -> None:
    for program in ("Xvfb", "openbox", "xterm", "xdotool", "xclip"):
        if not shutil.which(program):
            require("xvfb", f"there is no {program} here")


@pytest.fixture(scope="module")
def desk(
    require: Callable[[str, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Screen]:
    wanted(require)
    screen = Screen(tmp_path_factory.mktemp("desk")).start()
    try:
        screen.furnish()
        yield screen
    finally:
        screen.end()


@pytest.fixture
def bare(require: Callable[[str, str], None], tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Screens of any size with nothing on them."""
    wanted(require)
    screens: list[Screen] = []

    def start(width: int = 1280, height: int = 800) -> Screen:
        screens.append(Screen(tmp_path, width, height).start())
        return screens[-1]

    yield start
    for screen in screens:
        screen.end()


def test_the_tools_say_how_places_are_named_on_this_screen(desk: Screen) -> None:
    async def body(session: ClientSession, say: Say) -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        wanted = "key key_down key_up type hold_key mouse_move click double_click triple_click drag"
        wanted += " mouse_down mouse_up scroll wait screenshot cursor_position get_screen_size"
        wanted += " read_clipboard write_clipboard list_windows activate_window"
        assert set(tools) == set(wanted.split())
        told = tools["click"].input_schema["properties"]["coordinate"]["description"]
        assert "1280x800" in told and "x 0 to 1279, y 0 to 799" in told
        assert all(tool.description for tool in tools.values())

    talk(desk.server(), body)


def test_an_agent_works_a_program_by_what_it_sees(desk: Screen) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        window = (await say("list_windows")).structured_content["windows"][-1]
        assert window["title"] == "notes" and window["program"] == "XTerm"
        text(await say("activate_window", window=window["id"]))
        middle = [window["x"] + 50, window["y"] + 50]
        text(await say("click", coordinate=middle))
        text(await say("type", text="Grüße, 世界 🙂\n"))
        text(await say("key", keys=["ctrl", "d"]))
        shown = await say("screenshot")
        assert shown.content[0].type == "image" and shown.content[0].mime_type == "image/png"
        data = base64.b64decode(shown.content[0].data)
        assert size(data) == (1280, 800)
        kept = sorted((desk.folder / "shots").glob("*.png"))
        assert kept[-1].read_bytes() == data

    talk(desk.server(), body)
    target = desk.folder / "typed.txt"
    desk.until(lambda: target.read_text() == "Grüße, 世界 🙂\n")


def test_the_mouse_goes_where_it_is_told(desk: Screen) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        text(await say("mouse_move", coordinate=[0, 799]))
        assert desk.says("xdotool", "getmouselocation").startswith("x:0 y:799 ")
        text(await say("drag", start_coordinate=[600, 600], coordinate=[700, 650], duration=0.1))
        assert (await say("cursor_position")).structured_content == {"x": 700, "y": 650}
        assert "at [700, 650]" in text(await say("scroll", direction="down"))
        assert "Double-clicked left at [900, 700]" in text(
            await say("double_click", coordinate="[900, 700]", keys="ctrl")
        )

    talk(desk.server(), body)


def test_the_clipboard_is_the_one_that_programs_have(desk: Screen) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        text(await say("write_clipboard", text="naïve"))
        assert desk.says("xclip", "-o", "-selection", "clipboard") == "naïve"
        assert text(await say("read_clipboard")) == "naïve"

    talk(desk.server(), body)


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("click", {"coordinate": [1280, 5]}, "[1280, 5] is off the screen: give [x, y] in pixels"),
    ("click", {"coordinate": [1]}, "'coordinate': [1] is too short"),
    ("click", {"x": 1, "y": 2}, "there is no 'x'; there is no 'y'. Its arguments: coordinate"),
    ("type", {}, "'text' is missing"),
    ("screenshot", {"path": "a"}, "there is no 'path'. It takes no arguments."),
    ("scroll", {"direction": "north"}, "'north' is not one of ['up', 'down', 'left', 'right']"),
    ("key", {"keys": ["ctrl", "nosuchkey"]}, "nosuchkey"),
    ("activate_window", {"window": 1}, "1"),
    ("teleport", {}, "there is no tool 'teleport'; there are screenshot, "),
]


def test_a_wrong_call_is_told_what_is_allowed(desk: Screen) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        for name, given, said in WRONG:
            assert said in refused(await say(name, **given))
        text(await say("cursor_position"))

    talk(desk.server(), body)


@pytest.mark.parametrize("end", [signal.SIGTERM, None])
def test_keys_that_were_held_are_let_go_at_the_end(
    bare: Callable[..., Screen], end: signal.Signals | None
) -> None:
    """By the end of stdin, or by a signal; a client sends both."""
    screen = bare()
    held = "import Xlib.display; print(any(Xlib.display.Display().query_keymap()))"
    query = [sys.executable, "-c", held]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello |= {"clientInfo": {"name": "test", "version": "1"}}
    call = {"name": "key_down", "arguments": {"keys": ["shift", "a"]}}
    requests = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(screen.server(), stdin=pipe, stdout=pipe) as server:
        assert server.stdin and server.stdout
        for request in requests:
            server.stdin.write(json.dumps({"jsonrpc": "2.0"} | request).encode() + b"\n")
            server.stdin.flush()
        assert [json.loads(server.stdout.readline())["id"] for _ in range(2)] == [1, 2]
        assert screen.says(*query) == "True"
        server.send_signal(end) if end else server.stdin.close()
        assert server.wait(10) == (128 + end if end else 0)
    assert screen.says(*query) == "False"


def test_it_outlives_its_x_server_and_finds_the_next(bare: Callable[..., Screen]) -> None:
    screen = bare()

    async def body(_: ClientSession, say: Say) -> None:
        text(await say("cursor_position"))
        screen.end()
        assert screen.display in refused(await say("screenshot"))
        assert screen.display in refused(await say("key", keys=["a"]))
        screen.start()
        with anyio.fail_after(10):
            while (await say("screenshot")).is_error:
                await anyio.sleep(0.05)

    talk(screen.server(), body)


def test_a_large_screen_is_shown_scaled_and_clicks_are_scaled_back(
    bare: Callable[..., Screen],
) -> None:
    screen = bare(1920, 1080)

    async def body(_: ClientSession, say: Say) -> None:
        shown = await say("screenshot")
        assert size(base64.b64decode(shown.content[0].data)) == (1280, 720)
        text(await say("mouse_move", coordinate=[1279, 360]))
        assert screen.says("xdotool", "getmouselocation").startswith("x:1919 y:540 ")
        assert "give [x, y] in pixels of the screenshot, which is 1280x720" in refused(
            await say("mouse_move", coordinate=[1280, 360])
        )

    talk(screen.server(), body)


def test_places_can_be_named_from_0_to_1000(bare: Callable[..., Screen]) -> None:
    screen = bare()

    async def body(session: ClientSession, say: Say) -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        told = tools["click"].input_schema["properties"]["coordinate"]["description"]
        assert "from 0 to 1000" in told
        text(await say("mouse_move", coordinate=[1000, 500]))
        assert screen.says("xdotool", "getmouselocation").startswith("x:1279 y:400 ")
        assert (await say("cursor_position")).structured_content == {"x": 1000, "y": 501}
        assert "0 to 1000" in refused(await say("click", coordinate=[1001, 5]))

    talk(screen.server("--coordinates=normalised"), body)


def test_calls_at_once_are_done_one_after_the_other(bare: Callable[..., Screen]) -> None:
    screen = bare()

    async def body(_: ClientSession, say: Say) -> float:
        start = time.monotonic()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(lambda: say("wait", duration=0.3))
        return time.monotonic() - start

    assert talk(screen.server(), body) >= 0.9


# Pictures.


def picture(width: int, height: int, colour: Callable[[int, int], bytes]) -> bytes:
    return png(b"".join(colour(x, y) for y in range(height) for x in range(width)), width, height)


def test_a_scaled_picture_shows_the_same_at_the_same_place() -> None:
    """Four quarters of a plain colour stay so, whatever the steps and odd sides."""
    from pytest_ale.bridge.shrink import _pixels

    colours = [[b"\0\0\xff\0", b"\0\xff\0\0"], [b"\xff\0\0\0", b"\xff\xff\xff\0"]]
    data = picture(121, 91, lambda x, y: colours[y > 45][x > 60])
    for scale in (Scale(1, 0), Scale(0, 1), Scale(1, 1), Scale(2, 1)):
        width, height, rgb = _pixels(scaled(data, scale))
        assert (width, height) == scale.size(121, 91)
        corners = [(2, 2), (width - 3, 2), (2, height - 3), (width - 3, height - 3)]
        seen = [rgb[3 * (y * width + x) :][:3] for x, y in corners]
        assert seen == [b"\xff\0\0", b"\0\xff\0", b"\0\0\xff", b"\xff\xff\xff"]


def test_noise_is_shown_in_fewer_colours_and_the_same_size() -> None:
    data = png(os.urandom(4 * 1280 * 800), 1280, 800)
    small = bounded(data, 1_000_000)
    assert len(data) > 3_000_000 > 1_000_000 >= len(small)
    assert size(small) == (1280, 800)
    assert bounded(small, 1_000_000) is small


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (1280, 800, (1280, 800)),
        (1366, 768, (1366, 768)),
        (1920, 1080, (1280, 720)),
        (2560, 1440, (1280, 720)),
        (3840, 2160, (1280, 720)),
        (1081, 1921, (722, 1282)),
    ],
)
def test_every_pixel_shown_is_one_of_the_screen(
    width: int, height: int, shown: tuple[int, int]
) -> None:
    places = Coordinates("pixels", Scale.to(1366, width, height), width, height)
    assert places.shown == shown
    last = places.to_screen((shown[0] - 1, shown[1] - 1))
    assert width - 3 <= last[0] < width and height - 3 <= last[1] < height
    for there in ((0, 0), (shown[0] // 2, shown[1] // 3)):
        assert places.to_model(*places.to_screen(there)) == there
    with pytest.raises(OffScreen):
        places.to_screen((float("nan"), 0))


def test_an_album_keeps_the_newest_and_goes_on_counting(tmp_path: Path) -> None:
    album = Album(tmp_path, files=3, size=100)
    for count in range(5):
        album.keep(bytes(count))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "0003.png",
        "0004.png",
        "0005.png",
    ]
    Album(tmp_path, files=3, size=100).keep(bytes(95))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"0005.png": 4, "0006.png": 95}


def test_a_picture_that_cannot_be_kept_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not kept" in Album(tmp_path / "file" / "shots").keep(b"x")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        said = Album(tmp_path / "shots").keep(bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "not kept" in said and list((tmp_path / "shots").iterdir()) == []


# The machine.

MACHINE = [*BRIDGE, "machine", "--display="]


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_a_command_says_how_it_ended_and_what_it_said(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        ended = await say(
            "run_command",
            command="pwd; echo $A; echo no >&2; exit 3",
            cwd=str(tmp_path),
            env={"A": "b c"},
        )
        assert ended.structured_content == {
            "exit_code": 3,
            "stdout": f"{tmp_path}\nb c\n",
            "stderr": "no\n",
            "timed_out": False,
        }
        assert text(ended) == f"exit code 3\n{tmp_path}\nb c\n[stderr]\nno"
        assert text(await say("run_command", command="cat; echo end")) == "exit code 0\nend"
        assert "/no/where: No such file" in refused(
            await say("run_command", command="true", cwd="/no/where")
        )

    talk(MACHINE, body)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo $! $$; sleep 60"

    async def body(_: ClientSession, say: Say) -> None:
        ended = await say("run_command", command=script, timeout=0.3)
        assert "killed after 0.3 s" in text(ended)
        assert ended.structured_content["timed_out"] is True
        pids = [int(pid) for pid in ended.structured_content["stdout"].split()]
        assert len(pids) == 2 and not any(map(alive, pids))

    talk(MACHINE, body)


def test_a_program_left_in_the_background_holds_nobody_up_and_lives(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> int:
        start = time.monotonic()
        command = "(while sleep 0.1; do echo x; done) & echo $!"
        ended = await say("run_command", command=command)
        assert time.monotonic() - start < 5
        return int(ended.structured_content["stdout"].split()[0])

    pid = talk(MACHINE, body)
    try:
        assert alive(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_much_output_is_cut_in_the_middle(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        ended = await say("run_command", command="echo first; yes | head -c 50000000; echo last")
        said = ended.structured_content["stdout"]
        assert said.startswith("first\n") and said.endswith("last\n") and len(said) < 40_000
        assert "bytes left out" in said

    talk(MACHINE, body)


def test_commands_overlap_and_end_with_the_server(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(
                lambda: say("run_command", command=f"echo $$ > {tmp_path}/pid; sleep 60")
            )
            with anyio.fail_after(10):
                while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                    await anyio.sleep(0.02)
            assert "exit code 0" in text(await say("run_command", command="true"))
            group.cancel_scope.cancel()

    talk(MACHINE, body)
    pid, deadline = int((tmp_path / "pid").read_text()), time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
        assert "not base64" in refused(await say("write_bytes", path=there, content_b64="?"))
        assert text(await say("list_dir", path=str(tmp_path))) == "new/"
        assert text(await say("list_dir", path=str(tmp_path / "new"))) == "a.txt  3"

    talk(MACHINE, body)


def test_files_that_would_never_end_or_are_not_there_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def body(_: ClientSession, say: Say) -> None:
        for name in ("read_text", "read_bytes"):
            assert "no regular file" in refused(await say(name, path=str(tmp_path / "pipe")))
        assert "no regular file" in refused(
            await say("write_text", path=str(tmp_path / "pipe"), content="")
        )
        assert "see list_dir" in refused(await say("read_text", path=str(tmp_path)))
        assert "No such file" in refused(await say("read_text", path=str(tmp_path / "none")))
        (tmp_path / "long").write_text("x" * 200_000)
        assert "cut in line 1" in text(await say("read_text", path=str(tmp_path / "long")))

    talk(MACHINE, body)


def test_a_terminal_is_one_for_the_program(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> int:
        pid = (await say("pty_start", command="bash --norc", rows=30, cols=90)).structured_content[
            "pid"
        ]
        text(await say("pty_input", pid=pid, data="stty size; sleep 60\n"))
        said = ""
        with anyio.fail_after(10):
            while "30 90" not in said:
                said += (await say("pty_read", pid=pid)).structured_content["data"]
        text(await say("pty_input", pid=pid, data="\x03"))  # Ctrl-C reaches the sleep
        text(await say("pty_resize", pid=pid, cols=70, rows=20))
        text(await say("pty_input", pid=pid, data="stty size\n"))
        with anyio.fail_after(10):
            while "20 70" not in said:
                said += (await say("pty_read", pid=pid)).structured_content["data"]
        text(await say("pty_kill", pid=pid))
        assert f"there is no terminal {pid}" in refused(await say("pty_read", pid=pid))
        return pid

    assert not alive(talk(MACHINE, body))


def test_a_program_that_ended_can_be_read_to_its_end(tmp_path: Path) -> None:
    async def body(_: ClientSession, say: Say) -> None:
        started = await say("pty_start", command="echo out; exit 4")
        pid, said = started.structured_content["pid"], ""
        with anyio.fail_after(10):
            while True:
                got = (await say("pty_read", pid=pid, timeout_ms=200)).structured_content
                said += got["data"]
                if not got["running"]:
                    break
        assert said == "out\r\n" and got["exit_code"] == 4
        assert "ended" in refused(await say("pty_input", pid=pid, data="x"))

    talk(MACHINE, body)


def test_a_flood_at_a_terminal_is_bounded_and_terminals_end_with_the_server() -> None:
    async def body(_: ClientSession, say: Say) -> int:
        pid = (await say("pty_start", command="yes")).structured_content["pid"]
        await anyio.sleep(1)
        got = text(await say("pty_read", pid=pid, timeout_ms=100))
        assert len(got) < 40_000 and "left out" in got and "read again" in got
        return pid

    assert not alive(talk(MACHINE, body))


# The kit, where there is nothing but Python.

CLIENT = """
import asyncio, sys
kit = sys.argv[1]
own = f"{kit}/libraries/python{sys.version_info[0]}.{sys.version_info[1]}"
sys.path[:0] = [own, f"{kit}/libraries/shared"]
from mcp import ClientSession, StdioServerParameters, stdio_client

async def ask(program, name, **given):
    server = StdioServerParameters(command=sys.executable, args=["-I", f"{kit}/run.py", program])
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        print(program, len((await session.list_tools()).tools))
        result = await session.call_tool(name, given)
        first = result.content[0]
        print(result.is_error, first.text if first.type == "text" else first.mime_type)

asyncio.run(ask("machine", "run_command", command="echo $HOME"))
asyncio.run(ask("desktop", "screenshot"))
"""


def test_the_kit_works_in_a_local_sandbox_without_a_screen() -> None:
    provider = LocalProvider(unsafe=True)
    sandbox = provider.create("bridgekit", SandboxSpec())
    try:
        sandbox.put(bridge_kit(), "kit")
        sandbox.write("client.py", CLIENT)
        kit = f"{sandbox.home}/task/kit"
        ended = sandbox.exec(["python3", "client.py", kit], timeout=60)
        said = ended.stdout.splitlines()
        assert said[:3] == ["machine 12", "False exit code 0", sandbox.home], ended
        assert said[3] == "desktop 21" and said[4].startswith("True no X server answers at :0"), (
            ended
        )
    finally:
        sandbox.stop()
        provider.destroy("bridgekit")


def test_the_kit_works_in_a_container_without_a_network(docker_engine: None) -> None:
    """Mounted read-only, with a real screen, the client inside as an agent's program is."""
    provider, lease = DockerProvider(), f"bridgekit{os.getpid()}"
    kit = bridge_kit()
    sandbox = provider.create(lease, SandboxSpec(desktop=True, kits=(kit,)))
    try:
        sandbox.write("client.py", CLIENT)
        ended = sandbox.exec(["python3", "client.py", f"/opt/ale/{kit.name}"], timeout=60)
        said = ended.stdout.splitlines()
        assert said[:3] == ["machine 14", "False exit code 0", sandbox.home], ended
        assert said[3:] == ["desktop 21", "False image/png"], ended
        sandbox.stop()
        shot = sandbox.read(f"{sandbox.home}/.ale/screenshots/0001.png")
        assert size(shot) == (1280, 800)
    finally:
        provider.destroy(lease)
