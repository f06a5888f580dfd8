"""Twofish with a 256-bit key: the block cipher of Password Safe files.

Written from the cipher's published definition (Schneier et al., 1998); knows nothing of vaults.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor
from struct import pack, unpack

Q0 = ("817d6f320b59eca4", "ecb81235f4a6709d", "ba5e6d90c8f32471", "d7f4126e9b3085ca")
Q1 = ("28bdf76e31940ac5", "1e2b4c376da5f908", "4c75169a0ed82b3f", "b951c3de647f208a")
MDS = ((0x01, 0xEF, 0x5B, 0x5B), (0x5B, 0xEF, 0xEF, 0x01), (0xEF, 0x5B, 0x01, 0xEF))
MDS += ((0xEF, 0x01, 0xEF, 0x5B),)
RS = (
    (0x01, 0xA4, 0x55, 0x87, 0x5A, 0x58, 0xDB, 0x9E),
    (0xA4, 0x56, 0x82, 0xF3, 0x1E, 0xC6, 0x68, 0xE5),
    (0x02, 0xA1, 0xFC, 0xC1, 0x47, 0xAE, 0x3D, 0x19),
    (0xA4, 0x55, 0x87, 0x5A, 0x58, 0xDB, 0x9E, 0x03),
)
MASK = 0xFFFFFFFF


def _permutation(nibbles: tuple[str, ...]) -> bytes:
    t = [[int(digit, 16) for digit in row] for row in nibbles]

    def half(a: int, b: int, first: list[int], second: list[int]) -> tuple[int, int]:
        mixed = a ^ (b >> 1 | (b & 1) << 3) ^ (a << 3 & 15)
        return first[a ^ b], second[mixed]

    def image(x: int) -> int:
        a, b = half(*half(x >> 4, x & 15, t[0], t[1]), t[2], t[3])
        return b << 4 | a

    return bytes(map(image, range(256)))


def _product(a: int, b: int, polynomial: int) -> int:
    """Multiply in GF(2^8)."""
    result = 0
    while b:
        result ^= a if b & 1 else 0
        a = a << 1 ^ (polynomial if a & 0x80 else 0)
        b >>= 1
    return result


def _column(column: int) -> list[int]:
    """What each value of one byte adds to the word that leaves the MDS matrix."""
    return [
        sum(_product(MDS[row][column], x, 0x169) << 8 * row for row in range(4)) for x in range(256)
    ]


q0, q1 = _permutation(Q0), _permutation(Q1)
# Which permutation a byte passes at each of five stages, from the outermost in.
PATHS = ((q1, q0, q0, q1, q1), (q0, q0, q1, q1, q0), (q1, q1, q0, q0, q0), (q0, q1, q1, q0, q1))
COLUMNS = tuple(map(_column, range(4)))


def _boxes(words: list[bytes]) -> list[list[int]]:
    """The keyed function h as four tables of words; `words` is the list L of the definition."""
    tables = []
    for byte, path in enumerate(PATHS):
        table = []
        for x in range(256):
            for stage in (4, 3, 2, 1):
                x = path[stage][x] ^ words[stage - 1][byte]
            table.append(COLUMNS[byte][path[0][x]])
        tables.append(table)
    return tables


def _apply(boxes: list[list[int]], word: int) -> int:
    return reduce(xor, (boxes[i][word >> 8 * i & 255] for i in range(4)))


def _left(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & MASK


class Twofish:
    """Encrypts and decrypts single blocks of 16 bytes."""

    def __init__(self, key: bytes) -> None:
        words = [key[i : i + 4] for i in range(0, 32, 4)]
        self._boxes = _boxes([self._remainder(key[i : i + 8]) for i in (24, 16, 8, 0)])
        even, odd = _boxes(words[0::2]), _boxes(words[1::2])
        self._round: list[int] = []
        for i in range(20):
            a = _apply(even, 2 * i * 0x01010101)
            b = _left(_apply(odd, (2 * i + 1) * 0x01010101), 8)
            self._round += [(a + b) & MASK, _left((a + 2 * b) & MASK, 9)]

    @staticmethod
    def _remainder(part: bytes) -> bytes:
        return bytes(
            reduce(xor, (_product(m, x, 0x14D) for m, x in zip(row, part, strict=True)))
            for row in RS
        )

    def _f(self, a: int, b: int, turn: int) -> tuple[int, int]:
        t0, t1 = _apply(self._boxes, a), _apply(self._boxes, _left(b, 8))
        k = self._round
        return (t0 + t1 + k[2 * turn + 8]) & MASK, (t0 + 2 * t1 + k[2 * turn + 9]) & MASK

    def encrypt(self, block: bytes) -> bytes:
        k = self._round
        a, b, c, d = (x ^ y for x, y in zip(unpack("<4I", block), k[:4], strict=True))
        for turn in range(16):
            f0, f1 = self._f(a, b, turn)
            a, b, c, d = _left(c ^ f0, 31), _left(d, 1) ^ f1, a, b
        return pack("<4I", *(x ^ y for x, y in zip((c, d, a, b), k[4:8], strict=True)))

    def decrypt(self, block: bytes) -> bytes:
        k = self._round
        c, d, a, b = (x ^ y for x, y in zip(unpack("<4I", block), k[4:8], strict=True))
        for turn in reversed(range(16)):
            f0, f1 = self._f(c, d, turn)
            a, b, c, d = c, d, _left(a, 1) ^ f0, _left(b ^ f1, 31)
        return pack("<4I", *(x ^ y for x, y in zip((a, b, c, d), k[:4], strict=True)))


def chained(step: Callable[[bytes], bytes], data: bytes, start: bytes, *, undo: bool) -> bytes:
    """CBC over whole blocks: `step` is a cipher's encrypt, or its decrypt with `undo`."""
    done, last = bytearray(), start
    for i in range(0, len(data), 16):
        block = data[i : i + 16]
        if undo:
            done += _xor(step(block), last)
            last = block
        else:
            last = step(_xor(block, last))
            done += last
    return bytes(done)


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(16)
