"""A sandbox as task code sees it in its own process: the host does each call and answers it.

Knows nothing of providers; `serving.py` is the other end.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from pytest_ale import sandbox as errors
from pytest_ale.desktop_calls import PREFIX, DesktopCalls, checked, unpacked
from pytest_ale.grade import Severed

__all__ = ["RemoteSandbox", "send"]


class RemoteSandbox:
    """What `setup`, `solve` and `evaluate` are given."""

    def __init__(self, pipe: Connection, role: str, inputs: str, output: str, home: str) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()  # task code may work in threads
        self._role = role
        self.inputs = inputs
        self.output = output
        self.home = home
        self.desktop: errors.Desktop = _RemoteDesktop(self)

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
    ) -> errors.ExecResult:
        arguments = {"timeout": timeout, "cwd": cwd, "user": user, "check": check}
        command = command if isinstance(command, str) else [str(word) for word in command]
        answer = self._ask("exec", command=command, env=env, stdin=_packed(stdin), **arguments)
        assert isinstance(answer, dict)
        return errors.ExecResult(**answer)

    def put(self, local: Path | str, remote: str) -> None:
        self._ask("put", local=str(Path(local).absolute()), remote=str(remote))

    def get(self, remote: str, local: Path | str) -> list[str]:
        refused = self._ask("get", remote=str(remote), local=str(Path(local).absolute()))
        assert isinstance(refused, list)
        return refused

    def write(self, path: str, data: str | bytes) -> None:
        self._ask("write", path=str(path), data=_packed(data))

    def read(self, path: str) -> bytes:
        return base64.b64decode(str(self._ask("read", path=str(path))))

    def _ask(self, method: str, **arguments: object) -> object:
        try:
            with self._lock:
                send(self._pipe, {"call": method, "on": self._role, "arguments": arguments})
                answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise Severed("the host process is gone") from None
        if "error" in answer:
            kind = getattr(errors, answer["error"], errors.SandboxError)
            raise kind(answer["message"])
        return answer["value"]


class _RemoteDesktop(DesktopCalls):
    def __init__(self, sandbox: RemoteSandbox) -> None:
        self._sandbox = sandbox

    def _call(self, method: str, **given: object) -> object:
        answer = self._sandbox._ask(f"{PREFIX}{method}", **checked(method, given))
        return unpacked(method, answer)


def _packed(data: str | bytes | None) -> str | None:
    if data is None:
        return None
    raw = data.encode() if isinstance(data, str) else bytes(data)
    return base64.b64encode(raw).decode()


def send(pipe: Connection, message: object) -> None:
    pipe.send_bytes(json.dumps(message).encode())
