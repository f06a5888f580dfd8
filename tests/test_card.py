"""Cards: every rule has a message with file, key, given value and what is allowed."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest
import yaml

from pytest_ale.card import Card, CardError, load_card
from pytest_ale.taxonomy import CLUSTERS

from .conftest import CARD, Project

TEXT = "allowed: text (quote what YAML would take for something else)"
KEYS = ", ".join(Card.model_fields)
ENV_KEYS = "os, packages, python, desktop, screen, cpus, memory_gb, disk_gb, gpu, licence, network"
SLUG = "words of letters, digits, _ and . joined by -; the first begins with a letter or digit"
JSON = "text (quote a date), a number, true, false, null, a list or a mapping"
REQUIRED = "title, summary, tier, cluster, subfield"
DATE = datetime.date(2024, 1, 1)
NAN, INF = math.nan, math.inf

# Changes to a good card, and what is said of them behind the file's name.
RULES: list[tuple[dict[str, object], str]] = [
    *(({key: ...}, f"{key}: is missing; required: {REQUIRED}") for key in REQUIRED.split(", ")),
    ({"titel": 1}, f"titel: unknown key (given 1); allowed: {KEYS}"),
    ({"title": ""}, "title: '' is not allowed; allowed: text that is not empty"),
    ({"title": None}, f"title: None is not allowed; {TEXT}"),
    ({"title": False}, f"title: False is not allowed; {TEXT}"),
    ({"title": DATE}, f"title: {DATE!r} is not allowed; {TEXT}"),
    ({"title": "a\nb"}, "title: 'a\\nb' is not allowed; allowed: one line of text"),
    ({"summary": ["a"]}, f"summary: ['a'] is not allowed; {TEXT}"),
    (
        {"tier": "hard"},
        "tier: 'hard' is not allowed; allowed: 'near_term', 'full_spectrum' or 'last_exam'",
    ),
    ({"cluster": "law"}, f"cluster: 'law' is not allowed; allowed: {', '.join(CLUSTERS)}"),
    ({"cluster": 3}, f"cluster: 3 is not allowed; {TEXT}"),
    (
        {"subfield": "physics"},
        "subfield: 'physics' is not allowed in legal;"
        " allowed: litigation_discovery, doctrinal_research",
    ),
    ({"soc": ["172072"]}, "soc.0: '172072' is not allowed; allowed: NN-NNNN or NN-NNNN.NN"),
    ({"soc": "17-2072"}, "soc: '17-2072' is not allowed; allowed: a list"),
    ({"timeout_s": 0}, "timeout_s: 0 is not allowed; allowed: a number above 0"),
    ({"timeout_s": INF}, "timeout_s: inf is not allowed; allowed: a finite number"),
    ({"timeout_s": "1h"}, "timeout_s: '1h' is not allowed; allowed: a number"),
    ({"timeout_s": True}, "timeout_s: True is not allowed; allowed: a number"),
    ({"pass_at": 0}, "pass_at: 0 is not allowed; allowed: a number above 0"),
    ({"pass_at": 1.1}, "pass_at: 1.1 is not allowed; allowed: a number of at most 1"),
    ({"pass_at": NAN}, "pass_at: nan is not allowed; allowed: a number of at most 1"),
    ({"tags": [1]}, f"tags.0: 1 is not allowed; {TEXT}"),
    ({"canary": "x"}, "canary: 'x' is not allowed; allowed: a fresh UUID"),
    ({"deliverables": ["a.txt"]}, "deliverables.0: 'a.txt' is not allowed; allowed: a mapping"),
    ({"deliverables": [{}]}, "deliverables.0.path: is missing; required: path"),
    *(
        (
            {"deliverables": [{"path": path}]},
            f"deliverables.0.path: {path!r} is not allowed;"
            " allowed: a path below output/, without ..",
        )
        for path in ("/etc/passwd", "../a", "a/../../b")
    ),
    (
        {"deliverables": [{"path": "a\0b"}]},
        "deliverables.0.path: 'a\\x00b' is not allowed; allowed: one line of text",
    ),
    ({"variants": []}, "variants: [] is not allowed; allowed: a list of at least 1"),
    ({"variants": {"a": {}}}, "variants: {'a': {}} is not allowed; allowed: a list"),
    ({"variants": ["a"]}, "variants.0: 'a' is not allowed; allowed: a mapping"),
    ({"variants": [{"params": {}}]}, "variants.0.id: is missing; required: id"),
    ({"variants": [{"id": 1}]}, f"variants.0.id: 1 is not allowed; {TEXT}"),
    *(
        ({"variants": [{"id": id}]}, f"variants.0.id: {id!r} is not allowed; allowed: {SLUG}")
        for id in ("a b", "a[0]", "a::b", "../x", ".", "-a", "a--b", "a/b", "ü", "")
    ),
    (
        {"variants": [{"id": "a" * 81}]},
        f"variants.0.id: '{'a' * 39}…{'a' * 14}' is not allowed; allowed: at most 80 characters",
    ),
    (
        {"variants": [{"id": "a"}, {"id": "b"}, {"id": "a"}]},
        "variants: [{'id': 'a'}, {'id': 'b'}, {'id': 'a'}] is not allowed;"
        " id 'a' is given twice; allowed: each id once",
    ),
    (
        {"variants": [{"id": "a", "prams": {}}]},
        "variants.0.prams: unknown key (given {}); allowed: id, params",
    ),
    (
        {"variants": [{"id": "a", "params": {"due": DATE}}]},
        f"variants.0.params.due: {DATE!r} is not allowed; allowed: {JSON}",
    ),
    ({"checks": ["a"]}, "checks: ['a'] is not allowed; allowed: a mapping"),
    ({"checks": {"a": "gate"}}, "checks.a: 'gate' is not allowed; allowed: a mapping"),
    (
        {"checks": {"a": {"gate": "yes"}}},
        "checks.a.gate: 'yes' is not allowed; allowed: true or false",
    ),
    (
        {"checks": {"a": {"weight": -1}}},
        "checks.a.weight: -1 is not allowed; allowed: a number of at least 0",
    ),
    (
        {"checks": {"a": {"weight": INF}}},
        "checks.a.weight: inf is not allowed; allowed: a finite number",
    ),
    (
        {"checks": {"a": {"wieght": 2}}},
        "checks.a.wieght: unknown key (given 2); allowed: gate, weight",
    ),
    (
        {"checks": {"a": {"weight": 0}}},
        "checks: {'a': {'weight': 0}} is not allowed; all weights are 0;"
        " allowed: at least one above 0",
    ),
    (
        {"checks": {"a\nb": {}}},
        "checks.a b.[key]: 'a\\nb' is not allowed; allowed: one line of text",
    ),
    ({"environment": "linux"}, "environment: 'linux' is not allowed; allowed: a mapping"),
    (
        {"environment": {"ram": 4}},
        f"environment.ram: unknown key (given 4); allowed: {ENV_KEYS}",
    ),
    (
        {"environment": {"os": "mac"}},
        "environment.os: 'mac' is not allowed; allowed: 'linux' or 'windows'",
    ),
    (
        {"environment": {"cpus": 0}},
        "environment.cpus: 0 is not allowed; allowed: a number above 0",
    ),
    (
        {"environment": {"memory_gb": INF}},
        "environment.memory_gb: inf is not allowed; allowed: a finite number",
    ),
    (
        {"environment": {"gpu": 0.5}},
        "environment.gpu: 0.5 is not allowed; allowed: a whole number",
    ),
    (
        {"environment": {"gpu": -1}},
        "environment.gpu: -1 is not allowed; allowed: a number of at least 0",
    ),
    (
        {"environment": {"desktop": 1}},
        "environment.desktop: 1 is not allowed; allowed: true or false",
    ),
    (
        {"environment": {"network": "maybe"}},
        "environment.network: 'maybe' is not allowed; allowed: none, open, or a list of host names",
    ),
    (
        {"environment": {"network": ["a.org", 3]}},
        "environment.network: ['a.org', 3] is not allowed;"
        " allowed: none, open, or a list of host names",
    ),
    (
        {"environment": {"network": ["pypi.org", "*.127.0.0.1"]}},
        "environment.network: ['pypi.org', '*.127.0.0.1'] is not allowed;"
        " '*.127.0.0.1' in `network`: an address has no sub-domains",
    ),
]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "card.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def changed(changes: dict[str, object]) -> str:
    card = {key: value for key, value in (CARD | changes).items() if value is not ...}
    return str(yaml.safe_dump(card, sort_keys=False))


def told(folder: Path, text: str | bytes) -> str:
    """What is said of a card, behind the file's name."""
    path = written(folder, text)
    with pytest.raises(CardError) as caught:
        load_card(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize(("changes", "message"), RULES, ids=[m[:60] for _, m in RULES])
def test_a_broken_rule_is_told_with_key_value_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    assert told(tmp_path, changed(changes)) == message


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "None is no card; allowed: a mapping of keys to values"),
    "a list": ("- a\n", "['a'] is no card; allowed: a mapping of keys to values"),
    "open bracket": ("a: [", "line 2, column 1: did not find expected node content"),
    "a tab": ("\ta: 1", "line 1, column 1: found character that cannot start any token"),
    "two documents": (changed({}) + "---\n{}", "line 12, column 1: but found another document"),
    "twice": (
        changed({}) + "title: again\n",
        "line 12, column 1: key 'title' is given twice; allowed: once",
    ),
    "twice below": (
        changed({"checks": ...}) + "checks:\n  a: {}\n  a: {gate: true}\n",
        "line 9, column 3: key 'a' is given twice; allowed: once",
    ),
    "a template left over": (
        changed({"title": ...}) + "title: {{ title }}\n",
        "line 11, column 9: a key that is no text;"
        " allowed: text (quote what begins with {, [ or ?)",
    ),
    "a number as key": (changed({}) + "3: 4\n", "3: 3 is not allowed; allowed: text as key"),
    "python inside": (
        changed({}) + "tags: !!python/object:os.system x\n",
        "line 12, column 7: could not determine a constructor for the tag"
        " 'tag:yaml.org,2002:python/object:os.system'",
    ),
    "a zero byte": (
        changed({"title": "a"}).replace("a", "a\0", 1),
        "unacceptable character #x0000: control characters are not allowed in"
        ' "<byte string>", position 8',
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path, name: str) -> None:
    text, message = TEXTS[name]
    assert told(tmp_path, text).endswith(message)


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"title: \xff", b"a" * 3_000_000])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, text: bytes) -> None:
    assert len(told(tmp_path, text)) < 300


def test_a_card_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    said = told(tmp_path, changed({}) + "variants: [{id: a, params: &p {x: *p}}]\n")
    assert said == "cannot be read: its aliases unfold to more than 100000 values"


def test_a_card_that_unfolds_without_end_is_refused_in_time(tmp_path: Path) -> None:
    rows = [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    bomb = "\n".join(["tags:", "- &a0 [x]", *rows, ""])
    said = told(tmp_path, changed({}) + bomb)
    assert said == "cannot be read: its aliases unfold to more than 100000 values"


def test_a_card_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").mkdir()
    with pytest.raises(CardError, match=r"card\.yaml: cannot be read: Is a directory$"):
        load_card(tmp_path / "card.yaml")


def test_many_mistakes_are_told_together_but_not_endlessly(tmp_path: Path) -> None:
    said = told(tmp_path, changed({"tier": "x", "soc": [1, 2], "pass_at": 2, "tags": 1, "z": 1}))
    assert said.startswith("tier: 'x' is not allowed") and said.endswith("; and 2 more")


def test_what_may_be_left_out_may_be_left_out(tmp_path: Path) -> None:
    card = load_card(written(tmp_path, changed({"checks": ..., "timeout_s": ...})))
    assert (card.timeout_s, card.pass_at, card.checks) == (3600, 1.0, {})
    assert [variant.id for variant in card.variants] == ["base"]
    env = card.environment
    assert (env.os, env.cpus, env.memory_gb, env.network) == ("linux", 2, 4, "none")
    assert card.markers == ["near_term", "legal", "litigation_discovery"]


def test_a_check_without_a_value_weighs_1_and_an_empty_environment_is_the_default(
    tmp_path: Path,
) -> None:
    card = load_card(written(tmp_path, changed({"checks": {"a": None}, "environment": None})))
    assert (card.checks["a"].weight, card.checks["a"].gate) == (1, False)
    assert card.environment.cpus == 2


def test_yaml_merge_keys_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    more = "variants:\n- &base {id: a, params: {x: 1}}\n- <<: *base\n  id: b\n"
    card = load_card(written(tmp_path, "\ufeff" + changed({}) + more))
    assert [(v.id, v.params) for v in card.variants] == [("a", {"x": 1}), ("b", {"x": 1})]


# A bad card beside good ones.


@pytest.fixture
def mixed(project: Project) -> Project:
    """Two good tasks and six broken ones, each broken in another way."""
    project.task("good_a")
    project.task("good_b", variants=[{"id": "x"}, {"id": "y"}])
    project.task("bad_key", titel="x")
    project.task("bad_yaml", card="a: [")
    project.task("bad_cluster", card=changed({"cluster": "law"}))
    project.task("no_prompt", prompt=None)
    (project.task("no_main") / "main.py").unlink()
    (project.task("no_card") / "card.yaml").write_bytes(b"\xff")
    return project


BROKEN = (
    f"tasks/legal/bad_key/card.yaml: titel: unknown key (given 'x'); allowed: {KEYS}",
    "tasks/legal/bad_yaml/card.yaml: line 2, column 1: did not find expected node content",
    "tasks/legal/bad_cluster/card.yaml: cluster: 'law' is not allowed;"
    f" allowed: {', '.join(CLUSTERS)}",
    "tasks/legal/no_prompt/prompt.md: is missing; a task has card.yaml, prompt.md and main.py",
    "tasks/legal/no_main/main.py: is missing; a task has card.yaml, prompt.md and main.py",
)


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_bad_cards_are_a_line_each_and_the_others_run(mixed: Project, workers: list[str]) -> None:
    result = mixed.run("tasks", *workers)
    result.assert_outcomes(passed=3, errors=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for line in BROKEN:
        assert result.outlines.count(line) == 1
    assert sum("no_card/card.yaml: unacceptable character" in o for o in result.outlines) >= 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_bad_card_counts_against_the_least_score(mixed: Project) -> None:
    result = mixed.run("tasks", "--ale-min-score=0.5")
    result.assert_outcomes(passed=3, errors=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_bad_card_is_told_by_collect_only_and_when_named_alone(mixed: Project) -> None:
    listed = mixed.run("tasks", "--collect-only", "-q")
    assert listed.ret == pytest.ExitCode.TESTS_FAILED
    assert "tasks/legal/good_b/main.py::good_b[y-oracle]" in listed.outlines
    alone = mixed.run("tasks/legal/no_prompt/main.py")
    alone.assert_outcomes(errors=1)
    assert BROKEN[3] in alone.outlines


def test_a_task_list_may_name_a_bad_card(mixed: Project) -> None:
    (mixed.path / "list.txt").write_text("legal/good_a\nlegal/bad_key\n")
    result = mixed.run("tasks", "--ale-tasks=list.txt")
    result.assert_outcomes(passed=1, errors=6, deselected=2)


def test_exitfirst_still_stops_at_the_first_bad_card(mixed: Project) -> None:
    result = mixed.run("tasks", "-x")
    result.assert_outcomes(errors=1)
