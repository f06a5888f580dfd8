"""The docker provider against a real engine: what an agent can and cannot do, and what breaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_ale.channels.contained import Contained
from pytest_ale.leases import Ledger
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import (
    ExecTimeout,
    ProviderFault,
    SandboxBroken,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    UnsafePath,
)
from tests.conftest import Project

pytestmark = pytest.mark.once

Make = Callable[..., Contained]

T = TypeVar("T")


@pytest.fixture
def make(docker_engine: None) -> Iterator[Make]:
    """Sandboxes that are gone after the test, whatever happened in it."""
    provider, made = DockerProvider(), []

    def one(**spec: object) -> Contained:
        made.append(lease := uuid.uuid4().hex[:12])
        given = {"memory_gb": 0.5, "cpus": 1} | spec
        return provider.create(lease, SandboxSpec(**given))  # type: ignore[arg-type]

    yield one
    for lease in made:
        provider.destroy(lease)
    assert not set(provider.leases()) & set(made)


@pytest.fixture
def box(make: Make) -> Contained:
    return make()


def ask(container: Contained, *words: str) -> str:
    """What the docker command says: a witness from outside."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout


# What it is.


def test_an_agent_is_nobody_in_particular(box: Contained) -> None:
    said = box.exec("id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; cat /proc/1/comm")
    assert said.stdout.split() == [
        *("1000", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "python3"),
    ]
    assert (
        box.exec("touch /etc/x /usr/bin/x /opt/ale/x /run/ale/x /home/x").stderr.count(
            "cannot touch"
        )
        == 5
    )
    assert box.exec("kill -9 1; kill -9 -1; true").returncode in (0, -9)
    assert box.exec("echo alive").stdout == "alive\n"


def test_limits_are_asked_for_and_recorded(make: Make) -> None:
    box = make(memory_gb=0.25, cpus=1000)
    known = box.container.inspect()["HostConfig"]
    assert (known["Memory"], known["MemorySwap"], known["PidsLimit"]) == (2**28, 2**28, 2048)
    limits = box.about["limits"]
    assert isinstance(limits, dict)
    assert limits["cpus"] == {"asked": 1000, "given": os.cpu_count()}
    assert limits["memory_gb"] == {"asked": 0.25, "given": 0.25}
    assert str(box.about["image"]).startswith("pytest-ale/desktop:")
    assert str(box.about["image_id"]).startswith("sha256:")


def test_labels_say_whose_it_is(make: Make) -> None:
    box = make(labels={"run": "r1", "attempt": "a1"})
    labels = box.container.inspect()["Config"]["Labels"]
    assert labels["pytest-ale.run"] == "r1"
    assert labels["pytest-ale.attempt"] == "a1"


def test_nothing_of_the_host_is_seen(box: Contained, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the reference")
    seen = box.exec("cat /proc/mounts; ls / /home /opt/ale /run/ale").stdout
    assert str(Path.cwd()) not in seen.replace("/opt/ale", "")
    assert box.exec(["cat", str(tmp_path / "secret.txt")]).returncode
    assert box.exec("ls /run/ale").stdout == ""
    assert box.exec("ls /var/run/docker.sock").returncode


# Networks.

REACH = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    socket.create_connection((host, port), 2).close(); print("reached")
except OSError as error:
    print(type(error).__name__)
"""


def test_under_none_there_is_no_network(box: Contained) -> None:
    assert box.exec("ls /sys/class/net").stdout == "lo\n"
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = str(server.getsockname()[1])
        for host in ("172.17.0.1", socket.gethostname(), "8.8.8.8", "::1", "127.0.0.1"):
            said = box.exec(["python3", "-c", REACH, host, port]).stdout
            assert said and "reached" not in said


def test_a_socket_of_the_host_is_reached_by_a_loopback_port(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"you said " + peer.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        box = make(sockets={8080: path})
        talk = "import socket; s = socket.create_connection(('127.0.0.1', 8080)); s.sendall(b'hi')"
        said = box.exec(["python3", "-c", f"{talk}; print(s.recv(100).decode())"], timeout=20)
        assert said.stdout == "you said hi\n"
        assert box.exec("ls /sys/class/net").stdout == "lo\n"


def test_a_list_of_hosts_goes_through_the_proxy_and_nowhere_else(make: Make) -> None:
    box = make(network=("allowed.example", "*.also.example"))
    assert box.exec("ls /sys/class/net").stdout == "lo\n"
    said = box.exec("curl -s -m 10 -o /dev/null -w '%{http_code}' http://forbidden.example/")
    assert said.stdout == "403"
    assert "reached" not in box.exec(["python3", "-c", REACH, "172.17.0.1", "22"]).stdout
    box.stop()
    assert "forbidden.example" in str(box.about["hosts_refused"])


# Commands and files.


def test_commands_and_their_ends(box: Contained) -> None:
    assert box.exec("cat; exit 3", stdin="ü").stdout == "ü"
    assert box.exec("exit 3").returncode == 3
    with pytest.raises(ExecTimeout, match=r"ran longer than 0\.3 s"):
        box.exec("sleep 100", timeout=0.3)
    assert "sleep" not in box.exec("ps -eo comm").stdout
    with pytest.raises(SandboxError, match="no user but 'agent'"):
        box.exec("true", user="root")


def test_fifty_megabytes_of_output_are_bounded(box: Contained) -> None:
    said = box.exec("head -c 50000000 /dev/zero | tr '\\0' x", timeout=60)
    assert len(said.stdout) < 11_000_000
    assert "bytes cut" in said.stdout


def test_files_go_in_and_come_out(box: Contained, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "a b").write_bytes(b"\0data")
    (tree / "run.sh").write_text("echo ran")
    (tree / "run.sh").chmod(0o755)
    box.put(tree, box.inputs)
    assert box.exec(f"{box.inputs}/run.sh").stdout == "ran\n"
    box.write("output/deep/er/x.txt", "text")
    assert box.read("output/deep/er/x.txt") == b"text"
    for _ in range(2):  # while it runs, and when it is stopped
        target = tmp_path / uuid.uuid4().hex
        assert box.get(box.inputs, target) == []
        assert (target / "sub" / "a b").read_bytes() == b"\0data"
        assert box.get("nowhere", target)[0] == "'nowhere' was refused: No such file or directory."
        box.stop()
    assert box.read("output/deep/er/x.txt") == b"text"


def test_links_lead_nowhere(box: Contained, tmp_path: Path) -> None:
    box.exec("ln -s /etc evil; ln -s /etc/passwd output/link; mkfifo output/fifo; rm -rf inputs")
    box.exec("ln -s /etc inputs")
    with pytest.raises(UnsafePath):
        box.read("evil/passwd")
    with pytest.raises(UnsafePath):
        box.write("inputs/passwd", "root")
    with pytest.raises(UnsafePath):
        box.read("/etc/passwd")
    box.stop()
    refused = box.get(box.output, tmp_path / "out")
    assert sorted(line.split(": ")[1] for line in refused) == [
        "it is a FIFO.",
        "it is a symbolic link.",
    ]
    assert box.get("evil/passwd", tmp_path / "x") == [
        "'evil/passwd': 'evil' in it is a symbolic link."
    ]


def test_an_output_that_is_a_link_is_refused(box: Contained, tmp_path: Path) -> None:
    box.exec("rmdir output; ln -s /etc output")
    box.stop()
    assert "symbolic link" in box.get(box.output, tmp_path / "out")[0]


def test_an_output_that_is_a_socket_is_refused(box: Contained, tmp_path: Path) -> None:
    bind = "import socket; socket.socket(socket.AF_UNIX).bind('output')"
    box.exec(["sh", "-c", f'rmdir output; python3 -c "{bind}"'], check=True)
    for _ in range(2):
        assert box.get(box.output, tmp_path / "out") == [
            f"{box.output!r} was refused: it is a socket."
        ]
        box.stop()


def test_to_read_runs_nothing_of_the_agents_and_has_a_limit(box: Contained) -> None:
    for name in ("head", "cat", "tar", "mkdir", "rm"):
        box.write(f"{box.home}/{name}", "#!/bin/sh\nexec sleep 100\n")
        box.exec(["install", f"{box.home}/{name}", f"/opt/venv/bin/{name}"], check=True)
    before = time.monotonic()
    box.write("output/note", "text")
    assert box.read("output/note") == b"text"
    assert time.monotonic() - before < 5
    box.exec(["truncate", "--size=300M", "output/sparse"], check=True)
    with pytest.raises(SandboxError, match="larger than 64 MB"):
        box.read("output/sparse")


def test_many_files_are_cut_off(box: Contained, tmp_path: Path) -> None:
    box.exec(["python3", "-c", "for i in range(50000): open(f'output/{i}', 'w')"], timeout=100)
    box.stop()
    refused = box.get(box.output, tmp_path / "out")
    assert "more than 20000 entries" in refused[-1]


# The end, and what breaks.

DAEMON = "setsid sh -c 'setsid sleep 1234.5 & sleep 1234.5' >/dev/null 2>&1 </dev/null & true"


def sleeping() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"1234.5" in path.read_bytes() and b"sleep" in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_stop_leaves_no_process(box: Contained) -> None:
    box.exec(DAEMON)
    known = box.container.inspect()["State"]["Pid"]
    assert Path(f"/proc/{known}").exists()
    box.stop()
    assert not Path(f"/proc/{known}").exists()
    assert box.container.inspect()["State"]["Running"] is False
    with pytest.raises(SandboxLost):
        box.exec("true")


def test_a_frozen_sandbox_is_stopped_all_the_same(box: Contained) -> None:
    ask(box, "pause", box.container.name)
    box.stop()
    assert box.container.inspect()["State"]["Running"] is False


def test_one_that_used_all_memory_broke_it_itself(make: Make, tmp_path: Path) -> None:
    box = make(memory_gb=0.1)
    box.write("output/kept.txt", "kept")
    said = box.exec(["python3", "-c", "x = b'x' * (1 << 30)"], timeout=60)
    assert said.returncode in (-9, 137)  # the kernel takes the largest, and that is not process 1
    box.stop()
    assert box.about["out_of_memory"] is True
    assert box.get(box.output, tmp_path / "out") == []


def test_a_fork_bomb_meets_its_limit(make: Make, tmp_path: Path) -> None:
    box = make(memory_gb=2)  # room for 2,048 of them, so that it is their number that is limited
    bomb = "import os, time\nfor _ in range(5000):\n    os.fork() or time.sleep(1000)"
    said = box.exec(["python3", "-c", bomb], timeout=60)
    assert "Resource temporarily unavailable" in said.stderr
    try:
        box.exec("true", timeout=10)
    except SandboxError as error:
        assert "not started" in str(error) or "fork" in str(error)
    box.stop()
    assert box.get(box.output, tmp_path / "out") == []


def test_killed_from_outside_is_nobodys_fault_in_it(box: Contained) -> None:
    threading.Timer(0.5, ask, (box, "kill", box.container.name)).start()
    with pytest.raises(SandboxLost, match="exit status 137") as caught:
        box.exec("sleep 30", timeout=60)
    assert not isinstance(caught.value, SandboxBroken)


def test_removed_from_outside_is_lost(box: Contained, tmp_path: Path) -> None:
    ask(box, "rm", "-f", box.container.name)
    with pytest.raises(SandboxLost):
        box.exec("true")
    with pytest.raises(SandboxLost):
        box.get(box.output, tmp_path / "out")


def test_a_kept_sandbox_is_attached_by_another_process(docker_engine: None) -> None:
    provider, lease = DockerProvider(), uuid.uuid4().hex[:12]
    try:
        box = provider.create(lease, SandboxSpec(memory_gb=0.5))
        box.write("note.txt", "kept")
        with pytest.raises(ProviderFault, match="is in use"):
            DockerProvider().attach(lease, SandboxSpec())
        box.stop()
        other = DockerProvider()
        again = other.attach(lease, SandboxSpec())
        assert again.read("note.txt") == b"kept"
        again.stop()
        assert lease in provider.leases()
        other.destroy(lease)
    finally:
        provider.destroy(lease)
        provider.destroy(lease)  # one that is gone is no error
    assert lease not in provider.leases()


# Whole runs.


SLEEP = """
def solve(sandbox):
    sandbox.exec("sleep 60")


def evaluate(output):
    return 0.0
"""


def test_a_run_leaves_its_record_and_nothing_else(project: Project, docker_engine: None) -> None:
    project.task("word")
    before = set(DockerProvider().leases())
    project.run("--ale-provider=docker").assert_outcomes(passed=1)
    (record,) = project.results
    assert (record["provider"], record["isolation"]) == ("docker", "docker")
    assert record["lease"] not in set(DockerProvider().leases()) | before
    sandbox = json.loads((project.attempt() / "sandbox.json").read_text())
    assert sandbox["image"].startswith("pytest-ale/desktop:")
    assert sandbox["engine"]["engine"]
    assert sandbox["packages"]


@pytest.mark.parametrize("words", [(), ("-n", "2")])
def test_what_kill_dash_nine_leaves_is_reaped(
    project: Project, docker_engine: None, words: tuple[str, ...]
) -> None:
    project.task("sleeper", main=SLEEP, checks=None)
    command = [sys.executable, "-m", "pytest", "--ale-provider=docker", *words]
    with (project.path / "log").open("wb") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    provider = DockerProvider()
    ledger = wait_for(lambda: next(iter(project.path.glob(".ale/*/ledger.jsonl")), None))
    lease = wait_for(lambda: set(Ledger(ledger).entries()) & set(provider.leases())).pop()
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    reaped = [str(Path(sys.executable).with_name("ale")), "reap"]
    assert wait_for(lambda: "released" in subprocess.check_output(reaped, text=True))
    assert lease not in provider.leases()


KILLER = """
import subprocess
from pytest_ale.harness import Ending, Harness


class Killer(Harness):
    def run(self, work):
        name = work.sandbox._sandbox.container.name
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
        work.sandbox.exec("true")
        return Ending("done")


def pytest_ale_harnesses(register):
    register("killer", Killer)
"""


def test_killed_in_a_run_is_a_fault_and_no_score(project: Project, docker_engine: None) -> None:
    project.task("word")
    (project.path / "conftest.py").write_text(KILLER)
    run = project.run("--ale-provider=docker", "--ale-agent=killer", "--ale-retries=0")
    run.assert_outcomes(errors=1)
    (record,) = project.results
    assert (record["outcome"], record["score"], record["phase"]) == ("fault", None, "run")


def wait_for(what: Callable[[], T], seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def engine_says(env: dict[str, str]) -> str:
    code = "from pytest_ale import engine; engine.connect()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = engine_says({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "no Docker engine is running at" in said
    assert "scripts/engines" in said
