"""A `docker` whose sandboxes believe that they have a network, and a witness of whom they ask.

Knows nothing of agents or tasks. Register it in a conftest to see what an agent asks for beside
its model; of a sandbox with no network at all, one that is silent only for that says nothing:

    def pytest_ale_providers(register):
        register("witness", "pytest_ale.testing.witness:WitnessProvider.from_settings")

Every name has an address, every address is this sandbox's own, and who connects to the usual ports
is let in. What was asked for stands in the file that ALE_WITNESS names, a line each.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ale import engine
from pytest_ale.channels.contained import Contained
from pytest_ale.providers.docker import LABEL, PYTHON, DockerProvider
from pytest_ale.sandbox import Fault, ProviderFault, SandboxSpec
from pytest_ale.settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["WitnessProvider", "witnessed"]

INSIDE = Path(__file__).with_name("witness_inside.py")

# The audit hook sees whom those ask who work from this machine.
WITNESSED = """\
import os
import sys

def told(event, args):
    if event == "socket.getaddrinfo" and str(args[0]) not in ("127.0.0.1", "localhost", "None"):
        note(f"name {args[0]}")
    if event == "socket.connect" and isinstance(args[1], tuple):
        if not str(args[1][0]).startswith(("127.", "::1")):
            note("address {}:{}".format(*args[1][:2]))

def note(line):
    with open(os.environ["ALE_WITNESS"], "a") as file:
        file.write(f"{line} (from the run)\\n")

def pytest_ale_providers(register):
    sys.addaudithook(told)
    register("witness", "pytest_ale.testing.witness:WitnessProvider.from_settings")
"""


def witnessed(project: Path) -> Path:
    """Have a project's runs know the provider; the file for ALE_WITNESS, empty so far."""
    (project / "conftest.py").write_text(WITNESSED)
    asked = project / "asked.txt"
    asked.touch()
    return asked


class WitnessProvider(DockerProvider):
    """As `docker`, with one more container in the network of each sandbox."""

    name = "witness"

    def __init__(self, image: str | None = None) -> None:
        super().__init__(image)
        self._watching: dict[str, str] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> WitnessProvider:
        return cls(settings.image)

    def create(self, lease: str, spec: SandboxSpec) -> Contained:
        sandbox = super().create(lease, spec)
        try:
            self._watching[lease] = self._watch(engine.connect(), lease)
        except BaseException:
            with suppress(Fault):
                self.destroy(lease)
            raise
        return sandbox

    def _watch(self, api: APIClient, lease: str) -> str:
        seen: dict[str, Any] = api.inspect_container(f"ale-{lease}")
        config = api.create_host_config(
            network_mode=f"container:{seen['Id']}",
            cap_add=["NET_ADMIN"],
            init=True,
        )
        made = api.create_container(
            seen["Image"],
            entrypoint=[PYTHON, "-I", "-u", "-c", INSIDE.read_text()],
            user="0:0",
            labels={LABEL: lease},  # by which the provider removes it
            host_config=config,
        )
        api.start(made["Id"])
        for line in api.logs(made["Id"], stream=True, follow=True):
            if line.startswith(b"ready"):
                return str(made["Id"])
            raise ProviderFault(f"sandbox {lease} has no witness: {line.decode().strip()}")
        raise ProviderFault(f"sandbox {lease} has no witness: it ended")

    def destroy(self, lease: str) -> None:
        watching = self._watching.pop(lease, None)
        if watching and (path := os.environ.get("ALE_WITNESS")):
            said = engine.connect().logs(watching).decode(errors="replace").splitlines()
            with Path(path).open("a") as file:
                file.writelines(f"{line}\n" for line in said if line != "ready")
        super().destroy(lease)
