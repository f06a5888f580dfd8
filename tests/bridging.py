"""What tests of the bridge share: a real MCP client, raw requests, and real X servers."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp_types import CallToolResult
from Xlib import X
from Xlib.display import Display

from pytest_ale.bridge import screen as x11
from pytest_ale.bridge.errors import ScreenError

T = TypeVar("T")
Say = Callable[..., Awaitable[CallToolResult]]
BRIDGE = [sys.executable, "-m", "pytest_ale.bridge"]
PATIENCE = 60  # seconds for what takes less than one, on a machine that is busy


def talk(words: list[str], body: Callable[[ClientSession, Say], Awaitable[T]]) -> T:
    """Start a server, speak with it as an agent's program does, and let it go."""

    async def run() -> T:
        server = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
        with anyio.fail_after(2 * PATIENCE):
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


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, true
        time.sleep(0.02)


async def until_there(path: Path) -> None:
    """Wait for a file that is written at once, without holding up the client."""
    with anyio.fail_after(PATIENCE):
        while not path.exists():
            await anyio.sleep(0.02)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Raw:
    """A client that writes and reads lines, and can go in any way."""

    def __init__(self, words: list[str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
        self.ask(1, "initialize", **hello, clientInfo={"name": "test", "version": "1"})
        self.answer(1)
        self.ask(None, "notifications/initialized")

    def ask(self, id: int | None, method: str, **params: object) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.write(json.dumps(message | ({} if id is None else {"id": id})).encode() + b"\n")

    def call(self, id: int, name: str, **given: object) -> None:
        self.ask(id, "tools/call", name=name, arguments=given)

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def answer(self, id: int) -> dict[str, object]:
        """The answer to that request; those to others are dropped."""
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if (said := json.loads(line)).get("id") == id:
                return dict(said)
        raise AssertionError(f"it ended without an answer to {id}: {self.end()}")

    def end(self) -> str:
        """What it said on stderr; it is killed if it is still there."""
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        said = self.process.stderr.read().decode()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):  # requests that nobody has read
                file.close()
        return said


@contextmanager
def raw(words: list[str]) -> Iterator[Raw]:
    client = Raw(words)
    try:
        yield client
    finally:
        client.end()


@dataclass
class Xserver:
    """An X server, and what runs on it."""

    folder: Path
    width: int = 1280
    height: int = 800
    display: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> Xserver:
        """Return when it answers, at a display of its own choice unless there is one."""
        out, into = os.pipe()
        words = ["Xvfb", *([self.display] if self.display else []), "-displayfd", str(into)]
        words += ["-screen", "0", f"{self.width}x{self.height}x24", "-nolisten", "tcp", "-noreset"]
        self.run(words, pass_fds=[into])
        os.close(into)
        with os.fdopen(out) as file:
            said = file.readline().strip()
        assert said, f"{words} ended with {self.started[0].wait()}"
        self.display = f":{said}"
        return self

    def furnish(self) -> Path:
        """Start a window manager, and a terminal in which somebody types into a file."""
        self.run(["openbox"])
        # Else it hangs at times: seen in 2 of 6 starts beside that of its first client.
        until(lambda: self.managed() is not None)
        target = self.folder / "typed.txt"
        command = ["xterm", "-u8", "-geometry", "80x24+100+100", "-T", "notes", "-e", "sh", "-c"]
        self.run([*command, f"cat > {target}"])
        until(lambda: target.exists() and self.managed())
        return target

    def managed(self) -> int | None:
        """How many windows the manager knows, or None while there is no manager."""
        with closing(x11.Screen(self.display)) as eyes, suppress(ScreenError):
            return len(eyes.windows())
        return None

    def says(self, *words: str) -> str:
        ended = subprocess.run(
            words, env=self.env, capture_output=True, text=True, timeout=PATIENCE
        )
        return ended.stdout.strip()

    def mouse(self) -> tuple[int, int]:
        said = self.says("xdotool", "getmouselocation").split()
        return int(said[0].removeprefix("x:")), int(said[1].removeprefix("y:"))

    def held(self) -> tuple[int, int]:
        """How many keys and how many buttons are down."""
        with closing(Display(self.display)) as display:
            buttons = display.screen().root.query_pointer().mask >> 8 & 0b111
            keys = display.query_keymap()
        return sum(each.bit_count() for each in keys), buttons.bit_count()

    @property
    def env(self) -> dict[str, str]:
        return dict(os.environ) | {"DISPLAY": self.display, "LANG": "C.UTF-8"}

    def run(self, words: list[str], **options: object) -> None:
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


KINDS = {X.KeyPress: "key", X.KeyRelease: "key up", X.ButtonPress: "button"}
KINDS |= {X.ButtonRelease: "button up", X.MotionNotify: "move"}


class Witness:
    """A window over the whole screen that remembers what was done to it."""

    def __init__(self, server: Xserver) -> None:
        self.display = Display(server.display)
        root = self.display.screen().root
        mask = X.KeyPressMask | X.KeyReleaseMask | X.PointerMotionMask
        mask |= X.ButtonPressMask | X.ButtonReleaseMask
        window = root.create_window(
            0, 0, server.width, server.height, 0, X.CopyFromParent, event_mask=mask
        )
        window.change_attributes(override_redirect=True)
        window.map()
        window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self.display.sync()

    def seen(self, *kinds: str) -> list[tuple[str, object]]:
        """What was pressed or let go, or where the mouse came by, since the last look."""
        self.display.sync()
        events = [self.display.next_event() for _ in range(self.display.pending_events())]
        found = [(KINDS[event.type], event) for event in events if event.type in KINDS]
        return [(kind, self._what(event)) for kind, event in found if kind in kinds]

    def _what(self, event: object) -> object:
        if event.type == X.MotionNotify:
            return event.event_x, event.event_y
        if event.type in (X.ButtonPress, X.ButtonRelease):
            return event.detail
        return self.display.lookup_string(self.display.keycode_to_keysym(event.detail, 0))


Start = Callable[..., Xserver]


@pytest.fixture
def screens(require: Callable[[str, str], None], tmp_path: Path) -> Iterator[Start]:
    """X servers of any size with nothing on them."""
    wanted(require)
    started: list[Xserver] = []

    def start(width: int = 1280, height: int = 800, display: str = "") -> Xserver:
        started.append(Xserver(tmp_path, width, height, display))
        return started[-1].start()

    yield start
    for each in started:
        each.end()


@pytest.fixture(scope="module")
def screen(
    require: Callable[[str, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Xserver]:
    """An X server with nothing on it, for tests that leave it so."""
    wanted(require)
    server = Xserver(tmp_path_factory.mktemp("screen"))
    try:
        yield server.start()
    finally:
        server.end()


def wanted(require: Callable[[str, str], None]) -> None:
    for program in ("Xvfb", "openbox", "xterm", "xdotool", "xclip"):
        if not shutil.which(program):
            require("xvfb", f"there is no {program} here")
