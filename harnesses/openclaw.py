"""openclaw: OpenClaw, run for one task without its gateway.

Knows its command line and its configuration. What it keeps is read in openclaw_log.py, and what it
did is done again in openclaw_redo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pytest_ale.dialect import KNOB, Dialect, api_of, dialect_of
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Knob
from pytest_ale.knobs import one_of, tools
from pytest_ale.npm import Package
from pytest_ale.program import Brief, Program, Reader
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

from .openclaw_log import OpenclawLog
from .openclaw_redo import redo

STATE = ".openclaw"
KEY = "ALE_MODEL_KEY"
SECONDS = "604800"  # that it gives itself: ours are kept by the run
LEVELS = ("off", "minimal", "low", "medium", "high", "xhigh", "max")
MOST_OUT = 32_000  # tokens of an answer

# Its word for how it asks a model, and the path below the gateway's address.
ASKS: Mapping[Dialect, tuple[str, str]] = {
    "chat": ("openai-completions", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "anthropic": ("anthropic-messages", ""),
    "gemini": ("google-generative-ai", "/v1beta"),
}

# It tells nothing as it works, but keeps all at once in a database: this starts it, and tells on
# stdout what comes to stand there, a line each, and its own last word.
TELLER = """\
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { zstdDecompressSync } from "node:zlib"

const base = process.env.HOME + "/.openclaw/agents/main/agent/openclaw-agent.sqlite"
const sql =
  "select rowid, session_id, event_json, event_zstd from transcript_events" +
  " where rowid > ? order by rowid"
let last = 0
let answered = false

function tell() {
  if (!existsSync(base)) return
  let open
  try {
    open = new DatabaseSync(base, { readOnly: true, timeout: 2000 })
    for (const row of open.prepare(sql).all(last)) {
      const text = row.event_json ?? zstdDecompressSync(row.event_zstd).toString()
      const event = JSON.parse(text)
      process.stdout.write(JSON.stringify({ session: row.session_id, event }) + "\\n")
      if (event.message) answered = event.message.stopReason === "stop"
      last = row.rowid
    }
  } catch {
    // Locked, or not there yet: there is a next time.
  } finally {
    open?.close()
  }
}

const stdio = ["inherit", "pipe", "inherit"]
const child = spawn(process.execPath, process.argv.slice(2), { stdio })
let said = ""
child.stdout.on("data", (data) => (said += data))
const timer = setInterval(tell, 500)
child.on("close", (code, signal) => {
  clearInterval(timer)
  tell()
  let end = null
  try {
    end = JSON.parse(said)
  } catch {}
  // What it left running may keep it from tidying up after its last answer: no failure of the task.
  const tidied = !String(end?.error?.message).startsWith("Agent exec cleanup failed")
  if (answered && !tidied) [code, end] = [0, { ...end, ok: true }]
  process.stdout.write(JSON.stringify({ end }) + "\\n")
  if (signal) process.kill(process.pid, signal)
  else process.exitCode = code
})
"""


def tokens(text: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text) >= 16_000):
        raise ValueError("must be a number of tokens from 16000 on")
    return text


class Openclaw(Program):
    name = "openclaw"
    about = "OpenClaw, with a model of any maker's"
    subagents = True
    rehearsal = Rehearsal(shell="exec", write=("write", "path", "content"))
    package = Package(
        kit="openclaw",
        name="openclaw",
        version="2026.9.6",
        program="node_modules/openclaw/openclaw.mjs",
        node=True,
    )
    own = {
        "api": KNOB,
        "thinking": Knob(f"{', '.join(LEVELS)}; its default", "", one_of("", *LEVELS)),
        "context": Knob(
            "tokens that fit its model: it sums up before they are full", "200000", tokens
        ),
        "disabled_tools": Knob("names of its tools that are not offered, with commas", "", tools),
    }

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent("agent openclaw has no model of its own: name one, openclaw:MODEL")

    def parts(self, agent: Agent) -> list[str]:
        return ["the key of its model's API", *super().parts(agent)]

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        return api_of(agent)

    def files(self, brief: Brief) -> Mapping[str, str]:
        settings = json.dumps(self._settings(brief), indent=1)
        return {f"{STATE}/openclaw.json": settings, f"{STATE}/told.mjs": TELLER}

    def _settings(self, brief: Brief) -> dict[str, object]:
        api, path = ASKS[dialect_of(brief.model, brief.knobs["api"])]
        context = int(brief.knobs["context"])
        model = {
            "id": brief.model,
            "name": brief.model,
            "reasoning": brief.knobs["thinking"] != "off",
            "input": ["text", "image"],
            "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0),
            "contextWindow": context,
            "maxTokens": min(MOST_OUT, context // 4),
        }
        provider = {
            "baseUrl": brief.base_url + path,
            "apiKey": f"${{{KEY}}}",
            "api": api,
            "models": [model],
        }
        return {
            "models": {"mode": "replace", "providers": {"server": provider}},
            "agents": {"defaults": {"skipBootstrap": True}},
            "tools": {
                # Tools of servers are offered from the first request on.
                "toolSearch": False,
                "fs": {"workspaceOnly": False},
                "deny": ["ask_user", *filter(None, brief.knobs["disabled_tools"].split(","))],
            },
            "telemetry": {"enabled": False},
            "update": {"checkOnStart": False},
            "mcp": {
                "servers": {
                    name: {"command": server.command, "args": list(server.args)}
                    for name, server in brief.servers.items()
                }
            },
        }

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {KEY: brief.key, "OPENCLAW_NO_RESPAWN": "1", "OPENCLAW_NO_AUTO_UPDATE": "1"}

    def start(self, brief: Brief) -> list[str]:
        node, program = self.package.command(brief.kit)
        return [node, f"{brief.home}/{STATE}/told.mjs", program, *self.arguments(brief)]

    def arguments(self, brief: Brief) -> list[str]:
        state, thinking = f"{brief.home}/{STATE}", brief.knobs["thinking"]
        words = ["agent", "exec", "--json", "--message-file", "-", "--cwd", brief.task]
        words += ["--config", f"{state}/openclaw.json", "--state-dir", state]
        words += ["--model", f"server/{brief.model}", "--timeout", SECONDS]
        return words + (["--thinking", thinking] if thinking else [])

    def reader(self, story: Story) -> Reader:
        return OpenclawLog(story)

    def tool(self, server: str, name: str) -> str:
        return f"{server}__{name}"

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox)
