"""The `local` provider: a sandbox is a private directory seen from namespaces of its own.

Knows nothing of tasks, agents or other providers.

A sandbox on the host is `TMP/ale-LEASE/` (0700), of which the agent sees only what is named here:

    lease.json    whose it is, and the residents that were started in it (never seen by the agent)
    home/ tmp/    /home/agent and /tmp
    etc/          the files of /etc that are ours and not the machine's
    root/         where mode `unshare` hangs its file tree; empty
    init.log      what the resident or its launcher complained of
"""

from __future__ import annotations

import os
import posixpath
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pytest_ale.channels import tree
from pytest_ale.channels.boxed import Boxed, Conversation, Request
from pytest_ale.channels.boxing import (
    HOME,
    HOW_TO_BOX,
    MODES,
    PREFIX,
    current_mode,
    environment,
    furnish,
    interpreter,
    launch,
    probe,
)
from pytest_ale.channels.tagged import Tag, directory, end_residents, is_ours, started, sweep
from pytest_ale.channels.ways import forwarded, forwarding
from pytest_ale.sandbox import (
    Desktop,
    DesktopError,
    ExecResult,
    ProviderFault,
    SandboxError,
    SandboxSpec,
    UnsafePath,
)
from pytest_ale.settings import Settings

__all__ = ["MODES", "LocalProvider", "LocalSandbox"]

# The sandbox.


class LocalSandbox:
    """A directory and the resident that runs commands in it; satisfies `Sandbox`."""

    def __init__(self, root: Path, boxed: Boxed, mode: str) -> None:
        self.mode = mode
        self._root, self._boxed = root, boxed
        self._around = ExitStack()  # what stands around the agent until `stop`
        is_boxed = mode != "none"
        self.home = HOME if is_boxed else str(root / "home")
        self._tmp = "/tmp" if is_boxed else str(root / "tmp")
        self._task = f"{self.home}/task"
        self.inputs, self.output = f"{self._task}/inputs", f"{self._task}/output"

    @property
    def about(self) -> dict[str, object]:
        return {"isolation": self.mode}

    @property
    def desktop(self) -> Desktop:
        raise DesktopError("the local provider has no desktop")

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
            raise SandboxError(f"user {user!r}: a local sandbox has no user but 'agent'")
        request = self._request(command, cwd, env or {})
        given = stdin.encode() if isinstance(stdin, str) else stdin
        said = self._boxed.run(request, stdin=given, timeout=timeout)
        return said.result(request, check=check)

    def _request(
        self, command: str | Sequence[str], cwd: str | None, env: Mapping[str, str]
    ) -> Request:
        where = posixpath.join(self._task, cwd or ".")
        return Request.of(command, where, environment(self.home, self._tmp) | dict(env))

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
        return self._boxed.stream(request, told, stdin=given, timeout=timeout, tick=tick)

    def interact(self, command: Sequence[str], *, terminal: int) -> int:
        """Run a command on the caller's terminal (a file descriptor) until it ends."""
        term = {"TERM": os.environ.get("TERM", "xterm-256color")}
        return self._boxed.interact(self._request(command, None, term), terminal=terminal)

    def forward(self, ways: Mapping[int, str]) -> None:
        """Lead loopback ports inside to sockets, as seen there, until the sandbox is stopped."""
        self._around.enter_context(forwarding(self._converse, ways, python=interpreter()))

    def _converse(self, command: Sequence[str]) -> Conversation:
        # Not in the task's folder: in a sandbox that was kept the agent may have removed it.
        return self._boxed.converse(Request(command, "/", environment(self.home, self._tmp)))

    def put(self, local: Path, remote: str) -> None:
        """Copy a host file or folder in; links in a folder stay links."""
        source = tree.Spot.of(local)
        refused = tree.copy(source, self._spot(remote), limits=tree.UNLIMITED, keep_links=True)
        if refused:
            raise SandboxError(f"{local} was not put at {remote}: {' '.join(refused[:3])}")

    def get(self, remote: str, local: Path) -> list[str]:
        """Copy a file or folder out, bounded; say what was refused (links, devices, too much)."""
        return tree.copy(self._spot(remote), tree.Spot.of(local))

    def write(self, path: str, data: str | bytes) -> None:
        tree.write(self._spot(path), data.encode() if isinstance(data, str) else data)

    def read(self, path: str) -> bytes:
        return tree.read(self._spot(path))

    def _spot(self, path: str) -> tree.Spot:
        """Find the host's place for a path as the agent knows it."""
        whole = posixpath.normpath(posixpath.join(self._task, path))
        for top, folder in ((self.home, "home"), (self._tmp, "tmp")):
            if whole == top or whole.startswith(f"{top}/"):
                below = [part for part in whole[len(top) :].split("/") if part]
                return tree.Spot(self._root, (folder, *below), path)
        raise UnsafePath(f"{path!r} lies outside {self.home} and {self._tmp}")

    def stop(self) -> None:
        """Kill every process in the sandbox and return once they are proved dead; files stay."""
        with self._around:
            self._boxed.stop()
        if self.mode == "none":
            sweep(self._root)


# The provider.


class LocalProvider:
    """Sandboxes on this machine; satisfies `Provider`."""

    name = "local"

    def __init__(self, unsafe: bool = False) -> None:
        self.unsafe = unsafe
        self._here: dict[str, LocalSandbox] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> LocalProvider:
        return cls(unsafe=settings.unsafe_local)

    @property
    def isolation(self) -> str:
        """The mode, for the record: an agent that ran without namespaces is to be seen there."""
        return self.mode if self.mode != "none" else "none (unsafe)" if self.unsafe else "none"

    @property
    def mode(self) -> str:
        """How sandboxes are closed off here: one of MODES."""
        return current_mode()

    def preflight(self) -> list[str]:
        """Say what it is and what is missing, a line each (`ale doctor`)."""
        lines = [f"mode {self.mode}"]
        lines += [f"{mode}: {probe(mode) or 'works'}" for mode in MODES[:2]]
        if any(probe(mode) for mode in MODES[:2]):
            lines.append(f"for more, {HOW_TO_BOX}")
        return lines

    def refuses(self, spec: SandboxSpec, *, trusted: bool) -> str | None:
        """Say why it cannot host this, or None."""
        return _lacking(spec) or _walls_lacking(spec, current_mode()) or self._unsafe(trusted)

    def _unsafe(self, trusted: bool) -> str | None:
        mode = current_mode()
        if mode != "none":
            why = probe(mode)
            return why and f"local provider cannot box by {mode} here ({why}): {HOW_TO_BOX}"
        if trusted or self.unsafe:
            return None
        return (
            f"local provider cannot box an agent here: {HOW_TO_BOX}; "
            "or take the risk with --ale-unsafe-local"
        )

    def create(self, lease: str, spec: SandboxSpec) -> LocalSandbox:
        """Make a clean sandbox that carries the lease's id as its label."""
        root, mode = directory(lease), current_mode()
        try:
            root.mkdir(mode=0o700)
        except OSError as error:
            raise ProviderFault(f"sandbox {lease}: {error}") from error
        try:
            Tag(lease, dict(spec.labels), mode).write(root)
            furnish(root, spec)
            return self._open(lease, root, spec, mode)
        except BaseException:
            tree.remove(root)
            raise

    def attach(self, lease: str, spec: SandboxSpec) -> LocalSandbox:
        """Reach a sandbox that another process made and kept: a new resident over its files."""
        root = directory(lease)
        if not is_ours(root):
            raise ProviderFault(f"sandbox {lease}: there is no {root} of ours")
        return self._open(lease, root, spec, current_mode())

    def _open(self, lease: str, root: Path, spec: SandboxSpec, mode: str) -> LocalSandbox:
        if why := _walls_lacking(spec, mode):
            raise ProviderFault(f"sandbox {lease}: {why}")
        sandbox = LocalSandbox(root, boxed := launch(root, spec, mode), mode)
        try:
            tag = Tag.read(root) or Tag(lease, dict(spec.labels), mode)
            tag.residents.append([boxed.pid, started(boxed.pid)])
            tag.write(root)
            if spec.sockets:
                sandbox.forward(forwarded(spec))
        except BaseException:
            sandbox.stop()
            raise
        self._here[lease] = sandbox
        return sandbox

    def destroy(self, lease: str) -> None:
        """Kill what lives in a sandbox and remove it; a sandbox that is gone is no error."""
        here, root = self._here.get(lease), directory(lease)
        if here is not None:
            here.stop()
        if is_ours(root):
            tag = Tag.read(root)
            if tag is not None:
                end_residents(root, tag)
            for name in ("home", "tmp"):  # the label last: a half removed sandbox is still found
                tree.remove(root / name)
            tree.remove(root)
        self._here.pop(lease, None)

    def leases(self) -> list[str]:
        """The ids of the sandboxes that exist, found by label and not from the ledger."""
        roots = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
        tags = [Tag.read(root) for root in roots if is_ours(root)]
        return sorted(tag.lease for tag in tags if tag is not None)


def _lacking(spec: SandboxSpec) -> str | None:
    """What a spec asks for that no local sandbox has."""
    reasons = {
        f"local provider has no {spec.os}": spec.os != "linux" or sys.platform != "linux",
        "local provider has no desktop": spec.desktop,
        "local provider has no GPU": spec.gpu,
        f"local provider has no licence for {spec.licence}": spec.licence,
        "local provider installs no packages": spec.packages or spec.python,
        "local provider cannot limit the network to hosts": spec.network not in ("none", "open"),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _walls_lacking(spec: SandboxSpec, mode: str) -> str | None:
    """What a spec asks for that takes a file tree, and a loopback, of the sandbox's own."""
    if mode != "none":
        return None
    if spec.kits:
        return "local provider without namespaces has no kits"
    return "local provider without namespaces leads no port to a socket" if spec.sockets else None
