"""The laboratory's classes: its tables, made to fit the case, and the key to the report."""

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from calls import Case, Event, Record
from model import THREE, Edit, Effect, View, equivalents, minimal, vcf

CLASSES = ("B", "LB", "VUS", "LP", "P")  # least to most severe


@dataclass(frozen=True)
class Rules:
    """The numbers of a laboratory, and the genes whose entry a memo corrects."""

    common: float  # allele frequency that makes a variant benign
    uncommon: float  # allele frequency that turns VUS into likely benign
    junction: int  # bases between new stop and last junction, above which the message decays
    lost: float  # share of the protein
    extension: int
    listed: dict[str, str]  # loss of function is a mechanism: as the table has it
    corrected: dict[str, str]  # as the memo has it


RULES = {
    "cardiac": Rules(
        0.01,
        0.001,
        50,
        0.10,
        20,
        {
            "HVLN2": "yes",
            "TRPQ4": "yes",
            "MYLR3": "no",
            "SCNB7": "yes",
            "PKDA9": "yes",
            "LMXN1": "no",
        },
        {"LMXN1": "yes"},
    ),
    "mito": Rules(
        0.005,
        0.0005,
        55,
        0.15,
        15,
        {
            "NDXF5": "yes",
            "COQR8": "yes",
            "TFBX2": "no",
            "MRPK3": "yes",
            "MT-NX1": "yes",
            "MT-AV8": "no",
            "MT-AV6": "yes",
            "MT-NX6": "yes",
            "MT-CX3": "yes",
            "MT-NX4": "yes",
        },
        {"MT-NX6": "no"},
    ),
}


@dataclass
class Tables:
    """What the laboratory knows: regions, variants, frequencies, earlier classes."""

    critical: dict[str, tuple[int, int]] = field(default_factory=dict)
    repeats: dict[str, tuple[int, int]] = field(default_factory=dict)
    known: list[tuple[str, str, str]] = field(default_factory=list)
    frequency: dict[Edit, float] = field(default_factory=dict)
    earlier: dict[Edit, str] = field(default_factory=dict)


def mane_effects(event: Event) -> list[tuple[View, Effect]]:
    return [(v, e) for v, e in event.effects if v.transcript.mane and v.transcript.coding]


def canonical(case: Case, edit: Edit) -> Edit:
    """The leftmost placement, so that equal variants are equal."""
    return min(equivalents(case.genome, edit), key=lambda e: e.pos)


# -- classes -----------------------------------------------------------------------------------


def classify(rules: Rules, tables: Tables, view: View, effect: Effect, rate: float) -> list[str]:
    """Class and rule."""
    if rate >= rules.common:
        return ["B", "F1"]
    gene = view.transcript.gene
    loss = rules.corrected.get(gene, rules.listed[gene]) == "yes"
    found = _by_consequence(rules, tables, view, effect, loss)
    return ["LB", "F2"] if found[0] == "VUS" and rate >= rules.uncommon else found


def _by_consequence(
    rules: Rules, tables: Tables, view: View, effect: Effect, loss: bool
) -> list[str]:
    kind = effect.consequence
    if kind in ("stop_gained", "frameshift_variant"):
        return _truncated(rules, view, effect) if loss else ["VUS", "N4"]
    if kind in ("splice_donor_variant", "splice_acceptor_variant"):
        return _spliced(view, effect) if loss else ["VUS", "S4"]
    if kind == "start_lost":
        early = "M" in view.translate(view.message)[1:30]
        return (["VUS", "T2"] if early else ["LP", "T1"]) if loss else ["VUS", "T3"]
    if kind == "stop_lost":
        far = effect.stop_after is None or effect.stop_after >= rules.extension
        return ["LP", "X1"] if far else ["VUS", "X2"]
    if kind == "missense_variant":
        return _missense(tables, view.transcript.gene, effect)
    if kind.startswith("inframe"):
        low, high = tables.repeats.get(view.transcript.gene, (0, 0))
        inside = all(low <= int(n) <= high for n in re.findall(r"\d+", effect.protein))
        return ["LB", "I1"] if inside else ["VUS", "I2"]
    return ["VUS", "R1"] if kind == "splice_region_variant" else ["LB", "Y1"]


def _truncated(rules: Rules, view: View, effect: Effect) -> list[str]:
    several = len(view.transcript.exons) > 1
    if several and effect.distance is not None and effect.distance > rules.junction:
        return ["P", "N1"]
    gone = effect.length - effect.first + 1
    return ["LP", "N2"] if gone >= rules.lost * effect.length else ["VUS", "N3"]


def _spliced(view: View, effect: Effect) -> list[str]:
    coding = view.transcript.coding
    part = [p for p in view.transcript.exons[effect.exon] if p in view.coding_set]
    if not part:
        return ["VUS", "S3"]
    ends = set(coding[:3] + coding[-3:])
    return ["P", "S1"] if ends & set(part) or len(part) % 3 else ["LP", "S2"]


def _missense(tables: Tables, gene: str, effect: Effect) -> list[str]:
    harmful = [p for g, p, c in tables.known if g == gene and c in ("P", "LP")]
    if effect.protein in harmful:
        return ["P", "M1"]
    low, high = tables.critical.get(gene, (0, 0))
    alike = any(p[:-4] == effect.protein[:-4] for p in harmful)
    if alike and single(effect) and low <= effect.first <= high:
        return ["LP", "M2"]
    return ["VUS", "M3"]


def single(effect: Effect) -> bool:
    return re.fullmatch(r"p\.\([A-Z][a-z]{2}\d+[A-Z][a-z]{2}\)", effect.protein) is not None


# -- tables made to fit ------------------------------------------------------------------------


def make_tables(case: Case, rules: Rules) -> Tables:
    tables = Tables()
    _regions(case, tables)
    _known(case, tables)
    _frequencies(case, rules, tables)
    for event in case.events:
        for edit in _parts(case, event):
            _remember(case, rules, tables, event, edit)
    for edit in case.rng.sample(sorted(tables.earlier, key=str), 4):
        del tables.earlier[edit]  # never classified before
    return tables


def _regions(case: Case, tables: Tables) -> None:
    for view in case.mane():
        protein = view.translate(view.message)
        if "QQQQQ" in protein:
            start = protein.index("QQQQQ")
            tables.repeats[view.transcript.gene] = (start + 1, start + 5)


def _known(case: Case, tables: Tables) -> None:
    """Reported variants: the same change, the same residue, and look-alikes of both."""
    plain = [
        (v.transcript.gene, e)
        for event in case.events
        for v, e in mane_effects(event)[:1]
        if e.consequence == "missense_variant" and single(e)
    ]
    case.rng.shuffle(plain)
    gene, near = plain[0]
    tables.critical[gene] = (max(2, near.first - 12), near.first + 14)
    tables.known.append((gene, other_residue(case.rng, near), "P"))
    other = next(x for x in plain if x[0] != gene)
    tables.critical[other[0]] = (other[1].first + 3, other[1].first + 40)
    tables.known.append((other[0], other_residue(case.rng, other[1]), "P"))
    rest = [x for x in plain[1:] if x is not other]
    tables.known.append((rest[0][0], rest[0][1].protein, "P"))
    tables.known.append((rest[1][0], rest[1][1].protein, "VUS"))
    tables.known.append((rest[2][0], rest[2][1].protein, "LP"))
    for view in case.mane():
        name = view.transcript.gene
        tables.critical.setdefault(name, (60, 85))
        residue, protein = case.rng.randint(20, 55), view.translate(view.message)
        was = THREE[protein[residue - 1]]
        now = case.rng.choice([x for x in sorted(THREE.values()) if x not in (was, "Ter")])
        grade = case.rng.choice(("P", "LB", "VUS"))
        tables.known.append((name, f"p.({was}{residue}{now})", grade))
    tables.known.sort()


def other_residue(rng: Random, effect: Effect) -> str:
    """The same residue changed to something else."""
    now, was = effect.protein[-4:-1], effect.protein[3:6]
    fresh = sorted(x for x in THREE.values() if x not in (now, was, "Ter"))
    return effect.protein[:-4] + rng.choice(fresh) + ")"


def _frequencies(case: Case, rules: Rules, tables: Tables) -> None:
    rng = case.rng
    groups = {True: [], False: []}
    for event in case.events:
        if mane_effects(event) and len({r.id for r in event.records}) == 1:
            groups[event.edit.is_indel].append(event)
    common = rng.sample(groups[True], 3) + rng.sample(groups[False], 2)
    for event, rate in zip(common, (1, 2.3, 4, 1, 7), strict=True):
        tables.frequency[canonical(case, event.edit)] = round(rules.common * rate, 6)
    rest = [e for e in groups[True] + groups[False] if e not in common]
    vague = [
        e
        for e in rest
        if all(x.consequence.startswith(("missense", "inframe")) for _, x in mane_effects(e))
    ]
    for event, rate in zip(rng.sample(vague, 5), (1, 1.4, 6, 0.8, 0.3), strict=True):
        tables.frequency[canonical(case, event.edit)] = round(rules.uncommon * rate, 7)
    for event in case.events:
        # parts of a joint event may be common; the event itself is in no database
        if len(_parts(case, event)) > 1:
            part = _parts(case, event)[0]
            tables.frequency.setdefault(canonical(case, part), round(rules.common * 3, 6))


def _parts(case: Case, event: Event) -> list[Edit]:
    """The called variants an event consists of."""
    whole = canonical(case, event.edit)
    if len(event.records) == 1 or event.edit.is_indel:
        return [whole]
    return [canonical(case, record_edits(r)[0]) for r in event.records]


def record_edits(record: Record) -> list[Edit]:
    return [minimal(record.chrom, record.pos, record.ref, a) for a in record.alts if a != "*"]


def _remember(case: Case, rules: Rules, tables: Tables, event: Event, edit: Edit) -> None:
    """An earlier class: what the policy gives in half of the cases, another in the rest."""
    if edit in tables.earlier or not mane_effects(event):
        return
    now = verdict(case, rules, tables, event)[0][0]
    others = [c for c in CLASSES if c != now]
    keep = case.rng.random() < 0.5
    tables.earlier[edit] = now if keep else case.rng.choice(others)


# -- the report --------------------------------------------------------------------------------


def verdict(
    case: Case, rules: Rules, tables: Tables, event: Event
) -> tuple[list[str], View, Effect]:
    """The most severe class of the genes hit; of equals the gene that lies first."""
    rate = tables.frequency.get(canonical(case, event.edit), 0.0)
    found = [
        (classify(rules, tables, v, e, rate), v, e)
        for v, e in sorted(mane_effects(event), key=lambda x: min(x[0].base_set))
    ]
    return max(found, key=lambda x: CLASSES.index(x[0][0]))


def earlier_class(case: Case, tables: Tables, event: Event) -> str:
    known = [tables.earlier[p] for p in _parts(case, event) if p in tables.earlier]
    return max(known, key=CLASSES.index) if known else "none"


def route(old: str, new: str) -> str:
    side = {"P": 1, "LP": 1, "VUS": 0, "none": 0, "LB": -1, "B": -1}
    if side[old] * side[new] == -1:
        return "board"
    return (
        "director" if abs(side[old]) != abs(side[new]) and 1 in (side[old], side[new]) else "desk"
    )


def report(case: Case, rules: Rules, tables: Tables) -> list[dict[str, str]]:
    rows = []
    for event in case.events:
        if not mane_effects(event):
            continue
        (new, rule), view, effect = verdict(case, rules, tables, event)
        old = earlier_class(case, tables, event)
        if old != new:
            names = (view.transcript.gene, view.transcript.id, effect.hgvs, effect.protein)
            rows.append(row(case, event, (*names, old, new, rule, route(old, new)), REPORT))
    return rows


REPORT = ("gene", "transcript", "hgvs", "protein", "previous", "new", "rule", "route")
ANNOTATION = ("gene", "transcript", "consequence", "hgvs", "protein")


def row(case: Case, event: Event, values: tuple, names: tuple[str, ...]) -> dict[str, str]:
    chrom, pos, ref, alt = vcf(case.genome, event.edit)
    head = {"chrom": chrom, "pos": str(pos), "ref": ref, "alt": alt}
    head["calls"] = "+".join(sorted({r.id for r in event.records}))
    head["zygosity"] = event.zygosity
    return head | dict(zip(names, values, strict=True))


def annotation(case: Case) -> list[dict[str, str]]:
    rows = []
    for event in case.events:
        for v, e in event.effects:
            values = (v.transcript.gene, v.transcript.id, e.consequence, e.hgvs, e.protein)
            rows.append(row(case, event, values, ANNOTATION))
        if not event.effects:
            values = ("-", "-", "intergenic_variant", "-", "-")
            rows.append(row(case, event, values, ANNOTATION))
    return rows


# -- files -------------------------------------------------------------------------------------


def write_tables(case: Case, rules: Rules, tables: Tables, folder: Path) -> None:
    genes = [
        (g, rules.listed[g], *tables.critical[g], *tables.repeats.get(g, ("", "")))
        for g in rules.listed
    ]
    header = "gene,loss_of_function,critical_from,critical_to,repeat_from,repeat_to"
    save(folder / "genes.csv", header, genes)
    save(folder / "known_variants.csv", "gene,protein,class", tables.known)
    rates = [(*spelled(case, e), f"{r:g}") for e, r in tables.frequency.items()]
    rates = [(c.removeprefix("chr").replace("M", "MT"), *rest) for c, *rest in rates]
    rates += _strangers(case, tables)
    save(folder / "population.csv", "chrom,pos,ref,alt,af", sorted(rates, key=str))
    past = [(*spelled(case, e), c) for e, c in tables.earlier.items()]
    save(folder / "previous.csv", "chrom,pos,ref,alt,class", sorted(past, key=str))


def spelled(case: Case, edit: Edit) -> tuple[str, int, str, str]:
    """A variant as some other source writes it: another placement, another padding."""
    spot = case.rng.choice(equivalents(case.genome, edit))
    contig = case.genome.contigs[edit.chrom]
    left, right = 1 + case.rng.choice([0, 0, 2]), case.rng.choice([0, 0, 1])
    if not edit.is_indel and case.rng.random() < 0.7:
        left = right = 0
    low, high = spot.pos - left, spot.pos + len(spot.ref) + right
    alt = contig[low : spot.pos] + spot.alt + contig[spot.pos + len(spot.ref) : high]
    return edit.chrom, low + 1, contig[low:high], alt


def _strangers(case: Case, tables: Tables) -> list[tuple]:
    """Other alleles at places where this patient has a variant too."""
    found = []
    for event in case.rng.sample(case.events, 14):
        edit = event.edit
        if len(edit.ref) == len(edit.alt) == 1:
            alt = next(b for b in "ACGT" if b not in (edit.ref, edit.alt))
            chrom = edit.chrom.removeprefix("chr").replace("M", "MT")
            if Edit(edit.chrom, edit.pos, edit.ref, alt) not in tables.frequency:
                found.append((chrom, edit.pos + 1, edit.ref, alt, "0.0312"))
    return found


def save(path: Path, header: str, rows: list) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
