"""The pytest plugin: options, hooks, registration, header. Knows nothing of how anything works.

Imported by every pytest start where pytest-ale is installed, so it imports next to nothing: what a
task needs is imported when the first task folder is found (benchmarks/startup.py measures it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ale import hookspecs, progress
from pytest_ale.decided import choose_run, decided, durations, environ, hold_run, versions
from pytest_ale.fixtures import (
    ale_agent,
    ale_agents,
    ale_attempts,
    ale_bench,
    ale_controls,
    ale_gateway,
    ale_grader,
    ale_lanes,
    ale_output,
    ale_prompt,
    ale_run,
    ale_run_dir,
    ale_sandbox,
    ale_sandboxes,
    ale_settings,
)
from pytest_ale.options import OPTIONS
from pytest_ale.report.session import Reporting
from pytest_ale.session import (
    AGENTS,
    CARDS,
    COLLECTED,
    DONE,
    SETTINGS,
    cache_file,
    heed_sigterm,
    own_properties,
)
from pytest_ale.settings import BadSetting, Settings, read_settings
from pytest_ale.taxonomy import CLUSTERS, FEATURES, TIERS
from pytest_ale.wire import (
    Wire,
    deal_singly,
    from_controller,
    is_worker,
    refuse,
    runs_workers,
    sharing,
    without_workers,
)

if TYPE_CHECKING:
    pass

__all__ = [
    "ale_agent",
    "ale_agents",
    "ale_attempts",
    "ale_bench",
    "ale_controls",
    "ale_gateway",
    "ale_grader",
    "ale_lanes",
    "ale_output",
    "ale_prompt",
    "ale_run",
    "ale_run_dir",
    "ale_sandbox",
    "ale_sandboxes",
    "ale_settings",
]

# Options and registration.

HARNESSES = (
    *("oracle", "nop", "script", "replay", "human"),
    *("codex", "claude_code", "gemini_cli", "opencode", "qwen_code", "openclaw"),
    *("acp", "command", "claw"),
    *("aider", "mini_swe_agent", "openhands", "terminus_2"),
    *("goose", "kimi_code", "grok", "droid"),
    *("cursor", "forge", "hermes"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ale", "pytest-ale: an exam for AI agents")
    for option in OPTIONS:
        flag = "--" + option.key.replace("_", "-")
        if option.flag:
            group.addoption(
                flag, dest=option.key, action="store_const", const=True, help=option.help
            )
        else:
            action = "append" if option.repeatable else "store"
            group.addoption(
                flag, dest=option.key, action=action, metavar=option.metavar, help=option.help
            )
        if option.repeatable:
            parser.addini(option.key, option.help, type="args")
        else:  # TOML has numbers and truths of its own
            parser.addini(option.key, option.help, type=str | int | float | bool, default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_ale_providers(register: object) -> None:
    register("local", "pytest_ale.providers.local:LocalProvider.from_settings")  # type: ignore[operator]
    register("docker", "pytest_ale.providers.docker:DockerProvider.from_settings")  # type: ignore[operator]
    register("sim", "pytest_ale.testing.sim:SimProvider.from_settings")  # type: ignore[operator]


def pytest_ale_harnesses(register: object) -> None:
    for name in HARNESSES:
        target = f"pytest_ale.harnesses.{name}:{name.title().replace('_', '')}"
        register(name, target)  # type: ignore[operator]
    register("sim", "pytest_ale.testing.sim:SimAgent")  # type: ignore[operator]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SETTINGS] = settings = _one_or_many(config, _read(config))
    if settings.dry_run:
        without_workers(config)
    for marker in _markers():
        config.addinivalue_line("markers", marker)
    if settings.sources:
        _check_settings(config, settings)
    choose_run(config, settings)
    wire = Wire(
        partial(decided, config),
        partial(_lost, config),
        partial(_collected, config),
        partial(_met, config),
    )
    config.pluginmanager.register(wire, "ale-wire")
    config.add_cleanup(progress.show(partial(_say, config)))
    if not is_worker(config):
        config.pluginmanager.register(Reporting(config), "ale-reporting")


def _one_or_many(config: pytest.Config, settings: Settings) -> Settings:
    """Many processes, or many attempts in one; of what stands in files -n is what is meant now."""
    k = settings.concurrency
    if k == 1 or not (is_worker(config) or runs_workers(config)):
        return settings
    if settings.sources["concurrency"] == "option":
        raise pytest.UsageError(
            f"pytest-ale: --ale-concurrency={k} is for one process: leave out -n, or say -n {k}"
        )
    return replace(settings, concurrency=1)


def _say(config: pytest.Config, line: str) -> None:
    """Write past pytest's capture: that an image is built is no output of the test that waits."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        progress.to_stderr(line)


def _read(config: pytest.Config) -> Settings:
    try:
        return read_settings(
            config.getoption,
            environ(config),
            config.getini,
            config.rootpath,
            config.invocation_params.dir,
        )
    except BadSetting as error:
        raise pytest.UsageError(str(error)) from None


def _markers() -> Generator[str]:
    yield from (f"{tier}: tasks of this tier (pytest-ale)" for tier in TIERS)
    for cluster, subfields in CLUSTERS.items():
        yield f"{cluster}: tasks of this cluster (pytest-ale)"
        yield from (f"{subfield}: tasks of this subfield of {cluster}" for subfield in subfields)
    yield from (f"{feature}: tasks that need it (pytest-ale)" for feature in FEATURES)


def _check_settings(config: pytest.Config, settings: Settings) -> None:
    """Say at once what could not work later; defaults need no check, and no imports for it."""
    from pytest_ale.launch import agents_of

    try:
        config.stash[AGENTS] = agents_of(config.hook, settings, versions(config))
        if not is_worker(config):  # its controller has looked
            _check_launch(config, settings)
    except (LookupError, ValueError) as error:
        refuse(config, f"pytest-ale: {error.args[0]}")
        return
    many = "-n" if runs_workers(config) else "--ale-concurrency" * (settings.concurrency > 1)
    if many and any(agent.harness == "human" for agent in config.stash[AGENTS]):
        raise pytest.UsageError(f"pytest-ale: agent human needs the terminal: leave out {many}")


def _check_launch(config: pytest.Config, settings: Settings) -> None:
    from pytest_ale.ceiling import check_prices
    from pytest_ale.launch import check_keys, check_provider

    check_provider(settings)
    if not (config.option.collectonly or settings.dry_run):
        check_keys(settings, config.stash[AGENTS], os.environ)
    check_prices(settings, config.stash[AGENTS])


def _lost(
    config: pytest.Config, report: pytest.TestReport, how: str, again: Callable[[], bool]
) -> None:
    from pytest_ale.lost import tell_lost

    tell_lost(config, report, how, again)


def _collected(config: pytest.Config, ids: Sequence[str]) -> list[str]:
    """A controller collects nothing: what the run may cost is told by what a worker collected,
    and whether there is a task."""
    if any("main.py::" in id for id in ids):
        from pytest_ale.order import has_tasks

        if has_tasks(config, ids):
            deal_singly(config)
            hold_run(config, make=True)
            config.stash[COLLECTED] = sum("main.py::" in id for id in ids)
    if AGENTS not in config.stash:  # no setting but defaults: nobody costs anything
        return []
    from pytest_ale.ceiling import of_ids
    from pytest_ale.index import CardIndex

    index = CardIndex(cache_file(config, "cards.json"))
    said = of_ids(config, ids, index)
    if config.stash[DONE] is not None:
        from pytest_ale.resuming import said_of_ids

        said = said_of_ids(config, ids, index) + said
    return said


def _met(config: pytest.Config, name: str, place: str) -> None:
    if COLLECTED in config.stash:  # there are tasks
        from pytest_ale.elsewhere import meet

        meet(config, name, place)


# Collection.


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not looks_ours(path):
        return None
    from pytest_ale.collect import collect_directory

    collector = collect_directory(path, parent)
    if collector is not None and CARDS not in parent.config.stash:
        _first_task(parent.config)
    return collector


def looks_ours(path: Path) -> bool:
    """Asked of every folder of every project: a task, or a package that is a cluster of tasks."""
    if exists(f"{path}/card.yaml"):  # noqa: PTH110
        return True
    return exists(f"{path}/__init__.py") and any(path.glob("*/card.yaml"))  # noqa: PTH110


def _first_task(config: pytest.Config) -> None:
    """What only a session with tasks needs."""
    heed_sigterm(config)
    from pytest_ale.index import CardIndex
    from pytest_ale.launch import agents_of

    if AGENTS not in config.stash:
        config.stash[AGENTS] = agents_of(config.hook, config.stash[SETTINGS], versions(config))
    cards = CardIndex(cache_file(config, "cards.json"), one_of_many=is_worker(config))
    config.add_cleanup(cards.close)
    config.stash[CARDS] = cards
    if (known := durations(config)) is not None:
        from pytest_ale.order import Order

        order = Order(config.stash[SETTINGS], known, sharing(config))
        config.pluginmanager.register(order, "ale-order")


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if CARDS not in config.stash:
        return
    from pytest_ale.select import deselect

    config.stash[CARDS].save()
    try:
        gone = deselect(session, items, config.stash[SETTINGS], config.stash[DONE])
    except LookupError as error:
        items.clear()
        refuse(config, f"pytest-ale: {error.args[0]}")
        return
    if gone:
        config.hook.pytest_deselected(items=gone)
    if items and (name := from_controller(config).get("elsewhere")):
        from pytest_ale.elsewhere import introduce

        introduce(config, name)


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    """Say what the run may cost before it begins; workers have no terminal to say it on."""
    if AGENTS not in config.stash or is_worker(config):
        return []
    from pytest_ale.ceiling import of_items

    said = of_items(config, items)
    if config.stash[DONE] is not None:
        from pytest_ale.resuming import said_of_items

        said = said_of_items(config, items) + said
    return said


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """A dry run ends here; what could not be collected ends it as it would any run."""
    refused = session.testsfailed and not session.config.option.continue_on_collection_errors
    only_looks = session.config.option.collectonly or session.config.option.setupshow
    settings = session.config.stash[SETTINGS]
    if refused or settings.dry_run:
        return None if refused else True
    if settings.concurrency == 1 or only_looks or CARDS not in session.config.stash:
        return None
    from pytest_ale.ahead import run_ahead

    run_ahead(session, settings.concurrency)
    return True


# Reports.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """An infrastructure fault found while the agent is graded is pytest's error, no failure."""
    if CARDS not in item.config.stash:
        return (yield)
    if call.excinfo is None:
        return _clocked(item, call, (yield))
    from pytest_ale.fixtures import early_fault
    from pytest_ale.sandbox import Fault

    if call.when == "setup" and not isinstance(call.excinfo.value, pytest.skip.Exception):
        item.user_properties += early_fault(item)
    report = yield
    if call.when == "call" and isinstance(call.excinfo.value, Fault):
        report.when = "setup"
    return _clocked(item, call, report)


def _clocked(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> pytest.TestReport:
    """What an attempt took that was made ahead, it took before its item was run."""
    if item.config.stash[SETTINGS].concurrency > 1:
        from pytest_ale.ahead import seconds_of

        report.duration += seconds_of(item, call.when)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show the score behind the word, where there is one."""
    if report.when != "call" or report.outcome not in ("passed", "failed"):
        return None
    score = own_properties(report.user_properties).get("ale.score")
    if not isinstance(score, float):
        return None
    word, letter = ("PASSED", ".") if report.passed else ("FAILED", "F")
    return report.outcome, letter, f"{word} {score:.3f}"


def pytest_report_header(config: pytest.Config) -> list[str]:
    settings = config.stash[SETTINGS]
    lines = [f"ale: {', '.join(settings.described())}"] if settings.sources else []
    if config.pluginmanager.hasplugin("timeout") and (fuse := _fuse(config)) and _has_tasks(config):
        lines.append(
            f"ale: timeout={fuse:g} of pytest-timeout is not for tasks: deadlines are their cards'"
        )
    return lines


def _fuse(config: pytest.Config) -> float:
    """The seconds that pytest-timeout would give a test; 0 for no limit."""
    option, ini = config.getoption("timeout", None), config.getini("timeout")
    given = [option, os.environ.get("PYTEST_TIMEOUT"), ini]
    return next((float(value) for value in given if value not in (None, "")), 0.0)


def _has_tasks(config: pytest.Config) -> bool:
    """Look where the run will look, two folders deep; collection comes after the header."""
    paths = [config.invocation_params.dir / a.partition("::")[0] for a in config.args]
    folders = {path if path.is_dir() else path.parent for path in paths}
    depths = ("card.yaml", "*/card.yaml", "*/*/card.yaml")
    return any(next(folder.glob(depth), None) for folder in folders for depth in depths)
