"""acp: real agents over the Agent Client Protocol, one of ours that misbehaves, and the reader."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from pytest_ale.harnesses import acp_inside
from pytest_ale.harnesses.acp import Acp
from pytest_ale.harnesses.acp_log import AcpLog

from pytest_ale.harness import Agent, BadAgent, parse_agents
from pytest_ale.program import Brief, Closing, Server
from pytest_ale.registry import harness_named, load_plugins
from pytest_ale.testing import Refuse, Say, ScriptedModel
from pytest_ale.trajectory import load

from .conftest import Project
from .reading import of_agent, pairs, read

CANARY = "canary-0123456789-acp-key"
KEYS = {"OPENAI_API_KEY": CANARY, "GEMINI_API_KEY": CANARY}


@pytest.fixture(autouse=True, scope="module")
def _known() -> None:
    load_plugins()


def examine(
    project: Project, url: str, *words: str, provider: str = "docker"
) -> Mapping[str, object]:
    more = (f"--ale-provider={provider}", f"--ale-base-url={url}", "--ale-retries=0", *words)
    project.run("tasks", "--ale-agent=acp:scripted", *more, env=KEYS)
    return project.results[-1]


# Real agents, in docker.


# An agent of our own, which does what a test wants.

AGENT = """
import json, os, sys, urllib.request
said = sys.argv[1:]

def tell(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

def update(**told):
    tell(method="session/update", params={"sessionId": "s", "update": told})

def ask(*more):
    messages = [{"role": "user", "content": "Hello"}, *more]
    body = json.dumps({"model": "scripted", "messages": messages})
    head = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    head["Content-Type"] = "application/json"
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    try:
        urllib.request.urlopen(urllib.request.Request(url, body.encode(), head)).read()
    except OSError as error:
        update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": str(error)})

for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("id") == 77:
        update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": line})
        tell(id=prompt, result={"stopReason": "end_turn"})
        continue
    method, number = asked.get("method"), asked.get("id")
    if method == "session/new" and "login" in said:
        tell(id=number, error={"code": -32000, "message": "Authentication required"})
    elif method == "session/prompt":
        prompt = number
        if "ask" in said:
            ask()
        if "again" in said:
            ask({"role": "assistant", "content": "Hello."}, {"role": "user", "content": "More"})
        if "copy" in said:
            os.system("cp inputs/word.txt output/word.txt")
        print("no JSON at all", flush=True)
        if "leave" in said:
            options = [{"kind": "reject_once", "optionId": "no"},
                       {"kind": "allow_once", "optionId": "once"},
                       {"kind": "allow_always", "optionId": "yes"}]
            tell(id=77, method="session/request_permission", params={"options": options})
            continue
        if "read" in said:
            tell(id=77, method="fs/read_text_file", params={"path": "/etc/passwd"})
            continue
        if "die" in said:
            os.kill(os.getpid(), 9)
        tell(id=number, result={"stopReason": said[-1]})
    elif number is not None:
        tell(id=number, result={"sessionId": "s"})
"""


def own(project: Project, url: str, words: str) -> Mapping[str, object]:
    """Examine our own agent, on this machine."""
    kit = project.path / "odd-acp"
    kit.mkdir(exist_ok=True)
    (kit / "agent.py").write_text(AGENT)
    project.task()
    knobs = [f"--ale-knob=kit={kit}", f"--ale-knob=argv=/usr/bin/python3 {{kit}}/agent.py {words}"]
    return examine(project, url, *knobs, provider="local")


ENDS = {
    "ask copy end_turn": ("scored", 1.0, ""),
    "ask copy refusal": ("refused", 1.0, "it stopped: refusal"),
    "ask copy max_tokens": ("crashed", 1.0, "it stopped: max_tokens"),
    "ask copy die": ("crashed", 1.0, "session/prompt: it ended without an answer"),
    "login": ("fault", None, "Authentication required"),
    "end_turn": ("fault", None, "acp asked no model; it ended as if all were done"),
    "ask copy leave": ("scored", 1.0, '"optionId": "yes"'),
    "ask copy read": ("scored", 1.0, "fs/read_text_file is not offered"),
}


@pytest.mark.parametrize("words", ENDS)
def test_how_it_ends(project: Project, words: str) -> None:
    with ScriptedModel([Say("Hello to you."), Say("Again.")]) as model:
        record = own(project, model.url, words)
    outcome, score, message = ENDS[words]
    assert (record["outcome"], record["score"]) == (outcome, score), record
    if score is None:
        assert message in str(record["message"])
        return
    last = load(project.attempt() / "trajectory.json").steps[-1].message
    assert message in str(record["message"]) or message in str(last)
    assert (project.attempt() / "agent/stderr.log").read_text() == "no JSON at all\n"


def test_one_that_gives_up_on_its_server_as_if_all_were_well_is_no_score(project: Project) -> None:
    with ScriptedModel([Say("Hello."), Refuse(500, times=None), Say("Never.")]) as model:
        record = own(project, model.url, "ask again end_turn")
    assert (record["outcome"], record["score"]) == ("fault", None), record
    assert "the model's server failed: " in str(record["message"])


# Configuration.


def agent(*knobs: str, name: str = "acp:m") -> Agent:
    return parse_agents((name,), knobs, harness_named)[0]


def brief(agent: Agent) -> Brief:
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    url, home = "http://127.0.0.1:9", "/home/agent"
    task = f"{home}/task"
    return Brief("Do it.", "m", url, CANARY, servers, agent.knobs, home, task, "/opt/ale/a")


def settings(told: Brief) -> dict[str, object]:
    found = json.loads(Acp().files(told)[".ale-acp.json"])
    assert isinstance(found, dict)
    return found


def test_one_of_ours_is_configured_as_its_own_harness_does() -> None:
    told = brief(agent("agent=gemini_cli", "mode=yolo"))
    given = settings(told)
    words = ["--acp", "--approval-mode", "yolo", "--skip-trust", "--model", "m"]
    assert isinstance(given["argv"], list) and given["argv"][2:] == words
    served = {"name": "desktop", "command": "python3", "args": ["-I", "run.py"], "env": []}
    assert given["servers"] == [served] and given["mode"] == "yolo"
    assert json.loads(Acp().files(told)[".gemini/settings.json"])["mcpServers"] == {}
    assert Acp().environment(told)["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:9"
    assert Acp().model_api(agent("agent=gemini_cli")) == "gemini"
    assert CANARY not in "".join([*Acp().files(told).values(), *Acp().start(told)])


def test_one_of_the_user_s_is_a_command_line() -> None:
    told = brief(agent("argv={kit}/a --acp {model}", "kit=/tmp", "env=A={key}"))
    assert settings(told)["argv"] == ["/opt/ale/a/a", "--acp", "m"]
    assert Acp().environment(told)["A"] == CANARY and Acp().stdin(told) == "Do it."


WRONG = {
    (): "needs --ale-knob argv=..., or agent=... for one of ours",
    ("agent=codex", "argv=a"): "agent=codex has its own argv",
    ("argv=a {prompt}",): "{prompt} has no place here: the protocol tells the prompt",
    ("agent=other",): "allowed: codex, gemini_cli",
}


@pytest.mark.parametrize("knobs", WRONG)
def test_what_is_wrong_is_said_before_the_run(knobs: tuple[str, ...]) -> None:
    with pytest.raises(BadAgent) as refused:
        agent(*knobs)
    assert WRONG[knobs] in str(refused.value)


def test_the_client_ends_an_agent_that_does_not_listen(tmp_path: Path) -> None:
    """One that closed its stdin, ended with a status, or does not end."""
    for words, status in (
        (["sh", "-c", "exec <&-; exec >&-; exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "exec >&-; trap '' TERM; while :; do sleep 0.1; done"], 1),
    ):
        given = tmp_path / "settings.json"
        given.write_text(json.dumps({"argv": words, "cwd": "/", "servers": []}))
        run = [sys.executable, "-I", acp_inside.__file__, str(given)]
        done = subprocess.run(run, input="Do it.", capture_output=True, text=True, timeout=30)
        assert done.returncode == status, (words, done)
        assert '"failed": "initialize: it' in done.stdout or "it does not listen" in done.stdout


# The reader, of lines that real agents said.


def lines(said: str) -> Iterable[tuple[str, str]]:
    return (("stdout", line) for line in said.strip().splitlines())


def agent_said(update: object, second: int = 0) -> tuple[str, str]:
    params = {"sessionId": "s", "update": update}
    said = {"jsonrpc": "2.0", "method": "session/update", "params": params}
    at = f"2026-11-22T01:38:{second:02}.000+00:00"
    return "stdout", json.dumps({"at": at, "from": "agent", "said": said})


CALLS = {
    "goose": (
        {
            "toolCallId": "call_2_2",
            "title": "desktop: screenshot",
            "rawInput": {},
            "_meta": {"goose": {"toolCall": {"toolName": "desktop__screenshot"}}},
        },
        ("desktop__screenshot", {"title": "desktop: screenshot"}),
    ),
    "codex": (
        {
            "toolCallId": "call_2_2",
            "title": "Tool: desktop/click",
            "status": "in_progress",
            "rawInput": {"server": "desktop", "tool": "click", "arguments": {"clicks": 2}},
        },
        ("mcp__desktop__click", {"clicks": 2}),
    ),
    "gemini": (
        {
            "toolCallId": "mcp_desktop_click__call_2_2",
            "title": "click (desktop MCP Server)",
            "content": [{"type": "content", "content": {"type": "text", "text": '{"clicks": 2}'}}],
            "kind": "other",
        },
        ("mcp_desktop_click", {"clicks": 2}),
    ),
    "claude": (
        {
            "toolCallId": "toolu_1",
            "title": "`ls`",
            "kind": "execute",
            "rawInput": {"command": "ls"},
            "_meta": {"claudeCode": {"toolName": "Bash"}},
        },
        ("Bash", {"command": "ls"}),
    ),
    "plain": (
        {"toolCallId": "1", "title": "read_file", "kind": "read", "rawInput": {"path": "a"}},
        ("read_file", {"path": "a"}),
    ),
    "nothing": (
        {"toolCallId": "1", "title": "Reading a file"},
        ("tool", {"title": "Reading a file"}),
    ),
}


@pytest.mark.parametrize("who", CALLS)
def test_each_program_has_its_own_place_for_a_tool_s_name(tmp_path: Path, who: str) -> None:
    update, expected = CALLS[who]
    id = update["toolCallId"]
    done = {"sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed"}
    said = [agent_said({"sessionUpdate": "tool_call", **update}), agent_said(done, 1)]
    trajectory, _ = read(AcpLog, tmp_path, said)
    assert pairs(of_agent(trajectory)) == [expected]


def chunk(text: str, **more: object) -> dict[str, object]:
    content = {"type": "text", "text": text}
    return {"sessionUpdate": "agent_message_chunk", "content": content, **more}


def test_a_turn_ends_with_a_result_or_a_message(tmp_path: Path) -> None:
    diff = {"type": "diff", "path": "/a", "oldText": "x", "newText": "y"}
    call = {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "edit", "kind": "edit"}
    done = {"sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "completed"}
    raw = {"exit_code": 3, "formatted_output": "out"}
    second = {"sessionUpdate": "tool_call", "toolCallId": "2", "title": "sh", "rawInput": {"a": 1}}
    failed = {"sessionUpdate": "tool_call_update", "toolCallId": "2", "status": "failed"}
    said = [
        agent_said(chunk("One ")),
        agent_said(chunk("two."), 1),
        agent_said(call, 2),
        agent_said({**done, "content": [diff]}, 3),
        agent_said(second, 4),
        agent_said({**failed, "rawOutput": raw}, 6),
        agent_said(chunk("Three", messageId="a"), 7),
        agent_said(chunk("Four", messageId="b"), 8),
    ]
    trajectory, _ = read(AcpLog, tmp_path, said)
    one, two, three, four = of_agent(trajectory)
    assert [str(step.message) for step in (one, three, four)] == ["One two.", "Three", "Four"]
    assert one.observation and two.observation
    first, other = one.observation.results[0], two.observation.results[0]
    assert first.content == "[/a was edited]"
    assert (first.extra or {})["edits"] == [{"path": "/a", "old": "x", "new": "y"}]
    assert other.content == "out" and other.extra
    assert (other.extra["exit_code"], other.extra["is_error"], other.extra["seconds"]) == (
        3,
        True,
        2.0,
    )


ODD = [
    "",
    "no JSON",
    "[]",
    '{"from": "client", "said": 7}',
    '{"from": "client", "said": {"id": [], "method": "session/prompt"}}',
    '{"from": "client", "said": {"id": 3, "method": "session/prompt"}}',
    '{"from": "agent", "said": {"id": [3], "result": {}}}',
    '{"from": "agent", "said": {"id": {}, "result": {"stopReason": 7}}}',
    '{"from": "agent", "at": 9, "said": {"method": "session/update", "params": []}}',
    *(
        json.dumps(
            {"from": "agent", "said": {"method": "session/update", "params": {"update": update}}}
        )
        for update in (
            [],
            {"sessionUpdate": "agent_message_chunk", "content": {"text": 7}, "_meta": {"a": 1}},
            {"sessionUpdate": "agent_message_chunk", "content": {"text": "\ud800"}},
            {"sessionUpdate": "tool_call", "toolCallId": 7},
            {"sessionUpdate": "tool_call", "toolCallId": "a", "rawInput": [], "content": {"a": 1}},
            {"sessionUpdate": "tool_call", "toolCallId": "a", "turn": [], "_meta": {"x": []}},
            {"sessionUpdate": "tool_call_update", "toolCallId": "a", "status": []},
            {"sessionUpdate": "tool_call_update", "toolCallId": "b", "status": "failed"},
            {
                "sessionUpdate": "tool_call_update",
                "toolCallId": "c",
                "status": "completed",
                "content": [1, {"content": {"type": "image", "data": "!", "mimeType": 1}}],
                "rawOutput": {"exit_code": True},
            },
            {"sessionUpdate": "plan", "entries": [1, {"status": 1}]},
        )
    ),
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    _, closing = read(AcpLog, tmp_path, [("stdout", line) for line in ODD])
    assert closing == Closing()


def test_a_text_in_a_hundred_thousand_pieces_is_read_soon(tmp_path: Path) -> None:
    said = [agent_said(chunk("abcd ")) for _ in range(100_000)]
    trajectory, _ = read(AcpLog, tmp_path, said)
    (step,) = of_agent(trajectory)
    assert len(str(step.message)) > 9_000
