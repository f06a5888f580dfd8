"""Pythons: an interpreter of a kit's own, copied from this host; a sandbox's may be of any version.

So are the few other programs that a package needs beside it.

Knows no package and no agent. No registry has an interpreter that can be moved, but almost every
host has one, and CPython finds its library by where its program lies. What it is linked with,
beside libc, is copied too: a sandbox's image need not have OpenSSL or libffi.

    python-3.12.1-linux-x86_64/
      bin/python3.12
      lib/python3.12/...        the standard library, without tests, Tk and site-packages
      libs/libssl.so.3 ...      to be on LD_LIBRARY_PATH when it starts
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ale.kits import Kit, cache, machine_of, pack
from pytest_ale.sandbox import HarnessFault

__all__ = ["compiled", "copied", "programs", "running"]

SECONDS = 60
COMPILE_SECONDS = 300

# What nothing of a command line agent imports: half of it, by size.
LEFT_OUT = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "__pycache__"),
    *("config-*", "site-packages", "dist-packages", "_tkinter*", "_test*.so", "xxlimited*"),
    "EXTERNALLY-MANAGED",
)
# Of libc itself: these must be the sandbox's own, for they go with its kernel and its loader.
LIBC = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|anl|BrokenLocale))\.so(\.\d+)?")
LOADER = re.compile(r"^\s*(/\S*/ld-linux\S*) \(0x", re.MULTILINE)
# Not by LD_LIBRARY_PATH: what such a program starts is to have the sandbox's own libraries.
STARTED = """#!/bin/sh
here=${{0%/*}}
exec {loader} --library-path "$here/../libs" "$here/{name}.bin" "$@"
"""
LINKED = re.compile(r"^\s*(\S+) => (/\S+) \(0x", re.MULTILINE)

ASKED = """
import json, platform, sys, sysconfig
print(json.dumps({
    "version": platform.python_version(),
    "program": getattr(sys, "_base_executable", sys.executable),
    "library": sysconfig.get_path("stdlib"),
    "machine": platform.machine(),
    "kind": platform.python_implementation(),
}))
"""


def copied(version: str, machine: str = "") -> Path:
    """Say where the kit of a Python lies, such as 3.12; copy this host's if there is none yet."""
    machine = machine_of(machine)
    if found := _kept(version, machine):
        return found
    about = _of_host(version)
    if machine_of(about["machine"]) != machine:
        raise HarnessFault(
            f"a Python {version} for linux-{machine} cannot be copied from this host, which is "
            f"{about['machine']}: copy {cache()} from such a machine"
        )
    kit = Kit("python", about["version"], f"linux-{machine}")
    return pack(kit, lambda to: _fill(to, version, about))


def running(python: str, version: str) -> list[str]:
    """Start of a command that runs a copy, where its folder is seen at the path `python`."""
    libraries = f"LD_LIBRARY_PATH={python}/libs"
    return ["/usr/bin/env", libraries, f"{python}/bin/python{version}", "-I"]


def _kept(version: str, machine: str) -> Path | None:
    """The newest copy there is."""
    found = cache().glob(f"python-{version}.*-linux-{machine}")
    return max(
        found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)], default=None
    )


# This host's.


def _of_host(version: str) -> dict[str, str]:
    for program in _candidates(version):
        about = _asked(program)
        if about.get("kind") == "CPython" and about["version"].startswith(f"{version}."):
            return about
    raise HarnessFault(
        f"a kit needs a Python {version} of this host, to copy it once, and there is none: neither "
        f"python{version} on the PATH, nor one of pyenv's or uv's (uv python install {version})"
    )


def _candidates(version: str) -> Iterator[str]:
    """Where one may be; pyenv's own `python3.12` is there also for a version that is not chosen."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        yield sys.executable
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))
    if uv := shutil.which("uv"):
        yield _said([uv, "python", "find", "--no-project", version]).strip()


def _asked(program: str) -> dict[str, str]:
    said = _said([program, "-I", "-c", ASKED]) if program else ""
    return dict(json.loads(said)) if said else {}


def _said(command: Sequence[str]) -> str:
    """What a program says; "" if it fails, or is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout


# Copying.


def _fill(to: Path, version: str, about: dict[str, str]) -> None:
    library = to / "lib" / f"python{version}"
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(about["library"], library, ignore=ignored)
    (library / "site-packages").mkdir()
    program = to / "bin" / f"python{version}"
    program.parent.mkdir()
    shutil.copyfile(Path(about["program"]).resolve(), program)
    program.chmod(0o755)
    (to / "libs").mkdir()
    for name, path in _linked(about["program"], *library.glob("lib-dynload/*.so")).items():
        shutil.copyfile(path, to / "libs" / name)
    (to / "kit.json").write_text(json.dumps(about | {"program": "", "library": ""}, indent=1))
    compiled(to, version, library)


def programs(to: Path, names: Sequence[str]) -> None:
    """Copy programs of this host into a kit's folder `programs`, and what they are linked with."""
    (to / "programs").mkdir()
    for name in names:
        if (found := shutil.which(name)) is None:
            raise HarnessFault(
                f"a kit needs {name} of this host, to copy it once, and it is not on the PATH: "
                f"install it (Debian's package is {name})"
            )
        shutil.copyfile(found, to / "programs" / f"{name}.bin")
        for library, path in _linked(found).items():
            if not (to / "libs" / library).exists():
                shutil.copyfile(path, to / "libs" / library)
        loader = LOADER.search(_said(["ldd", found]))
        start = to / "programs" / name
        start.write_text(STARTED.format(loader=loader[1] if loader else "", name=name))
        for file in (start, start.with_name(f"{name}.bin")):
            file.chmod(0o755)


def _linked(*binaries: str | Path) -> dict[str, str]:
    """The libraries that they are linked with, by their names; not libc's."""
    said = _said(["ldd", *map(str, binaries)])
    return {name: path for name, path in LINKED.findall(said) if not LIBC.fullmatch(name)}


def compiled(python: Path, version: str, folder: Path) -> None:
    """Add bytecode: a kit is read-only where it is used. Its times are not those of a copy."""
    options = ["-q", "-j2", "-s", str(python), "--invalidation-mode", "unchecked-hash"]
    command = [*running(str(python), version), "-m", "compileall", *options, str(folder)]
    try:
        # What does not compile (a template, code for a newer Python) is for whoever imports it.
        subprocess.run(command, capture_output=True, timeout=COMPILE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HarnessFault(f"{folder} could not be compiled: {error}") from error
