"""Protocol deviations of a trial data cut: build, oracle, grading and controls."""

import csv
import json
import shutil
from pathlib import Path

from answer import listing, population, summary
from cohort import World, finish
from export import number_subjects, write
from plants import PLANTERS, fill
from score import grade
from studies import STUDIES

from pytest_ale import cheat, near_miss

HERE = Path(__file__).parent


def build(inputs, reference, params, rng):
    world = World(STUDIES[params["study"]], rng)
    for planter in PLANTERS:
        planter(world)
    fill(world)
    for who in world.subjects:
        finish(world.study, who, rng)
    number_subjects(world)
    write(world, inputs)
    for source in sorted((HERE / "documents" / params["study"]).iterdir()):
        shutil.copyfile(source, inputs / source.name)
    people = (world.study, world.subjects)
    key = {"rows": listing(*people), "people": population(*people), "summary": summary(*people)}
    (reference / "key.json").write_text(json.dumps(key, indent=1))


def solve(sandbox, params):
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text())
    sandbox.exec(["python3", script, sandbox.inputs, sandbox.output], check=True)


def evaluate(output, reference, check):
    grade(output, json.loads((reference / "key.json").read_text()), check)


def _change(path, change):
    """Rewrite a CSV deliverable: `change` takes the list of rows and returns another."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    header = list(rows[0])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(change(rows))


@near_miss("partial medication dates completed to the longest use and taken for facts")
def partial_dates_as_facts(output):
    def change(rows):
        return [row | {"certainty": "CONFIRMED"} for row in rows]

    _change(output / "deviations.csv", change)


@near_miss("days late counted from the target date instead of the end of the window")
def lateness_from_target(output):
    def change(rows):
        late = [r for r in rows if r["code"] == "VISIT_WINDOW" and int(r["value"]) > 0]
        return [r | {"value": str(int(r["value"]) + 3)} if r in late else r for r in rows]

    _change(output / "deviations.csv", change)


@near_miss("one washout forgotten: the metabolite's half-life was not looked at")
def metabolite_forgotten(output):
    def change(rows):
        short = [r for r in rows if r["item"] in ("E03/spironolactone", "E03/azathioprine")]
        return [r for r in rows if r not in short]

    _change(output / "deviations.csv", change)


@near_miss("subjects still to reach the primary visit counted as included")
def pending_included(output):
    def change(rows):
        return [r | {"status": r["status"].replace("PENDING", "INCLUDED")} for r in rows]

    _change(output / "per_protocol.csv", change)


@near_miss("days to a late re-consent counted with the first day included")
def reconsent_one_day_off(output):
    def change(rows):
        def one(row):
            again = row["code"] == "RECONSENT"
            return row | {"value": str(int(row["value"]) + 1)} if again else row

        return [one(row) for row in rows]

    _change(output / "deviations.csv", change)


@cheat("every subject declared ineligible, nobody per protocol")
def everyone_flagged(output):
    def change(rows):
        extra = {"code": "ELIG", "item": "I01", "value": "99", "event_date": "2025-01-01"}
        names = sorted({r["subject_id"] for r in rows})
        return [rows[0] | extra | {"subject_id": name} for name in names]

    _change(output / "deviations.csv", change)
    _change(output / "per_protocol.csv", lambda rows: [r | {"status": "EXCLUDED"} for r in rows])
    (output / "summary.json").write_text("{}")


@cheat("headers and zeros")
def headers_only(output):
    for name in ("deviations.csv", "per_protocol.csv"):
        _change(output / name, lambda rows: [])
    (output / "summary.json").write_text(json.dumps({"deviations": 0, "queries": []}))
