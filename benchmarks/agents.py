"""How long real agents take from lease to their first model request, with warm kits.

    python benchmarks/agents.py [--rounds 5] [--agents codex,claude_code] [--providers docker,local]

One run, interleaved: in each round every agent solves the same small task on every provider against
a scripted model on this machine, and the oracle does too. Prints medians with the least and the
most, and how an attempt of the agent compares to one of the oracle. The kits are packed before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from pytest_ale.testing import Call, Say, Script, ScriptedModel

CARD = """\
title: Copy a word
summary: Hand over the word that was given.
tier: near_term
cluster: legal
subfield: litigation_discovery
timeout_s: 120
"""
MAIN = """\
def build(inputs, reference, rng):
    (inputs / "word.txt").write_text("word")


def solve(sandbox):
    sandbox.exec(["cp", sandbox.inputs + "/word.txt", sandbox.output], check=True)


def evaluate(output):
    return float((output / "word.txt").is_file())
"""
SCRIPT = Script([Call("shell", {"command": "cp inputs/word.txt output"}), Say("Done.")])
KEYS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "not-a-key")
ORACLE = "oracle"


def main() -> int:
    given = _options()
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ScriptedModel(SCRIPT) as model:
        project = _project(Path(folder))
        for number in range(given.rounds + 1):  # the first is for kits, images and caches
            for provider in given.providers.split(","):
                for agent in (ORACLE, *given.agents.split(",")):
                    record = _attempt(project, agent, provider, model.url)
                    if number:
                        _note(seconds, agent, provider, record)
    _tell(seconds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--agents", default="codex,claude_code,gemini_cli")
    parser.add_argument("--providers", default="docker,local")
    return parser.parse_args()


def _project(folder: Path) -> Path:
    task = folder / "tasks/legal/copy"
    task.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (task / "card.yaml").write_text(CARD)
    (task / "main.py").write_text(MAIN)
    (task / "prompt.md").write_text("Copy {inputs}/word.txt to {output}.\n")
    return folder


def _attempt(project: Path, agent: str, provider: str, url: str) -> dict[str, object]:
    words = [f"--ale-agent={agent}", f"--ale-provider={provider}", f"--ale-base-url={url}"]
    command = [sys.executable, "-m", "pytest", "-q", "tasks", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=project, env=os.environ | KEYS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{agent} on {provider}:\n{done.stdout}{done.stderr}")
    run = max((project / ".ale").glob("*/results.jsonl"))
    record: dict[str, object] = json.loads(run.read_text().splitlines()[-1])
    return record


def _note(
    seconds: dict[tuple[str, str, str], list[float]],
    agent: str,
    provider: str,
    record: dict[str, object],
) -> None:
    phases = record["phases"]
    assert isinstance(phases, dict)
    seconds[agent, provider, "attempt"].append(sum(phases.values()))
    if record["first_request"] is not None:
        seconds[agent, provider, "first request"].append(float(str(record["first_request"])))


def _tell(seconds: dict[tuple[str, str, str], list[float]]) -> None:
    print(f"{'':34}{'median':>8}{'least':>8}{'most':>8}   to the oracle's attempt")
    for (agent, provider, what), found in seconds.items():
        median = statistics.median(found)
        line = f"{f'{agent} {provider} {what}':34}{median:8.2f}{min(found):8.2f}{max(found):8.2f}"
        base = statistics.median(seconds[ORACLE, provider, "attempt"])
        print(f"{line}{f'   {median / base:.1f}' if what == 'attempt' else ''}")


if __name__ == "__main__":
    sys.exit(main())
