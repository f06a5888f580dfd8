"""Secrets that this process knows of, and must not write down.

Knows nothing of who uses them. Patterns miss keys of a new kind (peers.md 25): what is looked for
is the values themselves, in the usual encodings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pytest_ale.gateway.scrub import Scrub
from pytest_ale.trees import ALL, files

__all__ = ["cleanse", "scrub", "secrets"]

NAMED = re.compile(
    r"(^|_)(API_?)?(KEYS?|TOKENS?|SECRETS?|PASSW(OR)?D|PASSPHRASE|CREDENTIALS?)(_|$)"
)
SHORTEST = 8  # characters: less occurs by chance


def secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of variables whose names say that they are secret, but for those of paths."""
    return {
        name: value
        for name, value in environ.items()
        if NAMED.search(name.upper()) and len(value) >= SHORTEST and not value.startswith("/")
    }


@cache
def scrub(*more: str) -> Scrub:
    """Takes this process's secrets out of bytes or text, those of `more` variables included."""
    given = {name: os.environ[name] for name in more if name in os.environ}
    return Scrub(secrets(os.environ) | given)


def cleanse(folder: Path, scrub: Scrub) -> list[str]:
    """Take secrets out of the files of a folder; say of which.

    For what an agent left that was given a real key: it may have written it down.
    """
    said = []
    for path in files(folder, ALL):
        data = path.read_bytes()
        if (clean := scrub(data)) != data:
            path.write_bytes(clean)
            said.append(f"{str(path.relative_to(folder))!r} held a secret, which was taken out.")
    return said
