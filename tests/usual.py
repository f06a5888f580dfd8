"""One whole task for a program with a shell and MCP, and what is looked at in what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_ale.testing import Call, Expect, Say, ScriptedModel, Think, Turn, Usage
from pytest_ale.testing.script import Step
from pytest_ale.trajectory import check, load

from .conftest import Project
from .reading import calls, of_agent, told

CANARY = "canary-0123456789-usual-key"
COPY = "cp inputs/word.txt output/word.txt"
DOCKER = "--ale-provider=docker"
LONG = "first\nlast\n"
NOTES = "/home/agent/task/output/notes.txt"
MAIN = f"""
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference, check):
    with check("copied"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()
    with check("written"):
        assert (output / "notes.txt").read_text() == {LONG!r}
"""


def script(
    shots: tuple[str, str],
    shell: str,
    write: Call,
    *,
    offered: tuple[str, ...] = (),
    screen: tuple[Call, Call] | None = None,
    more: dict[str, object] | None = None,
    also: Iterable[Call] = (),
) -> list[Step | Turn]:
    """By the program's own names of its tools, and of the bridge's screenshot and click; some have
    other tools to call those."""
    run: dict[str, object] = {"command": f"{COPY}; echo a; exit 3"}
    look, click = screen or (Call(shots[0], {}), Call(shots[1], {"coordinate": [300, 300]}))
    return [
        Expect(
            tool_offered=offered or shots, prompt_contains="Copy /home/agent/task/inputs/word.txt"
        ),
        Usage(input=1000, output=50, cached=400),
        Turn(Think("I look."), Say("Looking."), Call(shell, run | (more or {})), *also),
        Expect(tool_result_contains="a"),
        Usage(input=1200, output=30),
        Turn(look, click),
        Usage(input=1300, output=40),
        Turn(write),
        Usage(input=1400, output=20),
        Say("Done."),
    ]


TOKENS = (4900, 140)


def examine(
    project: Project, agent: str, url: str, *words: str, key: str = "OPENAI_API_KEY"
) -> Mapping[str, object]:
    more = (DOCKER, f"--ale-base-url={url}", "--ale-retries=0", *words)
    project.run("tasks", f"--ale-agent={agent}:scripted", *more, env={key: CANARY})
    return project.results[-1]


def whole_task(
    project: Project,
    agent: str,
    played: Iterable[Step | Turn],
    names: Iterable[str],
    *,
    shown: bool = True,
) -> Path:
    """Have it done in docker, and again as recorded; the attempt's folder."""
    checks: Mapping[str, object] = {"copied": {}, "written": {}}
    project.task(main=MAIN, environment={"desktop": True}, checks=checks)
    with ScriptedModel(played, keys=[CANARY]) as model:
        record = examine(project, agent, model.url)
        model.check()
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record
    assert (record["tokens_in"], record["tokens_out"]) == TOKENS
    assert record["models"] == ["scripted"]
    attempt = project.attempt()
    look_at(attempt, names, shown=shown)
    recorded = project.runs[-1]
    for path in recorded.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
    project.run("tasks", "--ale-agent=replay", f"--ale-knob=path={recorded}", DOCKER)
    assert project.results[-1]["score"] == 1.0, project.results[-1]
    return attempt


def look_at(attempt: Path, names: Iterable[str], *, shown: bool) -> None:
    assert check(attempt / "trajectory.json") == []
    trajectory = load(attempt / "trajectory.json")
    times = [step.timestamp or "" for step in trajectory.steps]
    assert times == sorted(times)
    steps = of_agent(trajectory)
    assert [step.message for step in steps] == ["Looking.", "", "", "Done."]
    assert steps[0].reasoning_content == "I look."
    assert [call.function_name for call in calls(steps)] == [*names]
    (click,) = (call for call in calls(steps) if call.function_name.endswith("click"))
    assert click.arguments == {"coordinate": [300, 300]}
    assert "Clicked left at [300, 300]." in told(steps[1])
    assert ('"type": "image"' in told(steps[1])) is shown  # not all tell what was seen
