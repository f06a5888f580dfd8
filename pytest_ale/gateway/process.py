"""The gateway's process: how the controller starts it, and how it ends.

It is told all it knows, keys included, through its standard input: nothing of it is on a command
line, nor in an environment of its own. That input stays open; when it closes, since the controller
ended it or is gone, even by `kill -9`, the gateway ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from select import select
from typing import Self

from pytest_ale.gateway.apis import Api, Upstream
from pytest_ale.gateway.control import GatewayFault

__all__ = ["Config", "Gateway"]

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Config:
    """What the gateway of a run is told.

    `price` names a function, `MODULE:NAME`, which is called as `price(model, usage)` and returns
    dollars, or None for a model it does not know; with no usage at all, whether it knows a model.
    With `prices`, a file's path, it is called with that first, and what it returns is the function.
    `run_usd` is a ceiling for all attempts together. `secrets` are more that no evidence may hold.
    """

    upstreams: Mapping[Api, Upstream]
    price: str = ""
    prices: str = ""
    run_usd: float | None = None
    secrets: tuple[str, ...] = ()


class Gateway:
    """The gateway of one run; its sockets are in `folder`, which nobody else can enter."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def control(self) -> Path:
        """The socket that `Control` is given."""
        return self._folder / "control.sock"

    @property
    def _log(self) -> Path:
        return self._folder / "gateway.log"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it; it listens when this returns."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "pytest_ale.gateway", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is ours to hear: attempts are closed after it
            )
        assert process.stdin and process.stdout  # both are pipes
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(self._config)).encode() + b"\n")
            process.stdin.flush()
        came, _, _ = select([process.stdout], [], [], START_SECONDS)
        if not came or process.stdout.readline() != b"ready\n":
            self.close()
            said = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            said = said or f"it said nothing within {START_SECONDS:g} s"
            raise GatewayFault(f"the model gateway did not start: {said}")

    def close(self) -> None:
        """End it and all its streams."""
        process, self._process = self._process, None
        if not process:
            return
        assert process.stdin and process.stdout  # both are pipes
        with process.stdout, suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _environment(self) -> dict[str, str]:
        """Ours, without keys; it imports what we can import, such as a price function."""
        keys = {known.key for known in self._config.upstreams.values()} - {""}
        keys |= set(self._config.secrets)
        kept = {name: text for name, text in os.environ.items() if text not in keys}
        return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
