"""Kits of programs that npm has: fetched once on the host, with a Node of their own where needed.

Knows no agent: what is packed is said by a `Package`. Nothing is fetched or run in a sandbox, and
nothing of what is fetched is run on the host: the packages' install scripts are off.

    codex-0.169.0-linux-x86_64/       gemini_cli-0.61.0-node24.21.0-linux-x86_64/
      kit.json                          kit.json            what is in it: see `_describe`
      node_modules/...                  node_modules/...
      package.json, package-lock.json   node/bin/node       a link to that of the kit of Node
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from pytest_ale.kits import Kit, cache, held, machine_of, pack
from pytest_ale.sandbox import HarnessFault, ProviderFault

__all__ = ["NODE", "Package"]

# Long-term support until April 2028, and new enough for all (openclaw asks for 24.16 or later,
# Claude Code's wrapper for 22). npm has this one for both kinds of machine. Needs glibc 2.28.
NODE = "24.21.0"

# As npm calls machines.
CPUS = {"x86_64": "x64", "aarch64": "arm64"}
VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")

# A question fails soon: two tries, a second apart. What is fetched has hundreds of MB, and npm's
# own (or the user's) time for each request.
QUICK = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")
REQUEST_SECONDS = 8
ASK_SECONDS = 30
INSTALL_SECONDS = 600
# What is asked of npm is not to depend on the user's settings; where from, and how, is.
ASKING = ("--json", "--loglevel=error", "--no-progress", "--no-update-notifier")
INSTALL = (
    *("--ignore-scripts", "--omit=dev", "--include=optional", "--no-audit", "--no-fund"),
    *("--no-global", "--no-dry-run"),
    # No links: kits are copied into sandboxes that take none.
    *("--install-strategy=hoisted", "--no-bin-links"),
    # It would be asked of the host's Node, which runs none of it.
    "--no-engine-strict",
    # Without the registry's name, a lock file is the same wherever it was made.
    *("--package-lock", "--omit-lockfile-registry-resolved"),
)

_failed: dict[Path, str] = {}


@dataclass(frozen=True)
class Package:
    """What is packed: `name` for npm, `kit` for people; `version` is the one that was tried.

    `program` is what is run, by its path in the kit; it may hold {cpu} (npm's word: x64, arm64)
    and {machine} (x86_64, aarch64). With `node` it is a script, run by the kit's own Node.
    """

    kit: str
    name: str
    version: str
    program: str
    node: bool = False
    also: tuple[str, ...] = ()  # what it would download as it works: other packages, NAME@VERSION

    by: ClassVar[str] = "npm"

    def resolve(self, asked: str = "latest") -> str:
        """Say which version a tag means now, or that there is such a version."""
        known = _known(self)
        tags = cast("Mapping[str, str]", known.get("dist-tags", {}))
        versions = known.get("versions", [])
        # Of a package with one version, npm does not make a list.
        if asked in ([versions] if isinstance(versions, str) else cast("list[str]", versions)):
            return asked
        if asked not in tags:
            latest = tags.get("latest", "not said")
            raise HarnessFault(
                f"{self.kit} {asked}: npm has no such version; the latest is {latest}"
            )
        return tags[asked]

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
        more = [re.sub(r"[^\w.]", "", each.rpartition("/")[2]) for each in self.also]
        whole = [version, *([f"node{NODE}"] if self.node else []), *more]
        return Kit(self.kit, "-".join(whole), f"linux-{machine}")

    def command(self, kit: str, machine: str = "") -> list[str]:
        """Start of a command that runs it, where its kit is seen at the path `kit`."""
        program = f"{kit}/{self.path(_machine(machine))}"
        return [f"{kit}/node/bin/node", program] if self.node else [program]

    def path(self, machine: str) -> str:
        """Of the program, in its kit."""
        return _named(self.program, machine)

    def inside(self, kit: str, path: str, machine: str = "") -> str:
        """Of a file in the kit that is seen at the path `kit`; named as `program` is."""
        return f"{kit}/{_named(path, _machine(machine))}"


def _named(path: str, machine: str) -> str:
    return path.format(cpu=CPUS[machine], machine=machine)


def _machine(given: str) -> str:
    try:
        return machine_of(given)
    except ProviderFault as error:
        raise HarnessFault(str(error)) from error


# Packing.


def _once(kit: Kit, fill: Callable[[Path], None]) -> Path:
    """Pack, but not again what failed in this process: what is wrong with npm seldom goes away."""
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
    package.resolve(version)
    _install(to, package.name, version, machine, also=package.also)
    program = to / package.path(machine)
    _look_for(program, f"{package.name} {version}", machine)
    # What is in an archive need not be executable: npm sees to it when it makes its links.
    program.chmod(program.stat().st_mode | 0o111)
    if package.node:
        # Links: ten kits with a Node take the room of one.
        shutil.copytree(_node_kit(machine) / "node", to / "node", copy_function=os.link)
    _describe(to, package, version, machine)


def _node_kit(machine: str) -> Path:
    kit = Kit("node", NODE, f"linux-{machine}")
    return _once(kit, lambda to: _fill_node(to, machine))


def _fill_node(to: Path, machine: str) -> None:
    name = f"node-linux-{CPUS[machine]}"
    # Optional: of others, npm 11 compares the platform to the host's, whatever --cpu says.
    _install(to, name, NODE, machine, kind="optionalDependencies")
    found = to / "node_modules" / name
    _look_for(found / "bin" / "node", f"{name} {NODE}", machine)
    (to / "node" / "bin").mkdir(parents=True)
    # The rest is headers and manuals: 60 of 190 MB.
    for path in ("bin/node", "LICENSE"):
        (found / path).rename(to / "node" / path)
    shutil.rmtree(to / "node_modules")


def _install(
    to: Path,
    name: str,
    version: str,
    machine: str,
    *,
    kind: str = "dependencies",
    also: tuple[str, ...] = (),
) -> None:
    more = {other: pinned for other, _, pinned in (each.rpartition("@") for each in also)}
    wanted = {"name": "kit", "private": True, kind: {name: version, **more}}
    (to / "package.json").write_text(json.dumps(wanted))
    platform = ("--os=linux", f"--cpu={CPUS[machine]}", "--libc=glibc")
    _npm(f"{name} {version}", to, "install", *INSTALL, *platform, seconds=INSTALL_SECONDS)
    # A second lock file, of what is installed alone.
    (to / "node_modules" / ".package-lock.json").unlink(missing_ok=True)


def _look_for(program: Path, what: str, machine: str) -> None:
    """npm leaves out what is optional and cannot be had: with most CLIs, the program itself."""
    if not program.is_file():
        raise _not_fetched(
            what,
            f"npm ended well, but left no {program.name} for linux-{machine}. Either the registry "
            "does not have it, or npm is too old to fetch for another machine than its own "
            "(9.2 is, 11 is not: npm install --global npm@11).",
        )


def _describe(to: Path, package: Package, version: str, machine: str) -> None:
    """Note package, version, node, all that is installed, and sha256 of npm's lock file."""
    lock = (to / "package-lock.json").read_bytes()
    entries = json.loads(lock)["packages"].items()
    about = {
        "kit": package.kit,
        "package": package.name,
        "version": version,
        "platform": f"linux-{machine}",
        "node": NODE if package.node else None,
        "lock": hashlib.sha256(lock).hexdigest(),
        # The lock file names the packages for all platforms.
        "installed": [
            [path.removeprefix("node_modules/"), entry["version"]]
            for path, entry in entries
            if path and (to / path).is_dir()
        ],
    }
    (to / "kit.json").write_text(json.dumps(about, indent=1) + "\n")


# Asking npm.


def _known(package: Package) -> Mapping[str, object]:
    """What the registry knows of a package's tags and versions."""
    words = ("view", package.name, "dist-tags", "versions", *QUICK)
    timeout = f"--fetch-timeout={REQUEST_SECONDS * 1000}"
    said = _npm(package.kit, cache(), *words, timeout, seconds=ASK_SECONDS)
    return cast("Mapping[str, object]", json.loads(said))


def _npm(what: str, prefix: Path, *words: str, seconds: float) -> str:
    """Run npm, with all settings of the user's own; with a prefix, none of the current folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise HarnessFault(
            f"{what} is fetched by npm, which is not on the PATH: install it (Debian's package is "
            f"npm). It is needed once on this host and never in a sandbox; {_instead()}"
        )
    command = [npm, *words, *ASKING, f"--prefix={prefix}"]
    try:
        done = subprocess.run(
            command, timeout=seconds, capture_output=True, stdin=subprocess.DEVNULL, pass_fds=held()
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(what, f"npm {words[0]} did not end in {seconds} s") from error
    if done.returncode:
        raise _not_fetched(what, _why(done.stdout, done.stderr))
    return done.stdout.decode(errors="replace")


def _why(stdout: bytes, stderr: bytes) -> str:
    try:
        error = json.loads(stdout)["error"]
        return f"{error['code']} {error['summary']}"
    except (ValueError, KeyError, TypeError):
        lines = stderr.decode(errors="replace").split("\n")
        return "\n".join(line for line in lines[-8:] if line) or "npm did not say why"


def _not_fetched(what: str, why: str) -> HarnessFault:
    return HarnessFault(
        f"{what} could not be fetched: {why}\n"
        "This needs a registry of npm's, once: `npm config list` in your home folder says which "
        f"(a project's own .npmrc is not read), and which proxy; {_instead()}"
    )


def _instead() -> str:
    return f"or copy {cache()} from a machine that has the kit"
