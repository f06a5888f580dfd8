"""Kits from npm: the real CLIs, fetched by the real npm, run where there is nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_ale.harnesses.claude_code import ClaudeCode
from pytest_ale.harnesses.codex import Codex
from pytest_ale.harnesses.gemini_cli import GeminiCli

from pytest_ale import kits, npm
from pytest_ale.npm import NODE, Package
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.sandbox import HarnessFault, Sandbox, SandboxSpec
from pytest_ale.testing import Call, Expect, Say, ScriptedModel

CODEX, CLAUDE, GEMINI = Codex.package, ClaudeCode.package, GeminiCli.package
CLIS = (CODEX, CLAUDE, GEMINI)
# 26 kB, and nothing else is needed for it.
SMALL = Package("ms", "ms", "2.1.3", "node_modules/ms/index.js")

PACKER = """
import sys
from pytest_ale.npm import Package
print(Package("ms", "ms", "2.1.3", "node_modules/ms/index.js").kit_of())
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of kits with nothing in it, and a process that has failed at nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(npm, "_failed", {})
    return kits.cache()


@pytest.fixture
def spied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a program called npm that writes down how it was called, then is npm."""
    folder, log = tmp_path / "spy", tmp_path / "npm.log"
    folder.mkdir()
    (folder / "npm").write_text(
        f'#!/bin/sh\necho "$@" >> {log}\nsleep "${{SPY_SLEEP:-0}}"\n'
        f'exec {shutil.which("npm")} "$@"\n'
    )
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    log.touch()
    return log


def left(cache: Path) -> list[str]:
    """What is in a cache but for locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def installs(log: Path) -> int:
    return log.read_text().count("install ")


# What is packed.


@pytest.mark.parametrize("package", CLIS, ids=lambda package: package.kit)
def test_a_kit_says_what_is_in_it(package: Package) -> None:
    kit = package.kit_of(machine="x86_64")
    node = f"-node{NODE}" if package.node else ""
    assert kit.name == f"{package.kit}-{package.version}{node}-linux-x86_64"
    about = json.loads((kit / "kit.json").read_text())
    lock = (kit / "package-lock.json").read_bytes()
    assert about["lock"] == hashlib.sha256(lock).hexdigest()
    assert (about["package"], about["version"]) == (package.name, package.version)
    assert about["node"] == (NODE if package.node else None)
    assert [package.name, package.version] in about["installed"]
    assert b"resolved" not in lock


@pytest.mark.parametrize("package", CLIS, ids=lambda package: package.kit)
def test_a_kit_is_plain_files_that_all_can_read_and_nobody_else_s(package: Package) -> None:
    kit = package.kit_of(machine="x86_64")
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in kit.rglob("*")}
    assert kinds == {stat.S_IFREG, stat.S_IFDIR}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in kit.rglob("*"))
    for machine in ("arm64", "aarch64", "darwin", "win32", "musl"):
        assert not [path for path in (kit / "node_modules").glob("@*/*") if machine in path.name]


def test_kits_share_one_node() -> None:
    kit = GEMINI.kit_of(machine="x86_64")
    alone = kit.with_name(f"node-{NODE}-linux-x86_64")
    assert (kit / "node/bin/node").samefile(alone / "node/bin/node")
    assert (kit / "node/LICENSE").is_file()


@pytest.mark.once
def test_a_kit_for_another_machine_has_its_programs(empty: Path) -> None:
    # The smallest that has one for each: 100 MB and Node.
    kit = GEMINI.kit_of(machine="arm64")
    assert kit.name.endswith("-linux-aarch64")
    node = (kit / "node/bin/node").read_bytes()[:20]
    assert (node[:4], node[18]) == (b"\x7fELF", 183)  # EM_AARCH64
    assert (kit / "node_modules/@lydell/node-pty-linux-arm64/pty.node").is_file()


def test_commands_are_paths_below_where_the_kit_is_seen() -> None:
    assert CODEX.command("/opt/ale/it", "aarch64") == [
        "/opt/ale/it/node_modules/@openai/codex-linux-arm64/vendor/"
        "aarch64-unknown-linux-musl/bin/codex"
    ]
    assert GEMINI.command("/k", "amd64") == ["/k/node/bin/node", f"/k/{GEMINI.program}"]


@pytest.mark.once
def test_install_scripts_do_not_run(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's settings are for it; esbuild's script would put its program in place of this one.
    monkeypatch.setenv("npm_config_ignore_scripts", "false")
    kit = Package("esbuild", "esbuild", "0.25.0", "node_modules/esbuild/bin/esbuild").kit_of()
    assert (kit / "node_modules/esbuild/bin/esbuild").read_bytes().startswith(b"#!/usr/bin/env")


def test_settings_that_would_spoil_a_kit_do_not(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "omit": "optional",
        "package_lock": "false",
        "install_strategy": "linked",
        "engine_strict": "true",
        "global": "true",
        "dry_run": "true",
        "prefix": "/nowhere",
        "omit_lockfile_registry_resolved": "false",
    }.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    kit = SMALL.kit_of()
    assert json.loads((kit / "kit.json").read_text())["installed"] == [["ms", "2.1.3"]]
    assert b"resolved" not in (kit / "package-lock.json").read_bytes()
    assert (kit / "node_modules/ms").is_dir() and not (kit / "node_modules/ms").is_symlink()


# Versions.


@pytest.mark.once
def test_a_tag_is_resolved_to_a_version() -> None:
    said = subprocess.run(
        ["npm", "view", CLAUDE.name, "dist-tags", "--json"], capture_output=True, check=True
    )
    tags = json.loads(said.stdout)
    assert CLAUDE.resolve() == tags.pop("latest")
    for tag, version in tags.items():
        assert CLAUDE.resolve(tag) == version
    assert CLAUDE.resolve("2.1.329") == "2.1.329"


def test_a_version_that_is_not_there_is_refused_with_the_latest(empty: Path) -> None:
    latest = SMALL.resolve()
    with pytest.raises(HarnessFault, match=rf"^ms 9\.9\.9: npm has no.*; the latest is {latest}$"):
        SMALL.kit_of("9.9.9")
    with pytest.raises(HarnessFault, match=r"^ms newest: npm has no such version"):
        SMALL.resolve("newest")
    assert left(empty) == []


@pytest.mark.parametrize("version", ["latest", "../../2.1.3", "2.1.3/..", "1", "^2.1.3", "-g"])
def test_what_is_not_a_version_is_not_packed(version: str, empty: Path) -> None:
    with pytest.raises(HarnessFault, match=r"not a version; one is written like 2\.1\.3"):
        SMALL.kit_of(version)
    assert not empty.exists()


def test_a_package_that_is_not_there_is_named(empty: Path) -> None:
    with pytest.raises(HarnessFault, match=r"(?s)none could not be fetched: E404.*registry"):
        Package("none", "@openai/no-such-package-at-all", "1.0.0", "x").resolve()


def test_another_kind_of_machine_is_refused() -> None:
    with pytest.raises(HarnessFault, match="'sparc64': one of x86_64"):
        SMALL.kit_of(machine="sparc64")


# Faults.


def test_without_npm_it_says_what_to_install_and_what_to_do_else(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HarnessFault, match=rf"Debian's package is npm.*once.*copy {empty}"):
        SMALL.kit_of()
    assert left(empty) == []


def test_a_kit_that_is_there_needs_neither_npm_nor_a_network(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = SMALL.kit_of()
    monkeypatch.setenv("PATH", "/nowhere")
    assert SMALL.kit_of() == kit


def test_a_registry_that_is_down_is_said_soon_and_once(
    empty: Path, spied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("npm_config_registry", address)
        start = time.monotonic()
        with pytest.raises(HarnessFault, match=rf"(?s)^ms could.*ECONN.*{address}.*npm config"):
            SMALL.kit_of()
        assert time.monotonic() - start < 10
    asked = spied.read_text()
    with pytest.raises(HarnessFault, match=r"^ms-2\.1\.3-linux-\w+ failed before in this run: ms"):
        SMALL.kit_of()
    assert spied.read_text() == asked
    assert left(empty) == []


@contextmanager
def mute() -> Iterator[str]:
    """A registry that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_registry_that_says_nothing_is_not_waited_for(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two tries, with a second between them.
    assert 2 * npm.REQUEST_SECONDS + 1 < 20 < npm.ASK_SECONDS
    monkeypatch.setattr(npm, "REQUEST_SECONDS", 1)
    with mute() as address:
        monkeypatch.setenv("npm_config_registry", address)
        start = time.monotonic()
        with pytest.raises(HarnessFault, match=r"(?s)^ms could not be fetched.*timeout"):
            SMALL.kit_of()
        assert time.monotonic() - start < 10


def test_npm_itself_is_not_waited_for_without_end(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "ASK_SECONDS", 1)
    with mute() as address:
        monkeypatch.setenv("npm_config_registry", address)
        with pytest.raises(HarnessFault, match=r"npm view did not end in 1 s"):
            SMALL.kit_of()
    assert left(empty) == []


def test_a_package_without_the_program_is_no_kit(empty: Path) -> None:
    changed = Package("ms", "ms", "2.1.3", "node_modules/ms-linux-{cpu}/ms")
    with pytest.raises(HarnessFault, match=r"left no ms for linux-x86_64.*npm@11"):
        changed.kit_of(machine="x86_64")
    assert left(empty) == []


def test_a_cache_that_cannot_be_made_is_an_agents_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(HarnessFault, match=r"Not a directory.*XDG_CACHE_HOME"):
        SMALL.kit_of()


# Many at once.


def test_processes_at_once_fetch_once(empty: Path, spied: Path) -> None:
    packers = [
        subprocess.Popen([sys.executable, "-c", PACKER], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {packer.communicate(timeout=60)[0].strip() for packer in packers}
    assert said == {str(SMALL.kit_of())}
    assert installs(spied) == 1


def test_threads_at_once_fail_once(
    empty: Path, spied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    faults: list[str] = []

    def one() -> None:
        with pytest.raises(HarnessFault) as caught:
            SMALL.kit_of()
        faults.append(str(caught.value))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted("failed before" in fault for fault in faults) == [False, True, True]
    assert len(spied.read_text().splitlines()) == 1


@pytest.mark.once
def test_npm_whose_packer_was_killed_does_not_write_into_the_next_ones_kit(
    empty: Path, spied: Path
) -> None:
    slow = os.environ | {"SPY_SLEEP": "2"}
    with subprocess.Popen([sys.executable, "-c", PACKER], env=slow) as packer:
        deadline = time.monotonic() + 30
        while not installs(spied):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        packer.kill()
    orphan_since = time.monotonic()
    kit = SMALL.kit_of()
    # npm goes on, and still has the lock: only then it was the next one's turn.
    assert time.monotonic() - orphan_since > 1.5
    assert installs(spied) == 2
    assert left(empty) == [kit.name]
    assert sorted(path.name for path in kit.iterdir()) == [
        *("kit.json", "node_modules", "package-lock.json", "package.json"),
    ]


# In a sandbox with no network, no npm, no Node, and somebody else's HOME.

Make = Callable[..., Sandbox]


@pytest.fixture
def make(docker_engine: None) -> Iterator[Make]:
    provider, made = DockerProvider(), []

    def one(**spec: object) -> Sandbox:
        made.append(lease := uuid.uuid4().hex[:12])
        return provider.create(lease, SandboxSpec(**spec))  # type: ignore[arg-type]

    yield one
    for lease in made:
        provider.destroy(lease)


@pytest.mark.once
def test_all_run_as_another_user_from_a_folder_that_cannot_be_written(make: Make) -> None:
    packed = {package: package.kit_of() for package in CLIS}
    box = make(kits=tuple(packed.values()))
    assert box.exec("which npm node; id -u; ls /sys/class/net").stdout.split() == ["1000", "lo"]
    for package, kit in packed.items():
        inside = f"/opt/ale/{kit.name}"
        assert "Read-only" in box.exec(["touch", f"{inside}/x"]).stderr
        done = box.exec([*package.command(inside), "--version"], timeout=30, check=True)
        assert package.version in done.stdout, done


CONFIG = """
model = "scripted"
model_provider = "scripted"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
[otel]
exporter = "none"
[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:8080/v1"
wire_api = "responses"
env_key = "KEY"
request_max_retries = 0
stream_max_retries = 0
"""


@pytest.mark.once
def test_codex_works_for_a_model_from_where_there_is_no_network(make: Make, tmp_path: Path) -> None:
    kit = CODEX.kit_of()
    script = [
        Call("shell", {"command": "command -v rg; echo so > $HOME/made"}),
        # Of the kit's programs, one that Codex looks for beside itself.
        Expect(tool_result_contains=f"/opt/ale/{kit.name}/node_modules/"),
        Say("It is done."),
    ]
    with ScriptedModel(script, socket=tmp_path / "model.sock") as model:
        (tmp_path / "model.sock").chmod(0o666)
        box = make(kits=(kit,), sockets={8080: tmp_path / "model.sock"})
        box.write(f"{box.home}/.codex/config.toml", CONFIG)
        words = ["exec", "--json", "--skip-git-repo-check", "Make it."]
        done = box.exec(
            [*CODEX.command(f"/opt/ale/{kit.name}"), *words], env={"KEY": "any"}, timeout=60
        )
        assert done.returncode == 0, done
        assert "It is done." in done.stdout
        assert box.read(f"{box.home}/made") == b"so\n"
    model.check()
