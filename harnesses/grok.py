"""grok: xAI's Grok Build, in headless mode.

Large pictures are not in what it writes: they stand in the requests that the gateway keeps.
It writes its log as Claude Code does, so that is what reads it; what differs is made alike here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pytest_ale.harness import Agent, Knob
from pytest_ale.knobs import one_of
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Reader
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.testing.script import Call
from pytest_ale.told import Json, objects, parsed, sub, word

from .claude_code_log import ClaudeCodeLog
from .simple import Simple, Tools

# Tries after the first. Its own number is not told; at a dead server it had not ended after 60 s.
RETRIES = 4
MCP_SECONDS = 600
EFFORTS = ("low", "medium", "high")
# It has its model search for the tools of servers, and call them by a tool of its own.
SEARCH, CALL = "search_tool", "use_tool"
DATA = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/]+=*)")
# Telemetry, and what it would ask a model for beside the task.
FEATURES = (
    "telemetry",
    "feedback",
    "turn_summary",
    "session_recap",
    "title_refresh",
    "remote_fetch",
)
NOWHERE = "http://127.0.0.1:9/v1"
# What goes to servers of its maker's, or asks somebody.
OFF = ("image_gen", "image_edit", "image_to_video", "reference_to_video", "send_feedback")
ASKING = ("ask_user_question", "enter_plan_mode", "exit_plan_mode")


class Using(Rehearsal):
    def uses(self, tool: str, **arguments: object) -> Call:
        return Call(CALL, {"tool_name": f"desktop__{tool}", "tool_input": arguments})

    def told(self, name: str, arguments: Json) -> tuple[str, Json]:
        if name != CALL:
            return name, arguments
        return word(arguments, "tool_name"), sub(arguments, "tool_input")


class Grok(Simple):
    name = "grok"
    about = "xAI's Grok Build"
    rehearsal = Using(write=("write", "file_path", "content"))
    api = "openai"
    reached_by = (SEARCH, CALL)
    package = Package(
        kit="grok",
        name="@xai-official/grok",
        version="1.0.41",
        # It unpacks the program into its home before it starts it: 0.7 s and 166 MB an attempt.
        program="node_modules/@xai-official/grok/bin/grok",
        node=True,
    )
    own = {
        "effort": Knob(
            f"how hard its model thinks: {', '.join(EFFORTS)}; its own choice if none is given",
            "",
            one_of("", *EFFORTS),
        ),
        "web": Knob("on or off: whether it may search the web", "off", one_of("on", "off")),
        "subagents": Knob("on or off: agents of its own", "on", one_of("on", "off")),
    }
    does = Tools(
        shell={"run_terminal_command": "command", "monitor": "command"},
        write={"write": ("file_path", "content")},
        edit={"search_replace": ("file_path", "old_string", "new_string")},
        every="replace_all",
        looks=frozenset(
            {
                *("read_file", "list_dir", "grep", "todo_write", "web_search", "spawn_subagent"),
                *("kill_command_or_subagent", "get_command_or_subagent_output", "workflow"),
                *("scheduler_create", "scheduler_delete", "scheduler_list", SEARCH, CALL, *ASKING),
            }
        ),
    )

    def searches(self, agent: Agent) -> bool:
        return agent.knobs["web"] == "on"

    def files(self, brief: Brief) -> Mapping[str, str]:
        model = json.dumps(brief.model)
        lines = [
            f"disable_web_search = {'false' if brief.knobs['web'] == 'on' else 'true'}",
            "[cli]\nauto_update = false",
            # The last had it ask its maker's server for models first: 5 s where there is no way.
            "[features]\n" + "\n".join(f"{name} = false" for name in FEATURES),
            # For titles it asks another model, there: at a port where nobody listens, in vain.
            f"[endpoints]\nxai_api_base_url = {json.dumps(NOWHERE)}",
            f"[models]\ndefault = {model}\nmax_retries = {RETRIES}",
            f"[model.{model}]\nmodel = {model}\nname = {model}",
            f'base_url = {json.dumps(f"{brief.base_url}/v1")}\nenv_key = "XAI_API_KEY"',
        ]
        for name, server in brief.servers.items():
            # Of TOML, strings and lists are as in JSON.
            command, args = json.dumps(server.command), json.dumps(list(server.args))
            lines.append(f"[mcp_servers.{name}]\ncommand = {command}\nargs = {args}")
            lines.append(f"startup_timeout_sec = 60\ntool_timeout_sec = {MCP_SECONDS}")
        return {".grok/config.toml": "\n".join([*lines, ""])}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {"XAI_API_KEY": brief.key, "GROK_DISABLE_AUTOUPDATER": "1"}

    def arguments(self, brief: Brief) -> list[str]:
        words = ["--prompt-file", f"{brief.task}/prompt.md", "--always-approve", "--no-plan"]
        words += ["--output-format", "streaming-messages-json", "--include-partial-messages"]
        words += ["--disallowed-tools", ",".join((*OFF, *ASKING))]
        words += ["--no-subagents"] if brief.knobs["subagents"] == "off" else []
        effort = brief.knobs["effort"]
        return words + (["--reasoning-effort", effort] if effort else [])

    def stdin(self, brief: Brief) -> str:
        return ""

    def reader(self, story: Story) -> Reader:
        return GrokLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}__{name}"


class GrokLog(ClaudeCodeLog):
    """Its results are JSON in a text, and a call of a server's tool is one of `use_tool`."""

    def line(self, source: str, text: str) -> None:
        told = parsed(text) if source == "stdout" else {}
        if word(told, "type") in ("assistant", "user"):
            message = sub(told, "message")
            blocks = [_plain(block) for block in objects(message.get("content"))]
            text = json.dumps({**told, "message": {**message, "content": blocks}})
        super().line(source, text)


def _plain(block: Json) -> Json:
    if word(block, "name") == CALL and (name := word(sub(block, "input"), "tool_name")):
        return {**block, "name": name, "input": sub(sub(block, "input"), "tool_input")}
    if word(block, "type") != "tool_result":
        return block
    text = word(block, "content")
    told = parsed(f'{{"parts": {text}}}').get("parts")
    if isinstance(told, dict) and (said := word(told, "output_for_prompt")):
        return {**block, "content": said}
    if isinstance(told, dict) and (served := sub(told, "output")):
        said = next((each for each in served.values() if isinstance(each, str)), "")
        return {**block, "content": [*_parts(said)]}
    parts = [_part(sub(each, "content")) for each in objects(told)]
    return {**block, "content": parts} if parts else block


def _parts(text: str) -> Iterator[Json]:
    """What a server's tool gave: pictures stand in the text, as addresses with data."""
    at = 0
    for match in DATA.finditer(text):
        yield {"type": "text", "text": text[at : match.start()].strip()}
        source = {"type": "base64", "data": match[2], "media_type": match[1]}
        yield {"type": "image", "source": source}
        at = match.end()
    if rest := text[at:].strip():
        yield {"type": "text", "text": rest}


def _part(told: Json) -> Json:
    if word(told, "type") != "image":
        return told
    source = {"type": "base64", "data": told.get("data"), "media_type": told.get("mimeType")}
    return {"type": "image", "source": source}
