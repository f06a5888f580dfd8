"""Secrets: masked in what passes to an agent, removed from what is kept.

Knows nothing of where they come from.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote

__all__ = ["Mask", "Scrub", "without_blobs"]

SHORTEST = 8  # bytes: less occurs by chance
BLOB = re.compile(rb'([",])([A-Za-z0-9+/=_-]{4096,})')  # base64, in JSON or a data: address


class Scrub:
    """Replaces each secret, however it is encoded, by its name."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._forms = [
            (form, f"[{name}]".encode())
            for name, value in named.items()
            if len(value) >= SHORTEST
            for form in sorted(_forms(value), key=len, reverse=True)
        ]

    def also(self, named: Mapping[str, str]) -> Scrub:
        """The same, with more secrets."""
        more = Scrub(named)
        more._forms += self._forms
        return more

    def __call__(self, data: bytes) -> bytes:
        for form, name in self._forms:
            data = data.replace(form, name)
        return data

    def text(self, text: str) -> str:
        return self(text.encode(errors="backslashreplace")).decode(errors="replace")


def _forms(value: str) -> set[bytes]:
    raw = value.encode()
    quoted = quote(value, safe="")
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    escaped |= {text.replace("/", "\\/") for text in escaped}
    plain = {value, quoted, quoted.replace("%", "%25"), *escaped, raw.hex(), raw.hex().upper()}
    return {raw} | {text.encode() for text in plain} | set(_base64(raw))


def _base64(raw: bytes) -> Iterable[bytes]:
    """A secret within longer base64 begins at any of three places; its ends mix with others."""
    for before in range(3):
        first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + raw)[first:last]


class Mask:
    """Stars instead of a real key in an answer that repeats it; lengths stay what they were.

    Only the end of a chunk that may be a key's beginning waits for the next chunk.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [text.encode() for text in secrets if len(text) >= SHORTEST]
        self._letters = frozenset(b"".join(self._secrets))
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._held + chunk
        for secret in self._secrets:
            data = data.replace(secret, b"*" * len(secret))
        held = self._begun(data)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def whole(self, text: str) -> str:
        """A text that is no part of the stream."""
        for secret in self._secrets:
            text = text.replace(secret.decode(), "*" * len(secret))
        return text

    def end(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret; 0 after a whole event."""
        if not data or data[-1] not in self._letters:
            return 0
        return max((_overlap(data, secret) for secret in self._secrets), default=0)


def _overlap(data: bytes, secret: bytes) -> int:
    sizes = range(min(len(secret) - 1, len(data)), 0, -1)
    return next((size for size in sizes if data.endswith(secret[:size])), 0)


def without_blobs(body: bytes) -> bytes:
    """Images and the like, cut out by their hash: every request repeats all that came before."""
    return BLOB.sub(lambda found: found[1] + _blob(found[2]), body)


def _blob(data: bytes) -> bytes:
    return f"[{len(data)} characters, sha256 {sha256(data).hexdigest()}]".encode()
