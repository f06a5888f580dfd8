"""The answer and its key, read lazily and into the same shapes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_ale.files import read_csv, read_json

LIMIT = 2_000_000
ITEM_COLUMNS = ["section", "category", "source_id", "date", "amount"]
JOURNAL_COLUMNS = ["journal_no", "date", "account", "debit", "credit", "source_id"]
CATEGORIES = {
    "outstanding payments and deposits in transit": {"outstanding_payment", "deposit_in_transit"},
    "bank errors stay off the books": {"bank_error"},
    "charges, interest and direct debits": {"bank_charge", "interest", "direct_debit", "card_fee"},
    "posting errors and duplicates": {"posting_error", "duplicate_posting"},
    "returned, voided and stale items": {"returned_item", "void_cheque", "stale_cheque"},
    "receipts the ledger missed": {"unrecorded_receipt"},
}
SUMMARY = (
    "statement_balance", "outstanding_payments", "deposits_in_transit", "bank_errors",
    "adjusted_bank_balance", "ledger_balance", "ledger_adjustments", "adjusted_ledger_balance",
    "difference",
)  # fmt: skip

Row = tuple[str, str, str, str, int]


def cents(text: str) -> int:
    """Read an amount with two decimals; anything else raises."""
    match = re.fullmatch(r"([+-]?)(\d{1,12})\.(\d\d)", text.strip(), re.ASCII)
    assert match, f"{text!r} is not an amount with two decimals"
    sign, whole, part = match.groups()
    return int(f"{sign}{whole}{part}")


def table(path: Path, columns: list[str]) -> list[dict[str, str]]:
    rows = read_csv(path, limit=LIMIT)
    assert rows, f"{path.name} has no rows"
    assert list(rows[0]) == columns, f"{path.name} has columns {list(rows[0])}"
    return [{name: (value or "").strip() for name, value in row.items()} for row in rows]


class Answer:
    """What was handed over; every method raises where the files are unusable."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def items(self) -> list[Row]:
        rows = table(self.output / "reconciliation.csv", ITEM_COLUMNS)
        return [(*(row[name] for name in ITEM_COLUMNS[:4]), cents(row["amount"])) for row in rows]  # type: ignore[return-value]

    def of(self, categories: set[str]) -> list[Row]:
        return sorted(row for row in self.items() if row[1] in categories)

    def journal_lines(self) -> list[dict[str, str]]:
        return table(self.output / "journal.csv", JOURNAL_COLUMNS)

    def net(self, line: dict[str, str]) -> int:
        """Give a line's amount, debits positive; exactly one side is filled."""
        debit, credit = line["debit"], line["credit"]
        assert bool(debit) != bool(credit), f"one side only: {line}"
        amount = cents(debit or credit)
        assert amount > 0, f"not a positive amount: {line}"
        return amount if debit else -amount

    def check_journal_form(self, end: str) -> None:
        """Each journal balances, is one item's, and is dated at the period end."""
        totals: Counter[str] = Counter()
        sources: dict[str, set[str]] = {}
        for line in self.journal_lines():
            assert line["date"] == end, line
            totals[line["journal_no"]] += self.net(line)
            sources.setdefault(line["journal_no"], set()).add(line["source_id"])
        assert not {number: total for number, total in totals.items() if total}
        assert not {number: names for number, names in sources.items() if len(names) != 1}
        assert len({min(names) for names in sources.values()}) == len(sources)

    def postings(self) -> dict[str, list[tuple[str, int]]]:
        """Give the journal lines by the item they book."""
        found: dict[str, list[tuple[str, int]]] = {}
        for line in self.journal_lines():
            found.setdefault(line["source_id"], []).append((line["account"], self.net(line)))
        return {source: sorted(lines) for source, lines in found.items()}

    def summary(self) -> dict[str, int]:
        data = read_json(self.output / "summary.json", limit=LIMIT)
        assert isinstance(data, dict) and set(data) == set(SUMMARY), "summary.json: wrong keys"
        return {name: self.rounded(data[name]) for name in SUMMARY}

    @staticmethod
    def rounded(value: Any) -> int:
        """Read a JSON number as cents; binary fractions are forgiven, more decimals are not."""
        assert isinstance(value, (int, float)) and not isinstance(value, bool), repr(value)
        assert abs(value) < 1e12, repr(value)
        assert abs(value * 100 - round(value * 100)) < 1e-3, f"{value} has more than two decimals"
        return round(value * 100)


class Key:
    """The answer key that build wrote."""

    def __init__(self, path: Path) -> None:
        self.data: dict[str, Any] = read_json(path)
        self.rows: list[Row] = [tuple(item["row"]) for item in self.data["items"]]

    def of(self, categories: set[str]) -> list[Row]:
        return sorted(row for row in self.rows if row[1] in categories)

    def postings(self) -> dict[str, list[tuple[str, int]]]:
        booked = [item for item in self.data["items"] if item["accounts"]]
        return {item["row"][2]: sorted(item["accounts"].items()) for item in booked}

    def total(self, *categories: str) -> int:
        return sum(row[4] for row in self.of(set(categories)))

    def summary(self) -> dict[str, int]:
        bank, books = self.data["statement_balance"], self.data["ledger_balance"]
        timing = [self.total(name) for name in ("outstanding_payment", "deposit_in_transit")]
        errors = self.total("bank_error")
        ours = sum(row[4] for row in self.rows if row[0] == "ledger")
        right, booked = bank + sum(timing) + errors, books + ours
        values = (bank, *timing, errors, right, books, ours, booked, right - booked)
        return dict(zip(SUMMARY, values, strict=True))
