"""Docker sandboxes against the engine's bare API, interleaved in one run.

    python benchmarks/docker.py [--rounds 5] [--attempts 10] [--megabytes 1024]

Prints, each beside its absolute times and as a median over the rounds:
- seconds of a whole oracle attempt on a trivial task at -n 1, and their ratio to the bare sequence
  create, put, start, exec, get, remove (promised: at most 1.5);
- attempts per minute at -n 4, beside Inspect AI's where it is installed with Docker's compose;
- megabytes per second of put and get, and their ratios to put_archive and get_archive alone
  (promised: at least 0.8);
- milliseconds of a screenshot and of each action (promised: at most 80 and 40).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale import engine, images
from pytest_ale.providers.docker import IDENTITY, SECURITY, DockerProvider, Limits
from pytest_ale.sandbox import SandboxSpec

if TYPE_CHECKING:
    from docker import APIClient

    from pytest_ale.channels.contained import Contained

CARD = """\
title: Copy a word
summary: Hand over the word that was given.
tier: near_term
cluster: legal
subfield: litigation_discovery
timeout_s: 60
"""
MAIN = """\
def build(inputs):
    (inputs / "word.txt").write_text("word")


def solve(sandbox):
    sandbox.exec(["cp", sandbox.inputs + "/word.txt", sandbox.output], check=True)


def evaluate(output):
    return float((output / "word.txt").read_text() == "word")
"""
INSPECT = """\
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, accuracy, scorer
from inspect_ai.solver import solver
from inspect_ai.util import sandbox

@solver
def copies():
    async def solve(state, generate):
        await sandbox().exec(["cp", "word.txt", "out.txt"])
        return state
    return solve

@scorer(metrics=[accuracy()])
def same():
    async def score(state, target):
        return Score(value=1 if await sandbox().read_file("out.txt") == "word" else 0)
    return score

samples = [Sample(input=str(n), files={"word.txt": "word"}) for n in range(int(sys.argv[1]))]
task = Task(dataset=samples, solver=copies(), scorer=same(), sandbox=("docker", "compose.yaml"))
(log,) = eval(task, model="mockllm/model", max_sandboxes=4, max_samples=4, display="none")
sys.exit(log.status != "success")
"""
COMPOSE = """\
services:
  default:
    image: {image}
    command: sleep infinity
    init: true
    network_mode: none
    cpus: 1
    mem_limit: 1gb
"""
SPEC = SandboxSpec(memory_gb=1, cpus=1)
Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in {"rounds": 5, "attempts": 10, "megabytes": 1024}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    sys.path.remove(str(Path(__file__).parent))  # or this file would be the package docker
    api = engine.connect()
    image = images.ensure(api, SPEC, None, print)
    with tempfile.TemporaryDirectory(prefix="ale-bench-") as name:
        folder = Path(name)
        make_project(folder)
        attempts(api, image.ref, folder, given.rounds, given.attempts)
        throughput(image.ref, folder, given.rounds, given.attempts)
        files(api, folder, given.rounds, given.megabytes)
    screen(given.rounds * 10)


def make_project(folder: Path) -> None:
    task = folder / "tasks/legal/copy"
    task.mkdir(parents=True)
    (task / "card.yaml").write_text(CARD + "environment: {cpus: 1, memory_gb: 1}\n")
    (task / "main.py").write_text(MAIN)
    (task / "prompt.md").write_text("Copy {inputs}/word.txt to {output}.\n")
    (folder / "pytest.ini").write_text("[pytest]\n")


# A whole attempt.


def attempts(api: APIClient, image: str, folder: Path, rounds: int, count: int) -> None:
    times: Times = defaultdict(list)
    exam(folder, 1, "-n1")  # fills caches
    bare(api, image)
    for _ in range(rounds):
        times["bare sequence"] += [timed(lambda: bare(api, image)) for _ in range(count)]
        start = exam(folder, 1, "-n1")
        times["whole attempt"].append((exam(folder, 1 + count, "-n1") - start) / count)
    show(times)
    ratio = middle(times, "whole attempt") / middle(times, "bare sequence")
    print(f"  ratio of a whole attempt to the bare sequence: {ratio:.2f} (promised: at most 1.5)")
    for phase, seconds in phases(folder).items():
        print(f"    {phase:8} {seconds * 1000:6.1f} ms")


def exam(folder: Path, trials: int, *words: str) -> float:
    command = [sys.executable, "-m", "pytest", "tasks", "--ale-provider=docker", *words]
    command += [f"--ale-trials={trials}", "-q", "-p", "no:cacheprovider"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALE_")}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return seconds


def phases(folder: Path) -> dict[str, float]:
    """The median of each phase's seconds over all attempts so far."""
    found: Times = defaultdict(list)
    for path in folder.glob(".ale/*/legal/copy/*/*/*/*/attempt.json"):
        for phase, seconds in json.loads(path.read_text())["phases"].items():
            found[phase].append(seconds)
    return {phase: statistics.median(seconds) for phase, seconds in found.items()}


def bare(api: APIClient, image: str) -> None:
    """What anybody would do with the SDK alone, under the same limits."""
    host = api.create_host_config(network_mode="none", **SECURITY, **Limits.of(api, SPEC).host())
    name = f"ale-bench-{uuid.uuid4().hex[:12]}"
    api.create_container(image, ["sleep", "60"], name=name, host_config=host, **IDENTITY)
    try:
        api.put_archive(name, "/home/agent/task/inputs", packed("word.txt", b"word"))
        api.start(name)
        run = api.exec_create(name, ["cp", "inputs/word.txt", "output"])["Id"]
        api.exec_start(run)
        assert api.exec_inspect(run)["ExitCode"] == 0
        stream, _ = api.get_archive(name, "/home/agent/task/output")
        assert b"word" in b"".join(stream)
    finally:
        api.remove_container(name, force=True)


def packed(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def throughput(image: str, folder: Path, rounds: int, count: int) -> None:
    """Attempts per minute of four workers, their start and the table at the end included."""
    times: Times = defaultdict(list)
    peer = inspect_missing()
    for _ in range(rounds):
        times["pytest-ale -n 4"].append(exam(folder, 4 * count, "-n4"))
        if not peer:
            times["Inspect, 4 sandboxes"].append(inspect(image, folder, 4 * count))
    for name, seconds in times.items():
        rate = 4 * count / statistics.median(seconds) * 60
        print(f"{name:22} {rate:6.0f} attempts per minute ({4 * count} attempts)")
    if peer:
        print(f"  Inspect AI was not run here: {peer}")


def inspect_missing() -> str:
    if importlib.util.find_spec("inspect_ai") is None:
        return "inspect_ai is not installed"
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True)
    return "" if done.returncode == 0 else "Docker has no compose plugin"


def inspect(image: str, folder: Path, samples: int) -> float:
    (folder / "copies.py").write_text(INSPECT)
    (folder / "compose.yaml").write_text(COMPOSE.format(image=image))
    command = [sys.executable, "copies.py", str(samples)]
    return timed(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))


# Files.


@contextmanager
def sandbox(spec: SandboxSpec) -> Iterator[Contained]:
    provider, lease = DockerProvider(), uuid.uuid4().hex[:12]
    try:
        yield provider.create(lease, spec)
    finally:
        provider.destroy(lease)


def files(api: APIClient, folder: Path, rounds: int, megabytes: int) -> None:
    times: Times = defaultdict(list)
    source = folder / "sent"
    source.mkdir()
    block = os.urandom(1 << 20)
    with (source / "large").open("wb") as file:
        file.writelines(block for _ in range(megabytes))
    for _ in range(rounds):
        with sandbox(SPEC) as box:
            there_and_back(api, box, folder, times)
    show(times, megabytes)
    for deed in ("put", "get"):
        ratio = middle(times, f"{deed}_archive") / middle(times, deed)
        print(f"  speed of {deed} to {deed}_archive's: {ratio:.2f} (promised: at least 0.8)")


def there_and_back(api: APIClient, box: Contained, folder: Path, times: Times) -> None:
    name, source, target = box.container.name, folder / "sent", folder / "got"
    times["put_archive"].append(timed(lambda: put_bare(api, name, source)))
    box.exec("rm -rf inputs/*", check=True)
    times["put"].append(timed(lambda: box.put(source, box.inputs)))
    box.exec("mv inputs/large output", check=True)
    box.stop()
    times["get_archive"].append(timed(lambda: get_bare(api, name, folder)))
    times["get"].append(timed(lambda: box.get(box.output, target)))
    shutil.rmtree(target)


def put_bare(api: APIClient, name: str, source: Path) -> None:
    """The tar is made as it goes, as for `put`."""
    words = ["tar", "--create", "--file=-", f"--directory={source}", "."]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as tar:
        assert tar.stdout
        assert api.put_archive(name, "/home/agent/task/inputs", tar.stdout)


def get_bare(api: APIClient, name: str, folder: Path) -> None:
    """Unpacked as it comes, as by `get`."""
    stream, _ = api.get_archive(name, "/home/agent/task/output")
    (folder / "bare").mkdir()
    words = ["tar", "--extract", "--file=-", f"--directory={folder / 'bare'}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as tar:
        assert tar.stdin
        for chunk in stream:
            tar.stdin.write(chunk)
        tar.stdin.close()
    shutil.rmtree(folder / "bare")


# The screen.


def screen(rounds: int) -> None:
    times: Times = defaultdict(list)
    with sandbox(SandboxSpec(desktop=True, memory_gb=2)) as box:
        desktop = box.desktop
        box.exec("setsid xterm >/dev/null 2>&1 </dev/null & sleep 2")
        deeds: dict[str, Callable[[], object]] = {
            "screenshot": desktop.screenshot,
            "move": lambda: desktop.move(300, 300),
            "click": lambda: desktop.click(400, 300),
            "scroll": lambda: desktop.scroll(400, 300, down=3),
            "key": lambda: desktop.keys("a"),
            "chord": lambda: desktop.keys("ctrl+shift+a"),
            "clipboard": desktop.clipboard,
            "windows": desktop.windows,
        }
        desktop.set_clipboard("text")
        for _ in range(rounds):
            for name, deed in deeds.items():
                times[name].append(timed(deed))
    show(times)
    actions = max(middle(times, name) for name in times if name != "screenshot") * 1000
    shot = middle(times, "screenshot") * 1000
    print(f"  a screenshot: {shot:.1f} ms (promised: at most 80);", end=" ")
    print(f"the slowest action: {actions:.1f} ms (promised: at most 40)")


# Figures.


def timed(deed: Callable[[], object]) -> float:
    started = time.perf_counter()
    deed()
    return time.perf_counter() - started


def middle(times: Times, name: str) -> float:
    return statistics.median(times[name])


def show(times: Times, megabytes: int = 0) -> None:
    for name, seconds in times.items():
        line = f"{name:22} {middle(times, name) * 1000:8.1f} ms"
        line += f"  ({min(seconds) * 1000:.1f} to {max(seconds) * 1000:.1f}, of {len(seconds)})"
        speed = f", {megabytes / middle(times, name):.0f} MB/s" if megabytes else ""
        print(line + speed)


if __name__ == "__main__":
    main()
