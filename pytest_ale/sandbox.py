"""What a sandbox is: small protocols, and the tree of infrastructure faults.

Knows nothing of pytest, tasks or agents.

    Fault                      infrastructure: never a score, whatever the phase
     ├─ ProviderFault          no sandbox could be had, reached or released
     │   └─ Busy               not now (quota, rate): asked again later it may work
     ├─ SandboxLost            a sandbox went away that nobody asked to go
     ├─ HarnessFault           an agent program could not be deployed or launched
     ├─ GraderFault            task code broke its contract or crashed
     │   └─ GraderTimeout      task code did not end within its deadline
     ├─ GatewayFault           the model gateway could not be had or reached (gateway/)
     │   └─ ModelLost          the server of a model failed in the middle
     ├─ RecordFault            what happened could not be written down
     └─ PhaseTimeout           a phase did not end within its deadline
    SandboxError(Exception)    the sandbox works and says no: the caller's to handle
     ├─ ExecFailed             exit status other than 0, and check=True
     ├─ ExecTimeout            a command ran longer than it was given
     ├─ DesktopError           the screen cannot be reached, or cannot do what was asked
     ├─ SandboxBroken          what ran inside ended the whole sandbox; its files can still be had
     └─ UnsafePath             a path in the sandbox leads somewhere it may not
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

__all__ = [
    "Busy",
    "Button",
    "Desktop",
    "DesktopError",
    "ExecFailed",
    "ExecResult",
    "ExecTimeout",
    "Fault",
    "GraderFault",
    "GraderTimeout",
    "HarnessFault",
    "PhaseTimeout",
    "Provider",
    "ProviderFault",
    "RecordFault",
    "Sandbox",
    "SandboxBroken",
    "SandboxError",
    "SandboxLost",
    "SandboxSpec",
    "Screen",
    "ScreenStream",
    "UnsafePath",
    "Watchable",
    "Window",
]


class Fault(Exception):
    """Something outside the agent failed; `phase` is filled in by the story."""

    phase: str = ""


class ProviderFault(Fault):
    """`zone` is where it happened, of a provider that has several."""

    zone: str = ""


class Busy(ProviderFault):
    """The provider says: not now; asked again later, it may work."""

    def __init__(self, message: str, what: str = "quota", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.what = what  # "quota" | "rate"
        self.retry_after = retry_after  # seconds, where the provider said so


class SandboxLost(Fault): ...


class HarnessFault(Fault): ...


class GraderFault(Fault): ...


class GraderTimeout(GraderFault): ...


class RecordFault(Fault): ...


class PhaseTimeout(Fault): ...


class SandboxError(Exception): ...


class ExecFailed(SandboxError): ...


class ExecTimeout(SandboxError):
    """`stdout` and `stderr` are what the command had said by then."""

    stdout: str = ""
    stderr: str = ""


class DesktopError(SandboxError): ...


class SandboxBroken(SandboxError): ...


class UnsafePath(SandboxError): ...


@dataclass(frozen=True)
class SandboxSpec:
    """What is asked of a provider.

    `hidden` are host paths that must not be seen from inside. `kits` are host folders that are
    seen inside read-only, each by its own name below /opt/ale. `sockets` are unix sockets on the
    host, each reached inside by a loopback port, whatever the network. `avoid` are zones in which
    attempts at the same failed before.
    """

    os: str = "linux"
    packages: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    desktop: bool = False
    screen: tuple[int, int] = (1280, 800)  # width, height
    cpus: float = 2
    memory_gb: float = 4
    disk_gb: float = 10
    gpu: int = 0
    licence: str | None = None
    network: str | tuple[str, ...] = "none"  # "none", "open", or the hosts that may be reached
    hidden: tuple[Path, ...] = ()
    kits: tuple[Path, ...] = ()
    sockets: Mapping[int, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExecResult:
    """How a command ended; text is decoded with errors="replace" and bounded."""

    returncode: int
    stdout: str
    stderr: str


Button = Literal["left", "middle", "right"]


@dataclass(frozen=True)
class Window:
    """A window as the window manager knows it; `program` is its class, such as XTerm."""

    id: int
    title: str
    program: str
    x: int
    y: int
    width: int
    height: int
    active: bool


class Desktop(Protocol):
    """A sandbox's screen, mouse, keyboard and clipboard; places are pixels from the top left.

    Each call returns when it was done. A DesktopError says that it could not be.
    """

    def size(self) -> tuple[int, int]: ...

    def screenshot(self) -> bytes:
        """The whole screen, as PNG."""
        ...

    def cursor(self) -> tuple[int, int]: ...

    def move(self, x: int, y: int) -> None: ...

    def click(
        self, x: int | None = None, y: int | None = None, *, button: Button = "left", times: int = 1
    ) -> None:
        """Click at a place, or where the cursor is; `times=2` is one double click."""
        ...

    def press(self, button: Button = "left") -> None: ...

    def release(self, button: Button = "left") -> None: ...

    def drag(
        self, path: Sequence[tuple[int, int]], *, button: Button = "left", seconds: float = 0.3
    ) -> None:
        """Hold a button along a path of at least two places, with moves between them."""
        ...

    def scroll(self, x: int, y: int, *, down: int = 0, right: int = 0) -> None:
        """Turn the wheel at a place by so many notches; negative is up, left."""
        ...

    def type(self, text: str) -> None:
        """Type any Unicode text; a newline is Return, a tab is Tab."""
        ...

    def keys(self, chord: str, *, seconds: float = 0) -> None:
        """Press a chord such as "ctrl+shift+t" or "Return", hold it, let it go."""
        ...

    def keys_down(self, chord: str) -> None: ...

    def keys_up(self, chord: str) -> None: ...

    def clipboard(self) -> str:
        """The text that a paste would give, "" where there is none."""
        ...

    def set_clipboard(self, text: str) -> None: ...

    def windows(self) -> list[Window]:
        """The windows that the window manager manages but for panels, the lowest first."""
        ...

    def activate(self, window: int) -> None:
        """Raise a window, by id, and give it the keyboard."""
        ...


class Sandbox(Protocol):
    """One machine-like workspace, handed out clean, for one attempt."""

    inputs: str
    output: str
    home: str

    @property
    def about(self) -> Mapping[str, object]:
        """What it is made of, for the record: image, engine, what was asked and what was given;
        `zone`, where its provider has several."""
        ...

    @property
    def desktop(self) -> Desktop: ...

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
        ...

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
        """Run a command and hand on what it writes as it comes, `told("stdout"|"stderr", data)`.

        `tick` is called about once a second. What either of them raises ends the command, with
        its process group, and is raised again.
        """
        ...

    def interact(self, command: Sequence[str], *, terminal: int) -> int:
        """Run a command on the caller's terminal (a file descriptor) until it ends."""
        ...

    def put(self, local: Path, remote: str) -> None:
        """Copy a host file or folder into the sandbox."""
        ...

    def get(self, remote: str, local: Path) -> list[str]:
        """Copy a file or folder out, bounded; say what was refused (links, devices, too much)."""
        ...

    def write(self, path: str, data: str | bytes) -> None: ...

    def read(self, path: str) -> bytes: ...

    def stop(self) -> None:
        """Kill every process in the sandbox and return once they are proved dead; files stay."""
        ...


class Provider(Protocol):
    """Where sandboxes come from; SDKs are imported by its methods, not by its module."""

    name: str

    @property
    def isolation(self) -> str:
        """How sandboxes are kept apart, in a word, for the record."""
        ...

    def preflight(self) -> list[str]:
        """Say what it is and what is missing, a line each (`ale doctor`)."""
        ...

    def refuses(self, spec: SandboxSpec, *, trusted: bool) -> str | None:
        """Say why it cannot host this, or None; no network, no side effects."""
        ...

    def create(self, lease: str, spec: SandboxSpec) -> Sandbox:
        """Make a clean sandbox that carries the lease's id as its label; Busy for `not now`."""
        ...

    def attach(self, lease: str, spec: SandboxSpec) -> Sandbox:
        """Reach a sandbox that another process made and kept."""
        ...

    def destroy(self, lease: str) -> None:
        """Remove the sandbox and all it holds; a sandbox that is gone is no error."""
        ...

    def leases(self) -> list[str]:
        """The ids of the sandboxes that exist, found by label and not from the ledger."""
        ...


class ScreenStream(Protocol):
    """A connection to a screen that speaks VNC."""

    def send(self, data: bytes) -> None: ...

    def receive(self, most: int) -> bytes:
        """What came next; b"" when there will be no more."""
        ...

    def close(self) -> None: ...


class Screen(Protocol):
    """A sandbox's screen for a person to look at."""

    @property
    def page(self) -> Mapping[str, bytes]:
        """The files of noVNC, by their paths."""
        ...

    def dial(self) -> ScreenStream: ...


@runtime_checkable
class Watchable(Protocol):
    """A provider that can show what is on its sandboxes' screens (`ale watch`)."""

    def screens(self) -> Mapping[str, str]:
        """The leases that run here with a screen, whoever made them, and their attempts."""
        ...

    def screen(self, lease: str, *, control: bool) -> Screen:
        """One of them; without `control` it can be looked at and not touched."""
        ...
