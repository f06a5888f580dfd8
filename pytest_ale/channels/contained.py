"""A sandbox in a container: commands through its resident, files as tar streams.

Knows nothing of images, leases or how a container is made.

While the resident lives, files are written and read by commands of the agent's own user, who can
reach nothing else by them. Afterwards they are taken from the stopped container by the engine.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pytest_ale.channels import archive
from pytest_ale.channels.boxed import Conversation, Request, Spoken
from pytest_ale.channels.container import Container
from pytest_ale.sandbox import (
    Desktop,
    DesktopError,
    ExecResult,
    SandboxBroken,
    SandboxError,
    SandboxLost,
    UnsafePath,
)

__all__ = ["AGENT", "HOME", "TASK", "Contained"]

AGENT = 1000  # uid and gid
HOME = "/home/agent"
TASK = f"{HOME}/task"
TMP = "/tmp"

READ_BYTES = 64 << 20  # of a file that is read while the sandbox runs
READ_SECONDS = 60.0
OWN_PATH = "/usr/bin:/bin"  # the agent's begins with a folder that it may write to
LINKED, MISSING = 43, 44  # exit statuses of the scripts below
GO = {"folder": 1 << 31, "link": 1 << 27}  # bits of Go's os.FileMode, which the engine sends

# $1 is the folder above, $2 the name. `realpath` is what a link on the way would change.
WRITE = f"""mkdir -p -- "$1" && cd -- "$1" || exit 1
[ "$(pwd -P)" = "$1" ] || exit {LINKED}
"""
PUT = WRITE + "exec tar --extract --preserve-permissions --no-same-owner --file=-"
STORE = WRITE + 'rm -f -- "$2" && cat > "$2"'
READ = f"""cd -- "$1" 2>&- || exit {MISSING}
[ "$(pwd -P)" = "$1" ] && [ ! -L "$2" ] || exit {LINKED}
[ -e "$2" ] || exit {MISSING}
[ -f "$2" ] || {{ echo "it is no regular file" >&2; exit 1; }}
exec head -c {READ_BYTES + 1} -- "$2"
"""


class Contained:
    """A container and its agent's world; satisfies `Sandbox`."""

    home, inputs, output = HOME, f"{TASK}/inputs", f"{TASK}/output"

    def __init__(
        self,
        container: Container,
        env: Mapping[str, str],
        about: Mapping[str, object],
    ) -> None:
        self.container, self._env, self._about = container, dict(env), dict(about)
        self._desktop: Desktop | None = None
        self.at_stop: list[Callable[[], Mapping[str, object]]] = []  # what is only known then

    @property
    def about(self) -> Mapping[str, object]:
        return self._about

    def give_desktop(self, desktop: Desktop) -> None:
        self._desktop = desktop

    @property
    def desktop(self) -> Desktop:
        if self._desktop is None:
            raise DesktopError("this sandbox has no desktop: the card does not ask for one")
        return self._desktop

    # Commands.

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
    ) -> ExecResult:
        """Run a command (a string goes through /bin/sh) and wait for it."""
        if user not in (None, "agent"):
            raise SandboxError(f"user {user!r}: a docker sandbox has no user but 'agent'")
        request = self._request(command, cwd, env or {})
        said = self._run(request, stdin.encode() if isinstance(stdin, str) else stdin, timeout)
        return said.result(request, check=check)

    def _request(
        self, command: str | Sequence[str], cwd: str | None, env: Mapping[str, str]
    ) -> Request:
        return Request.of(command, posixpath.join(TASK, cwd or "."), self._env | dict(env))

    def _run(
        self,
        request: Request,
        stdin: bytes | Iterable[bytes] | None = None,
        timeout: float | None = None,
        **more: int,
    ) -> Spoken:
        with self._judging():
            return self.container.boxed.run(request, stdin=stdin, timeout=timeout, **more)

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """A container that ran out of memory was ended from inside; any other end was not."""
        try:
            yield
        except SandboxLost as lost:
            if not self.container.running:
                raise
            state = self.container.ended()
            if state.get("OOMKilled"):
                raise SandboxBroken(f"{lost}: all its memory was used") from lost
            raise SandboxLost(f"{lost} (exit status {state.get('ExitCode')})") from lost

    def stream(
        self,
        command: Sequence[str],
        told: Callable[[str, bytes], None],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        """Run a command and hand on what it writes as it comes."""
        request = self._request(command, None, env or {})
        given = stdin.encode() if isinstance(stdin, str) else stdin
        with self._judging():
            boxed = self.container.boxed
            return boxed.stream(request, told, stdin=given, timeout=timeout, tick=tick)

    def interact(self, command: Sequence[str], *, terminal: int) -> int:
        """Run a command on the caller's terminal (a file descriptor) until it ends."""
        request = self._request(command, None, {"TERM": os.environ.get("TERM", "xterm-256color")})
        with self._judging():
            return self.container.boxed.interact(request, terminal=terminal)

    def converse(self, command: Sequence[str]) -> Conversation:
        """Start a command that stays, and keep its stdin and stdout."""
        with self._judging():
            return self.container.boxed.converse(self._request(command, None, {}))

    # Files.

    def put(self, local: Path, remote: str) -> None:
        """Copy a host file or folder in; links in a folder stay links."""
        folder, name = self._place(remote)
        pieces = archive.pack(local, name, uid=AGENT, gid=AGENT)
        self._script(PUT, folder, name, remote, pieces)

    def write(self, path: str, data: str | bytes) -> None:
        given = data.encode() if isinstance(data, str) else data
        self._script(STORE, *self._place(path), path, given)

    def read(self, path: str) -> bytes:
        folder, name = self._place(path)
        if not self.container.running:
            return self._taken(path)
        most = READ_BYTES + 1
        said = self._script(READ, folder, name, path, None, timeout=READ_SECONDS, most=most)
        if len(said.stdout) > READ_BYTES:
            raise SandboxError(f"{path!r} is larger than {READ_BYTES >> 20} MB: get() takes it")
        return said.stdout

    def _script(
        self,
        script: str,
        folder: str,
        name: str,
        shown: str,
        stdin: bytes | Iterable[bytes] | None,
        timeout: float | None = None,
        **more: int,
    ) -> Spoken:
        env = {**self._env, "PATH": OWN_PATH}
        request = Request(["/bin/sh", "-c", script, "sh", folder, name], "/", env)
        said = self._run(request, stdin, timeout, **more)
        if said.returncode == LINKED:
            raise UnsafePath(f"{shown!r}: there is a symbolic link in it")
        if said.returncode == MISSING:
            raise SandboxError(f"{shown!r}: No such file or directory")
        if said.returncode:
            raise SandboxError(f"{shown!r}: {said.stderr.decode(errors='replace').strip()[-500:]}")
        return said

    def _place(self, path: str) -> tuple[str, str]:
        """The folder and the name that a path of the agent's means."""
        whole = posixpath.normpath(posixpath.join(TASK, path))
        if not any(whole.startswith(f"{top}/") for top in (HOME, TMP)):
            raise UnsafePath(f"{path!r} lies outside {HOME} and {TMP}")
        folder, name = posixpath.split(whole)
        return folder, name

    def get(self, remote: str, local: Path) -> list[str]:
        """Copy a file or folder out, bounded; say what was refused (links, devices, too much)."""
        folder, name = self._place(remote)
        try:
            self._refuse_links(folder, remote)
        except SandboxError as error:
            return [f"{error}."]
        try:
            self.container.stat(f"{folder}/{name}")
        except FileNotFoundError:
            return [f"{remote!r} was refused: No such file or directory."]
        unpack = partial(archive.unpack, target=local, shown=remote)
        return self.container.archive(f"{folder}/{name}", unpack)

    def _refuse_links(self, folder: str, shown: str) -> None:
        """The engine would follow a link on the way; /home and /tmp themselves are not the agent's.

        Nobody can put one there meanwhile: what counts is taken when all processes are dead.
        """
        top = next(top for top in (HOME, TMP) if f"{folder}/".startswith(f"{top}/"))
        parts = [part for part in folder[len(top) :].split("/") if part]
        for number, part in enumerate(parts, 1):
            try:
                mode = int(str(self.container.stat("/".join([top, *parts[:number]]))["mode"]))
            except FileNotFoundError:
                raise SandboxError(
                    f"{shown!r}: {part!r} in it: No such file or directory"
                ) from None
            if mode & GO["link"]:
                raise UnsafePath(f"{shown!r}: {part!r} in it is a symbolic link")
            if not mode & GO["folder"]:
                raise SandboxError(f"{shown!r}: {part!r} in it: Not a directory")

    def _taken(self, path: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="ale-") as folder:
            refused = self.get(path, Path(folder, "file"))
            if refused:
                raise SandboxError(refused[0])
            return Path(folder, "file").read_bytes()

    def stop(self) -> None:
        """Kill every process in the sandbox and return once they are proved dead; files stay."""
        self.container.stop()
        state = self.container.state()
        self._about["out_of_memory"] = bool(state.get("OOMKilled"))
        for known in self.at_stop:
            self._about |= known()
