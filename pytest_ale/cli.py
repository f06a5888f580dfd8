"""The `ale` command: doctor, agents, new, shell, regrade, reap.

Knows nothing of how pytest runs: a shell in a task is a pytest run of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from pytest_ale.settings import BadSetting, Settings, read_settings

__all__ = ["main"]


class Complaint(Exception):
    """A wrong use of the command: one line, exit status 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.do(arguments) or 0)
    except (Complaint, BadSetting, LookupError) as error:
        print(f"ale: {error.args[0]}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ale", description="pytest-ale, beside pytest itself")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)

    doctor = verbs.add_parser("doctor", help="Say what this machine can host, and what to install")
    doctor.set_defaults(do=_doctor)

    agents = verbs.add_parser("agents", help="List the agents and their knobs")
    agents.set_defaults(do=_agents)

    new = verbs.add_parser("new", help="Make the skeleton of a task")
    new.add_argument("name", metavar="CLUSTER/NAME")
    new.add_argument("--in", dest="root", default="tasks", metavar="DIR", help="Default: tasks")
    new.set_defaults(do=_new)

    shell = verbs.add_parser("shell", help="Enter a task's sandbox, or one that was kept")
    shell.add_argument("target", metavar="TASK|LEASE", help="A task's folder or id, or a lease")
    shell.add_argument("--variant", default="first", help="Default: first")
    shell.add_argument("--dir", default=".ale", help="Folder of the run directories")
    shell.set_defaults(do=_shell)

    regrade = verbs.add_parser("regrade", help="Grade a run's outputs with today's graders")
    regrade.add_argument("run", metavar="RUN_DIR")
    regrade.add_argument("--tasks", metavar="DIR", help="Where the tasks are today")
    regrade.set_defaults(do=_regrade)

    reap = verbs.add_parser("reap", help="Release sandboxes that dead or finished runs left")
    reap.add_argument("lease", nargs="?", default="", help="Only this one, kept ones included")
    reap.add_argument("--kept", action="store_true", help="Also those kept by --ale-keep")
    reap.add_argument("--dir", default=".ale", help="Folder of the run directories")
    reap.set_defaults(do=_reap)
    return parser


def _settings() -> Settings:
    """Settings as a pytest run here would have them, without its options and ini file."""

    def unset(_: str) -> None:
        return None

    return read_settings(unset, os.environ, unset, Path.cwd(), Path.cwd())


def _doctor(_: argparse.Namespace) -> int:
    from pytest_ale.registry import PROVIDERS, load_plugins, provider_named

    load_plugins()
    settings = _settings()
    print(f"python: {sys.version.split()[0]} ({sys.executable})")
    for name in PROVIDERS.names():
        try:
            lines = provider_named(name, settings).preflight()
        except Exception as error:
            lines = [f"cannot be used: {error}"]
        for line in lines:
            print(f"{name}: {line}")
    return 0


def _agents(_: argparse.Namespace) -> int:
    from pytest_ale.registry import HARNESSES, harness_named, load_plugins

    load_plugins()
    for name in HARNESSES.names():
        harness = harness_named(name)
        print(f"{name:12} {harness.about}")
        for knob, about in harness.knobs.items():
            default = "required" if about.default is None else f"default {about.default!r}"
            print(f"{'':12}   --ale-knob {knob}=...  {about.help} ({default})")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from pytest_ale.taxonomy import CLUSTERS

    cluster, _, name = arguments.name.partition("/")
    if cluster not in CLUSTERS:
        raise Complaint(f"unknown cluster {cluster!r}; known: {', '.join(CLUSTERS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Complaint(f"task name {name!r}: a name is lower-case letters, digits and _")
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
        return _enter(arguments.target, Path(arguments.dir))
    target = Path(arguments.target)
    if not target.exists():
        target = Path("tasks") / arguments.target
    if not target.exists():
        raise Complaint(f"{arguments.target!r} is neither a task's folder or id nor a lease")
    words = [sys.executable, "-m", "pytest", str(target), "--ale-agent=human"]
    words += [f"--ale-variants={arguments.variant}", f"--ale-dir={arguments.dir}"]
    return subprocess.run(words, check=False).returncode


def _enter(lease: str, runs: Path) -> int:
    """Open a shell in a kept sandbox; it stays kept."""
    from pytest_ale.leases import ledgers
    from pytest_ale.registry import load_plugins, provider_named
    from pytest_ale.sandbox import Fault, SandboxSpec

    load_plugins()
    entry = next(
        (
            found[lease]
            for found in (ledger.entries() for ledger in ledgers(runs))
            if lease in found
        ),
        None,
    )
    if entry is None or entry.state != "kept":
        raise Complaint(f"no kept sandbox {lease} in the ledgers below {runs}")
    try:
        sandbox = provider_named(entry.provider, _settings()).attach(lease, SandboxSpec())
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        status = sandbox.interact(["sh", "-c", "exec bash -i || exec sh -i"], terminal=terminal)
        sandbox.stop()
    except (Fault, OSError) as error:
        raise Complaint(f"sandbox {lease} cannot be entered: {error}") from error
    return status


def _regrade(arguments: argparse.Namespace) -> int:
    from pytest_ale.grading import Grader
    from pytest_ale.leases import Pool
    from pytest_ale.record import Record, RunDir
    from pytest_ale.registry import load_plugins, provider_named
    from pytest_ale.regrade import Regrade

    load_plugins()
    run_dir = RunDir(Path(arguments.run).absolute())
    if not (run_dir.path / "run.json").is_file():
        raise Complaint(f"{run_dir.path} is no run directory: it has no run.json")
    grader = Grader()
    settings = _settings()
    pool = Pool(provider_named(settings.provider, settings), run_dir.ledger)

    def folder(record: Record) -> Path:
        return Path(arguments.tasks, record.task) if arguments.tasks else Path(record.folder)

    try:
        done = [_say_regraded(each) for each in Regrade(run_dir, pool, grader, folder).all()]
    finally:
        grader.close()
    if not done:
        raise Complaint(f"{run_dir.path} has no sealed output to grade")
    return 0 if all(done) else 6


def _say_regraded(regraded: object) -> bool:
    from pytest_ale.regrade import Regraded

    assert isinstance(regraded, Regraded)
    record = regraded.record
    was = "none" if record.score is None else f"{record.score:.3f}"
    name = f"{record.task}[{record.variant}-{record.agent}] trial {record.trial}"
    if regraded.grade is None:
        print(f"{name}: {was} -> no grade: {regraded.fault}")
        return False
    print(f"{name}: {was} -> {regraded.grade.score:.3f}  {record.path}/{regraded.file}")
    return True


def _reap(arguments: argparse.Namespace) -> int:
    from pytest_ale.leases import ledgers, reap
    from pytest_ale.registry import load_plugins, provider_named

    load_plugins()
    settings = _settings()
    said = reap(
        ledgers(Path(arguments.dir)),
        lambda name: provider_named(name, settings),
        kept=arguments.kept,
        only=arguments.lease,
    )
    print("\n".join(said) or "nothing to reap")
    return 0
