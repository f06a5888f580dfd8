"""Runs in a sandbox, in the Python of aider's kit: starts aider, and tells of what it does.

    aider_inside SHELL REFLECTIONS AIDER'S OWN ARGUMENTS

By itself aider is a pair: it asks before it runs a command, and waits to be told to go on. SHELL
(on, off) says whether it may, and then it is shown what came of it, as it is of an edit that
failed, up to REFLECTIONS times.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any  # aider's objects, which this file is made for

from .litellm_inside import cut, ended, module, tell, watched

# Seconds of its longest pause between tries: 0.25, 0.5 ... 16, in all 32. Its own 60 make it 2 min.
LONGEST_PAUSE = 16

_number = 0


def _done(name: str, arguments: dict[str, str], do: Callable[[], Any]) -> object:
    """Do what aider does for its model, and tell of it as of a call."""
    global _number
    _number += 1
    id = f"{name}-{_number}"
    tell("call", id=id, name=name, arguments=arguments)
    answer = do()
    if name == "shell":
        status, output = answer
        tell("result", id=id, text=cut(output), extra={"exit_code": status})
    else:
        tell("result", id=id, text="written")
    return answer


def _answers(io: Any, shell: bool) -> None:
    """Its questions are answered with yes; it has addresses opened by nobody's browser."""
    asked, write = io.confirm_ask, io.write_text

    @functools.wraps(asked)
    def confirm_ask(self: Any, *words: Any, **more: Any) -> bool:
        if more.get("explicit_yes_required"):
            return shell
        return bool(asked(self, *words, **more))

    @functools.wraps(write)
    def write_text(self: Any, filename: Any, content: str, *words: Any, **more: Any) -> object:
        said = {"file_path": str(Path(filename).absolute()), "content": cut(content)}
        return _done("write_file", said, lambda: write(self, filename, content, *words, **more))

    io.confirm_ask, io.write_text = confirm_ask, write_text
    io.offer_url = lambda self, *words, **more: False


def _works(base: Any, reflections: int) -> None:
    run_cmd, run_commands = base.run_cmd, base.Coder.run_shell_commands

    @functools.wraps(run_cmd)
    def run(command: str, *words: Any, **more: Any) -> object:
        return _done("shell", {"command": command}, lambda: run_cmd(command, *words, **more))

    @functools.wraps(run_commands)
    def run_shell_commands(self: Any) -> str:
        if said := str(run_commands(self) or ""):
            self.reflected_message = said
        self.shell_commands = []  # else, until the next prompt, each answer runs them again
        return ""

    base.run_cmd, base.Coder.run_shell_commands = run, run_shell_commands
    base.Coder.max_reflections = reflections
    base.RETRY_TIMEOUT = LONGEST_PAUSE


def main() -> None:
    shell, reflections, *arguments = sys.argv[1:]
    watched()
    base = module("aider.coders.base_coder")
    models = module("aider.models")
    start = module("aider.main")
    _answers(start.InputOutput, shell == "on")
    _works(base, int(reflections))
    models.ModelInfoManager._update_cache = lambda self: None  # of prices, from GitHub
    # A .env that a task has is none of aider's: it could name another server.
    start.load_dotenv_files = lambda *words, **more: []
    ended(lambda: sys.exit(start.main(arguments)))


if __name__ == "__main__":
    main()
