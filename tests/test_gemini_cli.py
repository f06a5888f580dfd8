"""gemini_cli: the real CLI against the scripted model, in docker and by itself, and its reader."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from pytest_ale.harnesses.gemini_cli import GeminiCli
from pytest_ale.harnesses.gemini_cli_log import GeminiCliLog, edited

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.harness import BadAgent, Knob, parse_agents
from pytest_ale.kept import Kept
from pytest_ale.program import Brief, Closing, Server
from pytest_ale.recorder import Recorder
from pytest_ale.sandbox import Fault
from pytest_ale.story import Story
from pytest_ale.testing import (
    Call,
    Cut,
    Expect,
    Refuse,
    Say,
    ScriptedModel,
    Think,
    Turn,
    Usage,
    WrongJson,
)
from pytest_ale.trajectory import ToolCall, Trajectory, check, load

from .conftest import Project
from .reading import calls, of_agent, results

CANARY = "canary-AIzaSyD4nQ7f-gemini-key"
COPY = "cp inputs/word.txt output/word.txt"
GEMINI = ("tasks", "--ale-agent=gemini_cli:scripted", "--ale-provider=docker")

# In docker, whole.

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
        assert (output / "notes.txt").read_text() == "first\\n" + "long " * 12_000 + "\\nLAST\\n"
"""
XTERM = (
    "DISPLAY=:0 setsid xterm -geometry 80x24+100+100 -e sh -c 'head -n 1 > output/typed.txt' "
    "</dev/null >/dev/null 2>&1 & sleep 1; cat inputs/word.txt; exit 3"
)
LONG = "first\n" + "long " * 12_000 + "\nlast\n"
NOTES = "/home/agent/task/output/notes.txt"
DESKTOP = ("mcp_desktop_screenshot", "mcp_desktop_click", "mcp_desktop_type")
PLAY = [
    Expect(
        tool_offered=DESKTOP,
        prompt_contains="Copy /home/agent/task/inputs/word.txt",
        system_contains="set DISPLAY=:0",
    ),
    Usage(input=1000, output=50, cached=400, reasoning=20),
    Turn(Think("I look around."), Call("shell", {"command": XTERM})),
    Expect(tool_result_contains="Exit Code: 3"),
    Usage(input=1200, output=30),
    Turn(Say("Now the screen."), Call("desktop.screenshot")),
    Expect(picture=True),
    Turn(Call("desktop.click", {"coordinate": [300, 300]})),
    Turn(Call("desktop.type", {"text": "seen it\n"})),
    Turn(
        Call("write_file", {"file_path": NOTES, "content": LONG}),
        Call("shell", {"command": f"{COPY}; sleep 1"}),
    ),
    Turn(
        Call(
            "replace",
            {"file_path": NOTES, "old_string": "last", "new_string": "LAST", "instruction": "up"},
        )
    ),
    Say("Done."),
]


def examine(project: Project, model: ScriptedModel, *words: str, url: str = "") -> str:
    """Run gemini_cli as a user does; what pytest said."""
    given = (*GEMINI, f"--ale-base-url={url or model.url}", "--ale-retries=0", *words)
    return str(project.run(*given, env={"GEMINI_API_KEY": CANARY}).stdout)


@pytest.mark.once
def test_it_works_with_shell_screen_and_files_and_is_replayed(
    project: Project, docker_engine: None
) -> None:
    checks = {"copied": {}, "typed": {}, "written": {}}
    project.task(main=TYPED, environment={"desktop": True}, checks=checks)
    with ScriptedModel(PLAY, keys=[CANARY]) as model:
        said = examine(project, model)
        model.check()
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0), (record, said)
    attempt = project.attempt()
    assert check(attempt / "trajectory.json") == []
    trajectory = load(attempt / "trajectory.json")
    look_at_steps(trajectory, attempt)
    look_at_times(trajectory, record)
    steps = of_agent(trajectory)
    spent = [step.metrics for step in steps if step.metrics]
    assert sum(each.prompt_tokens or 0 for each in spent) == record["tokens_in"] == 2700
    assert sum(each.completion_tokens or 0 for each in spent) == record["tokens_out"] == 130
    assert record["models"] == ["scripted"] and record["tokens_cached"] == 400
    for path in project.runs[-1].rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
    recorded = project.runs[-1]
    project.run("tasks", "--ale-agent=replay", f"--ale-knob=path={recorded}", GEMINI[2])
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0), record


def look_at_steps(trajectory: Trajectory, attempt: Path) -> None:
    steps = of_agent(trajectory)
    assert [step.message for step in steps] == ["", "Now the screen.", "", "", "", "", "Done."]
    assert {step.model_name for step in steps} == {"scripted"}
    assert {step.llm_call_count for step in steps} == {1}
    assert steps[0].reasoning_content == "I look around."
    metrics = steps[0].metrics
    assert metrics is not None and metrics.extra == {"reasoning_tokens": 20}
    assert (metrics.prompt_tokens, metrics.completion_tokens) == (1000, 50)
    made = calls(steps)
    assert [call.function_name for call in made] == [
        "run_shell_command",
        *DESKTOP,
        "write_file",
        "run_shell_command",
        "replace",
    ]
    assert made[0].arguments == {"command": XTERM}
    assert made[2].arguments == {"coordinate": [300, 300]}
    kept = made[4].arguments["content"]  # too long for a step
    assert isinstance(kept, dict) and (attempt / str(kept["file"])).read_text() == LONG
    came = [result for step in steps for result in results(step)]
    assert "Exit Code: 3" in str(came[0].content)
    assert came[0].extra is not None and came[0].extra["exit_code"] == 3
    assert float(str(came[0].extra["seconds"])) >= 1
    assert came[1].content is not None and not isinstance(came[1].content, str)
    picture = came[1].content[-1].source
    assert picture and (attempt / picture.path).read_bytes().startswith(b"\x89PNG")
    assert "Clicked left at [300, 300]." in str(came[2].content)


def look_at_times(trajectory: Trajectory, record: Mapping[str, object]) -> None:
    times = [step.timestamp or "" for step in trajectory.steps]
    assert times == sorted(times) and times[0] > str(record["started"])[:19]
    began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60))
    assert began < times[0] and times[-1] < time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())


@pytest.mark.once
def test_a_key_that_is_refused_is_no_score(project: Project, docker_engine: None) -> None:
    project.task()
    with ScriptedModel([Say("Never.")], keys=["another"]) as model:
        examine(project, model)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("fault", None), record
    assert "the model's server never answered: status 401" in str(record["message"])


@pytest.mark.once
def test_a_cli_that_dies_of_its_own_command_is_graded(
    project: Project, docker_engine: None
) -> None:
    project.task()
    deadly = Turn(Say("Now."), Call("shell", {"command": f"{COPY}; kill -SEGV $PPID; sleep 5"}))
    with ScriptedModel([deadly, Say("Never.")]) as model:
        examine(project, model)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("crashed", 1.0), record
    assert "gemini_cli ended with " in str(record["message"])
    (step,) = of_agent(load(project.attempt() / "trajectory.json"))
    assert step.message == "Now." and step.tool_calls and not step.observation


@pytest.mark.once
def test_a_cli_that_is_stopped_leaves_what_it_had_begun(
    project: Project, docker_engine: None
) -> None:
    project.task(timeout_s=12)
    slow = Call("shell", {"command": f"{COPY}; sleep 60"})
    with ScriptedModel([Turn(Think("Slowly."), slow)]) as model:
        examine(project, model)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("timeout", 1.0), record
    (step,) = of_agent(load(project.attempt() / "trajectory.json"))
    assert step.reasoning_content == "Slowly." and step.metrics is not None
    assert [call.arguments for call in calls([step])] == [{"command": f"{COPY}; sleep 60"}]


@pytest.mark.once
def test_turns_are_a_budget(project: Project, docker_engine: None) -> None:
    project.task()
    script = [Call("shell", {"command": f"{COPY}; echo {n}"}) for n in range(5)]
    with ScriptedModel([*script, Say("Never.")]) as model:
        examine(project, model, "--ale-max-turns=2")
        assert len(model.requests) == 2
    (record,) = project.results
    assert (record["outcome"], record["score"], record["requests"]) == ("budget", 1.0, 2), record


# The real CLI by itself: as the harness configures it, without a sandbox around it.


class Alone:
    """A home folder, and the CLI run in it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / "task").mkdir(parents=True)
        self.recorder = Recorder("gemini_cli", "1")
        self.story = Story(self.recorder, Kept(folder / "written"))
        self.status: int | None = None
        self.said = ""

    def run(self, url: str, prompt: str = "Do it.", **knobs: str) -> Closing:
        harness = GeminiCli()
        brief = self.brief(url, prompt, **knobs)
        for path, text in harness.files(brief).items():
            (self.home / path).parent.mkdir(exist_ok=True)
            (self.home / path).write_text(text)
        words = harness.package.command(str(harness.package.kit_of()))
        done = subprocess.run(
            [*words, *harness.arguments(brief)],
            input=harness.stdin(brief),
            env={**self.env, **harness.environment(brief)},
            cwd=brief.task,
            capture_output=True,
            text=True,
            timeout=90,
        )
        self.status, self.said = done.returncode, done.stdout + done.stderr
        return self.read(done.stdout)

    @property
    def env(self) -> Mapping[str, str]:
        """With a folder of its own for what it writes of errors."""
        return {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": os.environ["PATH"]}

    def brief(self, url: str, prompt: str = "", **knobs: str) -> Brief:
        chosen = {name: knob.default or "" for name, knob in GeminiCli.knobs.items()} | knobs
        home = str(self.home)
        return Brief(prompt, "scripted", url, CANARY, {}, chosen, home, f"{home}/task")

    def read(self, stdout: str) -> Closing:
        log = GeminiCliLog(self.story)
        for line in stdout.splitlines():
            log.line("stdout", line)
        for path in sorted(self.home.glob(".gemini/tmp/*/chats/**/*.jsonl")):
            for line in path.read_text().splitlines():
                log.line(str(path), line)
        return log.close(self.status)


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("script", "failed", "tries", "most"),
    [
        pytest.param([Refuse(401, times=None)], '"code":401', 1, 9, id="key refused"),
        pytest.param([Refuse(404, "no such model", times=None)], "no such model", 1, 9, id="404"),
        pytest.param([Refuse(500, times=None)], '"code":500', 2, 20, id="500"),
        pytest.param([Cut(after_events=1, times=None)], "terminated", 1, 9, id="cut"),
        pytest.param([WrongJson(times=None)], "JSON", 1, 9, id="wrong JSON"),
    ],
)
def test_how_it_says_that_its_model_failed(
    alone: Alone, script: list[Refuse | Cut | WrongJson], failed: str, tries: int, most: float
) -> None:
    with ScriptedModel([*script, Say("one two three four")]) as model:
        began = time.monotonic()
        closing = alone.run(model.url, attempts="2")
        took = time.monotonic() - began
        assert len(model.requests) == tries
    assert failed in closing.failed and not closing.refused and alone.status, closing
    assert took < most and CANARY not in alone.said


@pytest.mark.once
def test_a_server_that_is_not_there_ends_it_soon(alone: Alone) -> None:
    with ScriptedModel([Say("Never.")]) as model:
        url = model.url
    closing = alone.run(url, attempts="2")
    assert "fetch failed" in closing.failed and alone.status


@pytest.mark.once
def test_a_server_that_is_busy_is_asked_again(alone: Alone) -> None:
    """And its prompt reaches the model as it is, with what the CLI has a meaning for."""
    prompt = "Write to user@example.com, and to @nobody. C:\\x /help 100%\n\nSecond line.\n"
    with ScriptedModel([Refuse(429, retry_after=1), Say("Done.")]) as model:
        closing = alone.run(model.url, prompt, thinking="4096", web="on")
        assert len(model.requests) == 2
        body = model.requests[-1].body
    assert closing.failed == "" and alone.status == 0 and len(closing.session) == 36
    assert closing.usage == Tokens(prompt=100, output=10)
    told = body["contents"][0]["parts"][-1]["text"]
    assert told == prompt
    thinking = {"includeThoughts": True, "thinkingBudget": 4096}
    assert body["generationConfig"]["thinkingConfig"] == thinking
    offered = {tool["name"] for tool in body["tools"][0]["functionDeclarations"]}
    assert {"google_web_search", "web_fetch", "run_shell_command"} <= offered
    assert not offered & {"ask_user", "enter_plan_mode"}
    (step,) = of_agent(alone.recorder.finish())
    assert step.message == "Done." and step.metrics and step.metrics.prompt_tokens == 100


@pytest.mark.once
@pytest.mark.parametrize(("loops", "made"), [("off", 8), ("on", 4)])
def test_the_same_call_many_times_is_no_loop(alone: Alone, loops: str, made: int) -> None:
    with ScriptedModel([*[Call("shell", {"command": "echo same"})] * 8, Say("Done.")]) as model:
        closing = alone.run(model.url, loop_detection=loops)
    assert closing.failed == "" and alone.status == 0
    steps = alone.recorder.finish().steps
    assert len([step for step in steps if step.observation]) == made
    ended = [str(step.message) for step in steps if step.source == "system"]
    assert ended == ([] if loops == "off" else ["Loop detected, stopping execution"])


# Configuration.


def test_the_key_is_in_no_file_and_on_no_command_line(alone: Alone) -> None:
    harness, brief = GeminiCli(), alone.brief("http://127.0.0.1:1")
    assert CANARY not in "".join(harness.files(brief).values())
    assert CANARY not in " ".join(harness.arguments(brief))
    told = [name for name, value in harness.environment(brief).items() if CANARY in value]
    assert told == ["GEMINI_API_KEY"]


def test_what_is_asked_for_is_configured(alone: Alone) -> None:
    given = alone.brief("", disabled_tools="glob,write_todos", thinking="high", attempts="7")
    brief = Brief(**{**vars(given), "model": "", "servers": {"desktop": Server("p", ("-I", "x"))}})
    settings = json.loads(GeminiCli().files(brief)[".gemini/settings.json"])
    excluded = settings["tools"]["exclude"]
    assert {"glob", "write_todos", "google_web_search", "web_fetch"} <= set(excluded)
    assert settings["general"]["maxAttempts"] == 7
    (override,) = settings["modelConfigs"]["customOverrides"]
    config = override["modelConfig"]["generateContentConfig"]
    assert config["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "HIGH"}
    server = settings["mcpServers"]["desktop"]
    assert (server["command"], server["args"], server["trust"]) == ("p", ["-I", "x"], True)
    assert GeminiCli().arguments(brief)[:2] == ["--model", "pro"]
    assert "DISPLAY=:0" in GeminiCli().files(brief)[".gemini/GEMINI.md"]
    assert ".gemini/GEMINI.md" not in GeminiCli().files(given)


@pytest.mark.parametrize(
    ("knob", "said"),
    [
        ("thinking=much", "must be minimal, low, medium, high, a number of tokens, or -1"),
        ("web=yes", "allowed: on, off"),
        ("attempts=0", "must be a number from 1 to 10"),
        ("attempts=11", "must be a number from 1 to 10"),
        ("disabled_tools=a b", "no name of a tool; names have commas between them"),
        (
            "colour=red",
            "known: gemini_cli: coordinates, thinking, web, disabled_tools, loop_detection",
        ),
    ],
)
def test_a_knob_that_is_wrong_says_what_is_right(knob: str, said: str) -> None:
    with pytest.raises(BadAgent, match=r"colour|gemini_cli: knob") as error:
        parse_agents(("gemini_cli",), (knob,), lambda _: GeminiCli())
    assert said in str(error.value)


def test_knobs_have_defaults() -> None:
    (agent,) = parse_agents(("gemini_cli",), ("thinking=-1",), lambda _: GeminiCli())
    assert agent.knobs["thinking"] == "-1" and agent.knobs["web"] == "off"
    assert all(isinstance(knob, Knob) and knob.help for knob in GeminiCli.knobs.values())


# Replay of what docker's test does not do.


class Box:
    """As much of a sandbox as a replay needs: a folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.output = str(home), f"{home}/task/output"
        self.commands: list[tuple[object, object]] = []

    def exec(self, words: object, *, cwd: str, timeout: float) -> None:
        self.commands.append((words, cwd))

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, data: str) -> None:
        Path(path).write_text(data)


def again(box: Box, name: str, result: Mapping[str, object] | None = None, **given: object) -> bool:
    extra = {"result": dict(result or {})}
    call = ToolCall.model_validate(
        {"tool_call_id": "c", "function_name": name, "arguments": given, "extra": extra}
    )
    return GeminiCli().again(call, box, Path())  # type: ignore[arg-type]  # as much as it needs


def test_its_own_calls_are_done_again(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    box, path = Box(tmp_path), tmp_path / "task" / "a.txt"
    assert again(box, "write_file", file_path="a.txt", content="one two two")
    assert again(box, "replace", file_path=str(path), old_string="two", new_string="2")
    assert path.read_text() == "one 2 two"
    assert again(box, "replace", file_path="~/task/a.txt", old_string="", new_string="new two two")
    both = {"old_string": "two", "new_string": "2", "allow_multiple": True}
    assert again(box, "replace", file_path="a.txt", **both) and path.read_text() == "new 2 2"
    assert again(box, "replace", {"new_content": "as it was"}, file_path="a.txt", old_string="no")
    assert path.read_text() == "as it was"
    with pytest.raises(Fault, match=r"its old_string is not in .*a\.txt"):
        again(box, "replace", file_path="a.txt", old_string="gone", new_string="")
    assert not again(box, "replace", {"is_error": True}, file_path="a.txt", old_string="gone")
    assert not again(box, "write_file", {"is_error": True}, file_path="a.txt", content="")
    assert path.read_text() == "as it was"


def test_its_commands_are_run_where_they_were(tmp_path: Path) -> None:
    box, task = Box(tmp_path), f"{tmp_path}/task"
    assert again(box, "run_shell_command", command="ls")
    assert again(box, "run_shell_command", command="ls", dir_path="sub")
    assert again(box, "run_shell_command", command="ls", dir_path="/etc")
    assert box.commands == [
        (["bash", "-c", "ls"], task),
        (["bash", "-c", "ls"], f"{task}/sub"),
        (["bash", "-c", "ls"], "/etc"),
    ]
    assert again(box, "run_shell_command", command="sleep 'a b'", is_background=True)
    (_, _, words), _ = box.commands[-1]  # type: ignore[misc]
    assert words == "setsid bash -c 'sleep '\"'\"'a b'\"'\"'' </dev/null >/dev/null 2>&1 &"
    assert not any(again(box, name) for name in ("read_file", "glob", "write_todos", "web_fetch"))
    assert not again(box, "fly", {"is_error": True})
    with pytest.raises(Fault, match="recorded call fly of gemini_cli cannot be done again"):
        again(box, "fly")


def test_edits_are_by_the_word() -> None:
    assert edited("a b", {"old_string": "b", "new_string": "c"}) == "a c"
    assert edited("a b", {"old_string": "x", "new_string": "c"}) is None
    assert edited("a b", {"new_string": "c"}) == "c"
