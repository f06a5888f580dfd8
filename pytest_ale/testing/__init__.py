"""For tests of agents, of harnesses and of what stands between them and a model.

A scripted model speaks OpenAI Responses and Chat Completions, Anthropic Messages and Gemini,
streaming and not, and says what its script says:

    from pytest_ale.testing import Call, Expect, Refuse, Say, ScriptedModel, Turn

    script = [
        Refuse(429, retry_after=1, times=2),
        Call("shell", {"command": "ls inputs"}),
        Expect(tool_result_contains="words.txt", tool_offered="desktop.screenshot"),
        Turn(Call("desktop.screenshot"), Call("shell", {"command": "cp inputs/* output"})),
        Say("Done."),
    ]
    with ScriptedModel(script) as model:
        run_agent(base_url=model.url, api_key="any")
    model.check()

OpenAI's clients want `model.url + "/v1"`. `model.requests` is what was sent, with the keys
replaced. `check` raises for what was not as expected and for turns that nobody asked for.

A step on its own is a turn of the model. Think, Usage, Expect and the faults belong to the turn
that follows; several calls in one turn are a `Turn(...)`. The number of tool results in a request
decides the turn, so a request may be sent again, and many agents may be told one script at once.
Only faults are counted, for each API key; agents that send the same key share the count. When a
script calls tools, requests that offer none are calls on the side, answered "OK".

Faults: Refuse (an error's status), Cut, Slow, WrongJson and Hang, each for so many `times`, one
after the other; `times=None` is for ever. A model that is down is `model.close()`, and later
`model.start()` at the same port.

An agent may not wait for its MCP servers: unless it is told to (`required = true`), Codex offers
their tools when they have started, which may be in its third request. A script for it then calls
"shell" first, with `sleep 1` in the command.

The same in YAML, for `Script.load(path)`, a list of steps; a step's value is its fields by name,
or its first field alone:

    - refuse: {status: 429, retry_after: 1, times: 2}
    - call: {tool: shell, arguments: {command: ls inputs}}
    - expect: {tool_result_contains: words.txt, tool_offered: desktop.screenshot}
    - turn:
        - call: desktop.screenshot
        - call: {tool: shell, arguments: {command: cp inputs/* output}}
    - say: Done.

The words are turn, say, think, call, usage, expect, refuse, cut, slow, wrong_json and hang.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ale.testing.model import ScriptedModel, ScriptFailed
    from pytest_ale.testing.script import (
        Call,
        Cut,
        Expect,
        Hang,
        Refuse,
        Say,
        Script,
        ScriptError,
        Slow,
        Think,
        Turn,
        Usage,
        WrongJson,
    )
    from pytest_ale.testing.service import Request

__all__ = [
    "Call",
    "Cut",
    "Expect",
    "Hang",
    "Refuse",
    "Request",
    "Say",
    "Script",
    "ScriptError",
    "ScriptFailed",
    "ScriptedModel",
    "Slow",
    "Think",
    "Turn",
    "Usage",
    "WrongJson",
]


def __getattr__(name: str) -> object:
    """Imported when it is asked for: the simulated provider (sim.py) needs no web server."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {"ScriptedModel": "model", "ScriptFailed": "model", "Request": "service"}
    return getattr(import_module(f"{__name__}.{homes.get(name, 'script')}"), name)
