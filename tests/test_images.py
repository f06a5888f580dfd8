"""Images of container sandboxes, and the engine that makes them: once, whoever asks."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from functools import partial
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
Capture = pytest.CaptureFixture[str]

ENSURE = """
import sys
from pytest_ale import engine, images
from pytest_ale.sandbox import ProviderFault, SandboxSpec
spec = SandboxSpec(python=(sys.argv[1],))
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
    forget(api, word)


def forget(api: APIClient, word: str) -> None:
    for image in stock.stored(api):
        if word in image.about or word in image.ref:
            api.remove_image(image.ref)
    for each in api.images(filters={"label": word, "dangling": True}):
        api.remove_image(each["Id"])


def never(own: str) -> str:
    """A requirement that holds for no Python: it makes an image nobody had before."""
    return f"{own}; python_version<'3'"


def recipe(own: str, *steps: str) -> Recipe:
    """A build of a second, over what is here."""
    base = images.needed(engine.connect(), SandboxSpec(), None, print)[0].ref
    lines = ["ARG base", "FROM ${base}", "USER root", f"LABEL {own}=1 {images.KIND}=test", *steps]
    labels = {"pytest-ale.base": base, "pytest-ale.packages": own}
    return Recipe(f"pytest-ale/test:{own}", base, "\n".join(lines).encode(), {}, labels)


def together(count: int, requirement: str) -> list[str]:
    command = [sys.executable, "-c", ENSURE, requirement]
    pipes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [pipe.communicate(timeout=60)[0] for pipe in pipes]


class Others:
    """All images but one: what a test may not remove."""

    def __init__(self, ref: str) -> None:
        self._ref = ref

    def __contains__(self, ref: object) -> bool:
        return ref != self._ref


# Once.


@pytest.mark.once
def test_four_processes_that_ask_at_once_get_one_build(api: APIClient, own: str) -> None:
    said = together(4, never(own))
    assert len({re.findall(r"^made (sha256:\w+)$", text, re.MULTILINE)[0] for text in said}) == 1
    lines = "".join(said).splitlines()
    assert sum(f": building {own}" in line for line in lines) == 1
    assert sum(bool(re.search(r": built in \d+ s$", line)) for line in lines) == 1
    assert any(line.endswith(": waiting for the process that makes it") for line in lines)


@pytest.mark.once
def test_who_waited_for_a_build_that_failed_does_not_repeat_it(api: APIClient, own: str) -> None:
    said = together(2, f"no-such-{own}")
    assert "".join(said).count(f": building no-such-{own}\n") == 1
    assert all(f"No matching distribution found for no-such-{own}" in text for text in said)
    # A new run may try again: the package may be there by now.
    assert together(1, f"no-such-{own}")[0].count(": building") == 1


@pytest.mark.once
def test_a_builder_that_was_killed_stands_in_nobodys_way(
    api: APIClient, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    # Its steps so far are nameless images, which go with the next prune.
    steps = {"label": own, "dangling": True}
    assert len(api.images(filters=steps)) == 1
    monkeypatch.setattr(images, "KIND", own)  # keep away from what others build now
    monkeypatch.setattr(stock, "FORGOTTEN_SECONDS", -60)
    assert list(stock.prune(api, Others(""))) == []
    assert api.images(filters=steps) == []


def be_killed(own: str) -> None:
    """What the process does that is killed above."""
    api, slow = engine.connect(), recipe(own, "RUN sleep 40")

    tell = partial(print, flush=True)
    builds.made_once(api, slow.ref, lambda: builds.build(api, slow, tell), tell)


def until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.once
def test_an_image_that_is_there_costs_next_to_nothing(api: APIClient) -> None:
    images.ensure(api, SandboxSpec(), None, print)
    began = time.perf_counter()
    for _ in range(10):
        images.ensure(api, SandboxSpec(), None, print)
    assert (time.perf_counter() - began) / 10 < 0.05  # 1 to 3 ms on a quiet machine


# What goes in, and what does not.


@pytest.fixture(scope="module")
def made(docker_engine: None) -> Iterator[images.Image]:
    """An image with packages of both kinds, made where the settings hold secrets."""
    api, word = engine.connect(), f"own{uuid.uuid4().hex[:12]}"
    spec = SandboxSpec(packages=("hello",), python=(never(word), "toml == 0.10.2"))
    before = images.needed(api, spec, None, print)[-1].ref
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_TRUSTED_HOST", "secret.example")
        patch.setenv("NO_PROXY", "secret.example")
        image = images.ensure(api, spec, None, print)
    assert image.ref == before
    yield image
    forget(api, word)


@pytest.mark.once
def test_the_versions_of_what_is_installed_are_known(api: APIClient, made: images.Image) -> None:
    assert re.fullmatch(r"\d+\.\d+.*", made.packages["debian"]["hello"])
    assert made.packages["python"]["toml"] == "0.10.2"
    (stored,) = [image for image in stock.stored(api) if image.id == made.id]
    assert re.fullmatch(r"hello own\w+; python_version<'3' toml == 0.10.2", stored.about)
    assert 0 < stored.own < 100e6 < stored.size


@pytest.mark.once
def test_python_packages_are_first_on_the_path_and_the_agents_own(made: images.Image) -> None:
    code = "import Xlib, sys, toml; print(sys.executable, toml.__version__)"
    assert inside(made, "python3", "-c", code) == "/opt/venv/bin/python3 0.10.2\n"
    said = inside(made, "sh", "-c", "hello; id -un; pwd; stat -c %U /opt/venv/bin . output")
    assert said.splitlines() == ["Hello, world!", "agent", "/home/agent/task", *["agent"] * 3]


def inside(image: images.Image, *command: str) -> str:
    words = ["docker", "run", "--rm", "--network=none", image.ref, *command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.once
def test_settings_of_the_building_machine_stay_out_of_the_image(
    api: APIClient, made: images.Image
) -> None:
    config = api.inspect_image(made.ref)  # type: ignore[no-untyped-call]
    assert "secret" not in f"{config} {api.history(made.ref)}"
    said = inside(made, "sh", "-c", "env; ls /; ls -A /tmp /var/lib/apt/lists")
    assert "LANG=C.UTF-8\n" in said
    assert not re.search("secret|PIP_|CERT|recipe|_Packages", said)


@pytest.mark.once
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
        "RUN . /recipe/private/environment"
        ' && test "$PIP_INDEX_URL" = "https://it\'s/simple \\$(exit 1)"'
        ' && grep -q "a certificate" "$PIP_CERT" "$SSL_CERT_FILE" "$REQUESTS_CA_BUNDLE"'
        ' && test "$http_proxy" = http://proxy.example:3128',
    ]
    builds.build(api, recipe(own, *steps), print)


@pytest.mark.once
def test_another_base_is_another_image(api: APIClient, own: str, tmp_path: Path) -> None:
    ref = f"pytest-ale/test:{own}-base"
    api.import_image_from_data(b"\0" * 10240, repository="pytest-ale/test", tag=f"{own}-base")
    try:
        (mine,) = images.needed(api, SandboxSpec(), ref, print)
        (theirs,) = images.needed(api, SandboxSpec(), None, print)
        assert mine.base == ref and mine.ref != theirs.ref
    finally:
        api.remove_image(ref)


@pytest.mark.once
def test_another_version_is_asked_for_and_is_not_there(api: APIClient) -> None:
    with pytest.raises(ImageFailed, match=r"Version '0\.0\.1' for 'hello' was not found"):
        images.ensure(api, SandboxSpec(packages=("hello=0.0.1",)), None, print)


@pytest.mark.once
def test_the_desktop_starts_and_starts_again_after_the_x_server_died(
    api: APIClient, own: str
) -> None:
    (desktop,) = images.needed(api, SandboxSpec(), None, print)
    words = ["docker", "run", "--rm", "--detach", "--init", f"--label={own}", f"--name={own}"]
    words += ["--network=none", "--cap-drop=ALL", desktop.ref, "sleep", "60"]
    subprocess.run(words, check=True, stdout=subprocess.PIPE)
    assert in_container(own, "ale-desktop") == (2, "usage: ale-desktop WIDTH HEIGHT\n")
    for size in ("800x600", "1280x1024"):
        # It returns although what it started runs on, and says nothing.
        assert in_container(own, "ale-desktop", *size.split("x")) == (0, "")
        asked = "DISPLAY=:0 xdpyinfo | grep dimensions; pgrep -u agent -c 'Xvfb|openbox|tint2'"
        _, said = in_container(own, "sh", "-c", asked)
        assert f"{size} pixels" in said and said.endswith("\n3\n")
        assert in_container(own, "ale-desktop", "9", "9") == (0, "")  # one is enough
        assert in_container(own, "pkill", "-KILL", "-e", "Xvfb")[0] == 0
        until(lambda: in_container(own, "pgrep", "openbox|tint2|Xvfb")[0] == 1)


def in_container(name: str, *command: str) -> tuple[int, str]:
    words = ["docker", "exec", name, *command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20
    )
    return done.returncode, done.stdout


# Failures.


@pytest.mark.once
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


@pytest.mark.once
def test_a_python_package_that_is_none_is_named(api: APIClient, own: str) -> None:
    with pytest.raises(ImageFailed) as failed:
        images.ensure(api, SandboxSpec(python=(f"no-such-{own}",)), None, print)
    assert f"`pip install no-such-{own}` failed" in str(failed.value)
    assert f"ERROR: No matching distribution found for no-such-{own}" in str(failed.value)


@pytest.mark.once
def test_a_build_that_failed_leaves_nothing(api: APIClient, own: str) -> None:
    noisy = "RUN seq -f 'line %g' 100000; printf '\\033[31mred\\033[0m\\n'; exit 3"
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


@pytest.mark.once
def test_a_base_that_cannot_be_had_is_said_with_what_to_do(api: APIClient) -> None:
    with pytest.raises(ImageFailed) as failed:
        images.ensure(api, SandboxSpec(), "nosuch.invalid/x:1", print)
    said = str(failed.value)
    assert said.startswith("the image nosuch.invalid/x:1 is not here and cannot be pulled: ")
    assert "--ale-image" in said and "scripts/engines" in said


# The verbs.


@pytest.fixture
def place(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.path)
    return project


@pytest.mark.once
def test_what_tasks_need_is_built_and_listed(
    api: APIClient, place: Project, own: str, capsys: Capture
) -> None:
    for name in ("one", "two"):
        place.task(name, environment={"python": [never(own)]})
    place.task("broken", environment={"python": [f"no-such-{own}"]})
    assert main(["images", "build", "legal/one", "tasks/legal/two"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("pytest-ale/task:") and last.endswith(": used by legal/one, legal/two")
    assert main(["images", "build"]) == 1
    out = capsys.readouterr().out
    assert "legal/broken: image pytest-ale/task:" in out and "No matching distribution" in out
    assert ": building" not in out.replace(f": building no-such-{own}", "")
    assert main(["images", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (index,) = [index for index, line in enumerate(lines) if own in line]
    assert re.search(r" \d+ MB  \d{4}-\d\d-\d\d \d\d:\d\d  own", lines[index])
    assert lines[index + 1] == "    used by legal/one, legal/two"
    assert re.fullmatch(r"\d+ images, [\d,]+ MB beside their bases", lines[-1])


@pytest.mark.once
def test_an_image_in_use_is_not_removed_and_one_without_is(api: APIClient, own: str) -> None:
    mine = recipe(own, "RUN head -c 3000000 /dev/zero > /zeros")
    builds.build(api, mine, print)
    container = api.create_container(mine.ref, ["true"], labels=[own], name=own)["Id"]
    (done,) = stock.prune(api, Others(mine.ref))
    assert (done.line, done.ok) == (f"{mine.ref}: container {own} uses it", False)
    api.remove_container(container)
    (done,) = stock.prune(api, Others(mine.ref))
    assert (done.line, done.ok) == (f"{mine.ref}: removed", True)
    assert done.freed == pytest.approx(3e6, rel=0.1)
    assert builds.image_id(api, mine.ref) is None
    assert list(stock.prune(api, Others(mine.ref))) == []


@pytest.mark.once
def test_what_a_task_uses_is_kept_with_all_below_it(api: APIClient, own: str) -> None:
    need = stock.Need(SandboxSpec(python=(never(own),)), ("legal/x",))
    desktop, task = images.needed(api, need.spec, None, print)
    assert stock.uses(api, [need], None) == {desktop.ref: ["legal/x"], task.ref: ["legal/x"]}
    with pytest.raises(ProviderFault, match="the image nosuch:1 is not here: what is built on it"):
        stock.uses(api, [need], "nosuch:1")


def test_a_wrong_use_is_said_in_one_line(
    place: Project, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    said = {
        ("prune",): "there is no folder tasks here: name tasks, or the folder of some",
        ("build", "gone"): "'gone' is neither a folder with tasks in it nor a task's id",
        ("list",): "no Docker engine is running at unix:///nonexistent (No such file",
        ("prune", "--all"): "no Docker engine is running at unix:///nonexistent (No such file",
    }
    for words, line in said.items():
        assert main(["images", *words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"ale: {line}") and err.count("\n") == 1
    place.task(card="title: [")
    assert main(["images", "build"]) == 2
    assert "card.yaml" in capsys.readouterr().err
