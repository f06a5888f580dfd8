"""A real CLI by itself: as its harness configures it, without a sandbox around it; and as much of
a sandbox as a replay of its calls needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.kept import Kept
from pytest_ale.program import Brief, Closing, Program, Server
from pytest_ale.recorder import Recorder
from pytest_ale.story import Story
from pytest_ale.trajectory import ToolCall

__all__ = ["CANARY", "Alone", "Box", "again"]

CANARY = "canary-sk-D4nQ7f-model-key"


class Alone:
    """A home folder, and a CLI run in it."""

    def __init__(self, harness: Program, folder: Path) -> None:
        self.harness, self.home = harness, folder / "home"
        (self.home / "task").mkdir(parents=True)
        self.recorder = Recorder(harness.name, "1")
        self.story = Story(self.recorder, Kept(folder / "written"))
        self.status: int | None = None
        self.said = ""

    def brief(self, url: str, prompt: str = "", model: str = "scripted", **knobs: str) -> Brief:
        harness, home = self.harness, str(self.home)
        chosen = {name: knob.default or "" for name, knob in harness.knobs.items()} | knobs
        return Brief(prompt, model, url, CANARY, {}, chosen, home, f"{home}/task", "/kit")

    def run(self, url: str, prompt: str = "Do it.", model: str = "scripted", **k: str) -> Closing:
        harness, brief = self.harness, self.brief(url, prompt, model, **k)
        kit = str(harness.package.kit_of(harness.package.version))
        brief = Brief(**{**vars(brief), "kit": kit})
        for path, text in harness.files(brief).items():
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text(text)
        done = subprocess.run(
            harness.start(brief),
            input=harness.stdin(brief),
            env={**self.env, **harness.environment(brief)},
            cwd=brief.task,
            capture_output=True,
            text=True,
            timeout=90,
        )
        self.status, self.said = done.returncode, done.stdout + done.stderr
        return self.read(done.stdout)

    @property
    def env(self) -> Mapping[str, str]:
        """With a folder of its own for what it writes beside."""
        return {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": os.environ["PATH"]}

    def read(self, stdout: str) -> Closing:
        log = self.harness.reader(self.story)
        for line in stdout.splitlines():
            log.line("stdout", line)
        for glob in self.harness.followed:
            for path in sorted(self.home.glob(glob)):
                for line in path.read_text().splitlines():
                    log.line(str(path), line)
        return log.close(self.status)

    def with_a_server(self, brief: Brief) -> Brief:
        return Brief(**{**vars(brief), "servers": {"desktop": Server("p", ("-I", "x"))}})


class Box:
    """As much of a sandbox as a replay needs: a folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.output = str(home), f"{home}/task/output"
        self.commands: list[tuple[object, object]] = []
        (home / "task").mkdir(exist_ok=True)

    def exec(self, words: object, *, cwd: str | None = None, timeout: float, **_: object) -> None:
        self.commands.append((words, cwd))

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, data: str) -> None:
        Path(path).write_text(data)


def again(
    harness: Program,
    box: Box,
    name: str,
    result: Mapping[str, object] | None = None,
    **given: object,
) -> bool:
    """Have a harness do a recorded call again."""
    extra = {"result": dict(result or {})}
    call = ToolCall.model_validate(
        {"tool_call_id": "c", "function_name": name, "arguments": given, "extra": extra}
    )
    return harness.again(call, box, Path())  # type: ignore[arg-type]  # as much as it needs
