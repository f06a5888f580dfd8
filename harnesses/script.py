"""script: runs a file of the user's in the sandbox; the simplest agent of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.knobs import one_of
from pytest_ale.sandbox import ExecTimeout, HarnessFault, SandboxError
from pytest_ale.verdict import ending_of

# What the official clients of each API read; OpenAI's want the version in the address.
VARIABLES: Mapping[Api, tuple[str, str, str]] = {
    "openai": ("OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"),
    "anthropic": ("ANTHROPIC_BASE_URL", "", "ANTHROPIC_API_KEY"),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", "", "GEMINI_API_KEY"),
}


def existing_file(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ValueError("there is no such file")
    return str(path)


class Script(Harness):
    name = "script"
    about = "runs a script in the sandbox: --ale-knob path=FILE"
    knobs = {
        "path": Knob("the script to run", parse=existing_file),
        "api": Knob(
            "of the model it asks: openai, anthropic, gemini", "", parse=one_of("", *get_args(Api))
        ),
    }

    def identity(self, agent: Agent) -> tuple[object, ...]:
        """A script is what it says, not where it lies."""
        content = Path(agent.knobs["path"]).read_bytes()
        known = hashlib.sha256(content).hexdigest(), agent.knobs.get("api", "")
        return (*super().identity(agent)[:3], *known)

    def check(self, agent: Agent) -> None:
        try:
            Path(agent.knobs["path"]).read_bytes()
        except OSError as error:
            raise BadAgent(f"agent script: {error}") from None

    def model_api(self, agent: Agent) -> Api | Literal[""]:
        return cast(Api, agent.knobs.get("api", ""))

    def run(self, work: Work) -> Ending:
        program = f"{work.sandbox.home}/.agent-script"
        content = Path(work.agent.knobs["path"]).read_bytes()
        try:
            work.sandbox.write(program, content)
        except SandboxError as error:
            raise HarnessFault(f"the script cannot be put into the sandbox: {error}") from error
        launch = 'chmod 700 "$0" && exec "$0"' if content.startswith(b"#!") else 'exec /bin/sh "$0"'
        env = {**work.env, **self._model(work)}
        command = ["/bin/sh", "-c", launch, program]
        status: int | None = None
        try:
            result = work.sandbox.exec(command, timeout=work.left, env=env)
            status, stdout, stderr = result.returncode, result.stdout, result.stderr
        except ExecTimeout as error:
            stdout, stderr = error.stdout, error.stderr
        keep_logs(work, stdout, stderr)
        return ending_of("the script", work, status, stderr[-4000:])

    def _model(self, work: Work) -> dict[str, str]:
        """Where it finds the model it may ask, in the words of that API's own clients."""
        if not (api := self.model_api(work.agent)):
            return {}
        url, version, key = VARIABLES[api]
        return {
            url: work.model_url + version,
            key: work.model_key,
            "ALE_MODEL": work.agent.model or "",
        }


def keep_logs(work: Work, stdout: str, stderr: str) -> None:
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        data = work.scrub(text.encode(errors="backslashreplace"))
        (work.log_dir / f"{name}.log").write_bytes(data)
