"""Annotate and classify by the manual, the policy and HGVS rules; works from the inputs alone."""

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

INPUTS, OUTPUT = Path(sys.argv[1]), Path(sys.argv[2])
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
LONG = {
    "A": "Ala",
    "R": "Arg",
    "N": "Asn",
    "D": "Asp",
    "C": "Cys",
    "Q": "Gln",
    "E": "Glu",
    "G": "Gly",
    "H": "His",
    "I": "Ile",
    "L": "Leu",
    "K": "Lys",
    "M": "Met",
    "F": "Phe",
    "P": "Pro",
    "S": "Ser",
    "T": "Thr",
    "W": "Trp",
    "Y": "Tyr",
    "V": "Val",
    "*": "Ter",
}
# the genetic code by amino acid, bases in IUPAC letters
FAMILIES = (
    "A GCN|R CGN AGR|N AAY|D GAY|C TGY|Q CAR|E GAR|G GGN|H CAY|I ATH|L TTR CTN|K AAR|M ATG|F TTY|"
    "P CCN|S TCN AGY|T ACN|W TGG|Y TAY|V GTN|* TAR TGA"
)
LETTERS = {"N": "ACGT", "R": "AG", "Y": "CT", "H": "ACT"}
SEVERITY = ["B", "LB", "VUS", "LP", "P"]


def genetic_code():
    code = {}
    for family in FAMILIES.split("|"):
        amino, *patterns = family.split()
        for pattern in patterns:
            for last in LETTERS.get(pattern[2], pattern[2]):
                code[pattern[:2] + last] = amino
    return code


TABLES = {"1": genetic_code()}
TABLES["2"] = {**TABLES["1"], "AGA": "*", "AGG": "*", "ATA": "M", "TGA": "W"}


def complement(text):
    return "".join(COMPLEMENT[b] for b in reversed(text))


# -- inputs ------------------------------------------------------------------------------------


def load_fasta():
    contigs = {}
    for block in (INPUTS / "reference.fa").read_text().split(">")[1:]:
        head, _, body = block.partition("\n")
        contigs[head.split()[0]] = body.replace("\n", "").upper()
    return contigs


def load_csv(name):
    with (INPUTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


CONTIGS = load_fasta()


class Transcript:
    """Positions are 1-based on the genome, 0-based along the message."""

    def __init__(self, name, gene, chrom, strand, mane):
        self.name, self.gene, self.chrom, self.strand, self.mane = name, gene, chrom, strand, mane
        self.exons, self.cds, self.table = [], [], "1"

    def close(self):
        forward = self.strand == "+"
        self.exons.sort(reverse=not forward)
        self.low, self.high = min(a for a, _ in self.exons), max(b for _, b in self.exons)
        contig = CONTIGS[self.chrom]
        parts = [contig[a - 1 : b] for a, b in self.exons]
        self.message = "".join(p if forward else complement(p) for p in parts)
        self.offsets = [sum(b - a + 1 for a, b in self.exons[:n]) for n in range(len(self.exons))]
        self.coding = bool(self.cds)
        if self.coding:
            ends = [min(a for a, _ in self.cds), max(b for _, b in self.cds)]
            first, last = sorted(self.locate(g)[1] for g in ends)
            self.start, self.size = first, last - first + 1

    def locate(self, g):
        """('exon', index in message, exon) or ('intron', exon before it, up, down)."""
        forward = self.strand == "+"
        for n, (a, b) in enumerate(self.exons):
            if a <= g <= b:
                return "exon", self.offsets[n] + (g - a if forward else b - g), n
        for n in range(len(self.exons) - 1):
            (a, b), (c, d) = self.exons[n], self.exons[n + 1]
            up, down = (g - b, c - g) if forward else (a - g, g - d)
            if up > 0 and down > 0:
                return "intron", n, up, down
        raise ValueError(f"{g} is not in {self.name}")

    def label(self, g):
        place = self.locate(g)
        if place[0] == "exon":
            return self.number(place[1])
        _, n, up, down = place
        if up <= down:
            return f"{self.number(self.offsets[n + 1] - 1)}+{up}"
        return f"{self.number(self.offsets[n + 1])}-{down}"

    def number(self, i):
        if not self.coding:
            return str(i + 1)
        rank = i - self.start
        if rank < 0:
            return str(rank)
        return str(rank + 1) if rank < self.size else f"*{rank - self.size + 1}"

    def residue(self, text, k):
        """Amino acid k (from 0) of a text that begins with the start codon; None at the end."""
        codon = text[3 * k : 3 * k + 3]
        if codon and len(codon) < 3 and self.chrom == "chrM":
            codon = codon.ljust(3, "A")
        return TABLES[self.table].get(codon)

    def protein(self, text):
        letters, k = [], 0
        while (amino := self.residue(text, k)) is not None:
            letters.append(amino)
            if amino == "*":
                break
            k += 1
        return "".join(letters)


def load_transcripts():
    genes, found = {}, {}
    for line in (INPUTS / "genes.gff3").read_text().splitlines():
        if line.startswith("#"):
            continue
        chrom, _, kind, low, high, _, strand, _, text = line.split("\t")
        tags = dict(x.split("=", 1) for x in text.split(";"))
        if kind == "gene":
            genes[tags["ID"]] = tags["Name"]
        elif kind in ("mRNA", "lnc_RNA"):
            mane = tags.get("tag") == "MANE_Select"
            one = Transcript(tags["Name"], genes[tags["Parent"]], chrom, strand, mane)
            found[tags["ID"]] = one
        elif kind == "exon":
            found[tags["Parent"]].exons.append((int(low), int(high)))
        elif kind == "CDS":
            found[tags["Parent"]].cds.append((int(low), int(high)))
            found[tags["Parent"]].table = tags.get("transl_table", "1")
    for one in found.values():
        one.close()
    return list(found.values())


# -- variants: (chrom, position of the first replaced base, ref, alt), leftmost ------------------


def normal(chrom, pos, ref, alt):
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, pos = ref[1:], alt[1:], pos + 1
    return roll((chrom, pos, ref, alt), -1)


def roll(variant, way):
    """Shift a pure insertion or deletion as far left (-1) or right (1) as it goes."""
    chrom, pos, ref, alt = variant
    contig, unit = CONTIGS[chrom], ref or alt
    if ref and alt:
        return variant
    while way < 0 and contig[pos - 2] == unit[-1]:
        unit, pos = unit[-1] + unit[:-1], pos - 1
    while way > 0 and contig[pos - 1 + len(ref)] == unit[0]:
        unit, pos = unit[1:] + unit[0], pos + 1
    return (chrom, pos, unit, "") if ref else (chrom, pos, "", unit)


def vcf_fields(variant):
    chrom, pos, ref, alt = variant
    if ref and alt:
        return [chrom, str(pos), ref, alt]
    anchor = CONTIGS[chrom][pos - 2]
    return [chrom, str(pos - 1), anchor + ref, anchor + alt]


def load_alleles():
    """Counted alleles: variant -> list of (call id, genotype, phase set, allele number)."""
    alleles = defaultdict(list)
    for line in (INPUTS / "calls.vcf").read_text().splitlines():
        if line.startswith("#"):
            continue
        chrom, pos, name, ref, alts, _, passed, _, keys, values = line.split("\t")
        call = dict(zip(keys.split(":"), values.split(":"), strict=True))
        weak = chrom == "chrM" and float(call["HF"]) < 0.10
        if passed != "PASS" or int(call["GQ"]) < 20 or weak:
            continue
        for number, alt in enumerate(alts.split(","), 1):
            if str(number) in re.split(r"[/|]", call["GT"]) and alt != "*":
                entry = (name, call["GT"], call["PS"], str(number))
                alleles[normal(chrom, int(pos), ref, alt)].append(entry)
    return alleles


def zygosity(entry):
    copies = re.split(r"[/|]", entry[1])
    if len(copies) == 1:
        return "hap"
    return "hom" if copies == [entry[3]] * 2 else "het"


def codon_of(variant, transcripts):
    """The MANE codon that holds the whole substitution."""
    chrom, pos, ref, alt = variant
    if len(ref) != len(alt):
        return None
    for one in transcripts:
        inside = one.mane and one.chrom == chrom and one.low <= pos <= one.high
        if not inside or not one.low <= pos + len(ref) - 1 <= one.high:
            continue
        places = [one.locate(pos + i) for i in range(len(ref))]
        if all(p[0] == "exon" and 0 <= p[1] - one.start < one.size for p in places):
            codons = {(p[1] - one.start) // 3 for p in places}
            if len(codons) == 1:
                return one.name, codons.pop()
    return None


def load_events(transcripts):
    """Events: (variant, call ids, zygosity, the variants it is made of)."""
    alleles, groups, events = load_alleles(), defaultdict(list), []
    for variant, entries in alleles.items():
        key = codon_of(variant, transcripts) or variant
        groups[key].append((variant, entries))
    for members in groups.values():
        for chosen, kind in on_copies(members):
            events.append(join(chosen, kind))
    return events


def on_copies(members):
    """Which members share a chromosome copy, and on how many copies that is so."""
    kinds = [zygosity(entries[0]) for _, entries in members]
    if len(members) == 1 or "hap" in kinds:
        return [(members, kinds[0])]
    hom = [m for m, k in zip(members, kinds, strict=True) if k == "hom"]
    copies = defaultdict(list)
    for member, kind in zip(members, kinds, strict=True):
        if kind == "het":
            copies[copy_of(member)].append(member)
    if not copies:
        return [(hom, "hom")]
    result = [(hom + some, "het") for some in copies.values()]
    sides = {(key[1], key[2]) for key in copies if key[0] == "phased"}
    both_taken = len(sides) > 1 and len({ps for ps, _ in sides}) == 1
    return result + ([(hom, "het")] if hom and not both_taken else [])


def copy_of(member):
    name, gt, ps, number = member[1][0]
    if "|" not in gt:
        return "unphased", name, number
    return "phased", ps, gt.split("|").index(number)


def join(members, kind):
    ids = sorted({entry[0] for _, entries in members for entry in entries})
    parts = [variant for variant, _ in members]
    if len(parts) == 1:
        return parts[0], ids, kind, parts
    chrom = parts[0][0]
    low, high = min(p[1] for p in parts), max(p[1] + len(p[2]) for p in parts)
    ref = CONTIGS[chrom][low - 1 : high - 1]
    new = list(ref)
    for _, pos, _, alt in parts:
        new[pos - low : pos - low + len(alt)] = alt
    return (chrom, low, ref, "".join(new)), ids, kind, parts


# -- names -------------------------------------------------------------------------------------


def towards_three_prime(one, variant):
    return roll(variant, 1 if one.strand == "+" else -1)


def touched(variant):
    _, pos, ref, _ = variant
    return (pos, pos + len(ref) - 1) if ref else (pos - 1, pos)


def interval(one, low, high):
    ends = (low, high) if one.strand == "+" else (high, low)
    first, last = one.label(ends[0]), one.label(ends[1])
    return first if low == high else f"{first}_{last}"


def dna_name(one, variant):
    chrom, pos, ref, alt = variant
    forward = one.strand == "+"
    old, new = (ref, alt) if forward else (complement(ref), complement(alt))
    prefix = "c." if one.coding else "n."
    if not ref:
        size = len(alt)
        low = pos - size if forward else pos
        if CONTIGS[chrom][low - 1 : low - 1 + size] == alt:
            return f"{prefix}{interval(one, low, low + size - 1)}dup"
        return f"{prefix}{interval(one, pos - 1, pos)}ins{new}"
    span = prefix + interval(one, *touched(variant))
    if not alt:
        return span + "del"
    if len(ref) == len(alt) == 1:
        return f"{span}{old}>{new}"
    return span + ("inv" if ref == complement(alt) else "delins" + new)


def is_at(places, inserted, test):
    hits = [test(p) for p in places]
    return all(hits) if inserted else any(hits)


def annotate(one, variant):
    """Consequence, names and the facts that classification needs."""
    shifted = towards_three_prime(one, variant)
    low, high = touched(shifted)
    places = [one.locate(g) for g in range(low, high + 1)]
    inserted = not shifted[2]
    fact = {"hgvs": dna_name(one, shifted), "protein": "-"}
    for name, side, step in (("acceptor", 3, 1), ("donor", 2, 0)):

        def canonical(p, side=side):
            return p[0] == "intron" and p[side] <= 2

        if is_at(places, inserted, canonical):
            hit = next(p for p in places if canonical(p))
            protein = "p.?" if one.coding else "-"
            return fact | {
                "term": f"splice_{name}_variant",
                "protein": protein,
                "exon": hit[1] + step,
            }
    if one.coding and all(in_cds(one, p) for p in places):
        fact |= coding_effect(one, shifted, places)
    return {"term": quiet_term(one, places, inserted, fact)} | fact


def in_cds(one, place):
    return place[0] == "exon" and 0 <= place[1] - one.start < one.size


def near_border(one, place, side):
    """Within three bases of the intron after (side 1) or before (side 0) the exon."""
    if place[0] != "exon":
        return False
    _, i, n = place
    if side == 1:
        return n + 1 < len(one.exons) and one.offsets[n + 1] - i <= 3
    return n > 0 and i - one.offsets[n] < 3


def quiet_term(one, places, inserted, fact):
    tests = [
        lambda p: near_border(one, p, 0),
        lambda p: near_border(one, p, 1),
        lambda p: p[0] == "intron" and 3 <= p[2] <= 8,
        lambda p: p[0] == "intron" and 3 <= p[3] <= 8,
    ]
    if any(is_at(places, inserted, test) for test in tests):
        return "splice_region_variant"
    if any(p[0] == "intron" for p in places):
        return "intron_variant"
    if not one.coding:
        return "non_coding_transcript_exon_variant"
    ranks = [p[1] - one.start for p in places]
    if min(ranks) < 0:
        return "5_prime_UTR_variant"
    if max(ranks) >= one.size:
        return "3_prime_UTR_variant"
    stop = (one.size - 1) // 3 * 3
    at_stop = is_at(ranks, inserted, lambda r: r >= stop)
    return "stop_retained_variant" if at_stop else "synonymous_variant"


def coding_effect(one, variant, places):
    _, _, ref, alt = variant
    ranks = sorted(p[1] - one.start for p in places)
    at = ranks[0] if ref else ranks[1]
    new_bases = alt if one.strand == "+" else complement(alt)
    text = one.message[one.start :]
    changed = text[:at] + new_bases + text[at + len(ref) :]
    delta = len(alt) - len(ref)
    in_start = ranks[-1] < 3 if not ref else ranks[0] < 3
    if in_start and (delta or one.residue(changed, 0) != "M"):
        return {"term": "start_lost", "protein": "p.(Met1?)"}
    k = at // 3
    while one.residue(text, k) == one.residue(changed, k):
        if one.residue(text, k) in ("*", None):
            return silent(one, text, k, at, delta)
        k += 1
    known = {"first": k + 1, "total": len(one.protein(text)) - 1}
    return known | altered(one, text, changed, k, at)


def silent(one, text, stop, at, delta):
    k = stop if delta else at // 3
    return {"protein": f"p.({LONG[one.residue(text, k)]}{k + 1}=)"}


def altered(one, text, changed, k, at):
    delta = len(changed) - len(text)
    was, now = one.residue(text, k), one.residue(changed, k)
    stop = next_stop(one, changed, k)
    head = f"{LONG[was]}{k + 1}"
    if was == "*":
        beyond = stop - k if stop is not None else None
        shown = "?" if beyond is None else beyond
        name = f"p.({head}{LONG[now]}extTer{shown})"
        return {"term": "stop_lost", "protein": name, "beyond": beyond}
    fact = {}
    if stop is not None:
        # the last junction moves with an event that lies ahead of it
        moved = delta if one.start + at < one.offsets[-1] else 0
        fact["decay_gap"] = one.offsets[-1] + moved - (one.start + 3 * stop + 3)
    if now == "*":
        return fact | {"term": "stop_gained", "protein": f"p.({head}Ter)"}
    if delta % 3:
        shown = "?" if stop is None else stop - k + 1
        name = f"p.({head}{LONG[now]}fsTer{shown})"
        return fact | {"term": "frameshift_variant", "protein": name}
    kinds = {-1: "inframe_deletion", 0: "missense_variant", 1: "inframe_insertion"}
    term = kinds[(delta > 0) - (delta < 0)]
    return {"term": term, "protein": f"p.({in_frame(one.protein(text), one.protein(changed))})"}


def next_stop(one, text, k):
    while (amino := one.residue(text, k)) is not None:
        if amino == "*":
            return k
        k += 1
    return None


def in_frame(old, new):
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    tail = 0
    room = min(len(old), len(new)) - start
    while tail < room and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    gone, came = old[start : len(old) - tail], new[start : len(new) - tail]
    added = "".join(LONG[a] for a in came)
    if not came:
        return residues(old, start, len(gone)) + "del"
    if gone:
        if len(gone) == len(came) == 1:
            return f"{LONG[gone]}{start + 1}{added}"
        return residues(old, start, len(gone)) + "delins" + added
    if old[start - len(came) : start] == came:
        return residues(old, start - len(came), len(came)) + "dup"
    return residues(old, start - 1, 2) + "ins" + added


def residues(protein, start, count):
    first = f"{LONG[protein[start]]}{start + 1}"
    last = start + count - 1
    return first if count == 1 else f"{first}_{LONG[protein[last]]}{last + 1}"


# -- policy ------------------------------------------------------------------------------------


class Policy:
    def __init__(self):
        mito = "MD-4" in (INPUTS / "policy.md").read_text()
        self.common, self.uncommon = (0.005, 0.0005) if mito else (0.01, 0.001)
        self.gap, self.lost, self.growth = (55, 0.15, 15) if mito else (50, 0.10, 20)
        self.genes = {r["gene"]: r for r in load_csv("genes.csv")}
        # the director's memo
        gene, answer = ("MT-NX6", "no") if mito else ("LMXN1", "yes")
        self.genes[gene]["loss_of_function"] = answer
        self.harmful = defaultdict(set)
        for row in load_csv("known_variants.csv"):
            if row["class"] in ("P", "LP"):
                self.harmful[row["gene"]].add(row["protein"])
        self.rates, self.past = {}, {}
        for row in load_csv("population.csv"):
            chrom = "chr" + row["chrom"].replace("MT", "M")
            key = normal(chrom, int(row["pos"]), row["ref"], row["alt"])
            self.rates[key] = float(row["af"])
        for row in load_csv("previous.csv"):
            key = normal(row["chrom"], int(row["pos"]), row["ref"], row["alt"])
            self.past[key] = row["class"]

    def classify(self, one, fact, rate):
        if rate >= self.common:
            return "B", "F1"
        verdict = self.by_term(one, fact)
        return ("LB", "F2") if verdict[0] == "VUS" and rate >= self.uncommon else verdict

    def by_term(self, one, fact):
        term, loss = fact["term"], self.genes[one.gene]["loss_of_function"] == "yes"
        if term in ("stop_gained", "frameshift_variant"):
            return self.truncation(one, fact) if loss else ("VUS", "N4")
        if term in ("splice_donor_variant", "splice_acceptor_variant"):
            return self.splice(one, fact) if loss else ("VUS", "S4")
        if term == "start_lost":
            other = "M" in one.protein(one.message[one.start :])[1:30]
            return ("VUS", "T3") if not loss else ("VUS", "T2") if other else ("LP", "T1")
        if term == "stop_lost":
            long = fact["beyond"] is None or fact["beyond"] >= self.growth
            return ("LP", "X1") if long else ("VUS", "X2")
        if term == "missense_variant":
            return self.missense(one, fact)
        if term in ("inframe_insertion", "inframe_deletion"):
            return self.repeat(one, fact)
        return ("VUS", "R1") if term == "splice_region_variant" else ("LB", "Y1")

    def truncation(self, one, fact):
        if len(one.exons) > 1 and fact.get("decay_gap", -1) > self.gap:
            return "P", "N1"
        share = (fact["total"] - fact["first"] + 1) / fact["total"]
        return ("LP", "N2") if share >= self.lost else ("VUS", "N3")

    def splice(self, one, fact):
        n = fact["exon"]
        low, high = one.exons[n]
        begin = one.offsets[n]
        ranks = range(begin - one.start, begin - one.start + high - low + 1)
        coding = [r for r in ranks if 0 <= r < one.size]
        if not coding:
            return "VUS", "S3"
        ends = coding[0] < 3 or coding[-1] >= one.size - 3
        return ("P", "S1") if ends or len(coding) % 3 else ("LP", "S2")

    def missense(self, one, fact):
        known = self.harmful[one.gene]
        if fact["protein"] in known:
            return "P", "M1"
        match = re.fullmatch(r"(p\.\([A-Z][a-z]{2}(\d+))[A-Z][a-z]{2}\)", fact["protein"])
        gene = self.genes[one.gene]
        if match and int(gene["critical_from"]) <= int(match[2]) <= int(gene["critical_to"]):
            pattern = re.escape(match[1]) + r"[A-Z][a-z]{2}\)"
            if any(re.fullmatch(pattern, name) for name in known):
                return "LP", "M2"
        return "VUS", "M3"

    def repeat(self, one, fact):
        gene = self.genes[one.gene]
        if not gene["repeat_from"]:
            return "VUS", "I2"
        low, high = int(gene["repeat_from"]), int(gene["repeat_to"])
        numbers = [int(n) for n in re.findall(r"\d+", fact["protein"])]
        return ("LB", "I1") if low <= min(numbers) and max(numbers) <= high else ("VUS", "I2")


def route(old, new):
    bad, good = ("P", "LP"), ("B", "LB")
    if (old in bad and new in good) or (old in good and new in bad):
        return "board"
    if (old in bad and new == "VUS") or (old in ("VUS", "none") and new in bad):
        return "director"
    return "desk"


# -- tables ------------------------------------------------------------------------------------


def hits(one, variant):
    low, high = touched(towards_three_prime(one, variant))
    return variant[0] == one.chrom and one.low <= low and high <= one.high


def write(name, header, rows):
    lines = ["\t".join(r) for r in [header.split(), *rows]]
    (OUTPUT / name).write_text("\n".join(lines) + "\n")


def main():
    transcripts, policy = load_transcripts(), Policy()
    annotated, moved = [], []
    for variant, ids, kind, parts in load_events(transcripts):
        head = [*vcf_fields(variant), "+".join(ids), kind]
        found = [(one, annotate(one, variant)) for one in transcripts if hits(one, variant)]
        for one, fact in found:
            names = [fact["term"], fact["hgvs"], fact["protein"]]
            annotated.append([*head, one.gene, one.name, *names])
        if not found:
            annotated.append([*head, "-", "-", "intergenic_variant", "-", "-"])
        moved += reclassify(policy, head, variant, parts, [f for f in found if f[0].mane])
    head = "chrom pos ref alt calls zygosity gene transcript"
    write("annotated.tsv", f"{head} consequence hgvs protein", annotated)
    write("reclassified.tsv", f"{head} hgvs protein previous new rule route", moved)


def reclassify(policy, head, variant, parts, found):
    if not found:
        return []
    rate = policy.rates.get(variant, 0.0)
    judged = [(policy.classify(one, fact, rate), one, fact) for one, fact in found]
    judged.sort(key=lambda x: (-SEVERITY.index(x[0][0]), x[1].low))
    (new, rule), one, fact = judged[0]
    classes = [policy.past[p] for p in parts if p in policy.past]
    old = max(classes, key=SEVERITY.index) if classes else "none"
    if old == new:
        return []
    names = [one.gene, one.name, fact["hgvs"], fact["protein"]]
    return [[*head, *names, old, new, rule, route(old, new)]]


main()
