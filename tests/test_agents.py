"""The built-in agents, as a user runs them: oracle, nop, script, replay and human."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_ale.harness import BadAgent, parse_agents
from pytest_ale.providers.local import LocalProvider
from pytest_ale.registry import HARNESSES, harness_named
from pytest_ale.sandbox import SandboxSpec
from pytest_ale.trajectory import check, load

from .conftest import Project
from .terminal import Terminal

# Of what the extras bring, nothing can be imported.
PLAIN = """
import sys
from pytest_ale.cli import main

EXTRAS = ("Xlib", "aiohttp", "docker", "genai_prices", "httpx2", "mcp", "pydantic_ai", "websockets")
sys.modules.update(dict.fromkeys(EXTRAS))
sys.exit(main(["agents"]))
"""
COPY = 'cp "$ALE_INPUTS/word.txt" "$ALE_OUTPUT"\n'


def scripted(project: Project, text: str, name: str = "agent.sh") -> list[str]:
    """Options that run a script of this text."""
    path = project.path / name
    path.write_text(textwrap.dedent(text))
    return ["--ale-agent=script", f"--ale-knob=script:path={path}"]


def replayed(path: Path, *more: str) -> list[str]:
    return ["--ale-agent=replay", f"--ale-knob=replay:path={path}", *more]


# script


def test_a_plain_installation_knows_all_agents() -> None:
    listed = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert {"codex", "acp", "claw"} <= {line.split(" ")[0] for line in listed.stdout.splitlines()}


def test_a_script_without_a_first_line_is_run_by_sh(project: Project) -> None:
    project.task()
    said = """
    echo "args: $#, prompt: $(cat "$ALE_PROMPT_FILE")"
    echo "in $ALE_INPUTS, out $ALE_OUTPUT, at $PWD, home $HOME" >&2
    cp "$ALE_INPUTS/word.txt" "$ALE_OUTPUT"
    exit 3
    """
    result = project.run("tasks", *scripted(project, said))
    assert result.ret == 0  # what it left is graded, however it ended
    result.stdout.fnmatch_lines(["*1 ended with crashed"])
    logs = project.attempt() / "agent"
    task = "/home/agent/task"
    assert (logs / "stdout.log").read_text() == (
        f"args: 0, prompt: Copy {task}/inputs/word.txt to {task}/output.\n"
    )
    assert (logs / "stderr.log").read_text() == (
        f"in {task}/inputs, out {task}/output, at {task}, home /home/agent\n"
    )
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("crashed", 1.0)
    assert str(record["message"]).startswith(f"the script ended with exit status 3: in {task}/inp")


def test_a_script_with_a_first_line_is_run_by_what_it_names(project: Project) -> None:
    project.task()
    program = """\
    #!/usr/bin/env python3
    import os, shutil, sys
    shutil.copy(os.environ["ALE_INPUTS"] + "/word.txt", os.environ["ALE_OUTPUT"])
    sys.stdout.buffer.write(b"\\xff\\xfe bytes\\n")
    """
    result = project.run("tasks", *scripted(project, program))
    result.assert_outcomes(passed=1)
    assert (project.attempt() / "agent/stdout.log").read_text() == "\ufffd\ufffd bytes\n"
    assert project.results[0]["outcome"] == "scored"


def test_a_script_that_does_not_end_is_stopped_with_all_it_started(project: Project) -> None:
    project.task()
    mark = f"100.{uuid.uuid4().int}"
    endless = f"""
    echo so far
    {COPY}
    setsid nohup sleep {mark} &
    sleep {mark}
    """
    result = project.run("tasks", *scripted(project, endless), "--ale-timeout=1")
    result.assert_outcomes(passed=1)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("timeout", 1.0)
    assert record["message"] == "the script was still at work when its time was over"
    assert (project.attempt() / "agent/stdout.log").read_text() == "so far\n"
    assert processes(mark) == []


def processes(mark: str) -> list[str]:
    """Command lines on this machine that hold a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return [line for line in found if mark in line]


def wait_for_process(line: str) -> None:
    deadline = time.monotonic() + 20
    while line not in processes(line):
        assert time.monotonic() < deadline, f"no process {line!r}"
        time.sleep(0.05)


SPY = """\
#!/usr/bin/env python3
import glob, os, socket, subprocess

def report(what):
    with open(os.environ["ALE_OUTPUT"] + "/found.txt", "a") as file:
        file.write(str(what)[:500] + "\\n")

def listed(path):
    try:
        return os.listdir(path)
    except OSError:
        return []

find = ["find", "/", "-path", "/proc/*/task", "-prune", "-o", "-name", "*MARK*", "-print"]
seen = subprocess.run(find, capture_output=True, text=True).stdout
for line in seen.splitlines():
    report("a file: " + line)
for path in PATHS:
    if os.path.lexists(path):
        report("a place: " + path)
for path in ("/root", "/home"):
    for name in listed(path):
        if (path, name) not in VISIBLE:
            report("a home: " + path + "/" + name)
for path in glob.glob("/proc/[0-9]*/*"):
    if os.path.basename(path) in ("cmdline", "environ", "mountinfo"):
        try:
            data = open(path, "rb").read().decode(errors="replace")
        except OSError:
            continue
        if "MARK" in data and not path.endswith("mountinfo"):
            report("a process: " + path)
        if "pytest" in data and not path.endswith("mountinfo"):
            report("the host's pytest: " + path + " " + data)
for address in (("127.0.0.1", PORT), ("HOST", PORT), ("10.0.0.1", 80)):
    try:
        socket.create_connection(address, timeout=1).close()
        report(f"network: {address}")
    except OSError:
        pass
for name in ("\\0MARK", "/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket"):
    try:
        socket.socket(socket.AF_UNIX).connect(name)
        report("a socket: " + repr(name))
    except OSError:
        pass
if len(socket.if_nameindex()) > 1:
    report(f"interfaces: {socket.if_nameindex()}")
open(os.environ["ALE_OUTPUT"] + "/done", "w").close()
"""


@pytest.fixture
def mark() -> str:
    return f"ale{uuid.uuid4().hex}"


@pytest.fixture
def lures(mark: str) -> Iterator[int]:
    """What a spy could find on this machine: a server, a socket, a process, another sandbox."""
    other = LocalProvider()
    sandbox = other.create(f"test-{mark}", SandboxSpec())
    sandbox.write(f"secret-{mark}", "of another agent")
    process = subprocess.Popen(["sh", "-c", f"sleep 60; : {mark}"])
    with socket.create_server(("0.0.0.0", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(f"\0{mark}")
        local.listen()
        yield server.getsockname()[1]
    process.kill()
    process.wait()
    other.destroy(f"test-{mark}")


def test_a_script_that_looks_around_finds_nothing(
    project: Project, mark: str, lures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.task(checks=None, main="def evaluate(): return 1.0")
    (folder / "reference").mkdir()
    (folder / "reference" / f"key-{mark}").write_text("the answer")
    monkeypatch.setenv("SECRET_KEY", mark)
    prefix = Path(sys.base_prefix).resolve()
    visible = {("/" + prefix.parts[1], prefix.parts[2])} if len(prefix.parts) > 2 else set()
    paths = [str(path) for path in (project.path, folder, Path(__file__), Path.cwd())]
    text = SPY.replace("MARK", mark).replace("PORT", str(lures))
    text = text.replace("HOST", _address()).replace("PATHS", repr(paths))
    text = text.replace("VISIBLE", repr(visible | {("/home", "agent")}))
    result = project.run("tasks", *scripted(project, text), f"--ale-dir=.ale-{mark}")
    result.assert_outcomes(passed=1)
    (output,) = project.path.glob(f".ale-{mark}/*/legal/copy/base/script/trial-1/*/output")
    found = (output / "found.txt").read_text() if (output / "found.txt").exists() else ""
    assert (output / "done").exists()
    assert found == ""


def _address() -> str:
    """An address of this host that is not the loopback's, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


# replay

WORKER = """
import hashlib
from pathlib import Path


def build(inputs, rng):
    (inputs / "word.txt").write_text(str(rng.randrange(10**9)))


def solve(sandbox):
    out = sandbox.output
    sandbox.write(out + "/small.txt", "grün")
    sandbox.write(out + "/binary", bytes(range(256)))
    sandbox.write(out + "/large", b"\\xff\\x00" * 300_000)
    local = Path("tree")
    (local / "deep").mkdir(parents=True)
    (local / "deep" / "file").write_bytes(b"put")
    sandbox.put(local, out + "/tree")
    sandbox.exec(["cp", sandbox.inputs + "/word.txt", out], check=True)
    sandbox.exec("cat > output/stdin", stdin=b"\\x80\\n")
    sandbox.exec("cat > nothing; echo $WORD > word", stdin=b"", cwd="output", env={"WORD": "w"})
    sandbox.exec("echo once >> output/said; exit 7")
    sandbox.exec("echo '%s' > output/long" % ("x" * 120_000))


def evaluate(output, check):
    found = {str(p.relative_to(output)): p.read_bytes() for p in output.rglob("*") if p.is_file()}
    for name, content in WANTED.items():
        with check(name):
            assert found[name] == content
    with check("a word"):
        assert found["word.txt"].isdigit()


WANTED = {
    "small.txt": "grün".encode(),
    "binary": bytes(range(256)),
    "large": b"\\xff\\x00" * 300_000,
    "tree/deep/file": b"put",
    "stdin": b"\\x80\\n",
    "nothing": b"",
    "word": b"w\\n",
    "said": b"once\\n",
    "long": b"x" * 120_000 + b"\\n",
}
"""
WORKED = ["small.txt", "binary", "large", "tree/deep/file", "stdin", "nothing", "word", "said"]
WORKED += ["long", "a word"]


def worker(project: Project) -> None:
    project.task("work", main=WORKER, checks={name: {} for name in WORKED})


def test_a_run_is_replayed_to_the_same_score_in_fresh_sandboxes(project: Project) -> None:
    worker(project)
    project.task()
    project.run("tasks", *scripted(project, COPY), "--ale-agent=oracle").assert_outcomes(
        passed=3, failed=1
    )
    first = {(r["task"], r["agent"]): r for r in project.results}
    recorded = project.attempt(task="legal/copy", agent="script") / "trajectory.json"
    run = project.runs[-1]
    again = project.run("tasks", *replayed(run, "--ale-knob=replay:agent=oracle"), "-n2")
    again.assert_outcomes(passed=2)
    for record in project.results:
        assert record["score"] == first[record["task"], "oracle"]["score"]
        assert record["output"] == first[record["task"], "oracle"]["output"]
        assert record["lease"] != first[record["task"], "oracle"]["lease"]
    project.run("tasks", "-k", "copy", *replayed(recorded)).assert_outcomes(passed=1)


def test_a_recording_without_walls_is_replayed_in_another_home(project: Project) -> None:
    worker(project)
    open_to_all = {"ALE_LOCAL_MODE": "none"}
    project.run("tasks", env=open_to_all).assert_outcomes(passed=1)
    assert "/home/agent" not in (project.attempt() / "trajectory.json").read_text()
    recorded = project.runs[-1]
    project.run("tasks", *replayed(recorded)).assert_outcomes(passed=1)
    project.run(
        "tasks", *replayed(recorded), "--ale-unsafe-local", env=open_to_all
    ).assert_outcomes(passed=1)


def test_replay_and_script_are_as_untrusted_as_each_other(project: Project) -> None:
    project.task()
    project.run("tasks").assert_outcomes(passed=1)
    agents = [*replayed(project.runs[-1]), *scripted(project, COPY)]
    open_to_all = {"ALE_LOCAL_MODE": "none"}
    result = project.run("tasks", *agents, "-rs", env=open_to_all)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*not runnable on provider local*--ale-unsafe-local"])
    assert {r["outcome"] for r in project.results} == {"unrunnable"}
    result = project.run("tasks", *agents, "--ale-unsafe-local", env=open_to_all)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["ale:*unsafe-local=True (from option)*"])
    assert {r["isolation"] for r in project.results} == {"none (unsafe)"}


def document(*calls: Mapping[str, object], name: str = "oracle") -> str:
    """A trajectory of these tool calls, as another program might have written it."""
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": "do"}]
    for number, call in enumerate(calls, 2):
        called = {"tool_call_id": f"c{number}", **call}
        steps.append({"step_id": number, "source": "agent", "message": "", "tool_calls": [called]})
    agent = {"name": name, "version": "1"}
    return json.dumps({"schema_version": "ATIF-v1.8", "agent": agent, "steps": steps})


BROKEN = {
    "no JSON": ("{", "is not a valid trajectory: $: is not JSON"),
    "no steps": (
        '{"schema_version": "ATIF-v1.8", "agent": {"name": "a", "version": "1"}, "steps": []}',
        "is not a valid trajectory: $.steps: must not be empty",
    ),
    "another format": ('{"messages": []}', "is not a valid trajectory: $.agent: is required"),
    "bytes": ("\udcff\udcfe", "can't decode byte"),
    "a foreign agent": (document(name="stranger"), "unknown agent 'stranger'; known: "),
    "a person": (document(name="human"), "is of agent human: what a person typed is not recorded"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_recording_that_cannot_be_replayed_is_refused(tmp_path: Path, kind: str) -> None:
    text, said = BROKEN[kind]
    path = tmp_path / "trajectory.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for name in ("replay", "human"):
        HARNESSES.register(name, f"pytest_ale.harnesses.{name}:{name.title()}")
    with pytest.raises(BadAgent) as error:
        parse_agents(("replay",), (f"path={path}",), harness_named)
    assert said in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_replay_cannot_use_is_a_usage_error_of_one_line(project: Project) -> None:
    project.task()
    (project.path / "empty").mkdir()
    (project.path / "bad.json").write_text("{")
    for path, said in {
        "empty": "*/empty is no run directory: it has no run.json",
        "bad.json": "*/bad.json is not a valid trajectory: *",
        "gone.json": "*knob path='gone.json': there is no such file or folder",
    }.items():
        result = project.run("tasks", *replayed(Path(path)))
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert result.errlines[0] == "" or "Traceback" not in result.stderr.str()
        result.stderr.fnmatch_lines([f"ERROR: pytest-ale: {said}"])


def call(name: str, **arguments: object) -> dict[str, object]:
    return {"function_name": name, "arguments": arguments}


CALLS = {
    "tool": ([call("browse", url="x")], "recorded call browse(url) cannot be done again"),
    "argument": ([call("write", path="a")], "recorded call write(path) cannot be done again"),
    "content": ([call("write", path="a", content=7)], "written content cannot be restored: 7"),
    "file": (
        [call("write", path="a", content={"file": "written/0"})],
        "the trajectory lies without its file */written/0: replay it where it was recorded",
    ),
    "outside": (
        [call("write", path="a", content={"file": "../../../../../../../etc/passwd"})],
        "the trajectory lies without its file *",
    ),
}


def test_a_foreign_recording_is_a_fault_that_says_which_call(project: Project) -> None:
    run = project.path / "foreign"
    run.mkdir()
    (run / "run.json").write_text("{}")
    for name, (calls, _) in CALLS.items():
        project.task(name)
        attempt = run / f"legal/{name}/base/oracle/trial-1/attempt-1"
        attempt.mkdir(parents=True)
        (attempt / "trajectory.json").write_text(document(*calls))
    project.task("unrecorded")
    result = project.run("tasks", *replayed(run), "--ale-max-faults=0")
    assert result.ret == 6
    said = {str(r["task"]): r["message"] for r in project.results}
    for _, text in CALLS.values():
        result.stdout.fnmatch_lines([f"infrastructure fault in phase run, no score: *{text}"])
    assert said["legal/unrecorded"] == f"{run} holds no recording of legal/unrecorded/base"
    assert len(project.results) == len(CALLS) + 1  # none is tried twice: it would fail again


def test_a_recorded_path_outside_the_sandbox_is_the_agent_s_failing(project: Project) -> None:
    project.task()
    path = project.path / "trajectory.json"
    path.write_text(document(call("write", path="/etc/motd", content="x")))
    project.run("tasks", *replayed(path)).assert_outcomes(failed=1)
    (record,) = project.results
    assert record["outcome"] == "crashed"
    assert "UnsafePath: '/etc/motd' lies outside" in str(record["message"])


def test_of_several_recordings_the_last_with_a_score_is_replayed(project: Project) -> None:
    project.task()
    project.run("tasks", "--ale-agent=oracle", "--ale-agent=nop")
    run = project.runs[-1]
    result = project.run("tasks", *replayed(run))
    result.stdout.fnmatch_lines(
        [f"*{run} holds recordings of nop, oracle: --ale-knob replay:agent=NAME"]
    )
    trial = run / "legal/copy/base/oracle/trial-1"
    for number in (2, 10):  # without a score: begun and lost
        (trial / f"attempt-{number}").mkdir()
        (trial / f"attempt-{number}/trajectory.json").write_text(document())
    words = ["--ale-knob=replay:agent=oracle"]
    project.run("tasks", *replayed(run, *words)).assert_outcomes(passed=1)


# What every agent leaves behind.

FAULTY = {
    "build": "def build(): 1 / 0",
    "setup": "def setup(sandbox): 1 / 0",
    "evaluate": "",
}


def test_every_trajectory_is_valid_also_after_a_fault(project: Project) -> None:
    project.task()
    for phase, text in FAULTY.items():
        body = "return 1 / 0" if phase == "evaluate" else "return 1.0"
        main = f"{text}\ndef solve(sandbox): pass\ndef evaluate(): {body}\n"
        project.task(phase, main=main, checks=None)
    agents = ["--ale-agent=oracle", "--ale-agent=nop", *scripted(project, COPY)]
    result = project.run("tasks", *agents)
    assert result.ret == 6
    found = sorted(project.runs[-1].rglob("trajectory.json"))
    assert len(found) == 3 * 3  # a fault in build leaves nothing that an agent was told
    for path in found:
        assert check(path) == []
        trajectory = load(path)
        assert trajectory.agent.name == path.parts[-4]
        assert trajectory.steps[0].source == "user"
        assert "word.txt to /home/agent/task/output" in str(trajectory.steps[0].message)


def test_a_trajectory_holds_each_call_with_its_result(project: Project) -> None:
    project.task()
    project.run("tasks", *scripted(project, "echo hello\nexit 5\n"))
    steps = load(project.attempt() / "trajectory.json").steps
    calls = [step.tool_calls[0] for step in steps[1:] if step.tool_calls]
    assert [each.function_name for each in calls] == ["write", "exec"]
    assert calls[0].arguments["content"] == "echo hello\nexit 5\n"
    assert steps[2].observation is not None
    (result,) = steps[2].observation.results
    assert result.content == "hello\n" and result.extra is not None
    assert result.extra["returncode"] == 5


# human

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]


def test_a_person_works_in_a_shell_and_is_graded(project: Project) -> None:
    project.task()
    with Terminal([*PYTEST, "tasks", "--ale-agent=human"], project.path) as terminal:
        terminal.wait_for("You are in the sandbox of legal/copy [base]")
        terminal.wait_for("$ ")
        mark = f"100.{uuid.uuid4().int}"
        terminal.type(f"sleep {mark}\n")
        wait_for_process(f"sleep\0{mark}\0")
        terminal.type("\x03")
        terminal.wait_for("$ ")
        terminal.type(
            'cp "$ALE_INPUTS/word.txt" "$ALE_OUTPUT"; cat prompt.md; test -t 0 && echo ok\n'
        )
        terminal.wait_for("Copy /home/agent/task/inputs/word.txt")
        terminal.wait_for("ok")
        terminal.type("exit 3\n")
        status, shown = terminal.end()
    assert status == 0, shown
    assert "1 passed" in shown
    (record,) = project.results
    assert (record["agent"], record["outcome"], record["score"]) == ("human", "scored", 1.0)
    assert check(project.attempt() / "trajectory.json") == []


def test_ale_shell_is_short_for_it(project: Project) -> None:
    project.task(variants=[{"id": "a"}, {"id": "b"}])
    project.pytester.makeini("[pytest]\naddopts = -n 2\n")
    words = [str(Path(sys.executable).with_name("ale")), "shell", "legal/copy", "--variant=b"]
    with Terminal(words, project.path) as terminal:
        terminal.wait_for("You are in the sandbox of legal/copy [b]")
        terminal.wait_for("$ ")
        terminal.type("\x04")
        status, shown = terminal.end()
    assert status == 1, shown
    assert "failed: is there" in shown
    assert [record["variant"] for record in project.results] == ["b"]


@pytest.mark.parametrize("many", ["-n2", "--ale-concurrency=2"])
def test_a_person_needs_a_terminal_alone(project: Project, many: str) -> None:
    project.task()
    with Terminal([*PYTEST, "tasks", "--ale-agent=human", many], project.path) as terminal:
        status, shown = terminal.end()
    assert status == pytest.ExitCode.USAGE_ERROR
    told = f"agent human needs the terminal: leave out {many.rstrip('=2')}"
    assert f"ERROR: pytest-ale: {told}" in shown
    alone = subprocess.run(
        [*PYTEST, "tasks", "--ale-agent=human"],
        cwd=project.path,
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert alone.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: pytest-ale: agent human needs a terminal" in alone.stderr
