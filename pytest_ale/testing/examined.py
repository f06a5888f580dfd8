"""An agent examined as a user does it: a project of a task or two, and pytest run in it.

Knows no agent, and nothing of what is expected of one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KEYS", "Examined", "add_task", "examine"]

CARD: Mapping[str, object] = {
    "title": "Copy a word",
    "summary": "Hand over the word that was given.",
    "tier": "near_term",
    "cluster": "legal",
    "subfield": "litigation_discovery",
    "timeout_s": 120,
}
MAIN = """\
def build(inputs):
    (inputs / "word.txt").write_text("word")


def evaluate(output):
    return float((output / "word.txt").read_text() == "word")
"""
PROMPT = "Copy {inputs}/word.txt to {output}/word.txt.\n"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
SECONDS = 300.0  # an image may have to be built, and a kit to be packed


def add_task(
    project: Path, name: str, *, main: str = MAIN, prompt: str = PROMPT, **card: object
) -> None:
    """Write `tasks/legal/NAME`; `card` is what is not as usual in its card."""
    task = project / "tasks/legal" / name
    task.mkdir(parents=True)
    (project / "pytest.ini").write_text("[pytest]\n")
    (task / "card.yaml").write_text(json.dumps({**CARD, **card}))  # of which YAML takes all
    (task / "main.py").write_text(main)
    (task / "prompt.md").write_text(prompt)


@dataclass(frozen=True)
class Examined:
    """What one run of pytest said, and what it left."""

    said: str
    run: Path | None  # its folder; None where it did not come to have one

    @property
    def records(self) -> Sequence[Mapping[str, object]]:
        if self.run is None or not (path := self.run / "results.jsonl").is_file():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def record(self) -> Mapping[str, object]:
        """The one there is; without one, what pytest said for a message."""
        found = self.records
        return found[-1] if found else {"message": self.said.strip()[-300:]}

    def folder(self, record: Mapping[str, object]) -> Path:
        return Path(str(self.run), str(record.get("path")))


def examine(
    project: Path,
    agent: str,
    *words: str,
    env: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Examined:
    """Run an agent on all tasks of a project, with a key that is none unless `env` has it."""
    given = [f"--ale-agent={agent}", "--ale-retries=0", "--ale-live=off", *words]
    command = [sys.executable, "-m", "pytest", "-q", "tasks", "-p", "no:cacheprovider", *given]
    kept = {name: value for name, value in os.environ.items() if not _ours(name)}
    whole = kept | dict.fromkeys(KEYS, "not-a-key") | dict(env or {})
    before = {*project.glob(".ale/*/run.json")}
    done = subprocess.run(
        command, cwd=project, env=whole, capture_output=True, text=True, timeout=seconds
    )
    made = {*project.glob(".ale/*/run.json")} - before
    return Examined(done.stdout + done.stderr, made.pop().parent if made else None)


def _ours(name: str) -> bool:
    """What would be told to the pytest that runs this, if one does."""
    return name.startswith(("ALE_", "PYTEST_")) and name not in ("ALE_REQUIRE", "ALE_LOCAL_MODE")
