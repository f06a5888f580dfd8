"""Kits: packed once by whoever comes first, whole or not at all, and good for every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pytest_ale import kits
from pytest_ale.cli import main
from pytest_ale.kits import PYTHONS, Kit, bridge_kit, libraries_kit, pack
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import ProviderFault, SandboxSpec

from .bridging import size

KIT = Kit("hammer", "1", "linux-x86_64")

PACKER = """
import os, sys, time
from pathlib import Path
from pytest_ale.kits import Kit, pack

def fill(to):
    with open(sys.argv[1], "a") as log:
        log.write("filled\\n")
    for number in range(20):
        (to / f"part{number}").write_text("x")
        time.sleep(0.02)

print(len(list(pack(Kit("hammer", "1", "linux-x86_64"), fill).iterdir())))
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return kits.cache()


def test_packers_at_once_fill_a_kit_once_and_all_get_it_whole(empty: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", PACKER, str(log)]
    packers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [packer.communicate(timeout=30)[0].strip() for packer in packers]
    assert said == ["20"] * 4
    assert log.read_text() == "filled\n"


def test_a_packer_that_is_killed_leaves_no_kit_and_the_next_one_packs(
    empty: Path, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", PACKER, str(tmp_path / "log")]) as packer:
        partial = empty / f".{KIT}.partial"
        deadline = time.monotonic() + 20
        while not (partial / "part1").exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        packer.kill()
    assert partial.exists() and not (empty / str(KIT)).exists()
    whole = pack(KIT, lambda to: (to / "new").touch())
    assert [path.name for path in whole.iterdir()] == ["new"]
    assert not partial.exists()


def test_a_kit_that_cannot_be_filled_is_not_there(empty: Path) -> None:
    def fill(to: Path) -> None:
        (to / "half").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(
        ProviderFault, match=r"kit hammer-1-linux-x86_64 .*No space left.*XDG_CACHE"
    ):
        pack(KIT, fill)
    assert [path for path in empty.iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ProviderFault, match=r"Not a directory.*XDG_CACHE_HOME"):
        pack(KIT, lambda to: None)


def test_a_kit_can_be_read_by_another_user_whatever_the_umask(empty: Path) -> None:
    def fill(to: Path) -> None:
        (to / "bin").mkdir(mode=0o700)
        (to / "bin" / "tool").touch(mode=0o700)
        (to / "text").touch(mode=0o600)

    whole = pack(KIT, fill)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [whole, *whole.rglob("*")]}
    assert modes == {whole.name: 0o755, "bin": 0o755, "tool": 0o755, "text": 0o644}


def test_what_pip_says_is_in_the_message(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kits, "SHARED", ("mcp==0.0.0.dev999",))
    with pytest.raises(ProviderFault, match=r"(?s)Python 3\.10.*0\.0\.0\.dev999.*package index"):
        libraries_kit()
    assert not list(empty.glob("libraries-*"))


def test_without_pip_and_uv_it_says_what_to_install(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ProviderFault, match=r"ensurepip.*uv on the PATH"):
        libraries_kit()


def test_its_folder_is_said_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kit"]) == 0
    assert Path(capsys.readouterr().out.strip()) == bridge_kit()


def test_another_kind_of_machine_is_refused() -> None:
    with pytest.raises(ProviderFault, match="'sparc64': one of x86_64"):
        bridge_kit("sparc64")


def test_a_changed_program_makes_another_kit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bridge_kit()
    assert bridge_kit() == first
    shutil.copytree(kits.BRIDGE, tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kits, "BRIDGE", tmp_path / "bridge")
    assert bridge_kit() == first
    (tmp_path / "bridge" / "more.py").touch()
    second = bridge_kit()
    try:
        assert second != first
        # Links: two versions of the bridge take hardly more room than one.
        name = "libraries/shared/six.py"
        assert (second / name).samefile(first / name)
    finally:
        shutil.rmtree(second)
        second.with_name(f".{second.name}.lock").unlink()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_hold_all_that_is_needed(python: str) -> None:
    libraries = bridge_kit() / "libraries"
    found = list(
        distributions(path=[str(libraries / "shared"), str(libraries / f"python{python}")])
    )
    versions = {_plain(each.metadata["Name"]): each.version for each in found}
    wrong = [
        f"{each.metadata['Name']} needs {need}, there is {versions.get(_plain(need.name))}"
        for each in found
        for need in _needs(each, python)
        if not need.specifier.contains(versions.get(_plain(need.name)) or "0", prereleases=True)
    ]
    assert wrong == [] and "mcp" in versions and "python-xlib" in versions


def _needs(each: Distribution, python: str) -> Iterator[Requirement]:
    for text in each.requires or []:
        need = Requirement(text)
        here = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
        # pyjwt[crypto] is asked for; cryptography is pinned for it.
        if need.marker is None or need.marker.evaluate(here):
            yield need


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _run(kit: Path, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [python, "-I", str(kit / "run.py"), *words]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def test_a_program_that_is_not_there_is_named() -> None:
    ended = _run(bridge_kit(), "nope")
    assert (
        ended.returncode == 2
        and "desktop|machine|desk" in ended.stderr
        and "'nope'" in ended.stderr
    )


def test_a_forwarder_without_words_is_told_them() -> None:
    ended = _run(bridge_kit(), "forward")
    assert ended.returncode == 2 and ended.stderr.startswith("usage: forward.py PORT SOCKET")


def test_a_python_without_libraries_is_told_which_have_some(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    shutil.copytree(bridge_kit(), kit, copy_function=os.link)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.rmtree(kit / "libraries" / f"python{own}")
    ended = _run(kit, "machine")
    assert ended.returncode == 3
    assert f"no libraries for Python {own}" in ended.stderr
    assert "it has them for 3.10" in ended.stderr.replace(f" {own},", "")


def test_a_kit_for_another_machine_says_so(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    shutil.copytree(bridge_kit(), kit)
    (kit / "platform").write_text("linux-sparc64\n")
    ended = _run(kit, "machine")
    assert ended.returncode == 3 and "is for linux-sparc64" in ended.stderr


def test_it_leaves_no_bytecode_in_a_kit_that_has_some(tmp_path: Path) -> None:
    kit = bridge_kit()
    before = sorted(kit.rglob("*"))
    assert _run(kit, "machine", "--help").returncode == 0
    assert sorted(kit.rglob("*")) == before


# Where there is nothing but Python.

CLIENT = """
import asyncio, sys
kit = sys.argv[1]
own = f"{kit}/libraries/python{sys.version_info[0]}.{sys.version_info[1]}"
sys.path[:0] = [own, f"{kit}/libraries/shared"]
from mcp import ClientSession, StdioServerParameters, stdio_client

async def ask(program, name, *options, **given):
    words = ["-I", f"{kit}/run.py", program, *options]
    server = StdioServerParameters(command=sys.executable, args=words)
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        print(program, len((await session.list_tools()).tools))
        result = await session.call_tool(name, given)
        first = result.content[0]
        print(result.is_error, first.text if first.type == "text" else first.mime_type)

asyncio.run(ask("machine", "run_command", command="echo $HOME"))
asyncio.run(ask("desktop", "screenshot", *sys.argv[2:]))
"""


def test_the_kit_works_in_a_local_sandbox_without_a_screen() -> None:
    provider, lease = LocalProvider(unsafe=True), f"bridgekit{os.getpid()}"
    sandbox = provider.create(lease, SandboxSpec())
    try:
        sandbox.put(bridge_kit(), "kit")
        sandbox.write("client.py", CLIENT)
        kit = f"{sandbox.home}/task/kit"
        ended = sandbox.exec(["python3", "client.py", kit, "--display=:64123"], timeout=60)
        said = ended.stdout.splitlines()
        assert said[:3] == ["machine 12", "False exit code 0", sandbox.home], ended
        assert said[3] == "desktop 21" and said[4].startswith("True no X server answers"), ended
    finally:
        sandbox.stop()
        provider.destroy(lease)


def test_the_kit_works_in_a_container_without_a_network(docker_engine: None) -> None:
    """Mounted read-only, with a real screen, the client inside as an agent's program is."""
    provider, lease = DockerProvider(), f"bridgekit{os.getpid()}"
    kit = bridge_kit()
    sandbox = provider.create(lease, SandboxSpec(desktop=True, kits=(kit,)))
    try:
        sandbox.write("client.py", CLIENT)
        ended = sandbox.exec(["python3", "client.py", f"/opt/ale/{kit.name}"], timeout=60)
        said = ended.stdout.splitlines()
        assert said[:3] == ["machine 14", "False exit code 0", sandbox.home], ended
        assert said[3:] == ["desktop 21", "False image/png"], ended
        sandbox.stop()
        shot = sandbox.read(f"{sandbox.home}/.ale/screenshots/0001.png")
        assert size(shot) == (1280, 800)
    finally:
        provider.destroy(lease)
