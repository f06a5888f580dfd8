"""The call set of one patient: variants chosen for what they do, then written untidily."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from genome import BASES, Genome, noise
from model import Edit, Effect, View, equivalents, minimal, views

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


# -- edits at random -------------------------------------------------------------------------


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


# -- the wishes --------------------------------------------------------------------------------


def term(*names: str) -> Callable[[Effect], bool]:
    return lambda effect: effect.consequence in names


def exonic(effect: Effect) -> bool:
    return effect.consequence == "splice_region_variant" and "=" in effect.protein


def intronic(effect: Effect) -> bool:
    return effect.consequence == "splice_region_variant" and effect.protein == "-"


def named(*marks: str) -> Callable[[Effect], bool]:
    """The protein name holds all these marks."""
    return lambda effect: all(mark in effect.protein for mark in marks)


def both(*wishes: Callable[[Effect], bool]) -> Callable[[Effect], bool]:
    return lambda effect: all(wish(effect) for wish in wishes)


def moves(view: View, edit: Edit) -> bool:
    """The name is given somewhere else than the leftmost placement says."""
    spots = equivalents(view.genome, edit)
    return len({view.name(e) for e in spots}) > 1 and len(spots) > 2


def into_intron(view: View, edit: Edit) -> bool:
    """Leftmost placement within the exon, 3'-most placement in the splice site, or the reverse."""
    left = min(equivalents(view.genome, edit), key=lambda e: e.pos)
    right = max(equivalents(view.genome, edit), key=lambda e: e.pos)
    inside = [all(p in view.base_set for p in view.touched(e)) for e in (left, right)]
    return inside[0] != inside[1]


def simple(case: Case) -> None:
    """One of each kind and more, on nuclear genes."""
    genes = case.mane("chr1") + case.mane("chr7")
    wishes = [
        (9, term("missense_variant")),
        (4, both(term("synonymous_variant"), named("="))),
        (4, term("stop_gained")),
        (3, exonic),
        (4, intronic),
        (3, term("splice_donor_variant")),
        (3, term("splice_acceptor_variant")),
        (4, term("intron_variant")),
        (3, term("5_prime_UTR_variant")),
        (3, term("3_prime_UTR_variant")),
    ]
    for count, wish in wishes:
        for _ in range(count):
            case.call(case.find(genes, substitution, wish))
    others = [v for v in case.views if not v.transcript.coding]
    for wish in ("non_coding_transcript_exon_variant", "splice_donor_variant"):
        case.call(case.find(others, substitution, term(wish)))


def ends(case: Case) -> None:
    """Start and stop codons first: every gene has room for one event at each."""
    genes = case.mane("chr1") + case.mane("chr7")
    share = len(genes) // 3
    for count, wish in (
        (share, term("start_lost")),
        (share, term("stop_lost")),
        (1, term("stop_retained_variant")),
    ):
        for _ in range(count):
            case.call(case.find(genes, substitution, wish))
    if share > 1:
        wish = term("stop_lost", "stop_retained_variant")
        case.call(case.find(genes, insertion(1, copy=False), wish))


def indels(case: Case, genes: list[View]) -> None:
    """Insertions and deletions in repeats, whose name depends on the strand."""
    frame, gone = term("frameshift_variant"), term("inframe_deletion")
    more, kept = term("inframe_insertion"), term("missense_variant")
    for make, want in (
        (deletion(1), frame),
        (deletion(1), frame),
        (deletion(2), frame),
        (insertion(1, copy=True), frame),
        (insertion(1, copy=True), frame),
        (insertion(2, copy=True), frame),
        (deletion(3), gone),
        (deletion(6), both(gone, named("_"))),
        (insertion(3, copy=True), both(more, named("dup"))),
        (insertion(6, copy=True), both(more, named("dup"))),
    ):
        case.call(case.find(genes, make, want, moves))
    for make, want in (
        (deletion(4), frame),
        (insertion(4, copy=False), frame),
        (insertion(2, copy=False), term("stop_gained")),
        (deletion(1), term("stop_gained")),
        (deletion(3), both(gone, named("delins"))),
        (insertion(3, copy=False), both(more, named("ins"))),
        (replacement(3, 4), frame),
        (replacement(5, 2), both(gone, named("delins"))),
        (lambda rng, view: substitution(rng, view, 2), both(kept, lambda e: "_" not in e.protein)),
        (lambda rng, view: substitution(rng, view, 2), both(kept, named("_", "delins"))),
        (inversion, kept),
    ):
        case.call(case.find(genes, make, want))


def spliced(case: Case, strand: str) -> None:
    """Deletions at exon borders, where the 3' rule decides between exon and intron."""
    genes = [v for v in case.mane() if v.transcript.strand == strand and v.transcript.table == 1]
    border = term("splice_donor_variant", "frameshift_variant", "splice_acceptor_variant")
    case.call(case.find(genes, deletion(1), border, into_intron))
    case.call(case.find(genes, deletion(9), term("splice_donor_variant")))
    case.call(case.find(genes, insertion(2, copy=True), term("intron_variant"), moves))


def codon_edits(
    case: Case, genes: list[View], want: Callable[[list[Effect], Effect], bool]
) -> list[Edit]:
    """Two substitutions in one codon of one gene, and what they make together."""
    for _ in range(TRIES):
        view = case.rng.choice(genes)
        coding = view.transcript.coding
        start = 3 * case.rng.randint(2, len(coding) // 3 - 3)
        spots = sorted(coding[start : start + 3])
        if spots[2] - spots[0] != 2:
            continue
        two = sorted(case.rng.sample(spots, 2))
        contig, chrom = case.genome.contigs[view.transcript.chrom], view.transcript.chrom
        bases = [case.rng.choice([b for b in BASES if b != contig[p]]) for p in two]
        edits = [Edit(chrom, p, contig[p], b) for p, b in zip(two, bases, strict=True)]
        both_edits = together(case, edits)
        if not all(case.sound(e) for e in (*edits, both_edits)) or len(case.effects(edits[0])) > 1:
            continue
        if want([view.effect(e) for e in edits], view.effect(both_edits)):
            case.take(both_edits)
            return edits
    raise NoRoom("no such codon")


def together(case: Case, edits: list[Edit]) -> Edit:
    low, high = min(e.pos for e in edits), max(e.pos + len(e.ref) for e in edits)
    text = list(case.genome.contigs[edits[0].chrom][low:high])
    for edit in edits:
        text[edit.pos - low : edit.pos - low + len(edit.ref)] = edit.alt
    contig = case.genome.contigs[edits[0].chrom]
    return minimal(edits[0].chrom, low, contig[low:high], "".join(text))


def differs(alone: list[Effect], joint: Effect) -> bool:
    return all(e.protein != joint.protein for e in alone)


def hidden_stop(alone: list[Effect], joint: Effect) -> bool:
    return joint.consequence == "stop_gained" and all(e.consequence != "stop_gained" for e in alone)


def false_stop(alone: list[Effect], joint: Effect) -> bool:
    """One of the two looks like a stop, but not beside the other."""
    return joint.consequence == "missense_variant" and any(
        e.consequence == "stop_gained" for e in alone
    )


def pairs(case: Case) -> None:
    """Neighbouring substitutions, on one chromosome copy or not."""
    genes = case.mane("chr1") + case.mane("chr7")
    for gts, wish in (
        (("0|1", "0|1"), hidden_stop),
        (("1|0", "1|0"), false_stop),
        (("0|1", "1|0"), hidden_stop),
        (("1/1", "1/1"), differs),
        (("0/1", "0/1"), differs),
        (("1/1", "0/1"), differs),
        (("0|1", "1|1"), differs),
    ):
        _pair(case, codon_edits(case, genes, wish), gts)
    _two_phase_sets(case, codon_edits(case, genes, false_stop))
    for wish in (hidden_stop, differs) if case.mane("chrM") else ():
        edits = codon_edits(case, case.mane("chrM"), wish)
        records = [case.write([edit], "1") for edit in edits]
        case.report(together(case, edits), records, "hap")


def _pair(case: Case, edits: list[Edit], gts: tuple[str, str]) -> None:
    ps = case.new_phase()
    records = [case.write([e], gt, ps) for e, gt in zip(edits, gts, strict=True)]
    joint, hom = together(case, edits), [set(gt) <= {"1", "|", "/"} for gt in gts]
    if all(hom):
        case.report(joint, records, "hom")
    elif any(hom):
        # the homozygous one is on the other copy as well, there alone
        case.report(joint, records, "het")
        case.report(edits[hom.index(True)], [records[hom.index(True)]], "het")
    elif gts[0] == gts[1] and "|" in gts[0]:
        case.report(joint, records, "het")
    else:
        for edit, record in zip(edits, records, strict=True):
            case.report(edit, [record], "het")


def _two_phase_sets(case: Case, edits: list[Edit]) -> None:
    for edit in edits:
        case.report(edit, [case.write([edit], "0|1")], "het")


def next_codons(case: Case) -> None:
    """Phased substitutions side by side in two codons stay two events."""
    genes = [v for v in case.mane() if v.transcript.table == 1]
    for _ in range(TRIES):
        edit = substitution(case.rng, case.rng.choice(genes), 2)
        if len(edit.ref) != 2 or not case.sound(edit):
            continue
        parts = [Edit(edit.chrom, edit.pos + i, edit.ref[i], edit.alt[i]) for i in (0, 1)]
        effects = [case.effects(p) for p in parts]
        good = all(len(e) == 1 and e[0][1].consequence == "missense_variant" for e in effects)
        if good and effects[0][0][1].first != effects[1][0][1].first:
            case.take(edit)
            ps = case.new_phase()
            for part in parts:
                case.report(part, [case.write([part], "0|1", ps)], "het")
            return
    raise NoRoom("no two codons side by side")


def crowded(case: Case) -> None:
    """Sites with several alternative alleles, not all of them called."""
    genes = [v for v in case.mane() if v.transcript.table == 1]
    for gt in ("1/2", "1/2", "0/2", "1/1"):
        one = case.find(genes, deletion(1), term("frameshift_variant"))
        contig = case.genome.contigs[one.chrom]
        near = equivalents(case.genome, one)
        at = min(e.pos for e in near) - 3
        other = Edit(one.chrom, at, contig[at], next(b for b in BASES if b != contig[at]))
        if not case.clear(other) or not case.effects(other):
            case.call(one)
            continue
        record = case.write([one, other], gt)
        for number, edit in enumerate((one, other), 1):
            if str(number) in gt:
                case.report(edit, [record], "hom" if gt == "1/1" else "het")
    spare = case.find(genes, substitution, term("missense_variant"))
    record = case.write([spare], "0/1")
    record.alts.append("*")
    case.report(spare, [record], "het")


def twice(case: Case) -> None:
    """One deletion called twice, by two callers, at the two ends of a repeat."""
    genes = case.mane()
    edit = case.find(genes, deletion(3), term("inframe_deletion"), moves)
    hap = edit.chrom == "chrM"
    records = []
    for choose in (min, max):
        spot = choose(equivalents(case.genome, edit), key=lambda e: e.pos)
        contig = case.genome.contigs[edit.chrom]
        low, high = spot.pos - 1, spot.pos + len(spot.ref)
        record = Record(edit.chrom, low, contig[low:high], [contig[low]], "1" if hap else "0/1")
        case.records.append(record)
        records.append(record)
    case.report(edit, records, "hap" if hap else "het")


def between_genes(case: Case) -> None:
    spans = [(v.transcript.chrom, min(v.base_set), max(v.base_set)) for v in case.views]
    found = 0
    while found < 3:
        chrom = case.rng.choice(sorted(case.genome.contigs))
        contig = case.genome.contigs[chrom]
        at = case.rng.randrange(30, len(contig) - 30)
        edit = Edit(chrom, at, contig[at], case.rng.choice([b for b in BASES if b != contig[at]]))
        outside = all(c != chrom or at < a - 10 or at > b + 10 for c, a, b in spans)
        if outside and case.free(edit):
            case.take(edit)
            case.call(edit)
            found += 1


def rejected(case: Case) -> None:
    """Calls that the manual's thresholds set aside."""
    for spoil in ("filter", "filter", "gq", "gq", "gt", "gt"):
        genes = case.mane()
        edit = case.find(genes, substitution, term("missense_variant", "stop_gained"))
        record = case.write([edit], case.genotype(edit.chrom)[0])
        if spoil == "filter":
            record.filter = "LowQual"
        elif spoil == "gq":
            record.gq = case.rng.randint(5, 19)
        else:
            record.gt, record.ps = "0" if edit.chrom == "chrM" else "0/0", "."


def overlapping(case: Case, genes: list[View]) -> None:
    """Variants that lie in two genes at once, in different frames."""
    shared = [v for v in genes if v.transcript.gene == "MT-AV8"]
    overlap = shared[0].coding_set & next(
        v.coding_set for v in genes if v.transcript.gene == "MT-AV6"
    )

    def in_both(view: View, edit: Edit) -> bool:
        return set(view.touched(edit)) <= overlap

    for make in (substitution, substitution, deletion(1)):
        case.call(case.find(shared, make, lambda effect: True, in_both))


def mitochondrial(case: Case) -> None:
    """The other code, cut stops, overlapping genes, heteroplasmy."""
    genes = case.mane("chrM")
    overlapping(case, genes)
    for count, wish in (
        (1, both(term("synonymous_variant"), named("Met1="))),
        (1, term("stop_retained_variant")),
        (2, term("start_lost")),
        (2, term("stop_lost")),
        (1, named("Trp", "Ter)")),
        (6, term("missense_variant")),
        (3, term("synonymous_variant")),
        (3, term("stop_gained")),
        (1, both(term("missense_variant"), named("Met"))),
    ):
        for _ in range(count):
            case.call(case.find(genes, substitution, wish))
    for make in (deletion(1), insertion(1, copy=True)):
        case.call(case.find(genes, make, term("frameshift_variant"), moves))
    for _ in range(2):
        edit = case.find(genes, substitution, term("missense_variant"))
        case.write([edit], "1").share = case.rng.uniform(0.02, 0.09)


def make_calls(genome: Genome, rng: Random) -> Case:
    case = Case(genome, rng)
    if "chrM" in genome.contigs:
        mitochondrial(case)
    ends(case)
    for strand in "+-":
        spliced(case, strand)
    pairs(case)
    next_codons(case)
    twice(case)
    crowded(case)
    indels(case, case.mane("chr1") + case.mane("chr7"))
    simple(case)
    between_genes(case)
    rejected(case)
    _number(case)
    return case


def _number(case: Case) -> None:
    order = list(case.genome.contigs)
    case.records.sort(key=lambda r: (order.index(r.chrom), r.pos, r.ref, r.alts))
    for number, record in enumerate(case.records, 1):
        record.id = f"V{number:03d}"
        record.gq = record.gq or case.rng.randint(25, 99)
        record.share = record.share or case.rng.choice([0.97, 0.99, 0.34, 0.61])


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
