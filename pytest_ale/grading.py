"""Grading, seen from the host: calls into a task's `main.py`, each in a bounded child process.

Knows nothing of agents or providers: a sandbox is whatever it is handed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pytest_ale import scratch
from pytest_ale.grade import BadGrade, CheckResult, Checks, Grade, validated
from pytest_ale.sandbox import GraderFault, GraderTimeout, Sandbox
from pytest_ale.serving import Served
from pytest_ale.shelf import Shelf
from pytest_ale.task import Instance
from pytest_ale.text import clean, one_line
from pytest_ale.trees import clone, remove

__all__ = ["Built", "Grader"]

MEMORY = 4 << 30  # bytes of address space a grader may use
MESSAGE = 1 << 30  # bytes one answer of the grader process may have
KILL_SECONDS = 5.0  # from the end of a call to that of its last process; only the kernel needs long

# The grader process sees these of our environment and no other: no keys.
KEPT_ENV = ("PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
FIXED_ENV = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
FIXED_ENV |= {"PYTHONDONTWRITEBYTECODE": "1"}  # nor may a grader's own scripts litter its folder


@dataclass(frozen=True)
class Built:
    """What `build` made of an instance: pristine inputs, answer key, and what main.py offers."""

    inputs: Path
    reference: Path
    functions: tuple[str, ...]
    controls: tuple[str, ...]


class Grader:
    """Owns the grader process; started at the first call, restarted if somebody kills it."""

    def __init__(
        self, timeout: float = 600.0, phase_timeout: float = 300.0, memory: int = MEMORY
    ) -> None:
        self.timeout = timeout  # of evaluate()
        self.phase_timeout = phase_timeout  # of build(), setup() and each control
        self.memory = memory
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._calls: dict[Connection, Instance] = {}
        self._scratch: Path | None = None
        self._shelf: Shelf[Built] = Shelf(self.workspace)

    def close(self) -> None:
        """End the grader process and whatever it still runs."""
        self._end_server()
        for instance in list(self._calls.values()):
            self.interrupt(instance)
        self._shelf.clear()
        if self._scratch:
            remove(self._scratch)
        self._scratch = None

    def interrupt(self, instance: Instance) -> None:
        """End the calls that are under way for an instance; who waits for them gets a fault."""
        for pipe, theirs in list(self._calls.items()):
            if theirs is instance:
                with suppress(OSError), socket.socket(fileno=os.dup(pipe.fileno())) as end:
                    end.shutdown(socket.SHUT_RDWR)

    def _end_server(self) -> None:
        with self._lock:
            if self._socket:
                self._socket.close()
            if self._server:
                self._server.kill()
                self._server.wait()
            self._server = self._socket = None

    def workspace(self) -> Path:
        """An empty folder that only we can enter; it goes with the grader, if not before."""
        return Path(tempfile.mkdtemp(dir=self._place()))

    def build(self, instance: Instance, workspace: Path, *, shared: bool = True) -> Built:
        """Give inputs and answer key of an instance; its trials and agents share one building,
        where there are such."""
        if not shared:
            return self.build_anew(instance, workspace)
        key = (instance.task.digest, instance.rng_seed)
        with self._shelf.holding(key, lambda place: self.build_anew(instance, place)) as built:
            for name in ("inputs", "reference"):
                clone(getattr(built, name), workspace / name)
        return replace(built, inputs=workspace / "inputs", reference=workspace / "reference")

    def build_anew(self, instance: Instance, workspace: Path) -> Built:
        """Check main.py and make inputs and answer key below `workspace`."""
        folders = {name: workspace / name for name in ("inputs", "reference")}
        for name, folder in folders.items():
            clone(instance.task.folder / name, folder)
        offered = {name: str(folder) for name, folder in folders.items()}
        offered["rng"] = instance.rng_seed
        answer = self._run(instance, "build", offered, self.phase_timeout)
        functions, controls = tuple(answer["functions"]), tuple(answer["controls"])
        return Built(folders["inputs"], folders["reference"], functions, controls)

    def setup(self, instance: Instance, sandbox: Sandbox) -> None:
        self._run(instance, "setup", {}, self.phase_timeout, sandbox=lambda: sandbox)

    def solve(self, instance: Instance, sandbox: Sandbox, timeout: float) -> None:
        """Run the task's own solution."""
        self._run(instance, "solve", {}, timeout, sandbox=lambda: sandbox)

    def spoil(self, instance: Instance, control: str, output: Path) -> None:
        """Let a near miss or a cheat change a copy of a good output, in place."""
        self._run(instance, control, {"output": str(output)}, self.phase_timeout)

    def evaluate(
        self, instance: Instance, built: Built, output: Path, verifier: Callable[[], Sandbox]
    ) -> Grade:
        """Grade a sealed output; `verifier` makes a fresh sandbox when the grader first uses it."""
        folders = {"inputs": built.inputs, "reference": built.reference, "output": output}
        offered: dict[str, object] = {name: str(path) for name, path in folders.items()}
        answer = self._run(instance, "evaluate", offered, self.timeout, verifier=verifier)
        return _grade(answer)

    def _run(
        self,
        instance: Instance,
        function: str,
        offered: Mapping[str, object],
        timeout: float,
        **roles: Callable[[], Sandbox],
    ) -> dict[str, Any]:  # Any: the JSON object the child answers with
        place = self.workspace()
        request = _request(instance, function, offered, roles)
        request |= {"scratch": str(place), "memory": self.memory}
        call = _Call(instance, function, roles, timeout, place / "grader.log")
        pipe = self._connect()
        self._calls[pipe] = instance
        try:
            return call.through(pipe, request)
        finally:
            del self._calls[pipe]
            remove(place)

    def _place(self) -> Path:
        """The folder of all scratch folders, which goes even if a call never returns."""
        with self._lock:
            self._scratch = self._scratch or scratch.make("grader")
        return self._scratch

    def _connect(self) -> Connection:
        """Hand one end of a socket pair to the grader process; it forks a child for it."""
        for last in (False, True):
            ours, theirs = socket.socketpair()
            try:
                with self._lock, theirs:
                    socket.send_fds(self._ensure_server(), [b"!"], [theirs.fileno()])
                return Connection(ours.detach())
            except OSError as error:
                ours.close()
                self._end_server()
                if last:
                    raise GraderFault(f"the grader process cannot be reached: {error}") from error
        raise AssertionError("unreachable")

    def _ensure_server(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = _start_server(theirs.fileno())
        return self._socket


def _start_server(fd: int) -> subprocess.Popen[bytes]:
    code = "import sys; sys.path[:] = {!r}; from pytest_ale.grader import serve; serve({})"
    path = [entry for entry in sys.path if entry]
    env = {name: os.environ[name] for name in KEPT_ENV if name in os.environ} | FIXED_ENV
    return subprocess.Popen(
        [sys.executable, "-c", code.format(path, fd)],
        env=env,
        cwd="/",
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us, not for a grader at work
    )


def _request(
    instance: Instance,
    function: str,
    offered: Mapping[str, object],
    roles: Mapping[str, Callable[[], Sandbox]],
) -> dict[str, object]:
    card = instance.task.card
    places = {name: _places(name, make) for name, make in roles.items()}
    return {
        "function": function,
        "folder": str(instance.task.folder),
        "task": instance.task.id,
        "variant": instance.variant.id,
        "seed": instance.seed,
        "checks": {name: (check.gate, check.weight) for name, check in card.checks.items()},
        "offered": {**offered, **places, "params": instance.variant.params},
    }


def _places(role: str, make: Callable[[], Sandbox]) -> dict[str, str]:
    """A verifier's paths are the usual ones until it exists: most graders never use it."""
    if role == "verifier":
        home = "/home/agent"
        return {"inputs": f"{home}/task/inputs", "output": f"{home}/task/output", "home": home}
    sandbox = make()
    return {"inputs": sandbox.inputs, "output": sandbox.output, "home": sandbox.home}


class _Call:
    """One call into task code: serves its sandbox requests, and holds it to its deadline."""

    def __init__(
        self,
        instance: Instance,
        function: str,
        roles: Mapping[str, Callable[[], Sandbox]],
        timeout: float,
        log: Path,
    ) -> None:
        self._name = f"{function}() of {instance.task.id}"
        self._timeout = timeout
        self._until = time.monotonic() + timeout
        self._log = log
        self._served = Served(self._name, roles, timeout, self._until)

    def through(self, pipe: Connection, request: dict[str, object]) -> dict[str, Any]:
        with ExitStack() as stack:
            try:
                stack.callback(_await_end, self._warden(pipe))
                stack.enter_context(pipe)  # closed first: that is what a warden ends by
                pipe.send_bytes(json.dumps(request).encode())
                return self._answer(pipe)
            except (EOFError, OSError) as error:
                why = str(error) or "it hung up"
                raise GraderFault(f"{self._name}: the grader process was lost ({why})") from None

    def _warden(self, pipe: Connection) -> int:
        try:
            return os.pidfd_open(int(self._message(pipe)["warden"]))
        except BaseException:
            pipe.close()
            raise

    def _answer(self, pipe: Connection) -> dict[str, Any]:
        while True:
            message = self._message(pipe)
            if "call" in message:
                pipe.send_bytes(json.dumps(self._served.answer(message)).encode())
            elif "result" in message:
                return dict(message["result"])
            else:
                raise self._fault(message)

    def _fault(self, message: Mapping[str, Any]) -> GraderFault:
        if "fault" in message:
            fault = GraderFault(f"{self._name}: {clean(message['fault'])}{self._tail()}")
            fault.add_note(clean(message.get("traceback", "")))
            return fault
        status = int(message["ended"])
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return GraderFault(
            f"{self._name}: its process ended with {how} before it answered{self._tail()}"
        )

    def _message(self, pipe: Connection) -> dict[str, Any]:
        left = self._until - time.monotonic()
        if left <= 0 or not pipe.poll(left):
            raise GraderTimeout(
                f"{self._name} did not end within {self._timeout:g} s{self._tail()}"
            )
        message: dict[str, Any] = json.loads(pipe.recv_bytes(MESSAGE))
        return message

    def _tail(self) -> str:
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - 300, 0))
            if text := one_line(log.read().decode(errors="replace")):
                return f"; its last output: {text}"
        return ""


def _await_end(warden: int) -> None:
    """A warden ends when all that its child started is dead: nothing of it outlives its call."""
    poll = select.poll()
    poll.register(warden, select.POLLIN)
    if not poll.poll(KILL_SECONDS * 1000):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(warden, signal.SIGKILL)
    os.close(warden)


def _grade(answer: Mapping[str, Any]) -> Grade:
    """Validate again on this side what the child says it validated."""
    checks = tuple(CheckResult(**check) for check in answer["checks"])
    try:
        bare = validated(answer["score"], Checks({}))
    except BadGrade as error:
        raise GraderFault(str(error)) from None
    messages = tuple(clean(text) for text in answer["messages"])
    return replace(bare, checks=checks, messages=messages)
