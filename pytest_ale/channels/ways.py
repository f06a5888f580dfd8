"""Ways from a sandbox to the host: folders that are seen inside, and sockets behind ports.

Knows nothing of how a sandbox is closed off, nor of what a folder holds or a socket carries.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_ale.channels.boxed import READY_SECONDS, Conversation
from pytest_ale.sandbox import ProviderFault, SandboxSpec

__all__ = ["BRIDGE", "OPT", "RUN", "forwarded", "forwarding", "kits", "listening", "sockets"]

OPT = "/opt/ale"  # where what is ours is seen inside
RUN = "/run/ale"  # where sockets are seen inside
BRIDGE = Path(__file__).parent.parent / "bridge"
OURS = ("bridge", "init.py")  # of the names in OPT


def kits(spec: SandboxSpec) -> dict[Path, str]:
    """The host folders that a spec wants seen, and where."""
    found: dict[Path, str] = {}
    for kit in map(Path.absolute, dict.fromkeys(spec.kits)):
        place = f"{OPT}/{kit.name}"
        if not kit.is_dir():
            raise ProviderFault(f"kit {kit}: there is no such folder")
        if kit.name in OURS or place in found.values():
            raise ProviderFault(f"kit {kit}: {place} is taken; rename the folder")
        found[kit] = place
    return found


def listening(spec: SandboxSpec) -> dict[int, Path]:
    """The host sockets that a spec wants reached, by the ports that lead to them."""
    for port, path in spec.sockets.items():
        if not path.is_socket():
            raise ProviderFault(f"port {port}: there is no socket {path} to lead it to")
    return {port: path.absolute() for port, path in spec.sockets.items()}


def sockets(spec: SandboxSpec) -> dict[Path, str]:
    """The same sockets, and where they are seen if each is mounted by itself."""
    found: dict[Path, str] = {}
    for port, path in listening(spec).items():
        found.setdefault(path, f"{RUN}-{port}.sock")
    return found


def forwarded(spec: SandboxSpec) -> dict[int, str]:
    """The loopback ports inside, and the sockets, as seen there, that they lead to."""
    seen = sockets(spec)
    return {port: seen[path.absolute()] for port, path in spec.sockets.items()}


@contextmanager
def forwarding(
    converse: Callable[[Sequence[str]], Conversation], ways: Mapping[int, str], *, python: str
) -> Iterator[None]:
    """Lead loopback ports inside to sockets for as long as the sandbox lives.

    BRIDGE is to be seen at OPT/bridge. The kernel decides who gets a port: where two sandboxes
    share a loopback, the second is refused.
    """
    words = [word for port, path in ways.items() for word in (str(port), path)]
    command = [python, "-I", "-S", f"{OPT}/bridge/forward.py", *words]
    # Until it is ready its complaints come where "ready" would.
    talk = converse(["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *command])
    try:
        said = _first_words(talk)
        if said != "ready":
            ports = ", ".join(map(str, ways))
            raise ProviderFault(f"no way from the sandbox's loopback, ports {ports}: {said}")
        yield
    finally:
        talk.close()


def _first_words(talk: Conversation) -> str:
    poll = select.poll()
    poll.register(talk.stdout, select.POLLIN)
    if not poll.poll(READY_SECONDS * 1000):
        return f"the forwarder is not ready after {READY_SECONDS:g} s"
    said = talk.stdout.read(1000) or b""
    return said.decode(errors="replace").strip() or "the forwarder ended without a word"
