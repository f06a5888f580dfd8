"""Password Safe files, version 3: read and written.

Written from the published description of the format; knows nothing of the task.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterable, Iterator
from struct import pack, unpack
from typing import NamedTuple

from twofish import Twofish, chained

TAG, END = b"PWS3", b"PWS3-EOFPWS3-EOF"
LAST = 0xFF  # the type of the field that ends a header or a record
LIMIT = 1_000_000  # bytes; the vault of the task has about 20 kB
LEAST_ITERATIONS, MOST_ITERATIONS = 2**11, 2**20  # the least is the format's own


class Field(NamedTuple):
    """One field of a header or record."""

    type: int
    data: bytes


class NotAVault(ValueError):
    """The bytes are no vault, or one that this passphrase does not open."""


def write(records: list[list[Field]], passphrase: str, rng: random.Random, rounds: int) -> bytes:
    """A vault; the first of `records` is the header."""
    salt, key, seal, start = (rng.randbytes(n) for n in (32, 32, 32, 16))
    stretched = _stretch(passphrase, salt, rounds)
    cipher = Twofish(stretched)
    keys = b"".join(cipher.encrypt((key + seal)[i : i + 16]) for i in range(0, 64, 16))
    head = TAG + salt + pack("<I", rounds) + hashlib.sha256(stretched).digest() + keys + start
    fields = [field for record in records for field in [*record, Field(LAST, b"")]]
    plain = b"".join(_padded(field, rng) for field in fields)
    body = chained(Twofish(key).encrypt, plain, start, undo=False)
    return head + body + END + _seal(seal, fields)


def read(data: bytes, passphrase: str) -> list[list[Field]]:
    """The header and the records; NotAVault where the file is not whole and unchanged."""
    if not (len(data) < LIMIT and data.startswith(TAG) and data[-48:-32] == END):
        raise NotAVault("it does not begin and end as a Password Safe file (version 3) does")
    rounds = unpack("<I", data[36:40])[0]
    if not LEAST_ITERATIONS <= rounds <= MOST_ITERATIONS:
        raise NotAVault(f"{rounds} iterations; allowed: {LEAST_ITERATIONS} to {MOST_ITERATIONS}")
    stretched = _stretch(passphrase, data[4:36], rounds)
    if hashlib.sha256(stretched).digest() != data[40:72]:
        raise NotAVault("the passphrase does not open it")
    cipher = Twofish(stretched)
    keys = b"".join(cipher.decrypt(data[i : i + 16]) for i in range(72, 136, 16))
    body = data[152:-48]
    if len(body) % 16:
        raise NotAVault("its body is no whole number of blocks")
    plain = chained(Twofish(keys[:32]).decrypt, body, data[136:152], undo=True)
    fields = list(_fields(plain))
    if not hmac.compare_digest(_seal(keys[32:], fields), data[-32:]):
        raise NotAVault("its checksum is wrong")
    return list(_grouped(fields))


def _stretch(passphrase: str, salt: bytes, rounds: int) -> bytes:
    digest = hashlib.sha256(passphrase.encode() + salt).digest()
    for _ in range(rounds):
        digest = hashlib.sha256(digest).digest()
    return digest


def _padded(field: Field, rng: random.Random) -> bytes:
    made = pack("<IB", len(field.data), field.type) + field.data
    return made + rng.randbytes(-len(made) % 16)


def _fields(plain: bytes) -> Iterator[Field]:
    at = 0
    while at < len(plain):
        length, kind = unpack("<IB", plain[at : at + 5])
        yield Field(kind, plain[at + 5 : at + 5 + length])
        at += (5 + length + 15) // 16 * 16


def _grouped(fields: Iterable[Field]) -> Iterator[list[Field]]:
    record: list[Field] = []
    for field in fields:
        if field.type == LAST:
            yield record
            record = []
        else:
            record.append(field)


def _seal(key: bytes, fields: Iterable[Field]) -> bytes:
    return hmac.new(key, b"".join(field.data for field in fields), hashlib.sha256).digest()
