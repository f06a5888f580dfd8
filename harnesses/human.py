"""human: opens a shell in the sandbox for the person at the terminal; grades when it is left."""

from __future__ import annotations

import os
import sys

from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Work
from pytest_ale.sandbox import HarnessFault

GREETING = """\
You are in the sandbox of {task} [{variant}]. The prompt is in prompt.md; leave what it asks for
in {output}. Type `exit` when you are done: then it is graded.
"""


class Human(Harness):
    name = "human"
    about = "a person in a shell; `ale shell TASK` is short for it"
    terminal = True

    def check(self, agent: Agent) -> None:
        if not can_talk():
            raise BadAgent("agent human needs a terminal; there is none here")

    def run(self, work: Work) -> Ending:
        """Talk through /dev/tty: pytest has taken stdin and stdout."""
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise HarnessFault(f"agent human needs a terminal: {error}") from error
        try:
            text = GREETING.format(task=work.task, variant=work.variant, output=work.sandbox.output)
            os.write(terminal, b"\r\n" + text.replace("\n", "\r\n").encode())
            shell = 'export PS1="\\w\\$ "; exec bash --norc -i || exec sh -i'
            assigned = [f"{name}={value}" for name, value in work.env.items()]
            work.sandbox.interact(["env", *assigned, "sh", "-c", shell], terminal=terminal)
        finally:
            os.close(terminal)
        return Ending()


def can_talk() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return sys.platform != "win32"
