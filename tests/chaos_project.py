"""The project that chaos is played with: tasks that take their time, and an agent with a model.

Knows nothing of what is killed, and when.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from .chaos_plan import Plan
from .conftest import CARD, PROMPT

__all__ = ["write"]

MAIN = """
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)
    (inputs / "sim.sh").write_text("cp inputs/word.txt output")  # for the agent of that name

def solve(sandbox):
    copy = f"cp {sandbox.inputs}/word.txt {sandbox.output}"
    sandbox.exec(f"sleep {seconds}; {copy}", check=True)

def evaluate(output, reference):
    return float((output / "word.txt").read_text() == (reference / "word.txt").read_text())
"""

# An agent whose model is asked from inside, through the gateway.
MINE = """
from pytest_ale.harness import Ending, Harness

ASK = '''
import os, urllib.request
body = b'{"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}'
head = {"Authorization": "Bearer " + os.environ["KEY"], "Content-Type": "application/json"}
url = os.environ["URL"] + "/v1/chat/completions"
urllib.request.urlopen(urllib.request.Request(url, body, head)).read()
'''

class Mine(Harness):
    name, about, api = "mine", "asks once, and copies", "openai"

    def run(self, work):
        env = {"URL": work.model_url, "KEY": work.model_key}
        work.sandbox.exec(["/usr/bin/python3", "-c", ASK], env=env, check=True)
        work.sandbox.exec("sleep 0.5; cp inputs/word.txt output", check=True)
        return Ending()

def pytest_ale_harnesses(register):
    register("mine", Mine)
"""

# A disk that hesitates: what is as good as never between two writes is then a tenth of a second.
HESITATES = """
import os, random, sys, time

MOODS = random.Random(f"{seed} {{os.getpid()}}")

def hesitate(event, given):
    wrote = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
    if wrote or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "subprocess.Popen"):
        if {folder!r} in str(given[0]) or event == "subprocess.Popen":
            time.sleep(0.3 * MOODS.random() ** 20)

sys.addaudithook(hesitate)
"""


def write(folder: Path, plan: Plan) -> None:
    """Write a project with a task for each nap; `tmp` in it is for sandboxes, and scratch."""
    slow = HESITATES.format(seed=plan.seed, folder=str(folder)) if plan.hesitates else ""
    (folder / "tmp").mkdir()
    (folder / "sim.yaml").write_text(yaml.safe_dump(dict(plan.sim)))
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(MINE + slow)
    card = yaml.safe_dump({name: value for name, value in CARD.items() if name != "checks"})
    for number, seconds in enumerate(plan.naps):
        task = folder / f"tasks/legal/task_{number}"
        task.mkdir(parents=True)
        (task / "card.yaml").write_text(card)
        (task / "prompt.md").write_text(PROMPT)
        (task / "main.py").write_text(MAIN.replace("{seconds}", f"{seconds:.3f}"))
