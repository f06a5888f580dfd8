"""Builds: an image is made from its recipe once, however many processes ask for it.

Knows nothing of sandboxes, tasks or cards; what goes into an image is the caller's to say.

    ~/.cache/pytest-ale/images/         or below XDG_CACHE_HOME
      desktop-3f2a9c0d41e7.lock         held while it is built; how a build failed is written in it
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shlex
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pytest_ale.sandbox import ProviderFault

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["ImageFailed", "Recipe", "Tell", "alone", "build", "cache", "image_id", "made_once"]

Tell = Callable[[str], None]

LINES = 20  # of a failed build's output
TAIL = 100_000  # characters of output that are kept: a compiler's may be endless
NOISE = r" ---> |Step \d+/\d+ :|Removing intermediate container |Successfully "
SILENT_SECONDS = 900  # a build that says nothing for so long is given up
WAIT_SECONDS = 3600

PRIVATE = "recipe/private"
INDEX = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class ImageFailed(ProviderFault):
    """An image cannot be made as it was asked for."""


@dataclass(frozen=True)
class Recipe:
    """An image's name, what it is built on, its Dockerfile, and the files that one copies."""

    ref: str
    base: str
    dockerfile: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


def image_id(api: APIClient, ref: str) -> str | None:
    """The id of an image that is here, or None."""
    from docker.errors import ImageNotFound

    try:
        found = api.inspect_image(ref)  # type: ignore[no-untyped-call]
        return str(found["Id"])
    except ImageNotFound:
        return None


def cache() -> Path:
    """Where locks are, and what was read from images."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative path is to be passed over.
    above = Path(given) if given.startswith("/") else Path("~/.cache").expanduser()
    return above / "pytest-ale" / "images"


# Once: one builds, the others wait; none repeats what failed.

_failures: dict[str, str] = {}


def made_once(api: APIClient, ref: str, make: Callable[[], None], tell: Tell) -> str:
    """Return the id of an image that `make` makes, if nobody has made it."""
    if known := _failures.get(ref):
        raise ImageFailed(f"{known}\n(it failed before in this run, and was not tried again)")
    before = _failure(ref)
    with alone(ref, tell):
        if found := image_id(api, ref):
            return found
        try:
            # Who waited for a build that failed has its answer; who comes later may try again.
            if (last := _failure(ref)) and last != before:
                raise ImageFailed(last.partition("\n")[2])
            make()
        except ImageFailed as failed:
            _failures[ref] = str(failed)
            _lock(ref).write_text(f"{uuid.uuid4()}\n{failed}")
            raise
    if found := image_id(api, ref):
        return found
    raise ProviderFault(f"image {ref} was made, and is gone again: is anybody removing images?")


def _failure(ref: str) -> str:
    """How an image's last build failed: a number of its own, then the message."""
    try:
        return _lock(ref).read_text()
    except OSError:
        return ""


def _lock(ref: str) -> Path:
    name = re.sub(r"[^a-z0-9_.-]+", "-", ref.lower().removeprefix("pytest-ale/"))[-100:]
    return cache() / f"{name}.lock"


@contextmanager
def alone(ref: str, tell: Tell) -> Iterator[None]:
    """Hold an image's lock; the kernel frees the lock of a process that died."""
    path = _lock(ref)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
    except OSError as error:
        raise ProviderFault(
            f"image {ref} cannot be locked: {error}; XDG_CACHE_HOME can name another folder"
        ) from error
    with lock:
        _wait_for(lock, ref, tell)
        yield


def _wait_for(lock: TextIO, ref: str, tell: Tell) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    said = False
    while not _locked(lock.fileno()):
        if not said:
            tell(f"image {ref}: waiting for the process that makes it")
            said = True
        if time.monotonic() > deadline:
            raise ProviderFault(f"image {ref}: another process has held {lock.name} for an hour")
        time.sleep(0.1)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# One build.


def build(api: APIClient, recipe: Recipe, tell: Tell) -> None:
    """Have the engine build an image; a failure is told with the command and its last lines."""
    tell(f"image {recipe.ref}: building {recipe.about}")
    began = time.monotonic()
    stream = api.build(
        fileobj=context(recipe),
        custom_context=True,
        tag=recipe.ref,
        buildargs={"base": recipe.base} | _proxies(os.environ),
        labels=dict(recipe.labels),
        rm=True,
        forcerm=True,
        nocache=True,  # a package list of last month names files that are gone
        timeout=SILENT_SECONDS,
        decode=True,
    )
    output = _Output()
    try:
        with closing(stream):  # the engine ends a build whose connection is closed
            for event in stream:
                output.add(event)
    except Exception as error:  # urllib3's and requests' errors come through the SDK
        output.error = f"the engine's answer broke off: {error}"
    if output.error:
        output.discard(api)
        # Another try may cure what no command of ours did.
        kind = ImageFailed if "returned a non-zero code" in output.error else ProviderFault
        raise kind(f"image {recipe.ref} could not be built: {output.told()}")
    tell(f"image {recipe.ref}: built in {time.monotonic() - began:.0f} s")


class _Output:
    """What a build says, as far as a failure will want it."""

    def __init__(self) -> None:
        self.error = ""
        self._text = ""
        self._layer = ""

    def add(self, event: Mapping[str, object]) -> None:
        """Take one event; a line may come in many, each piece of stderr in a colour of its own."""
        self.error = str(event.get("error") or self.error).strip()
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(event.get("stream") or ""))
        if found := re.fullmatch(r" ---> ([0-9a-f]{12,64})\n", said):
            self._layer = found[1]
        elif not re.match(NOISE, said):
            self._text = (self._text + said)[-TAIL:]

    def told(self) -> str:
        said, _, last = ("\n" + self._text).rpartition("\n+ ")
        command, _, output = last.partition("\n")
        what = f"`{command.strip()}` failed" if said or self._text.startswith("+ ") else self.error
        lines = [line.rstrip() for line in re.split(r"[\r\n]+", output) if line.strip()]
        return "\n".join([what, *(f"    {line}" for line in lines[-LINES:])])

    def discard(self, api: APIClient) -> None:
        """Remove the steps before the one that failed: nobody would find their nameless images."""
        from docker.errors import APIError

        if self._layer:
            with suppress(APIError):
                api.remove_image(self._layer)


def context(recipe: Recipe) -> io.BytesIO:
    """The tar that a build is made from; the same bytes for the same files."""
    files = {"Dockerfile": recipe.dockerfile} | dict(recipe.files) | _private(os.environ)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o755 if "/bin/" in name else 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    data.seek(0)
    return data


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Docker knows these arguments: they are in no layer, and no image's history shows them."""
    names = [name for given in PROXIES for name in (given, given.lower())]
    return {name: env[name] for name in names if env.get(name)}


def _private(env: Mapping[str, str]) -> dict[str, bytes]:
    """How this machine reaches a package index, for the build alone.

    Where the network inspects TLS, pip knows only the bundle's certificates to be right.
    """
    lines = {name: env[name] for name in INDEX if env.get(name)}
    files = {}
    bundles = [Path(env[name]) for name in reversed(TRUST) if env.get(name)]
    if bundle := next((path for path in bundles if path.is_file()), None):
        files[f"{PRIVATE}/ca.crt"] = bundle.read_bytes()
        lines |= dict.fromkeys((*TRUST, "CURL_CA_BUNDLE"), f"/{PRIVATE}/ca.crt")
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in lines.items())
    return files | {f"{PRIVATE}/environment": text.encode()}
