"""Work the load sheets out from the papers alone."""

from __future__ import annotations

import csv
import itertools
import math
import re
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

COLUMNS = ("flight", "registration", "dom", "payload", "zfm", "zfm_cg", "block_fuel",
           "takeoff_fuel", "tom", "tom_cg", "trip_fuel", "lm", "lm_cg", "underload",
           "uplift")  # fmt: skip
CATEGORIES = {"adult male": "M", "adult female": "F", "child": "C", "infant": "I"}


class Papers:
    """The filed tables with the messages worked in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manual = (folder / "operations_manual.md").read_text(encoding="utf-8")
        text = (folder / "messages.txt").read_text(encoding="utf-8")
        self.day = text[:10]
        self.flights = {row["flight"]: row for row in self.table("flights")}
        self.people: dict[str, dict[str, dict]] = defaultdict(dict)
        for row in self.table("passengers"):
            self.people[row["flight"]][row["name"]] = row
        self.cargo = self.table("cargo")
        self.types = {row["type"]: row for row in self.table("types")}
        self.aircraft = {row["registration"]: row for row in self.table("aircraft")}
        self.stations = {(r["type"], r["station"]): r for r in self.table("stations")}
        self.standard = self.masses()
        for line in text.splitlines()[2:]:
            self.take_in(*re.match(r"\d\d:\d\d  (\w+): (.*)", line).groups())

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def grab(self, pattern: str) -> str:
        return re.search(pattern, self.manual)[1]

    def masses(self) -> dict[str, int]:
        values = {"M": int(self.grab(r"adult male (\d+)")), "F": int(self.grab(r"female (\d+)")),
                  "C": int(self.grab(r"child \([^)]*\) (\d+)"))}  # fmt: skip
        winter = "in winter 5 lb more" in self.manual and not "05" <= self.day[5:7] <= "10"
        return {name: value + 5 * winter for name, value in values.items()} | {"I": 0}

    def take_in(self, flight: str, text: str) -> None:
        people, row = self.people[flight], self.flights[flight]
        if m := re.search(r"regulated take-off mass now (\d+)", text):
            row["regulated_takeoff_mass"] = m[1]
        elif m := re.match(r"(.*) did not show up", text):
            del people[m[1]]
        elif m := re.match(r"late passenger (.*), (.*), row (\w+), (?:no|.*baggage (\d+))", text):
            people[m[1]] = {"category": CATEGORIES[m[2]], "row": m[3], "checked_baggage": m[4] or 0}
        elif m := re.search(r"weighed at check-in with their hand baggage: (.*)\.", text):
            for name, mass in re.findall(r"([A-Z]\w+ [A-Z]\w+) (\d+)", m[1]):
                people[name]["weighed"] = int(mass)
        elif m := re.match(r"captain wants (\d+)", text):
            row["extra_fuel"] = int(row["extra_fuel"]) + int(m[1])
        elif m := re.match(r"aircraft change, (\S+) flies", text):
            row["registration"] = m[1]
        elif m := re.match(r"the (\w+) of (\d+) \w+ went into hold (\w+), not (\w+)", text):
            self.restow(flight, *m.groups())
        elif m := re.match(r"(.*) is listed as .*, correct is (.*)\.", text):
            people[m[1]]["category"] = CATEGORIES[m[2]]
        else:
            raise ValueError(text)

    def restow(self, flight: str, item: str, mass: str, hold: str, old: str) -> None:
        given = {"flight": flight, "item": item, "hold": old, "mass": mass}
        self.cargo[self.cargo.index(given)]["hold"] = hold

    def basic(self, registration: str) -> tuple[Fraction, Fraction]:
        """Mass and moment of the empty aircraft on the day."""
        mine = [r for r in self.table("weighings") if r["registration"] == registration]
        last = max((r for r in mine if r["date"] <= self.day), key=lambda r: r["date"])
        parts = [last] + [
            r
            for r in self.table("equipment")
            if r["registration"] == registration and last["date"] < r["date"] <= self.day
        ]
        mass = sum(Fraction(r["mass"]) for r in parts)
        return mass, sum(Fraction(r["mass"]) * Fraction(r["arm"]) for r in parts)

    def line(self, name: str, kind: str, key: str, value: str, at: Fraction) -> Fraction:
        rows = [(Fraction(r[key]), Fraction(r[value]))
                for r in self.table(name) if r["type"] == kind]  # fmt: skip
        for (x, y), (u, v) in itertools.pairwise(rows):
            if x <= at <= u:
                return y + (v - y) * (at - x) / (u - x)
        return rows[0][1] if at < rows[0][0] else rows[-1][1]


class Sheet:
    """One flight."""

    def __init__(self, papers: Papers, flight: str, aboard: int) -> None:
        self.papers, self.row = papers, papers.flights[flight]
        self.registration = self.row["registration"]
        self.kind = papers.aircraft[self.registration]["type"]
        self.limits = papers.types[self.kind]
        self.people = list(papers.people[flight].values())
        self.cargo = [r for r in papers.cargo if r["flight"] == flight]
        self.trip = int(self.row["trip_fuel"])
        self.fuel(aboard)
        self.load()
        self.reasons = sorted(self.wrong())

    def holding(self, minutes: int) -> int:
        return math.ceil(Fraction(int(self.limits["holding_per_hour"]) * minutes, 60))

    def fuel(self, aboard: int) -> None:
        grab = self.papers.grab
        alternate = self.row["alternate_fuel"]
        spare = int(grab(r"and (\d+) minutes of holding are carried"))
        parts = [
            int(self.limits["taxi_fuel"]), self.trip, int(self.row["extra_fuel"]),
            max(math.ceil(Fraction(self.trip, 20)), self.holding(5)),
            int(alternate) if alternate else self.holding(spare),
            self.holding(int(grab(r"Final reserve: (\d+) minutes"))),
        ]  # fmt: skip
        self.block = max(sum(parts), aboard)
        density = Fraction(grab(r"at ([\d.]+) \w+ per unit of volume"))
        self.uplift = math.ceil((self.block - aboard) / density)
        self.at_takeoff = self.block - int(self.limits["taxi_fuel"])

    def arm(self, station: str) -> Fraction:
        return Fraction(self.papers.stations[self.kind, station]["arm"])

    def load(self) -> None:
        crew = int(self.row["crew"]) * int(self.papers.grab(r"crew at (\d+)"))
        mass, moment = self.papers.basic(self.registration)
        self.dom = mass + crew
        items = [(crew, "CREW")]
        for p in self.people:
            items.append((p.get("weighed", self.papers.standard[p["category"]]), p["row"]))
            items.append((int(p["checked_baggage"]), "AFT"))
        items += [(int(r["mass"]), r["hold"]) for r in self.cargo]
        self.payload = sum(m for m, _ in items) - crew
        moment += sum(m * self.arm(station) for m, station in items)
        self.zfm = self.dom + self.payload
        fuels = {"zfm": 0, "tom": self.at_takeoff, "lm": self.at_takeoff - self.trip}
        self.mass = {name: self.zfm + fuel for name, fuel in fuels.items()}
        self.cg = {name: (moment + fuel * self.fuel_arm(fuel)) / self.mass[name]
                   for name, fuel in fuels.items()}  # fmt: skip

    def fuel_arm(self, fuel: int) -> Fraction:
        return self.papers.line("fuel_arms", self.kind, "fuel_mass", "arm", Fraction(fuel))

    def wrong(self) -> set[str]:
        codes = {f"M{name.upper()}" for name in ("zfm", "tom", "lm")
                 if self.mass[name] > int(self.limits[f"m{name}"])}  # fmt: skip
        if self.mass["tom"] > int(self.row["regulated_takeoff_mass"]):
            codes.add("RTOM")
        if self.block > int(self.limits["usable_fuel"]):
            codes.add("TANK")
        for name, mass in self.mass.items():
            low, high = (self.papers.line("envelope", self.kind, "mass", side, mass)
                         for side in ("forward_limit", "aft_limit"))  # fmt: skip
            if not low <= self.cg[name] <= high:
                codes.add(f"CG_{name.upper()}")
        return codes | self.crowded()

    def crowded(self) -> set[str]:
        used: dict[str, int] = defaultdict(int)
        for p in self.people:
            used[p["row"]] += p["category"] != "I"
            used["AFT"] += int(p["checked_baggage"])
        for r in self.cargo:
            used[r["hold"]] += int(r["mass"])
        most = {s: int(self.papers.stations[self.kind, s]["seats_or_max_mass"]) for s in used}
        over = {s for s, amount in used.items() if amount > most[s]}
        return {"SEAT" if re.fullmatch(r"R\d", s) else "HOLD" for s in over}

    def cells(self, decimals: int) -> list[object]:
        limits = self.limits
        allowed = min(int(limits["mtom"]), int(self.row["regulated_takeoff_mass"]),
                      int(limits["mlm"]) + self.trip)  # fmt: skip
        under = min(allowed - self.mass["tom"], int(limits["mzfm"]) - self.zfm)
        cg = {name: f"{float(value):.{decimals}f}" for name, value in self.cg.items()}
        return [self.row["flight"], self.registration, self.dom, self.payload, self.zfm, cg["zfm"],
                self.block, self.at_takeoff, self.mass["tom"], cg["tom"], self.trip,
                self.mass["lm"], cg["lm"], under, self.uplift]  # fmt: skip


def write(path: Path, header: tuple[str, ...], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(inputs: Path, output: Path) -> None:
    papers = Papers(inputs)
    decimals = 3 if "arms in m." in papers.manual else 2
    aboard = {name: int(row["fuel_aboard"]) for name, row in papers.aircraft.items()}
    released, rejected = [], []
    for flight in sorted(papers.flights, key=lambda f: papers.flights[f]["etd"]):
        registration = papers.flights[flight]["registration"]
        sheet = Sheet(papers, flight, aboard[registration])
        aboard[registration] = sheet.at_takeoff - sheet.trip
        if sheet.reasons:
            rejected.append([flight, " ".join(sheet.reasons)])
        else:
            released.append(sheet.cells(decimals))
    write(output / "loadsheets.csv", COLUMNS, released)
    write(output / "rejected.csv", ("flight", "reasons"), rejected)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
