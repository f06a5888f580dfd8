"""Collection: 1,500 instances in 1,000 tasks, against plain tests, interleaved in one run.

    python benchmarks/collect.py [--tasks 1000] [--rounds 5]

Prints milliseconds per item and the ratios that are promised: to a thousand plain test files with
as many tests, cold (no cache of either kind) at most 1.2, warm (card index; __pycache__) at most
0.8; beside them the ratio to one file with as many parametrised functions. Each figure is the
median over the rounds of `pytest --collect-only -q`, less the same on an empty folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

CARD = """\
title: Task {number}
summary: A card of the usual length, as they come.
tier: near_term
cluster: legal
subfield: litigation_discovery
soc: ["23-2011"]
timeout_s: 3600
deliverables:
  - {{path: index.csv, about: the production index}}
  - {{path: log.csv, about: the privilege log}}
variants:
{variants}
checks:
  index can be read: {{gate: true}}
  families are whole: {{weight: 3}}
  log names every withheld document: {{weight: 2}}
  Bates ranges are unbroken: {{weight: 2}}
canary: 2f0c2c1e-2d3a-4c53-9a57-0d0f5e2f{number:04x}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as folder:
        report(measure(Path(folder), arguments.tasks, arguments.rounds), arguments.tasks * 3 // 2)


def measure(folder: Path, tasks: int, rounds: int) -> dict[str, list[float]]:
    make = {"tasks": make_tasks, "files": make_files, "one file": make_one, "empty": make_empty}
    roots = {name: folder / name.replace(" ", "_") for name in make}
    for name, root in roots.items():
        root.mkdir()
        (root / "pytest.ini").write_text("[pytest]\n")
        make[name](root, tasks)
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, root in roots.items():
            forget(root)
            seconds[f"{name}, cold"].append(collect(root))
            seconds[f"{name}, warm"].append(collect(root))
    return seconds


def make_tasks(root: Path, tasks: int) -> None:
    for number in range(tasks):
        folder = root / "legal" / f"task_{number:04}"
        folder.mkdir(parents=True)
        ids = ["base", "narrow"][: 1 + number % 2]
        variants = "\n".join(f"  - {{id: {id}, params: {{size: {number}}}}}" for id in ids)
        (folder / "card.yaml").write_text(CARD.format(number=number, variants=variants))
        (folder / "prompt.md").write_text("Please do it: {inputs} {output}\n")
        (folder / "main.py").write_text("def evaluate(output, check): ...\n")


def make_files(root: Path, tasks: int) -> None:
    for number in range(tasks):
        tests = "".join(
            f"def test_{n}():\n    assert {n} == {n}\n\n" for n in range(1 + number % 2)
        )
        (root / f"test_{number:04}.py").write_text(tests)


def make_one(root: Path, tasks: int) -> None:
    (root / "test_all.py").write_text(
        "import pytest\n\n"
        f"@pytest.mark.parametrize('number', range({tasks * 3 // 2}))\n"
        "def test_it(number):\n    assert number == number\n"
    )


def make_empty(root: Path, _: int) -> None:
    (root / "nothing").mkdir()


def forget(root: Path) -> None:
    for cache in [root / ".pytest_cache", *root.rglob("__pycache__")]:
        shutil.rmtree(cache, ignore_errors=True)


def collect(root: Path) -> float:
    started = time.perf_counter()
    # Plain tests are warm when their bytecode is cached, whatever this machine's habit.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(root)]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 5):
        sys.exit(done.stdout + done.stderr)
    return seconds


def report(seconds: dict[str, list[float]], items: int) -> None:
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{items} items; median of {len(next(iter(seconds.values())))} rounds, seconds in all")
    for name, value in median.items():
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        print(f"  {name:15} {value:6.2f} s  ({spread})")
    for state, promised in (("cold", 1.2), ("warm", 0.8)):
        net = {
            name: median[f"{name}, {state}"] - median[f"empty, {state}"]
            for name in ("tasks", "files", "one file")
        }
        ratio = net["tasks"] / net["files"]
        print(f"{state}: {net['tasks'] / items * 1000:.3f} ms per item")
        print(
            f"  to as many tests in plain files: {ratio:.2f} (promised: at most {promised});"
            f" to one parametrised file: {net['tasks'] / net['one file']:.2f};"
            f" whole runs: {median[f'tasks, {state}'] / median[f'files, {state}']:.2f}"
        )


if __name__ == "__main__":
    main()
