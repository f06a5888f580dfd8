"""The call set of one patient: variants chosen for what they do, then written untidily."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from genome import Genome
from model import Edit, Effect, View, equivalents, views

TRIES = 40_000


class NoRoom(Exception):
    """A genome has no place left for something that the case must hold."""


@dataclass
class Record:
    """One line of the VCF."""

    chrom: str
    pos: int  # 0-based
    ref: str
    alts: list[str]
    gt: str
    ps: str = "."
    filter: str = "PASS"
    gq: int = 0
    share: float = 0.0  # of reads, for the mitochondrial genome
    id: str = ""


@dataclass
class Event:
    """What the laboratory reports: an edit, the calls it comes from, and its zygosity."""

    edit: Edit
    records: list[Record]
    zygosity: str
    effects: list[tuple[View, Effect]] = field(default_factory=list)


class Case:
    """The genome, the dice, what was called and what should be reported."""

    def __init__(self, genome: Genome, rng: Random) -> None:
        self.genome, self.rng, self.views = genome, rng, views(genome)
        self.records: list[Record] = []
        self.events: list[Event] = []
        self.used: list[tuple[str, int, int]] = []
        self.phase_set = 100

    def mane(self, chrom: str = "chr") -> list[View]:
        return [
            v
            for v in self.views
            if v.transcript.mane and v.transcript.coding and v.transcript.chrom.startswith(chrom)
        ]

    # -- choosing ------------------------------------------------------------------------------

    def free(self, edit: Edit, margin: int = 9) -> bool:
        spots = equivalents(self.genome, edit)
        low = min(e.pos for e in spots) - margin
        high = max(e.pos + len(e.ref) for e in spots) + margin
        contig = len(self.genome.contigs[edit.chrom])
        apart = all(c != edit.chrom or high <= a or b <= low for c, a, b in self.used)
        return apart and low >= 12 and high <= contig - 12

    def take(self, *edits: Edit) -> None:
        for edit in edits:
            spots = equivalents(self.genome, edit)
            low, high = min(e.pos for e in spots), max(e.pos + len(e.ref) for e in spots)
            self.used.append((edit.chrom, low, high))

    def effects(self, edit: Edit) -> list[tuple[View, Effect]]:
        near = [v for v in self.views if v.transcript.chrom == edit.chrom]
        return [(v, v.effect(edit)) for v in near if v.side(edit) == "in"]

    def sound(self, edit: Edit) -> bool:
        """Free of neighbours, and with a clear answer on every transcript."""
        return self.free(edit) and self.clear(edit)

    def clear(self, edit: Edit) -> bool:
        near = [v for v in self.views if v.transcript.chrom == edit.chrom]
        if any(v.side(edit) == "edge" for v in near):
            return False
        return not any(e.odd for _, e in self.effects(edit))

    def find(
        self,
        among: list[View],
        make: Callable[[Random, View], Edit],
        want: Callable[[Effect], bool],
        more: Callable[[View, Edit], bool] = lambda view, edit: True,
    ) -> Edit:
        for _ in range(TRIES):
            view = self.rng.choice(among)
            edit = make(self.rng, view)
            if not self.free(edit) or view.side(edit) != "in":
                continue
            effect = view.effect(edit)
            if want(effect) and not effect.odd and more(view, edit) and self.sound(edit):
                self.take(edit)
                return edit
        raise NoRoom("no such variant in this genome")

    # -- calling -------------------------------------------------------------------------------

    def genotype(self, chrom: str) -> tuple[str, str]:
        if chrom == "chrM":
            return "1", "hap"
        return self.rng.choice([("0/1", "het")] * 3 + [("1/1", "hom"), ("0|1", "het")])

    def call(self, edit: Edit, gt: str = "", zygosity: str = "") -> Record:
        """Write one edit as a record of its own, as untidily as callers do, and report it."""
        drawn = self.genotype(edit.chrom)
        gt, zygosity = gt or drawn[0], zygosity or drawn[1]
        record = self.write([edit], gt)
        self.report(edit, [record], zygosity)
        return record

    def write(self, edits: list[Edit], gt: str, ps: str = "") -> Record:
        """One record for edits of the same place, with spare bases on either side at times."""
        spots = [self.rng.choice(equivalents(self.genome, e)) for e in edits]
        contig, chrom = self.genome.contigs[edits[0].chrom], edits[0].chrom
        left = 1 if any(e.is_indel for e in spots) else 0
        left += self.rng.choice([0, 0, 0, 1, 2])
        low = min(e.pos for e in spots) - left
        high = max(e.pos + len(e.ref) for e in spots) + self.rng.choice([0, 0, 0, 1, 2])
        alts = [contig[low : e.pos] + e.alt + contig[e.pos + len(e.ref) : high] for e in spots]
        record = Record(chrom, low, contig[low:high], alts, gt)
        if "|" in gt:
            record.ps = ps or self.new_phase()
        self.records.append(record)
        return record

    def new_phase(self) -> str:
        self.phase_set += self.rng.randint(40, 900)
        return str(self.phase_set)

    def report(self, edit: Edit, records: list[Record], zygosity: str) -> None:
        self.events.append(Event(edit, records, zygosity, self.effects(edit)))


def write_vcf(case: Case, path: Path, sample: str) -> None:
    lines = [
        "##fileformat=VCFv4.2",
        *(f"##contig=<ID={n},length={len(c)}>" for n, c in case.genome.contigs.items()),
        '##FILTER=<ID=LowQual,Description="Low quality">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">',
        '##FORMAT=<ID=PS,Number=1,Type=String,Description="Phase set">',
        '##FORMAT=<ID=HF,Number=1,Type=Float,Description="Heteroplasmy, chrM only">',
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}",
    ]
    for r in case.records:
        share = f"{r.share:.2f}" if r.chrom == "chrM" else "."
        values = ":".join([r.gt, str(r.gq), r.ps, share])
        fields = (r.chrom, r.pos + 1, r.id, r.ref, ",".join(r.alts), ".", r.filter, ".")
        lines.append("\t".join(map(str, (*fields, "GT:GQ:PS:HF", values))))
    path.write_text("\n".join(lines) + "\n")
