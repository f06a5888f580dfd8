"""The oracle's program: runs in the sandbox, reads the inputs, writes the output."""

import csv
import sys
from collections import Counter
from pathlib import Path

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])
total: Counter[str] = Counter()
with (inputs / "orders.csv").open(newline="") as file:
    for order in csv.DictReader(file):
        total[order["region"]] += int(order["amount"]) * (order["status"] != "cancelled")
lines = ["region,total", *(f"{region},{total[region]}" for region in sorted(total))]
(output / "total.csv").write_text("\n".join(lines) + "\n")
