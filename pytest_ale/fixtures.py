"""Fixtures: the seams of a run, each small and meant to be overridden.

Knows no provider's name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_ale.decided import gateway_of
from pytest_ale.session import AGENTS, JOB, RUN, SETTINGS, cache_file, own_properties
from pytest_ale.settings import Settings
from pytest_ale.text import one_line

if TYPE_CHECKING:
    from pytest_ale.bench import Bench
    from pytest_ale.collect import TaskItem
    from pytest_ale.gateway import Control
    from pytest_ale.grading import Grader
    from pytest_ale.harness import Agent
    from pytest_ale.lanes import Lanes
    from pytest_ale.leases import Pool
    from pytest_ale.plan import Plan
    from pytest_ale.record import Record, RunDir
    from pytest_ale.runner import Job, Runner
    from pytest_ale.sandbox import Sandbox
    from pytest_ale.task import Instance

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


T = TypeVar("T")


@pytest.fixture(scope="session")
def ale_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this run, from options, environment and ini file."""
    return pytestconfig.stash[SETTINGS]


@pytest.fixture(scope="session")
def ale_run_dir(pytestconfig: pytest.Config, ale_settings: Settings) -> Iterator[RunDir]:
    """The run directory, made now if it is not there."""
    from pytest_ale.hold import at_work
    from pytest_ale.record import RunDir
    from pytest_ale.sandbox import RecordFault

    run_dir = RunDir(pytestconfig.stash[RUN])
    try:
        run_dir.ensure(ale_settings)
    except RecordFault as fault:
        pytest.fail(str(fault), pytrace=False)
    with at_work(run_dir.path):
        yield run_dir


@pytest.fixture(scope="session")
def ale_sandboxes(
    request: pytest.FixtureRequest, ale_settings: Settings, ale_run_dir: RunDir
) -> Iterator[Pool]:
    """The pool of sandboxes; override it to bring machines of your own.

    First it releases what runs left that died on this host.
    """
    from pytest_ale import scratch
    from pytest_ale.leases import Pool, ledgers, reap
    from pytest_ale.registry import fill, provider_named

    if AGENTS not in request.config.stash:  # no task here: nobody has asked the plugins yet
        fill(request.config.hook)
    provider = provider_named(ale_settings.provider, ale_settings)
    for each in reap(
        ledgers(ale_settings.runs_dir), lambda name: provider_named(name, ale_settings)
    ):
        _warn(f"left by a run that died: {each.line}")
    scratch.sweep()
    pool = Pool(provider, ale_run_dir.ledger, _hidden(request.session, ale_settings))
    yield pool
    pool.close()


def _hidden(session: pytest.Session, settings: Settings) -> tuple[Path, ...]:
    """Host paths that no sandbox may show, wherever they lie."""
    from pytest_ale.collect import TaskItem

    folders = {item.path.parent for item in session.items if isinstance(item, TaskItem)}
    return tuple(sorted({settings.rootdir, settings.runs_dir, *folders}))


@pytest.fixture(scope="session")
def ale_grader(pytestconfig: pytest.Config, ale_settings: Settings) -> Iterator[Grader]:
    """The grader process."""
    from pytest_ale.grading import Grader

    offers = cache_file(pytestconfig, "offers.json")
    grader = Grader(ale_settings.grade_timeout, ale_settings.phase_timeout, offers=offers)
    yield grader
    grader.close()


@pytest.fixture(scope="session")
def ale_agents(pytestconfig: pytest.Config) -> list[Agent]:
    """The agents of this run."""
    return pytestconfig.stash.get(AGENTS, [])


@pytest.fixture(scope="session")
def ale_gateway(
    pytestconfig: pytest.Config, ale_settings: Settings, ale_agents: list[Agent]
) -> Control | None:
    """The way to the model gateway of the run; None where no agent asks a model."""
    from pytest_ale.gateway import Control

    with _told():
        path = gateway_of(pytestconfig)
    return Control(path) if path else None


@pytest.fixture
def ale_agent(request: pytest.FixtureRequest) -> Agent:
    """The agent of this item; override it to change its knobs for a folder."""
    return _task_item(request).agent


@pytest.fixture
def ale_prompt(request: pytest.FixtureRequest, ale_settings: Settings) -> str:
    """The prompt with its placeholders; override it to tell the agent more, or something else."""
    return own_prompt(_task_item(request), ale_settings)


def own_prompt(item: TaskItem, settings: Settings) -> str:
    prompt = item.task_instance.task.prompt
    suffix = settings.prompt_suffix.replace("{", "{{").replace("}", "}}")
    return f"{prompt.rstrip()}\n\n{suffix}\n" if suffix else prompt


def _task_item(request: pytest.FixtureRequest, asked: str | None = None) -> TaskItem:
    from pytest_ale.collect import TaskItem

    if not isinstance(request.node, TaskItem):
        who = f"{asked or request.fixturename} is for tasks, and {request.node.name} is none"
        pytest.fail(f"{who}: ale_sandbox gives any test a machine", pytrace=False)
    return request.node


@pytest.fixture(scope="session")
def ale_lanes(
    ale_settings: Settings,
    ale_sandboxes: Pool,
    ale_grader: Grader,
    ale_gateway: Control | None,
) -> Iterator[Lanes]:
    """How many attempts of this process may build, start, run and be graded at once.

    Asks for all that attempts use, and so ends before them: with -x others may be at work then.
    """
    from pytest_ale.lanes import Lanes

    starts = getattr(ale_sandboxes.provider, "starts", None)
    lanes = Lanes.of(ale_settings.concurrency, ale_settings.queue_timeout, starts)
    yield lanes
    lanes.close()


@pytest.fixture
def ale_bench(
    ale_sandboxes: Pool,
    ale_grader: Grader,
    ale_run_dir: RunDir,
    ale_gateway: Control | None,
    ale_lanes: Lanes,
) -> Bench:
    """What attempts share; a cluster may bring a pool of its own."""
    from pytest_ale.bench import Bench

    return Bench(ale_sandboxes, ale_grader, ale_run_dir, ale_gateway, ale_lanes)


@pytest.fixture
def ale_attempts(
    request: pytest.FixtureRequest, ale_settings: Settings, ale_bench: Bench
) -> Runner:
    """This item's attempts, not begun; not asked for where they are made ahead."""
    _task_item(request, "ale_run")
    with _told():
        return ale_bench.runner(_plan(request, ale_settings), ale_settings.retries)


@pytest.fixture
def ale_run(request: pytest.FixtureRequest) -> Iterator[Runner | Job]:
    """This item's attempt, leased and staged; its teardown releases the sandbox.

    Asks for what it needs at its time: where attempts are made ahead, that is nothing.
    """
    item = _task_item(request)
    if item.planned:
        pytest.skip("a fixture wants to see the attempt: it is not made ahead")
    job = item.stash.get(JOB, None)
    if job and job.told:  # somebody runs the item once more: that is another attempt
        job = item.stash[JOB] = None
    attempts = job or request.getfixturevalue("ale_attempts")
    if attempts.refused:
        _skip(item, attempts.refused, request.getfixturevalue("ale_bench"))
    attempts.recorded = lambda record, run_dir: _report(item, record, run_dir)
    try:
        with _told():
            attempts.prepare()
        yield attempts
    finally:
        attempts.release()


def _plan(request: pytest.FixtureRequest, settings: Settings) -> Plan:
    """What is meant, with what fixtures may change of it."""
    from pytest_ale.harness import Agent
    from pytest_ale.registry import Unknown, harness_named

    agent = _given(request, "ale_agent", Agent)
    plan = own_plan(_task_item(request), settings)  # resume knows the item, not what overrides it
    try:
        harness = harness_named(agent.harness)
    except Unknown as error:
        raise pytest.fail.Exception(f"fixture ale_agent: {error}", pytrace=False) from None
    prompt = _given(request, "ale_prompt", str)
    return replace(plan, agent=agent, harness=harness, prompt=prompt)


def own_plan(item: TaskItem, settings: Settings) -> Plan:
    """What is meant where no fixture says otherwise."""
    from pytest_ale.plan import make_plan
    from pytest_ale.registry import harness_named

    harness = harness_named(item.agent.harness)
    plan = make_plan(item.task_instance, item.agent, harness, item.trial, settings)
    return replace(plan, prompt=own_prompt(item, settings))


def _given(request: pytest.FixtureRequest, name: str, kind: type[T]) -> T:
    """The value of a fixture that a conftest may override, if it is of its kind."""
    value = request.getfixturevalue(name)
    if not isinstance(value, kind):
        pytest.fail(f"fixture {name} gives {value!r}; allowed: {kind.__name__}", pytrace=False)
    return value


def _skip(item: TaskItem, refused: tuple[Plan, str], bench: Bench) -> None:
    """What a provider cannot host is no failure: skipped, recorded, with the reason."""
    plan, reason = refused
    number = bench.run_dir.next_attempt(plan.place)
    record = plan.blank(bench.pool, number, f"{plan.place}/attempt-{number}")
    record = replace(record, outcome="unrunnable", message=reason)
    with _told():
        bench.run_dir.save(record, None)
    _report(item, record, bench.run_dir)
    pytest.skip(f"not runnable on provider {bench.pool.provider.name}: {reason}")


@contextmanager
def _told() -> Iterator[None]:
    """Show an infrastructure fault in setup as one line, as an error and not as a failure."""
    from pytest_ale.collect import fault_line
    from pytest_ale.sandbox import Fault

    try:
        yield
    except Fault as fault:
        raise pytest.fail.Exception(fault_line(fault), pytrace=False) from None


def early_fault(item: pytest.Item) -> list[tuple[str, object]]:
    """Properties of a task's item whose setup failed before there was an attempt to record."""
    from pytest_ale.collect import TaskItem

    if not isinstance(item, TaskItem) or "ale.outcome" in own_properties(item.user_properties):
        return []
    return faulted(item.task_instance, item.agent, item.trial)


def faulted(instance: Instance, agent: Agent, trial: int) -> list[tuple[str, object]]:
    known: dict[str, object] = {
        "outcome": "fault",
        "task": instance.task.id,
        "variant": instance.variant_id,
        "agent": agent.label,
        "trial": trial,
        "tier": instance.task.card.tier,
        "cluster": instance.task.card.cluster,
    }
    return [(f"ale.{name}", value) for name, value in known.items()]


def _report(item: TaskItem, record: Record, run_dir: RunDir) -> None:
    """Put the record into the item's properties, and tell the hook."""
    item.user_properties.extend(record.properties(run_dir.path))
    try:
        item.ihook.pytest_ale_attempt_recorded(record=record)
    except Exception as error:
        _warn(f"pytest_ale_attempt_recorded raised {type(error).__name__}: {error}")


def _warn(text: str) -> None:
    """Tell the user, also where a project makes errors of warnings: no score may change by it."""
    with suppress(pytest.PytestWarning):
        warnings.warn(pytest.PytestWarning(one_line(text, 1000)), stacklevel=2)


@pytest.fixture
def ale_controls(
    request: pytest.FixtureRequest, ale_settings: Settings, ale_bench: Bench
) -> Record:
    """The controls of this item's instance, each a named check."""
    from pytest_ale.controls import Controls

    item, bench = _task_item(request), ale_bench
    with _told():
        plan = replace(_plan(request, ale_settings), keep="never")
    if refused := bench.refused(plan):
        _skip(item, refused, bench)
    with _told():
        record = Controls(plan, bench.pool, bench.grader, bench.run_dir).run()
    _report(item, record, bench.run_dir)
    return record


@pytest.fixture
def ale_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox: in a task this attempt's own, in any other test a clean machine."""
    from pytest_ale.collect import TaskItem
    from pytest_ale.sandbox import Fault, SandboxSpec

    if isinstance(request.node, TaskItem):
        runner = request.getfixturevalue("ale_run")
        yield runner.attempt.sandbox
        return
    pool: Pool = request.getfixturevalue("ale_sandboxes")
    spec = SandboxSpec(labels={"attempt": request.node.nodeid})
    if reason := pool.provider.refuses(spec, trusted=True):
        pytest.skip(f"no sandbox on provider {pool.provider.name}: {reason}")
    try:
        lease = pool.lease(spec)
    except Fault as fault:
        pytest.fail(f"infrastructure fault, no sandbox: {fault}", pytrace=False)
    yield lease.sandbox
    with suppress(Fault):
        lease.sandbox.stop()
    pool.release(lease.id, request.node.nodeid)


@pytest.fixture
def ale_output(ale_run: Runner) -> Path:
    """The sealed output of this item's attempt; there once it has been performed."""
    assert ale_run.attempt is not None
    return ale_run.attempt.folder / "output"
