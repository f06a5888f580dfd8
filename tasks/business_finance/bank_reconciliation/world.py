"""One month of cash book and bank, made from planned events together with its answer key."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from houses import House


@dataclass(eq=False)
class Entry:
    """A cash book entry; money in is positive, in pence or cents."""

    day: date
    ref: str
    party: str
    narrative: str
    contra: str
    amount: int
    entry_id: str = ""


@dataclass(eq=False)
class Line:
    """A statement line."""

    day: date
    text: str
    amount: int
    line_id: str = ""


@dataclass(eq=False)
class Item:
    """A reconciling item of the answer key."""

    section: str
    category: str
    source: Entry | Line
    amount: int
    accounts: dict[str, int] = field(default_factory=dict)  # debits positive, without the bank


@dataclass(eq=False)
class Payment:
    """A payment as planned: what was drawn, booked and paid, and when."""

    day: date
    cheque: bool
    party: str
    contra: str
    drawn: int
    booked: int
    paid: int
    clear: date | None
    fate: str = ""  # "", "duplicate", "void" or "stopped late"
    ref: str = ""


@dataclass(eq=False)
class Receipt:
    """One customer's cheque on a paying-in slip."""

    party: str
    amount: int
    booked: int
    cheque_no: str
    fate: str = ""  # "", "duplicate" or "returned"


@dataclass(eq=False)
class Slip:
    """Receipts paid in together, credited in one sum."""

    day: date
    clear: date | None
    receipts: list[Receipt]
    ref: str = ""


def swapped(amount: int) -> int:
    """Transpose the first or the last two digits of the whole units."""
    digits = list(str(amount))
    last = len(digits) - 4
    i = last if amount % 2 else 0
    digits[i], digits[i + 1] = digits[i + 1], digits[i]
    return int("".join(digits))


class World:
    """The month under construction: call `make`, then read the lists."""

    def __init__(self, house: House, start: date, end: date, rng: random.Random) -> None:
        self.house, self.start, self.end, self.rng = house, start, end, rng
        self.entries: list[Entry] = []
        self.lines: list[Line] = []
        self.items: list[Item] = []
        self.prior: list[Entry] = []
        self.payments: list[Payment] = []
        self.slips: list[Slip] = []
        self.batches: list[tuple[str, date, int, int]] = []
        self.loan_rows: list[tuple[int, date, int, int, int]] = []
        self.mail: dict[str, str] = {}
        self.used: set[int] = set()
        self.opening_bank = house.opening + rng.randrange(-2_000_000, 2_000_000)

    # numbers and days

    def amount(self, low: int, high: int) -> int:
        """Draw an amount whose like, and whose transposition, occurs nowhere else."""
        while True:
            value = self.rng.randrange(low, high)
            text = str(value // 100)
            # digits that all differ: a transposition always shows
            if len(set(text)) != len(text) or "0" in text:
                continue
            both = {value, swapped(value)} if len(text) > 1 else {value}
            if not both & self.used:
                self.used |= both
                return value

    def weekday(self, first: date, last: date) -> date:
        """Draw a working day of the span."""
        span = [first + timedelta(n) for n in range((last - first).days + 1)]
        return self.rng.choice([d for d in span if d.weekday() < 5])

    def on(self, number: int) -> date:
        return self.start + timedelta(number - 1)

    def later(self, day: date, least: int, most: int) -> date:
        return self.weekday(day + timedelta(least), day + timedelta(max(most, least + 3)))

    # planning

    def payment(self, day: date, clear: date | None, cheque: bool, fate: str = "") -> Payment:
        drawn = self.amount(12_000, 950_000)
        party = self.rng.choice(self.house.suppliers)
        made = Payment(day, cheque, party, self.house.payable, drawn, drawn, drawn, clear, fate)
        self.payments.append(made)
        return made

    def ordinary_payment(self) -> None:
        cheque = self.rng.random() < 0.55
        day = self.weekday(self.on(1), self.on(17))
        self.payment(day, self.later(day, 1, 8 if cheque else 1), cheque)

    def plan_payments(self) -> None:
        for _ in range(self.house.payments):
            self.ordinary_payment()
        self.plan_open_payments()
        self.plan_wrong_payments()
        self.plan_twin_payments()

    def plan_open_payments(self) -> None:
        tail = self.end - timedelta(8)
        for _ in range(self.rng.randint(4, 6)):
            self.payment(self.weekday(tail, self.end), None, cheque=True)
        # the export runs on: these are paid just after the period end
        for cheque in (True, True, False):
            day = self.weekday(self.end - timedelta(4), self.end)
            self.payment(day, self.after_end(), cheque)
        # stopped, but only after the period end: still outstanding
        self.payment(self.weekday(tail, self.end), None, cheque=True, fate="stopped late")
        wrong = self.payment(self.weekday(tail, self.end), None, cheque=True)
        wrong.booked = swapped(wrong.drawn)
        for _ in range(4):
            day = self.after_end()
            self.payment(day, None, self.rng.random() < 0.5)

    def after_end(self) -> date:
        return self.weekday(self.end + timedelta(1), self.end + timedelta(4))

    def cleared_payment(self, cheque: bool, fate: str = "") -> Payment:
        day = self.weekday(self.on(3), self.on(14))
        return self.payment(day, self.later(day, 2, 6), cheque, fate)

    def plan_wrong_payments(self) -> None:
        for cheque in (True, False):
            wrong = self.cleared_payment(cheque)
            wrong.booked = swapped(wrong.drawn)
        misread = self.cleared_payment(cheque=True)
        misread.paid = swapped(misread.drawn)
        self.cleared_payment(cheque=True, fate="duplicate")
        self.cleared_payment(cheque=False, fate="duplicate")
        self.payment(self.weekday(self.on(3), self.on(14)), None, cheque=True, fate="void")

    def plan_twin_payments(self) -> None:
        """Equal amounts to one supplier, both right; one of them is still outstanding."""
        first = self.cleared_payment(cheque=True)
        second = self.payment(self.later(first.day, 1, 3), None, cheque=True)
        second.party = self.mail["twin_party"] = first.party
        second.drawn = second.booked = second.paid = first.drawn

    def receipt(self, fate: str = "") -> Receipt:
        value = self.amount(20_000, 980_000)
        number = str(self.rng.randrange(100_000, 999_999))
        return Receipt(self.rng.choice(self.house.customers), value, value, number, fate)

    def slip(self, day: date, clear: date | None) -> Slip:
        made = Slip(day, clear, [self.receipt() for _ in range(self.rng.randint(2, 5))])
        self.slips.append(made)
        return made

    def plan_slips(self) -> None:
        for _ in range(self.house.slips):
            day = self.weekday(self.on(1), self.on(16))
            self.slip(day, self.later(day, 1, 1))
        wrong, double, *bad = self.rng.sample(self.slips, 4)
        wrong.receipts[0].booked = swapped(wrong.receipts[0].amount)
        double.receipts[1].fate = "duplicate"
        for slip in bad:
            slip.receipts[0].fate = "returned"
        for day in (self.end - timedelta(1), self.end):
            self.slip(self.weekday(day - timedelta(2), day), self.after_end())
        self.slip(self.after_end(), None)

    # number, then write down

    def number(self) -> None:
        self.payments.sort(key=lambda p: p.day)
        cheque, transfer = self.rng.randrange(104_100, 104_900), self.rng.randrange(2_100, 2_900)
        for payment in self.payments:
            if payment.cheque:
                payment.ref, cheque = str(cheque), cheque + 1
            else:
                payment.ref, transfer = f"{self.house.transfer}-{transfer}", transfer + 1
        self.slips.sort(key=lambda s: s.day)
        first = self.rng.randrange(500_100, 500_800)
        for n, slip in enumerate(self.slips):
            slip.ref = str(first + n)

    def post(
        self, day: date, ref: str, party: str, narrative: str, contra: str, amount: int
    ) -> Entry:
        entry = Entry(day, ref, party, narrative, contra, amount)
        self.entries.append(entry)
        return entry

    def bank(self, day: date, text: str, amount: int) -> Line:
        line = Line(day, text.upper(), amount)
        self.lines.append(line)
        return line

    def item(
        self, category: str, source: Entry | Line, amount: int, accounts: dict[str, int]
    ) -> None:
        """Add a ledger-side item; `accounts` take the other side of the bank account."""
        assert sum(accounts.values()) == -amount, (category, amount, accounts)
        self.items.append(Item("ledger", category, source, amount, accounts))

    def bank_item(self, category: str, source: Entry | Line, amount: int) -> None:
        self.items.append(Item("bank", category, source, amount))

    def write_payment(self, plan: Payment) -> None:
        what = f"{plan.party} on account"
        entry = self.post(plan.day, plan.ref, plan.party, what, plan.contra, -plan.booked)
        if plan.day > self.end:
            return
        if plan.fate == "void":
            self.mail["void"], self.mail["void_party"] = plan.ref, plan.party
            self.item("void_cheque", entry, plan.booked, {plan.contra: -plan.booked})
            return
        if plan.fate == "stopped late":
            self.mail["late"], self.mail["late_party"] = plan.ref, plan.party
        self.write_clearing(plan, entry)
        if plan.booked != plan.drawn:
            gap = plan.booked - plan.drawn
            self.item("posting_error", entry, gap, {plan.contra: -gap})
        if plan.fate == "duplicate":
            day = self.later(plan.day, 1, 4)
            again = self.post(day, plan.ref, plan.party, what, plan.contra, -plan.booked)
            self.item("duplicate_posting", again, plan.booked, {plan.contra: -plan.booked})

    def write_clearing(self, plan: Payment, entry: Entry) -> None:
        if plan.clear:
            transfer = f"{self.house.transfer_word} {plan.party[:12].strip()}"
            kind = self.house.cheque if plan.cheque else transfer
            line = self.bank(plan.clear, f"{kind} {plan.ref}", -plan.paid)
            if plan.paid != plan.drawn:
                self.bank_item("bank_error", line, plan.paid - plan.drawn)
        if plan.clear is None or plan.clear > self.end:
            self.bank_item("outstanding_payment", entry, -plan.drawn)

    def write_slip(self, slip: Slip) -> None:
        if slip.clear:
            self.bank(slip.clear, f"CREDIT {slip.ref}", sum(r.amount for r in slip.receipts))
        for receipt in slip.receipts:
            self.write_receipt(slip, receipt)

    def write_receipt(self, slip: Slip, plan: Receipt) -> None:
        account = self.house.receivable
        what = f"{plan.party}, their {self.house.cheque.lower()} {plan.cheque_no}"
        entry = self.post(slip.day, slip.ref, plan.party, what, account, plan.booked)
        if slip.day > self.end:
            return
        if slip.clear and slip.clear > self.end:
            self.bank_item("deposit_in_transit", entry, plan.amount)
        if plan.booked != plan.amount:
            gap = plan.amount - plan.booked
            self.item("posting_error", entry, gap, {account: -gap})
        if plan.fate == "duplicate":
            day = self.later(slip.day, 1, 3)
            again = self.post(day, slip.ref, plan.party, what, account, plan.booked)
            self.item("duplicate_posting", again, -plan.booked, {account: plan.booked})
        if plan.fate == "returned" and slip.clear:
            self.write_return(slip.clear, plan)

    def write_return(self, credited: date, plan: Receipt) -> None:
        day = self.later(credited, 2, 4)
        back = self.bank(day, f"RETURNED UNPAID {plan.cheque_no}", -plan.amount)
        self.item("returned_item", back, -plan.amount, {self.house.receivable: plan.amount})
        fee = self.rng.choice((1_200, 1_500, 1_850))
        line = self.bank(day, f"RETURNED ITEM FEE {plan.cheque_no}", -fee)
        self.item("bank_charge", line, -fee, {self.house.returned_fee_account: fee})

    # what only the bank knew

    def write_bank_only(self) -> None:
        for name in self.house.monthly_fees:
            fee = self.rng.randrange(850, 9_900)
            line = self.bank(self.weekday(self.on(10), self.end), name, -fee)
            self.item("bank_charge", line, line.amount, {self.house.charges: -line.amount})
        # the next month's fee is on the export, and is not ours to book yet
        self.bank(self.after_end(), self.house.monthly_fees[0], -self.rng.randrange(850, 9_900))
        credit = self.bank(self.end, "INTEREST PAID TO YOU", self.rng.randrange(1_100, 8_900))
        self.item("interest", credit, credit.amount, {self.house.interest: -credit.amount})
        self.write_mandates()
        self.write_strangers()
        self.write_unrecorded()

    def write_mandates(self) -> None:
        plain = [m for m in self.house.mandates if m[1].isdigit()]
        booked = self.rng.choice(plain)
        for mandate in plain:
            self.write_mandate(*mandate[:2], booked=mandate is booked)
        if self.house.loan:
            self.write_loan()

    def write_mandate(self, originator: str, account: str, booked: bool) -> None:
        value, ref = self.amount(15_000, 240_000), f"M{self.rng.randrange(10_000, 99_999)}"
        line = self.bank(
            self.weekday(self.on(6), self.on(20)), f"{self.house.debit} {originator} {ref}", -value
        )
        if booked:
            day = self.weekday(line.day - timedelta(4), line.day)
            self.post(day, ref, originator.title(), "by standing mandate", account, -value)
        else:
            self.item("direct_debit", line, -value, {account: value})

    def write_loan(self) -> None:
        instalment, capital = self.amount(180_000, 260_000), 0
        owed = self.rng.randrange(4_000_000, 6_000_000)
        for n in range(14, 20):
            due = date(self.end.year, self.end.month - 16 + n, 15)
            interest = owed * 62 // 12_000
            capital = instalment - interest
            owed -= capital
            self.loan_rows.append((n, due, capital, interest, owed))
        _, due, capital, interest, _ = self.loan_rows[2]
        line = self.bank(due, f"{self.house.debit} NORTHGATE TERM LOAN INST 16", -instalment)
        self.item("direct_debit", line, -instalment, {"2500": capital, "7950": interest})

    def write_strangers(self) -> None:
        """Somebody else's debit on our account; the bank gives it back after the period end."""
        value = self.amount(4_000, 60_000)
        text = f"{self.house.debit} MARLOWE FITNESS CLUB"
        line = self.bank(self.weekday(self.on(8), self.on(20)), text, -value)
        self.bank_item("bank_error", line, value)
        back = self.after_end()
        self.bank(back, f"REFUND {text}", value)
        self.mail["stranger_day"], self.mail["stranger_back"] = str(line.day), str(back)
        self.mail["stranger_amount"] = f"{value // 100}.{value % 100:02d}"

    def write_unrecorded(self) -> None:
        party = self.rng.choice(self.house.customers)
        ref = f"FP{self.rng.randrange(10_000, 99_999)}"
        line = self.bank(
            self.weekday(self.end - timedelta(3), self.end),
            f"DIRECT CREDIT {party[:14].strip()} {ref}",
            self.amount(60_000, 480_000),
        )
        account = self.house.receivable
        self.post(self.after_end(), ref, party, f"{party}, direct credit", account, line.amount)
        self.item("unrecorded_receipt", line, line.amount, {account: -line.amount})
        ref = f"FP{self.rng.randrange(100_000, 999_999)}"
        value = self.amount(20_000, 150_000)
        line = self.bank(self.weekday(self.on(5), self.on(18)), f"DIRECT CREDIT {ref}", value)
        self.item("unrecorded_receipt", line, value, {self.house.suspense: -value})

    # card batches

    def write_cards(self) -> None:
        open_from = self.end - timedelta(2)
        days = [self.start + timedelta(n) for n in range((self.end - self.start).days + 1)]
        for day in days[::2]:
            self.write_batch(day, day >= open_from)
        self.write_batch(self.end, late=True)

    def write_batch(self, day: date, late: bool) -> None:
        number = f"B{day:%m%d}"
        if any(number == ref for ref, *_ in self.batches):
            return
        gross = self.amount(110_000, 620_000)
        fee = (gross * 265 + 5_000) // 10_000 + self.rng.randrange(20, 400)
        self.batches.append((number, day, gross, fee))
        entry = self.post(day, number, "Card sales", f"Card batch {number}", "40100", gross)
        settled = self.after_end() if late else self.settled(day)
        line = self.bank(settled, f"MERCHANT SVCS {number}", gross - fee)
        self.item("card_fee", entry if late else line, -fee, {"61600": fee})
        if late:
            self.bank_item("deposit_in_transit", entry, gross - fee)

    def settled(self, day: date) -> date:
        return min(self.later(day, 1, 3), self.end)

    # last month

    def write_prior(self) -> None:
        number = self.rng.randrange(103_100, 103_600)
        self.prior_cheque(self.house.stale_dates[0], number, "stale")
        self.prior_cheque(self.house.stale_dates[1], number + 41, "stale")
        # stale by its date, but the bank paid it all the same
        self.prior_cheque(self.house.stale_dates[0] + timedelta(5), number + 7, "cleared")
        self.prior_cheque(self.house.fresh_dates[0], number + 42, "open")
        self.prior_cheque(self.house.fresh_dates[1], number + 133, "open")
        for n, day in enumerate(self.house.fresh_dates[2:]):
            self.prior_cheque(day, number + 190 + n, "cleared")
        self.prior_slip()

    def prior_entry(self, day: date, ref: str, party: str, amount: int) -> Entry:
        entry = Entry(day, ref, party, "", "", amount)
        self.prior.append(entry)
        return entry

    def prior_cheque(self, day: date, number: int, fate: str) -> None:
        value = self.amount(12_000, 400_000)
        entry = self.prior_entry(day, str(number), self.rng.choice(self.house.suppliers), -value)
        if fate == "stale":
            self.item("stale_cheque", entry, value, {self.house.unclaimed: -value})
        elif fate == "open":
            self.bank_item("outstanding_payment", entry, -value)
        else:
            day = self.weekday(self.on(2), self.on(14))
            self.bank(day, f"{self.house.cheque} {number}", -value)

    def prior_slip(self) -> None:
        day, ref, total = self.start - timedelta(1), str(self.rng.randrange(499_100, 499_900)), 0
        for _ in range(3):
            value = self.amount(30_000, 300_000)
            self.prior_entry(day, ref, self.rng.choice(self.house.customers), value)
            total += value
        self.bank(self.weekday(self.on(1), self.on(5)), f"CREDIT {ref}", total)

    # the whole

    def make(self) -> World:
        self.plan_payments()
        self.plan_slips()
        self.number()
        for payment in self.payments:
            self.write_payment(payment)
        for slip in self.slips:
            self.write_slip(slip)
        self.write_bank_only()
        if self.house.cards:
            self.write_cards()
        self.write_prior()
        self.identify()
        self.prove()
        return self

    def identify(self) -> None:
        self.prior.sort(key=lambda e: e.day)
        self.entries.sort(key=lambda e: e.day)
        self.lines.sort(key=lambda x: x.day)
        first = self.rng.randrange(12_000, 13_000)
        for n, entry in enumerate(self.entries):
            entry.entry_id = f"CB-{first + n}"
        for n, entry in enumerate(self.prior):
            entry.entry_id = f"CB-{first - 900 + 17 * n}"
        for n, line in enumerate(self.lines, 1):
            line.line_id = f"ST{n:04d}"

    def opening_ledger(self) -> int:
        return self.opening_bank + sum(e.amount for e in self.prior)

    def balances(self) -> tuple[int, int]:
        """The unadjusted bank and ledger balances at the period end."""
        bank = self.opening_bank + sum(x.amount for x in self.lines if x.day <= self.end)
        books = self.opening_ledger() + sum(e.amount for e in self.entries if e.day <= self.end)
        return bank, books

    def section(self, name: str) -> int:
        return sum(i.amount for i in self.items if i.section == name)

    def prove(self) -> None:
        bank, books = self.balances()
        assert bank + self.section("bank") == books + self.section("ledger")
