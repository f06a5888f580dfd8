"""The answer and its key, read lazily and compared piece by piece.

Fields are compared on the records that both catalogues have (which must be nearly all), so that
one wrong merge does not cost every field.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_ale.files import read_csv, read_json

LIMIT = 2_000_000
CATALOGUE = (
    "record_id", "isbn13", "title", "name_id", "heading", "edition", "year", "publisher",
    "format", "call_number", "barcodes",
)  # fmt: skip
LOG = ("source_id", "target_id", "action", "basis")
PROBLEMS = ("record_id", "issue", "value")
FIELDS = {
    "ISBNs": ("isbn13",),
    "names under authority control": ("name_id", "heading"),
    "titles, editions, years, publishers and formats": (
        "title",
        "edition",
        "year",
        "publisher",
        "format",
    ),
    "call numbers": ("call_number",),
    "barcodes": ("barcodes",),
}
OVERLAP = 0.95  # shared records over all records of answer and key

Row = dict[str, str]


def table(path: Path, columns: tuple[str, ...]) -> list[Row]:
    rows = read_csv(path, limit=LIMIT)
    assert rows, f"{path.name} has no rows"
    assert tuple(rows[0]) == columns, f"{path.name} has columns {list(rows[0])}"
    return [{name: (value or "").strip() for name, value in row.items()} for row in rows]


def once(rows: Iterable[Row], name: str) -> dict[str, Row]:
    """Index rows by a column; no value may come twice."""
    found: dict[str, Row] = {}
    for row in rows:
        assert row[name] not in found, f"{row[name]} comes twice"
        found[row[name]] = row
    return found


class Answer:
    """What was handed over; every method raises where the files are unusable."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def catalogue(self) -> dict[str, Row]:
        return once(table(self.output / "catalogue.csv", CATALOGUE), "record_id")

    def log(self) -> dict[str, Row]:
        return once(table(self.output / "merge_log.csv", LOG), "source_id")

    def problems(self) -> list[tuple[str, ...]]:
        rows = table(self.output / "problems.csv", PROBLEMS)
        return sorted(tuple(row[name] for name in PROBLEMS) for row in rows)

    def groups(self) -> list[list[str]]:
        """Give the migrated records by the record they went into, whichever that is."""
        found = defaultdict(list)
        for name, row in self.log().items():
            if row["action"] != "withdrawn":
                found[row["target_id"]].append(name)
        return sorted(sorted(group) for group in found.values())

    def withdrawn(self) -> list[str]:
        return sorted(n for n, row in self.log().items() if row["action"] == "withdrawn")

    def decisions(self) -> dict[str, tuple[str, ...]]:
        return {n: tuple(row[c] for c in LOG[1:]) for n, row in self.log().items()}

    def values(self, key: Key, fields: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return pick(self.catalogue(), key.catalogue, fields)


def pick(
    rows: dict[str, Row], others: dict[str, Row], fields: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Give the fields of the rows that the others have, too."""
    return {n: tuple(row[f] for f in fields) for n, row in rows.items() if n in others}


class Key:
    """The answer key that build wrote."""

    def __init__(self, path: Path) -> None:
        self.data: dict[str, Any] = read_json(path)
        self.catalogue = once(self.data["catalogue"], "record_id")
        rows = (dict(zip(LOG, row, strict=True)) for row in self.data["log"])
        self.log = once(rows, "source_id")

    def withdrawn(self) -> list[str]:
        return sorted(n for n, row in self.log.items() if row["action"] == "withdrawn")

    def groups(self) -> list[list[str]]:
        gone = set(self.withdrawn())
        return sorted(group for group in self.data["groups"] if group[0] not in gone)

    def decisions(self) -> dict[str, tuple[str, ...]]:
        return {n: tuple(row[c] for c in LOG[1:]) for n, row in self.log.items()}

    def check_overlap(self, rows: dict[str, Row]) -> None:
        shared, every = self.catalogue.keys() & rows.keys(), self.catalogue.keys() | rows.keys()
        share = len(shared) / len(every)
        assert share >= OVERLAP, f"the catalogue shares {share:.0%} of its records with the key"

    def values(self, rows: dict[str, Row], fields: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return pick(self.catalogue, rows, fields)

    def problems(self) -> list[tuple[str, ...]]:
        return sorted(tuple(row) for row in self.data["problems"])
