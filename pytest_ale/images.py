"""Images: what a container sandbox is made from, for what is asked of it.

Knows nothing of containers, tasks or cards.

    debian:bookworm-slim            the base, or what --ale-image names; pulled if it must be
    pytest-ale/desktop:HASH         over it: a desktop, the user `agent`, Python (image/)
    pytest-ale/task:HASH            over that: the packages of one card, if it has any

A HASH is of the image below and of all that went in: another recipe is another image.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale import builds
from pytest_ale.builds import ImageFailed, Recipe, Tell
from pytest_ale.sandbox import ProviderFault, SandboxSpec

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["DEFAULT", "KIND", "Image", "ImageFailed", "ensure", "has_base", "needed", "refuses"]

DEFAULT = "debian:bookworm-slim"
WITHOUT_REGISTRY = "pytest-ale/debian:bookworm"  # made by scripts/engines
DESKTOP, TASK = "pytest-ale/desktop", "pytest-ale/task"
KIND = "pytest-ale.kind"  # a label: desktop or task
RECIPES = Path(__file__).parent / "image"
INSTALLED = "/etc/pytest-ale/packages.json"

PACKAGE = r"[a-z0-9][a-z0-9+.-]*[a-z0-9+](:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?"

Installed = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Image:
    """An image that is here; `packages` has the versions of what Debian and Python installed."""

    ref: str
    id: str
    packages: Installed


def ensure(api: APIClient, spec: SandboxSpec, base: str | None, tell: Tell) -> Image:
    """Return the image for a sandbox; build what is missing of it, once for all who ask."""
    recipes = needed(api, spec, base, tell)
    id = builds.image_id(api, recipes[-1].ref)
    for recipe in () if id else recipes:
        id = builds.made_once(api, recipe.ref, partial(builds.build, api, recipe, tell), tell)
    assert id
    return Image(recipes[-1].ref, id, _installed(api, id))


def needed(
    api: APIClient, spec: SandboxSpec, base: str | None, tell: Tell
) -> tuple[Recipe] | tuple[Recipe, Recipe]:
    """The images below a sandbox, its own one last; only their base is had for that."""
    if reason := refuses(spec):
        raise ImageFailed(reason)
    desktop = _desktop(_base(api, base, tell))
    return (desktop, _task(desktop.ref, spec)) if spec.packages or spec.python else (desktop,)


def refuses(spec: SandboxSpec) -> str | None:
    """Say which package can be none, or None."""
    for name in spec.packages:
        if not re.fullmatch(PACKAGE, name):
            return f"packages: {name!r} is no Debian package (a NAME, or NAME=VERSION)"
    for words in spec.python:
        if not words.strip() or words.lstrip().startswith("-") or not words.isprintable():
            return f"python: {words!r} is no requirement (such as six or 'six>=1.16')"
    return None


# The base.


@dataclass(frozen=True)
class _Base:
    ref: str
    id: str


_bases: dict[tuple[APIClient, str | None], _Base] = {}


def _base(api: APIClient, given: str | None, tell: Tell) -> _Base:
    """What all is built on; the same one for the whole run, whatever is pulled meanwhile."""
    key = (api, given)
    if key not in _bases:
        _bases[key] = _find_base(api, given, tell)
    return _bases[key]


def _find_base(api: APIClient, given: str | None, tell: Tell) -> _Base:
    if found := _local_base(api, given):
        return found
    wanted = given or DEFAULT
    return _Base(wanted, builds.made_once(api, wanted, lambda: _pull(api, wanted, tell), tell))


def has_base(api: APIClient, given: str | None) -> bool:
    """Is it here, so that nothing would be pulled?"""
    return _local_base(api, given) is not None


def _local_base(api: APIClient, given: str | None) -> _Base | None:
    for ref in [given] if given else [DEFAULT, WITHOUT_REGISTRY]:
        if id := builds.image_id(api, ref):
            return _Base(ref, id)
    return None


def _pull(api: APIClient, ref: str, tell: Tell) -> None:
    tell(f"image {ref}: pulling")
    name, _, by_digest = ref.partition("@")
    try:
        with closing(api.pull(name, tag=by_digest or None, stream=True, decode=True)) as stream:
            said = [str(event["error"]) for event in stream if "error" in event]
    except Exception as error:  # the SDK lets requests' errors through
        said = [str(getattr(error, "explanation", None) or error)]
    if said:
        raise ImageFailed(
            f"the image {ref} is not here and cannot be pulled: {said[-1]}; name another with"
            " --ale-image, or make one without a registry: scripts/engines, in a clone of"
            f" pytest-ale, makes {WITHOUT_REGISTRY}"
        )


# The layers.


@cache
def _files(dockerfile: str) -> dict[str, bytes]:
    """The files of our own that a Dockerfile copies, by their places in its context."""
    copied = re.findall(r"^COPY (\S+)", (RECIPES / dockerfile).read_text(), re.MULTILINE)
    paths = [path for folder in copied for path in (RECIPES / folder).rglob("*") if path.is_file()]
    own = sorted(path for path in paths if path.suffix != ".pyc")
    return {str(path.relative_to(RECIPES)): path.read_bytes() for path in own}


@cache
def _desktop(base: _Base) -> Recipe:
    dockerfile = (RECIPES / "desktop.Dockerfile").read_bytes()
    files = _files("desktop.Dockerfile")
    return Recipe(
        f"{DESKTOP}:{_hash(base.id, dockerfile, files)}",
        base.ref,
        dockerfile,
        files,
        {"pytest-ale.base": f"{base.ref} {base.id}"},
        f"the desktop, on {base.ref}: this takes a minute or more, once",
    )


def _task(desktop: str, spec: SandboxSpec) -> Recipe:
    dockerfile = (RECIPES / "task.Dockerfile").read_bytes()
    packages, python = sorted({*spec.packages}), sorted({*spec.python})
    lists = {"recipe/packages": packages, "recipe/python": python}
    asked = {name: "".join(f"{each}\n" for each in lists[name]).encode() for name in lists}
    files = _files("task.Dockerfile") | asked
    about = " ".join([*packages, *python])
    return Recipe(
        f"{TASK}:{_hash(desktop, dockerfile, files)}",
        desktop,
        dockerfile,
        files,
        {"pytest-ale.base": desktop, "pytest-ale.packages": about},
        about if len(about) <= 200 else f"{about[:200]} ...",
    )


def _hash(parent: str, dockerfile: bytes, files: Mapping[str, bytes]) -> str:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    text = json.dumps([parent, dockerfile.decode(), digests])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# What is installed.


@cache
def _installed(api: APIClient, id: str) -> Installed:
    """Read from the image once, and from then on from our cache: it is for every record."""
    path = builds.cache() / f"{id.removeprefix('sha256:')[:32]}.json"
    try:
        found: Installed = json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = json.loads(_read(api, id, INSTALLED))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(found))
        partial.replace(path)
    return found


def _read(api: APIClient, id: str, path: str) -> bytes:
    """A file of an image: the engine gives files of containers only, so one is made, not run."""
    from docker.errors import DockerException

    try:
        container = api.create_container(id, ["true"], labels={KIND: "reader"})["Id"]
        try:
            stream, _ = api.get_archive(container, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
                file = tar.extractfile(tar.next() or "")
                return file.read() if file else b"{}"
        finally:
            api.remove_container(container, force=True)
    except (DockerException, tarfile.TarError, KeyError) as error:
        raise ProviderFault(f"{path} of image {id} cannot be read: {error}") from error
