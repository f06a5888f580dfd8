"""Runs in a sandbox, in the Python of Harbor's kit: has Terminus 2 work here, and tells of it.

    terminus_2_inside MODEL PROMPT_FILE PARSER

Harbor runs its agent on a host, with a container to work in. Here both are this sandbox: the class
is Harbor's own, and what it has done in its container is done here.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any  # its objects, which this file is made for

from .litellm_inside import cut, ended, module, tell, watched

# The programs of the kit, of which tmux is one: this file lies in its site-packages.
KIT = Path(__file__).parents[4]


class Here:
    """The container that it works in."""

    default_user = None

    def __init__(self, logs: Path) -> None:
        self.trial_paths = SimpleNamespace(agent_dir=logs)
        path = f"{KIT}/programs:{os.environ['PATH']}"
        self._env = {"LANG": "C.UTF-8", "TERM": "xterm", **os.environ, "PATH": path}

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_sec: float | None = None,
        user: object = None,
    ) -> object:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env={**self._env, **(env or {})},
        )
        out, err = await asyncio.wait_for(process.communicate(), timeout_sec)
        stdout, stderr = (part.decode(errors="replace") for part in (out, err))
        result: object = module("harbor.environments.base").ExecResult(
            stdout=stdout, stderr=stderr, return_code=process.returncode
        )
        return result

    async def is_dir(self, path: str, user: object = None) -> bool:
        return Path(path).is_dir()

    async def is_file(self, path: str, user: object = None) -> bool:
        return Path(path).is_file()


def _told(agent: Any) -> None:
    """It calls no tools: what it types is in its model's words, and is told as its calls."""
    execute, number = agent._execute_commands, 0

    @functools.wraps(execute)
    async def told(commands: Any, session: Any) -> Any:
        nonlocal number
        ids = []
        for command in commands:
            number += 1
            ids.append(f"keys-{number}")
            said = {"keystrokes": command.keystrokes, "duration": command.duration_sec}
            tell("call", id=ids[-1], name="bash_command", arguments=said)
        late, output = await execute(commands, session)
        for id in ids[:-1]:
            tell("result", id=id, text="")
        if ids:  # all are typed before the screen is looked at
            tell("result", id=ids[-1], text=cut(output))
        return late, output

    agent._execute_commands = told


async def _work(model: str, prompt: str, parser: str) -> None:
    logs = Path.home() / ".terminus"
    logs.mkdir(exist_ok=True)
    terminus = module("harbor.agents.terminus_2.terminus_2").Terminus2
    base = next((value for name, value in os.environ.items() if name.endswith("_API_BASE")), None)
    agent = terminus(
        logs_dir=logs,
        model_name=model,
        parser_name=parser,
        api_base=base,
        record_terminal_session=False,
    )
    # It tries three times what its own client tries three times, 4 to 15 s apart.
    terminus._query_llm.retry.stop = module("tenacity").stop_after_attempt(1)
    _told(agent)
    here = Here(logs)
    await agent.setup(here)
    context = module("harbor.models.agent.context").AgentContext()
    await agent.run(Path(prompt).read_text(encoding="utf-8"), here, context)


def main() -> None:
    model, prompt, parser = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    watched()
    ended(lambda: asyncio.run(_work(model, prompt, parser)))


if __name__ == "__main__":
    main()
