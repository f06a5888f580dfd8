"""What a case must hold: one of each kind of variant, and the neighbours that trip a reader."""

from collections.abc import Callable
from random import Random

from calls import TRIES, Case, NoRoom, Record
from edits import deletion, insertion, inversion, replacement, substitution
from genome import BASES, Genome
from model import Edit, Effect, View, equivalents, minimal


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
