"""Serving: what task code asks of a sandbox, done on the host within the time of its call.

Knows nothing of how a question came; `remote.py` is the other end.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_ale.desktop_calls import PREFIX, packed, perform
from pytest_ale.sandbox import Desktop, ExecTimeout, Sandbox, SandboxError
from pytest_ale.sandbox import __all__ as known
from pytest_ale.text import clean

__all__ = ["Served"]

VERIFIER_TIMEOUT = 120.0  # seconds a command in the verifier may take where the grader names none


class Served:
    """The sandboxes of one call into task code; each is made when it is first used."""

    def __init__(
        self, name: str, roles: Mapping[str, Callable[[], Sandbox]], timeout: float, until: float
    ) -> None:
        self._name = name
        self._roles = roles
        self._timeout = timeout
        self._until = until  # of time.monotonic()
        self._sandboxes: dict[str, Sandbox] = {}

    def answer(self, message: Mapping[str, Any]) -> dict[str, object]:
        """Do what is asked; only a lost sandbox ends the call. Any: JSON of the child's."""
        try:
            sandbox = self._sandbox(str(message["on"]))
            arguments = dict(message["arguments"])
            return {"value": self._do(sandbox, str(message["call"]), arguments)}
        except SandboxError as error:
            return {"error": _kind(error), "message": clean(error)}
        except (OSError, TypeError, ValueError) as error:  # of what task code gave it
            return {"error": "SandboxError", "message": clean(f"{type(error).__name__}: {error}")}

    def _sandbox(self, role: str) -> Sandbox:
        if role not in self._sandboxes:
            self._sandboxes[role] = self._roles[role]()
        return self._sandboxes[role]

    def _do(self, sandbox: Sandbox, method: str, given: dict[str, Any]) -> object:
        if method.startswith(PREFIX):
            return self._act(sandbox.desktop, method.removeprefix(PREFIX), given)
        for key in ("stdin", "data"):
            if given.get(key) is not None:
                given[key] = base64.b64decode(str(given[key]))
        if "local" in given:
            given["local"] = Path(str(given["local"]))
        if method == "exec":
            given["timeout"] = self._bounded(given["timeout"])
            return asdict(sandbox.exec(given.pop("command"), **given))
        if method not in ("put", "get", "write", "read"):
            raise SandboxError(f"a sandbox has no {method}() for task code")
        returned = getattr(sandbox, method)(**given)
        return base64.b64encode(returned).decode() if isinstance(returned, bytes) else returned

    def _act(self, desktop: Desktop, method: str, given: dict[str, Any]) -> object:
        left = self._left()
        if isinstance(given.get("seconds"), int | float):
            given["seconds"] = min(given["seconds"], left)  # no key is held longer than that
        return packed(perform(desktop, method, given))

    def _bounded(self, timeout: object) -> float:
        """Seconds a command may take."""
        left = self._left()
        default = VERIFIER_TIMEOUT if "verifier" in self._roles else left
        return round(min(left, default if timeout is None else float(str(timeout))), 1)

    def _left(self) -> float:
        """Seconds until the call is over; a verifier leaves a fifth of the time to the grader."""
        # A deliverable that hangs every command must still be graded, as the failure it is.
        kept = self._timeout / 5 if "verifier" in self._roles else 0
        left = self._until - time.monotonic() - kept
        if left <= 0:
            raise ExecTimeout(f"the {self._timeout:g} s of {self._name} are used up")
        return left


def _kind(error: SandboxError) -> str:
    """The name of the error in our tree: a provider may raise a kind of its own below it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in known)
