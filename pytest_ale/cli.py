"""The `ale` command: doctor, new, shell, regrade, reap; others lie in verbs/.

Knows nothing of how pytest runs: a shell in a task is a pytest run of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.registry import Unknown
from pytest_ale.settings import BadSetting, Settings
from pytest_ale.verbs import Complaint, agents, images, kit, settings_here, status, watch

if TYPE_CHECKING:
    from pytest_ale.leases import Entry, Pool
    from pytest_ale.record import Record, RunDir
    from pytest_ale.regrade import Regraded
    from pytest_ale.sandbox import Provider

__all__ = ["main"]


PASSED_OVER = ("build", "dist", "node_modules", "venv")  # pytest's norecursedirs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.do(arguments) or 0)
    except (Complaint, BadSetting, Unknown) as error:
        print(f"ale: {error.args[0]}", file=sys.stderr)
    except BrokenPipeError:  # as with `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        print(f"ale: {error.filename}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ale", description="pytest-ale, beside pytest itself")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)

    doctor = verbs.add_parser("doctor", help="Say what this machine can host, and what to install")
    doctor.set_defaults(do=_doctor)

    new = verbs.add_parser("new", help="Make the skeleton of a task")
    new.add_argument("name", metavar="CLUSTER/NAME")
    new.add_argument("--in", dest="root", default="tasks", metavar="DIR", help="Default: tasks")
    new.set_defaults(do=_new)

    shell = verbs.add_parser("shell", help="Enter a task's sandbox, or one that was kept")
    shell.add_argument("target", metavar="TASK|LEASE", help="A task's folder or id, or a lease")
    shell.add_argument("--variant", default="first", help="Default: first")
    shell.add_argument("--dir", help="Folder of the run directories; default: .ale")
    shell.set_defaults(do=_shell)

    regrade = verbs.add_parser("regrade", help="Grade a run's outputs with today's graders")
    regrade.add_argument("run", metavar="RUN_DIR")
    regrade.add_argument("--tasks", metavar="DIR", help="Where the tasks are today")
    regrade.set_defaults(do=_regrade)

    reap = verbs.add_parser("reap", help="Release sandboxes that dead or finished runs left")
    reap.add_argument("lease", nargs="?", default="", help="Only this one, kept ones included")
    reap.add_argument("--kept", action="store_true", help="Also those kept by --ale-keep")
    reap.add_argument("--dir", help="Folder of the run directories; default: .ale")
    reap.set_defaults(do=_reap)

    for verb in (agents, images, status, watch, kit):
        verb.add(verbs)
    return parser


def _runs(arguments: argparse.Namespace) -> Path:
    return Path(arguments.dir) if arguments.dir else settings_here().runs_dir


def _doctor(_: argparse.Namespace) -> int:
    from pytest_ale.registry import PROVIDERS, load_plugins, provider_named

    load_plugins()
    settings = settings_here()
    print(f"python: {sys.version.split()[0]} ({sys.executable})")
    for line in agents.preflight():
        print(f"agents: {line}")
    for name in PROVIDERS.names():
        try:
            lines = provider_named(name, settings).preflight()
        except Exception as error:
            lines = [f"cannot be used: {error}"]
        for line in lines:
            print(f"{name}: {line}")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from pytest_ale.taxonomy import CLUSTERS

    cluster, _, name = arguments.name.partition("/")
    if cluster not in CLUSTERS:
        raise Complaint(f"unknown cluster {cluster!r}; known: {', '.join(CLUSTERS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Complaint(f"task name {name!r}: a name is lower-case letters, digits and _")
    if name in PASSED_OVER:
        raise Complaint(f"task name {name!r}: pytest passes over folders of this name")
    folder = Path(arguments.root) / cluster / name
    if folder.exists():
        raise Complaint(f"{folder} exists already")
    words = {
        "TITLE": name.replace("_", " ").capitalize(),
        "CLUSTER": cluster,
        "SUBFIELD": CLUSTERS[cluster][0],
        "CANARY": str(uuid.uuid4()),
    }
    _write_skeleton(folder, words)
    print(f"{folder}: card.yaml, prompt.md, main.py, oracle.py")
    print(f"subfields of {cluster}: {', '.join(CLUSTERS[cluster])}")
    print(f"try it:   pytest {folder}\ncheck it: pytest {folder} --ale-controls")
    return 0


def _write_skeleton(folder: Path, words: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for template in sorted((Path(__file__).parent / "skeleton").iterdir()):
        if template.is_file():
            pattern = re.compile("|".join(words))
            text = pattern.sub(lambda match: words[match[0]], template.read_text())
            (folder / template.name).write_text(text)


def _shell(arguments: argparse.Namespace) -> int:
    if re.fullmatch(r"[0-9a-f]{12}", arguments.target):
        return _enter(arguments.target, _runs(arguments))
    places = Path(arguments.target), Path("tasks", arguments.target)
    target = next((place for place in places if (place / "card.yaml").is_file()), None)
    if target is None:
        raise Complaint(f"{arguments.target!r} is neither a task's folder or id nor a lease")
    words = [sys.executable, "-m", "pytest", str(target), "--ale-agent=human"]
    words += [f"--ale-variants={arguments.variant}"]
    words += [f"--ale-dir={arguments.dir}"] if arguments.dir else []
    words += ["-n0"] if find_spec("xdist") else []  # a project's own -n has no terminal
    return subprocess.run(words, check=False).returncode


def _enter(lease: str, runs: Path) -> int:
    """Open a shell in a kept sandbox; it stays kept."""
    from pytest_ale.registry import load_plugins, provider_named
    from pytest_ale.sandbox import Fault, SandboxError, SandboxSpec

    load_plugins()
    entry = _entry(lease, runs)
    if entry.state != "kept":
        raise Complaint(f"sandbox {lease} is not kept but {entry.state}: it cannot be entered")
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise Complaint(f"ale shell needs a terminal: {error}") from None
    try:
        sandbox = provider_named(entry.provider, settings_here()).attach(lease, SandboxSpec())
        status = sandbox.interact(["sh", "-c", "exec bash -i || exec sh -i"], terminal=terminal)
        sandbox.stop()
    except (Fault, SandboxError) as error:
        raise Complaint(f"sandbox {lease} cannot be entered: {error}") from None
    return status


def _entry(lease: str, runs: Path) -> Entry:
    from pytest_ale.leases import ledgers

    known = {id: entry for ledger in ledgers(runs) for id, entry in ledger.entries().items()}
    if lease not in known or not known[lease].open:
        raise Complaint(
            f"no sandbox {lease} in the ledgers below {runs}: it is released,"
            " or --dir=DIR names another folder of runs"
        )
    return known[lease]


def _regrade(arguments: argparse.Namespace) -> int:
    from pytest_ale.grading import Grader
    from pytest_ale.record import RunDir
    from pytest_ale.registry import load_plugins
    from pytest_ale.regrade import Regrade

    load_plugins()
    run_dir = RunDir(Path(arguments.run).absolute())
    if not (run_dir.path / "run.json").is_file():
        raise Complaint(f"{run_dir.path} is no run directory: it has no run.json")
    settings = settings_here()
    grader = Grader(settings.grade_timeout, settings.phase_timeout)

    def folder(record: Record) -> Path:
        place = Path(arguments.tasks, record.task) if arguments.tasks else Path(record.folder)
        return place.absolute()

    @cache
    def pool(provider: str) -> Pool:
        return _pool(provider, run_dir, settings)

    try:
        done = [_say_regraded(each) for each in Regrade(run_dir, pool, grader, folder).all()]
    finally:
        grader.close()
    if not done:
        raise Complaint(f"{run_dir.path} has no sealed output to grade")
    return 0 if all(done) else 6


def _pool(provider: str, run_dir: RunDir, settings: Settings) -> Pool:
    """Where verifiers come from: what is graded may run in them, and may not see the answers."""
    from pytest_ale.leases import Pool
    from pytest_ale.registry import provider_named
    from pytest_ale.sandbox import ProviderFault

    try:
        source = provider_named(provider, settings)
    except Unknown as error:
        raise ProviderFault(str(error)) from None
    return Pool(source, run_dir.ledger, hidden=(settings.rootdir, run_dir.path))


def _say_regraded(regraded: Regraded) -> bool:
    record = regraded.record
    was = "none" if record.score is None else f"{record.score:.3f}"
    name = f"{record.task}[{record.variant}-{record.agent}] trial {record.trial}"
    if regraded.grade is None:
        print(f"{name}: {was} -> no grade: {regraded.fault}")
        return False
    print(f"{name}: {was} -> {regraded.grade.score:.3f}  {record.path}/{regraded.file}")
    return True


def _reap(arguments: argparse.Namespace) -> int:
    from pytest_ale import scratch
    from pytest_ale.leases import ledgers, reap
    from pytest_ale.registry import load_plugins, provider_named

    load_plugins()
    runs, settings = _runs(arguments), settings_here()

    def named(name: str) -> Provider:
        return provider_named(name, settings)

    if arguments.lease:
        _may_be_reaped(_entry(arguments.lease, runs), named)
    reaped = reap(ledgers(runs), named, kept=arguments.kept, only=arguments.lease)
    scratch.sweep()
    said = [each.line for each in reaped]
    said += [] if arguments.lease else _left_to_others(runs, kept=arguments.kept)
    print("\n".join(said) or "nothing to reap")
    return 0 if all(each.done for each in reaped) else 1


def _may_be_reaped(entry: Entry, provider: Callable[[str], Provider]) -> None:
    """Complain of a sandbox that is another host's, or that a process of this one uses."""
    from pytest_ale.leases import in_reach

    name, host = f"sandbox {entry.lease}", entry.owner.host
    if not in_reach(entry, provider):
        there = f"`ale reap {entry.lease}` there, with the same --dir"
        raise Complaint(f"{name} is on host {host}, where alone it can be released: run {there}")
    if entry.reapable:
        return
    if entry.owner.here:
        raise Complaint(f"{name} is in use: the process that leased it is alive")
    raise Complaint(
        f"{name} may be in use: only host {host} can tell whether the process that leased it is"
        f" alive; run `ale reap {entry.lease}` there, with the same --dir"
    )


def _left_to_others(runs: Path, *, kept: bool) -> list[str]:
    """What is still open of other hosts, a line each: they may be at work on it."""
    from pytest_ale.leases import ledgers

    entries = (entry for ledger in ledgers(runs) for entry in ledger.open())
    open_ones = (entry for entry in entries if kept or entry.state != "kept")
    hosts = Counter(entry.owner.host for entry in open_ones if not entry.owner.here)
    return [
        f"host {host} has {count} more, in use or left: run `ale reap` there, with the same --dir"
        for host, count in sorted(hosts.items())
    ]
