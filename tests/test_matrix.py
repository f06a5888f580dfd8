"""Several agents in one run, real ones, each with its own model: records, table and JUnit."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_ale.testing import Call, Say, ScriptedModel, Usage
from pytest_ale.trajectory import load

from .conftest import Project
from .reading import of_agent

KEYS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "canary-matrix")
AGENTS = {"codex": "openai/first-model", "claude_code": "second-model"}
PLAY = [
    Usage(input=1000, output=50),
    Call("shell", {"command": "cp inputs/word.txt output/word.txt"}),
    Usage(input=1100, output=20),
    Say("Done."),
]


@pytest.mark.once
def test_two_agents_do_two_tasks_in_one_run(project: Project, docker_engine: None) -> None:
    for task in ("one", "two"):
        project.task(task)
    agents = [f"--ale-agent={name}:{model}" for name, model in AGENTS.items()]
    with ScriptedModel(PLAY) as model:
        words = ("--ale-provider=docker", f"--ale-base-url={model.url}", "--junitxml=results.xml")
        result = project.run("tasks", *agents, *words, "--ale-retries=0", env=KEYS)
        asked = {request.model for request in model.requests}
    result.assert_outcomes(passed=4)
    assert asked == {*AGENTS.values()}
    seen = {(each["task"], each["harness"], each["model"]) for each in project.results}
    tasks = ("legal/one", "legal/two")
    assert seen == {(task, *each) for task in tasks for each in AGENTS.items()}
    for record in project.results:
        assert (record["score"], record["tokens_in"], record["requests"]) == (1.0, 2100, 2)
        assert record["models"] == [record["model"]]
        told = load(project.runs[-1] / str(record["path"]) / "trajectory.json")
        assert told.agent.name == record["harness"] and len(of_agent(told)) == 2
    one_table_each(str(result.stdout))
    cases = ElementTree.parse(project.path / "results.xml").iter("testcase")
    names = {(str(case.get("classname")), case.get("name")) for case in cases}
    assert len(names) == 4
    assert {task for task, _ in names} == {"tasks.legal.one.main", "tasks.legal.two.main"}


def one_table_each(said: str) -> None:
    """In the order of the command line."""
    page = said.partition("= pytest-ale =")[2]
    heads = [line for line in page.splitlines() if line.partition(":")[0] in AGENTS]
    assert heads == [f"{name}:{model}" for name, model in AGENTS.items()]
    assert page.count("2 (100%)") == 6  # all, the tier and the cluster of each
