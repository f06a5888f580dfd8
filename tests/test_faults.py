"""Faults of everything around the agent: providers, disks, signals. Never a score of 0."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from junitparser import JUnitXml

from .conftest import Project

# A provider that does its worst at the attempts that a task's name tells.
PROVIDER = """
import time
from pathlib import Path
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import ProviderFault, SandboxLost

HERE = Path(__file__).parent

class Sandbox:
    def __init__(self, sandbox, hurt):
        self.real, self.hurt = sandbox, hurt

    def __getattr__(self, name):
        self.hurt(name)
        return getattr(self.real, name)

class Bad(LocalProvider):
    name = "bad"

    def create(self, lease, spec):
        _, task, _, agent, _, attempt = spec.labels["attempt"].split("/")
        number, _, verifier = attempt.removeprefix("attempt-").partition(" ")

        def hurt(deed):
            if task == f"slow_{deed}":
                (HERE / f"{task}.begun").touch()
                time.sleep(60)
            if number == "1" and task == f"lost_{deed}{verifier and '_verifier'}":
                raise SandboxLost("the machine was switched off")

        if task == "twice" and int(number) < 3 or task == "never":
            raise ProviderFault(f"there is no room for {task} today")
        if task == "buggy":
            raise KeyError("a bug")
        if task == "slow_lease":
            super().create(lease, spec)
            hurt("lease")
        if task == "hung":
            time.sleep(3)
        if task == "unreleased":
            self.stuck = lease
        return Sandbox(super().create(lease, spec), hurt)

    def destroy(self, lease):
        if lease == getattr(self, "stuck", ""):
            raise ProviderFault("the machine does not answer")
        super().destroy(lease)

def pytest_ale_providers(register):
    register("bad", Bad.from_settings)
"""

MAIN = """
def evaluate(output, verifier):
    return float((output / "a").exists()) if verifier.exec("true").returncode == 0 else 0.0

def solve(sandbox):
    sandbox.exec(["touch", sandbox.output + "/a"], check=True)
"""


@pytest.fixture
def bad(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the bad provider, its sandboxes in a folder of their own."""
    project.pytester.makeconftest(PROVIDER)
    project.pytester.makeini("[pytest]\nale_provider = bad\n")
    (project.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "tmp"))
    return project


def left(project: Project) -> list[str]:
    """What is left of sandboxes, workspaces and scratch folders."""
    return sorted(path.name for path in (project.path / "tmp").glob("ale-*"))


def attempts(project: Project, task: str, run: str = ".ale") -> list[dict[str, object]]:
    paths = (project.path / run).glob(f"*/legal/{task}/base/*/trial-1/attempt-*/attempt.json")
    return [json.loads(path.read_text()) for path in sorted(paths)]


# Providers.


def test_what_a_fresh_sandbox_cures_is_tried_again_and_its_evidence_kept(bad: Project) -> None:
    cured = {
        "twice": (3, "lease", "there is no room for twice today"),
        "lost_put": (2, "stage", "the machine was switched off"),
        "lost_exec": (2, "run", "the machine was switched off"),
        "lost_stop": (2, "stop", "the machine was switched off"),
        "lost_get": (2, "collect", "the machine was switched off"),
        "lost_exec_verifier": (2, "grade", "the machine was switched off"),
    }
    for name in cured:
        bad.task(name, main=MAIN, checks={})
    result = bad.run("tasks", "--junitxml=r.xml", "-Werror", "-n2")
    result.assert_outcomes(passed=len(cured))
    assert result.ret == 0
    numbers = dict(
        re.findall(r'classname="tasks.legal.(\w+).*?ale.attempts" value="(\d)"', junit(bad))
    )
    for name, (number, phase, message) in cured.items():
        *failed, last = attempts(bad, name)
        assert numbers[name] == str(last["attempt"]) == str(number)
        assert (last["outcome"], last["score"]) == ("scored", 1.0)
        assert len(failed) == number - 1
        for record in failed:
            assert (record["outcome"], record["score"], record["phase"]) == ("fault", None, phase)
            assert record["message"] == message
    assert len(bad.results) == sum(number for number, _, _ in cured.values())
    result.stdout.fnmatch_lines(["all *6 *6 *1.000 *6 (100%) *0 *"])
    assert left(bad) == []


def junit(project: Project) -> str:
    return (project.path / "r.xml").read_text().replace("\n", " ")


def test_what_no_sandbox_cures_is_an_error_and_never_a_0(bad: Project) -> None:
    for name in ("never", "buggy", "hung", "unreleased", "fine"):
        bad.task(name, main=MAIN, checks={})
    result = bad.run("tasks", "--ale-retries=1", "--ale-phase-timeout=2")
    result.assert_outcomes(passed=2, errors=3)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        [
            "infrastructure fault in phase lease, no score: KeyError: 'a bug'",
            "Traceback (most recent call last):",
            "infrastructure fault in phase lease, no score: lease did not end within 2 s",
            "infrastructure fault in phase lease, no score: there is no room for never today",
            "all *5 *2 *1.000 *2 (40%) *3 *",
            "not released *: *the machine does not answer; try `ale reap`",
        ]
    )
    tried = {name: len(attempts(bad, name)) for name in ("never", "buggy", "hung", "unreleased")}
    assert tried == {"never": 2, "buggy": 1, "hung": 2, "unreleased": 1}
    assert all(record["score"] in (None, 1.0) for record in bad.results)
    assert len(left(bad)) == 1  # the one that could not be released


# Disks.


def mounting(options: str) -> str | None:
    """Why no tmpfs can be mounted here by whoever runs the tests, or None."""
    try:
        script = f"mount -t tmpfs -o {options} tmpfs /mnt"
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True
        )
    except OSError as error:
        return str(error)
    return done.stderr if done.returncode else None


OnDisk = Callable[..., pytest.RunResult]


@pytest.fixture
def on_disk(project: Project, require: Callable[[str, str], None]) -> OnDisk:
    """Run pytest with its records on a tmpfs of its own, mounted with options."""

    def run(options: str, *words: str) -> pytest.RunResult:
        if why := mounting(options):
            require("unshare", f"no tmpfs can be mounted here: {why}")
        return run_on(project, options, *words)

    return run


def run_on(project: Project, options: str, *words: str) -> pytest.RunResult:
    (project.path / "disk").mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o {options} tmpfs disk && exec "$@"'
    pytest_itself = [sys.executable, "-m", "pytest", "--ale-dir=disk", *words]
    return project.pytester.run("unshare", "-rm", "sh", "-c", script, "sh", *pytest_itself)


def test_a_disk_that_is_full_is_a_fault_of_ours(project: Project, on_disk: OnDisk) -> None:
    project.task("a_first", main="def evaluate(): return 1.0\ndef solve(): pass", checks={})
    project.task("large", main=LARGE, checks={})
    project.task("recorded", main=FILLS, checks={})
    project.task("then", main="def evaluate(): return 1.0\ndef solve(): pass", checks={})
    result = on_disk("size=400k", "tasks", "--junitxml=r.xml")
    result.assert_outcomes(passed=1, errors=3)
    assert result.ret == 6
    result.stdout.re_match_lines(
        [
            r"infrastructure fault in phase run, no score: .*/disk/.*/written/.* cannot be"
            r" written: No space left on device",
            r"infrastructure fault in phase record, no score: .*/disk/.*/trajectory\.json cannot be"
            r" written: No space left on device",
            r"infrastructure fault.*, no score: .*/disk/.* cannot be .*: No space left on device",
            r"all +4 +1 +1\.000 .* 3 .*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    outcomes = re.findall('name="ale.outcome" value="([a-z]+)"', junit(project))
    assert outcomes == ["scored", "fault", "fault", "fault"]


LARGE = """
def solve(sandbox): sandbox.write(sandbox.output + "/a", b"x" * 1_000_000)
def evaluate(output): return 0.0
"""
# It fills the disk that the records are on.
FILLS = """
def solve(): pass
def evaluate(output):
    disk = output.parents[7]
    assert disk.is_mount()
    for size in (4096, 1):
        try:
            with open(disk / f"fill-{size}", "wb", buffering=0) as file:
                while True: file.write(bytes(size))
        except OSError: continue
    return 1.0
"""


def test_a_run_directory_that_cannot_be_written_is_told_with_a_way_out(
    project: Project, on_disk: OnDisk
) -> None:
    for name in ("one", "two"):
        project.task(name)
    result = on_disk("ro", "tasks", "-Werror", "--junitxml=r.xml")
    result.assert_outcomes(errors=2)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        [
            "run directory */disk/* cannot be written: Read-only file system; --ale-dir=DIR names"
            " another place",
            "all *2 *0 *- *0 (0%) *2 *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_one_may_not_write_is_told_alike(project: Project) -> None:
    project.task()
    (project.path / "locked").mkdir(mode=0o500)
    result = project.run("tasks", "--ale-dir=locked/runs")
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        ["run directory * cannot be written: Permission denied; --ale-dir*"]
    )


# Signals.

SLOW = """
import subprocess
from pathlib import Path
HERE = Path({here!r})

def pause(name):
    (HERE / f"{{name}}.begun").touch()
    subprocess.run(["setsid", "sleep", {seconds!r}])

def evaluate(): return 1.0

def {function}:
    pause({name!r})
    return 1.0
"""
HOOK = """
def pytest_ale_attempt_recorded(record):
    if record.task == "legal/slow_record":
        (HERE / "slow_record.begun").touch()
        time.sleep(60)
"""
SLEEP = {"build": "build()", "stage": "setup(sandbox)", "grade": "evaluate(check=None)"}


class Session:
    """A pytest at work on one slow task, as a user's shell has it."""

    def __init__(self, project: Project, task: str, *words: str) -> None:
        self.path, self.task = project.path, task
        self.tmp = project.path / f"tmp-{task}"
        self.tmp.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "pytest", f"tasks/legal/{task}", f"--ale-dir=runs-{task}"]
        command += [f"--junitxml={task}.xml", *words]
        self.process = subprocess.Popen(
            command,
            cwd=project.path,
            env=os.environ | {"TMPDIR": str(self.tmp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Signal it once its task is where it is slow."""
        wait_until((self.path / f"{self.task}.begun").exists, self.process)
        kill = os.killpg if group else os.kill  # a terminal's Ctrl-C is for the whole group
        kill(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """Return its exit status and its output."""
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        with self.process:
            pass

    @property
    def records(self) -> list[dict[str, object]]:
        paths = self.path.glob(f"runs-{self.task}/*/legal/*/base/*/trial-1/attempt-*/attempt.json")
        return [json.loads(path.read_text()) for path in sorted(paths)]

    @property
    def left(self) -> list[str]:
        """Sandboxes, workspaces and scratch folders that are there, and processes inside them."""
        mark = str(self.tmp).encode()
        folders = [path.name for path in self.tmp.glob("ale-*")]
        return sorted(folders) + [name for name, line in processes() if mark in line]


def processes() -> Iterator[tuple[str, bytes]]:
    """Each process by id, with its command line and environment."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield path.name, (path / "cmdline").read_bytes() + (path / "environ").read_bytes()


def wait_until(
    happened: Callable[[], object], process: subprocess.Popen[str] | None = None
) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        if process and process.poll() is not None:
            raise AssertionError(f"pytest ended before: {process.communicate()[0]}")
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen within 30 s")
        time.sleep(0.02)


@pytest.fixture
def slow(project: Project) -> Project:
    """Tasks that are slow in one phase each, and then say so by a file."""
    project.pytester.makeconftest(PROVIDER + HOOK)
    for phase in ("build", "lease", "stage", "exec", "stop", "get", "grade", "record"):
        name, main = f"slow_{phase}", "def evaluate(): return 1.0\ndef setup(sandbox): pass\n"
        if phase in SLEEP:
            named = {"name": name, "function": SLEEP[phase], "seconds": nap(60)}
            main = SLOW.format(here=str(project.path), **named)
        project.task(name, main=main + SOLVES, checks={})
    return project


def nap(seconds: int) -> str:
    """Seconds that no other run of these tests sleeps."""
    return f"{seconds}.{os.getpid()}"


SOLVES = "\ndef solve(sandbox): sandbox.exec('true')\n"
PHASES = {
    "slow_build": "build",
    "slow_lease": "lease",
    "slow_stage": "stage",
    "slow_exec": "run",
    "slow_stop": "stop",
    "slow_get": "collect",
    "slow_grade": "grade",
}


def test_ctrl_c_in_each_phase_leaves_a_record_and_nothing_else(slow: Project) -> None:
    with ExitStack() as stack:
        tasks = (*PHASES, "slow_record")
        all = [stack.enter_context(Session(slow, task, "--ale-provider=bad")) for task in tasks]
        for session in all:
            session.signal(signal.SIGINT)
        for session in all:
            status, said = session.end()
            assert status == 2, said
            assert "KeyboardInterrupt" in said
            assert "INTERNALERROR" not in said
            (record,) = session.records
            if session.task == "slow_record":
                assert (record["outcome"], record["score"]) == ("scored", 1.0)
            else:
                assert (record["outcome"], record["score"]) == ("cancelled", None), said
                assert record["phase"] == PHASES[session.task]
            assert session.left == [], session.task
            assert JUnitXml.fromfile(str(slow.path / f"{session.task}.xml")) is not None


def test_sigterm_and_workers_end_as_by_ctrl_c(slow: Project) -> None:
    endings = {
        "slow_exec": (signal.SIGTERM, False, ()),
        "slow_grade": (signal.SIGINT, True, ("-n2",)),
        "slow_stage": (signal.SIGTERM, False, ("-n2",)),
    }
    with ExitStack() as stack:
        all = [
            stack.enter_context(Session(slow, task, "--ale-provider=bad", *words))
            for task, (_, _, words) in endings.items()
        ]
        for session in all:
            number, group, _ = endings[session.task]
            session.signal(number, group=group)
        for session in all:
            status, said = session.end()
            assert status == 2, said
            assert [record["outcome"] for record in session.records] == ["cancelled"], said
            wait_until(lambda: session.left == [])  # noqa: B023
            assert (slow.path / f"{session.task}.xml").is_file()


def test_after_kill_9_nothing_lives_and_the_next_start_or_reap_leaves_nothing(
    slow: Project,
) -> None:
    (slow.path / "agent.sh").write_text(f"sleep {nap(67)}\n")
    slow.task("fine", main="def evaluate(): return 1.0\n" + SOLVES, checks={})
    script = ["--ale-agent=script", "--ale-knob", "path=agent.sh"]
    with Session(slow, "slow_grade") as grading, Session(slow, "fine", *script) as working:
        wait_until(lambda: running("sleep", nap(67)), working.process)
        (slow.path / "fine.begun").touch()
        for session in (grading, working):
            session.signal(signal.SIGKILL)
            assert session.end()[0] == -signal.SIGKILL
            wait_until(lambda: not any(name.isdigit() for name in session.left))  # noqa: B023
        wait_until(lambda: not running("sleep", nap(67)) and not running("sleep", nap(60)))
        assert len(grading.left) == 2  # the sandbox, and the scratch with what was built
        reaped = run(grading, "ale", "reap", "--dir=runs-slow_grade")
        assert re.fullmatch(r"local sandbox \w{12} of legal/slow_grade/.*: released\n", reaped)
        assert run(grading, "ale", "reap", "--dir=runs-slow_grade") == "nothing to reap\n"
        again = run(working, "pytest", "tasks/legal/fine", "--ale-dir=runs-fine")
        assert re.search(r"left by a run that died: local sandbox \w{12} of legal/fine", again)
        assert (grading.left, working.left) == ([], [])


def running(*words: str) -> bool:
    line = "".join(f"{word}\0" for word in words).encode()
    return any(found.startswith(line) for _, found in processes())


def run(session: Session, program: str, *words: str) -> str:
    """Run a program of ours where a session ran."""
    main = {"ale": "import sys; from pytest_ale.cli import main; sys.exit(main())"}
    command = [sys.executable, "-c", main.get(program, "import pytest; pytest.console_main()")]
    env = os.environ | {"TMPDIR": str(session.tmp)}
    done = subprocess.run(
        [*command, *words], cwd=session.path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
