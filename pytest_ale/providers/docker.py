"""The `docker` provider: a sandbox is a container of this machine's engine.

Knows nothing of tasks, agents or other providers.

A container is `ale-LEASE`, labelled with lease, run and attempt. Beside it lies a host folder of
the same name (container.py), and nothing else: with no network or a list of hosts it has no
network of Docker's at all, and no port is ever published.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ale import egress, engine, images, progress
from pytest_ale.channels import network, ways
from pytest_ale.channels.contained import AGENT, HOME, TASK, Contained
from pytest_ale.channels.container import Container, asking
from pytest_ale.channels.desk import RemoteDesktop
from pytest_ale.channels.vnc import ContainerScreen
from pytest_ale.channels.ways import BRIDGE, OPT, RUN, forwarding
from pytest_ale.sandbox import Fault, ProviderFault, SandboxSpec
from pytest_ale.settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["DockerProvider"]

LABEL = "pytest-ale"
PYTHON = "/usr/bin/python3"  # inside
PIDS = 2048
PROXY_PORT = 3128  # of the loopback, in a sandbox that may reach some hosts
EGRESS = "egress.sock"
DISPLAY = ":0"
DESKTOP_SECONDS = 30.0


class DockerProvider:
    """Containers on this machine's engine; satisfies `Provider`."""

    name = "docker"
    isolation = "docker"

    def __init__(self, image: str | None = None) -> None:
        self._base = image
        self._here: dict[str, ExitStack] = {}  # what stands around our own sandboxes

    @classmethod
    def from_settings(cls, settings: Settings) -> DockerProvider:
        return cls(settings.image)

    @property
    def _api(self) -> APIClient:
        return engine.connect()

    def preflight(self) -> list[str]:
        """Say what it is and what is missing, a line each (`ale doctor`)."""
        try:
            known = engine.describe(self._api)
        except Fault as fault:
            return [str(fault)]
        return [f"{name}: {value}" for name, value in known.items()]

    def refuses(self, spec: SandboxSpec, *, trusted: bool) -> str | None:
        """Say why it cannot host this, or None."""
        reasons = {
            f"docker provider has no {spec.os}": spec.os != "linux",
            "docker provider has no GPU": spec.gpu,
            f"docker provider has no licence for {spec.licence}": spec.licence,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    # A sandbox's life.

    def create(self, lease: str, spec: SandboxSpec) -> Contained:
        """Make a clean sandbox that carries the lease's id as its label."""
        api = self._api
        try:
            with asking(f"sandbox {lease} was not made"):
                return self._make(api, lease, spec)
        except BaseException:
            with suppress(Fault):
                self.destroy(lease)
            raise

    def _make(self, api: APIClient, lease: str, spec: SandboxSpec) -> Contained:
        image = images.ensure(api, spec, self._base, progress.tell)
        limits = Limits.of(api, spec)
        host = limits.host() | SECURITY | {"network_mode": "none"}
        if spec.network == "open":
            host["network_mode"] = network.open_network(api)
        about = {"image": image.ref, "image_id": image.id, "packages": dict(image.packages)}
        about |= {"engine": engine.describe(api), "limits": limits.told()}
        container = self._container(lease, spec)
        container.create(image.id, seen(spec), host, labels=labels(lease, spec), **IDENTITY)
        return self._open(lease, spec, container, about)

    def attach(self, lease: str, spec: SandboxSpec) -> Contained:
        """Reach a sandbox that another process made and kept: its processes start anew."""
        container = self._container(lease, spec)
        if container.state().get("Running"):
            raise ProviderFault(f"sandbox {lease} is in use: its container runs")
        return self._open(lease, spec, container, {})

    def _container(self, lease: str, spec: SandboxSpec) -> Container:
        file_bytes = int(spec.disk_gb * 2**30)
        return Container(self._api, lease, {"mode": "docker", "file_bytes": file_bytes})

    def _open(
        self, lease: str, spec: SandboxSpec, container: Container, about: Mapping[str, object]
    ) -> Contained:
        """Start a container, and all that stands around its agent."""
        known = container.inspect()
        self._here[lease] = around = ExitStack()
        container.start(network.start if spec.network == "open" else None)
        around.callback(container.close)
        if spec.network == "open":
            marks = labels(lease, spec)  # by which a helper that is left behind is found
            network.close_off(container.api, container.name, known["Image"], marks)
        env = environment(known["Config"]["Env"], spec)
        sandbox = Contained(container, env, about)
        if isinstance(spec.network, tuple):
            way_out = egress.Egress(spec.network, container.place / "run" / EGRESS)
            around.enter_context(way_out)
            sandbox.at_stop.append(lambda: {"hosts_refused": list(way_out.refused)})
        if ports := forwarded(spec, container.place / "run"):
            around.enter_context(forwarding(sandbox.converse, ports, python=PYTHON))
        if spec.desktop:
            around.callback(start_desktop(sandbox, spec.screen).close)
        return sandbox

    def destroy(self, lease: str) -> None:
        """Remove a container, whoever made it; a sandbox that is gone is no error."""
        with self._here.pop(lease, ExitStack()):
            pass
        container = Container(self._api, lease)
        for helper in self._listed(f"{LABEL}={lease}"):
            if f"/{container.name}" not in helper["Names"]:
                with suppress(Fault), asking(f"the helper of sandbox {lease}"):
                    self._api.remove_container(helper["Id"], force=True)
        container.remove()
        network.leave(self._api)

    def leases(self) -> list[str]:
        """The ids of the sandboxes that exist, found by label and not from the ledger."""
        return sorted({str(each["Labels"][LABEL]) for each in self._listed(LABEL)})

    # Its screen, for somebody who watches.

    def screens(self) -> Mapping[str, str]:
        """The leases that run here with a screen, whoever made them, and their attempts."""
        with suppress(ProviderFault):  # no engine, no screens
            return {
                each["Labels"][LABEL]: each["Labels"].get(f"{LABEL}.attempt", "")
                for each in self._listed(f"{LABEL}.screen")
                if each["State"] == "running"
            }
        return {}

    def screen(self, lease: str, *, control: bool) -> ContainerScreen:
        """One of them; without `control` it can be looked at and not touched."""
        return ContainerScreen(self._api, f"ale-{lease}", IDENTITY["user"], control=control)

    def _listed(self, label: str) -> list[dict[str, Any]]:
        with asking("the sandboxes could not be listed"):
            return list(self._api.containers(all=True, filters={"label": label}))


# What the engine is told.

IDENTITY = {"hostname": "sandbox", "user": f"{AGENT}:{AGENT}", "working_dir": TASK}
SECURITY: dict[str, object] = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": PIDS,
    "ipc_mode": "private",
    "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
}


@dataclass(frozen=True)
class Limits:
    """What a card asks for, and what this machine can give of it."""

    cpus: float
    memory: int  # bytes
    asked: SandboxSpec

    @classmethod
    def of(cls, api: APIClient, spec: SandboxSpec) -> Limits:
        """An engine refuses more processors than it has, and promises memory that it has not."""
        cpus, memory = capacity(api)
        return cls(min(spec.cpus, cpus), min(int(spec.memory_gb * 2**30), memory), spec)

    def host(self) -> dict[str, object]:
        return {
            "nano_cpus": int(self.cpus * 1e9),
            "mem_limit": self.memory,
            "memswap_limit": self.memory,  # of both together: no swap
            "shm_size": min(self.memory // 2, 1 << 30),
        }

    def told(self) -> dict[str, object]:
        """For the record. The space on disk is bounded by the engine's own, but for one file."""
        return {
            "cpus": {"asked": self.asked.cpus, "given": self.cpus},
            "memory_gb": {"asked": self.asked.memory_gb, "given": round(self.memory / 2**30, 3)},
            "disk_gb": {"asked": self.asked.disk_gb, "given": None},
            "pids": {"asked": None, "given": PIDS},
        }


@cache
def capacity(api: APIClient) -> tuple[int, int]:
    """Processors and bytes of memory of the engine's machine; asked once per process."""
    with asking("what the machine has"):
        info = api.info()
    return int(info["NCPU"]), int(info["MemTotal"])


def labels(lease: str, spec: SandboxSpec) -> dict[str, str]:
    screen = {f"{LABEL}.screen": "{}x{}".format(*spec.screen)} if spec.desktop else {}
    return {LABEL: lease} | {f"{LABEL}.{name}": text for name, text in spec.labels.items()} | screen


def seen(spec: SandboxSpec) -> dict[Path, str]:
    """Host paths that are seen inside, and where."""
    return {BRIDGE: f"{OPT}/bridge"} | ways.kits(spec)


def forwarded(spec: SandboxSpec, run: Path) -> dict[int, str]:
    """The loopback ports inside, and the sockets they lead to.

    Links in a folder that lives as long as the container: with a socket mounted by itself the
    engine could neither start it again nor read its files once that socket is gone.
    """
    found = {PROXY_PORT: f"{RUN}/{EGRESS}"} if isinstance(spec.network, tuple) else {}
    for port, path in ways.listening(spec).items():
        link = run / f"{port}.sock"
        try:
            link.unlink(missing_ok=True)  # of a sandbox that was kept
            os.link(path, link)
        except OSError as error:
            where = f"it must be on the filesystem of {run.parent.parent}"
            raise ProviderFault(f"port {port}: no link to {path} ({error}); {where}") from error
        found[port] = f"{RUN}/{port}.sock"
    return found


def environment(image: Sequence[str], spec: SandboxSpec) -> dict[str, str]:
    """What every command finds: the image's own, and what a user at a machine would have."""
    env = dict(line.partition("=")[::2] for line in image)
    env |= {"HOME": HOME, "USER": "agent", "LOGNAME": "agent", "SHELL": "/bin/bash"}
    env |= {"TZ": "UTC", "TMPDIR": "/tmp", "LANG": env.get("LANG", "C.UTF-8")}
    if spec.desktop:
        env |= {"DISPLAY": DISPLAY, "XDG_SESSION_TYPE": "x11"}
    if isinstance(spec.network, tuple):
        env |= egress.environment(PROXY_PORT)
    return env


# What stands around an agent.


def start_desktop(sandbox: Contained, screen: tuple[int, int]) -> RemoteDesktop:
    """Start X and what belongs to it; a window can be opened when this returns."""
    width, height = map(str, screen)
    began = sandbox.exec(["ale-desktop", width, height], timeout=DESKTOP_SECONDS)
    if began.returncode:
        raise ProviderFault(f"the desktop did not start: {began.stderr.strip()[-500:]}")
    command = [PYTHON, "-I", f"{OPT}/bridge", "desk"]
    desktop = RemoteDesktop(partial(sandbox.converse, command))
    sandbox.give_desktop(desktop)
    return desktop
