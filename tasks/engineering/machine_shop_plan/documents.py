"""Write a shop down the way its office keeps it: tables, the planning policy, and the mails."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable
from pathlib import Path

from score import day_text, stamp
from shop import PATTERNS

HERE = Path(__file__).parent
LATE_DAYS = {
    "working": "working days after the due date, up to and including the shipping day",
    "calendar": "calendar days from the due date to the shipping day",
}
VAN = """
## 8. Heat treatment

Heat treatment is done outside (work centre `VAN` in the routings). One van takes any number of
orders; it leaves at {leave} on every working day and brings the parts back at {back} on the
{nth} working day after the day it left. Parts may be on the van the minute the step before ends;
there is no transport time to the van. Coming back they need {goods_in} minutes of goods-in before
the next operation may start, wherever that is, in place of the transport time. In the plan,
`start` and `run_start` are the departure, `end` is the return, the machine is `VAN` and there is
no setter.
"""

NO_VAN = "\n## 8. Heat treatment\n\nNone of the present parts goes out for heat treatment.\n"


def write_table(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def write(inputs: Path, raw: dict, changes: list[dict], target: int) -> None:
    _machines(inputs, raw)
    _people(inputs, raw)
    _work(inputs, raw)
    (inputs / "policy.md").write_text(_policy(raw), encoding="utf-8")
    (inputs / "mails.txt").write_text(_mails(raw, changes, target), encoding="utf-8")


def _machines(inputs: Path, raw: dict) -> None:
    rows = [(n, m["centre"], m["pattern"], m["efficiency"], m["family"])
            for n, m in raw["machines"].items()]  # fmt: skip
    write_table(
        inputs / "machines.csv", "machine,work_centre,shift,efficiency_pct,set_up_for", rows
    )
    spans = sorted(raw["maintenance"], key=lambda m: m["start"])
    rows = [(m["machine"], stamp(raw, m["start"]), stamp(raw, m["end"])) for m in spans]
    write_table(inputs / "maintenance.csv", "machine,start,end", rows)
    setups = [
        (centre, old, new, minutes)
        for centre, table in raw["matrix"].items()
        for old, line in table.items()
        for new, minutes in line.items()
    ]
    write_table(inputs / "setup_matrix.csv", "work_centre,from,to,minutes", setups)


def _people(inputs: Path, raw: dict) -> None:
    rows = [(n, s["pattern"], " ".join(s["skills"])) for n, s in raw["setters"].items()]
    write_table(inputs / "setters.csv", "setter,shift,work_centres", rows)
    shifts = [
        (name, weekday, opens, closes)
        for name, lines in PATTERNS.items()
        for weekdays, opens, closes in lines
        for weekday in weekdays.split()
    ]
    write_table(inputs / "shifts.csv", "shift,weekday,opens,closes", shifts)
    closed = [(day_text(raw, raw["closed_day"]), "public holiday, shop closed")]
    write_table(inputs / "closed_days.csv", "date,reason", closed)
    write_table(inputs / "fixtures.csv", "fixture,copies", raw["fixtures"].items())


def _work(inputs: Path, raw: dict) -> None:
    steps = [
        (part, data["name"], op["op"], op["centre"], op["family"],
         f"{op['tenths'] / 10:.1f}" if op["tenths"] else "", op["fixture"])
        for part, data in raw["parts"].items()
        for op in data["ops"]
    ]  # fmt: skip
    header = "part,description,op,work_centre,setup_family,min_per_piece,fixture"
    write_table(inputs / "routings.csv", header, steps)
    orders = [
        (n, o["customer"], o["class"], o["part"], o["qty"], stamp(raw, o["ready"]),
         day_text(raw, o["due"]))
        for n, o in raw["orders"].items()
    ]  # fmt: skip
    write_table(inputs / "orders.csv", "order,customer,class,part,qty,material_from,due", orders)
    rows = [(w["order"], w["op"], w["machine"], stamp(raw, w["end"])) for w in raw["wip"]]
    write_table(inputs / "in_process.csv", "order,op,machine,ends", rows)


def _policy(raw: dict) -> str:
    rules = raw["rules"]
    van = VAN.format(leave=clock(rules["van"]), back=clock(rules["van_back"]),
                     nth={2: "second", 3: "third"}[rules["van_days"]],
                     goods_in=rules["goods_in"])  # fmt: skip
    outside = any(op["centre"] == "VAN" for p in raw["parts"].values() for op in p["ops"])
    text = (HERE / "texts" / "policy.md").read_text(encoding="utf-8")
    flat = ", ".join(f"class {c} EUR {v}" for c, v in rules["flat"].items())
    return text.format(
        monday=raw["monday"],
        move=rules["move"],
        pack=rules["pack"],
        truck=clock(rules["truck"]),
        rates=", ".join(f"class {c} EUR {v}" for c, v in rules["rates"].items()),
        flat=f"{flat} once" if flat else "none",
        late_days=LATE_DAYS[rules["late_days"]],
        setup=f"{rules['setup_cents'] / 100:.2f}",
        van=van if outside else NO_VAN,
    )


def _mails(raw: dict, changes: list[dict], target: int) -> str:
    """One mail a change, in the days before the plan starts; the last one sets the target."""
    blocks = [_mail(raw, i, change) for i, change in enumerate(changes)]
    body = (
        "The dispatch rule's schedule is not good enough. I want a plan with a total cost"
        f" (policy, section 9) of EUR {target} or less. There is one: I have seen a plan that"
        " keeps every rule and costs less than that.\n"
    )
    when = _sent(raw, len(changes))
    head = f"From: Ilse Hartog, works manager\nDate: {when}\nSubject: next plan\n\n"
    return "\n---\n\n".join([*blocks, head + body])


def _sent(raw: dict, index: int) -> str:
    start = dt.datetime.fromisoformat(raw["monday"]) - dt.timedelta(days=4)
    return (start + dt.timedelta(hours=8 + 5 * index, minutes=7 * index)).strftime("%Y-%m-%d %H:%M")


def _mail(raw: dict, index: int, change: dict) -> str:
    sender, subject, body = _WRITERS[change["kind"]](raw, change)
    return f"From: {sender}\nDate: {_sent(raw, index)}\nSubject: {subject}\n\n{body}\n"


def _material(raw: dict, c: dict) -> tuple[str, str, str]:
    when = stamp(raw, c["ready"])
    body = f"Bar stock for {c['order']} is late. It is on our dock at {when}, not before."
    return "Purchasing", f"material {c['order']}", body


def _maintenance(raw: dict, c: dict) -> tuple[str, str, str]:
    window = raw["maintenance"][c["index"]]
    body = (
        f"The service man for {window['machine']} cannot come on {stamp(raw, window['start'])} as"
        f" in the list.\nNew window: {stamp(raw, c['start'])} to {stamp(raw, c['end'])}, in place"
        " of whatever I said before."
    )
    return "Maintenance", f"service {window['machine']}", body


def _due(raw: dict, c: dict) -> tuple[str, str, str]:
    order, day = raw["orders"][c["order"]], day_text(raw, c["due"])
    if c.get("withdrawn"):
        body = f"{order['customer']} rang again. Forget the new date for {c['order']}, it stays"
        return "Sales", f"{c['order']} again", f"{body} at {day}."
    body = f"{order['customer']} now needs {c['order']} by {day}. I have said yes."
    return "Sales", f"new date {c['order']}", body


def _cancel(raw: dict, c: dict) -> tuple[str, str, str]:
    customer = raw["orders"][c["order"]]["customer"]
    body = f"{customer} has cancelled {c['order']}. Nothing is cut yet, please take it out."
    return "Sales", f"cancelled {c['order']}", body


def _quantity(raw: dict, c: dict) -> tuple[str, str, str]:
    old = raw["orders"][c["order"]]["qty"]
    body = f"{c['order']} is now for {c['qty']} pieces (was {old}). Material is there for all."
    return "Sales", f"quantity {c['order']}", body


def _sick(raw: dict, c: dict) -> tuple[str, str, str]:
    day = day_text(raw, c["day"])
    body = f"{c['setter']} has a hospital appointment and is off on {day}, all day. No stand-in."
    return "Shift lead", f"{c['setter']} off", body


def _power(raw: dict, c: dict) -> tuple[str, str, str]:
    body = (
        f"The utility switches our feeder off from {stamp(raw, c['start'])} to"
        f" {stamp(raw, c['end'])}.\nAll machines are closed for that time; this is closed time, not"
        " maintenance, what is set up stays set up."
    )
    return "Facilities", "power cut", body


def _overtime(raw: dict, c: dict) -> tuple[str, str, str]:
    body = (
        f"We open {' and '.join(c['machines'])} on Saturday from {stamp(raw, c['start'])} to"
        f" {stamp(raw, c['end'])}.\n{c['setter']} is in for the same hours. The van and the truck"
        " do not run, and the Saturday is not a working day for anything else."
    )
    return "Shift lead", "Saturday", body


_WRITERS = {
    "material": _material,
    "maintenance": _maintenance,
    "due": _due,
    "cancel": _cancel,
    "quantity": _quantity,
    "sick": _sick,
    "power": _power,
    "overtime": _overtime,
}
