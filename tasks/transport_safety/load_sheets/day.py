"""Invent an operator's day: flights that are as they should be, and flights that are not."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from dataclasses import dataclass, field, replace
from typing import Any

FAMILY = ("Aird", "Bjarnason", "Clouston", "Drever", "Eunson", "Flett", "Gray", "Heddle",
          "Isbister", "Johnston", "Kirkness", "Linklater", "Muir", "Norquay", "Peace", "Rendall",
          "Sinclair", "Tulloch", "Velzian", "Wishart")  # fmt: skip
GIVEN = ("Alex", "Bea", "Chris", "Dana", "Ewan", "Freya", "Glen", "Heidi", "Ian", "Jess", "Kim",
         "Lou", "Mari", "Nick", "Oona", "Pat", "Rory", "Sam", "Tess", "Una")  # fmt: skip
# the share of a hold that cargo takes, where a kind of flight needs more than usual
CARGO = {"HOLD": (0.3, 0.9), "CG": (0.5, 0.8), "MASS": (0.3, 0.8), "MULTI": (0.4, 0.8),
         "MLM": (0.1, 0.6)}  # fmt: skip


@dataclass(frozen=True)
class Passenger:
    name: str
    category: str
    row: str
    bag: int
    weighed: int | None = None


@dataclass(frozen=True)
class Flight:
    number: str
    registration: str
    start: str
    end: str
    etd: str
    crew: int
    trip: int
    alternate: int | None
    extra: int
    rtom: int
    passengers: tuple[Passenger, ...] = ()
    cargo: tuple[tuple[str, str, int], ...] = ()  # what, hold, mass


@dataclass
class Sheet:
    """A load sheet with what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    clear: bool = True  # nothing lies so near a limit that rounding could decide


def up(value: int, by: int) -> int:
    return -(-value // by)


class Weigher:
    """Works out sheets; keeps what fuel each aircraft has left from the flight before."""

    def __init__(self, house: dict, basic: dict[str, tuple[int, float]]) -> None:
        self.house, self.basic = house, basic

    def sheet(self, flight: Flight, left: int) -> Sheet:
        data = self.house["types"][self.house["fleet"][flight.registration]]
        sheet = Sheet()
        block, uplift = self._fuel(flight, data, left)
        masses = self._masses(flight, data, block)
        cgs = self._centres(flight, data, masses)
        limit = min(data["mtom"], flight.rtom, data["mlm"] + flight.trip)
        under = min(limit - masses["tom"], data["mzfm"] - masses["zfm"])
        sheet.values = {**masses, **cgs, "block": block, "trip": flight.trip, "uplift": uplift,
                        "underload": under}  # fmt: skip
        self._judge(sheet, flight, data)
        return sheet

    def _fuel(self, flight: Flight, data: dict, left: int) -> tuple[int, int]:
        holding, house = data["holding"], self.house
        need = data["taxi"] + flight.trip + flight.extra + up(holding * house["final_min"], 60)
        need += max(up(flight.trip * 5, 100), up(holding * 5, 60))
        spare = up(holding * house["no_alternate_min"], 60)
        need += spare if flight.alternate is None else flight.alternate
        block = max(need, left)
        return block, up((block - left) * 1000, house["density"])

    def mass_of(self, passenger: Passenger) -> int:
        return passenger.weighed or self.house["standard"][passenger.category]

    def _masses(self, flight: Flight, data: dict, block: int) -> dict[str, int]:
        dom = self.basic[flight.registration][0] + flight.crew * self.house["crew"]
        payload = sum(self.mass_of(p) + p.bag for p in flight.passengers)
        payload += sum(mass for _, _, mass in flight.cargo)
        fuel = block - data["taxi"]
        return {"dom": dom, "payload": payload, "zfm": dom + payload, "takeoff_fuel": fuel,
                "tom": dom + payload + fuel, "lm": dom + payload + fuel - flight.trip}  # fmt: skip

    def _centres(self, flight: Flight, data: dict, masses: dict[str, int]) -> dict[str, float]:
        mass, arm = self.basic[flight.registration]
        moment = mass * arm + flight.crew * self.house["crew"] * data["crew_arm"]
        for p in flight.passengers:
            moment += self.mass_of(p) * data["rows"][p.row] + p.bag * data["holds"]["AFT"][0]
        moment += sum(m * data["holds"][hold][0] for _, hold, m in flight.cargo)
        fuels = {"zfm": 0, "tom": masses["takeoff_fuel"], "lm": masses["lm"] - masses["zfm"]}
        return {f"{name}_cg": (moment + fuel * between(data["fuel"], fuel, 1)) / masses[name]
                for name, fuel in fuels.items()}  # fmt: skip

    def _judge(self, sheet: Sheet, flight: Flight, data: dict) -> None:
        v = sheet.values
        for code, value, limit in (
            ("MZFM", v["zfm"], data["mzfm"]), ("MTOM", v["tom"], data["mtom"]),
            ("RTOM", v["tom"], flight.rtom), ("MLM", v["lm"], data["mlm"]),
            ("TANK", v["block"], data["tank"]),
        ):  # fmt: skip
            self._compare(sheet, code, value - limit, 3)
        for name in ("zfm", "tom", "lm"):
            forward = between(data["envelope"], v[name], 1)
            aft = between(data["envelope"], v[name], 2)
            outside = max(forward - v[f"{name}_cg"], v[f"{name}_cg"] - aft)
            self._compare(sheet, f"CG_{name.upper()}", outside, 3 / 10 ** self.house["arm_digits"])
        self._compartments(sheet, flight, data)

    def _compare(self, sheet: Sheet, code: str, excess: float, near: float) -> None:
        sheet.clear = sheet.clear and abs(excess) >= near
        if excess > 0:
            sheet.codes.append(code)

    def _compartments(self, sheet: Sheet, flight: Flight, data: dict) -> None:
        for hold, (_, most) in data["holds"].items():
            load = sum(m for _, place, m in flight.cargo if place == hold)
            load += sum(p.bag for p in flight.passengers) if hold == "AFT" else 0
            if load > most and "HOLD" not in sheet.codes:
                sheet.codes.append("HOLD")
        for row in data["rows"]:
            seated = [p for p in flight.passengers if p.row == row and p.category != "I"]
            if len(seated) > data["seats"] and "SEAT" not in sheet.codes:
                sheet.codes.append("SEAT")


def between(table: list[tuple], mass: float, column: int) -> float:
    """Straight lines between the rows of a table; its ends go on level."""
    if mass <= table[0][0]:
        return table[0][column]
    for low, high in itertools.pairwise(table):
        if mass <= high[0]:
            share = (mass - low[0]) / (high[0] - low[0])
            return low[column] + share * (high[column] - low[column])
    return table[-1][column]


class Day:
    """The flights as they will really go, each drawn until it is of the kind wanted."""

    def __init__(self, house: dict, kinds: list[str], rng: random.Random) -> None:
        self.house, self.rng = house, rng
        self.weighings, self.equipment, basic = self._records()
        self.weigher = Weigher(house, basic)
        names = [f"{g} {f}" for f in FAMILY for g in GIVEN]
        rng.shuffle(names)
        self.names = iter(names)
        self.start_fuel = {r: self._opening(t) for r, t in house["fleet"].items()}
        self.flights: list[Flight] = []
        self.sheets: list[Sheet] = []
        left = dict(self.start_fuel)
        for i, kind in enumerate(kinds):
            flight, sheet = self._draw(i, kind, left)
            v = sheet.values
            left[flight.registration] = v["takeoff_fuel"] - v["trip"]
            self.flights.append(flight)
            self.sheets.append(sheet)

    def _opening(self, kind: str) -> int:
        return self.rng.randint(1, self.house["types"][kind]["tank"] // 5)

    def _records(self) -> tuple[list, list, dict]:
        """Old weighings, one that is not in force yet, and equipment moved before and after."""
        day, rng = dt.date.fromisoformat(self.house["day"]), self.rng
        weighings, equipment, basic = [], [], {}
        for registration, kind in self.house["fleet"].items():
            mass, arm = self.house["types"][kind]["bem"]
            digits = self.house["arm_digits"]
            last = day - dt.timedelta(days=rng.randint(200, 600))
            now = mass + rng.randint(-25, 25), round(arm * rng.uniform(0.997, 1.003), digits)
            for when, change in ((last - dt.timedelta(days=900), 31), (last, 0),
                                 (day + dt.timedelta(days=rng.randint(1, 9)), -44)):  # fmt: skip
                weighings.append((registration, when.isoformat(), now[0] + change, now[1]))
            basic[registration] = self._changes(registration, last, now, equipment)
        return weighings, equipment, basic

    def _changes(self, registration: str, last: dt.date, now: tuple, equipment: list) -> tuple:
        rng, digits = self.rng, self.house["arm_digits"]
        mass, moment = now[0], now[0] * now[1]
        spot = self.house["types"][self.house["fleet"][registration]]
        for days, what, size in (
            (-rng.randint(20, 200), "floor panels replaced", 9),
            (rng.randint(10, 90), "life raft fitted", rng.randint(14, 30)),
            (rng.randint(91, 190), "radar removed", -rng.randint(8, 16)),
        ):
            arm = round(rng.uniform(0.6, 1.4) * spot["crew_arm"], digits)
            when = last + dt.timedelta(days=days)
            equipment.append((registration, when.isoformat(), what, size, arm))
            if days > 0:
                mass, moment = mass + size, moment + size * arm
        return mass, moment / mass

    def _draw(self, index: int, kind: str, left: dict[str, int]) -> tuple[Flight, Sheet]:
        fleet = list(self.house["fleet"])
        registration = fleet[index % len(fleet)]
        for _ in range(60000):
            flight = self._flight(index, registration, kind)
            sheet = self.weigher.sheet(flight, left[registration])
            if kind == "RTOM" and not sheet.codes:
                rtom = sheet.values["tom"] - self.rng.randint(15, 90)
                flight = replace(flight, rtom=rtom)
                sheet = self.weigher.sheet(flight, left[registration])
            if sheet.clear and _fits(kind, sheet):
                return self._named(flight), sheet
        raise RuntimeError(f"no flight of kind {kind} for {registration}")

    def _flight(self, index: int, registration: str, kind: str) -> Flight:
        rng, house = self.rng, self.house
        data = house["types"][house["fleet"][registration]]
        low, high = data["trip"]
        start, end = rng.sample(house["ports"], 2)
        trip = rng.randint(low // 3, low // 2) if kind == "MLM" else rng.randint(low, high)
        minute = 400 + 38 * index + rng.randint(0, 20)
        return Flight(
            number=f"{house['name'][:2].upper()}{301 + 7 * index}", registration=registration,
            start=start, end=end, etd=f"{minute // 60:02d}:{minute % 60:02d}",
            crew=2 if data["seats"] > 2 or rng.random() < 0.3 else 1, trip=trip,
            alternate=rng.choice((None, rng.randint(low // 2, low))),
            extra=rng.randint(data["tank"] // 8, data["tank"] // 3) if kind == "MLM" else 0,
            rtom=data["mtom"] - rng.choice((0, 0, -200, 20)),
            passengers=self._passengers(data, kind), cargo=self._cargo(data, kind),
        )  # fmt: skip

    def _passengers(self, data: dict, kind: str) -> tuple[Passenger, ...]:
        rng, rows = self.rng, list(data["rows"])
        if kind == "CG":
            rows = rows[len(rows) // 2 :]
        share = {"MASS": 1.0, "MULTI": 1.0}.get(kind, rng.uniform(0.45, 0.9))
        seats = [row for row in rows for _ in range(data["seats"])]
        chosen = sorted(rng.sample(seats, max(4, int(share * len(seats)))))
        if kind == "SEAT":
            full = rng.choice(rows)
            chosen = [r for r in chosen if r != full] + [full] * (data["seats"] + 1)
        low, high = self.house["bag"]
        heavy = 2 if kind == "HOLD" else 1
        people = [Passenger("", rng.choice("MMMFFFC"), row, heavy * rng.choice((0, rng.randint(low,
                  high)))) for row in chosen]  # fmt: skip
        if kind == "TEAM":
            bulk = self.house["standard"]["M"]
            extra = bulk // 20, bulk // 4
            people[:4] = [replace(p, category="M", weighed=bulk + rng.randint(*extra))
                          for p in people[:4]]  # fmt: skip
        if rng.random() < 0.4:
            people.append(Passenger("", "I", chosen[0], 0))
        return tuple(people)

    def _cargo(self, data: dict, kind: str) -> tuple[tuple[str, str, int], ...]:
        rng, items = self.rng, []
        for hold, (_, most) in data["holds"].items():
            low, high = CARGO.get(kind, (0.05, 0.4))
            share = 0.05 if kind == "CG" and hold != "AFT" else rng.uniform(low, high)
            items.append((rng.choice(("mail", "spares", "shellfish", "newspapers")), hold,
                          max(3, int(most * share))))  # fmt: skip
        return tuple(items)

    def _named(self, flight: Flight) -> Flight:
        people = tuple(replace(p, name=next(self.names)) for p in flight.passengers)
        return replace(flight, passengers=people)


def _fits(kind: str, sheet: Sheet) -> bool:
    codes = set(sheet.codes)
    if kind in ("RTOM", "MLM", "SEAT", "HOLD"):
        return codes == {kind}
    if kind == "MASS":
        return bool(codes & {"MZFM", "MTOM"}) and not any(c.startswith("CG") for c in codes)
    if kind == "CG":
        return bool(codes) and all(c.startswith("CG") for c in codes)
    if kind == "MULTI":
        return len(codes) >= 3 and "HOLD" not in codes
    return not codes
