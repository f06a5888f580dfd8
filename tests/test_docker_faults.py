"""What breaks around a container, its image, its screen or its engine: never a score of 0."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ale import engine, images
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import DesktopError, SandboxSpec

from .conftest import Project
from .test_faults import attempts

pytestmark = pytest.mark.once

# A provider whose containers are killed, once, in the phase that a task's name tells.
KILLER = """
import subprocess
from functools import partial
from pytest_ale.providers.docker import DockerProvider

def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True).returncode

class Killer(DockerProvider):
    name = "killer"

    def create(self, lease, spec):
        _, task, _, _, _, attempt = spec.labels["attempt"].split("/")
        deed, _, phase = task.partition("_")
        first = attempt == "attempt-1"
        self.early = first and phase == "lease"
        sandbox = super().create(lease, spec)
        if first and phase in ("put", "exec", "stop", "get"):
            words = ["kill"] if deed == "killed" else ["rm", "-f"]
            real = getattr(sandbox, phase)
            setattr(sandbox, phase, partial(self.hurt, [*words, f"ale-{lease}"], real))
        return sandbox

    def _container(self, lease, spec):
        container = super()._container(lease, spec)
        if self.early:
            container.start = partial(self.killed, container.start)
        return container

    def killed(self, real, begin):
        def begin_and_kill(api, name):
            api.start(name)
            docker("kill", name)

        real(begin_and_kill)

    def hurt(self, words, real, *given, **more):
        docker(*words)
        return real(*given, **more)

def pytest_ale_providers(register):
    register("killer", Killer.from_settings)
"""

PHASE = {
    "killed_lease": "lease",
    "killed_put": "stage",
    "killed_exec": "run",
    "killed_stop": None,  # its work was done, and its files are whole
    "killed_get": None,  # it was stopped by then
    "removed_stop": "stop",
    "removed_get": "collect",
}


def leases() -> set[str]:
    return set(DockerProvider().leases())


def networks() -> set[str]:
    return {each["Name"] for each in engine.connect().networks()}


def of_this(project: Project) -> set[str]:
    return {str(record["lease"]) for record in project.results}


def test_a_container_that_is_killed_in_any_phase_is_made_anew(
    project: Project, docker_engine: None
) -> None:
    (project.path / "conftest.py").write_text(KILLER)
    for name in PHASE:
        project.task(name)
    before = networks()
    result = project.run("--ale-provider=killer")
    result.assert_outcomes(passed=len(PHASE))
    for name, phase in PHASE.items():
        *failed, last = attempts(project, name)
        assert (last["outcome"], last["score"]) == ("scored", 1.0)
        said = [(record["outcome"], record["score"], record["phase"]) for record in failed]
        assert said == ([("fault", None, phase)] if phase else []), name
    assert not leases() & of_this(project)
    assert networks() <= before


def test_an_image_that_fails_takes_only_its_own_instances_down(
    project: Project, docker_engine: None
) -> None:
    project.task("sound")
    for name in ("broken", "likewise"):
        project.task(name, environment={"packages": ["no-such-package"]})
    result = project.run("--ale-provider=docker")
    result.assert_outcomes(passed=1, errors=2)
    assert result.ret == 6
    text = result.stdout.str()
    assert "E: Unable to locate package no-such-package" in text
    assert "failed before in this run, and was not tried again" in text
    assert (text + result.stderr.str()).count("building no-such-package") == 1
    assert all(record["phase"] == "lease" for record in project.results if record["score"] is None)


# The screen.

SCREEN = """
def solve(sandbox):
    sandbox.write(sandbox.output + "/done", "1")
    {deed}


def evaluate(output):
    return float((output / "done").exists())
"""

DEEDS = {
    "x_died": 'sandbox.exec("pkill -9 Xvfb; sleep 0.2"); sandbox.desktop.screenshot()',
    "x_died_unused": 'sandbox.exec("pkill -9 Xvfb")',
    "bridge_died": 'sandbox.exec(["pkill", "-9", "-f", "bridge"]); sandbox.desktop.click(5, 5)',
}


def test_a_screen_that_its_user_broke_is_the_users(project: Project, docker_engine: None) -> None:
    for name, deed in DEEDS.items():
        project.task(name, main=SCREEN.format(deed=deed), checks={}, environment={"desktop": True})
    result = project.run("--ale-provider=docker")
    result.assert_outcomes(passed=3)
    outcomes = {str(record["task"]): record for record in project.results}
    assert outcomes["legal/x_died"]["outcome"] == "crashed"
    assert "DesktopError: screenshot: " in str(outcomes["legal/x_died"]["message"])
    assert outcomes["legal/x_died_unused"]["outcome"] == "scored"
    assert outcomes["legal/bridge_died"]["outcome"] == "scored"


KEEPS = """
def solve(sandbox):
    folder = sandbox.home + "/.ale/screenshots"
    {deed}


def evaluate():
    return 1.0
"""
KEPT = {
    "kept": 'sandbox.write(folder + "/0001.png", sandbox.desktop.screenshot())',
    "linked": 'sandbox.exec(f"mkdir -p {folder}; rmdir {folder}; ln -s /etc {folder}", check=True)',
    "socket": """sandbox.exec(["sh", "-c", f"mkdir -p {folder}; cd {folder}/..; rmdir screenshots;"
        " python3 -c \\"import socket; socket.socket(1).bind('screenshots')\\""], check=True)""",
}


def test_what_the_bridge_kept_is_in_the_record_and_nothing_else(
    project: Project, docker_engine: None
) -> None:
    for name, deed in KEPT.items():
        main = KEEPS.replace("{deed}", deed)
        project.task(name, main=main, checks={}, environment={"desktop": True})
    project.run("--ale-provider=docker").assert_outcomes(passed=3)
    for name in KEPT:
        folder = project.attempt(task=f"legal/{name}") / "screenshots/bridge"
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        assert found == (["0001.png"] if name == "kept" else [])


def test_the_screen_is_reached_again_after_its_bridge_was_killed(docker_engine: None) -> None:
    provider = DockerProvider()
    lease = "bridgekilled"
    try:
        box = provider.create(lease, SandboxSpec(desktop=True, memory_gb=1))
        box.desktop.keys_down("shift")
        assert box.exec(["pkill", "-9", "-f", "bridge desk"]).returncode == 0
        assert box.desktop.size() == (1280, 800)
        box.desktop.click(5, 5)
        box.exec("pkill -9 Xvfb")
        with pytest.raises(DesktopError):
            box.desktop.click(5, 5)
    finally:
        provider.destroy(lease)


# The engine itself: one of the tests' own, with little room.


class Engine:
    """A dockerd in network and mount namespaces of its own, its data on a tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"unix://{folder}/sock"
        for name in ("data", "exec"):
            (folder / name).mkdir()
        script = 'mount -t tmpfs -o size="$1" tmpfs data && exec sleep infinity'
        words = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", "2g"]
        self._room = subprocess.Popen(words, cwd=folder)
        self._engine: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"]
        words += [f"--host={self.url}", f"--pidfile={self.folder}/pid", "--bridge=none"]
        enter = ["nsenter", "--net", "--mount", f"--target={self._room.pid}"]
        with (self.folder / "log").open("ab") as log:
            command = [*enter, f"--wd={self.folder}", "dockerd", "--iptables=false", *words]
            self._engine = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: self.says("version"), 60)

    def stop(self) -> None:
        if self._engine:
            self._engine.terminate()
            self._engine.wait(60)
            self._engine = None

    def close(self) -> None:
        self.stop()
        self._room.kill()
        self._room.wait()

    def says(self, *words: str) -> bool:
        done = subprocess.run(["docker", f"--host={self.url}", *words], capture_output=True)
        return done.returncode == 0

    def load(self, ref: str) -> None:
        with subprocess.Popen(["docker", "save", ref], stdout=subprocess.PIPE) as saved:
            words = ["docker", f"--host={self.url}", "load", "--quiet"]
            subprocess.run(words, stdin=saved.stdout, check=True, stdout=subprocess.DEVNULL)


def until(happened: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def own_engine(
    docker_engine: None,
    tmp_path_factory: pytest.TempPathFactory,
    require: Callable[[str, str], None],
) -> Iterator[Engine]:
    if os.geteuid():
        require("docker", "only root may start a second engine")
    needed = images.needed(engine.connect(), SandboxSpec(), None, print)
    # The path of a socket may have 107 bytes; pytest's own folders are longer than that.
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    own = Engine(folder)
    try:
        time.sleep(0.5)  # its room is furnished
        own.start()
        for ref in (needed[0].base, needed[0].ref):
            own.load(ref)
        yield own
    finally:
        own.close()
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


FILL = """
def solve(sandbox):
    sandbox.write(sandbox.output + "/done", "1")
    said = sandbox.exec("cat /dev/zero > output/zeros; echo more > output/more; cat output/more")
    assert "No space left on device" in said.stderr, said
    assert said.stdout == "", said
    sandbox.exec("rm output/*; echo after > output/done", check=True)


def evaluate(output):
    assert sorted(path.name for path in output.iterdir()) == ["done"]
    return float((output / "done").read_text() == "after\\n")
"""


def test_an_agent_that_fills_the_disk_is_scored_by_what_it_left(
    project: Project, own_engine: Engine
) -> None:
    project.task("fills", main=FILL, checks={}, environment={"disk_gb": 100})
    env = {"DOCKER_HOST": own_engine.url}
    project.run("--ale-provider=docker", env=env).assert_outcomes(passed=1)
    (record,) = project.results
    assert (record["outcome"], record["score"]) == ("scored", 1.0)


WAITS = """
import time


def solve(sandbox):
    sandbox.write(sandbox.output + "/done", "1")
    print("begun", flush=True)
    sandbox.exec("sleep {seconds}")


def evaluate(output):
    return float((output / "done").exists())
"""


def test_an_engine_that_starts_anew_in_a_run_costs_an_attempt(
    project: Project, own_engine: Engine
) -> None:
    project.task("waits", main=WAITS.format(seconds=3), checks={})
    words = [sys.executable, "-m", "pytest", "--ale-provider=docker", "-p", "no:cacheprovider"]
    env = os.environ | {"DOCKER_HOST": own_engine.url}
    with subprocess.Popen(words, cwd=project.path, env=env, stdout=subprocess.PIPE) as run:
        until(lambda: any(project.path.glob(".ale/*/legal/waits/base/oracle/*/*/sandbox.json")), 60)
        time.sleep(1)
        own_engine.stop()
        own_engine.start()
        said = run.communicate(timeout=120)[0].decode()
    assert run.returncode == 0, said
    first, *_, last = attempts(project, "waits")
    assert (first["outcome"], first["score"]) == ("fault", None)
    assert (last["outcome"], last["score"]) == ("scored", 1.0)
    left = subprocess.check_output(
        ["docker", f"--host={own_engine.url}", "ps", "-aq", "--filter=label=pytest-ale"]
    )
    assert left == b""


def test_an_engine_that_stays_away_is_told_and_is_no_score(
    project: Project, own_engine: Engine
) -> None:
    project.task("waits", main=WAITS.format(seconds=3), checks={})
    words = [sys.executable, "-m", "pytest", "--ale-provider=docker", "--ale-retries=1"]
    words += ["--ale-phase-timeout=15"]  # as long as it is waited for
    env = os.environ | {"DOCKER_HOST": own_engine.url}
    with subprocess.Popen(words, cwd=project.path, env=env, stdout=subprocess.PIPE) as run:
        until(lambda: any(project.path.glob(".ale/*/legal/waits/base/oracle/*/*/sandbox.json")), 60)
        time.sleep(1)
        own_engine.stop()
        said = run.communicate(timeout=120)[0].decode()
    assert run.returncode == 6, said
    assert all(record["score"] is None for record in attempts(project, "waits"))
    assert "infrastructure fault in phase " in said
