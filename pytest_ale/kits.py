"""Kits: programs for use in sandboxes, packed once for each version and platform.

Knows nothing of sandboxes, tasks or agents: a kit is a host folder, to be mounted or put.

    ~/.cache/pytest-ale/kits/               or below XDG_CACHE_HOME
      bridge-3f2a9c0d41e7-linux-x86_64/     a whole kit, never changed once it is there
      .bridge-...-linux-x86_64.lock         held while it is packed
      .bridge-...-linux-x86_64.partial/     being packed, or left by a packer that died
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_ale import progress
from pytest_ale.sandbox import ProviderFault

__all__ = ["Kit", "Packed", "bridge_kit", "cache", "held", "libraries_kit", "machine_of", "pack"]

BRIDGE = Path(__file__).with_name("bridge")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

# What the bridge imports, whole: nothing is resolved when a kit is packed. Of each package, the
# newest version that has a wheel for every Python above; a test checks that none is missing.
# First those of which one wheel does for all (cryptography's is abi3, from 3.9 on).
SHARED = (
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "attrs==26.1.0",
    "click==8.5.1",
    "cryptography==50.0.2",
    "exceptiongroup==1.3.1",
    "h11==0.16.0",
    "httpcore2==2.14.0",
    "httpx2==2.14.0",
    "idna==3.20",
    "jsonschema==4.26.0",
    "jsonschema-specifications==2025.9.1",
    "mcp==2.3.0",
    "mcp-types==2.3.0",
    "opentelemetry-api==1.45.2",
    "pycparser==3.11",
    "pydantic==2.14.3",
    "pyjwt==2.15.1",
    "python-multipart==0.0.32",
    "python-xlib==0.33",
    "referencing==0.37.0",
    "six==1.17.0",
    "sse-starlette==3.5.1",
    "starlette==1.7.0",
    "truststore==0.10.5",
    "typing-extensions==4.16.0",
    "typing-inspection==0.4.5",
    "uvicorn==0.54.0",
)
COMPILED = ("cffi==2.1.1", "pydantic-core==2.50.4", "rpds-py==0.30.0")

# To be raised when kits are laid out in another way.
LAYOUT = "1"

MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
# glibc 2.28 is of 2018, older than any Linux whose own Python is 3.10.
MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
PIP_SECONDS = 300
WAIT_SECONDS = 900

_held: ContextVar[tuple[int, ...]] = ContextVar("_held", default=())


# Any kit.


@dataclass(frozen=True)
class Kit:
    """What a kit is called; `version` says all that it was packed from."""

    name: str
    version: str
    platform: str

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.platform}"


class Packed(Protocol):
    """A program that can be packed in versions, whoever fetches it (npm.py is one)."""

    @property
    def version(self) -> str:
        """The one that was tried, and is meant where none is named."""
        ...

    @property
    def by(self) -> str:
        """What fetches it, for people."""
        ...

    def resolve(self, asked: str) -> str:
        """Which version a name such as `latest` means now; HarnessFault where there is none."""
        ...

    def kit_of(self, version: str) -> Path:
        """Where a version's kit lies; packed now if it was not before."""
        ...

    def is_here(self, version: str) -> bool: ...

    def command(self, kit: str) -> list[str]:
        """Start of a command that runs it, where its kit is seen at this path."""
        ...


def cache() -> Path:
    """Where kits are kept."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative path is to be passed over.
    above = Path(given) if given.startswith("/") else Path("~/.cache").expanduser()
    return above / "pytest-ale" / "kits"


def pack(kit: Kit, fill: Callable[[Path], None]) -> Path:
    """Say where a kit lies; if nobody packed it before, let `fill` do so while others wait."""
    whole = cache() / str(kit)
    if whole.is_dir():
        return whole
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        with _alone(whole.with_name(f".{kit}.lock")):
            if not whole.is_dir():
                _pack(whole, fill)
    except OSError as error:
        raise ProviderFault(
            f"kit {kit} could not be packed in {cache()}: {error}; "
            "XDG_CACHE_HOME can name another folder"
        ) from error
    return whole


def _pack(whole: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder beside, then give it its name: a kit that has its name is whole."""
    progress.tell(f"packing {whole.name} ...")
    partial = whole.with_name(f".{whole.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        fill(partial)
        _open_to_all(partial)
        partial.rename(whole)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise ProviderFault(
                    f"another process has held {lock} for {WAIT_SECONDS} s; `fuser {lock}` names it"
                )
            time.sleep(0.05)
        token = _held.set((*_held.get(), file.fileno()))
        try:
            yield
        finally:
            _held.reset(token)


def held() -> tuple[int, ...]:
    """Locks for `fill` to pass to its children: one that outlives us still writes to the kit."""
    return _held.get()


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_to_all(folder: Path) -> None:
    """In a sandbox another user reads it, whatever the umask was here."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:12]


# The bridge's.


def bridge_kit(machine: str = "") -> Path:
    """Pack the bridge: `python3 KIT/run.py desktop|machine|desk`, on any Python of PYTHONS."""
    machine = machine_of(machine)
    sources = sorted(BRIDGE.glob("*.py"))
    texts = [part for path in sources for part in (path.name.encode(), path.read_bytes())]
    version = _digest(*texts, libraries(machine).version.encode())
    return pack(Kit("bridge", version, f"linux-{machine}"), lambda to: _fill_bridge(to, machine))


def libraries(machine: str) -> Kit:
    pins = "\n".join((LAYOUT, *PYTHONS, "", *SHARED, "", *COMPILED, "", *MANYLINUX))
    return Kit("libraries", _digest(pins.encode()), f"linux-{machine}")


def libraries_kit(machine: str = "") -> Path:
    """Pack what the bridge imports; apart, for it changes less often than the bridge."""
    machine = machine_of(machine)
    return pack(libraries(machine), lambda to: _fill_libraries(to, machine))


def machine_of(given: str) -> str:
    """Say which kind of machine is meant; "" is this one's."""
    name = given or platform.machine()
    if name.lower() not in MACHINES:
        raise ProviderFault(f"no kit for machines of kind {name!r}: one of {', '.join(MACHINES)}")
    return MACHINES[name.lower()]


def _fill_bridge(to: Path, machine: str) -> None:
    # Links: the libraries of ten versions of the bridge take the room of one.
    shutil.copytree(libraries_kit(machine), to / "libraries", copy_function=os.link)
    (to / "bridge").mkdir()
    for path in BRIDGE.glob("*.py"):
        shutil.copyfile(path, to / "bridge" / path.name)
    shutil.copyfile(BRIDGE / "run.py", to / "run.py")
    (to / "platform").write_text(f"linux-{machine}\n")
    _compile(to / "bridge")


def _fill_libraries(to: Path, machine: str) -> None:
    installer = _installer(machine)
    _install(installer, to / "shared", SHARED, PYTHONS[0])
    for python in PYTHONS:
        _install(installer, to / f"python{python}", COMPILED, python)
    _compile(to)


def _installer(machine: str) -> list[str]:
    """Start of a command that installs wheels for another Python than the one that runs it."""
    if importlib.util.find_spec("pip"):
        words = [f"--platform={tag}_{machine}" for tag in MANYLINUX]
        return [sys.executable, "-m", "pip", "install", "--implementation=cp", *words]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", f"--python-platform={machine}-{MANYLINUX[0]}"]
    raise ProviderFault(
        f"packing a kit needs pip in {sys.executable} (python -m ensurepip), or uv on the PATH"
    )


def _install(installer: Sequence[str], to: Path, pins: Sequence[str], python: str) -> None:
    to.mkdir()
    words = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    command = [*installer, *words, f"--python-version={python}", f"--target={to}", *pins]
    # A user's own settings of pip are wanted (index, certificates), these two are in the way.
    env = os.environ | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    try:
        # In `to`: pip would be imported from the current folder first.
        subprocess.run(
            command,
            cwd=to,
            env=env,
            check=True,
            timeout=PIP_SECONDS,
            capture_output=True,
            pass_fds=held(),
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(python, f"no end after {PIP_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.decode(errors="replace").splitlines() if line]
        raise _not_fetched(python, "\n".join(lines[-5:])) from error
    shutil.rmtree(to / "bin", ignore_errors=True)


def _not_fetched(python: str, why: str) -> ProviderFault:
    return ProviderFault(
        f"libraries for the bridge (Python {python}) could not be fetched: {why}\n"
        "This needs a package index, once: see `pip config list`; "
        f"or copy {cache()} from a machine that has them."
    )


def _compile(folder: Path) -> None:
    """Add bytecode of the Pythons found here: with it a server starts in a third of the time.

    Not checked against the sources when it is used: a copy of a kit has other times of change.
    """
    options = ["-q", "-s", str(folder.parent), "--invalidation-mode", "unchecked-hash"]
    for python in _interpreters():
        command = [python, "-I", "-m", "compileall", *options, str(folder)]
        subprocess.run(command, check=False, timeout=PIP_SECONDS, capture_output=True)


def _interpreters() -> list[str]:
    found = {version: shutil.which(f"python{version}") for version in PYTHONS}
    found[f"{sys.version_info.major}.{sys.version_info.minor}"] = sys.executable
    return [path for path in found.values() if path]
