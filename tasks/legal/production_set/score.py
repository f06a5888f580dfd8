"""The answer and its key, read lazily and compared piece by piece.

Numbers, family ranges and facts are judged on the answer's own set of documents (which must be
nearly the right one), so that one wrong call does not cost every number after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_ale.files import read_csv, read_json

LIMIT = 4_000_000
DISPOSITIONS = ("control_no", "disposition")
INDEX = (
    "begin", "end", "family_begin", "family_end", "control_no", "custodian", "all_custodians",
    "date", "treatment", "designation",
)  # fmt: skip
LOG = ("begin", "control_no", "date", "from", "recipients", "basis", "treatment")
NUMBERED = ("produced", "native", "redacted", "withheld")
OVERLAP = 0.9  # shared documents over all documents of answer and key

Row = dict[str, str]


def table(path: Path, columns: tuple[str, ...]) -> list[Row]:
    rows = read_csv(path, limit=LIMIT)
    assert rows, f"{path.name} has no rows"
    assert tuple(rows[0]) == columns, f"{path.name} has columns {list(rows[0])}"
    return [{name: (value or "").strip() for name, value in row.items()} for row in rows]


def once(rows: Iterable[Row]) -> dict[str, Row]:
    """Index rows by control number; none may come twice."""
    found: dict[str, Row] = {}
    for row in rows:
        assert row["control_no"] not in found, f"{row['control_no']} comes twice"
        found[row["control_no"]] = row
    return found


def entry(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in LOG if name != "begin")


class Answer:
    """What was handed over; every method raises where the files are unusable."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def dispositions(self) -> dict[str, str]:
        rows = once(table(self.output / "dispositions.csv", DISPOSITIONS))
        return {control: row["disposition"] for control, row in rows.items()}

    def index(self) -> dict[str, Row]:
        return once(table(self.output / "production_index.csv", INDEX))

    def log(self) -> dict[str, Row]:
        return once(table(self.output / "privilege_log.csv", LOG))

    def under(self, codes: tuple[str, ...]) -> list[tuple[str, str]]:
        return sorted((code, name) for name, code in self.dispositions().items() if code in codes)

    def treatments(self) -> dict[str, str]:
        return {name: row["treatment"] for name, row in self.index().items()}

    def numbers(self) -> dict[str, tuple[str, str]]:
        return {name: (row["begin"], row["end"]) for name, row in self.index().items()}

    def families(self) -> dict[str, tuple[str, str]]:
        return {n: (row["family_begin"], row["family_end"]) for n, row in self.index().items()}

    def facts(self, key: Key) -> dict[str, tuple[str, str, str]]:
        shared = key.shared(self.index())
        return {n: facts(row) for n, row in self.index().items() if n in shared}

    def designations(self, key: Key) -> dict[str, str]:
        shared = key.shared(self.index())
        return {n: row["designation"] for n, row in self.index().items() if n in shared}

    def log_entries(self) -> list[tuple[str, ...]]:
        return sorted(map(entry, self.log().values()))

    def log_numbers(self) -> dict[str, str]:
        return {name: row["begin"] for name, row in self.log().items()}

    def begins(self, controls: Iterable[str]) -> dict[str, str]:
        """Give the first numbers by the answer's own index, empty where it has none."""
        index = self.index()
        return {name: index.get(name, {}).get("begin", "") for name in controls}


def facts(row: Row) -> tuple[str, str, str]:
    return row["custodian"], row["all_custodians"], row["date"]


class Key:
    """The answer key that build wrote."""

    def __init__(self, path: Path) -> None:
        self.data: dict[str, Any] = read_json(path)
        self.dispositions: dict[str, str] = self.data["dispositions"]
        self.index = once(self.data["index"])
        self.withheld_numbered = any(r["treatment"] == "withheld" for r in self.data["index"])

    def under(self, codes: tuple[str, ...]) -> list[tuple[str, str]]:
        return sorted((code, name) for name, code in self.dispositions.items() if code in codes)

    def shared(self, index: dict[str, Row]) -> set[str]:
        return self.index.keys() & index.keys()

    def check_overlap(self, index: dict[str, Row]) -> None:
        every = self.index.keys() | index.keys()
        share = len(self.shared(index)) / len(every)
        assert share >= OVERLAP, f"the index shares {share:.0%} of its documents with the right one"

    def expected_treatments(self, dispositions: dict[str, str]) -> dict[str, str]:
        """Give what the index must list if these dispositions are right."""
        codes = NUMBERED if self.withheld_numbered else NUMBERED[:3]
        return {name: code for name, code in dispositions.items() if code in codes}

    def blocks(self, index: dict[str, Row]) -> list[list[str]]:
        """Give the answer's documents by family, in the agreed order."""
        families = ([n for n in family if n in index] for family in self.data["order"])
        return [family for family in families if family]

    def length(self, name: str, treatment: str) -> int:
        single = treatment in ("withheld", "native") or not self.data["per_page"]
        return 1 if single else self.data["pages"][name]

    def bates(self, number: int) -> str:
        return f"{self.data['prefix']}{number:07d}"

    def numbers(self, index: dict[str, Row]) -> dict[str, tuple[str, str]]:
        last, found = self.data["last"], {}
        for name in (name for block in self.blocks(index) for name in block):
            first, last = last + 1, last + self.length(name, index[name]["treatment"])
            found[name] = self.bates(first), self.bates(last)
        return found

    def families(self, index: dict[str, Row]) -> dict[str, tuple[str, str]]:
        found = {}
        for block in self.blocks(index):
            ends = index[block[0]]["begin"], index[block[-1]]["end"]
            found |= dict.fromkeys(block, ends)
        return found

    def facts(self, index: dict[str, Row]) -> dict[str, tuple[str, str, str]]:
        return {name: facts(self.index[name]) for name in self.shared(index)}

    def designations(self, index: dict[str, Row]) -> dict[str, str]:
        return {name: self.index[name]["designation"] for name in self.shared(index)}

    def log_entries(self) -> list[tuple[str, ...]]:
        return sorted(map(entry, self.data["log"]))

    def log_controls(self) -> list[str]:
        return [row["control_no"] for row in self.data["log"]]
