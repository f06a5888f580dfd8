"""odd: an agent of somebody else's, whose program does the deeds that a test wants of it."""

from __future__ import annotations

from .conftest import Project

# `direct` and `far` ask their models past the gateway, `far` at hosts of its own.
HARNESS = """
import json
from pathlib import Path
from pytest_ale.harness import Knob
from pytest_ale.program import Closing, Program

class Here:
    version, by = "1.0", "hand"
    def resolve(self, asked):
        with Path(__file__).with_name("asked").open("a") as log: log.write(asked)
        return self.version
    def is_here(self, version): return True
    def kit_of(self, version): return Path(__file__).parent / "odd-kit"
    def command(self, kit): return ["/usr/bin/python3", "-I", f"{kit}/odd.py"]

class Reader:
    def __init__(self, story): self.story, self.failed, self.refused = story, "", False
    def line(self, source, text):
        word, _, rest = text.partition(" ")
        if word == "say": self.story.turn(text=rest)
        if word == "boom": raise ValueError("a line that its reader does not expect")
        if word in ("failed", "refused"): self.failed, self.refused = rest, word == "refused"
    def close(self, status): return Closing(failed=self.failed, refused=self.refused)

class Odd(Program):
    name, about, api, package = "odd", "does what it is told", "openai", Here()
    own = {"deed": Knob("what it does, with + between")}
    followed = (".odd/*.jsonl",)
    def arguments(self, brief): return [brief.knobs["deed"]]
    def environment(self, brief): return {"MODEL_URL": brief.base_url, "MODEL_KEY": brief.key}
    def reader(self, story): return Reader(story)
    def again(self, call, sandbox, folder): return False

class Direct(Odd):
    name, api, keys = "direct", "", ("ODD_ACCOUNT",)

class Far(Direct):
    name, hosts = "far", ("api.example.org",)

def pytest_ale_harnesses(register):
    register("far", Far)
    register("odd", Odd)
    register("direct", Direct)
"""


def laid(project: Project, program: str) -> Project:
    """A project that knows the agent, with a task for it."""
    kit = project.path / "odd-kit"
    kit.mkdir()
    (kit / "odd.py").write_text(program)
    (project.path / "conftest.py").write_text(HARNESS)
    project.task("copy")
    return project
