"""A container whose process 1 is our resident: made, started, watched, ended and read from.

Knows nothing of images, networks, desktops or leases: it is given the engine and a configuration.

Of the host it is shown, read-only: the resident's program, and a folder `run/` (its /run/ale) with
the sockets that lead out. The resident dials the first of them, and nobody else may: it is gone
before the resident obeys.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ale.channels.boxed import INIT, READY_SECONDS, STOP_SECONDS, Boxed, gone
from pytest_ale.channels.ways import OPT, RUN
from pytest_ale.sandbox import Fault, ProviderFault, SandboxLost

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["Container", "asking"]

SOCKET = "init.sock"
PIECE = 1 << 20  # bytes of an archive that are asked for at once


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Make faults of what the engine says; a container that it does not know is lost."""
    from docker.errors import DockerException, NotFound
    from requests.exceptions import RequestException

    try:
        yield
    except NotFound as error:
        raise SandboxLost(f"{what}: {error.explanation}") from error
    except (DockerException, RequestException, OSError) as error:
        said = getattr(error, "explanation", None) or error
        raise ProviderFault(f"{what}: the Docker engine says: {said}") from error


class Container:
    """A lease's container; its files outlive its processes."""

    def __init__(
        self, api: APIClient, lease: str, config: Mapping[str, object] | None = None
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", lease):
            raise ProviderFault(f"lease {lease!r}: a lease is letters, digits and ._- only")
        self.api, self.name, self._config = api, f"ale-{lease}", config or {}
        self.place = Path(tempfile.gettempdir(), f"ale-docker-{lease}")
        self._boxed: Boxed | None = None

    # Its life.

    def create(
        self, image: str, seen: Mapping[Path, str], host: Mapping[str, Any], **more: Any
    ) -> None:
        """Create it, not yet started.

        `seen` are host paths and where they are seen inside, read-only; `host` and `more` are the
        engine's own words.
        """
        self._furnish()
        binds = {INIT: f"{OPT}/init.py", self.place / "run": RUN} | dict(seen)
        mounts: dict[str, Mapping[str, str]] = {
            str(path): {"bind": inside, "mode": "ro"} for path, inside in binds.items()
        }
        with asking(f"container {self.name} was not created"):
            self.api.create_container(
                image,
                name=self.name,
                entrypoint=["/usr/bin/python3", "-I", "-S", f"{OPT}/init.py", f"{RUN}/{SOCKET}"],
                host_config=self.api.create_host_config(binds=mounts, **host),
                **more,
            )

    def _furnish(self) -> None:
        """The outer folder is ours alone: of the host's users nobody may dial what lies within."""
        self.place.mkdir(mode=0o700, exist_ok=True)
        (self.place / "run").mkdir(mode=0o755, exist_ok=True)

    def start(self, begin: Callable[[APIClient, str], None] | None = None) -> None:
        """Start it (`begin` knows a way of its own) and wait until its resident is ready."""
        self._furnish()
        with closing(self._listener()) as listener:
            with asking(f"container {self.name} was not started"):
                (begin or type(self.api).start)(self.api, self.name)
            channel = self._dialled(listener)
        (self.place / "run" / SOCKET).unlink()
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            self._boxed = Boxed.greet(channel, self._config, self._finish)
        except OSError as error:
            channel.close()
            raise ProviderFault(f"container {self.name} is not ready: {self._said()}") from error

    def _listener(self) -> socket.socket:
        """Listen in `run/`, reached by a descriptor: the path of a socket may have 107 bytes."""
        folder = os.open(self.place / "run", os.O_PATH | os.O_DIRECTORY)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            path = Path(f"/proc/self/fd/{folder}/{SOCKET}")
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o666)  # the resident is another user than we
            listener.listen(1)
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(folder)
        return listener

    def _dialled(self, listener: socket.socket) -> socket.socket:
        listener.settimeout(0.5)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                return listener.accept()[0]
            if not self.state().get("Running"):
                break
        raise ProviderFault(f"container {self.name} did not answer: {self._said()}")

    def _said(self) -> str:
        """The last of what it wrote, which is only ever about a start that failed."""
        with asking(f"container {self.name}"):
            log = self.api.logs(self.name, tail=20)
        return log.decode(errors="replace").strip()[-2000:] or "it said nothing"

    @property
    def boxed(self) -> Boxed:
        if self._boxed is None:
            raise SandboxLost(f"container {self.name} is stopped")
        return self._boxed

    @property
    def running(self) -> bool:
        return self._boxed is not None

    def stop(self) -> None:
        """End every process in it; the engine, too, must say that it has ended."""
        if self._boxed is None:
            return
        self._boxed.stop()
        self._boxed = None
        with asking(f"container {self.name} was not seen to end"):
            self.api.wait(self.name, timeout=int(STOP_SECONDS))

    def _finish(self, boxed: Boxed) -> None:
        """Hang up, by which process 1 ends and all with it; kill it where that does not help."""
        with suppress(OSError):
            boxed.channel.shutdown(socket.SHUT_RDWR)
        if gone(boxed.pidfd, STOP_SECONDS / 2):
            return
        for ask in (self.api.unpause, self.api.kill):  # paused or stopped by somebody's hand
            with suppress(Fault), asking(self.name):
                ask(self.name)
        if not gone(boxed.pidfd, STOP_SECONDS):
            raise ProviderFault(f"process {boxed.pid} of container {self.name} could not be ended")

    def close(self) -> None:
        """End its processes, if they live, and let go of the descriptors that led to them."""
        boxed, self._boxed = self._boxed, None
        if boxed is not None:
            with suppress(Fault):
                boxed.stop()

    def remove(self) -> None:
        """Remove it, running or not, and its folder; one that is gone is no error."""
        self.close()
        with suppress(SandboxLost), asking(f"container {self.name} was not removed"):
            self.api.remove_container(self.name, force=True, v=True)
        shutil.rmtree(self.place, ignore_errors=True)

    def inspect(self) -> dict[str, Any]:
        """All that the engine knows of it."""
        with asking(f"container {self.name}"):
            return dict(self.api.inspect_container(self.name))

    def state(self) -> dict[str, object]:
        """What the engine knows of its processes: Running, OOMKilled, ExitCode and more."""
        return dict(self.inspect()["State"])

    def ended(self) -> dict[str, object]:
        """Its state once its end has been noticed: the engine sees it a little after the kernel."""
        with suppress(ProviderFault), asking(f"container {self.name}"):
            self.api.wait(self.name, timeout=int(STOP_SECONDS))
        return self.state()

    # Its files, whether it runs or not.

    def stat(self, path: str) -> dict[str, object]:
        """What lies at a path, a link not followed; FileNotFoundError where nothing does."""
        import base64
        import json

        url = f"{self.api.base_url}/v{self.api.api_version}/containers/{self.name}/archive"
        with asking(f"container {self.name}"):
            answer = self.api.head(url, params={"path": path})
        known = answer.headers.get("X-Docker-Container-Path-Stat")
        if known is None:
            self.state()  # is it the container that is not there?
            raise FileNotFoundError(path)
        return dict(json.loads(base64.b64decode(known)))

    def archive(self, path: str, use: Callable[[Iterator[bytes]], list[str]]) -> list[str]:
        """Hand a path's tar stream to somebody, who need not read all of it."""
        with asking(f"container {self.name}"):
            chunks, _ = self.api.get_archive(self.name, path, chunk_size=PIECE)
        with closing(chunks):
            return use(self._chunks(chunks))

    def _chunks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with asking(f"container {self.name}"):
            yield from chunks
