"""Library catalogue merge: build the exports, merge them, grade catalogue, log and problems."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from libraries import MERGERS, Site
from merged import Merged
from names import NAMES
from score import FIELDS, Answer, Key
from stock import Record, Stock

from pytest_ale import cheat, near_miss

HERE = Path(__file__).parent
HEADERS = (
    "record_id,level,isbn,title,author,edition,publisher,year,format,call_number,items,updated",
    "Ctrl No;Title;Main author;Ed.;Imprint;ISBN;Material;Class mark;Copies;Level;Last change",
)


def write_csv(
    path: Path, header: str, rows: Iterable[Iterable[object]], delimiter: str = ","
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header.split(delimiter))
        writer.writerows(rows)


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    name = params["merger"]
    stock = Stock(MERGERS[name], rng).make()
    write_texts(inputs, name)
    for number, site in enumerate(stock.merger.sites):
        records = [r for r in stock.records if r.site == number]
        write_export(inputs, site, sorted(records, key=lambda r: r.record_id))
    rows = ([n.name_id, n.heading, "|".join(n.variants), n.replaced_by] for n in NAMES)
    write_csv(inputs / "names.csv", "name_id,heading,variants,replaced_by", sorted(rows))
    (reference / "key.json").write_text(json.dumps(Merged(stock).key(), indent=1))


def write_texts(inputs: Path, name: str) -> None:
    texts = HERE / "texts"
    common = (texts / "rules_common.md").read_text(encoding="utf-8")
    rules = (texts / f"rules_{name}.md").read_text(encoding="utf-8")
    (inputs / "rules.md").write_text(rules.replace("{common}", common), encoding="utf-8")
    emails = (texts / f"emails_{name}.txt").read_text(encoding="utf-8")
    (inputs / "emails.txt").write_text(emails, encoding="utf-8")


def write_export(inputs: Path, site: Site, records: list[Record]) -> None:
    path, header = inputs / f"{site.name}.csv", HEADERS[site.imprint]
    if site.imprint:
        write_csv(path, header, (imprint_row(site, r) for r in records), delimiter=";")
    else:
        write_csv(path, header, (plain_row(site, r) for r in records))


def items(record: Record) -> str:
    return " ".join(barcode + "*" * withdrawn for barcode, withdrawn in record.items)


def level(record: Record) -> str:
    return "F" if record.full else "B"


def plain_row(site: Site, r: Record) -> list[str]:
    start = [r.record_id, level(r), r.isbn_text, r.title, r.author, r.edition, r.publisher]
    form = site.formats[r.publication.form]
    return [*start, r.year_text, form, r.call_text, items(r), r.updated]


def imprint_row(site: Site, r: Record) -> list[str]:
    imprint = f"{r.publisher}, {r.year_text}"
    start = [r.record_id, r.title, r.author, r.edition, imprint, r.isbn_text]
    form = site.formats[r.publication.form]
    return [*start, form, r.call_text, items(r), level(r), r.updated]


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text(encoding="utf-8"))
    command = ["python3", script, sandbox.inputs, sandbox.output, params["merger"]]
    sandbox.exec(command, check=True)


# grading


def evaluate(output: Path, reference: Path, check: Callable[[str], Any]) -> None:
    key, answer = Key(reference / "key.json"), Answer(output)
    with check("every source record is in the log once"):
        assert sorted(answer.log()) == sorted(key.log)
        assert answer.catalogue(), "catalogue.csv has no rows"
        assert answer.problems(), "problems.csv has no rows"
    with check("the right records are one"):
        assert answer.groups() == key.groups()
        assert answer.withdrawn() == key.withdrawn()
    with check("the right record stays"):
        assert answer.decisions() == key.decisions()
        assert sorted(answer.catalogue()) == sorted(key.catalogue)
    for name, fields in FIELDS.items():
        with check(name):
            key.check_overlap(answer.catalogue())
            assert answer.values(key, fields) == key.values(answer.catalogue(), fields)
    with check("problems for the cataloguer"):
        assert answer.problems() == key.problems()


# controls


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save_rows(path: Path, rows: list[dict[str, str]]) -> None:
    write_csv(path, ",".join(rows[0]), (row.values() for row in rows))


def change(path: Path, name: str, to: Callable[[dict[str, str]], str]) -> None:
    rows = read_rows(path)
    for row in rows:
        row[name] = to(row)
    save_rows(path, rows)


@near_miss("ISBN-10s converted with their old check digit")
def old_check_digit(output: Path) -> None:
    def convert(row: dict[str, str]) -> str:
        body = row["isbn13"][3:12]
        old = "0123456789X"[-sum(int(c) * (10 - i) for i, c in enumerate(body)) % 11]
        return row["isbn13"][:12] + old if row["isbn13"].startswith("978") else row["isbn13"]

    change(output / "catalogue.csv", "isbn13", convert)


@near_miss("two editions of one book merged")
def editions_merged(output: Path) -> None:
    rows = read_rows(output / "catalogue.csv")
    first, later = next(
        (one, two)
        for one in rows
        for two in rows
        if (one["name_id"], one["edition"], two["edition"]) == (two["name_id"], "1", "2")
    )
    save_rows(output / "catalogue.csv", [row for row in rows if row is not later])
    log = read_rows(output / "merge_log.csv")
    for row in log:
        if row["target_id"] == later["record_id"]:
            row |= {"target_id": first["record_id"], "action": "merged", "basis": "description"}
    save_rows(output / "merge_log.csv", log)


@near_miss("dates of reprints kept as the year")
def reprint_years(output: Path) -> None:
    log = read_rows(output / "merge_log.csv")
    merged = {row["target_id"] for row in log if row["basis"] == "isbn"}

    def later(row: dict[str, str]) -> str:
        return str(int(row["year"]) + (row["record_id"] in merged))

    change(output / "catalogue.csv", "year", later)


@near_miss("withdrawn items migrated: their records kept")
def withdrawn_kept(output: Path) -> None:
    rows = read_rows(output / "merge_log.csv")
    for row in rows:
        if row["action"] == "withdrawn":
            row |= {"action": "kept", "target_id": row["source_id"]}
    save_rows(output / "merge_log.csv", rows)


@near_miss("one ambiguous name taken for one of the namesakes")
def namesake(output: Path) -> None:
    rows, problems = (read_rows(output / n) for n in ("catalogue.csv", "problems.csv"))
    nameless = {row["record_id"]: row for row in rows if not row["name_id"]}
    chosen = next(
        p for p in problems if p["issue"] == "ambiguous_name" and p["record_id"] in nameless
    )
    nameless[chosen["record_id"]] |= {"name_id": "n0141", "heading": "Smith, John, 1948-"}
    save_rows(output / "catalogue.csv", rows)
    save_rows(output / "problems.csv", [row for row in problems if row is not chosen])


@near_miss("new prefix of one site's barcodes forgotten")
def prefix_forgotten(output: Path) -> None:
    def old(row: dict[str, str]) -> str:
        codes = (c.removeprefix("24") for c in row["barcodes"].split(";"))
        return ";".join(sorted(codes))

    change(output / "catalogue.csv", "barcodes", old)


@cheat("every record kept as it is, nothing merged")
def all_kept(output: Path) -> None:
    rows = read_rows(output / "merge_log.csv")
    kept = [r | {"target_id": r["source_id"], "action": "kept", "basis": ""} for r in rows]
    save_rows(output / "merge_log.csv", kept)
    catalogue = read_rows(output / "catalogue.csv")
    blank = dict.fromkeys(catalogue[0], "")
    save_rows(output / "catalogue.csv", [blank | {"record_id": r["source_id"]} for r in rows])
    change(output / "problems.csv", "value", lambda _: "")


@cheat("everything merged into one record")
def all_one(output: Path) -> None:
    rows = read_rows(output / "merge_log.csv")
    target = rows[0]["source_id"]
    one = [r | {"target_id": target, "action": "merged", "basis": "isbn"} for r in rows]
    save_rows(output / "merge_log.csv", one)
    save_rows(output / "catalogue.csv", read_rows(output / "catalogue.csv")[:1])
    save_rows(output / "problems.csv", read_rows(output / "problems.csv")[:1])


@cheat("headers only")
def hollow(output: Path) -> None:
    for path in sorted(output.iterdir()):
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n")
