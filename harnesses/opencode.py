"""opencode: the open source agent of that name.

Knows its command line and its configuration. What it tells is read in opencode_log.py, and what it
did is done again in opencode_redo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pytest_ale.dialect import KNOB, Dialect, api_of, dialect_of
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Knob
from pytest_ale.knobs import tools
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .opencode_log import OpencodeLog
from .opencode_redo import redo

HOME = ".config/opencode"
EVENTS = ".local/share/opencode/ale-events.jsonl"
KEY = "ALE_MODEL_KEY"
RIPGREP = "node_modules/@vscode/ripgrep-linux-{cpu}/bin/rg"
# Tries of a request that gets 429, 5xx or no connection, 2, 4, 8 and 16 s apart, and then 30 (or as
# long as a 429 says): a dead server ends it in about 60 s.
ATTEMPTS = "6"

MCP_MILLISECONDS = 600_000
MOST_OUT = 32_000  # tokens of an answer: its own default

# Its word for who has the model, what asks it, and the path below the gateway's address. The
# models of the three makers are known to it by these names; the fourth is ours, for all others.
PROVIDERS: Mapping[Dialect, tuple[str, str, str]] = {
    "chat": ("server", "@ai-sdk/openai-compatible", "/v1"),
    "responses": ("openai", "@ai-sdk/openai", "/v1"),
    "anthropic": ("anthropic", "@ai-sdk/anthropic", "/v1"),
    "gemini": ("google", "@ai-sdk/google", "/v1beta"),
}

# Its stdout has no calls that have not ended, and nothing of sub-agents; a plugin is told all. What
# has ended is told once, and a call also as it begins. Its search tools want ripgrep where it would
# download it to. It would ask a server that is gone for ever, 30 s apart.
PLUGIN = """\
import { appendFileSync, mkdirSync, symlinkSync } from "node:fs"

const RIPGREP = "%(ripgrep)s"
const ATTEMPTS = %(attempts)s
const file = process.env.HOME + "/%(events)s"
const whole = new Set(["session.created", "session.error", "session.compacted", "message.updated"])
const told = new Map()

function tell(type, properties) {
  appendFileSync(file, JSON.stringify({ at: Date.now(), type, properties }) + "\\n")
}

function heed({ sessionID, status }) {
  if (status.type !== "retry") return
  tell("session.status", { sessionID, status })
  if (status.attempt < ATTEMPTS) return
  const error = { name: "GaveUp", data: { message: status.message } }
  tell("session.error", { sessionID, error })
  process.exit(1)
}

function part(properties) {
  const { id, state, time } = properties.part
  const how = state ? state.status : time && !time.end ? "pending" : "whole"
  if (how === "pending" || told.get(id) === how) return
  told.set(id, how)
  tell("message.part.updated", properties)
}

export const Told = async () => {
  const bin = process.env.HOME + "/.cache/opencode/bin"
  mkdirSync(bin, { recursive: true })
  try {
    symlinkSync(RIPGREP, bin + "/rg")
  } catch {}
  return {
    event: async ({ event: { type, properties } }) => {
      if (type === "session.status") heed(properties)
      else if (type === "message.part.updated") part(properties)
      else if (whole.has(type)) tell(type, properties)
    },
  }
}
"""

# It would fetch this package for its plugins, unless it finds that all is installed.
WANTED = {"dependencies": {"@opencode-ai/plugin": "*"}}
INSTALLED = {
    "package.json": json.dumps(WANTED),
    "package-lock.json": json.dumps({"packages": {"": WANTED}}),
    "node_modules/none": "",
}


def attempts(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 20):
        raise ValueError("must be a number from 1 to 20")
    return text


def tokens(text: str) -> str:
    if text and not (text.isascii() and text.isdigit() and int(text) >= 8000):
        raise ValueError("must be a number of tokens from 8000 on")
    return text


class Opencode(Program):
    name = "opencode"
    about = "opencode, with a model of any maker's"
    rehearsal = Rehearsal(write=("write", "filePath", "content"))
    subagents = True
    package = Package(
        kit="opencode",
        name="opencode-ai",
        version="1.18.33",
        program="node_modules/opencode-linux-{cpu}/bin/opencode",
        also=("@vscode/ripgrep@1.18.0",),
    )
    followed = (EVENTS,)
    own = {
        "api": KNOB,
        "variant": Knob("its word for how hard a model thinks, such as high or max", ""),
        "context": Knob(
            "tokens that fit a model that it does not know: it sums up before they are full",
            "",
            tokens,
        ),
        "attempts": Knob("tries of a request that fails, 1 to 20", ATTEMPTS, attempts),
        "disabled_tools": Knob("names of its tools that are not offered, with commas", "", tools),
    }

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent("agent opencode has no model of its own: name one, opencode:MODEL")

    def parts(self, agent: Agent) -> list[str]:
        return ["the key of its model's API", *super().parts(agent)]

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        return api_of(agent)

    def files(self, brief: Brief) -> Mapping[str, str]:
        ripgrep = self.package.inside(brief.kit, RIPGREP)
        files = {"opencode.json": json.dumps(self._settings(brief), indent=1), **INSTALLED}
        attempts = brief.knobs["attempts"]
        told = {"ripgrep": ripgrep, "attempts": attempts, "events": EVENTS}
        files["plugin/told.js"] = PLUGIN % told
        return {f"{HOME}/{path}": text for path, text in files.items()}

    def _settings(self, brief: Brief) -> dict[str, object]:
        id, package, version = PROVIDERS[dialect_of(brief.model, brief.knobs["api"])]
        options = {"baseURL": brief.base_url + version, "apiKey": f"{{env:{KEY}}}"}
        provider = {"npm": package, "options": options, "models": {brief.model: _model(id, brief)}}
        off = [name for name in brief.knobs["disabled_tools"].split(",") if name]
        return {
            "autoupdate": False,
            "share": "disabled",
            # Of the folder, which it would keep in a repository of its own, to undo edits.
            "snapshot": False,
            "permission": {"*": "allow", **dict.fromkeys(off, "deny")},
            "enabled_providers": [id],
            "provider": {id: provider},
            "mcp": {
                name: {
                    "type": "local",
                    "command": [server.command, *server.args],
                    "enabled": True,
                    "timeout": MCP_MILLISECONDS,
                }
                for name, server in brief.servers.items()
            },
        }

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            KEY: brief.key,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            # The list of models that it has in itself is used.
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }

    def arguments(self, brief: Brief) -> list[str]:
        """With a title it does not ask the model for one."""
        id, *_ = PROVIDERS[dialect_of(brief.model, brief.knobs["api"])]
        words = ["run", "--format=json", "--title=task", "--auto", f"--model={id}/{brief.model}"]
        variant = brief.knobs["variant"]
        return words + ([f"--variant={variant}"] if variant else [])

    def reader(self, story: Story) -> Reader:
        return OpencodeLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}_{name}"

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)


def _model(provider: str, brief: Brief) -> dict[str, object]:
    """What it is told of its model; of one that it does not know it takes for granted nothing."""
    makers = provider != "server"
    sees = ["text", "image", *(("pdf",) if makers else ())]
    known: dict[str, object] = {"modalities": {"input": sees, "output": ["text"]}}
    known |= {"attachment": True, "tool_call": True}
    if asked := brief.knobs["context"]:
        known["limit"] = {"context": int(asked), "output": min(MOST_OUT, int(asked) // 4)}
    return known
