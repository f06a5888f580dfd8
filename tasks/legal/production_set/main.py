"""E-discovery production: build the collection, produce it, grade dispositions, numbers and log."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from json import dumps
from pathlib import Path
from typing import Any

from corpus import Corpus, Doc, Family
from matters import MATTERS, Person
from ruling import Ruling
from score import LOG, Answer, Key

from pytest_ale import cheat, near_miss

HERE = Path(__file__).parent
LOAD_FILE = (
    "control_no,parent_control_no,attachment_no,inline,custodian,type,file_name,sent_utc,"
    "modified_utc,from,to,cc,bcc,subject,pages,md5"
)


def write_csv(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    rules = params["rules"]
    corpus = Corpus(MATTERS[rules], rules, rng).make()
    ruling = Ruling(corpus)
    for name, suffix in (("protocol", "md"), ("memo", "md"), ("emails", "txt")):
        text = (HERE / "texts" / f"{name}_{rules}.{suffix}").read_text(encoding="utf-8")
        (inputs / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    write_people(inputs, corpus)
    write_documents(inputs, corpus, ruling)
    write_review(inputs, corpus)
    write_previous(inputs, corpus)
    (reference / "key.json").write_text(dumps(ruling.key(), indent=1), encoding="utf-8")


def write_people(inputs: Path, corpus: Corpus) -> None:
    matter = corpus.matter

    def row(p: Person) -> list[str]:
        return [p.address, p.name, p.organisation, p.role, p.since, p.until, p.private]

    header = "address,name,organisation,role,from_date,to_date,other_addresses"
    people = sorted(map(row, matter.people.values()))
    write_csv(inputs / "directory.csv", header, people)
    members = (
        [name, matter.people[part].address]
        for name, parts in matter.lists.items()
        for part in parts
    )
    write_csv(inputs / "lists.csv", "list_address,member_address", members)
    terms = ([f"T{n}", term.expression] for n, term in enumerate(matter.terms, 1))
    write_csv(inputs / "search_terms.csv", "term_id,expression", terms)


def write_documents(inputs: Path, corpus: Corpus, ruling: Ruling) -> None:
    writer = LoadFile(corpus, ruling)
    rows = [row for family in corpus.families for row in writer.rows(family)]
    write_csv(inputs / "documents.csv", LOAD_FILE, rows)
    texts = inputs / "text"
    texts.mkdir()
    for family in corpus.families:
        for doc in family.members:
            (texts / f"{doc.control}.txt").write_text(doc.text, encoding="utf-8")


class LoadFile:
    """Writes families as load file rows, addresses as untidy as mail programs make them."""

    def __init__(self, corpus: Corpus, ruling: Ruling) -> None:
        self.corpus, self.ruling, self.rng = corpus, ruling, corpus.rng

    def rows(self, family: Family) -> list[list[object]]:
        counts = {"attachment": 0, "inline": 0}
        made = []
        for doc in family.docs:
            number = ""
            if doc.kind in counts:
                counts[doc.kind] += 1
                number = str(counts[doc.kind]) if doc.kind == "attachment" else ""
            made.append(self.row(family, doc, number))
        return made

    def row(self, family: Family, doc: Doc, number: str) -> list[object]:
        top = doc is family.docs[0]
        parent = "" if top else family.docs[0].control
        people = (self.people(family) if top else ["", "", "", ""]) + [doc.subject]
        inline = "Y" if doc.kind == "inline" else "N"
        start = [doc.control, parent, number, inline, self.ruling.name(family.owner)]
        return [*start, doc.ext, doc.name, *self.times(family, doc), *people, doc.pages, doc.md5]

    def times(self, family: Family, doc: Doc) -> tuple[str, str]:
        moment = self.corpus.utc(family.local)
        if doc.kind == "email":
            return f"{moment:%Y-%m-%dT%H:%M:%SZ}", ""
        if doc.kind != "loose":
            moment -= timedelta(minutes=self.rng.randrange(90, 400_000))
        return "", f"{moment:%Y-%m-%dT%H:%M:%SZ}"

    def people(self, family: Family) -> list[str]:
        sides = [[family.sender], family.to, family.cc, family.bcc]
        return ["; ".join(self.written(part) for part in side) for side in sides]

    def written(self, part: str) -> str:
        address, style = self.ruling.address(part), self.rng.randrange(5)
        if style == 0 or part.startswith("@"):
            return address
        if style == 1:
            return address.title()
        first, _, last = self.corpus.matter.people[part.rstrip("+")].name.rpartition(" ")
        shown = (f"{first} {last}", f"{last}, {first[0]}.", f"{last} {first}".upper())[style - 2]
        return f"{shown} <{address}>"


def write_review(inputs: Path, corpus: Corpus) -> None:
    rows = []
    for family in corpus.families:
        for doc in family.members:
            coded = "R" if doc.responsive else "NR"
            reviewer = corpus.rng.choice(("KB", "TO", "SW", "AL"))
            issues = ";".join(doc.issues)
            rows.append([doc.control, reviewer, coded, doc.call, doc.ground, issues])
    header = "control_no,reviewer,responsive,content_call,ground,issues"
    write_csv(inputs / "review.csv", header, rows)


def write_previous(inputs: Path, corpus: Corpus) -> None:
    hashes = [f"{corpus.rng.getrandbits(128):032x}" for _ in range(12)]
    for family in corpus.families:
        if family.earlier == "all":
            hashes += [doc.md5 for doc in family.members]
        elif family.earlier == "some":
            hashes.append(family.members[-1].md5)
    corpus.rng.shuffle(hashes)
    last, rows = corpus.last, []
    for md5 in hashes:
        first = last - (corpus.rng.randrange(6) if corpus.matter.numbers_per_page else 0)
        rows.append([*(f"{corpus.matter.prefix}{n:07d}" for n in (first, last)), md5])
        last = first - 1
    rows.sort(key=lambda row: row[2])
    if rows[-1][1] == max(row[1] for row in rows):
        rows.reverse()  # the last number is never in the last row
    write_csv(inputs / "previous_volume.csv", "begin,end,md5", rows)


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text(encoding="utf-8"))
    command = ["python3", script, sandbox.inputs, sandbox.output, params["rules"]]
    sandbox.exec(command, check=True)


# grading


def evaluate(output: Path, reference: Path, check: Callable[[str], Any]) -> None:
    key, answer = Key(reference / "key.json"), Answer(output)
    with check("every document is accounted for once"):
        assert sorted(answer.dispositions()) == sorted(key.dispositions)
        assert answer.index(), "production_index.csv has no rows"
        assert answer.log(), "privilege_log.csv has no rows"
    for name, codes in {
        "duplicates, inline images and the removed custodian": (
            "inline_image",
            "custodian_removed",
            "duplicate",
        ),
        "date range and search terms": ("out_of_range", "no_search_hit"),
        "responsive families and the earlier volume": ("not_responsive", "previously_produced"),
        "privilege decided document by document": ("withheld_unlogged", "withheld", "redacted"),
    }.items():
        with check(name):
            assert answer.under(codes) == key.under(codes)
    with check("index holds what is produced"):
        key.check_overlap(answer.index())
        assert answer.treatments() == key.expected_treatments(answer.dispositions())
    with check("numbers run on in the agreed order"):
        key.check_overlap(answer.index())
        assert answer.numbers() == key.numbers(answer.index())
    with check("family ranges, custodians and dates"):
        key.check_overlap(answer.index())
        assert answer.families() == key.families(answer.index())
        assert answer.facts(key) == key.facts(answer.index())
    with check("designations"):
        key.check_overlap(answer.index())
        assert answer.designations(key) == key.designations(answer.index())
    with check("privilege log"):
        assert answer.log_entries() == key.log_entries()
        assert answer.log_numbers() == answer.begins(key.log_controls())


# controls


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save_rows(path: Path, rows: list[dict[str, str]]) -> None:
    write_csv(path, ",".join(rows[0]), (row.values() for row in rows))


@near_miss("privileged communications after filing logged like the others")
def late_ones_logged(output: Path) -> None:
    rows = read_rows(output / "dispositions.csv")
    late = [r for r in rows if r["disposition"] == "withheld_unlogged"]
    for row in late:
        row["disposition"] = "withheld"
    save_rows(output / "dispositions.csv", rows)
    log = read_rows(output / "privilege_log.csv")
    log += [log[0] | {"control_no": row["control_no"]} for row in late]
    save_rows(output / "privilege_log.csv", log)


@near_miss("numbering starts again at 1 instead of after the earlier volume")
def restarted(output: Path) -> None:
    index, log = (
        read_rows(output / name) for name in ("production_index.csv", "privilege_log.csv")
    )
    base = min(number_of(row["begin"]) for row in index) - 1
    for row in index + log:
        for name in ("begin", "end", "family_begin", "family_end"):
            if row.get(name):
                row[name] = f"{row[name][:-7]}{number_of(row[name]) - base:07d}"
    save_rows(output / "production_index.csv", index)
    save_rows(output / "privilege_log.csv", log)


def number_of(bates: str) -> int:
    return int(bates[-7:])


@near_miss("an attachment of a withheld e-mail withheld with it, for no reason of its own")
def family_withheld(output: Path) -> None:
    rows = read_rows(output / "dispositions.csv")
    withheld = False
    for row in rows:
        if withheld and row["disposition"] in ("produced", "native"):
            row["disposition"] = "withheld"
            break
        withheld = row["disposition"] == "withheld"
    save_rows(output / "dispositions.csv", rows)


@near_miss("a lawyer's name was enough: one disclosed document withheld")
def one_more_withheld(output: Path) -> None:
    rows, index = (read_rows(output / n) for n in ("dispositions.csv", "production_index.csv"))
    chosen = next(row for row in index if row["treatment"] == "produced")
    chosen["treatment"] = "withheld"
    for row in rows:
        if row["control_no"] == chosen["control_no"]:
            row["disposition"] = "withheld"
    save_rows(output / "dispositions.csv", rows)
    save_rows(output / "production_index.csv", index)


@near_miss("designations of the parent only")
def undesignated_attachments(output: Path) -> None:
    rows = read_rows(output / "production_index.csv")
    for row in rows:
        if row["begin"] != row["family_begin"]:
            row["designation"] = ""
    save_rows(output / "production_index.csv", rows)


@near_miss("log without those who were copied")
def short_log(output: Path) -> None:
    rows = read_rows(output / "privilege_log.csv")
    for row in rows:
        row["recipients"] = row["recipients"].split(";")[0]
    save_rows(output / "privilege_log.csv", rows)


@cheat("everything produced, nothing logged")
def produce_all(output: Path) -> None:
    rows = read_rows(output / "dispositions.csv")
    for row in rows:
        row["disposition"] = "produced"
    save_rows(output / "dispositions.csv", rows)
    (output / "privilege_log.csv").write_text(",".join(LOG) + "\n")


@cheat("everything withheld and logged in the same words")
def withhold_all(output: Path) -> None:
    rows = read_rows(output / "dispositions.csv")
    index = read_rows(output / "production_index.csv")
    log = read_rows(output / "privilege_log.csv")
    for row in rows:
        row["disposition"] = "withheld"
    save_rows(output / "dispositions.csv", rows)
    names = [row["control_no"] for row in rows]
    save_rows(output / "production_index.csv", [index[0] | {"control_no": n} for n in names])
    save_rows(output / "privilege_log.csv", [log[0] | {"control_no": n} for n in names])


@cheat("one row in each file")
def one_row(output: Path) -> None:
    for path in sorted(output.iterdir()):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:2]))
