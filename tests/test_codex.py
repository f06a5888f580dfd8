"""The real Codex CLI in sandboxes, examined as a user does it, against a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_ale.testing import (
    Call,
    Expect,
    Say,
    Script,
    ScriptedModel,
    Think,
    Turn,
    Usage,
)
from pytest_ale.trajectory import Step, Trajectory, check, load

from .conftest import CACHE, MAIN, Project

CANARY = "sk-canary-0123456789abcdef"
BASE = ("--ale-retries=0", "-p", "no:randomly", "-p", "no:cacheprovider", "-q", "tasks")

# Besides the word: what was patched, and what a sub-agent wrote.
MORE = (
    MAIN
    + """

def evaluate(output, reference, check):
    left = {path.name: path.read_text() for path in output.iterdir()}
    word = (reference / "word.txt").read_text()
    with check("is there"):
        assert left["word.txt"] == word
    with check("is right"):
        assert left == {"list.txt": "one\\nTWO\\nthree\\n", "sub.txt": "sub\\n", "word.txt": word}
"""
)
PATCH = """*** Begin Patch
*** Update File: output/list.txt
@@
 one
-two
+TWO
*** End Patch"""


def examine(folder: Path, url: str, *words: str, agent: str = "codex:scripted") -> dict[str, Any]:
    """Run pytest there as a user does, and return the record, with the attempt's `folder`."""
    run = [sys.executable, "-m", "pytest", f"--ale-agent={agent}", f"--ale-base-url={url}", *BASE]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = clean | {"OPENAI_API_KEY": CANARY, "XDG_CACHE_HOME": CACHE}
    done = subprocess.run([*run, *words], cwd=folder, env=env, capture_output=True, timeout=180)
    runs = sorted((folder / ".ale").glob("*/results.jsonl"))
    assert runs, done.stdout.decode() + done.stderr.decode()
    record = json.loads(runs[-1].read_text().splitlines()[-1])
    return record | {"folder": runs[-1].parent / record["path"], "run": runs[-1].parent}


def replay(folder: Path, recorded: Mapping[str, Any], *words: str) -> Mapping[str, Any]:
    knob = f"--ale-knob=path={recorded['run']}"
    return examine(folder, "http://127.0.0.1:9", knob, *words, agent="replay")


def calls(steps: Sequence[Step]) -> list[tuple[str, dict[str, Any]]]:
    return [(c.function_name, dict(c.arguments)) for step in steps for c in step.tool_calls or ()]


def told(step: Step) -> str:
    results = step.observation.results if step.observation else ()
    return json.dumps([result.model_dump(exclude_none=True) for result in results])


def moment(text: str | None) -> float:
    assert text
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_task_with_a_screen_from_the_lease_to_the_replay(
    project: Project, docker_engine: None
) -> None:
    project.task("copy", environment={"desktop": True})
    offered = ("desktop.screenshot", "desktop.click")
    script = [
        Turn(
            # In the very first request: it has waited for the bridge.
            Expect(tool_offered=offered, prompt_contains="word.txt"),
            Usage(input=1000, cached=400, written=50, output=50, reasoning=20),
            Think("First the word."),
            Say("I look."),
            Call("shell", {"command": "cat inputs/word.txt; env; exit 3"}),
            Call("desktop.screenshot"),
        ),
        Turn(
            Expect(picture=True, tool_result_contains="exited with code 3"),
            Call("desktop.click", {"coordinate": [100, 100]}),
            Call("desktop.click", {"coordinate": [99999, 1]}),
        ),
        Usage(input=2000, cached=1000, output=7),
        Call("shell", {"command": "cp inputs/word.txt output"}),
        Say("Done."),
    ]
    with ScriptedModel(Script(script)) as model:
        record = examine(project.path, model.url, "--ale-provider=docker")
        model.check()
    assert (record["outcome"], record["score"], record["requests"]) == ("scored", 1.0, 4)
    assert (record["tokens_in"], record["tokens_out"]) == (3200, 77)
    folder = record["folder"]
    assert check(folder / "trajectory.json") == []
    trajectory = load(folder / "trajectory.json")
    steps = [step for step in trajectory.steps if step.source == "agent"]
    first, second, third, last = steps
    assert (first.message, first.reasoning_content) == ("I look.", "First the word.")
    assert calls(steps) == [
        ("exec_command", {"cmd": "cat inputs/word.txt; env; exit 3"}),
        ("mcp__desktop__screenshot", {}),
        ("mcp__desktop__click", {"coordinate": [100, 100]}),
        ("mcp__desktop__click", {"coordinate": [99999, 1]}),
        ("exec_command", {"cmd": "cp inputs/word.txt output"}),
    ]
    assert '"exit_code": 3' in told(first) and '"is_error": true' in told(first)
    assert (folder / "screenshots/0001.png").read_bytes().startswith(b"\x89PNG")
    assert '"path": "screenshots/0001.png"' in told(first)
    assert "Clicked left at [100, 100]" in told(second) and told(second).count("is_error") == 1
    assert third.metrics and third.metrics.cached_tokens == 1000
    assert last.message == "Done."
    _whole(steps, record)
    _in_time(folder, trajectory)
    _no_key(folder, told(first))
    again = replay(project.path, record, "--ale-provider=docker")
    assert (again["outcome"], again["score"]) == ("scored", 1.0)
    redone = [name for name, _ in calls(load(again["folder"] / "trajectory.json").steps)]
    assert [name for name in redone if name != "desktop.size"] == ["exec", "desktop.click", "exec"]


def _whole(steps: Sequence[Step], record: Mapping[str, Any]) -> None:
    """Each answer of the model is one step, with its tokens."""
    metrics = [step.metrics for step in steps if step.metrics]
    assert len(metrics) == len(steps) == record["requests"]
    assert {step.llm_call_count for step in steps} == {1}
    assert sum(each.prompt_tokens or 0 for each in metrics) == record["tokens_in"]
    assert sum(each.completion_tokens or 0 for each in metrics) == record["tokens_out"]
    assert sum(each.cached_tokens or 0 for each in metrics) == record["tokens_cached"]


def _in_time(folder: Path, trajectory: Trajectory) -> None:
    """Times are the log's, in order, within the run; and it asks its model soon after the lease."""
    phases = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    ended = {each["phase"]: moment(each["time"]) for each in phases}
    times = [moment(step.timestamp) for step in trajectory.steps]
    assert times == sorted(times)
    assert ended["lease"] < times[0] and times[-1] < ended["run"]
    (first, *_) = (folder / "model/requests.jsonl").read_text().splitlines()
    assert json.loads(first)["at"] - ended["lease"] < 8  # 2 s where nothing else runs


def _no_key(folder: Path, environment: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    # The one for this attempt only: in the program's own environment, and not its commands'.
    assert "CODEX_THREAD_ID" in environment and "ALE_MODEL_KEY" not in environment


def test_a_newer_model_scripts_its_tools_and_has_sub_agents(
    project: Project, docker_engine: None
) -> None:
    """Its own default model is one of these: the tools are functions of one that takes code."""
    project.task("copy", main=MORE, environment={"desktop": True})
    code = f"""
        text(await tools.apply_patch({json.dumps(PATCH)}));
        const [a, b] = await Promise.all([
            tools.exec_command({{cmd: "cp inputs/word.txt output"}}),
            tools.exec_command({{cmd: "echo wrong >&2; exit 4"}})]);
        text("it was " + b.exit_code);
    """
    script = [
        Call("shell", {"command": "printf 'one\\ntwo\\nthree\\n' > output/list.txt"}),
        Turn(Expect(tool_offered="desktop.click"), Call("functions.exec", {"code": code})),
        Expect(tool_result_contains="it was 4"),
        Call("desktop.screenshot"),
        Expect(picture=True),
        # Both go on from here with the same script: the sub-agent has what was said so far.
        Call("collaboration.spawn_agent", {"message": "Write it.", "task_name": "writer"}),
        Call("shell", {"command": "test -e output/sub.txt || echo sub > output/sub.txt; sleep 2"}),
        Say("Done."),
    ]
    with ScriptedModel(Script(script)) as model:
        record = examine(project.path, model.url, "--ale-provider=docker", agent="codex")
        model.check()
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record["messages"]
    folder = record["folder"]
    assert check(folder / "trajectory.json") == []
    trajectory = load(folder / "trajectory.json")
    steps = [step for step in trajectory.steps if step.source == "agent"]
    assert {step.model_name for step in steps} == set(record["models"])
    scripted = steps[1]
    assert [name for name, _ in calls([scripted])] == [
        *("exec", "apply_patch", "exec_command", "exec_command")
    ]
    assert scripted.tool_calls and scripted.tool_calls[1].extra == {"called_by": "call_2_1"}
    assert "-two\n+TWO" in calls([scripted])[1][1]["input"]
    assert '"exit_code": 4' in told(scripted) and "wrong" in told(scripted)
    (below,) = trajectory.subagent_trajectories or ()
    (spawning,) = [s for s in steps if "collaboration__spawn_agent" in dict(calls([s]))]
    assert below.trajectory_id and below.trajectory_id in told(spawning)
    assert below.agent.name == "/root/writer"
    theirs = [step for step in below.steps if step.source == "agent"]
    assert below.steps[0].source == "user" and "Write it." in str(below.steps[0].message)
    _whole([*steps, *theirs], record)
    again = replay(project.path, record, "--ale-provider=docker")
    assert (again["outcome"], again["score"]) == ("scored", 1.0), again["messages"]


# Where its model's server fails.


def fails(folder: Path, script: Sequence[Any], gone_after: int = -1) -> tuple[str, float]:
    """How a run ended, and in how many seconds, where the server is gone after some requests."""
    with ScriptedModel(Script(script)) as model:
        if gone_after >= 0:
            threading.Thread(target=_close, args=(model, gone_after), daemon=True).start()
        record = examine(folder, model.url)
    assert (record["outcome"], record["score"]) == ("fault", None)
    assert check(record["folder"] / "trajectory.json") == []
    return str(record["message"]), float(record["seconds"])


def _close(model: ScriptedModel, after: int) -> None:
    while len(model.requests) < after:
        time.sleep(0.02)
    model.close()


def test_a_server_that_fails_ends_it_in_time_as_a_fault_that_says_what(project: Project) -> None:
    """All at once: they mostly wait. It sends a request 5 times, and begins an answer 6 times."""
    project.task("copy")
    calls_first = [Call("shell", {"command": "echo one"}), Say("Done.")]
    cases: dict[str, tuple[Sequence[Any], int, str]] = {
        "refused": ([Refuse(401, times=None), *calls_first], -1, "401"),
        "unknown": ([Refuse(404, "no such model", times=None), *calls_first], -1, "no such model"),
        "broken": ([Refuse(500, times=None), *calls_first], -1, "500"),
        "cut": ([Cut(after_events=3, times=None), *calls_first], -1, "cut off"),
        "down": (calls_first, 0, "never answered"),
        "gone": ([calls_first[0], Call("shell", {"command": "sleep 1"}), Say("")], 1, "failed"),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        running = {}
        for name, (script, gone_after, _) in cases.items():
            shutil.copytree(project.path / "tasks", project.path / name / "tasks")
            (project.path / name / "pytest.ini").write_text("[pytest]\n")
            running[name] = pool.submit(fails, project.path / name, script, gone_after)
        ended = {name: future.result() for name, future in running.items()}
    for name, (_, _, says) in cases.items():
        message, seconds = ended[name]
        assert says in message, (name, message)
        assert seconds < 90, (name, seconds)


def test_a_server_that_fails_for_a_while_is_asked_again(project: Project) -> None:
    project.task("copy")
    script = [
        Refuse(429, retry_after=1, times=2),
        Call("shell", {"command": "cp inputs/word.txt output"}),
        Cut(after_events=3),
        Refuse(503),
        Say("Done."),
    ]
    with ScriptedModel(Script(script)) as model:
        record = examine(project.path, model.url)
        model.check()
    assert (record["outcome"], record["score"]) == ("scored", 1.0)
    trajectory = load(record["folder"] / "trajectory.json")
    notes = [str(step.message) for step in trajectory.steps if step.source == "system"]
    assert [note[:17] for note in notes].count("Reconnecting... 1") == 2
    times = [moment(step.timestamp) for step in trajectory.steps]
    assert times == sorted(times)
    assert len([step for step in trajectory.steps if step.source == "agent"]) == 2


# How it ends.

COPY = Call("shell", {"command": "cp inputs/word.txt output"})


@pytest.mark.parametrize(
    ("script", "words", "outcome", "message"),
    [
        (
            [COPY, Call("shell", {"command": "kill -SEGV $PPID; sleep 9"})],
            (),
            "crashed",
            "signal 11",
        ),
        (
            [COPY, Call("shell", {"command": "sleep 60", "yield_time_ms": 30000})],
            ("--ale-timeout=6",),
            "timeout",
            "still at work",
        ),
        (
            [COPY, *[Call("shell", {"command": f"echo {n}"}) for n in range(9)]],
            ("--ale-max-turns=2",),
            "budget",
            "turns",
        ),
    ],
    ids=["crashed", "timeout", "budget"],
)
def test_what_it_left_is_graded(
    project: Project, script: Sequence[Any], words: Sequence[str], outcome: str, message: str
) -> None:
    project.task("copy")
    with ScriptedModel(Script([*script, Say("Done.")])) as model:
        record = examine(project.path, model.url, *words)
    assert (record["outcome"], record["score"]) == (outcome, 1.0)
    assert message in record["message"]
    steps = load(record["folder"] / "trajectory.json").steps
    done = calls(steps)
    assert done[0] == ("exec_command", {"cmd": "cp inputs/word.txt output"})
    assert len(done) == 2
