"""The answer key: the merged catalogue, the log and the problems, from what the plan knows."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Any

from names import NAMES
from stock import Record, Stock

HEADINGS = {name.name_id: name.heading for name in NAMES}


def letters(text: str) -> str:
    """Give the capitals of a text, diacritics and all else removed."""
    plain = unicodedata.normalize("NFD", text.upper())
    return "".join(c for c in plain if "A" <= c <= "Z")


class Merged:
    """Merge a finished stock by its plan."""

    def __init__(self, stock: Stock) -> None:
        self.stock, self.merger = stock, stock.merger
        groups: dict[int, list[Record]] = defaultdict(list)
        for record in stock.records:
            groups[id(record.publication)].append(record)
        self.groups = [sorted(group, key=stock.rank) for group in groups.values()]

    def barcodes(self, group: list[Record]) -> list[str]:
        return sorted(
            self.merger.sites[record.site].added + barcode
            for record in group
            for barcode, withdrawn in record.items
            if not withdrawn
        )

    def migrates(self, group: list[Record]) -> bool:
        return bool(self.barcodes(group)) or group[0].publication.form == "ebook"

    def row(self, group: list[Record]) -> dict[str, str]:
        first, made = group[0], group[0].publication
        name_id = next((r.name_id for r in group if r.name_id), "")
        return {
            "record_id": first.record_id,
            "isbn13": next((r.isbn for r in group if r.isbn), ""),
            "title": first.title.rstrip(" /:;,."),
            "name_id": name_id,
            "heading": HEADINGS.get(name_id, ""),
            "edition": made.edition,
            "year": str(self.year(group)),
            "publisher": first.publisher,
            "format": made.form,
            "call_number": self.call_number(group, HEADINGS.get(name_id, "")),
            "barcodes": ";".join(self.barcodes(group)),
        }

    def year(self, group: list[Record]) -> int:
        return min(record.year for record in group)

    def call_number(self, group: list[Record], heading: str) -> str:
        call, made = next((r.call for r in group if r.call), ""), group[0].publication
        if not call:
            return ""
        if not self.merger.dewey:
            return f"{call} {made.cutter} {self.year(group)}"
        whole, _, decimals = call.partition(".")
        number = "F" if whole == "823" else f"{whole}.{decimals[:4]}".rstrip("0").rstrip(".")
        prefix = {"large_print": "LP ", "audio": "CD "}.get(made.form, "")
        return f"{prefix}{number} {letters(heading or self.key_title(made.title))[:3]}"

    def key_title(self, title: str) -> str:
        first, _, rest = title.partition(" ")
        return rest if first in ("The", "A", "An") else title

    def log(self, group: list[Record]) -> list[list[str]]:
        first = group[0]
        if not self.migrates(group):
            return [[record.record_id, "", "withdrawn", ""] for record in group]
        rows = [[first.record_id, first.record_id, "kept", ""]]
        for record in group[1:]:
            same = bool(record.isbn) and record.isbn == first.isbn
            basis = "isbn" if same else "description"
            rows.append([record.record_id, first.record_id, "merged", basis])
        return rows

    def key(self) -> dict[str, Any]:
        records = self.stock.records
        return {
            "catalogue": [self.row(group) for group in self.groups if self.migrates(group)],
            "log": [row for group in self.groups for row in self.log(group)],
            "groups": [sorted(r.record_id for r in group) for group in self.groups],
            "problems": [[r.record_id, *problem] for r in records for problem in r.problems],
        }
