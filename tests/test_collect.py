"""Collection: which items there are, by what ids and marks, and how to run some of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ale.card import CardError
from pytest_ale.index import CardIndex
from pytest_ale.taxonomy import CLUSTERS, FEATURES, TIERS

from .conftest import Project

TRAP = "from pathlib import Path\nPath({!r}).touch()\nraise RuntimeError('imported')\n"


def ids(project: Project, *words: str) -> list[str]:
    """The node ids that pytest would run, in order."""
    heard = project.pytester.inline_run("--collect-only", *words)
    return [item.nodeid for item in heard.getcall("pytest_collection_finish").session.items]


def names(project: Project, *words: str) -> list[str]:
    return [id.rpartition("::")[2] for id in ids(project, *words)]


# Ids.


def test_agents_trials_and_variants_are_in_the_ids_in_order(project: Project) -> None:
    project.task(variants=[{"id": "b"}, {"id": "a-1"}])
    agents = ["--ale-agent=nop", "--ale-agent=oracle@2:gpt-5"]
    assert names(project, "tasks", *agents, "--ale-trials=2") == [
        f"copy[{variant}-{agent}-{trial}]"
        for variant in ("b", "a-1")
        for agent in ("nop", "oracle-2-gpt-5")
        for trial in (1, 2)
    ]


def test_controls_are_one_item_for_each_instance(project: Project) -> None:
    project.task(variants=[{"id": "a"}, {"id": "b"}])
    found = names(project, "tasks", "--ale-controls", "--ale-trials=3")
    assert found == ["copy[a-controls]", "copy[b-controls]"]


@pytest.fixture
def exam(project: Project) -> Project:
    """Five instances of three tasks in two clusters, and an ordinary test."""
    project.task("copy", variants=[{"id": "a"}, {"id": "b"}])
    project.task("move")
    project.task("ledger", cluster="other", subfield="sports", variants=[{"id": "a"}, {"id": "c"}])
    project.pytester.makepyfile(test_own="def test_own(): pass\n")
    return project


EXAM = {
    "legal/copy": ["copy[a-oracle]", "copy[b-oracle]"],
    "legal/move": ["move[base-oracle]"],
    "other/ledger": ["ledger[a-oracle]", "ledger[c-oracle]"],
}
ALL = [name for names in EXAM.values() for name in names]
COPY_B = "tasks/legal/copy/main.py::copy[b-oracle]"


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        (["tasks"], ["legal/copy", "legal/move", "other/ledger"]),
        (["tasks/legal"], ["legal/copy", "legal/move"]),
        (["tasks/other/ledger"], ["other/ledger"]),
        (["tasks/legal/copy/main.py"], ["legal/copy"]),
        (["tasks/other", "tasks/legal/move"], ["other/ledger", "legal/move"]),
    ],
)
def test_a_place_selects_what_is_in_it(exam: Project, words: list[str], tasks: list[str]) -> None:
    assert names(exam, *words) == [name for task in tasks for name in EXAM[task]]


def test_every_id_can_be_pasted_back(exam: Project) -> None:
    for id in ids(exam, "tasks"):
        assert ids(exam, id) == [id]


def test_keywords_and_deselection_work_as_for_any_test(exam: Project) -> None:
    assert names(exam, "-k", "ledger and a-oracle") == ["ledger[a-oracle]"]
    assert names(exam, "-k", "legal") == EXAM["legal/copy"] + EXAM["legal/move"]
    assert COPY_B not in ids(exam, "tasks", f"--deselect={COPY_B}")
    assert names(exam, "tasks", "--deselect=tasks/legal") == EXAM["other/ledger"]
    assert names(exam, "tasks", "--ignore=tasks/legal/copy")[0] == "move[base-oracle]"


def test_collect_only_lists_ids_and_nothing_else(exam: Project) -> None:
    result = exam.run("tasks", "--collect-only", "-q")
    listed = [line for line in result.outlines if line]
    assert [line.rpartition("::")[2] for line in listed[:-1]] == ALL
    assert not (exam.path / ".ale").exists()


def test_last_failed_runs_what_failed_last(exam: Project) -> None:
    (exam.path / "tasks/legal/move/main.py").write_text("def evaluate(output):\n    return 0.5\n")
    (exam.path / "tasks/legal/move/card.yaml").write_text(bare(exam.path / "tasks/legal/move"))
    agent = "--ale-agent=nop"
    chosen = ["test_own.py", "tasks/legal", agent, "-k", "move or own"]
    exam.run(*chosen, "--sw").assert_outcomes(passed=1, failed=1, deselected=2)
    assert names(exam, agent, "--lf") == ["move[base-nop]"]
    assert names(exam, agent, "--ff")[0] == "move[base-nop]"
    assert names(exam, *chosen, "--sw") == ["move[base-nop]"]
    exam.run(agent, "--lf", "-n2").assert_outcomes(failed=1)


def bare(folder: Path) -> str:
    """A card without its checks."""
    return (folder / "card.yaml").read_text().partition("checks:")[0]


def test_testpaths_alone_run_the_exam(exam: Project) -> None:
    exam.pytester.makeini("[pytest]\ntestpaths = tasks\n")
    assert names(exam) == ALL
    result = exam.run("--ale-agent=oracle", "-n2")
    result.assert_outcomes(passed=5)


# Marks.


def test_every_mark_selects(project: Project) -> None:
    project.task("near")
    project.task("gui", tier="last_exam", environment={"desktop": True})
    project.task("win", tier="full_spectrum", environment={"os": "windows", "licence": "x"})
    other = {"cluster": "other", "subfield": "sports"}
    project.task("gpu", environment={"gpu": 1}, **other)
    for mark, found in {
        "near_term": {"near", "gpu"},
        "full_spectrum": {"win"},
        "last_exam": {"gui"},
        "legal": {"near", "gui", "win"},
        "litigation_discovery and not gui": {"near", "win"},
        "sports": {"gpu"},
        "other or windows": {"gpu", "win"},
        "gui": {"gui"},
        "gpu": {"gpu"},
        "licensed": {"win"},
        "doctrinal_research": set(),
    }.items():
        assert {name.partition("[")[0] for name in names(project, "-m", mark)} == found


def test_every_mark_is_listed_once_and_known_to_strict_projects(project: Project) -> None:
    project.task(environment={"desktop": True, "os": "windows", "gpu": 2, "licence": "x"})
    result = project.run("--markers")
    listed = [line.partition(":")[0] for line in result.outlines if line.startswith("@pytest.mark")]
    ours = [*TIERS, *CLUSTERS, *(s for some in CLUSTERS.values() for s in some), *FEATURES]
    assert {f"@pytest.mark.{name}" for name in ours} <= set(listed)
    assert len(listed) == len(set(listed))
    assert len(ids(project, "--strict-markers", "tasks")) == 1


def test_a_strict_project_collects_and_runs(project: Project) -> None:
    (project.path / "tox.ini").unlink()
    project.pytester.makepyprojecttoml(
        "[tool.pytest]\nstrict = true\nfilterwarnings = ['error']\ntestpaths = ['tasks']\n"
    )
    project.task()
    project.run("--junitxml=r.xml", "-n2").assert_outcomes(passed=1)


# No main.py is imported.


@pytest.fixture
def trapped(project: Project) -> tuple[Project, Path]:
    """Tasks whose main.py leaves a trace and raises, in packages with conftests everywhere."""
    trace = project.path / "trace"
    folder = project.task("copy", main=TRAP.format(str(trace)))
    project.task("move", main=TRAP.format(str(trace)))
    (folder / "test_helper.py").write_text(TRAP.format(str(trace)))
    (folder / "inputs").mkdir()
    (folder / "inputs/test_input.py").write_text(TRAP.format(str(trace)))
    (folder.parent / "__init__.py").write_text(TRAP.format(str(trace)))
    (folder / "__init__.py").touch()
    return project, trace


@pytest.mark.parametrize(
    "words", [["tasks"], ["."], ["tasks/legal/copy/main.py"], ["tasks/legal/copy", "tasks/legal"]]
)
def test_collecting_imports_no_task(trapped: tuple[Project, Path], words: list[str]) -> None:
    project, trace = trapped
    result = project.run("--collect-only", "-q", *words)
    assert result.ret == 0 and "copy[base-oracle]" in result.stdout.str()
    assert not trace.exists()


def test_a_cluster_may_be_a_package_with_conftests_everywhere(project: Project) -> None:
    folder = project.task()
    for place in (project.path / "tasks", folder.parent, folder):
        (place / "__init__.py").touch()
        (place / "conftest.py").write_text(
            "import pytest\n\n@pytest.fixture\ndef ale_prompt(ale_prompt):\n"
            f"    return ale_prompt + 'from {place.name}\\n'\n"
        )
    for words in (["tasks/legal/copy/main.py"], ["-n2"]):
        project.run(*words).assert_outcomes(passed=1)
        assert added(project)["copy"] == ["from tasks", "from legal", "from copy"]


def test_a_main_that_raises_is_a_fault_of_its_task_alone(project: Project) -> None:
    project.task("raises", main="raise RuntimeError('at import')\n")
    project.task("right")
    result = project.run("tasks")
    result.assert_outcomes(passed=1, errors=1)
    assert any("RuntimeError: at import" in line for line in result.outlines)


# Overrides.


def added(project: Project) -> dict[str, list[str]]:
    """What each task's agent was told in the last run, beyond the first line."""
    told = {}
    for path in project.runs[-1].glob("*/*/*/*/trial-1/attempt-1/trajectory.json"):
        step = json.loads(path.read_text())["steps"][0]
        told[path.relative_to(project.runs[-1]).parts[1]] = step["message"].splitlines()[1:]
    return told


OVERRIDE = """
import pytest
from dataclasses import replace
from pytest_ale.harness import Agent

@pytest.fixture
def ale_agent(ale_agent):
    return {agent}

@pytest.fixture
def ale_prompt(ale_prompt):
    return ale_prompt + "for {name}\\n"
"""


def test_overrides_of_two_folders_are_never_mixed_up(project: Project) -> None:
    """Folders with and without a conftest alternate, so that one's fixtures could leak."""
    cluster = {"cluster": "other", "subfield": "sports"}
    for name in ("a", "b", "c", "d", "e"):
        project.task(name)
    project.task("f", **cluster)
    project.task("g", **cluster)
    for place, agent in {
        "legal/b": "Agent('nop')",
        "legal/d": "replace(ale_agent, model='m')",
        "other": "Agent('nop', model='x')",
        "other/g": "Agent('oracle')",
    }.items():
        text = OVERRIDE.format(agent=agent, name=place)
        (project.path / "tasks" / place / "conftest.py").write_text(text)
    project.run("tasks").assert_outcomes(passed=5, failed=2)
    agents = {str(r["task"]): r["agent"] for r in project.results}
    assert agents == {
        "legal/a": "oracle",
        "legal/b": "nop",
        "legal/c": "oracle",
        "legal/d": "oracle:m",
        "legal/e": "oracle",
        "other/f": "nop:x",
        "other/g": "oracle",
    }
    assert added(project) == {
        **{name: [] for name in "ace"},
        "b": ["for legal/b"],
        "d": ["for legal/d"],
        "f": ["for other"],
        "g": ["for other", "for other/g"],
    }


def test_an_agent_with_knobs_may_take_the_place_of_one_without(project: Project) -> None:
    project.task()
    script = project.path / "agent.sh"
    script.write_text('cp "$ALE_INPUTS"/word.txt "$ALE_OUTPUT"\n')
    given = f"Agent('script', knobs={{'path': {str(script)!r}}})"
    text = OVERRIDE.format(agent=given, name="all")
    (project.path / "tasks/conftest.py").write_text(text)
    result = project.run("tasks", "--ale-unsafe-local")
    result.assert_outcomes(passed=1)
    again = project.run("tasks", "--ale-unsafe-local", "--ale-resume=last")
    assert project.results[0]["agent"] == "script" and len(project.results) == 1
    again.assert_outcomes(deselected=1)


def test_an_override_of_the_wrong_kind_is_told_in_a_line(project: Project) -> None:
    project.task("a")
    (project.task("b") / "conftest.py").write_text(OVERRIDE.format(agent="'nop'", name="b"))
    (project.task("c") / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef ale_prompt():\n    return None\n"
    )
    (project.task("d") / "conftest.py").write_text(
        OVERRIDE.format(agent="Agent('stranger')", name="d")
    )
    result = project.run("tasks")
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(
        [
            "fixture ale_agent gives 'nop'; allowed: Agent",
            "fixture ale_prompt gives None; allowed: str",
            "fixture ale_agent: unknown agent 'stranger'; known: *claude_code*codex*",
        ]
    )
    assert "Traceback" not in result.stdout.str() and "fixtures.py" not in result.stdout.str()


POOL = """
import copy
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def ale_sandboxes(ale_sandboxes):
    pool = copy.copy(ale_sandboxes)

    def lease(spec, id=""):
        with Path("leased").open("a") as log:
            log.write(spec.labels["attempt"] + "\\n")
        return ale_sandboxes.lease(spec, id)

    pool.lease = lease
    return pool
"""


def test_a_cluster_may_bring_its_own_pool(project: Project) -> None:
    project.task("own")
    project.task("plain", cluster="other", subfield="sports")
    (project.path / "tasks/legal/conftest.py").write_text(POOL)
    project.run("tasks").assert_outcomes(passed=2)
    leased = (project.path / "leased").read_text().splitlines()
    assert leased == ["legal/own/base/oracle/trial-1/attempt-1"]


# Task lists and variants.

LISTS = {
    "legal/move\n": ["move[base-oracle]"],
    "# these\n\n  legal/copy/b  # one variant\nother/ledger\r\n": [
        "copy[b-oracle]",
        *EXAM["other/ledger"],
    ],
    "": [],
    "# nothing\n": [],
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list_names_tasks_or_instances(exam: Project, text: str) -> None:
    (exam.path / "list.txt").write_text(text)
    found = names(exam, "tasks", "--ale-tasks=list.txt")
    assert found == LISTS[text]
    assert "test_own" in names(exam, "--ale-tasks=list.txt")


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_a_list_or_variant_that_names_nothing_is_a_wrong_use(
    exam: Project, workers: list[str]
) -> None:
    (exam.path / "list.txt").write_text("legal/copy\nlegal/coyp\nlegal/move/z\n")
    for option, told in {
        "--ale-tasks=list.txt": f"--ale-tasks={exam.path}/list.txt: not among the collected tasks:"
        " legal/coyp, legal/move/z; allowed: CLUSTER/NAME or CLUSTER/NAME/VARIANT, one a line",
        "--ale-variants=z": "--ale-variants=z: no collected task has this variant;"
        " allowed: first, all, or a variant's id",
    }.items():
        result = exam.run("tasks", option, *workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert [line for line in result.errlines if line] == [f"ERROR: pytest-ale: {told}"]
        assert "INTERNALERROR" not in result.stdout.str()


def test_a_list_that_cannot_be_read_is_a_wrong_use(exam: Project) -> None:
    (exam.path / "bytes.txt").write_bytes(b"\xff\n")
    for name, told in {
        "no.txt": "No such file or directory",
        "tasks": "Is a directory",
        "bytes.txt": "not UTF-8 text",
    }.items():
        result = exam.run("tasks", f"--ale-tasks={name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: pytest-ale: --ale-tasks={exam.path}/{name}: {told}*"])


def test_variants_are_first_all_or_one(exam: Project) -> None:
    assert names(exam, "tasks", "--ale-variants=first") == [
        "copy[a-oracle]",
        "move[base-oracle]",
        "ledger[a-oracle]",
    ]
    assert names(exam, "tasks", "--ale-variants=c") == ["ledger[c-oracle]"]
    assert len(names(exam, "tasks", "--ale-variants=all")) == 5


# The same list everywhere.

TELL = """
import os
from pathlib import Path

def pytest_collection_finish(session):
    name = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    Path(f"{name}.list").write_text("\\n".join(item.nodeid for item in session.items))
"""


def test_every_worker_collects_the_same_list_in_the_same_order(project: Project) -> None:
    for number in range(12):
        project.task(f"task_{number}", variants=[{"id": v} for v in ("z", "a", "m")])
    project.pytester.makeconftest(TELL)
    words = ["tasks", "--ale-agent=nop", "--ale-agent=oracle", "--ale-trials=2"]
    project.run(*words, "--collect-only", env={"PYTHONHASHSEED": "1"})
    project.run(*words, "-n2", "-k", "nothing", env={"PYTHONHASHSEED": "random"})
    lists = {path.name: path.read_text() for path in project.path.glob("*.list")}
    assert sorted(lists) == ["alone.list", "gw0.list", "gw1.list"]
    assert lists["gw0.list"] == lists["gw1.list"]


# Folders.


def test_a_task_may_lie_anywhere_in_any_project(project: Project) -> None:
    folder = project.task()
    for place in ("exams/deep/er/one", "two"):
        shutil.copytree(folder, project.path / place)
    shutil.rmtree(project.path / "tasks")
    assert names(project) == ["one[base-oracle]", "two[base-oracle]"]
    project.run().assert_outcomes(passed=2)


def test_pytest_may_be_run_from_inside_a_task(project: Project) -> None:
    folder = project.task()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert ids(project) == ["tasks/legal/copy/main.py::copy[base-oracle]"]
        (folder / "pytest.ini").write_text("[pytest]\n")
        assert ids(project, ".") == ids(project, "main.py") == ["main.py::copy[base-oracle]"]
        assert ids(project, "main.py::copy[base-oracle]") == ["main.py::copy[base-oracle]"]


USABLE = ["a b", "v1.2", "größe", "-dash", "a@b", "quo'te", "{brace}", "link"]
REFUSED = {"br[1]": "'['", "co::lon": "'::'", "new\nline": r"'\n'", "back\\slash": r"'\\'"}


@pytest.fixture
def oddly_named(project: Project) -> Project:
    folder = project.task()
    for name in [*USABLE[:-1], *REFUSED, os.fsdecode(b"by\xffte")]:
        shutil.copytree(folder, folder.with_name(name))
    folder.with_name("link").symlink_to(folder, target_is_directory=True)
    return project


def test_odd_folder_names_are_usable_or_refused(oddly_named: Project) -> None:
    found = ids(oddly_named, "tasks")
    assert sorted(found) == sorted(
        f"tasks/legal/{name}/main.py::{name}[base-oracle]" for name in ["copy", *USABLE]
    )
    for id in found:
        assert ids(oddly_named, id) == [id]


@pytest.mark.parametrize("words", [["-n2"], ["--collect-only"]])
def test_odd_folder_names_run_and_the_refused_are_told(
    oddly_named: Project, words: list[str]
) -> None:
    result = oddly_named.run("tasks", *words)
    passed = 0 if "--collect-only" in words else len(USABLE) + 1
    result.assert_outcomes(passed=passed, errors=len(REFUSED) + 1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = "in the path of a task; its items could not be named on a command line"
    for shown in [*REFUSED.values(), r"'\\udcff'"]:
        assert any(
            line.endswith(f": {shown} {told}: rename the folder") for line in result.outlines
        )


def test_a_bracket_above_a_task_is_refused_too(project: Project) -> None:
    folder = project.task()
    shutil.move(folder.parent, project.path / "old[1]")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["old[[]1]/copy: '[[]' in the path of a task;*"])


def test_two_folders_of_one_task_id_cannot_both_run(project: Project) -> None:
    folder = project.task()
    shutil.copytree(folder, project.path / "tasks/more/copy")
    project.task("other")
    result = project.run("tasks", "-n2")
    result.assert_outcomes(passed=2, errors=1)
    line = (
        "tasks/more/copy/card.yaml: the task legal/copy is tasks/legal/copy already;"
        " a task's id is its card's cluster and its folder's name"
    )
    assert result.outlines.count(line) == 1
    assert ids(project, "tasks/more") == ["tasks/more/copy/main.py::copy[base-oracle]"]


def test_data_in_a_task_is_not_walked(project: Project) -> None:
    folder = project.task()
    shutil.copytree(folder, project.path / "nested")
    shutil.move(project.path / "nested", folder / "inputs/nested")
    (folder / "inputs/test_x.py").write_text("def test_x(): assert False\n")
    assert names(project, "tasks") == ["copy[base-oracle]"]


EVIL = """
def solve(sandbox):
    for name in ("card.yaml", "main.py", "prompt.md", "conftest.py", "test_evil.py"):
        sandbox.write(sandbox.output + "/" + name, "open('ran', 'w')\\n")


def evaluate(output):
    return 1.0
"""


def test_what_an_agent_leaves_is_never_collected(project: Project) -> None:
    project.task(main=EVIL, checks=None)
    project.run("tasks", "--ale-dir=runs").assert_outcomes(passed=1)
    assert list(project.path.glob("runs/*/legal/copy/base/oracle/*/*/output/test_evil.py"))
    result = project.run("--collect-only", "-q")
    assert [line for line in result.outlines if line][:-1] == [
        "tasks/legal/copy/main.py::copy[base-oracle]"
    ]
    assert not (project.path / "ran").exists()


def test_a_folder_of_the_users_is_not_taken_over_for_runs(project: Project) -> None:
    project.task()
    project.run("tasks", "--ale-dir=.").assert_outcomes(passed=1)
    assert not (project.path / ".gitignore").exists()
    (run,) = [path.parent for path in project.path.glob("*/run.json")]
    assert (run / ".gitignore").read_text() == "*\n"


# The card index.


@pytest.fixture
def card(project: Project) -> Path:
    return project.task() / "card.yaml"


def markers(path: Path, cache: Path) -> list[str]:
    """Ask a new index, as the next run would, and let it write its cache."""
    index = CardIndex(cache)
    found = index.entry(str(path)).markers
    index.save()
    return found


def test_a_changed_card_is_noticed_even_with_its_old_times(card: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cards.json"
    before = card.stat()
    assert (
        markers(card, cache)
        == markers(card, cache)
        == ["near_term", "legal", "litigation_discovery"]
    )
    text = card.read_text()
    card.write_text(text.replace("near_term", "last_exam"))
    os.utime(card, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (card.stat().st_size, card.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert markers(card, cache) == ["last_exam", "legal", "litigation_discovery"]


def test_a_card_put_in_place_by_rename_is_noticed(card: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cards.json"
    markers(card, cache)
    other = card.with_name("new.yaml")
    other.write_text(card.read_text().replace("near_term", "last_exam"))
    shutil.copystat(card, other)
    other.replace(card)
    assert markers(card, cache) == ["last_exam", "legal", "litigation_discovery"]


def test_a_card_that_breaks_is_refused_though_it_was_known(card: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cards.json"
    markers(card, cache)
    card.write_text(card.read_text() + "more: 1\n")
    with pytest.raises(CardError, match="more: unknown key"):
        markers(card, cache)
    card.unlink()
    with pytest.raises(CardError, match="cannot be read: No such file"):
        markers(card, cache)


CORRUPT: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "cut short": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "no cards": lambda text: json.dumps(json.loads(text) | {"cards": None}),
    "cards of another kind": lambda text: json.dumps(
        json.loads(text) | {"cards": dict.fromkeys(json.loads(text)["cards"], 5)}
    ),
    "an entry cut short": lambda text: json.dumps(
        json.loads(text)
        | {"cards": {key: [stamp, ["x"]] for key, (stamp, _) in json.loads(text)["cards"].items()}}
    ),
    "another schema": lambda text: json.dumps(json.loads(text) | {"schema": 1}),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_cache_is_made_anew(card: Path, tmp_path: Path, name: str) -> None:
    cache = tmp_path / "cards.json"
    good = markers(card, cache)
    text = cache.read_text()
    cache.write_text(CORRUPT[name](text))
    assert markers(card, cache) == good
    assert json.loads(cache.read_text()) == json.loads(text)


def test_a_cache_that_is_no_text_is_made_anew(card: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cards.json"
    cache.write_bytes(b"\xff\x00")
    assert markers(card, cache) == ["near_term", "legal", "litigation_discovery"]


WARM = """
import sys
import pytest
status = pytest.main([*sys.argv[1:], "-q", "--collect-only", "tasks"])
print("pydantic" in sys.modules, int(status))
"""


def warm(project: Project, *words: str) -> str:
    return project.pytester.run(sys.executable, "-c", WARM, *words).outlines[-1]


def test_the_second_collection_validates_nothing(card: Path, project: Project) -> None:
    assert [warm(project), warm(project)] == ["True 0", "False 0"]
    card.write_text(card.read_text() + "# touched\n")
    assert [warm(project), warm(project), warm(project, "--cache-clear")] == [
        "True 0",
        "False 0",
        "True 0",
    ]


def test_no_cache_or_one_that_cannot_be_written_is_no_trouble(card: Path, project: Project) -> None:
    (project.path / "file").touch()
    for words in (["-p", "no:cacheprovider"], ["-o", "cache_dir=file/cache"]):
        assert names(project, "tasks", *words) == ["copy[base-oracle]"]


def test_workers_may_all_write_the_index(project: Project) -> None:
    for number in range(30):
        project.task(f"task_{number}")
    project.run("tasks", "-n2", "-k", "task_11 or task_21").assert_outcomes(passed=2)
    (cache,) = project.path.glob(".pytest_cache/**/cards.json")
    assert len(json.loads(cache.read_text())["cards"]) == 30
    assert not list(cache.parent.glob("cards.json.*"))
