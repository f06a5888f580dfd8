"""TITLE: replace this example, part by part, by the real work."""

import csv
from pathlib import Path

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_csv

REGIONS = ["east", "north", "south", "west"]


def build(inputs, reference, params, rng):
    """Make the inputs and the answer key; the same seed makes the same files."""
    orders = [
        {
            "order": str(1000 + number),
            "region": rng.choice(REGIONS),
            "amount": str(rng.randrange(10, 500)),
            "status": rng.choice(["paid", "paid", "cancelled"]),
        }
        for number in range(params["orders"])
    ]
    write(inputs / "orders.csv", orders)
    write(reference / "total.csv", totals(orders))


def totals(orders):
    counted = [order for order in orders if order["status"] != "cancelled"]
    regions = sorted({order["region"] for order in orders})
    return [
        {
            "region": region,
            "total": str(sum(int(o["amount"]) for o in counted if o["region"] == region)),
        }
        for region in regions
    ]


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def evaluate(output, reference, check):
    """Grade what was left in output/: hostile until read; read it inside a check."""
    answer = {row["region"]: row["total"] for row in read_csv(reference / "total.csv")}
    rows = []
    with check("total.csv can be read"):
        rows = read_csv(output / "total.csv", columns=["region", "total"])
    with check("every region is there once"):
        assert [row["region"] for row in rows] == list(answer)
    with check("totals are right"):
        assert {row["region"]: row["total"] for row in rows} == answer


def solve(sandbox, params):
    """The oracle: a real solution, from the inputs alone, by what is in the sandbox."""
    oracle = (Path(__file__).parent / "oracle.py").read_text()
    sandbox.write(f"{sandbox.home}/oracle.py", oracle)
    command = ["python3", f"{sandbox.home}/oracle.py", sandbox.inputs, sandbox.output]
    sandbox.exec(command, check=True)


@near_miss("one order counted twice")
def counted_twice(output):
    first, *others = read_csv(output / "total.csv")
    first["total"] = str(int(first["total"]) + 57)
    write(output / "total.csv", [first, *others])


@near_miss("a region forgotten")
def region_forgotten(output):
    write(output / "total.csv", read_csv(output / "total.csv")[:-1])


@cheat("a header and nothing more")
def header_only(output):
    (output / "total.csv").write_text("region,total\n")
