"""The machine as an MCP server: shell, files, clipboard and terminals, for an agent outside.

Knows nothing of how things are done. All is done as the user who runs it.
"""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from . import texts
from .commands import SHELL, Commands
from .screen import Screen, ScreenError
from .serve import Answer, Tool, ToolError, serve
from .terminals import Terminal, TerminalError, Terminals

__all__ = ["main"]

COMMAND_SECONDS, MOST_SECONDS = 120, 3600
READ_MS, MOST_MS = 2000, 60_000
INSTRUCTIONS = (
    "The machine that the task is to be done on: run commands, read and write files, and work "
    "with programs that need a terminal. Relative paths start from {cwd}."
)

Schema = Mapping[str, object]

TEXT: Schema = {"type": "string"}
PATH: Schema = {"type": "string", "description": "~ and relative paths are understood"}
CWD: Schema = {"type": "string", "description": "folder to start in"}
ENV: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "environment variables to add",
}
PID: Schema = {"type": "integer", "description": "what pty_start gave"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve this machine over stdin and stdout (MCP).")
    parser.add_argument("--display", default=_display(), help="the X server of the clipboard")
    machine = Machine(parser.parse_args().display)
    serve(
        "machine",
        machine.tools,
        instructions=INSTRUCTIONS.format(cwd=Path.cwd()),
        close=machine.close,
        together=True,
    )
    return 0


def _display() -> str:
    """The X server to use: many agent programs start a server with hardly any environment."""
    there = Path("/tmp/.X11-unix/X0").exists()
    return os.environ.get("DISPLAY") or (":0" if there else "")


class Machine:
    """What runs here on behalf of the agent, and the tools for it."""

    def __init__(self, display: str) -> None:
        self._commands, self._terminals = Commands(), Terminals()
        self._clipboard = _Clipboard(Screen(display)) if display else None

    def close(self) -> None:
        self._commands.close()
        self._terminals.close()
        if self._clipboard:
            self._clipboard.screen.close()

    def tools(self) -> list[Tool]:
        found = [self._shell(), *self._files(), *self._ptys()]
        return found + (self._clipboard.tools() if self._clipboard else [])

    def _shell(self) -> Tool:
        timeout = {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MOST_SECONDS,
            "default": COMMAND_SECONDS,
            "description": "seconds after which the command and what it started are killed",
        }
        return _tool(
            "run_command",
            f"Run a command with {SHELL} and wait for it. It has no stdin; long output is cut in "
            "the middle. What is started with & may go on afterwards.",
            self._run_command,
            {"command": TEXT, "timeout": timeout, "cwd": CWD, "env": ENV},
            "command",
        )

    def _run_command(
        self,
        command: str,
        timeout: float = COMMAND_SECONDS,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        ended = self._commands.run(command, timeout=timeout, cwd=texts.placed(cwd), env=env)
        how = f"exit code {ended.exit_code}"
        if ended.exit_code is None:
            how = f"killed after {timeout:g} s"
        parts = [how, ended.stdout, ended.stderr and f"[stderr]\n{ended.stderr}"]
        said = "\n".join(part.rstrip("\n") for part in parts if part)
        return Answer(said, asdict(ended) | {"timed_out": ended.exit_code is None})

    def _files(self) -> list[Tool]:
        count: Schema = {"type": "integer", "minimum": 1}
        whole: Schema = {"type": "integer", "minimum": 0}
        flag: Schema = {"type": "boolean", "default": False}
        lines = {"path": PATH, "first_line": {**count, "default": 1}, "lines": count}
        some = {"path": PATH, "offset": {**whole, "default": 0}, "length": whole}
        binary = {"path": PATH, "content_b64": TEXT, "append": flag}
        edited = {"path": PATH, "old": TEXT, "new": TEXT, "replace_all": flag}
        return [
            _tool("read_text", "Read a text file, or lines of it.", _read_text, lines, "path"),
            _tool(
                "write_text",
                "Write a text file in the place of what was there, and the folders above it.",
                _write_text,
                {"path": PATH, "content": TEXT},
                "path content",
            ),
            _tool(
                "edit_text",
                "Replace a text in a file; it must be there exactly once, or use replace_all.",
                _edit_text,
                edited,
                "path old new",
            ),
            _tool("read_bytes", "Read a file as base64, 1 MB at most.", _read_bytes, some, "path"),
            _tool(
                "write_bytes",
                "Write a file from base64, or append to it.",
                _write_bytes,
                binary,
                "path content_b64",
            ),
            _tool("list_dir", "List a folder, with sizes.", _list_dir, {"path": PATH}, "path"),
        ]

    def _ptys(self) -> list[Tool]:
        side: Schema = {"type": "integer", "minimum": 1, "maximum": 1000}
        size: dict[str, Schema] = {"cols": {**side, "default": 80}, "rows": {**side, "default": 24}}
        wait: Schema = {"type": "integer", "minimum": 0, "maximum": MOST_MS, "default": READ_MS}
        typed: Schema = {"type": "string", "description": "as typed: end a line with \\r or \\n"}
        waits = {"pid": PID, "timeout_ms": {**wait, "description": "how long to wait for output"}}
        return [
            _tool(
                "pty_start",
                f"Start a program at a terminal of its own, {SHELL} by default.",
                self._pty_start,
                {"command": TEXT, "cwd": CWD, "env": ENV, **size},
            ),
            _tool(
                "pty_input",
                "Type at a terminal.",
                self._pty_input,
                {"pid": PID, "data": typed},
                "pid data",
            ),
            _tool("pty_read", "Read what is new at a terminal.", self._pty_read, waits, "pid"),
            _tool(
                "pty_resize",
                "Resize a terminal.",
                self._pty_resize,
                {"pid": PID, **size},
                "pid cols rows",
            ),
            _tool(
                "pty_kill",
                "End a terminal and all that runs at it.",
                self._pty_kill,
                {"pid": PID},
                "pid",
            ),
        ]

    def _pty_start(
        self,
        command: str = SHELL,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        cols: int = 80,
        rows: int = 24,
    ) -> Answer:
        terminal = self._terminals.start(command, texts.placed(cwd), env or {}, cols, rows)
        return Answer(f"pid {terminal.pid}", {"pid": terminal.pid, "cols": cols, "rows": rows})

    def _pty_input(self, pid: int, data: str) -> str:
        self._terminals[pid].input(data)
        return f"Typed {len(data)} characters."

    def _pty_read(self, pid: int, timeout_ms: int = READ_MS) -> Answer:
        terminal = self._terminals[pid]
        said = terminal.read(timeout_ms / 1000)
        values = {"data": said, "running": terminal.exit_code is None}
        return Answer(said + _ending(terminal), values | {"exit_code": terminal.exit_code})

    def _pty_resize(self, pid: int, cols: int, rows: int) -> str:
        self._terminals[pid].resize(cols, rows)
        return f"{cols} columns, {rows} rows."

    def _pty_kill(self, pid: int) -> str:
        terminal = self._terminals.end(pid)
        return f"Terminal {pid} is ended, with exit code {terminal.exit_code}."


def _ending(terminal: Terminal) -> str:
    code = terminal.exit_code
    return "" if code is None else f"\n[the program has ended with exit code {code}]"


def _read_text(path: str, first_line: int = 1, lines: int | None = None) -> str:
    return texts.read(path, first_line, lines)


def _write_text(path: str, content: str) -> str:
    return f"Wrote {texts.write(path, content)} bytes to {path}."


def _edit_text(path: str, old: str, new: str, replace_all: bool = False) -> str:
    return f"Replaced it {texts.edit(path, old, new, everywhere=replace_all)} times in {path}."


def _read_bytes(path: str, offset: int = 0, length: int = texts.MOST_BYTES) -> Answer:
    data, size = texts.read_bytes(path, offset, length)
    content = base64.b64encode(data).decode()
    return Answer(content, {"content_b64": content, "length": len(data), "size": size})


def _write_bytes(path: str, content_b64: str, append: bool = False) -> str:
    count = texts.write_bytes(path, texts.decoded(content_b64), append=append)
    return f"Wrote {count} bytes to {path}."


def _list_dir(path: str) -> str:
    return "\n".join(texts.listed(path)) or "It is empty."


@dataclass
class _Clipboard:
    screen: Screen

    def tools(self) -> list[Tool]:
        text = {"text": TEXT}
        return [
            _tool("read_clipboard", "Read the text in the clipboard.", self.screen.clipboard),
            _tool("write_clipboard", "Put text into the clipboard.", self._write, text, "text"),
        ]

    def _write(self, text: str) -> str:
        self.screen.set_clipboard(text)
        return f"The clipboard holds {len(text)} characters."


def _tool(
    name: str,
    about: str,
    action: Callable[..., str | Answer],
    arguments: Mapping[str, Schema] | None = None,
    required: str = "",
) -> Tool:
    def run(**given: object) -> str | Answer:
        try:
            return action(**given)
        except (texts.FileError, TerminalError, ScreenError) as error:
            raise ToolError(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise ToolError(f"{where}{error.strerror or error}") from error

    return Tool(name, about, run, arguments or {}, required.split())
