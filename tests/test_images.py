"""Images of container sandboxes, and the engine that makes them: once, whoever asks."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ale import builds, engine, images, stock
from pytest_ale.builds import ImageFailed, Recipe
from pytest_ale.cli import main
from pytest_ale.sandbox import ProviderFault, SandboxSpec

from .conftest import Project

if TYPE_CHECKING:
    from docker import APIClient

ROOT = Path(__file__).parent.parent

ENSURE = """
import sys
from pytest_ale import engine, images
from pytest_ale.sandbox import ProviderFault, SandboxSpec
spec = SandboxSpec(packages=tuple(sys.argv[1].split()), python=tuple(sys.argv[2].split()))
try:
    print("made", images.ensure(engine.connect(), spec, None, print).id)
except ProviderFault as fault:
    print("fault", fault)
"""


@pytest.fixture
def api(docker_engine: None) -> APIClient:
    return engine.connect()


@pytest.fixture
def own(api: APIClient) -> Iterator[str]:
    """A word that is nobody else's; images and containers that carry it go with the test."""
    word = f"own{uuid.uuid4().hex[:12]}"
    yield word
    for each in api.containers(all=True, filters={"label": word}):
        api.remove_container(each["Id"], force=True)
    for image in stock.stored(api):
        if word in image.about or word in image.ref:
            api.remove_image(image.ref)


def new_spec(own: str, *packages: str) -> SandboxSpec:
    """A need that nobody had before: a marker that holds for no Python leaves a word behind."""
    return SandboxSpec(packages=packages, python=(f"{own}; python_version<'3'",))


def recipe(own: str, *steps: str) -> Recipe:
    """A build of a second, over what is here."""
    base = images.needed(engine.connect(), SandboxSpec(), None, print)[0].ref
    lines = ["ARG base", "FROM ${base}", f"LABEL {own}=1 {images.KIND}=test", *steps]
    labels = {"pytest-ale.base": base, "pytest-ale.packages": own}
    return Recipe(f"pytest-ale/test:{own}", base, "\n".join(lines).encode(), {}, labels)


def together(count: int, packages: str, python: str) -> list[str]:
    command = [sys.executable, "-c", ENSURE, packages, python]
    pipes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [pipe.communicate(timeout=60)[0] for pipe in pipes]


# Once.


def test_four_processes_that_ask_at_once_get_one_build(api: APIClient, own: str) -> None:
    said = together(4, "hello", f"{own};python_version<'3'")
    assert len({re.findall(r"^made (sha256:\w+)$", text, re.MULTILINE)[0] for text in said}) == 1
    lines = "".join(said).splitlines()
    assert sum(": building hello " in line for line in lines) == 1
    assert sum(bool(re.search(r": built in \d+ s$", line)) for line in lines) == 1
    assert any(line.endswith(": waiting for the process that makes it") for line in lines)


def test_who_waited_for_a_build_that_failed_does_not_repeat_it(api: APIClient, own: str) -> None:
    said = together(2, f"no-such-{own}", "")
    assert "".join(said).count(f": building no-such-{own}\n") == 1
    assert len([text for text in said if f"Unable to locate package no-such-{own}" in text]) == 2
    # A new run may try again: the package may be there by now.
    assert together(1, f"no-such-{own}", "")[0].count(": building") == 1


def test_a_builder_that_was_killed_stands_in_nobodys_way(api: APIClient, own: str) -> None:
    slow = recipe(own, "RUN sleep 40")
    code = "import sys; from tests import test_images as t; t.be_killed(sys.argv[1])"
    command = [sys.executable, "-c", code, own]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as builder:
        assert builder.stdout and "building" in builder.stdout.readline()
        until(lambda: api.containers(filters={"label": own}))
        builder.kill()
    began = time.monotonic()
    quick = recipe(own, "RUN true")
    assert quick.ref == slow.ref
    builds.made_once(api, quick.ref, lambda: builds.build(api, quick, print), print)
    assert time.monotonic() - began < 20
    until(lambda: not api.containers(all=True, filters={"label": own}))


def be_killed(own: str) -> None:
    """What the process does that is killed above."""
    api, slow = engine.connect(), recipe(own, "RUN sleep 40")

    def tell(line: str) -> None:
        print(line, flush=True)

    builds.made_once(api, slow.ref, lambda: builds.build(api, slow, tell), tell)


def until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_image_that_is_there_costs_next_to_nothing(api: APIClient) -> None:
    images.ensure(api, SandboxSpec(), None, print)
    began = time.perf_counter()
    for _ in range(10):
        images.ensure(api, SandboxSpec(), None, print)
    assert (time.perf_counter() - began) / 10 < 0.05  # 1 to 3 ms on a quiet machine


# What goes in, and what does not.


def test_the_versions_of_what_is_installed_are_known(api: APIClient, own: str) -> None:
    image = images.ensure(api, new_spec(own, "hello"), None, print)
    assert re.fullmatch(r"\d+\.\d+.*", image.packages["debian"]["hello"])
    assert re.fullmatch(r"\d+\.\d+.*", image.packages["python"]["pip"])
    labels = api.inspect_image(image.ref)["Config"]["Labels"]  # type: ignore[no-untyped-call]
    assert labels["pytest-ale.packages"].startswith("hello own")


def test_a_version_may_be_asked_for(api: APIClient, own: str) -> None:
    there = images.ensure(api, new_spec(own, "hello"), None, print).packages["debian"]["hello"]
    spec = new_spec(own, f"hello={there}")
    assert images.ensure(api, spec, None, print).packages["debian"]["hello"] == there
    with pytest.raises(ImageFailed, match=r"Version '0\.0\.1' for 'hello' was not found"):
        images.ensure(api, SandboxSpec(packages=("hello=0.0.1",)), None, print)


def test_python_packages_are_first_on_the_path_and_the_agents_own(api: APIClient, own: str) -> None:
    spec = SandboxSpec(python=(f"{own}; python_version<'3'", "toml == 0.10.2"))
    image = images.ensure(api, spec, None, print)
    assert image.packages["python"]["toml"] == "0.10.2"
    code = "import Xlib, sys, toml; print(sys.executable, toml.__version__)"
    said = inside(image, "python3", "-c", code)
    assert said == "/opt/venv/bin/python3 0.10.2\n"
    assert inside(image, "sh", "-c", "id -un; pwd; stat -c %U /opt/venv/bin . output").split() == [
        "agent",
        "/home/agent/task",
        *["agent"] * 3,
    ]


def inside(image: images.Image, *command: str) -> str:
    words = ["docker", "run", "--rm", "--network=none", image.ref, *command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_settings_of_the_building_machine_stay_out_of_the_image(
    api: APIClient, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = images.needed(api, new_spec(own, "hello"), None, print)[-1].ref
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:secret@localhost/simple")
    monkeypatch.setenv("NO_PROXY", "secret.example")
    image = images.ensure(api, new_spec(own, "hello"), None, print)
    assert image.ref == before
    config = str(api.inspect_image(image.ref)) + str(api.history(image.ref))  # type: ignore[no-untyped-call]
    assert "secret" not in config
    said = inside(image, "sh", "-c", "env; ls /; ls -A /tmp /var/lib/apt/lists")
    assert not re.search("secret|PIP_|CERT|recipe|_Packages", said)


def test_the_build_has_what_it_needs_to_reach_an_index(
    api: APIClient, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "it's mine.crt"
    bundle.write_text("a certificate\n")
    for name in builds.TRUST:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("PIP_INDEX_URL", "https://it's/simple $(exit 1)")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    steps = [
        "COPY recipe /recipe",
        'RUN . /recipe/private/environment && test "$PIP_INDEX_URL" = "https://it\'s/simple \\$(exit 1)"'
        ' && grep -q "a certificate" "$PIP_CERT" "$SSL_CERT_FILE" "$REQUESTS_CA_BUNDLE"'
        ' && test "$http_proxy" = http://proxy.example:3128',
    ]
    builds.build(api, recipe(own, *steps), print)


def test_another_base_is_another_image(api: APIClient, own: str, tmp_path: Path) -> None:
    ref = f"pytest-ale/test:{own}-base"
    api.import_image_from_data(b"\0" * 10240, repository="pytest-ale/test", tag=f"{own}-base")
    try:
        (mine,) = images.needed(api, SandboxSpec(), ref, print)
        (theirs,) = images.needed(api, SandboxSpec(), None, print)
        assert mine.base == ref and mine.ref != theirs.ref
    finally:
        api.remove_image(ref)


# Failures.


def test_a_failure_shows_the_command_and_its_last_lines(api: APIClient, own: str) -> None:
    spec = SandboxSpec(packages=("hello", f"no-such-{own}"))
    with pytest.raises(ImageFailed) as failed:
        images.ensure(api, spec, None, print)
    head, *lines = str(failed.value).splitlines()
    assert re.fullmatch(
        rf"image pytest-ale/task:\w+ could not be built: `apt-get install .* no-such-{own}` failed",
        head,
    )
    assert lines == [f"    E: Unable to locate package no-such-{own}"]
    told: list[str] = []
    with pytest.raises(ImageFailed, match="failed before in this run, and was not tried again"):
        images.ensure(api, spec, None, told.append)
    assert told == []


def test_a_python_package_that_is_none_is_named(api: APIClient, own: str) -> None:
    with pytest.raises(ImageFailed) as failed:
        images.ensure(api, SandboxSpec(python=(f"no-such-{own}",)), None, print)
    assert f"`pip install no-such-{own}` failed" in str(failed.value)
    assert f"ERROR: No matching distribution found for no-such-{own}" in str(failed.value)


def test_a_build_that_failed_leaves_nothing(api: APIClient, own: str) -> None:
    noisy = "RUN seq -f 'line %g' 100000; printf '\\033[31mred\\033[0m\\n' >&2; exit 3"
    with pytest.raises(ImageFailed) as failed:
        builds.build(api, recipe(own, "RUN touch /a", "RUN touch /b", noisy), print)
    lines = str(failed.value).splitlines()
    assert "returned a non-zero code: 3" in lines[0]
    assert len(lines) == 1 + builds.LINES and lines[-2:] == ["    line 100000", "    red"]
    assert api.containers(all=True, filters={"label": own}) == []
    assert api.images(all=True, filters={"label": own}) == []


REFUSED = ["", "-y", "--help", "a b", "a;b", "$(id)", "hello-", "Hello", "a=", "a\n", "ünï", "../a"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_package_is_refused(name: str) -> None:
    said = f"packages: {name!r} is no Debian package (a NAME, or NAME=VERSION)"
    assert images.refuses(SandboxSpec(packages=("hello", name))) == said


@pytest.mark.parametrize("words", ["", " ", "-r/etc/passwd", " --index-url=x", "six\nfoo", "a\0"])
def test_words_that_are_no_requirement_are_refused(words: str) -> None:
    said = f"python: {words!r} is no requirement (such as six or 'six>=1.16')"
    assert images.refuses(SandboxSpec(python=("six", words))) == said


def test_names_of_packages_are_not_refused() -> None:
    packages = ("g++", "libc6:i386", "x11-utils=7.7+5", "0ad", "r-base=4.2.2.20221110-2", "7zip")
    python = ("six", "six >= 1.16, < 2", "foo[bar]~=1; python_version > '3'")
    assert images.refuses(SandboxSpec(packages=packages, python=python)) is None


def test_a_base_that_cannot_be_had_is_said_with_what_to_do(api: APIClient) -> None:
    with pytest.raises(ImageFailed) as failed:
        images.ensure(api, SandboxSpec(), "nosuch.invalid/x:1", print)
    said = str(failed.value)
    assert said.startswith("the image nosuch.invalid/x:1 is not here and cannot be pulled: ")
    assert "--ale-image" in said and "scripts/engines" in said


# The engine.


def connect(host: str) -> None:
    engine._connect(host, os.getpid())


def test_an_engine_that_does_not_run_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    for path in (tmp_path / "gone", tmp_path / "file/x", tmp_path / "dead"):
        with pytest.raises(ProviderFault, match=f"no Docker engine is running at unix://{path} "):
            connect(f"unix://{path}")
    dead.close()


def test_a_socket_that_we_may_not_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    place = Path("/tmp") / f"ale-test-{uuid.uuid4().hex[:8]}"
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(place))
        place.chmod(0)
        code = (
            "import os; from pytest_ale import engine\n"
            "from pytest_ale.sandbox import ProviderFault\n"
            "if os.getuid() == 0: import docker; os.setuid(65534)\n"
            "try: engine.connect()\n"
            "except ProviderFault as fault: print(fault)"
        )
        env = os.environ | {"DOCKER_HOST": f"unix://{place}"}
        words = [sys.executable, "-c", code]
        said = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True).stdout
        assert said.startswith(f"no permission to use the Docker engine at unix://{place}: add ")
        assert "usermod -aG docker" in said
    finally:
        listener.close()
        place.unlink()


@pytest.mark.parametrize("host", ["tcp://1.2.3.4:2375", "ssh://me@there", "npipe://x", "nonsense"])
def test_an_engine_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(ProviderFault, match=re.escape(f"the Docker engine at {host} may be on")):
        connect(host)


ANSWERS = {
    '{"ApiVersion": "1.39"}': "speaks API 1.39: at least 1.40 is needed (Docker 19.03)",
    '{"ApiVersion": "1.47", "Platform": {"Name": "Docker Desktop 4"}}': "is Docker Desktop 4, which",
    "no engine at all": "gives no answer: ",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_engine_that_will_not_do_is_refused(tmp_path: Path, answer: str) -> None:
    """No such engine can be had here: a stand-in says what one would say."""
    with socket.create_server(str(tmp_path / "s"), family=socket.AF_UNIX) as server:
        thread = threading.Thread(target=serve, args=(server, answer), daemon=True)
        thread.start()
        with pytest.raises(ProviderFault) as fault:
            connect(f"unix://{tmp_path}/s")
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert ANSWERS[answer] in str(fault.value)


def serve(server: socket.socket, answer: str) -> None:
    head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}"
    while True:
        try:
            with server.accept()[0] as connection:
                if connection.recv(65536):  # the first who calls only knocks
                    connection.sendall(f"{head}\r\n\r\n{answer}".encode())
        except OSError:
            return


def test_the_engine_is_found_where_the_docker_command_finds_it(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert engine.address(env) == "unix:///var/run/docker.sock"
    words = ["docker", "context", "create", "mine", "--docker=host=unix:///x/mine.sock"]
    if subprocess.run(words, env=os.environ | env, capture_output=True).returncode:
        pytest.skip("no docker command makes a context here")
    assert engine.address(env | {"DOCKER_CONTEXT": "mine"}) == "unix:///x/mine.sock"
    subprocess.run(["docker", "context", "use", "mine"], env=os.environ | env, check=True)
    assert engine.address(env) == "unix:///x/mine.sock"
    assert engine.address(env | {"DOCKER_HOST": "unix:///y"}) == "unix:///y"
    with pytest.raises(ProviderFault, match="the Docker context 'gone' is not known"):
        engine.address(env | {"DOCKER_CONTEXT": "gone"})


def test_an_engine_is_described_in_plain_words(api: APIClient) -> None:
    described = engine.describe(api)
    assert described["engine"] and described["storage"] and described["rootless"] in ("yes", "no")
    assert engine.connect() is api
