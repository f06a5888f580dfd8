"""The screen of a container as VNC: a server started in it by the engine, for each who looks.

Knows nothing of browsers. Of the container's own it needs x11vnc and noVNC's page, which our image
has; both are root's there, so an agent can end what it is watched by, but not change it.
"""

from __future__ import annotations

import io
import socket
import struct
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_ale.channels.container import asking

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["ContainerScreen", "ContainerStream"]

PAGE = "/usr/share/novnc"
# Nothing of the user's settings; others may look as well.
SERVER = ("x11vnc", "-inetd", "-display", ":0", "-norc", "-nopw", "-quiet", "-shared", "-nobell")
LOOK = ("-viewonly", "-noxrecord")
HEAD = 8  # of each piece of output that the engine sends: its kind and its length
STDOUT = 1

# x11vnc speaks on a socket at its stdin; what the engine gives a command are pipes. What the agent
# may not do it shall not have x11vnc do, which is of its uid: so that has the resident's filter.
SHOVEL = """
import importlib.util, os, socket, subprocess, sys, threading
spec = importlib.util.spec_from_file_location("init", "/opt/ale/init.py")
init = importlib.util.module_from_spec(spec)
spec.loader.exec_module(init)
init.forbid()
ours, theirs = socket.socketpair()
server = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
theirs.close()

def sent():
    while data := os.read(0, 65536):
        ours.sendall(data)
    server.terminate()

threading.Thread(target=sent, daemon=True).start()
with open(1, "wb") as out:
    while data := ours.recv(65536):
        out.write(data)
        out.flush()
"""


class ContainerScreen:
    """One container's screen, to look at or to use; satisfies `Screen`."""

    def __init__(self, api: APIClient, name: str, user: str, *, control: bool) -> None:
        self._api, self._name, self._user = api, name, user
        server = [*SERVER, *(() if control else LOOK)]
        self._command = ["/usr/bin/python3", "-I", "-S", "-c", SHOVEL, *server]

    @cached_property
    def page(self) -> Mapping[str, bytes]:
        """noVNC's files, by their paths."""
        with asking(f"the page of {self._name}'s screen"):
            whole = b"".join(self._api.get_archive(self._name, PAGE)[0])
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            return {
                entry.name.partition("/")[2]: file.read()
                for entry in tar
                if entry.isfile() and (file := tar.extractfile(entry))
            }

    def dial(self) -> ContainerStream:
        """Start a VNC server that ends with the stream."""
        with asking(f"the screen of {self._name}"):
            run = self._api.exec_create(
                self._name, self._command, stdin=True, user=self._user, environment={"LANG": "C"}
            )
            file = self._api.exec_start(run["Id"], socket=True)
        return ContainerStream(file)


class ContainerStream:
    """What a command in a container reads and writes, without its stderr."""

    def __init__(self, file: Any) -> None:
        self._file = file  # of a type that is the SDK's own; the socket must not outlive it
        self._socket: socket.socket = file._sock
        self._left = 0  # of the piece that is being read

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, most: int) -> bytes:
        """What came next; b"" when there will be no more."""
        while not self._left:
            kind, size = struct.unpack(">BxxxL", self._exactly(HEAD) or bytes(HEAD))
            if kind == STDOUT:
                self._left = size
            elif not kind or not self._exactly(size):
                return b""
        data = self._socket.recv(min(most, self._left))
        self._left -= len(data)
        return data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._socket.recv(size - len(data))):
            data += more
        return data if len(data) == size else b""

    def close(self) -> None:
        """Hang up, by which the command ends."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
