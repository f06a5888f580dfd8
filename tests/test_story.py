"""The story of an attempt, from option to record, as a user sees it."""

from __future__ import annotations

from .conftest import Project


def test_the_oracle_passes(project: Project) -> None:
    project.task()
    result = project.run("tasks", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::copy[[]base-oracle[]] PASSED 1.000*", "records: *"])
    (record,) = project.results
    assert (record["score"], record["outcome"], record["agent"]) == (1.0, "scored", "oracle")


def test_an_agent_that_does_nothing_fails_and_is_told_why(project: Project) -> None:
    project.task()
    result = project.run("tasks", "--ale-agent=nop")
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["score 0, passes at 1", "failed: is there (gate, weight 1)", "raised: is right (weight 3)"]
    )


def test_controls_hold_for_a_sound_task(project: Project) -> None:
    project.task()
    result = project.run("tasks", "--ale-controls", "-v")
    result.assert_outcomes(passed=1)
    (record,) = project.results
    assert [check["name"] for check in record["checks"]] == [  # type: ignore[attr-defined]
        "building twice gives the same files",
        "oracle run 1 scores 1.0",
        "grading twice gives the same grade",
        "near miss: another word does not pass",
        "cheat: an empty file does not pass",
        "oracle run 2 scores 1.0",
        "oracle run 3 scores 1.0",
        "nop does not pass",
    ]


def test_workers_give_the_same_results(project: Project) -> None:
    project.task(variants=[{"id": "a"}, {"id": "b"}, {"id": "c"}])
    serial = project.run("tasks", "--ale-agent=oracle", "--ale-agent=nop")
    first = _told(project)
    parallel = project.run("tasks", "--ale-agent=oracle", "--ale-agent=nop", "-n2")
    assert _told(project) == first
    assert serial.ret == parallel.ret == 1
    assert _table(serial.outlines) == _table(parallel.outlines)


def _told(project: Project) -> set[tuple[object, ...]]:
    return {(r["variant"], r["agent"], r["score"], r["identity"]) for r in project.results}


def _table(lines: list[str]) -> list[str]:
    """The summary without its times."""
    begin = next(n for n, line in enumerate(lines) if " pytest-ale " in line)
    end = next(n for n, line in enumerate(lines) if line.startswith("records:"))
    return [line[:62] for line in lines[begin:end] if line]
