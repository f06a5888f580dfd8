"""Reconcile from the input files alone: oracle.py INPUTS OUTPUT HOUSE PERIOD_END."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

INPUTS, OUTPUT, HOUSE, END = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
ZERO = Decimal("0.00")
# as the policies say
ACCOUNTS = {
    "uk": {"bank": "1200", "bank_charge": "7900", "fee": "7900", "interest": "4900"},
    "us": {"bank": "10100", "bank_charge": "61500", "fee": "12000", "interest": "43000"},
}[HOUSE]
ACCOUNTS |= (
    {"suspense": "2990", "stale": "2290"}
    if HOUSE == "uk"
    else {"suspense": "29900", "stale": "23500", "card": "61600"}
)

items: list[tuple[str, str, str, str, Decimal]] = []
journals: list[tuple[str, list[tuple[str, Decimal]]]] = []


def rows(name: str) -> list[dict[str, str]]:
    path = INPUTS / name
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def signed(plus: str, minus: str) -> Decimal:
    return Decimal(plus or "0.00") - Decimal(minus or "0.00")


def book(category: str, source: dict[str, str], name: str, amount: Decimal, *other: str) -> None:
    """Add a ledger item against one account."""
    items.append(("ledger", category, source[name], source["date"], amount))
    journals.append((source[name], [(ACCOUNTS["bank"], amount), (other[0], -amount)]))


def is_stale(day: str) -> bool:
    drawn, end = date.fromisoformat(day), date.fromisoformat(END)
    if HOUSE == "us":
        return (end - drawn).days > 180
    months = drawn.year * 12 + drawn.month - 1 + 6
    edge = (months // 12, months % 12 + 1, drawn.day)
    return (end.year, end.month, end.day) > edge


def read_statement() -> list[dict[str, str]]:
    layout = "%d/%m/%Y" if HOUSE == "uk" else "%m/%d/%Y"
    lines = rows("statement.csv")
    for line in lines:
        line["date"] = datetime.strptime(line["date"], layout).date().isoformat()
    return lines


ledger = rows("ledger.csv")
prior = rows("prior_outstanding.csv")
statement = read_statement()
approved = {r["reference"]: Decimal(r["approved_amount"]) for r in rows("payment_run.csv")}
slips = {(r["slip"], r["cheque_number"]): Decimal(r["amount"]) for r in rows("paying_in_slips.csv")}
batches = {r["batch"]: r for r in rows("card_batches.csv")}
mandates = {r["originator"]: r["account"] for r in rows("mandates.csv")}
emails = (INPUTS / "emails.txt").read_text(encoding="utf-8")

for entry in [*ledger, *prior]:
    entry["signed"] = signed(entry["debit"], entry["credit"])
in_period = [e for e in ledger[1:] if e["date"] <= END]
afterwards = {e["reference"]: e for e in ledger[1:] if e["date"] > END}
lines = [x for x in statement[1:] if x["date"] <= END]
for line in lines:
    line["signed"] = signed(line["paid_in"], line["paid_out"])
    line["words"] = line["details"].split()

# duplicates: the same reference and narrative a second time
seen: dict[tuple[str, str], dict[str, str]] = {}
for entry in in_period:
    name = (entry["reference"], entry["narrative"])
    if name in seen:
        book("duplicate_posting", entry, "entry_id", -entry["signed"], entry["contra"])
    else:
        seen[name] = entry
entries = list(seen.values())

# voids: an e-mail says the cheque was stopped, and on which day
voided = set()
for number, stopped in re.findall(r"(?:Cheque|Check) (\d+) to .*?stop it on (\S+)", emails, re.S):
    if stopped <= END:
        voided.add(number)
for entry in [e for e in entries if e["reference"] in voided]:
    book("void_cheque", entry, "entry_id", -entry["signed"], entry["contra"])
entries = [e for e in entries if e["reference"] not in voided]

# what each entry should have been
for entry in entries:
    number = entry["narrative"].split()[-1]
    right = entry["signed"]
    if entry["reference"] in approved:
        right = -approved[entry["reference"]]
    elif (entry["reference"], number) in slips:
        right = slips[entry["reference"], number]
    if right != entry["signed"]:
        book("posting_error", entry, "entry_id", right - entry["signed"], entry["contra"])
    entry["right"] = right
for entry in prior:
    entry["right"] = entry["signed"]

by_reference = defaultdict(list)
for entry in [*prior, *entries]:
    by_reference[entry["reference"]].append(entry)


def clear(line: dict[str, str]) -> bool:
    """Match a line to our own reference, if it quotes one."""
    found = [word for word in line["words"] if word in by_reference]
    if not found or "UNPAID" in line["words"] or "FEE" in line["words"]:
        return False
    group = by_reference.pop(found[0])
    if found[0] in batches:
        fee = Decimal(batches[found[0]]["fee"])
        assert group[0]["right"] - fee == line["signed"]
        book("card_fee", line, "line_id", -fee, ACCOUNTS["card"])
        return True
    gap = sum(e["right"] for e in group) - line["signed"]
    if gap:
        items.append(("bank", "bank_error", line["line_id"], line["date"], gap))
    return True


def loan(line: dict[str, str]) -> None:
    number = line["words"][-1]
    row = next(r for r in rows("loan_schedule.csv") if r["instalment"] == number)
    parts = Decimal(row["capital"]), Decimal(row["interest"])
    assert sum(parts) == -line["signed"]
    items.append(("ledger", "direct_debit", line["line_id"], line["date"], line["signed"]))
    split = [("1200", line["signed"]), ("2500", parts[0]), ("7950", parts[1])]
    journals.append((line["line_id"], split))


def explain(line: dict[str, str]) -> None:
    """Treat a line that the books do not have."""
    text, amount, words = line["details"], line["signed"], line["words"]
    originator = next((name for name in mandates if name in text), None)
    if words[:2] == ["RETURNED", "UNPAID"]:
        receipt = next(e for e in ledger if e["narrative"].endswith(" " + words[2]))
        book("returned_item", line, "line_id", amount, receipt["contra"])
    elif text.startswith("RETURNED ITEM FEE"):
        book("bank_charge", line, "line_id", amount, ACCOUNTS["fee"])
    elif "INTEREST" in words:
        book("interest", line, "line_id", amount, ACCOUNTS["interest"])
    elif text.startswith("DIRECT CREDIT"):
        later = afterwards.get(words[-1])
        account = later["contra"] if later else ACCOUNTS["suspense"]
        book("unrecorded_receipt", line, "line_id", amount, account)
    elif originator and "LOAN" in text:
        loan(line)
    elif originator:
        book("direct_debit", line, "line_id", amount, mandates[originator])
    elif "FITNESS" in words:
        assert line["date"] in emails
        items.append(("bank", "bank_error", line["line_id"], line["date"], -amount))
    else:
        assert words[-1] in {"CHARGE", "FEE"}, text
        book("bank_charge", line, "line_id", amount, ACCOUNTS["bank_charge"])


for line in lines:
    if not clear(line):
        explain(line)

# whatever no line has claimed is open, unless it has gone stale
for entry in [e for group in by_reference.values() for e in group]:
    amount, batch = entry["right"], batches.get(entry["reference"])
    if batch:
        fee = Decimal(batch["fee"])
        book("card_fee", entry, "entry_id", -fee, ACCOUNTS["card"])
        amount -= fee
    if amount < 0 and entry["reference"].isdigit() and is_stale(entry["date"]):
        book("stale_cheque", entry, "entry_id", -amount, ACCOUNTS["stale"])
        continue
    category = "outstanding_payment" if amount < 0 else "deposit_in_transit"
    items.append(("bank", category, entry["entry_id"], entry["date"], amount))


def total(section: str, category: str = "") -> Decimal:
    return sum((i[4] for i in items if i[0] == section and category in ("", i[1])), ZERO)


opening = signed(ledger[0]["debit"], ledger[0]["credit"])
summary = {"statement_balance": Decimal(lines[-1]["balance"])}
summary["outstanding_payments"] = total("bank", "outstanding_payment")
summary["deposits_in_transit"] = total("bank", "deposit_in_transit")
summary["bank_errors"] = total("bank", "bank_error")
summary["adjusted_bank_balance"] = sum(summary.values())
summary["ledger_balance"] = opening + sum(e["signed"] for e in in_period)
summary["ledger_adjustments"] = total("ledger")
summary["adjusted_ledger_balance"] = summary["ledger_balance"] + summary["ledger_adjustments"]
left, right = summary["adjusted_bank_balance"], summary["adjusted_ledger_balance"]
assert left == right, (left, right)
summary["difference"] = left - right

with (OUTPUT / "reconciliation.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["section", "category", "source_id", "date", "amount"])
    writer.writerows(sorted(items))
with (OUTPUT / "journal.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["journal_no", "date", "account", "debit", "credit", "source_id"])
    for number, (source, postings) in enumerate(journals, 1):
        for account, amount in postings:
            sides = (amount, "") if amount > 0 else ("", -amount)
            writer.writerow([f"J{number:03d}", END, account, *sides, source])
numbers = {name: float(value) for name, value in summary.items()}
(OUTPUT / "summary.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
