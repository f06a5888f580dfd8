"""Invent a machine shop: its master data, its order book, and the mails that change both."""

from __future__ import annotations

import copy
import datetime as dt
import random

DAY = 1440
WEEKS = 7
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

# pattern -> (weekdays, opens, closes); a close at or before the opening is on the next day
PATTERNS = {
    "ONE": [("MON TUE WED THU FRI", "06:00", "14:00")],
    "LATE": [("MON TUE WED THU FRI", "14:00", "22:00")],
    "DAY": [("MON TUE WED THU FRI", "07:00", "15:30")],
    "TWO": [("MON TUE WED THU FRI", "06:00", "22:00")],
    "EXT": [("MON TUE WED THU", "06:00", "22:00"), ("FRI", "06:00", "18:00")],
    "THREE": [("MON TUE WED THU FRI", "06:00", "06:00")],
}
FAMILIES = {
    "SAW": ("S-BAR", "S-PLATE"),
    "TUR": ("T-CHUCK", "T-COLLET", "T-LONG", "T-BORE"),
    "MIL": ("M-VICE", "M-PLATE", "M-TOMB", "M-5AX"),
    "GRD": ("G-CYL", "G-FLAT", "G-BORE"),
    "INS": ("I-CMM",),
}
MACHINES = (
    ("SAW1", "SAW", "TWO", 100),
    ("TUR1", "TUR", "TWO", 100),
    ("TUR2", "TUR", "TWO", 85),
    ("MIL1", "MIL", "EXT", 100),
    ("MIL2", "MIL", "TWO", 110),
    ("MIL3", "MIL", "ONE", 80),
    ("GRD1", "GRD", "TWO", 100),
    ("INS1", "INS", "TWO", 100),
)
SETTERS = (
    ("Abel", "ONE", "SAW TUR"),
    ("Brandt", "ONE", "GRD MIL"),
    ("Costa", "LATE", "MIL TUR"),
    ("Dvorak", "DAY", "GRD MIL SAW TUR"),
)
FIXTURES = {"FX-11": 1, "FX-20": 2, "FX-34": 1}
CUSTOMERS = (
    "Hydra Valves",
    "Kestrel Pumps",
    "Nordlift",
    "Ortmann Drives",
    "Pavel & Sons",
    "Rhenus Rail",
    "Solent Marine",
    "Tarvos Robotics",
)
PARTS = (
    "bearing flange",
    "drive shaft",
    "end cap",
    "gear blank",
    "housing",
    "manifold",
    "piston rod",
    "pivot block",
    "spindle sleeve",
    "valve body",
    "worm carrier",
    "yoke",
)


def minutes(clock: str) -> int:
    hours, mins = clock.split(":")
    return int(hours) * 60 + int(mins)


def make(params: dict, rng: random.Random) -> tuple[dict, dict, list[dict]]:
    """Return the shop as the files show it, the shop as it really is, and the changes between."""
    raw = _master_data(params, rng)
    raw["parts"] = {f"P-{410 + 7 * i}": _part(i, params, rng) for i in range(len(PARTS))}
    raw["orders"] = _orders(raw, params, rng)
    _start_with_work_on_machines(raw, rng)
    changes = _changes(raw, rng)
    return raw, _apply(raw, changes), changes


def _master_data(params: dict, rng: random.Random) -> dict:
    monday = dt.date(2026, 5, 4) + dt.timedelta(weeks=rng.randrange(12))
    pattern = dict(params.get("patterns", {}))
    return {
        "monday": monday.isoformat(),
        "closed_day": rng.choice((7, 8, 9, 10, 11)),
        "machines": {
            name: {"centre": centre, "pattern": pattern.get(name, shift), "efficiency": eff}
            for name, centre, shift, eff in MACHINES
        },
        "setters": {n: {"pattern": p, "skills": s.split()} for n, p, s in SETTERS},
        "fixtures": dict(FIXTURES),
        "matrix": {centre: _matrix(centre, rng) for centre in FAMILIES},
        "maintenance": _maintenance(rng),
        "rules": params["rules"],
    }


def _matrix(centre: str, rng: random.Random) -> dict:
    """Setups within a centre differ by direction; grinding changes are dear, inspection is free."""
    if centre == "INS":
        return {"BARE": {"I-CMM": 0}, "I-CMM": {"I-CMM": 0}}
    low, high = {"SAW": (3, 6), "TUR": (6, 24), "MIL": (6, 30), "GRD": (9, 36)}[centre]
    rows: dict = {}
    for old in ("BARE", *FAMILIES[centre]):
        rows[old] = {
            new: 0 if new == old else 5 * rng.randint(low, high) for new in FAMILIES[centre]
        }
    return rows


def _maintenance(rng: random.Random) -> list[dict]:
    """Two windows in the first week, one in the second, each on a machine that matters."""
    windows = []
    for machine, day in (("TUR1", 1), ("MIL2", 3), ("GRD1", 8)):
        start = (day + rng.randrange(2)) * DAY + 60 * rng.randint(8, 13)
        windows.append({"machine": machine, "start": start, "end": start + 60 * rng.randint(3, 5)})
    return windows


def _part(index: int, params: dict, rng: random.Random) -> dict:
    """Every part is sawn and inspected; between, it goes through two to four other steps."""
    middle = rng.choice((["TUR", "MIL"], ["TUR", "MIL", "GRD"], ["MIL", "TUR", "MIL"],
                         ["MIL", "GRD"], ["TUR", "TUR", "MIL"], ["TUR", "GRD", "MIL"]))  # fmt: skip
    steps = ["SAW", *middle]
    if params["outside"] and index % 3 == 0:
        steps.insert(rng.randint(2, len(steps)), "VAN")
    ops = [_step(10 * (i + 1), centre, rng) for i, centre in enumerate([*steps, "INS"])]
    return {"name": PARTS[index], "ops": ops}


def _step(number: int, centre: str, rng: random.Random) -> dict:
    low, high = {"SAW": (8, 20), "TUR": (35, 110), "MIL": (45, 130), "GRD": (25, 70),
                 "INS": (6, 18), "VAN": (0, 0)}[centre]  # fmt: skip
    fixture = rng.choice(("", "", *FIXTURES)) if centre == "MIL" else ""
    family = "" if centre == "VAN" else rng.choice(FAMILIES[centre])
    return {"op": number, "centre": centre, "family": family, "tenths": rng.randint(low, high),
            "fixture": fixture}  # fmt: skip


def _orders(raw: dict, params: dict, rng: random.Random) -> dict:
    """Due dates spread over the time the load needs, so that some lateness is unavoidable."""
    orders = {}
    numbers = rng.sample(range(61200, 61200 + 9 * params["orders"]), params["orders"])
    for i, number in enumerate(sorted(numbers)):
        part = sorted(raw["parts"])[i % len(raw["parts"])] if i < 12 else _any_part(raw, rng)
        ready = rng.choice((0, 0, 0, 1, 2, 3)) * DAY + 360
        orders[f"W{number}"] = {
            "customer": rng.choice(CUSTOMERS),
            "class": ("A", "B", "C", "B")[i % 4],
            "part": part,
            "qty": rng.randint(18, 44),
            "ready": ready,
            "due": _due_day(raw, part, ready // DAY, params, rng),
        }
    return orders


def _any_part(raw: dict, rng: random.Random) -> str:
    return rng.choice(sorted(raw["parts"]))


def _due_day(raw: dict, part: str, ready: int, params: dict, rng: random.Random) -> int:
    van = any(op["centre"] == "VAN" for op in raw["parts"][part]["ops"])
    day = ready + rng.randint(*params["due_days"]) + (4 if van else 0)
    return _to_workday(day, raw["closed_day"])


def _to_workday(day: int, closed: int) -> int:
    while day % 7 > 4 or day == closed:
        day += 1
    return day


def _start_with_work_on_machines(raw: dict, rng: random.Random) -> None:
    """The first two orders are half way: a mill still runs each of them on Monday morning."""
    raw["wip"] = []
    for machine in raw["machines"].values():
        machine["family"] = rng.choice(FAMILIES[machine["centre"]])
    for order, machine in zip(list(raw["orders"]), ("MIL1", "MIL2"), strict=False):
        _put_in_process(raw, order, machine, rng)


def _put_in_process(raw: dict, order: str, machine: str, rng: random.Random) -> None:
    ops = raw["parts"][raw["orders"][order]["part"]]["ops"]
    op = next(op for op in ops if op["centre"] == "MIL")
    end = 360 + 5 * rng.randint(12, 60)
    raw["orders"][order]["ready"] = 360
    raw["wip"].append({"order": order, "op": op["op"], "machine": machine, "end": end})
    raw["machines"][machine]["family"] = op["family"]


def _changes(raw: dict, rng: random.Random) -> list[dict]:
    """What the mails say, oldest first; two of them are overtaken by later ones."""
    orders = list(raw["orders"])[2:]
    cancelled, late, more, sooner, kept = rng.sample(orders, 5)
    moved = raw["maintenance"][1]
    first, second = rng.sample((1, 2, 3), 2)
    length = moved["end"] - moved["start"]
    starts = [first * DAY + 9 * 60, second * DAY + 14 * 60]
    qty = raw["orders"][more]["qty"] + rng.randint(5, 12)
    sick = rng.choice(("Abel", "Brandt", "Costa"))
    dark = rng.choice((2, 3, 4)) * DAY + 10 * 60
    saturday = 5 * DAY + 6 * 60
    return [
        _change("material", order=late, ready=_later_ready(raw, late, rng)),
        _change("maintenance", index=1, start=starts[0], end=starts[0] + length),
        _change("due", order=sooner, due=_earlier(raw, sooner)),
        _change("due", order=kept, due=_earlier(raw, kept)),
        _change("cancel", order=cancelled),
        _change("quantity", order=more, qty=qty),
        _change("sick", setter=sick, day=rng.randint(1, 4)),
        _change("due", order=kept, due=raw["orders"][kept]["due"], withdrawn=True),
        _change("maintenance", index=1, start=starts[1], end=starts[1] + length),
        _change("power", start=dark, end=dark + 120),
        _change(
            "overtime",
            machines=["MIL1", "TUR2"],
            setter="Costa",
            start=saturday,
            end=saturday + 6 * 60,
        ),
    ]


def _change(kind: str, **what: object) -> dict:
    return {"kind": kind, **what}


def _earlier(raw: dict, order: str) -> int:
    day = raw["orders"][order]["due"] - 1
    while day % 7 > 4 or day == raw["closed_day"]:
        day -= 1
    return day


def _later_ready(raw: dict, order: str, rng: random.Random) -> int:
    day = raw["orders"][order]["ready"] // DAY
    return _to_workday(day + rng.randint(1, 2), raw["closed_day"]) * DAY + 600


def _apply(raw: dict, changes: list[dict]) -> dict:
    """The shop as it is once every mail is taken in, with calendars written out as windows."""
    real = copy.deepcopy(raw)
    for change in changes:
        _apply_one(real, change)
    real["workdays"] = _workdays(real)
    for machine in real["machines"].values():
        machine["open"] = _windows(real, machine, cuts=real.get("power", []))
    for setter in real["setters"].values():
        setter["on"] = _windows(real, setter, cuts=[])
    return _flatten(real)


def _apply_one(real: dict, change: dict) -> None:
    kind = change["kind"]
    if kind == "cancel":
        del real["orders"][change["order"]]
    elif kind in ("material", "due", "quantity"):
        field = {"material": "ready", "due": "due", "quantity": "qty"}[kind]
        real["orders"][change["order"]][field] = change[field]
    elif kind == "maintenance":
        real["maintenance"][change["index"]].update(start=change["start"], end=change["end"])
    elif kind == "sick":
        real["setters"][change["setter"]]["absent"] = change["day"]
    elif kind == "power":
        real["power"] = [(change["start"], change["end"])]
    else:
        for who in [*change["machines"], change["setter"]]:
            group = "setters" if who == change["setter"] else "machines"
            real[group][who]["extra"] = [(change["start"], change["end"])]


def _workdays(real: dict) -> list[int]:
    return [d for d in range(7 * WEEKS) if d % 7 < 5 and d != real["closed_day"]]


def _windows(real: dict, thing: dict, *, cuts: list[tuple[int, int]]) -> list[list[int]]:
    spans = list(thing.get("extra", []))
    for day in real["workdays"]:
        if day != thing.get("absent"):
            spans += _shifts(thing["pattern"], day)
    for a, b in cuts:
        spans = [piece for s, e in spans for piece in ((s, min(e, a)), (max(s, b), e))]
    return _merged([(s, e) for s, e in spans if s < e])


def _shifts(pattern: str, day: int) -> list[tuple[int, int]]:
    out = []
    for weekdays, opens, closes in PATTERNS[pattern]:
        if WEEKDAYS[day % 7] in weekdays.split():
            start, end = day * DAY + minutes(opens), day * DAY + minutes(closes)
            out.append((start, end if end > start else end + DAY))
    return out


def _merged(spans: list[tuple[int, int]]) -> list[list[int]]:
    out: list[list[int]] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def _flatten(real: dict) -> dict:
    """Only what planning needs, in plain types: this is what the checker is given."""
    first = {w["order"]: w for w in real["wip"]}
    for order, data in real["orders"].items():
        done = first.get(order, {"op": 0, "machine": "", "end": 0})
        steps = [op for op in real["parts"][data["part"]]["ops"] if op["op"] > done["op"]]
        data["ops"] = steps
        data["at"] = done["machine"]
        data["ready"] = done["end"] if done["machine"] else data["ready"]
    for name, machine in real["machines"].items():
        machine["free"] = max([w["end"] for w in real["wip"] if w["machine"] == name], default=360)
        spans = [(m["start"], m["end"]) for m in real["maintenance"] if m["machine"] == name]
        machine["maintenance"] = sorted(spans)
    keys = ("monday", "machines", "setters", "fixtures", "matrix", "orders", "rules", "workdays")
    return {key: real[key] for key in keys}
