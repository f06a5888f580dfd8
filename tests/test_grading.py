"""The grader process against hand-made task folders, some of them broken or hostile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from pytest_ale.grade import Grade
from pytest_ale.grading import Built, Grader
from pytest_ale.index import CardIndex
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import (
    ExecResult,
    GraderFault,
    GraderTimeout,
    Sandbox,
    SandboxLost,
    SandboxSpec,
)
from pytest_ale.task import Instance, Task
from pytest_ale.trees import seal

from .conftest import CARD

MEMORY = 1 << 30


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALE_TEST_KEY", "sk-secret")
        grader = Grader(20, memory=MEMORY)
        yield grader
    grader.close()


class Bench:
    """Task folders, and their functions called by one grader process."""

    def __init__(self, grader: Grader, path: Path) -> None:
        self.grader, self.path = grader, path

    def task(
        self,
        main: str,
        name: str = "task",
        checks: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        **helpers: str,
    ) -> Instance:
        """Write a task; a helper `a__b` is the file a/b.py."""
        folder = self.path / name
        card = CARD | {
            "checks": dict(checks or {}),
            "variants": [{"id": "base", "params": dict(params or {})}],
        }
        dumped = yaml.safe_dump(card, sort_keys=False)
        texts = {"card.yaml": dumped, "main.py": main, "prompt.md": "Work."}
        texts |= {f"{path.replace('__', '/')}.py": text for path, text in helpers.items()}
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(dedent(text))
        entry = CardIndex(None).entry(str(folder / "card.yaml"))
        return Instance(Task(folder, entry), "base")

    def build(self, instance: Instance) -> Built:
        return self.grader.build(instance, self.path / "built" / instance.task.folder.name)

    def evaluate(
        self,
        instance: Instance,
        output: Mapping[str, str] | None = None,
        verifier: Callable[[], Sandbox] | None = None,
    ) -> Grade:
        folder = self.path / "output" / instance.task.folder.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (output or {}).items():
            (folder / name).write_text(text)
        return self.grader.evaluate(instance, self.build(instance), folder, verifier or no_sandbox)

    def score(self, main: str, **more: str) -> float:
        return self.evaluate(self.task(main, **more)).score  # type: ignore[arg-type]

    def fault(self, main: str) -> str:
        """What a grader's fault says; always one line, with the function and the task."""
        with pytest.raises(GraderFault) as caught:
            self.evaluate(self.task(main))
        message = str(caught.value)
        assert message.partition("()")[0] in ("build", "evaluate")
        assert "of legal/task: " in message or isinstance(caught.value, GraderTimeout)
        assert "\n" not in message
        return message


def no_sandbox() -> Sandbox:
    raise AssertionError("no verifier was asked for")


@pytest.fixture
def bench(grader: Grader, tmp_path: Path) -> Bench:
    return Bench(grader, tmp_path)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    provider = LocalProvider(unsafe=True)
    yield provider.create(lease := f"test{os.getpid()}-{time.monotonic_ns()}", SandboxSpec())
    provider.destroy(lease)


# Functions by name, arguments by name.

EVERYTHING = """
from pathlib import Path
from random import Random
from pytest_ale import near_miss

def build(inputs, reference, params, rng):
    assert isinstance(rng, Random)
    (inputs / "in").write_text(str(rng.random()))
    (reference / "key").write_text(params["word"])

async def setup(sandbox, params):
    sandbox.write(sandbox.inputs + "/setup", params["word"])

async def solve(params, sandbox):
    sandbox.write(sandbox.output + "/out", params["word"])

@near_miss("other")
async def other(params, output):
    (output / "out").write_text(params["word"] + "!")

async def evaluate(verifier, task, check, params, inputs, reference, output, extra=3):
    with check("right"):
        assert (output / "out").read_text() == (reference / "key").read_text() == params["word"]
        assert (inputs / "in").is_file() and extra == 3
        assert (task.id, task.variant, task.seed) == ("legal/task", "base", 0)
        assert (task.folder / "main.py").is_file()
        assert verifier.output.endswith("/output")
"""


def test_each_function_gets_what_it_asks_for_by_name(bench: Bench, box: Sandbox) -> None:
    instance = bench.task(EVERYTHING, checks={"right": {}}, params={"word": "Wörter"})
    built = bench.build(instance)
    assert set(built.functions) == {"build", "setup", "solve", "evaluate"}
    assert built.controls == ("near miss: other",)
    bench.grader.setup(instance, box)
    bench.grader.solve(instance, box, 10)
    assert box.read(f"{box.inputs}/setup").decode() == "Wörter"
    box.get(box.output, output := bench.path / "output")
    assert bench.grader.evaluate(instance, built, output, no_sandbox).score == 1.0
    bench.grader.spoil(instance, "near miss: other", output)
    spoilt = bench.grader.evaluate(instance, built, output, no_sandbox)
    assert "Wörter!" in spoilt.checks[0].message


@pytest.mark.parametrize(
    ("function", "asked", "allowed"),
    [
        ("build(output)", "build() asks for 'output'", "inputs, reference, params, rng"),
        ("build(sandbox)", "build() asks for 'sandbox'", "inputs, reference, params, rng"),
        ("setup(reference)", "setup() asks for 'reference'", "sandbox, params"),
        ("solve(reference)", "solve() asks for 'reference'", "sandbox, params"),
        ("solve(*args)", "solve() asks for 'args'", "sandbox, params"),
        ("setup(**more)", "setup() asks for 'more'", "sandbox, params"),
        ("evaluate(sandbox)", "evaluate() asks for 'sandbox'", "output, reference, inputs, params"),
        ("evaluate(outptu)", "evaluate() asks for 'outptu'", "output, reference, inputs, params"),
    ],
)
def test_a_function_that_asks_for_more_is_refused_before_the_agent_works(
    bench: Bench, function: str, asked: str, allowed: str
) -> None:
    instance = bench.task(f"def evaluate(): return 1.0\ndef {function}: return 1.0\n")
    with pytest.raises(GraderFault) as caught:
        bench.build(instance)
    assert f"{asked}, which it may not have; it may ask for {allowed}" in str(caught.value)


def test_a_control_that_asks_for_more_is_named_by_its_reason(bench: Bench) -> None:
    message = bench.fault(
        """
        from pytest_ale import cheat
        @cheat("reads the key")
        def peek(output, reference): ...
        def evaluate(): return 1.0
        """
    )
    assert "cheat: reads the key() asks for 'reference'" in message
    assert "it may ask for output, params" in message


def test_seed_and_variant_decide_what_is_built(bench: Bench) -> None:
    instance = bench.task(EVERYTHING, checks={"right": {}}, params={"word": "w"})
    first = (bench.build(instance).inputs / "in").read_text()
    again = bench.grader.build(instance, bench.path / "again")
    assert (again.inputs / "in").read_text() == first
    other = bench.grader.build(Instance(instance.task, "base", 1), bench.path / "other")
    assert (other.inputs / "in").read_text() != first


# Broken and hostile graders: one line each, and never a score.


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return float('nan')", "returned nan (float); allowed: a number from 0 to 1"),
        ("return 2.0", "returned 2.0 (float)"),
        ("return True", "returned True (bool)"),
        ("return '1'", "returned '1' (str)"),
        ("return None", "returned nothing and card.yaml declares no checks"),
        ("return Grade(3)", "returned 3 (int)"),
        ("yield 1.0", "evaluate() has a yield"),
        ("return 1 / 0", "raised ZeroDivisionError: division by zero (main.py:3)"),
        ("raise ValueError('a\\nb')", "raised ValueError: a b (main.py:3)"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt: (main.py:3)"),
        ("return [1][json.loads('5')]", "raised IndexError: list index out of range (main.py:3)"),
        ("json.loads('{')", "raised JSONDecodeError: Expecting property name"),
        ("assert 1 == 2", "raised AssertionError: assert 1 == 2 (main.py:3)"),
        ("pytest.skip('later')", "raised Skipped: later"),
        ("pytest.fail('no')", "raised Failed: no"),
        ("sys.exit()", "called sys.exit(None) (main.py:3)"),
        ("sys.exit('bye')", "called sys.exit('bye') (main.py:3)"),
        ("os._exit(0)", "its process ended with exit status 0 before it answered"),
        ("os._exit(7)", "its process ended with exit status 7 before it answered"),
        ("os.kill(os.getpid(), 9)", "its process ended with signal 9"),
        ("os.killpg(0, 15)", "its process ended with signal 15"),
        ("os.abort()", "its process ended with signal 6"),
        ("ctypes.string_at(0)", "its process ended with signal 11"),
        ("print('x' * 10_000_000 + ' the end'); os._exit(1)", "its last output: xxx"),
        ("print('\\udcff'); os._exit(1)", "its last output: \\udcff"),
        ("x = [b'']\n    while x: x.append(b'1' * 1000 + x[-1][:9])", "ran out of the memory"),
        ("return len(bytearray(1 << 40))", "ran out of the memory a grader is given"),
        ("return evaluate()", "raised RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_grader_that_breaks_its_contract_is_a_fault(bench: Bench, body: str, said: str) -> None:
    imports = "import ctypes, json, os, pytest, sys; from pytest_ale import Grade"
    assert said in bench.fault(f"{imports}\ndef evaluate():\n    {body}\n")


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("", "main.py has no function evaluate(); it is required"),
        ("evaluate = 0.5", "main.py has no function evaluate(); it is required"),
        ("def evaluate(:", "raised SyntaxError: invalid syntax (main.py, line 1)"),
        ("import nonesuch", "raised ModuleNotFoundError: No module named 'nonesuch' (main.py:1)"),
        ("raise SystemExit(3)", "called sys.exit(3) (main.py:1)"),
        ("import os; os._exit(0)", "ended with exit status 0"),
        ("x = '\udcff'", "raised "),
        ("\0", "raised "),
        ("from pytest_ale import cheat\n@cheat\ndef f(output): ...", "@cheat needs a reason"),
        (
            "from pytest_ale import cheat\n@cheat('a')\ndef f(): ...\n@cheat('a')\ndef g(): ...\n"
            "def evaluate(): ...",
            "two controls are called 'cheat: a'; allowed: a reason once",
        ),
        ("def build(): 1 / 0\ndef evaluate(): ...", "raised ZeroDivisionError"),
        ("def build(): yield\ndef evaluate(): ...", "build() has a yield"),
    ],
)
def test_a_main_that_cannot_be_used_is_a_fault_of_build(bench: Bench, main: str, said: str) -> None:
    instance = bench.task("")
    (instance.task.folder / "main.py").write_bytes(main.encode(errors="surrogateescape"))
    with pytest.raises(GraderFault, match=r"^build\(\) of legal/task: ") as caught:
        bench.build(instance)
    assert said in str(caught.value)


def test_a_main_with_odd_things_in_it_is_read_all_the_same(bench: Bench) -> None:
    odd = """
    from unittest.mock import Mock
    class Rude:
        def __getattr__(self, name): raise RuntimeError
    anything, rude = Mock(), Rude()
    def evaluate(): return 1
    """
    assert bench.score(odd) == 1.0


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
        "import itertools; sum(itertools.repeat(0))",
        "import signal; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; signal.pause()",
        "import time\n    try: time.sleep(60)\n    finally: time.sleep(60)",
    ],
)
def test_a_loop_ends_at_its_deadline_wherever_it_is(tmp_path: Path, loop: str) -> None:
    grader = Grader(0.5, memory=MEMORY)
    began = time.monotonic()
    try:
        main = f"def evaluate():\n    print('begun')\n    {loop}\n"
        message = Bench(grader, tmp_path).fault(main)
    finally:
        grader.close()
    assert message == "evaluate() of legal/task did not end within 0.5 s; its last output: begun"
    assert time.monotonic() - began < 5


def test_every_call_has_a_deadline(tmp_path: Path, box: Sandbox) -> None:
    hang = "import time\nfrom pytest_ale import cheat\ndef evaluate(): ...\n"
    hang += "@cheat('slow')\ndef slow(): time.sleep(60)\n"
    hang += "".join(f"def {name}(): time.sleep(60)\n" for name in ("setup", "solve"))
    grader = Grader(phase_timeout=0.3)
    bench = Bench(grader, tmp_path)
    instance = bench.task(hang)
    calls = {
        "setup": lambda: grader.setup(instance, box),
        "solve": lambda: grader.solve(instance, box, 0.3),
        "cheat: slow": lambda: grader.spoil(instance, "cheat: slow", tmp_path),
        "build": lambda: bench.build(bench.task(hang + "def build(): time.sleep(60)")),
    }
    try:
        for name, call in calls.items():
            with pytest.raises(GraderTimeout, match=rf"^{name}\(\) of .* within 0.3 s"):
                call()
    finally:
        grader.close()


def test_a_daemon_of_a_grader_is_dead_when_its_grade_is_there(bench: Bench) -> None:
    """A daemon in a session of its own, begun by a grader that is fine otherwise."""
    pid_file = bench.path / "pid"
    main = f"""
    import os, subprocess, sys, time
    def evaluate():
        subprocess.Popen({sleep(61)}, start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                with open({str(pid_file)!r}, "w") as file:
                    file.write(str(os.getpid()))
                time.sleep(62)
            os._exit(0)
        while not os.path.exists({str(pid_file)!r}) or not open({str(pid_file)!r}).read():
            time.sleep(0.01)
        return 1.0
    """
    assert bench.score(main) == 1.0
    assert not alive(int(pid_file.read_text()))
    assert not sleeping(61)


def test_what_a_grader_started_dies_at_its_deadline_too(tmp_path: Path) -> None:
    grader = Grader(0.5)
    main = f"import subprocess\ndef evaluate(): subprocess.run(['setsid', *{sleep(63)}])\n"
    try:
        assert "did not end within 0.5 s" in Bench(grader, tmp_path).fault(main)
    finally:
        grader.close()
    assert not sleeping(63)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def sleep(seconds: int) -> list[str]:
    """A command that no other run of these tests has."""
    return ["sleep", f"{seconds}.{os.getpid()}"]


def sleeping(seconds: int) -> bool:
    line = "".join(f"{word}\0" for word in sleep(seconds)).encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == line:
                return True
    return False


def test_a_call_can_be_interrupted_from_another_thread(tmp_path: Path) -> None:
    grader = Grader(60)
    bench = Bench(grader, tmp_path)
    instance = bench.task(f"import subprocess\ndef evaluate(): subprocess.run({sleep(64)})\n")
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            bench.evaluate(instance)
        except GraderFault as fault:
            raised.append(fault)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: sleeping(64))
    grader.interrupt(Instance(instance.task, "base"))  # equal, but not the one
    assert sleeping(64)
    grader.interrupt(instance)
    thread.join(5)
    grader.close()
    assert "the grader process was lost" in str(raised[0])
    assert not sleeping(64)


def wait_until(happened: Callable[[], object]) -> None:
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def test_closing_ends_what_runs_and_the_next_call_starts_anew(tmp_path: Path) -> None:
    grader = Grader(60)
    bench = Bench(grader, tmp_path)
    fine = bench.task("def evaluate(): return 0.5\n", "fine")
    slow = bench.task(f"import subprocess\ndef evaluate(): subprocess.run({sleep(65)})\n")

    def wait() -> None:
        with pytest.raises(GraderFault):
            bench.evaluate(slow)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: sleeping(65))
    grader.close()
    thread.join(5)
    assert not sleeping(65)
    assert bench.evaluate(fine).score == 0.5
    server = grader._wardens._server
    assert server is not None
    server.kill()
    server.wait()
    assert bench.evaluate(fine).score == 0.5  # by the warden that is there
    for warden in grader._wardens._idle:
        signal.pidfd_send_signal(warden._process, signal.SIGKILL)
        wait_until(lambda: warden.is_gone)  # noqa: B023
    assert bench.evaluate(fine).score == 0.5
    grader.close()


def test_a_warden_watches_over_one_call_after_the_other_while_nothing_goes_wrong(
    tmp_path: Path,
) -> None:
    grader = Grader(60)
    bench = Bench(grader, tmp_path)
    pids = tmp_path / "pids"
    tell = f"import os\ndef evaluate():\n    open({str(pids)!r}, 'a').write(f'{{os.getppid()}} ')\n"
    fine = bench.task(f"{tell}    return 1.0\n", "fine")
    leaves = bench.task(f"{tell}    os._exit(3)\n", "leaves")
    bench.evaluate(fine)
    with pytest.raises(GraderFault, match="exit status 3"):
        bench.evaluate(leaves)
    bench.evaluate(fine)
    first, second, third = pids.read_text().split()
    assert first == second != third
    grader.close()
    assert grader._wardens._idle == []


def test_a_task_without_a_build_is_asked_only_once_what_it_offers(tmp_path: Path) -> None:
    """Nor in the next run; one that changed, has a build() or imports whatever there is, is."""
    seen = tmp_path / "seen"
    main = f"open({str(seen)!r}, 'a').write('x')\ndef evaluate(): return 1.0\n"
    built = []
    for run in range(2):
        grader = Grader(60, offers=tmp_path / "offers.json")
        bench = Bench(grader, tmp_path)
        tasks = {
            "bare": bench.task(main, "bare", near="y = 1\n"),
            "changed": bench.task(main + "#" * run, "changed", near="y = 2\n"),
            "builds": bench.task(main + "def build(): pass\n", "builds", near="y = 3\n"),
            "starred": bench.task(main + "from near import *\n", "starred", near="y = 4\n"),
        }
        for name, task in tasks.items():
            seen.write_text("")
            workspace = tmp_path / "built" / f"{name}-{run}"
            grader.build(task, workspace, shared=False)
            assert (workspace / "inputs").is_dir()
            built.append((name, run, seen.read_text()))
        grader.close()
    asked = [(name, run) for name, run, said in built if said]
    assert asked == [(name, 0) for name in tasks] + [(n, 1) for n in tasks if n != "bare"]


def test_nothing_is_left_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp := tmp_path / "tmp"))
    tmp.mkdir()
    deep = "import os, pathlib\ndef evaluate():\n    p = pathlib.Path('d' * 9)\n"
    deep += "    p.mkdir(); (p / 'f').touch(); os.chmod(p, 0)\n    return 1\n"
    grader = Grader()
    assert Bench(grader, tmp_path).score(deep) == 1.0
    kept = {path.name for path in tmp.glob("ale-grader-*/*/*")}
    assert kept == {"inputs", "reference"}  # what was built last
    grader.close()
    assert list(tmp.iterdir()) == []


# What a grader sees.


def test_a_grader_sees_no_keys_and_no_stdin(bench: Bench) -> None:
    main = """
    import os, sys
    from pathlib import Path
    def evaluate():
        assert "ALE_TEST_KEY" not in os.environ
        for pid in ("self", os.getppid()):
            assert "sk-secret" not in Path(f"/proc/{pid}/environ").read_text()
        assert sys.stdin.read() == ""
        assert os.environ["TMPDIR"] == os.getcwd()
        assert sorted(os.listdir()) == ["grader.log"]
        return 1.0
    """
    assert bench.score(main) == 1.0


def test_one_grader_leaves_nothing_to_the_next(bench: Bench) -> None:
    change = """
    import builtins, os, random, sys
    def evaluate():
        builtins.spoilt = os.environ["SPOILT"] = "yes"
        sys.path.insert(0, "/nowhere"); os.chdir("/"); os.umask(0o777); random.seed(1)
        return 1.0
    """
    look = """
    import builtins, os, sys
    def evaluate():
        return float(not hasattr(builtins, "spoilt") and "SPOILT" not in os.environ
            and "/nowhere" not in sys.path and os.getcwd() != "/" and os.umask(0o22) == 0o22)
    """
    assert bench.score(change) == bench.score(look) == 1.0


def test_inputs_and_reference_are_pristine_copies(bench: Bench) -> None:
    main = """
    def build(inputs, reference):
        assert sorted(p.name for p in inputs.iterdir()) == ["fixed.txt"]
        (inputs / "fixed.txt").write_text("changed")
        (inputs / "made.txt").write_text("made")
    def evaluate(inputs, reference):
        assert (reference / "sub" / "key.txt").read_text() == "key"
        return (inputs / "fixed.txt").read_text() == "changed" and 1.0
    """
    instance = bench.task(main)
    for path, text in (("inputs/fixed.txt", "fixed"), ("reference/sub/key.txt", "key")):
        (instance.task.folder / path).parent.mkdir(parents=True)
        (instance.task.folder / path).write_text(text)
    assert bench.evaluate(instance).score == 1.0
    assert (instance.task.folder / "inputs/fixed.txt").read_text() == "fixed"


def test_the_output_is_sealed_and_a_task_s_folder_stays_as_it_was(bench: Bench) -> None:
    instance = bench.task(
        "import subprocess, sys\nimport score\nfrom pack.deep import inner\n"
        "def evaluate(output):\n    import late\n"
        "    subprocess.run([sys.executable, '-c', 'import sys; sys.path[0] = ' + repr("
        "score.__file__.rpartition('/')[0]) + '; import late'], check=True)\n"
        "    return score.score(output) + late.HALF + inner.QUARTER\n",
        score="def score(output): return len((output / 'a').read_text()) / 4",
        late="HALF = 0.5",
        pack____init__="",
        pack__deep____init__="from . import inner",
        pack__deep__inner="QUARTER = 0.25",
    )
    before = sorted(instance.task.folder.rglob("*"))
    output = bench.path / "output" / "task"
    output.mkdir(parents=True)
    (output / "a").write_text("x")
    seal(output)
    assert bench.evaluate(instance).score == 1.0
    assert sorted(instance.task.folder.rglob("*")) == before


def test_helpers_of_one_name_are_never_mixed_up(bench: Bench) -> None:
    main = "import score\ndef evaluate():\n    import late\n    return score.HERE + late.HERE\n"
    tasks = [
        bench.task(main, f"t{n}", score=f"HERE = {n} / 10", late=f"HERE = {n} / 100")
        for n in range(4)
    ]
    for instance, n in [(tasks[n], n) for n in (0, 1, 2, 3, 2, 1, 0)]:
        assert bench.evaluate(instance).score == pytest.approx(n * 0.11)


def test_many_at_once_are_kept_apart(bench: Bench) -> None:
    main = "import time\nimport score\ndef evaluate(): time.sleep(0.1); return score.HERE\n"
    tasks = [bench.task(main, f"t{n}", score=f"HERE = {n} / 10") for n in range(6)]
    scores: dict[int, float] = {}
    threads = [
        threading.Thread(target=lambda n=n: scores.update({n: bench.evaluate(tasks[n]).score}))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scores == {n: n / 10 for n in range(6)}


def test_a_helper_that_would_never_be_imported_is_refused(bench: Bench) -> None:
    instance = bench.task("import numbers\ndef evaluate(): return 1.0\n", numbers="HALF = 0.5")
    with pytest.raises(GraderFault, match=r"numbers\.py has the name of a module of Python's"):
        bench.build(instance)


def test_helpers_may_import_main_and_each_other(bench: Bench) -> None:
    score = bench.score(
        "HALF = 0.5\nfrom a import a\ndef evaluate(): return a()\n",
        a="import b\ndef a(): return b.b()\n",
        b="def b():\n    import main\n    return main.HALF + 0.5\n",
    )
    assert score == 1.0


# Asserts explained.


def test_asserts_are_explained_in_main_and_in_helpers(bench: Bench) -> None:
    instance = bench.task(
        """
        import helper, pytest
        def evaluate(output, check):
            with check("here"):
                assert {"a": 1, "b": [1, 2]} == {"a": 1, "b": [1, 3]}
            with check("there"):
                helper.compare(output)
            with check("close"):
                assert 3.5 == pytest.approx(3.6)
            with check("100 %"):
                assert "50 %s" == "50 %d", "said so: %"
        """,
        checks={name: {} for name in ("here", "there", "close", "100 %")},
        helper="def compare(output):\n    assert (output / 'x').read_text().split() == ['a']\n",
    )
    here, there, close, percent = bench.evaluate(instance, {"x": "a b\nc"}).checks
    assert "assert {'a': 1, 'b': [1, 2]} == {'a': 1, 'b': [1, 3]}" in here.message
    assert "Differing items:" in here.message
    assert there.message.startswith("assert ['a', 'b', 'c'] == ['a']\n")
    assert "Left contains 2 more items, first extra item: 'b'" in there.message
    assert "comparison failed" in close.message
    assert percent.message.startswith("said so: %\n")
    assert "- 50 %d" in percent.message
    assert [check.state for check in (here, there, close, percent)] == ["failed"] * 4


def test_what_cannot_be_compared_fails_its_check_alone(bench: Bench) -> None:
    instance = bench.task(
        """
        class Rude:
            def __repr__(self): raise RuntimeError("no")
            def __eq__(self, other): return False
        def evaluate(check):
            with check("rude"):
                assert Rude() == Rude()
            with check("huge"):
                assert "x" * 1_000_000 == "y" * 1_000_000
            with check("lone"):
                assert "\\udcff" == "a\\nb"
        """,
        checks={"rude": {}, "huge": {}, "lone": {}},
    )
    grade = bench.evaluate(instance)
    assert [check.state for check in grade.checks] == ["failed"] * 3
    assert all(len(check.message) < 30_000 for check in grade.checks)


def test_memory_and_recursion_inside_a_check_are_the_deliverable_s_failure(bench: Bench) -> None:
    instance = bench.task(
        """
        import json
        def evaluate(output, check):
            with check("memory"):
                x = []
                while True: x.append(b"1" * 4000 + bytes(len(x) % 7))
            x = None
            with check("deep"):
                json.loads((output / "deep.json").read_text())
            with check("fine"):
                assert (output / "deep.json").is_file()
        """,
        checks={"memory": {}, "deep": {}, "fine": {"weight": 2}},
    )
    grade = bench.evaluate(instance, {"deep.json": "[" * 200_000})
    assert [check.state for check in grade.checks] == ["raised", "raised", "passed"]
    assert grade.score == 0.5


# Verifiers, and the sandbox as task code sees it.


def verifying(bench: Bench, body: str) -> Instance:
    body = "".join(f"        {line}\n" for line in dedent(body).strip().splitlines())
    main = f"def evaluate(output, check, verifier):\n    with check('runs'):\n{body}"
    main += "    with check('more'):\n        pass\n"
    return bench.task(main, checks={"runs": {}, "more": {}})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("verifier.exec(['false'], check=True)", "ExecFailed: 'false' ended with exit status 1"),
        ("verifier.exec('sleep 60', timeout=0.1)", "ExecTimeout: 'sleep 60' ran longer than 0.1 s"),
        ("verifier.exec('kill -9 $$', check=True)", "ExecFailed: "),
        ("verifier.exec('true', timeout='soon')", "SandboxError: ValueError: could not convert"),
        ("verifier.exec('true', user='root')", "SandboxError: user 'root'"),
        ("verifier.read('/etc/shadow')", "UnsafePath: '/etc/shadow' lies outside"),
        ("verifier.read('none')", "SandboxError: 'none': No such file"),
        ("verifier.write('a\\0b', 'x')", "SandboxError: ValueError: "),
        ("verifier.put(output / 'none', verifier.inputs)", "SandboxError: "),
        ("verifier.stop()", "AttributeError: "),
        ("verifier._ask('destroy')", "SandboxError: a sandbox has no destroy() for task code"),
    ],
)
def test_a_verifier_that_says_no_fails_its_check(
    bench: Bench, box: Sandbox, body: str, said: str
) -> None:
    grade = bench.evaluate(verifying(bench, body), verifier=lambda: box)
    assert [check.state for check in grade.checks] == ["raised", "passed"]
    assert said in grade.checks[0].message


def test_a_verifier_works_as_a_sandbox_does(bench: Bench, box: Sandbox) -> None:
    instance = verifying(
        bench,
        """
        verifier.put(output, verifier.output)
        verifier.write("sub/b.bin", b"\\x00\\xff")
        said = verifier.exec("cat; cat output/a; echo no >&2; exit 3", stdin=b"in", env={"A": "1"})
        assert (said.returncode, said.stdout, said.stderr) == (3, "inx", "no\\n")
        assert verifier.read("sub/b.bin") == b"\\x00\\xff"
        from pathlib import Path
        assert verifier.get(verifier.home, Path("got")) == []
        assert (Path("got") / "task/output/a").read_text() == "x"
        """,
    )
    asked = []
    grade = bench.evaluate(instance, {"a": "x"}, lambda: asked.append(1) or box)  # type: ignore[func-returns-value]
    assert grade.score == 1.0, grade.checks[0].message
    assert asked == [1]


def test_a_deliverable_that_hangs_every_command_is_graded_all_the_same(
    tmp_path: Path, box: Sandbox
) -> None:
    grader = Grader(2)
    main = "def evaluate(check, verifier):\n"
    for n in range(3):
        main += f"    with check('{n}'):\n        verifier.exec('sleep 60')\n"
    bench = Bench(grader, tmp_path)
    try:
        instance = bench.task(main, checks={"0": {}, "1": {}, "2": {}})
        grade = bench.evaluate(instance, verifier=lambda: box)
    finally:
        grader.close()
    assert [check.state for check in grade.checks] == ["raised"] * 3
    assert "'sleep 60' ran longer than 1.6 s" in grade.checks[0].message
    assert "the 2 s of evaluate() of legal/task are used up" in grade.checks[1].message


class Lost:
    """A sandbox whose machine goes away at the first command."""

    inputs = output = home = "/home"

    def exec(self, command: object, **_: object) -> ExecResult:
        raise SandboxLost("the machine is gone")


def test_a_verifier_that_is_lost_ends_the_grading(bench: Bench) -> None:
    body = "try: verifier.exec('true')\nexcept Exception: pass"
    with pytest.raises(SandboxLost, match="the machine is gone"):
        bench.evaluate(verifying(bench, body), verifier=lambda: Lost())  # type: ignore[arg-type,return-value]


def test_threads_of_a_grader_share_a_verifier(bench: Bench, box: Sandbox) -> None:
    instance = verifying(
        bench,
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda n: verifier.exec(["echo", n]).stdout, range(20)))
        assert said == [f"{n}\\n" for n in range(20)]
        """,
    )
    assert bench.evaluate(instance, verifier=lambda: box).score == 1.0
