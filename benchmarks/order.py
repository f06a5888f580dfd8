"""Order: what it gains to run the longest first, as recorded, on few workers.

    python benchmarks/order.py [--instances 64] [--workers 4] [--scale 100]

Rehearses (provider and agent `sim`: boots of 20 to 60 s, work of 60 to 600 s, all divided by
`scale`) the same instances three times: as xdist deals items by itself, in the order in which they
were collected; in that order, dealt one by one; and the longest first, by what the runs before have
noted. For each it prints how long all took, over the ideal: the time that all attempts took in it,
shared by the workers with nothing left over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

CARD = {
    "title": "Copy a word",
    "summary": "Hand over the word that was given.",
    "tier": "near_term",
    "cluster": "legal",
    "subfield": "litigation_discovery",
    "checks": {"is there": {}},
}
MAIN = """\
def build(inputs, reference):
    (inputs / "word.txt").write_text("word")
    (inputs / "sim.sh").write_text("cp inputs/word.txt output")

def evaluate(output, check):
    with check("is there"):
        assert (output / "word.txt").is_file()
"""

AS_COLLECTED = ["-p", "no:ale-order"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=64)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--scale", type=float, default=100)
    given = parser.parse_args()
    ways = {
        "as collected, in xdist's chunks": [*AS_COLLECTED, f"--maxschedchunk={given.instances}"],
        "as collected, one by one": AS_COLLECTED,
        "longest first": [],
    }
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as folder:
        root = Path(folder)
        make(root, given.instances, given.scale)
        for name, words in ways.items():
            run(root, ["-n", str(given.workers), *words])
            print(f"{name:32} {shown(root, given.workers)}", flush=True)


def make(root: Path, instances: int, scale: float) -> None:
    folder = root / "tasks/legal/copy"
    folder.mkdir(parents=True)
    card = CARD | {"variants": [{"id": f"v{number:03}"} for number in range(instances)]}
    (folder / "card.yaml").write_text(json.dumps(card))  # which is YAML
    (folder / "prompt.md").write_text("Copy {inputs}/word.txt to {output}.\n")
    (folder / "main.py").write_text(MAIN)
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "sim.yaml").write_text(f"scale: {scale}\nboot: {{mean: 40, spread: 20}}\n")


def run(root: Path, words: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALE_")}
    env = kept | {"ALE_SIM": str(root / "sim.yaml")}
    ours = ["tasks", "-q", "--ale-provider=sim", "--ale-agent=sim", *words]
    command = [sys.executable, "-m", "pytest", *ours]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def shown(root: Path, workers: int) -> str:
    """Of the last run: from the first attempt's start to the last one's end."""
    last = max((root / ".ale").glob("*/results.jsonl"))
    records = [json.loads(line) for line in last.read_text().splitlines()]
    took = [sum(record["phases"].values()) for record in records]
    began = [datetime.fromisoformat(record["started"]).timestamp() for record in records]
    wall = max(map(sum, zip(began, took, strict=True))) - min(began)
    ideal = max(sum(took) / workers, *took)
    return f"{wall:6.2f} s, {wall / ideal:.3f} of the ideal {ideal:.2f} s"


if __name__ == "__main__":
    main()
