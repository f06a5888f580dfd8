"""A sandbox that writes down what is done in it: each call becomes a step of the trajectory.

Knows no harness; `redo` does a recorded step again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_ale.desktop_calls import PREFIX
from pytest_ale.kept import Kept, restored
from pytest_ale.recorder import Recorder
from pytest_ale.recording_desktop import RecordingDesktop
from pytest_ale.sandbox import Desktop, ExecResult, Fault, Sandbox, SandboxError
from pytest_ale.text import clean

__all__ = ["RecordingSandbox"]

SHOWN = 20_000  # characters of each of a command's outputs kept in its step

# What `redo` can do again: the arguments that a call must have, and those that it may have.
REDONE: dict[str, tuple[set[str], set[str]]] = {
    "write": ({"path", "content"}, {"path", "content"}),
    "exec": ({"command"}, {"command", "timeout", "cwd", "env", "user", "stdin"}),
}


class RecordingSandbox:
    """Wraps a sandbox for one attempt; what is too large for its trajectory is `kept`."""

    def __init__(self, sandbox: Sandbox, recorder: Recorder, kept: Kept) -> None:
        self._sandbox = sandbox
        self._recorder = recorder
        self._kept = kept
        self._desktop = RecordingDesktop(sandbox, recorder, self._kept)
        self.inputs = sandbox.inputs
        self.output = sandbox.output
        self.home = sandbox.home

    @property
    def about(self) -> Mapping[str, object]:
        return self._sandbox.about

    @property
    def desktop(self) -> Desktop:
        _ = self._sandbox.desktop  # raises where there is none
        return self._desktop

    def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stdin: str | bytes | None = None,
        check: bool = False,
    ) -> ExecResult:
        said: dict[str, object] = {"command": command, "timeout": timeout, "cwd": cwd, "env": env}
        said |= {"user": user, "stdin": None if stdin is None else self._kept.content(stdin)}
        arguments = {name: value for name, value in said.items() if value is not None}
        started, clock, told = time.time(), time.monotonic(), "did not end"
        extra: dict[str, object] = {}
        self._recorder.begin("exec", arguments)
        try:
            result = self._sandbox.exec(
                command, timeout=timeout, cwd=cwd, env=env, user=user, stdin=stdin, check=check
            )
            told = clean(result.stdout, SHOWN) + clean(result.stderr, SHOWN)
            extra["returncode"] = result.returncode
        except Exception as error:
            told = clean(error, SHOWN)
            extra["error"] = type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - clock
            self._recorder.tool(
                "exec", arguments, told, started=started, seconds=seconds, extra=extra
            )
        return result

    def stream(
        self,
        command: Sequence[str],
        told: Callable[[str, bytes], None],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        """Not recorded: a program that is watched so tells its story itself."""
        return self._sandbox.stream(command, told, timeout=timeout, env=env, stdin=stdin, tick=tick)

    def interact(self, command: Sequence[str], *, terminal: int) -> int:
        status = self._sandbox.interact(command, terminal=terminal)
        self._recorder.tool("interact", {"command": list(command)}, f"exit status {status}")
        return status

    def put(self, local: Path, remote: str) -> None:
        """Copy in, recorded as the files that were written."""
        self._sandbox.put(local, remote)
        folder = local.is_dir()
        for path in sorted(local.rglob("*")) if folder else [local]:
            if path.is_file():
                target = f"{remote}/{path.relative_to(local)}" if folder else remote
                self._record_write(target, path.read_bytes())

    def write(self, path: str, data: str | bytes) -> None:
        self._sandbox.write(path, data)
        self._record_write(path, data)

    def get(self, remote: str, local: Path) -> list[str]:
        return self._sandbox.get(remote, local)

    def read(self, path: str) -> bytes:
        return self._sandbox.read(path)

    def stop(self) -> None:
        self._sandbox.stop()

    def redo(self, function: str, arguments: Mapping[str, object], folder: Path) -> bool:
        """Do a recorded call of ours again; a Fault for one that is not ours."""
        if function.startswith(PREFIX):
            _ = self._sandbox.desktop
            self._desktop.redo(function.removeprefix(PREFIX), arguments, folder)
            return True
        given = dict(arguments)
        required, allowed = REDONE.get(function, ({""}, set()))
        if not required <= set(given) <= allowed:
            raise Fault(f"recorded call {function}({', '.join(given)}) cannot be done again")
        if function == "write":
            self.write(str(given["path"]), restored(given["content"], folder))
        else:
            if given.get("stdin") is not None:
                given["stdin"] = restored(given["stdin"], folder)
            self._again(given)
        return True

    def _again(self, given: dict[str, object]) -> None:
        """A command may fail again as it failed before: what it leaves is what counts."""
        try:
            self.exec(given.pop("command"), **given)  # type: ignore[arg-type]  # as recorded
        except SandboxError:
            return

    def _record_write(self, path: str, data: str | bytes) -> None:
        raw = data.encode() if isinstance(data, str) else data
        arguments = {"path": path, "content": self._kept.content(raw)}
        self._recorder.tool("write", arguments, f"{len(raw)} bytes written")
