"""Grading, seen from the host: calls into a task's `main.py`, each in a bounded child process.

Knows nothing of agents or providers: a sandbox is whatever it is handed.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pytest_ale import scratch
from pytest_ale.grade import BadGrade, CheckResult, Checks, Grade, validated
from pytest_ale.offers import Offers
from pytest_ale.sandbox import GraderFault, GraderTimeout, Sandbox
from pytest_ale.serving import Served
from pytest_ale.shelf import Shelf
from pytest_ale.task import Instance
from pytest_ale.text import clean, one_line
from pytest_ale.trees import clone, remove
from pytest_ale.wardens import LOG, Warden, Wardens

__all__ = ["Built", "Grader"]

MEMORY = 4 << 30  # bytes of address space a grader may use
MESSAGE = 1 << 30  # bytes one answer of the grader process may have


@dataclass(frozen=True)
class Built:
    """What `build` made of an instance: pristine inputs, answer key, and what main.py offers."""

    inputs: Path
    reference: Path
    functions: tuple[str, ...]
    controls: tuple[str, ...]


class Grader:
    """Calls task code, each function within its time."""

    def __init__(
        self,
        timeout: float = 600.0,
        phase_timeout: float = 300.0,
        memory: int = MEMORY,
        offers: Path | None = None,
    ) -> None:
        self.timeout = timeout  # of evaluate()
        self.phase_timeout = phase_timeout  # of build(), setup() and each control
        self.memory = memory
        self._lock = threading.Lock()
        self._wardens = Wardens(self.workspace)
        self._offers = Offers(offers)
        self._calls: dict[Connection, Instance] = {}
        self._scratch: Path | None = None
        self._shelf: Shelf[Built] = Shelf(self.workspace)

    def close(self) -> None:
        """End the grader process and whatever it still runs."""
        for instance in list(self._calls.values()):
            self.interrupt(instance)
        self._wardens.close()
        self._offers.save()
        self._shelf.clear()
        if self._scratch:
            remove(self._scratch)
        self._scratch = None

    def interrupt(self, instance: Instance) -> None:
        """End the calls that are under way for an instance; who waits for them gets a fault."""
        with self._lock:  # the pipe of a call that is over may be another's soon
            for pipe, theirs in self._calls.items():
                if theirs is instance:
                    with suppress(OSError), socket.socket(fileno=os.dup(pipe.fileno())) as end:
                        end.shutdown(socket.SHUT_RDWR)

    def workspace(self) -> Path:
        """An empty folder that only we can enter; it goes with the grader, if not before."""
        return Path(tempfile.mkdtemp(dir=self._place()))

    def build(self, instance: Instance, workspace: Path, *, shared: bool = True) -> Built:
        """Give inputs and answer key of an instance; its trials and agents share one building,
        where there are such."""
        if not shared:
            return self._made(instance, workspace)
        key = (instance.task.digest, instance.rng_seed)
        with self._shelf.holding(key, lambda place: self._made(instance, place)) as built:
            for name in ("inputs", "reference"):
                clone(getattr(built, name), workspace / name)
        return replace(built, inputs=workspace / "inputs", reference=workspace / "reference")

    def _made(self, instance: Instance, workspace: Path) -> Built:
        """Build; where main.py is known to have no build(), that is a copy."""
        if known := self._offers.of(instance.task):
            return Built(*_cloned(instance, workspace), *known)
        built = self.build_anew(instance, workspace)
        self._offers.note(instance.task, built.functions, built.controls)
        return built

    def build_anew(self, instance: Instance, workspace: Path) -> Built:
        """Check main.py and make inputs and answer key below `workspace`."""
        inputs, reference = _cloned(instance, workspace)
        offered = {"inputs": str(inputs), "reference": str(reference), "rng": instance.rng_seed}
        answer = self._run(instance, "build", offered, self.phase_timeout)
        functions, controls = tuple(answer["functions"]), tuple(answer["controls"])
        return Built(inputs, reference, functions, controls)

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
        request = _request(instance, function, offered, roles) | {"memory": self.memory}
        call = _Call(instance, function, roles, timeout)
        with self._warden(instance, call) as warden:
            return call.through(warden, request)

    @contextmanager
    def _warden(self, instance: Instance, call: _Call) -> Iterator[Warden]:
        try:
            warden = self._wardens.take()
        except (EOFError, OSError) as error:
            raise call.lost(error) from None
        with self._lock:
            self._calls[warden.pipe] = instance
        try:
            yield warden
        finally:
            with self._lock:
                del self._calls[warden.pipe]
            self._wardens.give_back(warden, free=call.ended_well)

    def _place(self) -> Path:
        """The folder of all scratch folders, which goes even if a call never returns."""
        with self._lock:
            self._scratch = self._scratch or scratch.make("grader")
        return self._scratch


def _cloned(instance: Instance, workspace: Path) -> tuple[Path, Path]:
    """Inputs and answer key as they lie in the task's folder."""
    inputs, reference = workspace / "inputs", workspace / "reference"
    for folder in (inputs, reference):
        clone(instance.task.folder / folder.name, folder)
    return inputs, reference


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
    ) -> None:
        self._name = f"{function}() of {instance.task.id}"
        self._timeout = timeout
        self._until = time.monotonic() + timeout
        self._log: Path | None = None
        self.ended_well = False
        self._served = Served(self._name, roles, timeout, self._until)

    def through(self, warden: Warden, request: dict[str, object]) -> dict[str, Any]:
        self._log = warden.place / LOG
        try:
            asked = request | {"scratch": str(warden.place)}
            warden.pipe.send_bytes(json.dumps(asked).encode())
            return self._answer(warden.pipe)
        except (EOFError, OSError) as error:
            raise self.lost(error) from None

    def lost(self, error: Exception) -> GraderFault:
        why = str(error) or "it hung up"
        return GraderFault(f"{self._name}: the grader process was lost ({why})")

    def _answer(self, pipe: Connection) -> dict[str, Any]:
        served = False  # what is answered and not read would be taken for the next request
        while True:
            message = self._message(pipe)
            if "call" in message:
                served = True
                pipe.send_bytes(json.dumps(self._served.answer(message)).encode())
            elif "result" in message:
                self.ended_well = not served
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
        if self._log is None:
            return ""
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - 300, 0))
            if text := one_line(log.read().decode(errors="replace")):
                return f"; its last output: {text}"
        return ""


def _grade(answer: Mapping[str, Any]) -> Grade:
    """Validate again on this side what the child says it validated."""
    checks = tuple(CheckResult(**check) for check in answer["checks"])
    try:
        bare = validated(answer["score"], Checks({}))
    except BadGrade as error:
        raise GraderFault(str(error)) from None
    messages = tuple(clean(text) for text in answer["messages"])
    return replace(bare, checks=checks, messages=messages)
