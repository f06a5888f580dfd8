"""The real Codex CLI in sandboxes, examined as a user does it, against a scripted model."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_ale.harnesses import codex_inside
from pytest_ale.harnesses.codex import Codex
from pytest_ale.harnesses.codex_log import CodexLog

from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.kept import Kept
from pytest_ale.npm import npm_kit
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
    Script,
    ScriptedModel,
    Think,
    Turn,
    Usage,
)
from pytest_ale.trajectory import Step, ToolCall, Trajectory, check, dump, load

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


# The key for this attempt is in the program's environment; is it anywhere else? Codex writes the
# environment down for its shells when it has begun.
LOOK = r"""cat inputs/word.txt; env; sleep 0.5
key=$(tr '\0' '\n' < /proc/$PPID/environ | sed -n 's/^ALE_MODEL_KEY=//p')
found=$(grep -rslFf <(printf %s "$key") ~ /tmp /proc/[0-9]*/cmdline | tr '\n' ' ')
echo "a key of ${#key} letters, and in files: <$found>"; ls ~/.codex/shell_snapshots; exit 3"""
FILL = "cp inputs/word.txt output; printf 'one\\ntwo\\nthree\\n' > output/list.txt"
LATER = "sleep 1; echo sub > output/sub.txt"  # it goes on while the agent does something else


def test_a_task_with_a_screen_from_the_lease_to_the_replay(
    project: Project, docker_engine: None
) -> None:
    project.task("copy", main=MORE, environment={"desktop": True})
    offered = ("desktop.screenshot", "desktop.click")
    script = [
        Turn(
            # In the very first request: it has waited for the bridge.
            Expect(tool_offered=offered, prompt_contains="word.txt"),
            Usage(input=1000, cached=400, written=50, output=50, reasoning=20),
            Think("First the word."),
            Say("I look."),
            Call("shell", {"command": LOOK}),
            Call("desktop.screenshot"),
        ),
        Turn(
            Expect(picture=True, tool_result_contains="exited with code 3"),
            Call("desktop.click", {"coordinate": [100, 100]}),
            Call("desktop.click", {"coordinate": [99999, 1]}),
        ),
        Turn(
            Usage(input=2000, cached=1000, output=7),
            Call("shell", {"command": FILL}),
            Call("shell", {"command": LATER, "yield_time_ms": 300}),
        ),
        Call("shell", {"command": f"apply_patch <<'EOF'\n{PATCH}\nEOF"}),
        Call("shell", {"command": "sleep 1.5; cat output/*"}),
        Expect(tool_result_contains="TWO"),
        Say("Done."),
    ]
    with ScriptedModel(Script(script)) as model:
        record = examine(project.path, model.url, "--ale-provider=docker")
        model.check()
    assert (record["outcome"], record["score"], record["requests"]) == ("scored", 1.0, 6)
    assert (record["tokens_in"], record["tokens_out"]) == (3400, 97)
    folder = record["folder"]
    assert check(folder / "trajectory.json") == []
    trajectory = load(folder / "trajectory.json")
    steps = [step for step in trajectory.steps if step.source == "agent"]
    first, second, third, *_, last = steps
    assert (first.message, first.reasoning_content) == ("I look.", "First the word.")
    assert calls(steps) == [
        ("exec_command", {"cmd": LOOK}),
        ("mcp__desktop__screenshot", {}),
        ("mcp__desktop__click", {"coordinate": [100, 100]}),
        ("mcp__desktop__click", {"coordinate": [99999, 1]}),
        ("exec_command", {"cmd": FILL}),
        ("exec_command", {"cmd": LATER, "yield_time_ms": 300}),
        ("exec_command", {"cmd": f"apply_patch <<'EOF'\n{PATCH}\nEOF"}),
        ("exec_command", {"cmd": "sleep 1.5; cat output/*"}),
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
    assert [name for name in redone if name != "desktop.size"] == [
        *("exec", "desktop.click", "exec", "write", "exec", "exec", "exec")
    ]


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
    # 1.3 to 2 s where nothing else runs, 0.8 of them its own; 10 s on a busy machine.
    assert json.loads(first)["at"] - ended["lease"] < 30


def _no_key(folder: Path, environment: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert "CODEX_THREAD_ID" in environment and "ALE_MODEL_KEY" not in environment
    assert "a key of 52 letters, and in files: <>" in environment and ".sh" in environment


# The agent itself waits for its sub-agent, of which it else ends the last request.
BOTH = 'echo sub > output/sub.txt; test "${CODEX_THREAD_ID:-x}" != "$CODEX_SESSION_ID" || sleep 3'


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
        Call("shell", {"command": BOTH}),
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
        "cut": ([Cut(after_events=3, times=None), *calls_first], -1, "server failed"),
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

FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
# Twice: at the first it only takes its own handler, for an overflow of its stack, away.
SEGFAULT = "kill -SEGV $PPID; sleep 1; kill -SEGV $PPID; sleep 9"
COPY = Call("shell", {"command": "cp inputs/word.txt output"})


@pytest.mark.parametrize(
    ("script", "words", "outcome", "message"),
    [
        (
            [COPY, Call("shell", {"command": SEGFAULT})],
            (),
            "crashed",
            "signal 11",
        ),
        (
            [COPY, Call("shell", {"command": "sleep 60", "yield_time_ms": 30000})],
            ("--ale-timeout=4",),
            "timeout",
            "still at work",
        ),
        (
            [COPY, *[Call("shell", {"command": f"echo {n}"}) for n in range(9)]],
            ("--ale-max-turns=2",),
            "budget",
            "turns",
        ),
        (
            [COPY, Call("shell", {"command": "true"}), Refuse(400, FLAGGED, times=None)],
            (),
            "refused",
            "flagged as potentially violating",
        ),
    ],
    ids=["crashed", "timeout", "budget", "refused"],
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


# What its files and knobs are.


def program() -> str:
    """The program itself, out of its kit."""
    kit = npm_kit(Codex.package)
    (found,) = kit.glob("node_modules/@openai/codex-linux-*/vendor/*/bin/codex")
    return str(found)


def configured(url: str, home: Path, model: str, *knobs: str) -> subprocess.CompletedProcess[str]:
    """Run it as it is configured for a sandbox, refusing settings that it does not know."""
    codex = Codex()
    (agent,) = parse_agents((f"codex:{model}",), knobs, lambda _: codex)
    # Any program that speaks MCP will do: this one has no screen, and is not asked for one.
    bridge = Server(sys.executable, ("-m", "pytest_ale.bridge", "machine"))
    brief = Brief("Hello.", model, url, CANARY, {"desktop": bridge}, agent.knobs, str(home), "")
    for path, text in codex.files(brief).items():
        (home / path).parent.mkdir(exist_ok=True)
        (home / path).write_text(text)
    first, *more = codex.arguments(brief)
    return subprocess.run(
        [program(), first, "--strict-config", *more],
        input=codex.stdin(brief),
        env={"HOME": str(home), "PATH": os.environ["PATH"], **codex.environment(brief)},
        cwd=home,
        text=True,
        capture_output=True,
        timeout=60,
    )


def test_it_knows_all_its_settings_and_the_knobs_reach_the_model(tmp_path: Path) -> None:
    knobs = ("effort=high", "summaries=detailed", "subagents=off", "web_search=live")
    lines = 'config=model_verbosity = "high"\nfeatures.goals = false'
    for model, space in {"gpt-5.5": "", "gpt-6-sol": "functions."}.items():
        home = tmp_path / model
        home.mkdir()
        with ScriptedModel(
            Script([Expect(tool_offered="desktop.run_command"), Say("Hi.")])
        ) as server:
            done = configured(server.url, home, model, *knobs, lines)
            server.check()
        assert done.returncode == 0, done.stderr
        assert '"type":"error"' not in done.stdout
        (request,) = server.requests
        body: Any = request.body
        assert body["model"] == model
        assert (body["reasoning"]["effort"], body["reasoning"]["summary"]) == ("high", "detailed")
        assert body["text"]["verbosity"] == "high"
        assert "get_goal" not in request.tools
        assert not [name for name in request.tools if "spawn" in name]
        assert f"{space}request_user_input" in request.tools
        # The newer ones have none through a provider that is not OpenAI's own.
        assert (model == "gpt-5.5") == ('{"type": "web_search"' in json.dumps(body))


@pytest.mark.parametrize(
    ("knob", "said"),
    [
        ("effort=Very hard", "is no word"),
        ("summaries=long", "allowed: usual, none, auto"),
        ("web_search=on", "allowed: off, cached, live"),
        ("subagents=2", "allowed: on, off"),
        ("config=model_verbosity: low", "no line of TOML"),
        ("config=[features]", "is no setting"),
        ('config=a = 1\nmodel_providers.ale.base_url = "http://x"', "set by the exam"),
        ("coordinates=inches", "pixels or thousandths"),
        ("speed=1", "known: codex: coordinates, effort, summaries, web_search, subagents, config"),
    ],
)
def test_a_knob_that_means_nothing_is_refused(knob: str, said: str) -> None:
    with pytest.raises(BadAgent, match=said):
        parse_agents(("codex",), (knob,), lambda _: Codex())


# Its log.


def read(folder: Path, *logs: tuple[str, str]) -> tuple[Trajectory, Closing]:
    recorder = Recorder("codex", "0.169.0")
    recorder.user("do it")
    log = CodexLog(Story(recorder, Kept(folder / "written")))
    for source, text in logs:
        for line in text.split("\n"):
            log.line(source, line)
    closing = log.close(0)
    trajectory = recorder.finish()
    assert check(dump(trajectory)) == []
    return trajectory, closing


def test_a_log_is_read_whole_whatever_comes_first(tmp_path: Path) -> None:
    main, sub = ("s/rollout-1.jsonl", MAIN_LOG), ("s/rollout-2.jsonl", SUB_LOG)
    trajectory, closing = read(tmp_path, main, sub)
    assert closing.usage and (closing.usage.prompt, closing.usage.requests) == (1600, 7)
    steps = [step for step in trajectory.steps if step.source == "agent"]
    assert [name for name, _ in calls(steps)] == [
        *("exec", "exec_command", "mcp__desktop__screenshot", "mcp__desktop__drag"),
        *("exec", "apply_patch", "exec_command", "exec_command"),
        *("collaboration__spawn_agent", "exec_command"),
    ]
    assert steps[0].metrics and steps[0].metrics.extra == {
        "cache_write_tokens": 100,
        "reasoning_tokens": 20,
    }
    assert '"path": "screenshots/0001.png"' in told(steps[1])
    assert told(steps[1]).count('"is_error": true') == 1
    left = steps[-1].tool_calls
    assert left and (left[0].extra or {})["left_running"] is True
    (below,) = trajectory.subagent_trajectories or ()
    assert [step.source for step in below.steps] == ["user", "agent", "agent"]
    turned, _ = read(tmp_path, sub, main)
    assert [calls([step]) for step in turned.steps] == [calls([step]) for step in trajectory.steps]
    assert [sorted(told(step)) for step in turned.steps] == [
        sorted(told(step)) for step in trajectory.steps
    ]


def test_a_context_that_was_compacted_is_told(tmp_path: Path) -> None:
    trajectory, closing = read(tmp_path, ("s/rollout-1.jsonl", COMPACTED))
    assert [(step.source, str(step.message)) for step in trajectory.steps[1:5]] == [
        ("agent", ""),
        ("agent", "OK"),
        ("system", "The context was compacted."),
        ("agent", ""),
    ]
    assert trajectory.steps[2].extra == {"compaction": True}
    # The server gives its calls the same id each time.
    ids = [call.tool_call_id for step in trajectory.steps for call in step.tool_calls or ()]
    assert ids == ["call_1_1", "call_1_1-3"]
    counted = [step.metrics.prompt_tokens for step in trajectory.steps if step.metrics]
    assert closing.usage and sum(filter(None, counted)) == closing.usage.prompt


def test_an_older_log_says_less_of_where_an_answer_ends(tmp_path: Path) -> None:
    trajectory, closing = read(tmp_path, ("s/rollout-1.jsonl", OLDER))
    steps = [step for step in trajectory.steps if step.source == "agent"]
    assert [len(step.tool_calls or ()) for step in steps] == [1, 2, 0]
    tokens = [step.metrics and step.metrics.prompt_tokens for step in steps]
    assert (tokens, steps[0].reasoning_content) == ([1000, 100, 100], "I look.")
    assert '"exit_code": 0' in told(steps[0])
    assert closing.usage and (closing.usage.prompt, closing.usage.requests) == (1200, 3)


def test_a_log_that_is_cut_or_spoilt_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = MAIN_LOG.encode()
    junk = b'\n\xff\x00{"type":7}\n[]\n{"type":"response_item","payload":[1]}\n' + b"[" * 99999
    for at in range(0, len(whole), 1000):
        for text in (whole[:at], whole[at:], whole[:at] + junk + whole[at:]):
            read(tmp_path, ("s/rollout-1.jsonl", text.decode(errors="replace")))
    wrong: list[object] = [None, 7, "x", [], {}, [7], {"a": []}, "2026-99-99", float("nan")]
    for line in (MAIN_LOG + SUB_LOG + COMPACTED).split():
        event = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        for bad in wrong:
            spoilt = [json.dumps(each) for each in _spoilt(event, bad)]
            read(tmp_path, ("s/rollout-1.jsonl", "\n".join(spoilt)))


def _spoilt(value: object, bad: object) -> list[object]:
    """The value, with each of its parts in turn replaced by a bad one."""
    if not isinstance(value, dict):
        return [bad]
    return [value | {name: each} for name in value for each in _spoilt(value[name], bad)]


def test_a_log_of_100_mb_takes_seconds(tmp_path: Path) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(700_000)).decode()
    calls_of = [
        '{"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":'
        '"function_call","name":"screenshot","namespace":"mcp__desktop","arguments":"{}","call_id":'
        f'"call_{number}"}},"metadata":{{"sampled_through_sequence":{number}}}}}\n'
        '{"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":'
        f'"function_call_output","call_id":"call_{number}","output":[{{"type":"input_image",'
        f'"image_url":"data:image/png;base64,{picture}"}}]}}}}'
        for number in range(120)
    ]
    began = time.monotonic()
    trajectory, _ = read(tmp_path, ("s/rollout-1.jsonl", "\n".join(calls_of)))
    assert time.monotonic() - began < 30
    assert sum(map(len, calls_of)) > 100 << 20
    assert len(trajectory.steps) == 121


# Doing a recording again.


@pytest.mark.parametrize(
    ("name", "arguments", "extra", "done"),
    [
        ("exec", {"input": "text(await tools.exec_command({cmd: 'x'}))"}, {}, "no"),
        ("exec", {"input": "tools.write_stdin({session_id: 1, chars: ''})"}, {}, "no"),
        ("exec", {"input": "tools.write_stdin({session_id: 1, chars: 'y'})"}, {}, "types into"),
        ("exec", {"input": "tools.write_stdin({chars, session_id})"}, {}, "types into"),
        ("apply_patch", {"input": "*** Begin Patch"}, {"failed": True}, "no"),
        ("made_up", {"a": 1}, {"said": "unsupported call: made_up"}, "no"),
        ("made_up", {"a": 1}, {"said": "It was done."}, "made_up(a) of codex cannot be done"),
        ("collaboration__spawn_agent", {"message": "x"}, {}, "no"),
        ("mcp__desktop__screenshot", {}, {}, "no"),
        ("view_image", {"path": "a.png"}, {}, "no"),
    ],
)
def test_what_only_looks_is_not_done_again_and_what_cannot_be_is_said(
    name: str, arguments: Any, extra: Any, done: str, tmp_path: Path
) -> None:
    call = ToolCall(tool_call_id="1", function_name=name, arguments=arguments, extra=extra)
    nowhere: Any = None  # nothing of this touches a sandbox
    if done == "no":
        assert Codex().redo(call, nowhere, tmp_path) is False
    else:
        with pytest.raises(Fault, match=re.escape(done)):
            Codex().redo(call, nowhere, tmp_path)


# What is run in a sandbox where a recording is done again.

PATCHES = {
    "all": """*** Begin Patch
*** Add File: new/a.txt
+one
+
+three
*** Delete File: gone.txt
*** Update File: b.txt
*** Move to: moved/b.txt
@@ def two():
     same
-    old
+    new
*** End Patch""",
    "loosely": """*** Begin Patch
*** Update File: b.txt
@@
 def one():
-    same\x20\x20
+    ONE
     old
@@
-    "quoted" - dashed
+    plain
*** End of File
*** End Patch""",
    "at the end": "*** Begin Patch\n*** Update File: b.txt\n@@\n+last\n*** End Patch",
    "windows": "*** Begin Patch\n*** Update File: crlf.txt\n@@\n one\n-two\n+TWO\n*** End Patch",
    "that does not fit": "*** Begin Patch\n*** Update File: b.txt\n@@\n-none\n+x\n*** End Patch",
    "that is none": "Hello.",
}
FILES = {
    "b.txt": "def one():\n    same\n    old\ndef two():\n    same\n    old\n"
    "    \u201cquoted\u201d \u2013 dashed",
    "gone.txt": "gone\n",
    "crlf.txt": "one\r\ntwo\r\nthree\r\n",
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_does_what_it_does_when_codex_applies_it(name: str, tmp_path: Path) -> None:
    ours = [sys.executable, "-I", codex_inside.__file__, "patch"]
    theirs = [program(), "--codex-run-as-apply-patch", PATCHES[name]]
    left = []
    for number, command in enumerate((theirs, ours)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path, text in FILES.items():
            (folder / path).write_bytes(text.encode())
        done = subprocess.run(
            command, cwd=folder, input=PATCHES[name].encode(), capture_output=True
        )
        tree = {
            str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
        }
        left.append((tree, done.returncode == 0))
    assert left[0] == left[1]


@pytest.mark.parametrize("tty", ["tty", "pipe"])
def test_a_command_that_goes_on_is_typed_into(tty: str, tmp_path: Path) -> None:
    id = f"test-{os.getpid()}-{tty}"

    def inside(text: str, *words: str) -> float:
        began = time.monotonic()
        run = [sys.executable, "-I", codex_inside.__file__, *words]
        subprocess.run(run, cwd=tmp_path, input=text.encode(), check=True, timeout=30)
        return time.monotonic() - began

    try:
        assert inside("read it; sleep 0.5; echo got $it > told", "start", id, "1", tty) > 1
        assert not (tmp_path / "told").exists()
        assert inside("hello\n", "type", id, "20") < 10
        assert (tmp_path / "told").read_text() == "got hello\n"
        inside("more\n", "type", id, "20")  # to one that has ended: nothing
    finally:
        shutil.rmtree(codex_inside.PLACE / id)


# Logs of codex 0.169.0 with gpt-6-astra and a scripted model; what nobody reads is left out.

MAIN_LOG = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:47:51.780Z","type":"session_meta","payload":{"id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:51.694Z","cwd":"/home/agent/task"}}
{"ordinal":7,"timestamp":"2026-11-21T18:47:51.811Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</tim"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":9,"timestamp":"2026-11-21T18:47:51.813Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":11,"timestamp":"2026-11-21T18:47:51.816Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":14,"timestamp":"2026-11-21T18:47:51.838Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null},"metadata":{"sampled_through_sequence":7}}
{"ordinal":16,"timestamp":"2026-11-21T18:47:51.840Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Looking."}]},"metadata":{"sampled_through_sequence":7}}
{"ordinal":17,"timestamp":"2026-11-21T18:47:51.841Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_1_3","name":"exec","namespace":"functions","input":"text((await tools.exec_command({\"cmd\": \"printf 'one\\\\ntwo\\\\nthree\\\\n' > b.txt; exit 3\"})).output)"},"metadata":{"sampled_through_sequence":7}}
{"ordinal":18,"timestamp":"2026-11-21T18:47:51.841Z","type":"token_usage_record","payload":{"usage":{"input_tokens":1000,"cached_input_tokens":400,"cache_write_input_tokens":100,"output_tokens":50,"reasoning_output_tokens":20}}}
{"ordinal":19,"timestamp":"2026-11-21T18:47:52.004Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-68dd3b1f-653c-4cef-917f-fe6ce1f385e3","command":["/bin/bash","-lc","printf 'one\\ntwo\\nthree\\n' > b.txt; exit 3"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"","exit_code":3,"duration":{"secs":0,"nanos":5448}}}}
{"ordinal":20,"timestamp":"2026-11-21T18:47:52.009Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_1_3","output":[{"type":"input_text","text":"Script completed\nWall time 0.1 seconds\nOutput:\n"},{"type":"input_text","text":""}]},"metadata":{"sampled_through_sequence":7}}
{"ordinal":22,"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":"function_call","name":"screenshot","namespace":"mcp__desktop","arguments":"{}","call_id":"call_2_1"},"metadata":{"sampled_through_sequence":11}}
{"ordinal":23,"timestamp":"2026-11-21T18:47:52.031Z","type":"response_item","payload":{"type":"function_call","name":"drag","namespace":"mcp__desktop","arguments":"{\"x\": 1}","call_id":"call_2_2"},"metadata":{"sampled_through_sequence":11}}
{"ordinal":24,"timestamp":"2026-11-21T18:47:52.032Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":25,"timestamp":"2026-11-21T18:47:52.035Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"McpToolCall","id":"call_2_1","server":"desktop","tool":"screenshot","arguments":{},"status":"completed","result":{"content":[{"type":"image","data":"iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGMQUDCAIwbiOACaNAYBjjyKngAAAABJRU5ErkJggg==","mimeType":"image/png"}]},"duration":{"secs":0,"nanos":1224965}}}}
{"ordinal":26,"timestamp":"2026-11-21T18:47:52.038Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"McpToolCall","id":"call_2_2","server":"desktop","tool":"drag","arguments":{"x":1},"status":"failed","result":{"content":[{"type":"text","text":"did drag"}],"isError":true},"duration":{"secs":0,"nanos":723107}}}}
{"ordinal":27,"timestamp":"2026-11-21T18:47:52.040Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_2_1","output":[{"type":"input_text","text":"Wall time: 0.0023 seconds\nOutput:"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGMQUDCAIwbiOACaNAYBjjyKngAAAABJRU5ErkJggg=="}]},"metadata":{"sampled_through_sequence":11}}
{"ordinal":28,"timestamp":"2026-11-21T18:47:52.041Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_2_2","output":[{"type":"input_text","text":"Wall time: 0.0030 seconds\nOutput:"},{"type":"input_text","text":"did drag"}]},"metadata":{"sampled_through_sequence":11}}
{"ordinal":30,"timestamp":"2026-11-21T18:47:52.056Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_3_1","name":"exec","namespace":"functions","input":"text(await tools.apply_patch(\"*** Begin Patch\\n*** Add File: a/new.txt\\n+hello\\n+world\\n*** Update File: b.txt\\n@@\\n one\\n-two\\n+TWO\\n three\\n*** End Patch\\n\"))"},"metadata":{"sampled_through_sequence":15}}
{"ordinal":31,"timestamp":"2026-11-21T18:47:52.059Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":32,"timestamp":"2026-11-21T18:47:52.064Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"FileChange","id":"exec-0374ba02-bacb-4926-bf19-2df3697bebcc","changes":{"/home/agent/task/b.txt":{"type":"update","unified_diff":"@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n","move_path":null},"/home/agent/task/a/new.txt":{"type":"add","content":"hello\nworld\n"}},"status":"completed","stdout":"Success. Updated the following files:\nA a/new.txt\nM b.txt\n","stderr":""}}}
{"ordinal":33,"timestamp":"2026-11-21T18:47:52.109Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-3c9515c8-c251-4b8a-b476-924f4cec0e23","command":["/bin/bash","-lc","echo A"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"A\n","exit_code":0,"duration":{"secs":0,"nanos":7201}}}}
{"ordinal":34,"timestamp":"2026-11-21T18:47:52.298Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-09163731-6172-45ba-b2fb-23c55b0dc4a6","command":["/bin/bash","-lc","sleep 0.2; echo B >&2; false"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"B\n","exit_code":1,"duration":{"secs":0,"nanos":62488225}}}}
{"ordinal":35,"timestamp":"2026-11-21T18:47:52.302Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_3_1","output":[{"type":"input_text","text":"Script completed\nWall time 0.2 seconds\nOutput:\n"},{"type":"input_text","text":"{}"},{"type":"input_text","text":"1"},{"type":"input_text","text":"1"}]},"metadata":{"sampled_through_sequence":15}}
{"ordinal":41,"timestamp":"2026-11-21T18:47:53.010Z","type":"response_item","payload":{"type":"function_call","name":"spawn_agent","namespace":"collaboration","arguments":"{\"message\": \"sub work\", \"task_name\": \"sub\"}","call_id":"call_5_1"},"metadata":{"sampled_through_sequence":19}}
{"ordinal":42,"timestamp":"2026-11-21T18:47:53.011Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":43,"timestamp":"2026-11-21T18:47:53.036Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"SubAgentActivity","model":"gpt-6-astra","id":"call_5_1","kind":"started","agent_thread_id":"01a1ff6f-b3b8-7b40-a659-6fd576259ffb","agent_path":"/root/sub"}}}
{"ordinal":44,"timestamp":"2026-11-21T18:47:53.042Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_5_1","output":"{\"task_name\":\"/root/sub\"}"},"metadata":{"sampled_through_sequence":19}}
{"ordinal":53,"timestamp":"2026-11-21T18:47:57.126Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},"metadata":{"sampled_through_sequence":23}}
{"ordinal":54,"timestamp":"2026-11-21T18:47:57.128Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":57,"timestamp":"2026-11-21T18:47:57.161Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-4160b714-5098-4cad-8eab-745248f70007","command":["/bin/bash","-lc","cat; echo got"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"","exit_code":-1,"duration":{"secs":4,"nanos":673484466}}}}
"""  # noqa: E501
SUB_LOG = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:47:53.018Z","type":"session_meta","payload":{"id":"01a1ff6f-b3b8-7b40-a659-6fd576259ffb","parent_thread_id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:53.018Z","cwd":"/home/agent/task","agent_nickname":"Maxwell","agent_path":"/root/sub","subagent_history_start_ordinal":28,"multi_agent_version":"v2"}}
{"ordinal":1,"timestamp":"2026-11-21T18:47:53.018Z","type":"session_meta","payload":{"id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:51.694Z","cwd":"/home/agent/task"}}
{"ordinal":8,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</tim"}]},"metadata":{"sampled_through_sequence":0,"inherited_user_message":true}}
{"ordinal":10,"timestamp":"2026-11-21T18:47:53.019Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":11,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0,"inherited_user_message":true}}
{"ordinal":12,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null},"metadata":{"sampled_through_sequence":7,"inherited_user_message":true}}
{"ordinal":24,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"function_call","name":"spawn_agent","namespace":"collaboration","arguments":"{\"message\": \"sub work\", \"task_name\": \"sub\"}","call_id":"call_5_1"},"metadata":{"sampled_through_sequence":19,"inherited_user_message":true}}
{"ordinal":33,"timestamp":"2026-11-21T18:47:53.058Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":34,"timestamp":"2026-11-21T18:47:53.068Z","type":"inter_agent_communication_metadata","payload":{"trigger_turn":true}}
{"ordinal":35,"timestamp":"2026-11-21T18:47:53.068Z","type":"response_item","payload":{"type":"agent_message","id":"amsg_01a1ff6f-b3ec-7721-ae83-e068e3af725d","author":"/root","recipient":"/root/sub","content":[{"type":"input_text","text":"Message Type: NEW_TASK\nTask name: /root/sub\nSender: /root\nPayload:\n"},{"type":"encrypted_content","encrypted_content":"sub work"}]},"metadata":{"sampled_through_sequence":19}}
{"ordinal":36,"timestamp":"2026-11-21T18:47:53.093Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_6_1","name":"exec","namespace":"functions","input":"text((await tools.exec_command({\"cmd\": \"sleep 4\"})).output)"},"metadata":{"sampled_through_sequence":25}}
{"ordinal":37,"timestamp":"2026-11-21T18:47:53.100Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":38,"timestamp":"2026-11-21T18:47:57.124Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-1b3b05be-5ba4-432f-bcdf-b78f839c265c","command":["/bin/bash","-lc","sleep 4"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"","exit_code":0,"duration":{"secs":3,"nanos":855511770}}}}
{"ordinal":39,"timestamp":"2026-11-21T18:47:57.127Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_6_1","output":[{"type":"input_text","text":"Script completed\nWall time 4.0 seconds\nOutput:\n"},{"type":"input_text","text":""}]},"metadata":{"sampled_through_sequence":25}}
{"ordinal":42,"timestamp":"2026-11-21T18:47:57.153Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},"metadata":{"sampled_through_sequence":27}}
{"ordinal":43,"timestamp":"2026-11-21T18:47:57.154Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
"""  # noqa: E501
COMPACTED = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:48:08.684Z","type":"session_meta","payload":{"id":"01a1ff6f-f0d7-72c3-b4f5-113b9806504b","timestamp":"2026-11-21T18:48:08.666Z","cwd":"/home/agent/task"}}
{"ordinal":3,"timestamp":"2026-11-21T18:48:08.716Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</timezone>\n  <f"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":5,"timestamp":"2026-11-21T18:48:08.719Z","type":"turn_context","payload":{"model":"scripted"}}
{"ordinal":7,"timestamp":"2026-11-21T18:48:08.724Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":9,"timestamp":"2026-11-21T18:48:08.766Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"echo one\"}","call_id":"call_1_1"},"metadata":{"sampled_through_sequence":3}}
{"ordinal":10,"timestamp":"2026-11-21T18:48:08.769Z","type":"token_usage_record","payload":{"usage":{"input_tokens":400000,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":50,"reasoning_output_tokens":0}}}
{"ordinal":11,"timestamp":"2026-11-21T18:48:08.815Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"call_1_1","command":["/bin/bash","-lc","echo one"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"one\n","exit_code":0,"duration":{"secs":0,"nanos":5548}}}}
{"ordinal":12,"timestamp":"2026-11-21T18:48:08.820Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_1_1","output":"Chunk ID: 058466\nWall time: 0.0000 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\none\n"},"metadata":{"sampled_through_sequence":3}}
{"ordinal":15,"timestamp":"2026-11-21T18:48:08.836Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"OK"}]},"metadata":{"sampled_through_sequence":3,"compaction_output":true}}
{"ordinal":16,"timestamp":"2026-11-21T18:48:08.836Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":18,"timestamp":"2026-11-21T18:48:08.839Z","type":"compacted","payload":{"message":"Another language model started to solve this problem and produced a summary of its thinking process. You also have access to the state of the tools that were us","replacement_history_metadata":[{"sampled_through_sequence":3},{"sampled_through_sequence":3},{"sampled_through_sequence":0},{"sampled_through_sequence":3}],"retained_context":{"verified_answers":[],"incomplete":false,"user_messages":[{"order":0,"message_id":"msg_01a1ff6f-f114-7112-afcf-7c86de3511f0","text":"do it","complete":true}],"user_messages_incomplete":false,"assistant_messages":[],"assistant_messages_incomplete":false,"next_order":2},"window_number":1,"first_window_id":"01a1ff6f-f0da-7523-8379-30ba750f1830","previous_window_id":"01a1ff6f-f0da-7523-8379-30ba750f1830","window_id":"01a1ff6f-f186-77c3-814b-fcbd3c9c140d","compaction_response_id":"resp_scripted2","latest_token_usage_record":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}},"resume_metadata":{"dynamic_tools":{"tools":[]},"multi_agent_version":"v1","last_started_turn_id":"01a1ff6f-f0e7-72c2-aa2b-00a19d36514c","turn_attribution":{"turn_trigger":"exec","parent_turn_id":null,"initiating_agent_path":null},"previous_turn_settings":{"model":"scripted","comp_hash":null,"realtime_active":false}}}}
{"ordinal":20,"timestamp":"2026-11-21T18:48:08.839Z","type":"turn_context","payload":{"model":"scripted"}}
{"ordinal":23,"timestamp":"2026-11-21T18:48:08.842Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"ContextCompaction","id":"01a1ff6f-f176-72e0-bab7-00c317a2912b"}}}
{"ordinal":24,"timestamp":"2026-11-21T18:48:08.859Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"echo one\"}","call_id":"call_1_1"},"metadata":{"sampled_through_sequence":9}}
{"ordinal":25,"timestamp":"2026-11-21T18:48:08.860Z","type":"token_usage_record","payload":{"usage":{"input_tokens":400000,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":50,"reasoning_output_tokens":0}}}
"""  # noqa: E501

# Of codex 0.145.0 with a model that it does not know.
OLDER = r"""
{"timestamp":"2026-11-21T19:13:37.881Z","type":"session_meta","payload":{"id":"01a1ff87-40cb-7662-ae7a-acd8fecc0607"}}
{"timestamp":"2026-11-21T19:13:37.886Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</timezone>\n  <filesystem"}]}}
{"timestamp":"2026-11-21T19:13:37.889Z","type":"turn_context","payload":{"model":"scripted"}}
{"timestamp":"2026-11-21T19:13:37.897Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"Copy /home/agent/task/inputs/word.txt to /home/agent/task/output.\n"}]}}
{"timestamp":"2026-11-21T19:13:37.926Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null}}
{"timestamp":"2026-11-21T19:13:37.926Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"cat inputs/word.txt; id\"}","call_id":"call_1_2"}}
{"timestamp":"2026-11-21T19:13:37.981Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_1_2","output":"Chunk ID: 9b86b2\nWall time: 0.0000 seconds\nProcess exited with code 0\nOriginal token count: 15\nOutput:\n543613204uid=1000(agent) gid=1000(agent) groups=1000(agen"}}
{"timestamp":"2026-11-21T19:13:37.982Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":1000,"cached_input_tokens":400,"cache_write_input_tokens":50,"output_tokens":50,"reasoning_output_tokens":20}}}}
{"timestamp":"2026-11-21T19:13:38.165Z","type":"response_item","payload":{"type":"function_call","name":"click","namespace":"mcp__desktop","arguments":"{\"coordinate\": [100, 100]}","call_id":"call_3_1"}}
{"timestamp":"2026-11-21T19:13:38.167Z","type":"response_item","payload":{"type":"function_call","name":"type","namespace":"mcp__desktop","arguments":"{\"text\": \"abc\"}","call_id":"call_3_2"}}
{"timestamp":"2026-11-21T19:13:38.182Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_3_1","output":"Wall time: 0.0133 seconds\nOutput:\n[{\"type\":\"text\",\"text\":\"Clicked left at [100, 100].\"}]"}}
{"timestamp":"2026-11-21T19:13:38.207Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_3_2","output":"Wall time: 0.0233 seconds\nOutput:\n[{\"type\":\"text\",\"text\":\"Typed 3 characters.\"}]"}}
{"timestamp":"2026-11-21T19:13:38.207Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}}
{"timestamp":"2026-11-21T19:13:38.378Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]}}
{"timestamp":"2026-11-21T19:13:38.378Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}}
"""  # noqa: E501
