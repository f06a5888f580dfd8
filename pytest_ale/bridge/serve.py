"""An MCP server over stdin and stdout, out of plain functions.

Knows nothing of screens, files or terminals. Whatever a function raises or a model gets wrong is
answered as a tool error, from which a model can go on; only the end of stdin ends the server.
"""

from __future__ import annotations

import base64
import json
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from .calls import begin
from .ending import Ending

__all__ = ["Answer", "Picture", "Tool", "ToolError", "serve"]

# More than the longest wait, drag or text takes at a screen that answers.
STUCK_SECONDS = 150


class ToolError(Exception):
    """The tool says no, and why; the message is for the model."""


@dataclass(frozen=True)
class Picture:
    png: bytes


@dataclass(frozen=True)
class Answer:
    """What a tool says: to read, and the same as values for clients that take those."""

    text: str
    values: Mapping[str, object] | None = None
    error: bool = False


@dataclass(frozen=True)
class Tool:
    """A function and what a model is told of it; `arguments` are JSON schemas, by name."""

    name: str
    about: str
    run: Callable[..., str | Picture | Answer]
    arguments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    required: Sequence[str] = ()

    @property
    def schema(self) -> dict[str, object]:
        return {
            "type": "object",
            "properties": {name: dict(schema) for name, schema in self.arguments.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }

    def check(self, given: Mapping[str, object]) -> None:
        """Say all that is wrong with the arguments of a call, and what is allowed."""
        # Here, for a start would take 60 ms more.
        import jsonschema  # type: ignore[import-untyped]

        wrong = [f"{name!r} is missing" for name in self.required if name not in given]
        wrong += [f"there is no {name!r}" for name in given if name not in self.arguments]
        for name in given.keys() & self.arguments.keys():
            checker = jsonschema.Draft202012Validator(self.arguments[name])
            wrong += [f"{name!r}: {error.message}" for error in checker.iter_errors(given[name])]
        if wrong:
            raise ToolError(f"{self.name}: {'; '.join(sorted(wrong))}. {self._allowed()}")

    def mended(self, given: Mapping[str, object]) -> dict[str, object]:
        """The arguments, where models wrote "[10, 20]" for [10, 20] or "a" for ["a"]."""
        return {name: self._mended(name, value) for name, value in given.items()}

    def _mended(self, name: str, value: object) -> object:
        kind = self.arguments.get(name, {}).get("type")
        if not isinstance(value, str) or kind in (None, "string"):
            return value
        with suppress(ValueError):
            meant = json.loads(value)
            if isinstance(meant, list) or kind != "array":
                return meant
        return [value] if kind == "array" else value

    def _allowed(self) -> str:
        if not self.arguments:
            return "It takes no arguments."
        return "Its arguments: " + ", ".join(
            name if name in self.required else f"{name} (optional)" for name in self.arguments
        )


def serve(
    name: str,
    tools: Callable[[], Sequence[Tool]],
    *,
    instructions: str,
    close: Callable[[], None],
    together: bool,
    stuck: Callable[[], None] | None = None,
) -> None:
    """Serve until stdin ends, then end the process; `together`: calls may overlap.

    `tools` is called at each listing and call. `close` lets go what is held, whichever way it ends.
    With `stuck`, a call is given up after STUCK_SECONDS, and `stuck` is called to go on without it.
    """
    server = _Server(name, tools, instructions, together, stuck)

    def let_go() -> None:
        server.give_up()
        close()

    ending = Ending(let_go)
    ending.watch(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    try:
        anyio.run(server.run)
    except BaseException as error:
        if not _broken_pipe(error):
            traceback.print_exc()
            ending.now(1)
    ending.now(0)


def _broken_pipe(error: BaseException | None) -> bool:
    """Whether it says no more than that the client is gone."""
    inner = getattr(error, "exceptions", ())  # of a group
    return isinstance(error, BrokenPipeError) or bool(inner and all(map(_broken_pipe, inner)))


@dataclass
class _Server:
    name: str
    tools: Callable[[], Sequence[Tool]]
    instructions: str
    together: bool
    stuck: Callable[[], None] | None

    def __post_init__(self) -> None:
        self._turn = anyio.Semaphore(16 if self.together else 1)
        self._calls: set[threading.Event] = set()

    def give_up(self) -> None:
        """Nobody waits for the calls that are at work."""
        for over in list(self._calls):
            over.set()

    async def run(self) -> None:
        server = Server(
            self.name,
            version="1",
            instructions=self.instructions,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        async with stdio_server() as (from_client, to_client):
            await server.run(from_client, to_client, server.create_initialization_options())

    # Any: what a lifespan would hand to every call; there is none.
    async def _list(
        self, _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        found = await anyio.to_thread.run_sync(self.tools)
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=tool.about, input_schema=tool.schema)
                for tool in found
            ]
        )

    async def _call(
        self, _: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        async with self._turn:
            return _result(await self._in_time(params.name, params.arguments or {}))

    async def _in_time(self, name: str, given: dict[str, Any]) -> str | Picture | Answer:
        self._calls.add(over := begin())
        try:
            with anyio.move_on_after(STUCK_SECONDS if self.stuck else None):
                # Abandoned when the client gives the call up, or goes.
                answer = self._answer
                return await anyio.to_thread.run_sync(answer, name, given, abandon_on_cancel=True)
        finally:
            over.set()
            self._calls.discard(over)
        if self.stuck:
            self.stuck()
        return Answer(f"{name}: given up after {STUCK_SECONDS} s without an answer", error=True)

    def _answer(self, name: str, given: dict[str, Any]) -> str | Picture | Answer:
        try:
            tool = self._tool(name)
            given = tool.mended(given)
            tool.check(given)
            return tool.run(**given)
        except ToolError as error:
            return Answer(str(error), error=True)
        except Exception as error:  # the server outlives whatever a tool meets
            return Answer(f"{name}: {type(error).__name__}: {error}", error=True)

    def _tool(self, name: str) -> Tool:
        tools = {tool.name: tool for tool in self.tools()}
        if name not in tools:
            raise ToolError(f"there is no tool {name!r}; there are {', '.join(tools)}")
        return tools[name]


def _result(answer: str | Picture | Answer) -> types.CallToolResult:
    if isinstance(answer, Picture):
        data = base64.b64encode(answer.png).decode()
        return types.CallToolResult(content=[types.ImageContent(data=data, mime_type="image/png")])
    if isinstance(answer, str):
        answer = Answer(answer)
    return types.CallToolResult(
        content=[types.TextContent(text=answer.text)],
        structured_content=dict(answer.values) if answer.values is not None else None,
        is_error=answer.error,
    )
