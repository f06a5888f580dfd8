"""Plan the shop from its files alone: read and correct the data, dispatch, then search."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import sys
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

STAMP = r"(\d{4}-\d\d-\d\dT\d\d:\d\d)"
DATE = r"(\d{4}-\d\d-\d\d)"
ORDER = r"(W\d+)"
NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
HORIZON = 44  # days


class Office:
    """The exported tables with the mails worked in; times are minutes since plan Monday 00:00."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = (folder / "policy.md").read_text(encoding="utf-8")
        self.monday = datetime.fromisoformat(self.grab(r"Monday " + DATE))
        self.read_rules()
        self.cut: list[tuple[int, int]] = []
        self.extra: dict[str, tuple[int, int]] = {}
        self.off: dict[str, int] = {}
        self.orders = {row["order"]: row for row in self.table("orders")}
        self.service = [
            (r["machine"], self.at(r["start"]), self.at(r["end"]))
            for r in self.table("maintenance")
        ]
        for mail in (folder / "mails.txt").read_text(encoding="utf-8").split("\n---\n"):
            self.take_in(mail)
        self.resources()
        self.works = {name: self.work(row) for name, row in self.orders.items()}
        self.in_process()

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def grab(self, pattern: str, default: str = "") -> str:
        found = re.search(pattern, self.policy)
        return found.group(1) if found else default

    def at(self, text: str) -> int:
        return int((datetime.fromisoformat(text) - self.monday).total_seconds()) // 60

    def day(self, text: str) -> int:
        return (date.fromisoformat(text) - self.monday.date()).days

    def text(self, minute: int) -> str:
        return (self.monday + timedelta(minutes=minute)).isoformat(timespec="minutes")

    def read_rules(self) -> None:
        self.move = int(self.grab(r"may start (\d+) minutes"))
        self.pack = int(self.grab(r"packed for (\d+) minutes"))
        self.truck = hhmm(self.grab(r"leaves at (\d\d:\d\d) on every working day; an order"))
        self.van = hhmm(self.grab(r"it leaves at (\d\d:\d\d) on every", "00:00"))
        self.van_back = hhmm(self.grab(r"parts back at (\d\d:\d\d)", "00:00"))
        self.van_days = {"second": 2, "third": 3, "": 0}[self.grab(r"(second|third) working day")]
        self.goods_in = int(self.grab(r"need (\d+) minutes of goods-in", "0"))
        self.rate = money(self.grab(r"Penalty per day late: ([^.]*)\."))
        self.flat = money(self.grab(r"late at all: ([^.]*)\."))
        self.setup_eur = float(self.grab(r"EUR ([\d.]+) per setup minute"))
        self.by_calendar = "late are the calendar days" in self.policy

    def take_in(self, mail: str) -> None:
        """Work one mail in; mails are in the order in which they were sent."""
        if m := re.search(rf"for {ORDER} is late. It is on our dock at {STAMP}", mail):
            self.orders[m[1]]["material_from"] = m[2]
        elif m := re.search(rf"for (\w+) cannot come(?s:.*)window: {STAMP} to {STAMP}", mail):
            self.move_service(mail, m)
        elif m := re.search(rf"(?:needs|new date for) {ORDER}(?: by|, it stays at) {DATE}", mail):
            self.orders[m[1]]["due"] = m[2]
        elif m := re.search(rf"cancelled {ORDER}\. Nothing", mail):
            del self.orders[m[1]]
        elif m := re.search(rf"{ORDER} is now for (\d+) pieces", mail):
            self.orders[m[1]]["qty"] = m[2]
        elif m := re.search(rf"(\w+) has a hospital appointment and is off on {DATE}", mail):
            self.off[m[1]] = self.day(m[2])
        elif m := re.search(rf"feeder off from {STAMP} to\s+{STAMP}", mail):
            self.cut.append((self.at(m[1]), self.at(m[2])))
        elif m := re.search(rf"open (\w+) and (\w+) on Saturday from {STAMP} to\s+{STAMP}", mail):
            who = re.search(r"(\w+) is in for the same hours", mail)
            for name in (m[1], m[2], who[1] if who else ""):
                self.extra[name] = self.at(m[3]), self.at(m[4])
        elif m := re.search(r"total cost\s.*of EUR (\d+) or less", mail):
            self.target = int(m[1])
        else:
            raise ValueError(mail)

    def move_service(self, mail: str, m: re.Match[str]) -> None:
        old = re.search(rf"come on {STAMP}", mail)
        where = (m[1], self.at(old[1] if old else ""))
        window = (m[1], self.at(m[2]), self.at(m[3]))
        self.moved = getattr(self, "moved", {})
        current = self.moved.get(where, where)
        kept = [s for s in self.service if s[:2] != current]
        assert len(kept) == len(self.service) - 1, "a service that is not in the list"
        self.service, self.moved[where] = [*kept, window], window[:2]

    def resources(self) -> None:
        shut = {self.day(row["date"]) for row in self.table("closed_days")}
        self.days = [d for d in range(HORIZON) if d % 7 < 5 and d not in shut]
        self.machines = {row["machine"]: row for row in self.table("machines")}
        self.setters = {row["setter"]: row for row in self.table("setters")}
        shifts: dict[str, list] = {}
        for row in self.table("shifts"):
            line = NAMES.index(row["weekday"]), hhmm(row["opens"]), hhmm(row["closes"])
            shifts.setdefault(row["shift"], []).append(line)
        self.hours = {n: Hours(self.spans(n, shifts[r["shift"]], self.cut))
                      for n, r in self.machines.items()}  # fmt: skip
        self.hours |= {n: Hours(self.spans(n, shifts[r["shift"]], []))
                       for n, r in self.setters.items()}  # fmt: skip
        self.centres: dict[str, list[str]] = {}
        for name in sorted(self.machines):
            self.centres.setdefault(self.machines[name]["work_centre"], []).append(name)
        self.matrix = {(r["work_centre"], r["from"], r["to"]): int(r["minutes"])
                       for r in self.table("setup_matrix")}  # fmt: skip
        self.copies = {r["fixture"]: int(r["copies"]) for r in self.table("fixtures")}
        self.services = {n: sorted((a, b) for m, a, b in self.service if m == n)
                         for n in self.machines}  # fmt: skip
        self.able = {c: sorted(n for n, r in self.setters.items() if c in r["work_centres"].split())
                     for c in self.centres}  # fmt: skip

    def spans(self, name: str, shift: list, cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        found = [self.extra[name]] if name in self.extra else []
        for day in self.days:
            for weekday, opens, closes in shift:
                if weekday == day % 7 and self.off.get(name) != day:
                    length = (closes - opens - 1) % 1440 + 1
                    found.append((day * 1440 + opens, day * 1440 + opens + length))
        for a, b in cuts:
            parts = [((s, min(e, a)), (max(s, b), e)) for s, e in found]
            found = [p for pair in parts for p in pair if p[0] < p[1]]
        return joined(sorted(found))

    def work(self, row: dict[str, str]) -> dict:
        steps = [Step(self, row, r) for r in self.table("routings") if r["part"] == row["part"]]
        steps.sort(key=lambda s: s.op)
        return {"steps": steps, "ready": self.at(row["material_from"]), "at": "",
                "due": self.day(row["due"]), "class": row["class"]}  # fmt: skip

    def in_process(self) -> None:
        self.busy = {name: (360, row["set_up_for"]) for name, row in self.machines.items()}
        for row in self.table("in_process"):
            work = self.works[row["order"]]
            work["steps"] = [s for s in work["steps"] if s.op > int(row["op"])]
            work["ready"], work["at"] = self.at(row["ends"]), row["machine"]
            self.busy[row["machine"]] = work["ready"], self.machines[row["machine"]]["set_up_for"]

    def transport(self, old: str, new: str) -> int:
        if old == "VAN":
            return self.goods_in
        return self.move if old and old != new else 0

    def van_trip(self, ready: int) -> tuple[int, int]:
        first = next(i for i, d in enumerate(self.days) if d * 1440 + self.van >= ready)
        back = self.days[first + self.van_days]
        return self.days[first] * 1440 + self.van, back * 1440 + self.van_back

    def promise(self, work: dict, end: int) -> tuple[int, int, int]:
        """Shipping day, days late and penalty of an order that ends at `end`."""
        ship = next(d for d in self.days if d * 1440 + self.truck >= end + self.pack)
        if ship <= work["due"]:
            return ship, 0, 0
        late = ship - work["due"]
        if not self.by_calendar:
            late = sum(work["due"] < d <= ship for d in self.days)
        return ship, late, late * self.rate[work["class"]] + self.flat.get(work["class"], 0)


class Step:
    """One operation: its number, centre, family, fixture, and run minutes by machine."""

    def __init__(self, office: Office, order: dict[str, str], row: dict[str, str]) -> None:
        self.op, self.centre = int(row["op"]), row["work_centre"]
        self.family, self.fixture = row["setup_family"], row["fixture"]
        whole, _, tenth = (row["min_per_piece"] or "0").partition(".")
        total = int(order["qty"]) * (10 * int(whole) + int(tenth or 0)) * 10
        self.run = {name: math.ceil(total / int(office.machines[name]["efficiency_pct"]))
                    for name in office.centres.get(self.centre, [])}  # fmt: skip


class Hours:
    """Open stretches of a machine or a setter, found by bisection."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.spans = spans
        self.starts = [s for s, _ in spans]
        self.before = [0]
        for s, e in spans:
            self.before.append(self.before[-1] + e - s)

    def fit(self, t: int, need: int) -> int:
        """The first open minute from `t` on with `need` open minutes in one piece."""
        need = need or 1
        i = bisect_right(self.starts, t) - 1
        if i >= 0 and t + need <= self.spans[i][1]:
            return t
        for start, end in self.spans[i + 1 :]:
            if start + need <= end:
                return start
        raise ValueError("no such piece before the calendar ends")

    def end(self, t: int, run: int) -> int:
        i = bisect_right(self.starts, t) - 1
        done = self.before[i] + min(t, self.spans[i][1]) - self.spans[i][0] + run
        j = bisect_right(self.before, done - 1) - 1
        return self.spans[j][0] + done - self.before[j]


class Book:
    """Bookings so far."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.machine = dict(office.busy)
        self.people: dict[str, list] = {name: [] for name in office.setters}
        self.held: dict[str, list] = {name: [] for name in office.copies}
        self.done = {name: (0, w["ready"], w["at"]) for name, w in office.works.items()}
        self.rows: list[tuple] = []

    def candidate(self, order: str) -> tuple:
        """(end, machine, start, run start, setter) of the order's next step."""
        count, ready, at = self.done[order]
        step = self.office.works[order]["steps"][count]
        if step.centre == "VAN":
            leave, back = self.office.van_trip(ready)
            return back, "VAN", leave, leave, ""
        return min(self.earliest(step, m, ready + self.office.transport(at, m)) for m in step.run)

    def earliest(self, step: Step, machine: str, ready: int) -> tuple:
        """Try the gaps between services one by one: the setup is the same within a gap."""
        free, family = self.machine[machine]
        for a, b in [*self.office.services[machine], (10**9, 10**9)]:
            if a >= free:
                found = self.in_gap(step, machine, max(ready, free), a, family)
                if found:
                    return found
                ready, family = max(ready, b), "BARE"
        raise ValueError("no place")

    def in_gap(self, step: Step, machine: str, t: int, until: int, family: str) -> tuple | None:
        hours = self.office.hours[machine]
        setup = self.office.matrix[step.centre, family, step.family]
        while t < until:
            t, who = hours.fit(t, setup), ""
            if setup:
                later, who = min(
                    (self.person(n, t, setup), n) for n in self.office.able[step.centre]
                )
                if later > t:
                    t = later
                    continue
            end = hours.end(t + setup, step.run[machine])
            if end > until:
                return None
            later = self.fixture_free(step.fixture, t, end)
            if later == t:
                return end, machine, t, t + setup, who
            t = later
        return None

    def person(self, name: str, t: int, need: int) -> int:
        hours = self.office.hours[name]
        while True:
            t = hours.fit(t, need)
            busy = [b for a, b in self.people[name] if a < t + need and t < b]
            if not busy:
                return t
            t = max(busy)

    def fixture_free(self, fixture: str, start: int, end: int) -> int:
        if not fixture:
            return start
        near = [(a, b) for a, b in self.held[fixture] if a < end and start < b]
        marks = sorted([(max(a, start), 1) for a, _ in near] + [(b, -1) for _, b in near],
                       key=lambda m: m)  # fmt: skip
        level = 0
        for _, change in marks:
            level += change
            if level >= self.office.copies[fixture]:
                return min(b for _, b in near)
        return start

    def add(self, order: str, found: tuple) -> None:
        end, machine, start, run_start, who = found
        count = self.done[order][0]
        step = self.office.works[order]["steps"][count]
        if machine != "VAN":
            self.machine[machine] = end, step.family
        if who:
            self.people[who].append((start, run_start))
        if step.fixture:
            self.held[step.fixture].append((start, end))
        self.rows.append((order, step.op, machine, who, start, run_start, end))
        self.done[order] = count + 1, end, machine

    def costs(self) -> dict[str, float]:
        office = self.office
        late = sum(office.promise(w, self.done[n][1])[2] for n, w in office.works.items())
        setup = sum(row[5] - row[4] for row in self.rows)
        money = round(setup * office.setup_eur, 2)
        return {"penalty_eur": late, "setup_minutes": setup, "setup_eur": money,
                "total_eur": round(late + money, 2)}  # fmt: skip


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for s, e in spans:
        if out and out[-1][1] >= s:
            s, e = out[-1][0], max(e, out.pop()[1])
        out.append((s, e))
    return out


def hhmm(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def money(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"class (\w) EUR (\d+)", text)}


Rank = Callable[[Office, Book, str, tuple], tuple]


def by_due(office: Office, _book: Book, order: str, _offer: tuple) -> tuple:
    """Rule DR-1."""
    return (office.works[order]["due"],)


def spare(office: Office, book: Book, order: str) -> float:
    """Minutes until the order is late if from now on it never waits."""
    work = office.works[order]
    count, ready, _ = book.done[order]
    left = sum(min(step.run.values(), default=2 * 1440) for step in work["steps"][count:])
    return work["due"] * 1440 + office.truck - ready - left


def blurred(kind: str, rng: random.Random) -> Rank:
    """Short setups first, or least spare time, or most to lose per minute: all a little off."""

    def rank(office: Office, book: Book, order: str, offer: tuple) -> tuple:
        work, blur = office.works[order], rng.uniform(-1, 1)
        if kind == "setup":
            return offer[3] - offer[2], work["due"] + 2 * blur
        slack = spare(office, book, order)
        if kind == "spare":
            return (slack + 300 * blur,)
        hurry = math.exp(-max(0.0, slack) / 2880)
        return (-office.rate[work["class"]] * hurry * (1 + 0.3 * blur) / (offer[0] - offer[2]),)

    return rank


def dispatch(office: Office, rank: Rank) -> Book:
    """Serve the machine that can finish first; `rank` picks among the orders that want it."""
    book = Book(office)
    while waiting := [n for n, w in office.works.items() if book.done[n][0] < len(w["steps"])]:
        offers = {name: book.candidate(name) for name in waiting}
        end, _, machine = min((offers[n][0], n, offers[n][1]) for n in waiting)
        rivals = [n for n in waiting if offers[n][1] == machine and offers[n][2] < end]
        order = min(rivals, key=lambda n: (*rank(office, book, n, offers[n]), n))
        book.add(order, offers[order])
    return book


def replay(office: Office, sequence: list[str]) -> Book:
    book = Book(office)
    for order in sequence:
        book.add(order, book.candidate(order))
    return book


def anneal(office: Office, first: Book, steps: int, rng: random.Random) -> Book:
    """Move one order number a few or many places in the booking sequence; cool down."""
    sequence = [row[0] for row in first.rows]
    best, low = first, first.costs()["total_eur"]
    now = low
    for k in range(steps):
        trial = moved(sequence, rng)
        book = replay(office, trial)
        cost = book.costs()["total_eur"]
        heat = 50 * (1 - k / steps) ** 2 + 1
        if cost <= now or rng.random() < math.exp((now - cost) / heat):
            sequence, now = trial, cost
        if cost < low:
            best, low = book, cost
        if low <= office.target:
            break
    return best


def moved(sequence: list[str], rng: random.Random) -> list[str]:
    trial = list(sequence)
    i = rng.randrange(len(trial))
    order = trial.pop(i)
    j = i + rng.randint(-25, 25) if rng.random() < 0.5 else rng.randrange(len(trial) + 1)
    trial.insert(max(0, min(len(trial), j)), order)
    return trial


def search(office: Office) -> Book:
    """Anneal the best schedule of each kind in turn, until the works manager's figure is met."""
    rng = random.Random(1)
    starts = [
        min((dispatch(office, blurred(kind, rng)) for _ in range(20)), key=total)
        for kind in ("setup", "spare", "loss")
    ]
    best = min(starts, key=total)
    for attempt in range(60):
        first = [*starts, best][attempt % 4]
        found = anneal(office, first, 1200 + 120 * attempt, random.Random(attempt))
        best = min(best, found, key=total)
        if total(best) <= office.target:
            break
    return best


def total(book: Book) -> float:
    return book.costs()["total_eur"]


def write(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def write_plan(office: Office, path: Path, book: Book) -> None:
    rows = [(*row[:4], *(office.text(t) for t in row[4:])) for row in sorted(book.rows)]
    write(path, "order,op,machine,setter,start,run_start,end", rows)


def main(inputs: Path, output: Path) -> None:
    office = Office(inputs)
    baseline = dispatch(office, by_due)
    plan = search(office)
    write_plan(office, output / "schedule.csv", plan)
    write_plan(office, output / "baseline.csv", baseline)
    rows = []
    for name, work in office.works.items():
        end = plan.done[name][1]
        ship, late, penalty = office.promise(work, end)
        rows.append((name, office.text(end), office.text(ship * 1440)[:10], late, penalty))
    write(output / "promises.csv", "order,finished,ships_on,days_late,penalty_eur", rows)
    summary = {"plan": plan.costs(), "baseline": baseline.costs()}
    (output / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
