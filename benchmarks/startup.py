"""Start-up: what an unrelated project's pytest pays for having pytest-ale installed.

    python benchmarks/startup.py [--rounds 21]

Runs pytest on a folder with one trivial test, with and without the plugin, interleaved, and prints
the difference of the medians and of the minima. Promised: at most 15 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as folder:
        root = Path(folder)
        (root / "pytest.ini").write_text("[pytest]\n")
        (root / "test_it.py").write_text("def test_it():\n    pass\n")
        for words in ([], ["-p", "no:ale"]):
            run(root, words)  # fills __pycache__ and the file cache
        for _ in range(rounds):
            seconds["with"].append(run(root, []))
            seconds["without"].append(run(root, ["-p", "no:ale"]))
    report(seconds)


def run(root: Path, words: list[str]) -> float:
    # Bytecode is cached, as it is for any installed package, whatever this machine's habit.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALE_")}
    env = {name: value for name, value in kept.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", *words, str(root)]
    started = time.perf_counter()
    subprocess.run(command, cwd=root, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def report(seconds: dict[str, list[float]]) -> None:
    for name, values in seconds.items():
        print(
            f"{name:8} the plugin: median {statistics.median(values) * 1000:6.1f} ms,"
            f" least {min(values) * 1000:6.1f} ms, of {len(values)}"
        )
    for name, pick in (("medians", statistics.median), ("minima", min)):
        paid = (pick(seconds["with"]) - pick(seconds["without"])) * 1000
        print(f"difference of {name}: {paid:.1f} ms (promised: at most 15)")


if __name__ == "__main__":
    main()
