"""Merge the exports from the input files alone: oracle.py INPUTS OUTPUT MERGER."""

from __future__ import annotations

import csv
import re
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

INPUTS, OUTPUT, TOWN = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "town"
EXPORTS = ["tivermouth", "harbour"] if TOWN else ["main_campus", "north_campus", "harbour_campus"]
COLUMNS = {
    "Ctrl No": "record_id", "Title": "title", "Main author": "author", "Ed.": "edition",
    "ISBN": "isbn", "Material": "format", "Class mark": "call_number", "Copies": "items",
    "Level": "level", "Last change": "updated", "Imprint": "imprint",
}  # fmt: skip
FORMATS = {
    "BK": "book", "Book": "book", "LP": "large_print", "Large print": "large_print",
    "EB": "ebook", "E-book": "ebook", "CD": "audio", "Audio CD": "audio",
}  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
HOUSE_WORDS = {"and", "press", "books", "publishing", "publishers", "ltd", "limited", "co", "inc"}

problems: list[tuple[str, str, str]] = []


def rows(name: str, delimiter: str = ",") -> list[dict[str, str]]:
    with (INPUTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def comparable(text: str) -> str:
    marks = unicodedata.normalize("NFD", text.lower())
    plain = "".join(c for c in marks if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", plain))


# ISBN


def isbn13(number: str) -> str:
    """Give the ISBN-13 of a number, or nothing."""
    digits = re.sub(r"[-\s]", "", number).upper()
    if re.fullmatch(r"\d{8}[\dX]", digits):
        digits = "0" + digits
    if re.fullmatch(r"\d{9}[\dX]", digits):
        values = [10 if c == "X" else int(c) for c in digits]
        if sum(v * w for v, w in zip(values, range(10, 0, -1), strict=True)) % 11:
            return ""
        stem = "978" + digits[:9]
        weighted = sum(int(c) * (1, 3)[i % 2] for i, c in enumerate(stem))
        return stem + str((10 - weighted % 10) % 10)
    if re.fullmatch(r"97[89]\d{10}", digits):
        weighted = sum(int(c) * (1, 3)[i % 2] for i, c in enumerate(digits))
        return "" if weighted % 10 else digits
    return ""


def read_isbn(record: dict[str, str]) -> str:
    found = []
    for part in record["isbn"].split(";"):
        number = re.sub(r"\(.*?\)", "", part).strip()
        if not number or "(set)" in part:
            continue
        valid = isbn13(number)
        if valid:
            found.append(valid)
        else:
            problems.append((record["record_id"], "bad_isbn", number))
    return found[0] if found else ""


# names

authority = {row["name_id"]: row for row in rows("names.csv")}
by_form = defaultdict(set)
for name_id, row in authority.items():
    while authority[name_id]["replaced_by"]:
        name_id = authority[name_id]["replaced_by"]
    for form in [row["heading"], *row["variants"].split("|")]:
        by_form[comparable(form)].add(name_id)
by_form.pop("", None)


def read_name(record: dict[str, str]) -> str:
    author = record["author"]
    found = by_form.get(comparable(author), set())
    if not found and "," not in author:
        *given, last = author.split()
        found = by_form.get(comparable(" ".join([last, *given])), set())
    if len(found) == 1:
        return min(found)
    issue = "ambiguous_name" if found else "unknown_name"
    problems.append((record["record_id"], issue, author))
    return ""


# the other fields


def edition(statement: str) -> str:
    text = statement.lower().split(",")[0]
    if "reprint" in text or "impression" in text:
        return "1"
    number = re.search(r"\d+", text)
    spelt = next((i for i, word in enumerate(ORDINALS, 1) if word in text), 1)
    return (number.group() if number else str(spelt)) + (" rev" if "rev" in text else "")


def title_key(title: str) -> str:
    key = comparable(title.split(" : ")[0].replace("&", " and "))
    return re.sub(r"^(a|an|the) ", "", key)


def publisher_key(publisher: str) -> str:
    return " ".join(w for w in comparable(publisher).split() if w not in HOUSE_WORDS)


def class_part(record: dict[str, str]) -> str:
    """Give the Dewey number, or the LC number without a year; report what is neither."""
    text = record["call_number"].strip()
    if TOWN:
        good = re.fullmatch(r"\d{3}(\.\d{1,6})?", text)
        part = text if good else ""
    else:
        pattern = r"([A-Z]{1,3})\s*(\d{1,4}(?:\.\d+)?)[\s.]*([A-Z]\d+)[\s.]*([A-Z]\d+)?\s*(\d{4})?"
        good = re.fullmatch(pattern, text)
        part = ""
        if good:
            letters, number, first, second, _ = good.groups()
            part = f"{letters}{number} .{first}" + (f" {second}" if second else "")
    if text and not good:
        problems.append((record["record_id"], "bad_call_number", record["call_number"]))
    return part


def read_record(raw: dict[str, str], site: str) -> dict[str, object]:
    record = {COLUMNS.get(name, name): value for name, value in raw.items()}
    if "imprint" in record:
        publisher, _, year = record["imprint"].rpartition(",")
        record |= {"publisher": publisher, "year": year}
    year = re.search(r"\d{4}", record["year"]).group()
    added = "24" if site.startswith("harbour") else ""
    kept = [added + item for item in record["items"].split() if not item.endswith("*")]
    full: dict[str, object] = dict(record)
    full |= {"year": year, "format": FORMATS[record["format"]], "barcodes": kept}
    full |= {"edition": edition(record["edition"]), "key": title_key(record["title"])}
    full |= {"isbn": read_isbn(record), "name_id": read_name(record), "call": class_part(record)}
    full["house"] = publisher_key(record["publisher"])
    age = EXPORTS.index(site) if TOWN else -int(record["updated"].replace("-", ""))
    full["rank"] = (record["level"] != "F", not full["isbn"], age, record["record_id"])
    return full


records = []
for export in EXPORTS:
    lines = rows(f"{export}.csv", ";" if export.startswith("harbour") else ",")
    records += [read_record(line, export) for line in lines]

# groups


def description(r: dict[str, object]) -> tuple[object, ...]:
    name = r["name_id"] or "unresolved " + comparable(r["author"])
    return r["key"], r["edition"], r["format"], r["year"], r["house"], name


by_isbn = defaultdict(list)
without = defaultdict(list)
isbns_of = defaultdict(set)
for record in records:
    if record["isbn"]:
        by_isbn[record["isbn"], record["key"], record["edition"], record["format"]].append(record)
        isbns_of[description(record)].add(record["isbn"])
    else:
        without[description(record)].append(record)

variants = defaultdict(list)
for (isbn, *_), group in by_isbn.items():
    variants[isbn].append(group)
for isbn, found in variants.items():
    if len(found) > 1:
        problems += [(r["record_id"], "isbn_conflict", isbn) for group in found for r in group]

groups = list(by_isbn.values())
for what, alike in without.items():
    isbns = isbns_of.get(what, set())
    if len(isbns) > 1:
        groups += [[record] for record in alike]
        problems += [(record["record_id"], "several_matches", "") for record in alike]
    elif isbns:
        by_isbn[min(isbns), what[0], what[1], what[2]].extend(alike)
    else:
        groups.append(alike)


# merged records


def call_number(group: list[dict[str, object]], heading: str, year: str) -> str:
    part = next((r["call"] for r in group if r["call"]), "")
    form = group[0]["format"]
    if not part or form == "ebook":
        return ""
    if not TOWN:
        return f"{part} {year}"
    whole, _, decimals = part.partition(".")
    decimals = decimals[:4].rstrip("0")
    number = "F" if whole == "823" else whole + ("." + decimals if decimals else "")
    source = comparable(heading or group[0]["key"])
    mark = re.sub("[^a-z]", "", source)[:3].upper()
    return {"large_print": "LP ", "audio": "CD "}.get(form, "") + f"{number} {mark}"


catalogue, log = [], []
for group in groups:
    group.sort(key=lambda r: r["rank"])
    best = group[0]
    barcodes = sorted(b for r in group for b in r["barcodes"])
    if not barcodes and best["format"] != "ebook":
        log += [(r["record_id"], "", "withdrawn", "") for r in group]
        continue
    name_id = next((r["name_id"] for r in group if r["name_id"]), "")
    heading = authority[name_id]["heading"] if name_id else ""
    isbn = next((r["isbn"] for r in group if r["isbn"]), "")
    year = min(r["year"] for r in group)
    title = re.sub(r"[\s/:;,.]+$", "", best["title"])
    row = [best["record_id"], isbn, title, name_id, heading, best["edition"], year]
    row += [best["publisher"].strip(), best["format"], call_number(group, heading, year)]
    catalogue.append([*row, ";".join(barcodes)])
    log.append((best["record_id"], best["record_id"], "kept", ""))
    for other in group[1:]:
        same = other["isbn"] and other["isbn"] == best["isbn"]
        basis = "isbn" if same else "description"
        log.append((other["record_id"], best["record_id"], "merged", basis))


def save(name: str, header: str, lines: list) -> None:
    with (OUTPUT / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(sorted(lines))


header = "record_id,isbn13,title,name_id,heading,edition,year,publisher,format,call_number,barcodes"
save("catalogue.csv", header, catalogue)
save("merge_log.csv", "source_id,target_id,action,basis", log)
save("problems.csv", "record_id,issue,value", problems)
