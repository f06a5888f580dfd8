"""What a variant does, by brute force: apply it, transcribe, translate, compare.

Nothing is derived by rule here: equivalent descriptions are found by trying every one and
comparing the sequences they give, proteins by translating both messages whole.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from genome import CODES, Genome, Transcript, letters, reverse

REACH = 70  # how far from itself an indel may have an equivalent description
THREE = {
    one: "AlaCysAspGluPheGlyHisIleLysLeuMetAsnProGlnArgSerThrValTrpTyrTer"[3 * n : 3 * n + 3]
    for n, one in enumerate("ACDEFGHIKLMNPQRSTVWY*")
}


@dataclass(frozen=True)
class Edit:
    """Replace `ref` at a 0-based position by `alt`; nothing in common at either end."""

    chrom: str
    pos: int
    ref: str
    alt: str

    @property
    def is_indel(self) -> bool:
        return not self.ref or not self.alt


def minimal(chrom: str, pos: int, ref: str, alt: str) -> Edit:
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return Edit(chrom, pos, ref, alt)


def equivalents(genome: Genome, edit: Edit) -> list[Edit]:
    """Every placement of a pure insertion or deletion that gives the same sequence."""
    if not edit.is_indel:
        return [edit]
    contig, low = genome.contigs[edit.chrom], max(0, edit.pos - REACH)
    before = contig[low : edit.pos + len(edit.ref) + REACH]
    at = edit.pos - low
    after = before[:at] + edit.alt + before[at + len(edit.ref) :]
    found = []
    for q in range(len(before) - len(edit.ref) + 1):
        old, new = before[q : q + len(edit.ref)], after[q : q + len(edit.alt)]
        if before[:q] + new + before[q + len(old) :] == after:
            found.append(Edit(edit.chrom, low + q, old, new))
    return found


def vcf(genome: Genome, edit: Edit) -> tuple[str, int, str, str]:
    """The normalised VCF fields: leftmost, with an anchor base where one is needed."""
    left = min(equivalents(genome, edit), key=lambda e: e.pos)
    if not left.is_indel:
        return left.chrom, left.pos + 1, left.ref, left.alt
    anchor = genome.contigs[left.chrom][left.pos - 1]
    return left.chrom, left.pos, anchor + left.ref, anchor + left.alt


@dataclass
class Effect:
    """An edit on one transcript, and what the policy wants to know about it."""

    consequence: str
    hgvs: str
    protein: str = "-"
    first: int = 0  # first altered residue
    distance: int | None = None  # bases from the new stop to the last junction; None: no stop
    stop_after: int | None = None  # residues beyond the old stop
    length: int = 0  # of the reference protein
    exon: int | None = None  # index of the exon whose splice site is hit
    odd: bool = False  # lies where the manual has no answer: never put into a case


@dataclass
class View:
    """One transcript with all its labels and texts."""

    genome: Genome
    transcript: Transcript
    labels: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._label()

    @cached_property
    def bases(self) -> list[int]:
        return self.transcript.bases()

    @cached_property
    def base_set(self) -> set[int]:
        return set(self.bases)

    @cached_property
    def coding_set(self) -> set[int]:
        return set(self.transcript.coding)

    @cached_property
    def message(self) -> str:
        one = self.transcript
        return letters(self.genome.contigs[one.chrom], self.bases, one.strand)

    @cached_property
    def start(self) -> int:
        return self.bases.index(self.transcript.coding[0])

    def _label(self) -> None:
        one, coding = self.transcript, self.transcript.coding
        for i, p in enumerate(one.bases()):
            self.labels[p] = str(i + 1) if not coding else self._coding_label(i)
        for a, b in pairwise(one.exons):
            step = 1 if one.strand == "+" else -1
            inside = list(range(a[-1] + step, b[0], step))
            for n, p in enumerate(inside, 1):
                back = len(inside) + 1 - n
                near_donor = n <= back
                label = (
                    self.labels[a[-1]] + f"+{n}" if near_donor else f"{self.labels[b[0]]}-{back}"
                )
                self.labels[p] = label

    def _coding_label(self, i: int) -> str:
        rank = i - self.start
        if rank < 0:
            return str(rank)
        size = len(self.transcript.coding)
        return str(rank + 1) if rank < size else f"*{rank - size + 1}"

    def order(self, positions: range) -> list[int]:
        return list(positions) if self.transcript.strand == "+" else list(positions)[::-1]

    # -- naming ----------------------------------------------------------------------------

    def latest(self, edit: Edit) -> Edit:
        """The placement furthest towards the 3' end of the transcript."""
        sign = 1 if self.transcript.strand == "+" else -1
        return max(equivalents(self.genome, edit), key=lambda e: e.pos * sign)

    def sense(self, text: str) -> str:
        return text if self.transcript.strand == "+" else reverse(text)

    def span(self, positions: list[int]) -> str:
        ends = [self.labels[positions[0]], self.labels[positions[-1]]]
        return ends[0] if len(positions) == 1 else "_".join(ends)

    def name(self, edit: Edit) -> str:
        kind = "c." if self.transcript.coding else "n."
        ref, alt = self.sense(edit.ref), self.sense(edit.alt)
        if not ref:
            return kind + self._insertion(edit, alt)
        span = self.span(self.order(range(edit.pos, edit.pos + len(ref))))
        if not alt:
            return f"{kind}{span}del"
        if len(ref) == len(alt) == 1:
            return f"{kind}{span}{ref}>{alt}"
        return f"{kind}{span}inv" if alt == reverse(ref) else f"{kind}{span}delins{alt}"

    def _insertion(self, edit: Edit, alt: str) -> str:
        contig, size = self.genome.contigs[edit.chrom], len(alt)
        plus = self.transcript.strand == "+"
        copy = range(edit.pos - size, edit.pos) if plus else range(edit.pos, edit.pos + size)
        positions = self.order(copy)
        if self.sense("".join(contig[p] for p in copy)) == alt:
            return self.span(positions) + "dup"
        return self.span(self.order(range(edit.pos - 1, edit.pos + 1))) + "ins" + alt

    # -- consequence -----------------------------------------------------------------------

    def touched(self, edit: Edit) -> list[int]:
        """Bases that are replaced, or the two that an insertion separates, 5' to 3'."""
        if edit.ref:
            return self.order(range(edit.pos, edit.pos + len(edit.ref)))
        return self.order(range(edit.pos - 1, edit.pos + 1))

    def side(self, edit: Edit) -> str:
        """Whether all placements of an edit, with the bases a name may need, are in or out."""
        spots, low, high = equivalents(self.genome, edit), min(self.base_set), max(self.base_set)
        more = len(edit.alt) + 1 if edit.is_indel else 0
        first = min(e.pos for e in spots) - more
        last = max(e.pos + len(e.ref) for e in spots) - 1 + more
        if low <= first and last <= high:
            return "in"
        return "out" if last < low or high < first else "edge"

    def hits(self, touched: list[int], region: set[int], inserted: bool) -> bool:
        return region.issuperset(touched) if inserted else not region.isdisjoint(touched)

    def effect(self, raw: Edit) -> Effect:
        edit = self.latest(raw)
        touched, inserted = self.touched(edit), not edit.ref
        result = Effect("", self.name(edit))
        spliced = self._splice(touched, inserted, result)
        if not spliced and all(p in self.base_set for p in touched):
            self._exonic(edit, touched, result)
        if not result.consequence:
            result.consequence = self._quiet(touched, inserted)
        result.odd = result.odd or self._awkward(edit, touched)
        return result

    def _splice(self, touched: list[int], inserted: bool, result: Effect) -> bool:
        exons, step = self.transcript.exons, 1 if self.transcript.strand == "+" else -1
        for kind in ("acceptor", "donor"):
            for n in range(len(exons) - 1):
                edge = exons[n + 1][0] if kind == "acceptor" else exons[n][-1]
                way = -step if kind == "acceptor" else step
                if self.hits(touched, {edge + way, edge + 2 * way}, inserted):
                    result.consequence = f"splice_{kind}_variant"
                    result.exon = n + 1 if kind == "acceptor" else n
                    result.protein = "p.?" if self.transcript.coding else "-"
                    return True
        return False

    def _quiet(self, touched: list[int], inserted: bool) -> str:
        """The term for a variant that alters no protein and no canonical splice site."""
        exons, step = self.transcript.exons, 1 if self.transcript.strand == "+" else -1
        for a, b in pairwise(exons):
            donor, acceptor = a[-1], b[0]
            for edge, inward in ((donor, -step), (acceptor, step)):
                exonic = {edge + inward * k for k in range(3)}
                intronic = {edge - inward * k for k in range(3, 9)}
                if any(self.hits(touched, x, inserted) for x in (exonic, intronic)):
                    return "splice_region_variant"
        if not all(p in self.base_set for p in touched):
            return "intron_variant"
        if not self.transcript.coding:
            return "non_coding_transcript_exon_variant"
        if self.labels[touched[0]].startswith("-"):
            return "5_prime_UTR_variant"
        if self.labels[touched[-1]].startswith("*"):
            return "3_prime_UTR_variant"
        stop = set(self.transcript.coding[-(len(self.transcript.coding) % 3 or 3) :])
        at_stop = self.hits(touched, stop, inserted)
        return "stop_retained_variant" if at_stop else "synonymous_variant"

    def _awkward(self, edit: Edit, touched: list[int]) -> bool:
        """Insertions between exon and intron, changes across the end of the coding sequence."""
        exonic = [p in self.base_set for p in touched]
        coding = [p in self.coding_set for p in touched]
        if not edit.ref and any(exonic) != all(exonic):
            return True
        return all(exonic) and any(coding) != all(coding)

    def _exonic(self, edit: Edit, touched: list[int], result: Effect) -> None:
        if not self.coding_set.issuperset(touched):
            return
        order = [self.bases.index(p) for p in touched]
        at = order[0] if edit.ref else order[1]
        cut = at + len(edit.ref)
        altered = self.message[:at] + self.sense(edit.alt) + self.message[cut:]
        old, new = self.translate(self.message), self.translate(altered)
        result.length = len(old) - 1
        change = len(edit.alt) - len(edit.ref)
        stem = [self.bases.index(p) for p in self.transcript.coding[:3]]
        in_start = all(i in stem for i in order) if not edit.ref else any(i in stem for i in order)
        if in_start and (change or new[:1] != "M"):
            result.consequence, result.protein = "start_lost", "p.(Met1?)"
            return
        self._compare(old, new, change, order, result)
        self._odd_protein(old, new, order, change, result)
        self._stop_distance(edit, new, altered, at, result)

    def translate(self, message: str) -> str:
        table, text = CODES[self.transcript.table], message[self.start :]
        if self.transcript.chrom == "chrM":
            text += "A" * (-len(text) % 3)  # the tail completes a codon that was begun
        protein = ""
        for i in range(0, len(text) - 2, 3):
            protein += table[text[i : i + 3]]
            if protein[-1] == "*":
                break
        return protein

    def _compare(self, old: str, new: str, change: int, order: list[int], result: Effect) -> None:
        if old == new:
            residue = len(old) if change else (order[0] - self.start) // 3 + 1
            result.protein = f"p.({THREE[old[residue - 1]]}{residue}=)"
            result.first = residue
            return
        first = next(i for i, a in enumerate(old) if i >= len(new) or new[i] != a)
        result.first = first + 1
        was = f"{THREE[old[first]]}{first + 1}"
        now = THREE[new[first]] if first < len(new) else "?"
        if old[first] == "*":
            beyond = str(len(new) - 1 - first) if new[-1] == "*" else "?"
            result.consequence = "stop_lost"
            result.stop_after = int(beyond) if beyond != "?" else None
            result.protein = f"p.({was}{now}extTer{beyond})"
        elif now == "Ter":
            result.consequence, result.protein = "stop_gained", f"p.({was}Ter)"
        elif change % 3:
            count = str(len(new) - first) if new[-1] == "*" else "?"
            result.consequence = "frameshift_variant"
            result.protein = f"p.({was}{now}fsTer{count})"
        else:
            self._in_frame(old, new, change, result)

    def _in_frame(self, old: str, new: str, change: int, result: Effect) -> None:
        kinds = {True: "inframe_insertion", False: "inframe_deletion"}
        result.consequence = kinds[change > 0] if change else "missense_variant"
        result.protein = f"p.({protein_name(old, new)})"

    def _at_stop(self, order: list[int]) -> bool:
        size = len(self.transcript.coding)
        return all(i - self.start >= size - (size % 3 or 3) for i in order)

    def _odd_protein(
        self, old: str, new: str, order: list[int], change: int, result: Effect
    ) -> None:
        """In-frame events that end or begin reading, and silent ones over two codons, are out."""
        codons = {(i - self.start) // 3 for i in order}
        if old == new and (len(codons) > 1 or (change and not self._at_stop(order))):
            result.odd = True
        if result.consequence.startswith("inframe") or result.consequence == "missense_variant":
            result.odd = result.odd or old[-4:] != new[-4:]
        if result.consequence == "stop_lost" and result.first != len(old):
            result.odd = True
        if result.first > len(new):
            result.odd = True

    def _stop_distance(self, edit: Edit, new: str, altered: str, at: int, result: Effect) -> None:
        if result.consequence not in ("stop_gained", "frameshift_variant") or new[-1] != "*":
            return
        stop_end = self.start + 3 * len(new)
        change = len(edit.alt) - len(edit.ref)
        junction = sum(len(e) for e in self.transcript.exons[:-1])
        if at < junction:
            junction += change
        result.distance = junction - stop_end


def protein_name(old: str, new: str) -> str:
    """Try every deletion, duplication and insertion that gives the protein; else a delins."""
    size = len(new) - len(old)
    if size < 0:
        places = [i for i in range(len(old)) if old[:i] + old[i - size :] == new]
        if places:
            return residues(old, places[-1], places[-1] - size) + "del"
    if size > 0:
        copies = [
            i
            for i in range(len(old))
            if old[: i + size] + old[i : i + size] + old[i + size :] == new
        ]
        if copies:
            return residues(old, copies[-1], copies[-1] + size) + "dup"
        gaps = [i for i in range(1, len(old)) if old[:i] + new[i : i + size] + old[i:] == new]
        if gaps:
            added = "".join(THREE[a] for a in new[gaps[-1] : gaps[-1] + size])
            return residues(old, gaps[-1] - 1, gaps[-1] + 1) + "ins" + added
    return _replacement(old, new)


def _replacement(old: str, new: str) -> str:
    start = next(i for i, a in enumerate(old) if new[i] != a)
    tail = 0
    while old[-1 - tail] == new[-1 - tail] and tail < min(len(old), len(new)) - start:
        tail += 1
    gone, came = old[start : len(old) - tail], new[start : len(new) - tail]
    if len(gone) == len(came) == 1:
        return f"{THREE[gone]}{start + 1}{THREE[came]}"
    return residues(old, start, start + len(gone)) + "delins" + "".join(THREE[a] for a in came)


def residues(protein: str, start: int, end: int) -> str:
    ends = [f"{THREE[protein[i]]}{i + 1}" for i in (start, end - 1)]
    return ends[0] if end - start == 1 else "_".join(ends)


def views(genome: Genome) -> list[View]:
    return [View(genome, one) for one in genome.transcripts]
