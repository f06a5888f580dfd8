"""Every setting by option, environment and ini file; and every wrong value told in one line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_ale.harness import Agent
from pytest_ale.plugin import HARNESSES
from pytest_ale.session import AGENTS, SETTINGS
from pytest_ale.settings import OPTIONS, Option, Settings

from .conftest import Project

# Each option's text and value by option, by env and by ini; what must exist is made by `laid_out`.
GIVEN: dict[str, tuple[tuple[str, object], tuple[str, object], tuple[str, object]]] = {
    "agent": (("script", ("script",)), ("script:a", ("script:a",)), ("script:b", ("script:b",))),
    "knob": tuple((f"path={n}.sh", (f"path={n}.sh",)) for n in "abc"),  # type: ignore[dict-item]
    "provider": (("one", "one"), ("two", "two"), ("three", "three")),
    "image": (("a:1", "a:1"), ("b/c", "b/c"), ("d", "d")),
    "keep": (("failed", "failed"), ("always", "always"), ("never", "never")),
    "trials": (("2", 2), ("3", 3), ("4", 4)),
    "variants": (("first", "first"), ("a", "a"), ("b", "b")),
    "seed": (("0", 0), ("1", 1), ("2", 2)),
    "tasks": (("a.txt", "a.txt"), ("b.txt", "b.txt"), ("c.txt", "c.txt")),
    "pass_at": (("0.1", 0.1), ("0.2", 0.2), ("1", 1.0)),
    "timeout": (("0.5", 0.5), ("60", 60.0), ("7", 7.0)),
    "concurrency": (("2", 2), ("3", 3), ("1", 1)),
    "queue_timeout": (("60", 60.0), ("0.5", 0.5), ("7", 7.0)),
    "grade_timeout": (("5", 5.0), ("6", 6.0), ("7", 7.0)),
    "phase_timeout": (("5", 5.0), ("6", 6.0), ("7", 7.0)),
    "prompt_suffix": (("Hurry {now}", "Hurry {now}"), ("b", "b"), ("c", "c")),
    "retries": (("0", 0), ("1", 1), ("3", 3)),
    "max_faults": (("0", 0), ("7", 7), ("9", 9)),
    "base_url": (
        ("http://h/v1", "http://h/v1"),
        ("https://h", "https://h"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ),
    "max_usd": (("0.5", 0.5), ("2", 2.0), ("1e3", 1000.0)),
    "max_tokens": (("1", 1), ("2", 2), ("3000000", 3_000_000)),
    "max_turns": (("1", 1), ("2", 2), ("3", 3)),
    "run_max_usd": (("0.5", 0.5), ("2", 2.0), ("7", 7.0)),
    "prices": (("a.yaml", "a.yaml"), ("b.yaml", "b.yaml"), ("c.yaml", "c.yaml")),
    "dry_run": (("", True), ("yes", True), ("on", True)),
    "dir": (("runs-a", "runs-a"), ("runs-b", "runs-b"), ("runs-c", "runs-c")),
    "resume": (("run-a", "run-a"), ("run-b", "run-b"), ("run-c", "run-c")),
    "live": (("plain", "plain"), ("off", "off"), ("auto", "auto")),
    "min_score": (("0", 0.0), ("0.5", 0.5), ("1", 1.0)),
    "unsafe_local": (("", True), ("yes", True), ("on", True)),
}
SOURCES = ("option", "env", "ini")
FLAGS = {option.attribute: option for option in OPTIONS}


@pytest.fixture
def laid_out(project: Project) -> Project:
    """A project in which every value of GIVEN names something that exists."""
    project.pytester.makeconftest(
        "def pytest_ale_providers(register):\n"
        "    for name in ('one', 'two', 'three'):\n"
        "        register(name, lambda settings: None)\n"
    )
    for name in "abc":
        (project.path / f"{name}.sh").write_text("true\n")
        (project.path / f"{name}.yaml").write_text("m: {input: 1, output: 2}\n")
        run = project.path / f"run-{name}"
        run.mkdir()
        (run / "run.json").write_text("{}")
    return project


def configured(project: Project, *words: str, env: Mapping[str, str] | None = None) -> Settings:
    """The settings that pytest would run with."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        settings: Settings = project.pytester.parseconfigure(*words).stash[SETTINGS]
    return settings


def options(column: int) -> list[str]:
    flags = {name: f"--{FLAGS[name].key.replace('_', '-')}" for name in GIVEN}
    return [
        flag if FLAGS[name].flag else f"{flag}={GIVEN[name][column][0]}"
        for name, flag in flags.items()
    ]


def environment(column: int) -> dict[str, str]:
    return {FLAGS[name].key.upper(): given[column][0] for name, given in GIVEN.items()}


def ini(column: int) -> str:
    lines = [f"{FLAGS[name].key} = {given[column][0]}" for name, given in GIVEN.items()]
    return "\n".join(["[pytest]", *lines, ""])


def test_every_option_is_tried_here() -> None:
    assert {*GIVEN, "controls"} == {option.attribute for option in OPTIONS}


@pytest.mark.parametrize(("present", "winner"), [((0, 1, 2), 0), ((1, 2), 1), ((2,), 2)])
def test_option_goes_before_env_before_ini(
    laid_out: Project, present: tuple[int, ...], winner: int
) -> None:
    if 2 in present:
        laid_out.pytester.makeini(ini(2))
    env = environment(1) if 1 in present else {}
    settings = configured(laid_out, *(options(0) if 0 in present else []), env=env)
    for name, given in GIVEN.items():
        assert (name, getattr(settings, name)) == (name, given[winner][1])
        assert settings.sources[name].startswith(SOURCES[winner])


def test_nothing_given_is_the_default_and_has_no_source(project: Project) -> None:
    settings = configured(project)
    assert settings.sources == {}
    for option in OPTIONS:
        assert getattr(settings, option.attribute) == option.default


def test_the_header_prints_each_setting_and_where_it_came_from(project: Project) -> None:
    project.task()
    project.pytester.makeini("[pytest]\nale_trials = 3\nale_seed = 5\nale_retries = 0\n")
    env = {"ALE_SEED": "7", "ALE_KEEP": "failed"}
    result = project.run("--collect-only", "tasks", "--ale-keep=always", env=env)
    result.stdout.fnmatch_lines(
        [
            "ale: keep=always (from option), trials=3 (from ini ale_trials),"
            " seed=7 (from env ALE_SEED), retries=0 (from ini ale_retries)"
        ]
    )


def test_the_header_stays_one_line_whatever_the_value(project: Project) -> None:
    project.task()
    result = project.run("--collect-only", "tasks", f"--ale-prompt-suffix=a\nb{'c' * 1000}")
    (line,) = [line for line in result.outlines if line.startswith("ale:")]
    assert line.startswith("ale: prompt-suffix=a bccc") and len(line) < 400


def test_defaults_print_nothing(project: Project) -> None:
    project.task()
    assert "ale:" not in project.run("--collect-only", "tasks").stdout.str()


def test_toml_has_numbers_and_truths_of_its_own(project: Project) -> None:
    (project.path / "tox.ini").unlink()
    project.pytester.makepyprojecttoml(
        """
        [tool.pytest]
        strict = true
        ale_agent = ["nop", "oracle"]
        ale_trials = 2
        ale_retries = 0
        ale_pass_at = 0.5
        ale_controls = false
        ale_dir = "runs"
        """
    )
    settings = configured(project)
    assert (settings.agent, settings.trials, settings.retries) == (("nop", "oracle"), 2, 0)
    assert (settings.pass_at, settings.controls, settings.dir) == (0.5, False, "runs")


def test_env_switches_a_flag_of_the_ini_file_off(project: Project) -> None:
    project.pytester.makeini("[pytest]\nale_controls = true\n")
    assert configured(project).controls is True
    assert configured(project, env={"ALE_CONTROLS": "0"}).controls is False
    assert configured(project, "-o", "ale_controls=no").controls is False


def test_an_empty_variable_is_no_setting(project: Project) -> None:
    env = {option.key.upper(): "" for option in OPTIONS}
    assert configured(project, env=env).sources == {}


def test_env_and_ini_hold_several_agents_as_words(laid_out: Project) -> None:
    settings = configured(laid_out, env={"ALE_AGENT": "oracle 'nop:a-b'"})
    assert settings.agent == ("oracle", "nop:a-b")
    laid_out.pytester.makeini("[pytest]\nale_agent = oracle\n    script\nale_knob = 'path=a.sh'\n")
    assert configured(laid_out).agent == ("oracle", "script")


def test_run_directories_lie_at_the_root_unless_the_user_says_where(project: Project) -> None:
    below = project.pytester.mkdir("below")
    project.pytester.makeini("[pytest]\nale_tasks = list.txt\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        words = ("-c", "../tox.ini", "--rootdir", "..")
        told = configured(project, *words, "--ale-dir=runs", "--ale-tasks=mine.txt")
        untold = configured(project, *words)
    assert (told.runs_dir, told.tasks_file) == (below / "runs", below / "mine.txt")
    assert untold.runs_dir == project.path / ".ale"
    assert untold.tasks_file == project.path / "list.txt"


# Wrong values.

WHOLE_1, WHOLE_0 = "a whole number of at least 1", "a whole number of at least 0"
SHARE, SECONDS = "a number from 0 to 1", "a number of seconds above 0"
DOLLARS, URL = "a number of dollars above 0", "an http or https URL without a password, query"
BAD_URLS = ("", "x", "ftp://h/v1", "http://", "http://h:port", "http://a b", "http://[::1/v1")
BAD: list[tuple[str, str]] = [
    *((f"--ale-trials={v}", f"'{v}' is not {WHOLE_1}") for v in ("0", "-1", "1.5", "x", "")),
    *((f"--ale-seed={v}", f"'{v}' is not {WHOLE_0}") for v in ("-1", "0.5", "")),
    *((f"--ale-retries={v}", f"'{v}' is not {WHOLE_0}") for v in ("-1", "many")),
    *((f"--ale-pass-at={v}", f"'{v}' is not {SHARE}") for v in ("1.01", "-0.1", "nan", "100%")),
    *((f"--ale-min-score={v}", f"'{v}' is not {SHARE}") for v in ("2", "inf", "")),
    *((f"--ale-timeout={v}", f"'{v}' is not {SECONDS}") for v in ("0", "-5", "nan", "inf", "1h")),
    *((f"--ale-grade-timeout={v}", f"'{v}' is not {SECONDS}") for v in ("0", "soon")),
    *((f"--ale-phase-timeout={v}", f"'{v}' is not {SECONDS}") for v in ("0", "soon")),
    *((f"--ale-max-usd={v}", f"'{v}' is not {DOLLARS}") for v in ("0", "-1", "nan", "inf", "$5")),
    *((f"--ale-run-max-usd={v}", f"'{v}' is not {DOLLARS}") for v in ("0", "")),
    *((f"--ale-max-tokens={v}", f"'{v}' is not {WHOLE_1}") for v in ("0", "1e6")),
    *((f"--ale-max-turns={v}", f"'{v}' is not {WHOLE_1}") for v in ("0", "-1", "")),
    *((f"--ale-base-url={v}", f"'{v}' is not {URL} or fragment") for v in BAD_URLS),
    ("--ale-prices=", "'' is not a file's path"),
    *((f"--ale-keep={v}", f"'{v}' is not never, failed or always") for v in ("Failed", "")),
    ("--ale-variants=", "'' is not first, all or a variant's id"),
    ("--ale-tasks=", "'' is not a file's path"),
    ("--ale-dir= ", "' ' is not a folder's path"),
    ("--ale-resume=", "'' is not a run's id, its directory, or last"),
    ("--ale-provider=", "'' is not a provider's name"),
    ("--ale-prompt-suffix=\udcff", "'\\udcff' is not UTF-8 text"),
    ("--ale-agent=oracle:\udcff", "'oracle:\\udcff'] is not UTF-8 text"),
]


TEXTS = ("agent", "knob", "provider", "image", "variants", "tasks", "dir", "resume", "prices")


def refusal(project: Project, *words: str, env: Mapping[str, str] | None = None) -> str:
    """What pytest says of a wrong use, always in one line."""
    with pytest.raises(pytest.UsageError) as caught:
        configured(project, *words, env=env)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(("word", "told"), BAD, ids=[repr(word) for word, _ in BAD])
def test_a_bad_value_is_told_with_option_value_and_what_is_allowed(
    project: Project, word: str, told: str
) -> None:
    option = word.partition("=")[0]
    line = refusal(project, word)
    assert line.startswith(f"option {option}: ") and line.endswith(told)


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.takes], ids=lambda o: str(o.name))
def test_env_and_ini_are_held_to_the_same_rules(project: Project, option: Option) -> None:
    name = option.key
    bad = "\udcff" if option.attribute in TEXTS else "x"
    assert refusal(project, env={name.upper(): bad}).startswith(f"env {name.upper()}: ")
    if bad == "x":
        assert refusal(project, "-o", f"{name}=x").startswith(f"ini {name}: 'x' is not ")


@pytest.mark.parametrize("value", ["'open", " "])
@pytest.mark.parametrize("name", ["ALE_AGENT", "ALE_KNOB"])
def test_words_that_cannot_be_split_are_refused(project: Project, name: str, value: str) -> None:
    told = "is not one or more words with their quotes closed"
    assert refusal(project, env={name: value}) == f"env {name}: {value!r} {told}"


SECRETS = {
    "http://me:s3cret@host/v1": "http://***@host/v1",
    "https://s3cret@host": "https://***@host",
    "me:s3cret@host": "***@host",
    "http://me:1/s3cret@host": "http://***@host",
    "http://me:s3@cret@host": "http://***@host",
    "http://host/v1?key=s3cret": "http://host/v1?***",
    "http://host/v1#s3cret": "http://host/v1#***",
}


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_in_an_address_is_refused_and_not_shown(project: Project, url: str) -> None:
    told = f"'{SECRETS[url]}' is not {URL} or fragment"
    assert refusal(project, f"--ale-base-url={url}") == f"option --ale-base-url: {told}"
    result = project.run(env={"ALE_BASE_URL": url})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "s3" not in result.stdout.str() + result.stderr.str()


def test_toml_of_the_wrong_kind_is_refused(project: Project) -> None:
    (project.path / "tox.ini").unlink()
    project.pytester.makepyprojecttoml("[tool.pytest]\nale_trials = true\n")
    assert refusal(project) == f"ini ale_trials: True is not {WHOLE_1}"


KNOWN_AGENTS = f"known: {', '.join(sorted([*HARNESSES, 'sim']))}"
FORM = "is not of the form"
WRONG = {
    "--ale-agent=stranger": f"unknown agent 'stranger'; {KNOWN_AGENTS}",
    "--ale-agent=": f"agent '' {FORM} NAME[@VERSION][:MODEL]",
    "--ale-agent=Oracle": f"agent 'Oracle' {FORM} NAME[@VERSION][:MODEL]",
    "--ale-agent=oracle@": f"agent 'oracle@' {FORM} NAME[@VERSION][:MODEL]",
    "--ale-agent=oracle:": f"agent 'oracle:' {FORM} NAME[@VERSION][:MODEL]",
    "--ale-agent=a b": f"agent 'a b' {FORM} NAME[@VERSION][:MODEL]",
    "--ale-provider=moon": "unknown provider 'moon'; known: docker, local, sim",
    "--ale-knob=effort=high": "knob 'effort=high': no agent of this run has a knob 'effort';"
    " known: oracle: none",
    "--ale-knob=effort": f"knob 'effort' {FORM} [AGENT:]NAME=VALUE",
    "--ale-knob=nop:a=1": "knob 'nop:a=1': no agent 'nop' in this run",
    "--ale-resume=2020": "--ale-resume=2020: no such run; the latest in {path}/.ale: none",
    "--ale-resume=last": "--ale-resume=last: there is no run in {path}/.ale",
}


@pytest.mark.parametrize("word", WRONG)
def test_an_unknown_name_is_told_with_the_known_ones(project: Project, word: str) -> None:
    told = WRONG[word].format(path=project.path)
    assert refusal(project, word) == f"pytest-ale: {told}"


def test_an_agent_that_needs_a_knob_says_so(project: Project) -> None:
    told = refusal(project, "--ale-agent=script")
    assert told == "pytest-ale: agent script needs --ale-knob path=...: the script to run"
    told = refusal(project, "--ale-agent=script", "--ale-knob=path=no.sh")
    assert "agent script: knob path='no.sh': " in told


def test_controls_examine_no_agent(project: Project) -> None:
    told = refusal(project, "--ale-controls", "--ale-agent=nop")
    assert told == "pytest-ale: --ale-controls examines tasks, not agents: leave out --ale-agent"


@pytest.mark.parametrize("words", [["--ale-trials=0"], ["--ale-agent=stranger", "-n2"]])
def test_a_wrong_use_is_exit_status_4_and_one_line(project: Project, words: list[str]) -> None:
    project.task()
    result = project.run("tasks", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = filter(None, result.errlines)
    assert line.startswith("ERROR: ") and not result.outlines
    assert not (project.path / ".ale").exists()


# Agents by name.

NAMED = {
    "oracle": (Agent("oracle"), "oracle"),
    "oracle@1.2": (Agent("oracle", "1.2"), "oracle-1.2"),
    "oracle:gpt-5.2": (Agent("oracle", None, "gpt-5.2"), "oracle-gpt-5.2"),
    "oracle@1.2:gpt-5": (Agent("oracle", "1.2", "gpt-5"), "oracle-1.2-gpt-5"),
    "oracle:a:b": (Agent("oracle", None, "a:b"), "oracle-a-b-*"),
    "oracle:org/model": (Agent("oracle", None, "org/model"), "oracle-org-model-*"),
    "oracle:m[1]::x": (Agent("oracle", None, "m[1]::x"), "oracle-m-1-x-*"),
    "oracle:größe": (Agent("oracle", None, "größe"), "oracle-gr-e-*"),
    "oracle:" + "m" * 300: (Agent("oracle", None, "m" * 300), "oracle-" + "m" * 43 + "-*"),
}


@pytest.mark.parametrize("name", NAMED, ids=lambda name: name[:20])
def test_an_agent_is_parsed_and_has_a_slug_fit_for_paths(project: Project, name: str) -> None:
    expected, slug = NAMED[name]
    (agent,) = project.pytester.parseconfigure(f"--ale-agent={name}").stash[AGENTS]
    assert agent == expected and agent.label == name
    assert Path(agent.slug).match(slug)


def test_two_agents_of_one_slug_are_refused(project: Project) -> None:
    told = refusal(project, "--ale-agent=oracle@1:2", "--ale-agent=oracle:1-2")
    assert "'oracle@1:2' and 'oracle:1-2' are both 'oracle-1-2' in paths and ids" in told
    told = refusal(project, "--ale-agent=nop", "--ale-agent=nop")
    assert told == "pytest-ale: agent 'nop' is given twice; --ale-trials repeats an agent"


def test_a_knob_may_be_for_one_of_the_agents(laid_out: Project) -> None:
    words = ["--ale-agent=nop", "--ale-agent=script:x", "--ale-knob=script:path=a.sh"]
    nop, script = laid_out.pytester.parseconfigure(*words).stash[AGENTS]
    assert (nop.knobs, script.knobs) == ({}, {"path": str(laid_out.path / "a.sh"), "api": ""})


# Projects without tasks.

LOADED = """
import sys
import pytest
status = pytest.main(["-q", "-p", "pytest_ale.plugin", "-p", "no:cacheprovider", "tests"])
print("status", int(status))
print("loaded", sorted(n for n in sys.modules if n.partition(".")[0] in {
    "pydantic", "pydantic_core", "yaml", "xdist", "execnet", "rich", "asyncio"}))
print("ours", sorted(n for n in sys.modules if n.startswith(("pytest_ale.", "harnesses"))))
"""
AT_START = [
    "decided",
    "fixtures",
    "hookspecs",
    "options",
    "plugin",
    "progress",
    "report",
    "report.session",
]
AT_START += ["session", "settings", "taxonomy", "text", "wire"]


@pytest.fixture
def unrelated(project: Project) -> Project:
    """Somebody's project: a package of tests, one passing and one failing, and no task."""
    tests = project.path / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "test_sums.py").write_text(
        "def test_right(): assert 1 + 1 == 2\n\ndef test_wrong(): assert 1 + 1 == 3\n"
    )
    return project


def test_an_unrelated_project_loads_next_to_nothing(unrelated: Project) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        result = unrelated.pytester.run(sys.executable, "-c", LOADED)
    ours = [f"pytest_ale.{name}" for name in AT_START]
    result.stdout.fnmatch_lines(["1 failed, 1 passed*", "status 1"])
    assert result.outlines[-2:] == ["loaded []", f"ours {ours!r}"]


def test_an_unrelated_project_sees_nothing_of_us(unrelated: Project) -> None:
    heard = unrelated.run("-v", "--timeout=60").outlines
    without = unrelated.run("-v", "--timeout=60", "-p", "no:ale").outlines
    assert [line for line in heard if "plugins:" not in line][:-1] == [
        line for line in without if "plugins:" not in line
    ][:-1]
    assert not list(unrelated.path.glob(".ale")) + list(unrelated.path.glob(".pytest_cache/*/ale"))


def test_a_lone_card_of_somebody_elses_is_left_alone(unrelated: Project) -> None:
    (unrelated.path / "tests/card.yaml").write_text("license: mit\n")
    result = unrelated.run()
    result.assert_outcomes(passed=1, failed=1)
    assert "ale" not in "".join(line for line in result.outlines if "plugins:" not in line)


# pytest-timeout.

SLOW = """
import time


def evaluate(output):
    time.sleep(1.5)
    return 1.0


def solve(sandbox):
    pass
"""


def test_a_timeout_of_pytest_timeout_does_not_kill_a_task(project: Project) -> None:
    project.task(main=SLOW, checks=None)
    result = project.run("tasks", "--timeout=1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["ale: timeout=1 of pytest-timeout is not for tasks: deadlines are their cards'"]
    )


def test_it_still_kills_ordinary_tests_beside_tasks(project: Project) -> None:
    project.task(main=SLOW, checks=None)
    project.pytester.makepyfile("import time\ndef test_slow(): time.sleep(20)\n")
    result = project.run("--timeout=1", "-n2")
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    "place", ["tasks", "tasks/legal", "tasks/legal/copy/main.py::copy[base-oracle]"]
)
def test_the_header_tells_of_a_timeout_wherever_it_comes_from(project: Project, place: str) -> None:
    project.task()
    project.pytester.makeini("[pytest]\ntimeout = 30\n")
    assert header_of(project, place) == 30
    assert header_of(project, place, env={"PYTEST_TIMEOUT": "20"}) == 20
    assert header_of(project, place, "--timeout=0") is None


def header_of(project: Project, *words: str, env: Mapping[str, str] | None = None) -> int | None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        config = project.pytester.parseconfigure(*words)
        lines = config.hook.pytest_report_header(config=config, start_path=project.path)
    said = [line for some in lines for line in ([some] if isinstance(some, str) else some)]
    told = [line for line in said if "pytest-timeout" in line]
    return int(told[0].removeprefix("ale: timeout=").split()[0]) if told else None


def test_no_header_where_pytest_timeout_is_off(project: Project) -> None:
    project.task()
    assert header_of(project, "tasks") is None
    assert header_of(project, "tasks", "-p", "no:timeout") is None
