"""Write the day down as it was filed, with the messages that turn it into the day as it went."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from day import Day, Flight, Passenger

HERE = Path(__file__).parent
WORDS = {"M": "adult male", "F": "adult female", "C": "child", "I": "infant"}
FLIGHTS = ("flight,registration,from,to,etd,crew,trip_fuel,alternate_fuel,extra_fuel,"
           "regulated_takeoff_mass")  # fmt: skip


class Desk:
    """Undoes each last-minute change in the filed papers, and writes the message that makes it."""

    def __init__(self, day: Day, rng: random.Random) -> None:
        self.day, self.house, self.rng = day, day.house, rng
        self.filed = list(day.flights)
        self.messages: list[str] = []
        kinds = self.house["kinds"].split()
        plain = [i for i, kind in enumerate(kinds) if kind == "OK"]
        special = {kind: i for i, kind in enumerate(kinds)}
        self.unit = self.house["unit"]
        self.runway(special["RTOM"])
        self.no_show(plain[0])
        self.late_comer(plain[1])
        self.team(special["TEAM"])
        self.captain(special["MLM"])
        self.other_aircraft(plain[2])
        self.cargo_moved(special["CG"])
        self.category(plain[3])
        self.messages.append(self._corrected_runway(special["RTOM"]))

    def say(self, i: int, text: str) -> None:
        self.messages.append(f"{self.day.flights[i].number}: {text}")

    def runway(self, i: int) -> None:
        """Two messages on the same limit; the second one counts."""
        limit = self.day.flights[i].rtom
        self.filed[i] = replace(self.filed[i], rtom=limit + self.rng.randint(150, 260))
        self.say(i, f"runway wet, regulated take-off mass now {limit + 130} {self.unit}.")

    def _corrected_runway(self, i: int) -> str:
        flight = self.day.flights[i]
        return (
            f"{flight.number}: standing water reported, forget the earlier figure: regulated"
            f" take-off mass now {flight.rtom} {self.unit}."
        )

    def no_show(self, i: int) -> None:
        flight = self.filed[i]
        data = self.house["types"][self.house["fleet"][flight.registration]]
        seated = [p.row for p in flight.passengers if p.category != "I"]
        row = min(data["rows"], key=lambda r: (seated.count(r), r))
        ghost = Passenger(next(self.day.names), "M", row, self.house["bag"][1])
        self.filed[i] = replace(flight, passengers=(*flight.passengers, ghost))
        self.say(i, f"{ghost.name} did not show up.")

    def late_comer(self, i: int) -> None:
        late, *others = self.filed[i].passengers
        self.filed[i] = replace(self.filed[i], passengers=tuple(others))
        bag = f"checked baggage {late.bag} {self.unit}" if late.bag else "no checked baggage"
        self.say(i, f"late passenger {late.name}, {WORDS[late.category]}, row {late.row}, {bag}.")

    def team(self, i: int) -> None:
        """The filed list knows nothing of the weighing."""
        flight = self.filed[i]
        team = [p for p in flight.passengers if p.weighed]
        people = tuple(replace(p, weighed=None) for p in flight.passengers)
        self.filed[i] = replace(flight, passengers=people)
        masses = ", ".join(f"{p.name} {p.weighed} {self.unit}" for p in team)
        self.say(i, f"wrestling team weighed at check-in with their hand baggage: {masses}.")

    def captain(self, i: int) -> None:
        more = self.day.flights[i].extra // 2
        self.filed[i] = replace(self.filed[i], extra=self.day.flights[i].extra - more)
        self.say(i, f"captain wants {more} {self.unit} of fuel more than on the flight plan.")

    def other_aircraft(self, i: int) -> None:
        flight, fleet = self.day.flights[i], self.house["fleet"]
        same = [r for r in fleet if fleet[r] == fleet[flight.registration]]
        planned = next(r for r in same if r != flight.registration)
        self.filed[i] = replace(self.filed[i], registration=planned)
        self.say(i, f"aircraft change, {flight.registration} flies in place of {planned}.")

    def cargo_moved(self, i: int) -> None:
        flight = self.day.flights[i]
        what, hold, mass = flight.cargo[-1]
        other = flight.cargo[0][1]
        self.filed[i] = replace(self.filed[i], cargo=(flight.cargo[0], (what, other, mass)))
        self.say(i, f"the {what} of {mass} {self.unit} went into hold {hold}, not {other}.")

    def category(self, i: int) -> None:
        right, *others = self.filed[i].passengers
        wrong = "F" if right.category == "M" else "M"
        self.filed[i] = replace(self.filed[i], passengers=(replace(right, category=wrong), *others))
        self.say(
            i, f"{right.name} is listed as {WORDS[wrong]}, correct is {WORDS[right.category]}."
        )


def table(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def write(inputs: Path, day: Day, rng: random.Random) -> None:
    desk = Desk(day, rng)
    _aircraft(inputs, day)
    _types(inputs, day.house)
    _flights(inputs, desk.filed)
    (inputs / "messages.txt").write_text(_messages(day, desk.messages), encoding="utf-8")
    (inputs / "operations_manual.md").write_text(_manual(day.house), encoding="utf-8")


def _aircraft(inputs: Path, day: Day) -> None:
    rows = [(r, kind, day.start_fuel[r]) for r, kind in day.house["fleet"].items()]
    table(inputs / "aircraft.csv", "registration,type,fuel_aboard", rows)
    table(inputs / "weighings.csv", "registration,date,mass,arm", sorted(day.weighings))
    header = "registration,date,change,mass,arm"
    table(inputs / "equipment.csv", header, sorted(day.equipment))


def _types(inputs: Path, house: dict) -> None:
    types = house["types"]
    keys = ("mzfm", "mtom", "mlm", "tank", "taxi", "holding")
    header = "type,mzfm,mtom,mlm,usable_fuel,taxi_fuel,holding_per_hour"
    table(inputs / "types.csv", header, [(n, *(t[k] for k in keys)) for n, t in types.items()])
    stations: list[tuple] = []
    for name, t in types.items():
        stations.append((name, "CREW", t["crew_arm"], ""))
        stations += [(name, row, arm, t["seats"]) for row, arm in t["rows"].items()]
        stations += [(name, hold, arm, most) for hold, (arm, most) in t["holds"].items()]
    table(inputs / "stations.csv", "type,station,arm,seats_or_max_mass", stations)
    fuel = [(n, *line) for n, t in types.items() for line in t["fuel"]]
    table(inputs / "fuel_arms.csv", "type,fuel_mass,arm", fuel)
    lines = [(n, *line) for n, t in types.items() for line in t["envelope"]]
    table(inputs / "envelope.csv", "type,mass,forward_limit,aft_limit", lines)


def _flights(inputs: Path, flights: list[Flight]) -> None:
    rows = []
    for f in flights:
        alternate = "" if f.alternate is None else f.alternate
        rows.append((f.number, f.registration, f.start, f.end, f.etd, f.crew, f.trip, alternate,
                     f.extra, f.rtom))  # fmt: skip
    table(inputs / "flights.csv", FLIGHTS, rows)
    people = [(f.number, p.name, p.category, p.row, p.bag) for f in flights for p in f.passengers]
    table(inputs / "passengers.csv", "flight,name,category,row,checked_baggage", people)
    cargo = [(f.number, what, hold, mass) for f in flights for what, hold, mass in f.cargo]
    table(inputs / "cargo.csv", "flight,item,hold,mass", cargo)


def _messages(day: Day, messages: list[str]) -> str:
    lines = [f"{day.house['day']}, last-minute changes, in the order received", ""]
    lines += [
        f"{5 + k // 2:02d}:{12 + 31 * (k % 2):02d}  {text}" for k, text in enumerate(messages)
    ]
    return "\n".join(lines) + "\n"


def _manual(house: dict) -> str:
    text = (HERE / "texts" / "operations_manual.md").read_text(encoding="utf-8")
    words = {key: house[key] for key in ("name", "unit", "arm_unit", "fuel_unit", "crew", "day",
             "final_min", "no_alternate_min", "masses_text")}  # fmt: skip
    decimals = {800: "0.80", 6700: "6.70"}[house["density"]]
    return text.format(**words, density=decimals, decimals=house["arm_digits"])
