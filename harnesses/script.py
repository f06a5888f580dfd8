"""script: runs a file of the user's in the sandbox; the simplest agent of one's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.sandbox import ExecTimeout, HarnessFault, SandboxError


def existing_file(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ValueError("there is no such file")
    return str(path)


class Script(Harness):
    name = "script"
    about = "runs a script in the sandbox: --ale-knob path=FILE"
    knobs = {"path": Knob("the script to run", parse=existing_file)}

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """A script is what it says, not where it lies."""
        content = Path(agent.knobs["path"]).read_bytes()
        return (*super().identity(agent)[:3], hashlib.sha256(content).hexdigest())

    def check(self, agent: Agent) -> None:
        try:
            Path(agent.knobs["path"]).read_bytes()
        except OSError as error:
            raise BadAgent(f"agent script: {error}") from None

    def run(self, work: Work) -> Ending:
        program = f"{work.sandbox.home}/.agent-script"
        content = Path(work.agent.knobs["path"]).read_bytes()
        try:
            work.sandbox.write(program, content)
        except SandboxError as error:
            raise HarnessFault(f"the script cannot be put into the sandbox: {error}") from error
        launch = 'chmod 700 "$0" && exec "$0"' if content.startswith(b"#!") else 'exec /bin/sh "$0"'
        limit = work.left
        try:
            result = work.sandbox.exec(
                ["/bin/sh", "-c", launch, program], timeout=limit, env=work.env
            )
        except ExecTimeout as error:
            keep_logs(work, error.stdout, error.stderr)
            return Ending("timeout", f"the script was still at work after {round(limit, 1):g} s")
        keep_logs(work, result.stdout, result.stderr)
        if result.returncode:
            return Ending("crashed", f"the script ended with exit status {result.returncode}")
        return Ending()


def keep_logs(work: Work, stdout: str, stderr: str) -> None:
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        (work.log_dir / f"{name}.log").write_text(text, "utf-8", errors="backslashreplace")
