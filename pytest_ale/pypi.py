"""Kits of programs that PyPI has: fetched once on the host, with a Python of their own.

Knows no agent: what is packed is said by a `Package`. Nothing is fetched or installed in a sandbox.
Of what is fetched nothing is run on the host, but for the set-up of those few packages that have
no wheel (`Package.built`).

    aider_packages-0.86.2-python3.12-3f818702-linux-x86_64/
      kit.json                               what is in it: see `_describe`
      bin/, lib/python3.12/, libs/           links to the files of the kit of that Python
      lib/python3.12/site-packages/...       the program, and what it imports
    aider-0.86.2-python3.12-5f3a9c02-linux-x86_64/
      ...                                    links to all of that
      lib/python3.12/site-packages/ale_inside/   our own files that start it
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from pytest_ale.kits import MANYLINUX, Kit, cache, held, machine_of, pack
from pytest_ale.pythons import compiled, copied, programs, running
from pytest_ale.sandbox import HarnessFault, ProviderFault

__all__ = ["Package"]

VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*")
INSIDE = "ale_inside"
ASK_SECONDS = 60
INSTALL_SECONDS = 600
# These two of the user's settings are in the way; index, proxy and certificates are wanted.
NOT_THE_USERS = {
    "PIP_USER": "0",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
WHEELS = ("--only-binary=:all:", "--report=-")

_failed: dict[Path, str] = {}


@dataclass(frozen=True)
class Package:
    """What is packed: `name` for PyPI, `kit` for people; `version` is the one that was tried.

    The last of `inside`, files of ours that go into the kit, is what is run: as a module, with the
    kit's own Python. `lock` has what the tried version was tried with, a `name==version` a line.
    """

    kit: str
    name: str
    version: str
    inside: tuple[Path, ...]
    lock: Path
    python: str = "3.12"
    also: tuple[str, ...] = ()  # what it needs and does not say
    programs: tuple[str, ...] = ()  # of this host, that it starts and a sandbox may not have
    built: tuple[str, ...] = ()  # of pure Python, and without a wheel: built on the host

    by: ClassVar[str] = "pip"

    def resolve(self, asked: str = "latest") -> str:
        """Say which version a name means now, or that there is such a version."""
        wanted = self.name if asked == "latest" else f"{self.name}=={asked}"
        python = copied(self.python)
        report = _report(self, python, "--dry-run", "--no-deps", wanted, seconds=ASK_SECONDS)
        return report[0][1]

    def kit_of(self, version: str = "", machine: str = "") -> Path:
        """Say where a version's kit lies; fetch it if nobody did before. "" is the one tried."""
        machine = _machine(machine)
        version = version or self.version
        if not VERSION.fullmatch(version):
            raise HarnessFault(
                f"{self.kit} {version}: not a version; one is written like {self.version}"
            )
        return _once(self._kit(version, machine), lambda to: _fill(to, self, version, machine))

    def is_here(self, version: str) -> bool:
        return (cache() / str(self._kit(version, _machine("")))).is_dir()

    def _kit(self, version: str, machine: str) -> Kit:
        ours = _digest(self._theirs(version), *(path.read_bytes() for path in self.inside))
        return Kit(self.kit, f"{version}-python{self.python}-{ours}", f"linux-{machine}")

    def _without_ours(self, version: str, machine: str) -> Kit:
        whole = f"{version}-python{self.python}-{_digest(self._theirs(version))}"
        return Kit(f"{self.kit}_packages", whole, f"linux-{machine}")

    def _theirs(self, version: str) -> bytes:
        lock = self.lock.read_bytes() if version == self.version else b""
        return _digest(lock, " ".join((*self.also, *self.programs)).encode()).encode()

    def command(self, kit: str) -> list[str]:
        """Start of a command that runs it, where its kit is seen at the path `kit`."""
        return [*running(kit, self.python), "-m", f"{INSIDE}.{self.inside[-1].stem}"]


def _digest(*parts: bytes) -> str:
    whole = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(whole).hexdigest()[:8]


def _machine(given: str) -> str:
    try:
        return machine_of(given)
    except ProviderFault as error:
        raise HarnessFault(str(error)) from error


# Packing.


def _once(kit: Kit, fill: Callable[[Path], None]) -> Path:
    """Pack, but not again what failed in this process: what is wrong with pip seldom goes away."""
    whole = cache() / str(kit)

    def try_once(to: Path) -> None:
        if whole in _failed:
            raise HarnessFault(f"{kit} failed before in this run: {_failed[whole]}")
        try:
            fill(to)
        except (HarnessFault, OSError) as error:
            _failed[whole] = str(error)
            raise

    try:
        return pack(kit, try_once)
    except ProviderFault as error:
        raise HarnessFault(str(error)) from error


def _fill(to: Path, package: Package, version: str, machine: str) -> None:
    """Theirs, which took long to fetch, by links, and ours: that is changed more often."""
    theirs = pack(
        package._without_ours(version, machine),
        lambda below: _fetch(below, package, version, machine),
    )
    shutil.copytree(theirs, to, copy_function=os.link, dirs_exist_ok=True)
    ours = _packages(to, package) / INSIDE
    ours.mkdir()
    (ours / "__init__.py").touch()
    for path in package.inside:
        shutil.copyfile(path, ours / path.name)
    compiled(to, package.python, ours)


def _fetch(to: Path, package: Package, version: str, machine: str) -> None:
    python = copied(package.python, machine)
    # Links: ten kits of one Python take the room of one.
    shutil.copytree(python, to, copy_function=os.link, dirs_exist_ok=True)
    (to / "kit.json").unlink()
    packages = _packages(to, package)
    installed = _install(packages, package, version, machine, python)
    shutil.rmtree(packages / "bin", ignore_errors=True)  # scripts, that name a Python of the host
    compiled(to, package.python, packages)
    if package.programs:
        programs(to, package.programs)
    _describe(to, package, version, machine, python, installed)


def _packages(kit: Path, package: Package) -> Path:
    return kit / "lib" / f"python{package.python}" / "site-packages"


def _install(
    to: Path, package: Package, version: str, machine: str, python: Path
) -> list[list[str]]:
    """Install a version with all that it needs; name, version and sha256 of each."""
    words = [f"--target={to}", "--no-compile", "--implementation=cp"]
    words += [f"--platform={p}_{machine}" for p in MANYLINUX]
    words += [f"--constraint={package.lock}"] if version == package.version else []
    built = to / "built"
    for name in package.built:
        options = ("--no-deps", f"--wheel-dir={built}", *words[-1:])
        _pip(package, python, "wheel", *options, name, seconds=INSTALL_SECONDS)
    words += [f"--find-links={built}"] if package.built else []
    wanted = (f"{package.name}=={version}", *package.also)
    installed = _report(package, python, *words, *wanted, seconds=INSTALL_SECONDS)
    shutil.rmtree(built, ignore_errors=True)
    return installed


def _describe(
    to: Path,
    package: Package,
    version: str,
    machine: str,
    python: Path,
    installed: Sequence[list[str]],
) -> None:
    """Note package, version, Python, all that is installed, and on which day that was found."""
    about = {
        "kit": package.kit,
        "package": package.name,
        "version": version,
        "platform": f"linux-{machine}",
        "python": json.loads((python / "kit.json").read_text())["version"],
        "resolved": package.lock.name
        if version == package.version
        else time.strftime("%Y-%m-%d", time.gmtime()),
        "installed": sorted(installed),
    }
    (to / "kit.json").write_text(json.dumps(about, indent=1) + "\n")


# Asking pip.


def _report(package: Package, python: Path, *words: str, seconds: float) -> list[list[str]]:
    """What pip would install, or did: name, version and sha256 of each, the first one first."""
    said = _pip(package, python, "install", *WHEELS, *words, seconds=seconds)
    found = cast("list[Mapping[str, Mapping[str, object]]]", json.loads(said)["install"])
    return [_told(each) for each in found]


def _told(entry: Mapping[str, Mapping[str, object]]) -> list[str]:
    archive = cast("Mapping[str, str]", entry["download_info"].get("archive_info", {}))
    return [
        str(entry["metadata"]["name"]),
        str(entry["metadata"]["version"]),
        archive.get("hash", "").removeprefix("sha256="),
    ]


def _pip(package: Package, python: Path, *words: str, seconds: float) -> str:
    """Run our pip in the kit's Python: so what it needs is asked of that one, not of ours."""
    what = f"{package.kit} ({package.name} on PyPI)"
    if importlib.util.find_spec("pip") is None:
        raise HarnessFault(
            f"{what} is fetched by pip, which {sys.executable} does not have: "
            f"python -m ensurepip; {_instead()}"
        )
    its = f"{python}/bin/python{package.python}"
    command = [sys.executable, "-m", "pip", "--python", its, words[0], "--quiet"]
    env = os.environ | NOT_THE_USERS | {"LD_LIBRARY_PATH": f"{python}/libs"}
    try:
        done = subprocess.run(
            [*command, *words[1:]],
            timeout=seconds,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            # In a folder of nobody's: pip would be imported from the current one first.
            cwd=cache(),
            env=env,
            pass_fds=held(),
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(what, f"pip {words[0]} did not end in {seconds} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line]
        why = [line for line in lines if not line.startswith("WARNING")]
        raise _not_fetched(what, "\n".join(why[-5:]) or "pip did not say why")
    return done.stdout.decode(errors="replace")


def _not_fetched(what: str, why: str) -> HarnessFault:
    return HarnessFault(
        f"{what} could not be fetched: {why}\n"
        f"This needs a package index, once: see `pip config list`; {_instead()}"
    )


def _instead() -> str:
    return f"or copy {cache()} from a machine that has the kit"
