"""Load sheets: build an operator's day, run the oracle, grade releases, reasons and figures."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import papers
from day import Day
from fleet import OPERATORS
from pytest import approx

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_csv, read_number

HERE = Path(__file__).parent
COLUMNS = (
    "flight", "registration", "dom", "payload", "zfm", "zfm_cg", "block_fuel", "takeoff_fuel",
    "tom", "tom_cg", "trip_fuel", "lm", "lm_cg", "underload", "uplift",
)  # fmt: skip
REJECTED = ("flight", "reasons")
CENTRES = ("zfm_cg", "tom_cg", "lm_cg")


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    house = OPERATORS[params["operator"]]
    day = Day(house, house["kinds"].split(), rng)
    papers.write(inputs, day, rng)
    released, rejected = {}, {}
    for flight, sheet in zip(day.flights, day.sheets, strict=True):
        if sheet.codes:
            rejected[flight.number] = " ".join(sorted(sheet.codes))
        else:
            values = dict(sheet.values)
            values["block_fuel"], values["trip_fuel"] = values.pop("block"), values.pop("trip")
            released[flight.number] = {"registration": flight.registration, **values}
    # rounding may move the last digit by half; one whole step is allowed for
    key = {"released": released, "rejected": rejected, "step": 1.2 / 10 ** params["cg_decimals"]}
    (reference / "key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text(encoding="utf-8"))
    sandbox.exec(["python3", script, sandbox.inputs, sandbox.output], check=True)


def evaluate(output: Path, reference: Path, check: Any) -> None:
    key = json.loads((reference / "key.json").read_text(encoding="utf-8"))
    wanted = key["released"]

    with check("both tables can be read"):
        assert sheets(output) or rejections(output), "both tables are empty"
        sheets(output), rejections(output)
    with check("the right flights are released and the others rejected"):
        assert sorted(sheets(output)) == sorted(wanted)
        assert sorted(rejections(output)) == sorted(key["rejected"])
    with check("every rejection has all its reasons"):
        assert rejections(output) == key["rejected"]
    with check("masses are right"):
        names = ("dom", "payload", "zfm", "takeoff_fuel", "tom", "lm")
        assert wholes(output, wanted, *names) == picked(wanted, *names)
        flown = {flight: sheets(output)[flight]["registration"].strip() for flight in wanted}
        assert flown == {flight: row["registration"] for flight, row in wanted.items()}
    with check("centres of gravity are right"):
        compare_centres(sheets(output), wanted, key["step"])
    with check("fuel and uplift are right"):
        names = ("block_fuel", "takeoff_fuel", "trip_fuel", "uplift")
        assert wholes(output, wanted, *names) == picked(wanted, *names)
    with check("underload is right"):
        assert wholes(output, wanted, "underload") == picked(wanted, "underload")


def sheets(output: Path) -> dict[str, dict[str, str]]:
    rows = read_csv(output / "loadsheets.csv", limit=500_000, columns=COLUMNS)
    return keyed(rows)


def rejections(output: Path) -> dict[str, str]:
    rows = read_csv(output / "rejected.csv", limit=500_000, columns=REJECTED)
    return {flight: row["reasons"].strip() for flight, row in keyed(rows).items()}


def keyed(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    found = {row["flight"].strip(): row for row in rows}
    assert len(found) == len(rows), "a flight is listed twice"
    return found


def wholes(output: Path, wanted: dict[str, dict], *names: str) -> dict[str, list[int]]:
    """The figures of every flight to be released; what else is released is another check's."""
    found = sheets(output)
    return {flight: [whole(found[flight][name]) for name in names] for flight in wanted}


def whole(text: str) -> int:
    """A whole number, written as one or with zeros behind the point."""
    if not re.fullmatch(r"-?[0-9]{1,9}(\.0+)?", text.strip()):
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text.strip().partition(".")[0])


def picked(wanted: dict[str, dict], *names: str) -> dict[str, list[int]]:
    return {f: [row[name] for name in names] for f, row in wanted.items()}


def compare_centres(found: dict[str, dict[str, str]], wanted: dict[str, dict], step: float) -> None:
    for flight, row in wanted.items():
        mine = [read_number(found[flight][name]) for name in CENTRES]
        assert mine == approx([row[name] for name in CENTRES], abs=step, rel=0), flight


# controls


def load(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...]) -> None:
    papers.table(path, ",".join(columns), ([row[c] for c in columns] for row in rows))


def more(row: dict[str, str], name: str, amount: int) -> None:
    row[name] = str(int(row[name]) + amount)


@near_miss("taxi fuel is not burnt before take-off")
def taxi_fuel_kept(output: Path) -> None:
    rows = load(output / "loadsheets.csv")
    for row in rows:
        taxi = int(row["block_fuel"]) - int(row["takeoff_fuel"])
        for name, amount in (("takeoff_fuel", taxi), ("tom", taxi), ("lm", taxi)):
            more(row, name, amount)
        more(row, "underload", -taxi)
    save(output / "loadsheets.csv", rows, COLUMNS)


@near_miss("each rejection names only the first limit that was found broken")
def first_reason_only(output: Path) -> None:
    rows = load(output / "rejected.csv")
    for row in rows:
        row["reasons"] = row["reasons"].split()[0]
    save(output / "rejected.csv", rows, REJECTED)


@near_miss("the fuel's moment is left out of the landing centre of gravity")
def landing_like_zero_fuel(output: Path) -> None:
    rows = load(output / "loadsheets.csv")
    for row in rows:
        row["lm_cg"] = row["zfm_cg"]
    save(output / "loadsheets.csv", rows, COLUMNS)


@near_miss("one passenger's no-show is not taken off the load")
def no_show_aboard(output: Path) -> None:
    rows = load(output / "loadsheets.csv")
    for name in ("payload", "zfm", "tom", "lm"):
        more(rows[0], name, 96)
    more(rows[0], "underload", -96)
    save(output / "loadsheets.csv", rows, COLUMNS)


@near_miss("a flight over a limit is released in good faith")
def one_too_many_released(output: Path) -> None:
    rows, out = load(output / "loadsheets.csv"), load(output / "rejected.csv")
    rows.append({**rows[-1], "flight": out[-1]["flight"]})
    save(output / "loadsheets.csv", rows, COLUMNS)
    save(output / "rejected.csv", out[:-1], REJECTED)


@cheat("nothing is released, for every reason there is")
def all_rejected(output: Path) -> None:
    flights = load(output / "loadsheets.csv") + load(output / "rejected.csv")
    codes = "CG_LM CG_TOM CG_ZFM HOLD MLM MTOM MZFM RTOM SEAT TANK"
    save(output / "loadsheets.csv", [], COLUMNS)
    rows = [{"flight": row["flight"], "reasons": codes} for row in flights]
    save(output / "rejected.csv", rows, REJECTED)


@cheat("everything is released with figures of zero")
def all_zero(output: Path) -> None:
    flights = load(output / "loadsheets.csv") + load(output / "rejected.csv")
    zero = dict.fromkeys(COLUMNS, "0")
    rows = [{**zero, "flight": row["flight"]} for row in flights]
    save(output / "loadsheets.csv", rows, COLUMNS)
    save(output / "rejected.csv", [], REJECTED)
