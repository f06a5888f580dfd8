"""A small genome with genes made to order: reference sequence, transcripts, their files."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

BASES = "ACGT"
AMINO = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_ORDER = [a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"]
STANDARD = dict(zip(_ORDER, AMINO, strict=True))
CODES = {1: STANDARD, 2: STANDARD | {"TGA": "W", "ATA": "M", "AGA": "*", "AGG": "*"}}
PAIR = str.maketrans("ACGT", "TGCA")


def reverse(sequence: str) -> str:
    return sequence.translate(PAIR)[::-1]


@dataclass
class Transcript:
    """Exons and coding bases as 0-based genomic positions, in transcript order."""

    id: str
    gene: str
    chrom: str
    strand: str
    exons: list[list[int]]
    coding: list[int] = field(default_factory=list)  # empty for a non-coding transcript
    mane: bool = True
    table: int = 1
    note: str = ""

    def bases(self) -> list[int]:
        return [p for exon in self.exons for p in exon]


@dataclass
class Genome:
    contigs: dict[str, str]
    transcripts: list[Transcript]


@dataclass
class Draft:
    """A gene in its own direction: sequence, exon spans and coding span within it."""

    name: str
    strand: str
    sequence: str
    exons: list[tuple[int, int]]
    coding: tuple[int, int] | None
    table: int = 1
    note: str = ""
    skip: int | None = None  # exon left out by a second transcript


def noise(rng: Random, length: int) -> str:
    return "".join(rng.choices(BASES, k=length))


def codons(rng: Random, count: int, table: int) -> str:
    sense = [c for c, amino in CODES[table].items() if amino != "*"]
    return "".join(rng.choices(sense, k=count))


def reading_frame(rng: Random, count: int, table: int, stop: str) -> str:
    """ATG, random codons with repeats of several kinds, and the stop given."""
    body = codons(rng, count, table)
    repeats = ("CAG" * 5, "GAAGAAGAA", "AAAAAAAAG", "CTGGGGGGC", "TCTTCTTCTTCT", "GCTGCTGCT")
    for number, repeat in enumerate(repeats, 1):
        # a codon without A or T on either side keeps the repeat in frame and bounded
        at = 3 * (count * number // (len(repeats) + 1))
        body = body[:at] + "GCC" + repeat + "GTC" + body[at + len(repeat) + 6 :]
    return "ATG" + body[: 3 * count] + stop


def cuts(rng: Random, message: str, first: int, last: int, count: int) -> list[int]:
    """Places to cut a message: after a G; the second piece is a whole number of codons."""
    while True:
        step = (last - first) // (count + 1)
        wanted = [
            first + step * n + rng.randint(-step // 4, step // 4) for n in range(1, count + 1)
        ]
        found = [next(p for p in range(w, last) if message[p - 1] == "G") for w in wanted]
        lengths = [b - a for a, b in pairwise(found)]
        if (
            lengths
            and lengths[0] % 3 == 0
            and all(x % 3 for x in lengths[1:])
            and min(lengths) > 50
        ):
            return found


def intron(rng: Random) -> str:
    middle = noise(rng, rng.randint(60, 110))
    return "GTAAGC" + middle + "".join(rng.choices("CT", k=12)) + "GCAG"


def spliced_gene(
    rng: Random, name: str, strand: str, *, bare_first: bool, skip: int | None
) -> Draft:
    """A protein-coding gene of six exons; with `bare_first` the first one is all UTR."""
    five, three = noise(rng, 70) + "GCC", _trailer(rng)
    frame = reading_frame(rng, rng.randint(150, 190), 1, rng.choice(["TAA", "TAG", "TGA"]))
    message = five + frame + three
    inner = cuts(rng, message, len(five) + 15, len(five) + len(frame) - 20, 4)
    early = five.rfind("G", 10, 60) + 1 if bare_first else len(five) + frame.index("G", 24) + 1
    draft = _with_introns(rng, message, [early, *inner])
    draft.name, draft.strand, draft.skip = name, strand, skip
    draft.coding = _within(draft.exons, len(five), len(frame))
    return draft


def _trailer(rng: Random) -> str:
    """A 3' UTR without stop in any frame for a while, then with one in each."""
    length = rng.choice([24, 63])
    while True:
        head = noise(rng, length)
        if not any(stop in head for stop in ("TAA", "TAG", "TGA")):
            return head + "GTAACTAACTAACC" + noise(rng, 150 - length)


def _with_introns(rng: Random, message: str, places: list[int]) -> Draft:
    sequence, exons = "", []
    for start, end in zip([0, *places], [*places, len(message)], strict=True):
        sequence += intron(rng) if exons else ""
        exons.append((len(sequence), len(sequence) + end - start))
        sequence += message[start:end]
    return Draft("", "+", sequence, exons, None)


def _within(exons: list[tuple[int, int]], start: int, length: int) -> tuple[int, int]:
    """The span in the gene that a span of the message has."""
    flat = [p for a, b in exons for p in range(a, b)]
    return flat[start], flat[start + length - 1] + 1


def noncoding_gene(rng: Random, name: str, strand: str) -> Draft:
    message = noise(rng, 380)
    draft = _with_introns(rng, message, [140])
    draft.name, draft.strand = name, strand
    return draft


def plain_gene(rng: Random, name: str, strand: str, stop: str, note: str = "") -> Draft:
    """A mitochondrial gene: one exon that is all coding; `stop` may be cut short."""
    frame = reading_frame(rng, rng.randint(110, 150), 2, stop)
    return Draft(name, strand, frame, [(0, len(frame))], (0, len(frame)), 2, note)


def overlapping_pair(rng: Random, first: str, second: str) -> tuple[Draft, Draft, int]:
    """Two genes on one strand; the second starts in another frame inside the first."""
    head = "ATA" + codons(rng, 56, 2)
    tail = codons(rng, 110, 2)
    while True:
        shared = noise(rng, 64)
        joint = "G" + "ATG" + shared  # the second frame begins one base into a codon
        one = joint[: len(joint) // 3 * 3]
        two = joint[1:]
        if _open(one) and _open(two):
            break
    first_frame = head + one + "TAG"
    second_frame = two[: len(one) - 1] + "TAG"
    rest = -len(second_frame) % 3
    second_frame += noise(rng, rest) + tail + "TAA"
    if not _open(second_frame[:-3]):
        return overlapping_pair(rng, first, second)
    offset = len(head) + 1
    drafts = [
        Draft(name, "+", frame, [(0, len(frame))], (0, len(frame)), 2)
        for name, frame in ((first, first_frame), (second, second_frame))
    ]
    return drafts[0], drafts[1], offset


def _open(frame: str) -> bool:
    whole = range(0, len(frame) - 2, 3)
    return all(CODES[2][frame[i : i + 3]] != "*" for i in whole)


# -- placing genes on contigs ----------------------------------------------------------------


def place(genome: Genome, chrom: str, draft: Draft, at: int) -> None:
    """Add the transcripts of a gene that lies at `at` on its contig."""
    end = at + len(draft.sequence)

    def there(i: int) -> int:
        return at + i if draft.strand == "+" else end - 1 - i

    exons = [[there(i) for i in range(a, b)] for a, b in draft.exons]
    coding = []
    if draft.coding:
        a, b = draft.coding
        coding = [there(i) for x, y in draft.exons for i in range(x, y) if a <= i < b]
    number = 1 + len({t.gene for t in genome.transcripts})
    name = f"NM_{410000 + 731 * number}.{1 + number % 3}" if coding else f"NR_{52000 + number}.1"
    one = Transcript(name, draft.name, chrom, draft.strand, exons, coding, table=draft.table)
    one.note = draft.note
    genome.transcripts.append(one)
    if draft.skip is not None:
        genome.transcripts.append(_second(genome, one, draft.skip, number))


def _second(genome: Genome, one: Transcript, skip: int, number: int) -> Transcript:
    """The same start without one exon: another frame from there, another stop."""
    exons = [e for n, e in enumerate(one.exons) if n != skip]
    bases = [p for e in exons for p in e]
    text = letters(genome.contigs[one.chrom], bases, one.strand)
    start = bases.index(one.coding[0])
    stop = next(i for i in range(start, len(text), 3) if STANDARD.get(text[i : i + 3]) == "*")
    name = f"NM_{410001 + 731 * number}.1"
    coding = bases[start : stop + 3]
    return Transcript(name, one.gene, one.chrom, one.strand, exons, coding, mane=False)


def letters(contig: str, positions: list[int], strand: str) -> str:
    text = "".join(contig[p] for p in positions)
    return text if strand == "+" else text.translate(PAIR)


def lay_out(rng: Random, genome: Genome, chrom: str, drafts: list[Draft], gap: int) -> None:
    contig, starts = noise(rng, gap), []
    for draft in drafts:
        starts.append(len(contig))
        contig += draft.sequence if draft.strand == "+" else reverse(draft.sequence)
        contig += noise(rng, gap + rng.randint(0, 40))
    genome.contigs[chrom] = contig
    for draft, start in zip(drafts, starts, strict=True):
        place(genome, chrom, draft, start)


def cardiac(rng: Random) -> Genome:
    genome = Genome({}, [])
    lay_out(
        rng,
        genome,
        "chr7",
        [
            spliced_gene(rng, "HVLN2", "+", bare_first=False, skip=3),
            spliced_gene(rng, "TRPQ4", "-", bare_first=False, skip=None),
            noncoding_gene(rng, "LINC0917", "-"),
            spliced_gene(rng, "MYLR3", "-", bare_first=True, skip=None),
        ],
        260,
    )
    lay_out(
        rng,
        genome,
        "chr12",
        [
            spliced_gene(rng, "SCNB7", "-", bare_first=False, skip=3),
            noncoding_gene(rng, "LINC1184", "+"),
            spliced_gene(rng, "PKDA9", "+", bare_first=True, skip=None),
            spliced_gene(rng, "LMXN1", "+", bare_first=False, skip=None),
        ],
        260,
    )
    return genome


def mito(rng: Random) -> Genome:
    genome = Genome({}, [])
    lay_out(
        rng,
        genome,
        "chr11",
        [
            spliced_gene(rng, "NDXF5", "+", bare_first=True, skip=None),
            spliced_gene(rng, "COQR8", "-", bare_first=False, skip=3),
            noncoding_gene(rng, "LINC2205", "+"),
            spliced_gene(rng, "TFBX2", "-", bare_first=False, skip=None),
            spliced_gene(rng, "MRPK3", "+", bare_first=False, skip=None),
        ],
        240,
    )
    note = "TAA stop codon is completed by the addition of 3' A residues to the mRNA"
    first, second, offset = overlapping_pair(rng, "MT-AV8", "MT-AV6")
    pair = Draft("", "+", first.sequence[:offset] + second.sequence, [], None)
    parts = [
        plain_gene(rng, "MT-NX1", "+", "TAA"),
        pair,
        plain_gene(rng, "MT-NX6", "-", "AGG"),
        plain_gene(rng, "MT-CX3", "+", "T", note),
        plain_gene(rng, "MT-NX4", "+", "TA", note),
    ]
    contig = noise(rng, 120)
    for part in parts:
        start = len(contig)
        contig += part.sequence if part.strand == "+" else reverse(part.sequence)
        contig += noise(rng, 70)
        genome.contigs["chrM"] = contig
        for draft, at in ((first, 0), (second, offset)) if part is pair else ((part, 0),):
            place(genome, "chrM", draft, start + at)
    return genome


# -- files -----------------------------------------------------------------------------------


def write_fasta(genome: Genome, path: Path, rng: Random) -> None:
    """Sixty letters a line, with stretches in lower case as repeat maskers leave them."""
    lines = []
    for name, contig in genome.contigs.items():
        text = list(contig)
        for _ in range(len(text) // 900):
            start = rng.randrange(len(text) - 200)
            for i in range(start, start + rng.randint(60, 200)):
                text[i] = text[i].lower()
        lines.append(f">{name} panel build 3 length={len(text)}")
        lines += ["".join(text[i : i + 60]) for i in range(0, len(text), 60)]
    path.write_text("\n".join(lines) + "\n")


def write_gff(genome: Genome, path: Path) -> None:
    lines = ["##gff-version 3"]
    lines += [f"##sequence-region {n} 1 {len(c)}" for n, c in genome.contigs.items()]
    seen = set()
    for one in genome.transcripts:
        if one.gene not in seen:
            seen.add(one.gene)
            lines.append(_gene_line(genome, one.gene))
        lines += _transcript_lines(one)
    path.write_text("\n".join(lines) + "\n")


def _line(one: Transcript, kind: str, span: list[int], phase: str, attributes: str) -> str:
    low, high = min(span) + 1, max(span) + 1
    fields = (one.chrom, "PanelRef", kind, low, high, ".", one.strand, phase, attributes)
    return "\t".join(map(str, fields))


def _gene_line(genome: Genome, gene: str) -> str:
    mine = [t for t in genome.transcripts if t.gene == gene]
    every = [p for t in mine for p in t.bases()]
    kind = "protein_coding" if mine[0].coding else "lncRNA"
    attributes = f"ID=gene-{gene};Name={gene};gene_biotype={kind}"
    return _line(mine[0], "gene", every, ".", attributes)


def _transcript_lines(one: Transcript) -> list[str]:
    tag = ";tag=MANE_Select" if one.mane and one.coding else ""
    kind = "mRNA" if one.coding else "lnc_RNA"
    head = f"ID=rna-{one.id};Parent=gene-{one.gene};Name={one.id}{tag}"
    lines = [_line(one, kind, one.bases(), ".", head)]
    parent = f"Parent=rna-{one.id}"
    ordered = sorted(one.exons, key=min)
    lines += [_line(one, "exon", exon, ".", parent) for exon in ordered]
    table = f";transl_table={one.table}" if one.table != 1 else ""
    note = f";Note={one.note}" if one.note else ""
    coding = set(one.coding)
    for exon in ordered:
        part = [p for p in exon if p in coding]
        if part:
            phase = -one.coding.index(part[0]) % 3
            text = f"ID=cds-{one.id};{parent}{table}{note}"
            lines.append(_line(one, "CDS", part, str(phase), text))
    return lines
