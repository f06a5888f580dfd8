"""Edits at random places of a gene, one function for each kind."""

from collections.abc import Callable
from random import Random

from genome import BASES, noise
from model import Edit, View, minimal


def substitution(rng: Random, view: View, size: int = 1) -> Edit:
    contig = view.genome.contigs[view.transcript.chrom]
    low, high = min(view.base_set), max(view.base_set)
    at = rng.randint(low, high - size)
    ref = contig[at : at + size]
    alt = "".join(rng.choice([b for b in BASES if b != r]) for r in ref)
    return minimal(view.transcript.chrom, at, ref, alt)


def deletion(size: int) -> Callable[[Random, View], Edit]:
    def make(rng: Random, view: View) -> Edit:
        contig = view.genome.contigs[view.transcript.chrom]
        at = rng.randint(min(view.base_set), max(view.base_set) - size)
        return Edit(view.transcript.chrom, at, contig[at : at + size], "")

    return make


def insertion(size: int, *, copy: bool) -> Callable[[Random, View], Edit]:
    def make(rng: Random, view: View) -> Edit:
        contig = view.genome.contigs[view.transcript.chrom]
        at = rng.randint(min(view.base_set) + size, max(view.base_set))
        new = contig[at - size : at] if copy else noise(rng, size)
        return Edit(view.transcript.chrom, at, "", new)

    return make


def replacement(old: int, new: int) -> Callable[[Random, View], Edit]:
    def make(rng: Random, view: View) -> Edit:
        contig = view.genome.contigs[view.transcript.chrom]
        at = rng.randint(min(view.base_set), max(view.base_set) - old)
        edit = minimal(view.transcript.chrom, at, contig[at : at + old], noise(rng, new))
        return edit if edit.ref and edit.alt else make(rng, view)

    return make


def inversion(rng: Random, view: View) -> Edit:
    contig, size = view.genome.contigs[view.transcript.chrom], rng.choice([2, 2, 3])
    at = rng.randint(min(view.base_set), max(view.base_set) - size)
    pairs = {"A": "T", "C": "G", "G": "C", "T": "A"}
    text = contig[at : at + size]
    edit = minimal(view.transcript.chrom, at, text, "".join(pairs[b] for b in reversed(text)))
    return edit if len(edit.ref) >= 2 else inversion(rng, view)
