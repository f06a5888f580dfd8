"""codex: OpenAI's Codex CLI.

Its log is codex_log.py's, doing a recording again codex_redo.py's.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_ale.harness import Agent, Knob
from pytest_ale.knobs import one_of
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader, Server
from pytest_ale.recording import RecordingSandbox
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .codex_log import CodexLog
from .codex_redo import redo

__all__ = ["Codex"]

KEY = "ALE_MODEL_KEY"  # the variable that Codex reads the key from, and keeps from its commands
USUAL = "usual"  # what the CLI does when it is told nothing
SEARCHES = {"off": "disabled", "cached": "cached", "live": "live"}
OFF = (
    # What is fetched from servers of OpenAI's and others', and differs from day to day.
    *("apps", "plugins", "remote_plugin", "plugin_sharing", "tool_suggest"),
    "skill_mcp_dependency_install",
    # A server that cannot be reached is waited for without end: still at it after 40 s with no
    # retries allowed, 25 s with the usual ones once this is off.
    "unbounded_connection_retries",
)
# Settings that are not an examinee's to choose: what the exam rests on.
OURS = (
    *("model", "model_provider", "model_providers", "mcp_servers", "shell_environment_policy"),
    *("approval_policy", "sandbox_mode", "openai_base_url", "chatgpt_base_url", "notify"),
)
TOML = str.maketrans({"\x7f": "\\u007f"})  # the one character that JSON leaves and TOML does not


def _word(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", text):
        raise ValueError(f"is no word such as {USUAL}, low, medium, high or xhigh")
    return text


def _settings(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        try:
            names = list(tomllib.loads(line))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(
                f"{line!r} is no line of TOML ({error}); one is NAME = VALUE"
            ) from None
        if len(names) != 1 or line.startswith("["):
            raise ValueError(f"{line!r} is no setting; one is NAME = VALUE, or TABLE.NAME = VALUE")
        if names[0] in OURS:
            raise ValueError(f"{names[0]} is set by the exam; it is none of {', '.join(OURS)}")
    return "\n".join(lines)


# The home in a sandbox with a file tree of its own, and so a /dev/shm; in local's mode `none` that
# would be the machine's, with what others' attempts left there.
BOXED = "/home/agent"


class Codex(Program):
    name = "codex"
    about = "OpenAI's Codex CLI"
    subagents = True
    api = "openai"
    package = Package(
        kit="codex",
        name="@openai/codex",
        version="0.169.0",
        # The package's own bin is a script for Node that starts this, and adds nothing we need.
        program="node_modules/@openai/codex-linux-{cpu}/vendor/{machine}-unknown-linux-musl/bin/codex",
    )
    followed = (".codex/sessions/*/*/*/rollout-*.jsonl",)
    own = {
        "effort": Knob(
            f"how hard the model thinks: {USUAL} (the model's default), or as the API names it",
            USUAL,
            parse=_word,
        ),
        "summaries": Knob(
            f"of the model's reasoning: {USUAL}, none, auto, concise or detailed",
            USUAL,
            parse=one_of(USUAL, "none", "auto", "concise", "detailed"),
        ),
        "web_search": Knob(
            "the model's own search, by its server: off, cached or live",
            "off",
            parse=one_of(*SEARCHES),
        ),
        "subagents": Knob(
            "whether it may start agents of its own: on or off",
            "on",
            parse=one_of("on", "off"),
        ),
        "config": Knob(
            'further settings of config.toml, one a line: model_verbosity = "low"',
            "",
            parse=_settings,
        ),
    }

    def searches(self, agent: Agent) -> bool:
        return agent.knobs["web_search"] != "off"

    def files(self, brief: Brief) -> Mapping[str, str]:
        return {".codex/config.toml": "\n".join([*_top(brief), *_tables(brief, self.tool), ""])}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {KEY: brief.key}

    def arguments(self, brief: Brief) -> list[str]:
        further = [word for line in brief.knobs["config"].splitlines() for word in ("-c", line)]
        return [
            *("exec", "--json", "--skip-git-repo-check"),
            # The sandbox is ours; its own needs namespaces, which ours may not have.
            "--dangerously-bypass-approvals-and-sandbox",
            *further,
            "-",  # the prompt comes on stdin
        ]

    def reader(self, story: Story) -> Reader:
        return CodexLog(story)

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)


def _top(brief: Brief) -> Iterator[str]:
    if brief.model:
        yield f"model = {_toml(brief.model)}"
    yield 'model_provider = "ale"'
    yield "check_for_update_on_startup = false"
    # It waits for the disk 75 times before its first request: 1.2-2.6 s where others write to it
    # too, and 0.5-0.8 s with its databases in memory.
    if brief.home == BOXED:
        yield 'sqlite_home = "/dev/shm/codex"'
    yield 'approval_policy = "never"'
    yield 'sandbox_mode = "danger-full-access"'
    yield f"web_search = {_toml(SEARCHES[brief.knobs['web_search']])}"
    if (effort := brief.knobs["effort"]) != USUAL:
        yield f"model_reasoning_effort = {_toml(effort)}"
    if (summaries := brief.knobs["summaries"]) != USUAL:
        yield f"model_reasoning_summary = {_toml(summaries)}"


def _tables(brief: Brief, tool: Callable[[str, str], str]) -> Iterator[str]:
    # In a sandbox without a network, these would keep it for 5 s at its end.
    yield "[analytics]\nenabled = false"
    yield '[otel]\nexporter = "none"\nmetrics_exporter = "none"'
    yield '[history]\npersistence = "none"'
    # Neither in its commands' environment, nor in the files where it keeps one for its shells.
    yield f"[shell_environment_policy]\nexclude = [{_toml(KEY)}]"
    # Of 429, 5xx, cut streams and lost connections; each is as many as Codex has by default.
    yield f'[model_providers.ale]\nname = "ale"\nbase_url = {_toml(f"{brief.base_url}/v1")}'
    yield f'wire_api = "responses"\nenv_key = {_toml(KEY)}'
    yield "request_max_retries = 4\nstream_max_retries = 5"
    yield "[features]"
    yield from (f"{name} = false" for name in OFF)
    if brief.servers:
        # Else the newer models are shown these tools only when they search for them, or call them
        # from a script, where a screenshot is text.
        spaces = ", ".join(_toml(tool(name, "").removesuffix("__")) for name in brief.servers)
        yield f"[features.code_mode]\ndirect_only_tool_namespaces = [{spaces}]"
    if brief.knobs["subagents"] == "off":
        yield "[agents]\nenabled = false"
    for name, server in brief.servers.items():
        yield _server(name, server)


def _server(name: str, server: Server) -> str:
    """`required` makes it wait: else the tools are missing from the first requests."""
    return (
        f"[mcp_servers.{name}]\ncommand = {_toml(server.command)}\n"
        f"args = {_toml(list(server.args))}\n"
        "required = true\nstartup_timeout_sec = 60\ntool_timeout_sec = 600"
    )


def _toml(value: str | list[str]) -> str:
    """Strings and lists of them are in TOML as they are in JSON."""
    return json.dumps(value, ensure_ascii=True).translate(TOML)
