"""The real Codex CLI in sandboxes, examined as a user does it, against a scripted model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_ale.harnesses import codex_inside
from pytest_ale.harnesses.codex import Codex

from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.program import Brief, Server
from pytest_ale.sandbox import Fault
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
from pytest_ale.trajectory import Step, ToolCall, Trajectory, check, load

from .conftest import CACHE, MAIN, Project
from .reading import of_agent, pairs, told

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


@pytest.mark.once
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
    steps = of_agent(trajectory)
    first, second, third, *_, last = steps
    assert (first.message, first.reasoning_content) == ("I look.", "First the word.")
    assert pairs(steps) == [
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
    redone = [name for name, _ in pairs(load(again["folder"] / "trajectory.json").steps)]
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


@pytest.mark.once
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
    steps = of_agent(trajectory)
    assert {step.model_name for step in steps} == set(record["models"])
    scripted = steps[1]
    assert [name for name, _ in pairs([scripted])] == [
        *("exec", "apply_patch", "exec_command", "exec_command")
    ]
    assert scripted.tool_calls and scripted.tool_calls[1].extra == {"called_by": "call_2_1"}
    assert "-two\n+TWO" in pairs([scripted])[1][1]["input"]
    assert '"exit_code": 4' in told(scripted) and "wrong" in told(scripted)
    (below,) = trajectory.subagent_trajectories or ()
    (spawning,) = [s for s in steps if "collaboration__spawn_agent" in dict(pairs([s]))]
    assert below.trajectory_id and below.trajectory_id in told(spawning)
    assert below.agent.name == "/root/writer"
    theirs = of_agent(below)
    assert below.steps[0].source == "user" and "Write it." in str(below.steps[0].message)
    _whole([*steps, *theirs], record)
    again = replay(project.path, record, "--ale-provider=docker")
    assert (again["outcome"], again["score"]) == ("scored", 1.0), again["messages"]


# Where its model's server fails.


@pytest.mark.once
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
    assert len(of_agent(trajectory)) == 2


# How it ends.

FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
# Twice: at the first it only takes its own handler, for an overflow of its stack, away.
COPY = Call("shell", {"command": "cp inputs/word.txt output"})


@pytest.mark.once
@pytest.mark.parametrize(
    ("script", "words", "outcome", "message"),
    [
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
    ids=["timeout", "budget", "refused"],
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
    done = pairs(steps)
    assert done[0] == ("exec_command", {"cmd": "cp inputs/word.txt output"})
    assert len(done) == 2


# What its files and knobs are.


def program() -> str:
    """The program itself, out of its kit."""
    kit = Codex.package.kit_of()
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


@pytest.mark.once
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
        ("coordinates=inches", "allowed: pixels, thousandths"),
        ("speed=1", "known: codex: coordinates, effort, summaries, web_search, subagents, config"),
    ],
)
def test_a_knob_that_means_nothing_is_refused(knob: str, said: str) -> None:
    with pytest.raises(BadAgent, match=said):
        parse_agents(("codex",), (knob,), lambda _: Codex())


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


@pytest.mark.parametrize(("home", "boxed"), [("/home/agent", True), ("/tmp/ale-1/home", False)])
def test_its_databases_are_in_memory_where_that_is_the_sandboxs_own(home: str, boxed: bool) -> None:
    knobs = {name: knob.default or "" for name, knob in Codex.knobs.items()}
    brief = Brief("Hello.", "m", "http://h:1", CANARY, {}, knobs, home, f"{home}/task")
    assert ("/dev/shm/" in Codex().files(brief)[".codex/config.toml"]) is boxed
