"""Workers: what `pytest tasks --ale-agent=oracle -n 32` costs to start, over pytest's own `-n 32`.

    python benchmarks/workers.py [--workers 8 32] [--tasks 1] [--rounds 5]

Interleaved: our tasks, and as many plain test files where the plugin is off (the floor, which is
pytest's and xdist's own). Each is started once as a user would type it, and once with nothing
selected, which is the start alone. Prints medians of the processor's seconds, of all processes, and
of the wall, and of each round's ratio to the floor. The card index and bytecode are warm, as from
the second run on.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

CARD = """\
title: Copy a word
summary: Hand over the word that was given.
tier: near_term
cluster: legal
subfield: litigation_discovery
checks: {is there: {}}
"""
MAIN = """\
def solve(sandbox):
    sandbox.write(sandbox.output + "/word.txt", b"word")


def evaluate(output, check):
    with check("is there"):
        assert (output / "word.txt").is_file()
"""
NOTHING = ["-k", "nothing"]
Cost = tuple[float, float]  # of the processor, and of the wall


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as folder:
        ours, floor = Path(folder, "ours"), Path(folder, "floor")
        make_tasks(ours, given.tasks)
        make_tests(floor, given.tasks)
        for workers in given.workers:
            report(workers, measure(ours, floor, workers, given.rounds))


def make_tasks(root: Path, tasks: int) -> None:
    for number in range(tasks):
        folder = root / f"tasks/legal/task_{number:04}"
        folder.mkdir(parents=True)
        (folder / "card.yaml").write_text(CARD)
        (folder / "prompt.md").write_text("Write word.txt to {output}.\n")
        (folder / "main.py").write_text(MAIN)
    (root / "pytest.ini").write_text("[pytest]\n")


def make_tests(root: Path, tasks: int) -> None:
    (root / "tasks").mkdir(parents=True)
    for number in range(tasks):
        (root / f"tasks/test_{number:04}.py").write_text("def test_it():\n    assert True\n")
    (root / "pytest.ini").write_text("[pytest]\n")


def measure(ours: Path, floor: Path, workers: int, rounds: int) -> dict[str, list[Cost]]:
    ways = {
        "ours": (ours, ["--ale-agent=oracle"]),
        "floor": (floor, ["-p", "no:ale"]),
        "ours, nothing selected": (ours, ["--ale-agent=oracle", *NOTHING]),
        "floor, nothing selected": (floor, ["-p", "no:ale", *NOTHING]),
    }
    for root, words in ways.values():
        start(root, 1, words)  # fills __pycache__, the card index and the file cache
    costs: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(rounds):
        for name, (root, words) in ways.items():
            costs[name].append(start(root, workers, words))
    return costs


def start(root: Path, workers: int, words: list[str]) -> Cost:
    # Bytecode is cached, as it is for any installed package, whatever this machine's habit.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALE_")}
    env = {name: value for name, value in kept.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "tasks", "-n", str(workers), *words]
    before, began = spent(), time.perf_counter()
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode != (5 if "nothing" in words else 0):
        sys.exit(done.stdout + done.stderr)
    return spent() - before, time.perf_counter() - began


def spent() -> float:
    """Seconds of the processor that all children that ended, and theirs, have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(workers: int, costs: dict[str, list[Cost]]) -> None:
    medians = {
        name: tuple(statistics.median(each) for each in zip(*values, strict=True))
        for name, values in costs.items()
    }
    print(f"-n {workers}: medians of {len(costs['ours'])} rounds")
    for name, (processor, wall) in medians.items():
        print(f"  {name:24} processor {processor:6.2f} s  wall {wall:6.2f} s")
    for name in ("", ", nothing selected"):
        processor, wall = ratios(costs[f"ours{name}"], costs[f"floor{name}"])
        print(f"  ours to the floor{name}: processor {processor:.2f}, wall {wall:.2f}")


def ratios(ours: list[Cost], floor: list[Cost]) -> tuple[float, float]:
    """Medians over the rounds: what else the machine does changes from one to the next."""
    rounds = list(zip(ours, floor, strict=True))
    processor, wall = ([mine[n] / its[n] for mine, its in rounds] for n in (0, 1))
    return statistics.median(processor), statistics.median(wall)


if __name__ == "__main__":
    main()
