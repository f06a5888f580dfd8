"""Stock: the images of ours that are here, which cards use them, and removing the others.

Knows nothing of sandboxes; a card is read, its task's code is not.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale import images
from pytest_ale.builds import Tell
from pytest_ale.sandbox import ProviderFault, SandboxSpec

if TYPE_CHECKING:
    from docker import APIClient

__all__ = [
    "Done",
    "Need",
    "Stored",
    "build_all",
    "cards",
    "listing",
    "needs",
    "prune",
    "stored",
    "uses",
]

FORGOTTEN_SECONDS = 3600  # a nameless image may be a step of a build that goes on now


@dataclass(frozen=True)
class Need:
    """What some tasks want of an image."""

    spec: SandboxSpec
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """One image of ours; `own` is what it adds to the image below it, in bytes."""

    ref: str
    id: str
    base: str
    size: int
    own: int
    made: datetime
    about: str


def stored(api: APIClient) -> list[Stored]:
    """The images of ours, the newest last; one that others are built on before those."""
    found = api.images(filters={"label": images.KIND, "dangling": False})
    sizes = {tag: each["Size"] for each in api.images() for tag in each["RepoTags"] or ()}
    kept = [_stored(tag, each, sizes) for each in found for tag in each["RepoTags"] or ()]
    return sorted(kept, key=lambda image: (image.made, image.ref))


def _stored(tag: str, found: dict[str, object], sizes: dict[str, int]) -> Stored:
    labels, size, made = found["Labels"], found["Size"], found["Created"]
    assert isinstance(labels, dict) and isinstance(size, int) and isinstance(made, int)
    base = str(labels.get("pytest-ale.base", "")).partition(" ")[0]
    about = labels.get("pytest-ale.packages") or f"the desktop, on {base}"
    own = size - sizes.get(base, 0)
    return Stored(tag, str(found["Id"]), base, size, own, datetime.fromtimestamp(made, UTC), about)


# Cards.


def cards(words: Iterable[str]) -> Iterator[Path]:
    """The cards below folders, or of tasks named by their ids."""
    for word in words:
        places = [place for place in (Path(word), Path("tasks", word)) if place.is_dir()]
        found = sorted(places[0].rglob("card.yaml")) if places else []
        if not found:
            raise LookupError(f"{word!r} is neither a folder with tasks in it nor a task's id")
        yield from found


def needs(paths: Iterable[Path]) -> list[Need]:
    """What the cards want of images, each once."""
    from pytest_ale.card import load_card

    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for path in paths:
        card = load_card(path)
        if card.environment.os == "linux":
            wanted = tuple(card.environment.packages), tuple(card.environment.python)
            found.setdefault(wanted, []).append(f"{card.cluster}/{path.parent.name}")
    return [
        Need(SandboxSpec(packages=packages, python=python), tuple(tasks))
        for (packages, python), tasks in found.items()
    ]


def uses(api: APIClient, wanted: Iterable[Need], base: str | None) -> dict[str, list[str]]:
    """The tasks that use each image; what it is built on must be here to say so."""
    if not images.has_base(api, base):
        what = f"the image {base or images.DEFAULT} is not here"
        raise ProviderFault(f"{what}: what is built on it cannot be told from what is not")
    used: dict[str, list[str]] = {}
    for need in wanted:
        if not images.refuses(need.spec):
            for recipe in images.needed(api, need.spec, base, _silent):
                used.setdefault(recipe.ref, []).extend(need.tasks)
    return used


def _silent(_: str) -> None: ...


def listing(api: APIClient, wanted: Iterable[Need], base: str | None) -> Iterator[str]:
    """Two lines for each image, and one for all of them."""
    used: dict[str, list[str]] = {}
    with suppress(ProviderFault):
        used = uses(api, wanted, base)
    for image in (found := stored(api)):
        size, made = f"{image.size / 1e6:,.0f} MB", f"{image.made.astimezone():%Y-%m-%d %H:%M}"
        yield f"{image.ref:34} {size:>9}  {made}  {image.about}"
        yield f"    {_some(used.get(image.ref, []))}"
    total = sum(image.own for image in found) / 1e6
    yield f"{len(found)} images, {total:,.0f} MB beside their bases" if found else "no images"


def _some(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    return f"used by {', '.join(tasks[:5])}{more}" if tasks else "no task uses it"


@dataclass(frozen=True)
class Done:
    """A line to say about an image, and whether it went as it was wanted."""

    line: str
    ok: bool
    freed: int = 0


def build_all(
    api: APIClient, wanted: Iterable[Need], base: str | None, tell: Tell
) -> Iterator[Done]:
    """Build what is missing; what cannot be built does not stop the others."""
    for need in wanted:
        try:
            ref = images.ensure(api, need.spec, base, tell).ref
            yield Done(f"{ref}: {_some(need.tasks)}", ok=True)
        except ProviderFault as fault:
            yield Done(f"{_some(need.tasks)}: {fault}".removeprefix("used by "), ok=False)


# Removing.


def prune(api: APIClient, used: Container[str]) -> Iterator[Done]:
    """Remove the images of ours that nobody uses, and what dead builds left."""
    _remove_leftovers(api)
    bases = set()
    for image in reversed(stored(api)):  # the lowest last
        if image.ref in used or image.ref in bases:
            continue
        if refused := _remove(api, image):
            bases.add(image.base)
            yield Done(f"{image.ref}: {refused}", ok=False)
        else:
            yield Done(f"{image.ref}: removed", ok=True, freed=image.own)


def _remove(api: APIClient, image: Stored) -> str:
    from docker.errors import APIError, ImageNotFound

    holders = api.containers(all=True, filters={"ancestor": image.id})
    if holders:
        return f"container {holders[0]['Names'][0].lstrip('/')} uses it"
    try:
        api.remove_image(image.ref)
    except ImageNotFound:
        return ""
    except APIError as error:
        return str(error.explanation or error)
    return ""


def _remove_leftovers(api: APIClient) -> None:
    """Nameless images and containers of builds whose process was killed."""
    from docker.errors import APIError

    long_ago = time.time() - FORGOTTEN_SECONDS
    readers = api.containers(all=True, filters={"label": f"{images.KIND}=reader"})
    steps = api.images(filters={"label": images.KIND, "dangling": True})
    for found, remove in ((readers, api.remove_container), (steps, api.remove_image)):
        for each in found:
            with suppress(APIError):
                if each["Created"] < long_ago:
                    remove(each["Id"])
