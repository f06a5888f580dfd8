"""Month-end bank reconciliation: build the month, solve it, grade schedule, journals and proof."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from houses import HOUSES
from score import CATEGORIES, Answer, Key
from world import Entry, World

from pytest_ale import cheat, near_miss

HERE = Path(__file__).parent


def money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def write_csv(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def in_out(amount: int) -> tuple[str, str]:
    """Put an amount into the right one of two columns, money in and money out."""
    return (money(amount), "") if amount >= 0 else ("", money(-amount))


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    start, end = (date.fromisoformat(params[name]) for name in ("start", "end"))
    world = World(HOUSES[params["house"]], start, end, rng).make()
    write_texts(inputs, world, params["house"])
    write_ledger(inputs, world)
    write_statement(inputs, world)
    write_documents(inputs, world)
    (reference / "key.json").write_text(json.dumps(answer_key(world), indent=1))


def write_texts(inputs: Path, world: World, house: str) -> None:
    policy = (HERE / "texts" / f"policy_{house}.md").read_text(encoding="utf-8")
    (inputs / "policy.md").write_text(policy, encoding="utf-8")
    word = world.house.cheque.capitalize() if house == "us" else "Cheque"
    mail = world.mail | {"word": word.lower()}
    mail |= {"void": f"{word} {mail['void']}", "late": f"{word.lower()} {mail['late']}"}
    mail["stop_day"] = str(world.end - timedelta(5))
    mail["late_day"] = str(world.end + timedelta(3))
    text = (HERE / "texts" / "emails.txt").read_text(encoding="utf-8")
    (inputs / "emails.txt").write_text(text.format(**mail), encoding="utf-8")


def ledger_row(entry: Entry) -> list[object]:
    plain = [entry.entry_id, entry.day, entry.ref, entry.party, entry.narrative, entry.contra]
    return [*plain, *in_out(entry.amount)]


def write_ledger(inputs: Path, world: World) -> None:
    forward = ["B/F", world.start, "", "", "Balance brought forward", ""]
    rows = [[*forward, *in_out(world.opening_ledger())], *map(ledger_row, world.entries)]
    header = "entry_id,date,reference,counterparty,narrative,contra,debit,credit"
    write_csv(inputs / "ledger.csv", header, rows)
    prior = ([e.entry_id, e.day, e.ref, e.party, *in_out(e.amount)] for e in world.prior)
    header = "entry_id,date,reference,counterparty,debit,credit"
    write_csv(inputs / "prior_outstanding.csv", header, prior)


def write_statement(inputs: Path, world: World) -> None:
    balance = world.opening_bank
    layout = world.house.day_format
    rows = [["", world.start.strftime(layout), "BALANCE BROUGHT FORWARD", "", "", money(balance)]]
    for line in world.lines:
        balance += line.amount
        into, out = in_out(line.amount)
        rows.append([line.line_id, line.day.strftime(layout), line.text, out, into, money(balance)])
    write_csv(inputs / "statement.csv", "line_id,date,details,paid_out,paid_in,balance", rows)


def write_documents(inputs: Path, world: World) -> None:
    run = ([p.ref, p.day, p.party, money(p.drawn)] for p in world.payments)
    write_csv(inputs / "payment_run.csv", "reference,date,payee,approved_amount", run)
    slips = (
        [slip.ref, slip.day, r.party, r.cheque_no, money(r.amount)]
        for slip in world.slips
        for r in slip.receipts
    )
    write_csv(inputs / "paying_in_slips.csv", "slip,date,customer,cheque_number,amount", slips)
    write_csv(inputs / "mandates.csv", "originator,account,note", world.house.mandates)
    if world.loan_rows:
        rows = ([n, due, *map(money, parts)] for n, due, *parts in world.loan_rows)
        header = "instalment,due,capital,interest,balance_after"
        write_csv(inputs / "loan_schedule.csv", header, rows)
    if world.batches:
        cards = ([ref, day, *map(money, (g, f, g - f))] for ref, day, g, f in world.batches)
        write_csv(inputs / "card_batches.csv", "batch,date,gross,fee,net", cards)


def answer_key(world: World) -> dict[str, Any]:
    bank, books = world.balances()
    items = []
    for item in world.items:
        source = item.source
        name = source.entry_id if isinstance(source, Entry) else source.line_id
        row = [item.section, item.category, name, str(source.day), item.amount]
        accounts = item.accounts | {world.house.bank: item.amount} if item.accounts else {}
        items.append({"row": row, "accounts": accounts})
    return {"statement_balance": bank, "ledger_balance": books, "items": items}


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text(encoding="utf-8"))
    facts = [params["house"], params["end"]]
    sandbox.exec(["python3", script, sandbox.inputs, sandbox.output, *facts], check=True)


# grading


def evaluate(
    output: Path, reference: Path, params: dict[str, Any], check: Callable[[str], Any]
) -> None:
    key, answer = Key(reference / "key.json"), Answer(output)
    with check("the three files can be read"):
        assert answer.items(), "reconciliation.csv has no items"
        assert answer.journal_lines(), "journal.csv has no lines"
        assert answer.summary()
    for name, categories in CATEGORIES.items():
        with check(name):
            assert answer.of(categories) == key.of(categories)
    with check("journals balance and reach the right accounts"):
        answer.check_journal_form(params["end"])
        assert answer.postings() == key.postings()
    with check("the two balances are proved"):
        assert answer.summary() == key.summary()


# controls


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save_rows(path: Path, rows: list[dict[str, str]]) -> None:
    write_csv(path, ",".join(rows[0]), (row.values() for row in rows))


def drop(output: Path, category: str) -> None:
    """Forget the items of a category, and their journals."""
    rows = read_rows(output / "reconciliation.csv")
    gone = {row["source_id"] for row in rows if row["category"] == category}
    save_rows(output / "reconciliation.csv", [r for r in rows if r["category"] != category])
    lines = read_rows(output / "journal.csv")
    save_rows(output / "journal.csv", [x for x in lines if x["source_id"] not in gone])


@near_miss("stale cheques left outstanding")
def stale_left(output: Path) -> None:
    rows = read_rows(output / "reconciliation.csv")
    for row in rows:
        if row["category"] == "stale_cheque":
            change = {"section": "bank", "category": "outstanding_payment"}
            row |= change | {"amount": "-" + row["amount"]}
    stale = {r["source_id"] for r in rows if r["category"] == "outstanding_payment"}
    save_rows(output / "reconciliation.csv", rows)
    lines = read_rows(output / "journal.csv")
    save_rows(output / "journal.csv", [x for x in lines if x["source_id"] not in stale])


@near_miss("an outstanding cheque taken at the amount booked, not drawn; the balances still agree")
def taken_as_booked(output: Path) -> None:
    rows = read_rows(output / "reconciliation.csv")
    open_rows = {r["source_id"]: r for r in rows if r["category"] == "outstanding_payment"}
    errors = [r for r in rows if r["category"] == "posting_error" and r["source_id"] in open_rows]
    shift = sum(float(r["amount"]) for r in errors)
    for error in errors:
        row = open_rows[error["source_id"]]
        row["amount"] = f"{float(row['amount']) - float(error['amount']):.2f}"
    save_rows(output / "reconciliation.csv", [r for r in rows if r not in errors])
    gone = {r["source_id"] for r in errors}
    lines = read_rows(output / "journal.csv")
    save_rows(output / "journal.csv", [x for x in lines if x["source_id"] not in gone])
    move_balances(output, shift)


def move_balances(output: Path, shift: float) -> None:
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    for name in (
        "outstanding_payments",
        "adjusted_bank_balance",
        "ledger_adjustments",
        "adjusted_ledger_balance",
    ):
        summary[name] = round(summary[name] - shift, 2)
    (output / "summary.json").write_text(json.dumps(summary))


@near_miss("the bank's own mistakes journalled as ours")
def bank_error_booked(output: Path) -> None:
    path = output / "reconciliation.csv"
    rows = read_rows(path)
    for row in rows:
        if row["category"] == "bank_error":
            row |= {"section": "ledger", "category": "posting_error"}
    save_rows(path, rows)


@near_miss("journals posted with debit and credit exchanged")
def sides_exchanged(output: Path) -> None:
    lines = read_rows(output / "journal.csv")
    for line in lines:
        line["debit"], line["credit"] = line["credit"], line["debit"]
    save_rows(output / "journal.csv", lines)


@near_miss("duplicate postings overlooked")
def duplicates_missed(output: Path) -> None:
    drop(output, "duplicate_posting")


@near_miss("unidentified and late-booked credits left to next month")
def receipts_missed(output: Path) -> None:
    drop(output, "unrecorded_receipt")


@cheat("one plug figure that makes the balances agree, booked and proved")
def plug(output: Path) -> None:
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    bank, books = summary["statement_balance"], summary["ledger_balance"]
    gap, zeros = round(bank - books, 2), dict.fromkeys(summary, 0)
    item = ["ledger", "posting_error", "B/F", "2026-01-01", f"{gap:.2f}"]
    header = "section,category,source_id,date,amount"
    write_csv(output / "reconciliation.csv", header, [item])
    lines = [{**line, "source_id": "B/F"} for line in read_rows(output / "journal.csv")[:2]]
    save_rows(output / "journal.csv", lines)
    zeros |= {"statement_balance": bank, "adjusted_bank_balance": bank, "ledger_balance": books}
    zeros |= {"ledger_adjustments": gap, "adjusted_ledger_balance": bank}
    (output / "summary.json").write_text(json.dumps(zeros))


@cheat("every record listed under every category")
def everything(output: Path) -> None:
    rows = read_rows(output / "reconciliation.csv")
    names = sorted({row["category"] for row in rows})
    flood = [row | {"category": name} for row in rows for name in names]
    save_rows(output / "reconciliation.csv", flood)
    (output / "journal.csv").write_text("journal_no,date,account,debit,credit,source_id\n")


@cheat("headers and zeros only")
def hollow(output: Path) -> None:
    for name in ("reconciliation.csv", "journal.csv"):
        path = output / name
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n")
    keys = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    (output / "summary.json").write_text(json.dumps(dict.fromkeys(keys, 0)))
