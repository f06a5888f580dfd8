"""Many: a night's run on a cloud, rehearsed: a thousand simulated machines driven by one process.

    python benchmarks/many.py [--instances 1490] [--concurrent 1000] [--scale 20] [--rounds 1]

Boots take 40 ± 20 s and agents 60-600 s, divided by the scale. A first run, four times as fast,
leaves what every run leaves for the next: durations, by which the measured one is ordered (longest
first), and what is known of cards and of tasks without a build(). Printed are

- its wall over that of an ideal schedule for so many places (longest first, each a boot and then
  the agent, nothing else taking any time; promised: at most 1.15);
- the most memory that all its processes had at once (promised: at most 1.5 GB);
- the processor's time per attempt: of the process that drives (promised: at most 15 ms), beside
  that of the grader process, which does the tasks' own work in a fork of itself each. The same
  number of plain tests in pytest without the plugin is printed beside it, as what pytest takes.
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_ale.testing.sim_rules import Rules, thrown

CARD = """\
title: Copy a word
summary: Hand over the word that was given.
tier: near_term
cluster: legal
subfield: litigation_discovery
checks: {is there: {}}
timeout_s: 3600
"""
MAIN = """\
def evaluate(output, check):
    with check("is there"):
        assert (output / "word.txt").is_file()
"""
BOOT, WORK = {"mean": 40, "spread": 20}, (60, 600)
FAST = 4  # times as fast is the run that only leaves durations; of 10, they were noise now and then
MB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=1490)
    parser.add_argument("--concurrent", type=int, default=1000)
    parser.add_argument("--scale", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as folder:
        root = Path(folder)
        make_tasks(root / "ours", given.instances)
        make_tests(root / "plain", given.instances)
        rehearse(root / "ours", given.scale * FAST, given.concurrent)
        ideal = schedule(given.instances, given.concurrent) / given.scale
        for _ in range(given.rounds):
            floor = run(root / "plain", ["-p", "no:ale"])
            report(rehearse(root / "ours", given.scale, given.concurrent), floor, ideal, given)


def make_tasks(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / "tasks" / "legal" / name(number)
        (folder / "inputs").mkdir(parents=True)
        (folder / "card.yaml").write_text(CARD)
        (folder / "prompt.md").write_text("Copy {inputs}/word.txt to {output}.\n")
        (folder / "main.py").write_text(MAIN)
        (folder / "inputs" / "word.txt").write_text("word")
        (folder / "inputs" / "sim.sh").write_text("cp inputs/word.txt output/")
    (root / "pytest.ini").write_text("[pytest]\n")


def make_tests(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / "tasks" / name(number)
        folder.mkdir(parents=True)
        (folder / f"test_{name(number)}.py").write_text("def test_it(tmp_path):\n    assert True\n")
    (root / "pytest.ini").write_text("[pytest]\n")


def name(number: int) -> str:
    return f"t{number:04}"


def rehearse(root: Path, scale: float, concurrent: int) -> Run:
    rules = {"scale": scale, "boot": BOOT}
    (root / "sim.yaml").write_text(yaml.safe_dump(rules))
    knob = f"--ale-knob=seconds={WORK[0]}-{WORK[1]}"
    words = ["--ale-provider=sim", "--ale-agent=sim", knob, f"--ale-concurrency={concurrent}"]
    return run(root, words)


@dataclass(frozen=True)
class Run:
    """What a run of pytest took; `driver` and `graders` are seconds of the processor."""

    wall: float
    driver: float
    graders: float
    memory: float  # MB, of all its processes together, at most
    said: str


# Prints what this process and those that it waited for took, as nobody else can tell them apart.
TOLD = """
import resource, sys, pytest
status = pytest.main(sys.argv[1:])
took = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print("\\nTOLD", *(each.ru_utime + each.ru_stime for each in took))
sys.exit(status)
"""


def run(root: Path, words: Sequence[str]) -> Run:
    env = os.environ | {"ALE_SIM": str(root / "sim.yaml")}
    argv = [sys.executable, "-c", TOLD, "tasks", "-q", *words]
    began = time.monotonic()
    process = subprocess.Popen(argv, cwd=root, env=env, stdout=subprocess.PIPE, text=True)
    with process, sampled(process.pid) as most:
        said = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{said[-4000:]}\nexit status {process.returncode}")
    told = next(line for line in said.splitlines() if line.startswith("TOLD"))
    driver, graders = map(float, told.split()[1:])
    return Run(time.monotonic() - began, driver, graders, most() / MB, said)


class sampled:
    """Looks twice a second how much memory a process and all below it have."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Callable[[], int]:
        self._thread.start()
        return lambda: self._most

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self._most = max(self._most, sum(map(memory, below(self._pid))))


def below(pid: int) -> Iterator[int]:
    """A process and all that came of it."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from below(int(child))
    except OSError:
        return


def memory(pid: int) -> int:
    """Its bytes; what it shares with others is shared out among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def schedule(instances: int, places: int) -> float:
    """Simulated seconds until all is done, if nothing but boots and agents took any time."""
    rules = Rules.model_validate({"boot": BOOT})
    takes = sorted((seconds(rules, number) for number in range(instances)), reverse=True)
    free = [0.0] * places
    for each in takes:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def seconds(rules: Rules, number: int) -> float:
    place = f"legal/{name(number)}/base"
    work = thrown("0", "seconds", f"{place}/trial-1")
    boot = rules.fate(f"{place}/sim/trial-1/attempt-1").boot
    return boot + WORK[0] + (WORK[1] - WORK[0]) * work


def report(ours: Run, floor: Run, ideal: float, given: argparse.Namespace) -> None:
    count = given.instances
    assert f"{count} passed" in ours.said, ours.said[-4000:]
    print(f"{count} instances, {given.concurrent} at once, {os.cpu_count()} processors")
    print(f"wall        {ours.wall:7.1f} s   ideal {ideal:.1f} s   ratio {ours.wall / ideal:.2f}")
    print(f"memory      {ours.memory:7.0f} MB  (plain pytest {floor.memory:.0f} MB)")
    print(f"processor   {1000 * ours.driver / count:7.1f} ms  per attempt, of the driving process")
    print(f"            {1000 * ours.graders / count:7.1f} ms  per attempt, of the graders")
    print(f"            {1000 * floor.driver / count:7.1f} ms  per test, of plain pytest")


if __name__ == "__main__":
    main()
