"""What tests of claw share: a machine that is this one, and a model with several scripts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_ale.harnesses.claw import Claw

from pytest_ale.harness import Agent, Work
from pytest_ale.kept import Kept
from pytest_ale.kits import bridge_kit
from pytest_ale.recorder import Recorder
from pytest_ale.sandbox import ExecResult, ExecTimeout, SandboxError
from pytest_ale.story import Story
from pytest_ale.testing import Say, ScriptedModel
from pytest_ale.testing.answer import Api
from pytest_ale.testing.conversation import Asked
from pytest_ale.testing.player import Played, Player
from pytest_ale.testing.script import Script, Step, Turn


@dataclass
class Machine:
    """As much of a sandbox as a bridge needs: its commands run here, in a folder of their own."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.output = str(self.folder), str(self.folder / "task/output")
        self.inputs = str(self.folder / "task/inputs")
        for path in (self.inputs, self.output):
            Path(path).mkdir(parents=True)

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout: float | None = None,
        stdin: str | bytes | None = None,
        check: bool = False,
        **_: object,
    ) -> ExecResult:
        try:
            given = stdin.encode() if isinstance(stdin, str) else stdin
            done = subprocess.run(command, input=given, timeout=timeout, capture_output=True)
        except subprocess.TimeoutExpired as error:
            raise ExecTimeout(str(error)) from error
        if check and done.returncode:
            raise SandboxError(done.stderr.decode())
        return ExecResult(done.returncode, done.stdout.decode(), done.stderr.decode())

    def stream(
        self,
        command: Sequence[str],
        told: Callable[[str, bytes], None],
        *,
        env: Mapping[str, str] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder / "task",
            env={"PATH": os.environ["PATH"], "HOME": self.home, **(env or {})},
            start_new_session=True,
        )
        self.started.append(process)
        over = threading.Event()
        if tick:
            threading.Thread(target=self._tick, args=(tick, process, over), daemon=True).start()
        assert process.stdout
        with process:
            while data := os.read(process.stdout.fileno(), 1 << 16):
                told("stdout", data)
        over.set()
        return process.returncode

    @staticmethod
    def _tick(
        tick: Callable[[], None], process: subprocess.Popen[bytes], over: threading.Event
    ) -> None:
        """What a tick raises ends the command."""
        while not over.wait(0.05):
            try:
                tick()
            except Exception:
                process.kill()
                return


def work_on(machine: Machine, url: str = "", *, limit: float = 60, **knobs: str) -> Work:
    """An attempt of claw's, without all that is around one."""
    chosen = {name: knob.default or "" for name, knob in Claw.knobs.items()} | knobs
    recorder = Recorder("claw", "1")
    recorder.user("Do it.")
    fake: Any = SimpleNamespace(home=machine.home, output=machine.output, inputs=machine.inputs)
    box: Any = machine
    return Work(
        agent=Agent("claw", model="scripted", knobs=chosen),
        sandbox=fake,
        machine=box,
        story=Story(recorder, Kept(machine.folder / "kept")),
        prompt="Write word.txt.",
        task="legal/copy",
        variant="base",
        limit=limit,
        log_dir=machine.folder,
        env={},
        has_desktop=False,
        live=lambda: None,
        scrub=lambda data: data,
        kits=(str(bridge_kit()),),
        model_url=url,
        model_key="key",
        began=time.monotonic(),
    )


class Players(Player):
    """A script for each kind of conversation, known by words of its prompts."""

    def __init__(self, main: Sequence[Step | Turn], **others: Sequence[Step | Turn]) -> None:
        super().__init__(Script(main))
        self.others = {word: Player(Script(script)) for word, script in others.items()}

    def play(self, asked: Asked, api: Api, conversation: str) -> Played:
        for word, player in self.others.items():
            if word in asked.system or word in asked.prompt:
                return player.play(asked, api, conversation)
        return super().play(asked, api, conversation)


def model_of(players: Players) -> ScriptedModel:
    model = ScriptedModel([Say("never")])
    model._player = model._service.player = players
    return model
