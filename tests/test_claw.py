"""claw against the scripted model, in docker: by every API it speaks, and when things go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ale.testing import Call, Expect, Say, ScriptedModel, Think, Turn, Usage
from pytest_ale.trajectory import Trajectory, check, load

from .clawing import Players, model_of
from .conftest import Project
from .reading import calls, of_agent, results, spent, told

pytest.importorskip("pydantic_ai", reason="claw's library is not installed")

COPY = "cp inputs/word.txt output/word.txt"
CLAW = ("tasks", "--ale-provider=docker", "--ale-retries=0")
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
CHECKS = {"copied": {}, "typed": {}, "written": {}}
CANARY = "canary-claw-0451-key"


def examine(project: Project, model: ScriptedModel, *words: str) -> str:
    """Run claw as a user does; what pytest said."""
    given = (*CLAW, "--ale-agent=claw:scripted", f"--ale-base-url={model.url}", *words)
    return str(project.run(*given, env=dict.fromkeys(KEYS, CANARY)).stdout)


TYPED = """
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference, check):
    with check("copied"):
        assert (output / "word.txt").read_text() == (reference / "word.txt").read_text()
    with check("typed"):
        assert (output / "typed.txt").read_text() == "seen it\\n"
    with check("written"):
        assert (output / "notes.txt").read_text() == "second\\n" * 3
"""
XTERM = (
    "DISPLAY=:0 setsid xterm -geometry 80x24+100+100 -e sh -c 'head -n 1 > output/typed.txt' "
    "</dev/null >/dev/null 2>&1 & sleep 1; cat inputs/word.txt; exit 3"
)
PLAY = [
    Expect(
        tool_offered=("desktop.screenshot", "desktop.click", "write_text", "use_screen"),
        prompt_contains="Copy /home/agent/task/inputs/word.txt",
        system_contains="in /home/agent/task/output is graded",
    ),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Turn(
        Think("I look around."),
        Call("plan", {"text": "Copy it."}),
        Call("shell", {"command": XTERM}),
    ),
    Expect(tool_result_contains="exit code 3"),
    Usage(input=1200, output=30),
    Turn(Say("Now the screen."), Call("desktop.screenshot")),
    Expect(picture=True),
    Turn(Call("desktop.click", {"coordinate": [300, 300]})),
    Turn(Call("desktop.type", {"text": "seen it\n"})),
    Turn(
        Call("write_text", {"path": "output/notes.txt", "content": "first\n" * 3}),
        Call(
            "edit_text",
            {"path": "output/notes.txt", "old": "first", "new": "second", "replace_all": True},
        ),
        Call("shell", {"command": f"{COPY}"}),
    ),
    Say("Done."),
]


@pytest.mark.once
@pytest.mark.parametrize("api", ["chat", "responses", "anthropic", "gemini"])
def test_it_works_by_every_api(project: Project, docker_engine: None, api: str) -> None:
    project.task(main=TYPED, environment={"desktop": True}, checks=CHECKS)
    with ScriptedModel(PLAY, keys=[CANARY]) as model:
        said = examine(project, model, f"--ale-knob=api={api}")
        model.check()
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0), (record, said)
    attempt = project.attempt()
    assert check(attempt / "trajectory.json") == []
    trajectory = load(attempt / "trajectory.json")
    look_at_steps(trajectory, attempt)
    used = list(spent(trajectory))
    assert sum(each[0] or 0 for each in used) == record["tokens_in"] == 2700
    assert sum(each[1] or 0 for each in used) == record["tokens_out"] == 130
    assert sum(each[2] or 0 for each in used) == record["tokens_cached"] == 400
    assert record["models"] == ["scripted"] and record["requests"] == 7
    for path in project.runs[-1].rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def look_at_steps(trajectory: Trajectory, attempt: Path) -> None:
    steps = of_agent(trajectory)
    assert [step.message for step in steps] == ["", "Now the screen.", "", "", "", "Done.", "OK"]
    assert steps[0].reasoning_content == "I look around."
    assert steps[-1].extra == {"aside": "check"}
    assert {step.model_name for step in steps} == {"scripted"}
    assert {step.llm_call_count for step in steps} == {1}
    assert [call.function_name for call in calls(steps)] == [
        *("plan", "run_command", "mcp__desktop__screenshot", "mcp__desktop__click"),
        *("mcp__desktop__type", "write_text", "edit_text", "run_command"),
    ]
    assert "exit code 3" in told(steps[0])
    (seen,) = results(steps[1])
    assert seen.content is not None and not isinstance(seen.content, str)
    picture = seen.content[-1].source
    assert picture and (attempt / picture.path).read_bytes().startswith(b"\x89PNG")
    assert "Clicked left at [300, 300]." in told(steps[2])
    times = [step.timestamp or "" for step in trajectory.steps]
    assert times == sorted(times)


# The one that is sent to the screen, and doing all of it again.

ERRAND = "Type what is asked into the window, then say what you see."


@pytest.mark.once
def test_the_screen_is_worked_by_another_and_all_is_replayed(
    project: Project, docker_engine: None
) -> None:
    project.task(main=TYPED, environment={"desktop": True}, checks=CHECKS)
    players = Players(
        [
            Turn(Call("shell", {"command": XTERM})),
            Turn(Call("use_screen", {"task": ERRAND})),
            Expect(tool_result_contains="I typed it."),
            Turn(*(part for turn in PLAY[-2:-1] for part in turn.steps)),  # type: ignore[union-attr]  # it is a Turn
            Say("Done."),
        ],
        **{
            "work the screen": [
                Expect(tool_offered="desktop.click", prompt_contains=ERRAND),
                Call("desktop.screenshot"),
                Expect(picture=True),
                Call("desktop.click", {"coordinate": [300, 300]}),
                Turn(Think("Now."), Call("desktop.type", {"text": "seen it\n"})),
                Say("I typed it."),
            ]
        },
    )
    with model_of(players) as model:
        said = examine(project, model, "--ale-knob=screen_model=other")
        asked = [request.body["model"] for request in model.requests]
    failures = [*players.failures, *players.others["work the screen"].failures]
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0), (record, said)
    assert failures == [] and asked.count("other") == 4
    trajectory = load(project.attempt() / "trajectory.json")
    assert check(project.attempt() / "trajectory.json") == []
    (below,) = trajectory.subagent_trajectories or ()
    refs = [r.subagent_trajectory_ref for step in trajectory.steps for r in results(step)]
    assert [ref[0].trajectory_id for ref in refs if ref] == [below.trajectory_id]
    assert below.agent.model_name == "other" and len(calls(of_agent(below))) == 3
    used = list(spent(trajectory))
    assert sum(each[0] or 0 for each in used) == record["tokens_in"]
    recorded = project.runs[-1]
    project.run("tasks", "--ale-agent=replay", f"--ale-knob=path={recorded}", CLAW[1])
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record


# When things go wrong.


@pytest.mark.once
def test_it_outlives_its_bridge_and_is_stopped_at_its_time(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=12)
    script = [
        Call("shell", {"command": "pkill -9 -f 'run.py machine'; sleep 5"}),
        Expect(tool_result_contains="The machine bridge was started anew"),
        Call("shell", {"command": COPY}),
        Call("shell", {"command": "sleep 600", "timeout": 700}),
        Say("Never."),
    ]
    with ScriptedModel(script) as model:
        said = examine(project, model)
        assert model.failures == (), said
        assert len(model.requests) == 3
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("timeout", 1.0), record
    steps = of_agent(load(project.attempt() / "trajectory.json"))
    assert "may have been done in part" in told(steps[0]) and len(calls(steps)) == 3


@pytest.mark.once
def test_turns_are_a_budget(project: Project, docker_engine: None) -> None:
    project.task()
    script = [Call("shell", {"command": f"{COPY}; echo {n}"}) for n in range(5)]
    with ScriptedModel([*script, Say("Never.")]) as model:
        examine(project, model, "--ale-max-turns=2")
        assert len(model.requests) == 2
    (record,) = project.results
    assert (record["outcome"], record["score"], record["requests"]) == ("budget", 1.0, 2), record
