"""goose: the real CLI against the scripted model, in docker, and its reader."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_ale.harnesses.goose import Goose
from pytest_ale.harnesses.goose_log import GooseLog

from pytest_ale.gateway.usage import Usage as Tokens
from pytest_ale.program import Brief, Closing, Server

from .alone import CANARY
from .reading import of_agent, pairs, read

# Configuration.


def test_what_it_is_told() -> None:
    knobs = {name: knob.default or "" for name, knob in Goose.knobs.items()} | {"turns": "7"}
    servers = {"desktop": Server("python3", ("-I", "run.py"))}
    url, home = "http://127.0.0.1:9", "/home/agent"
    brief = Brief("Do it.", "m", url, CANARY, servers, knobs, home, f"{home}/task", "/opt/ale/g")
    config = json.loads(Goose().files(brief)[".config/goose/config.yaml"])
    assert config["extensions"]["desktop"]["args"] == ["-I", "run.py"]
    assert config["extensions"]["developer"]["enabled"] and not config["GOOSE_TELEMETRY_ENABLED"]
    assert Goose().start(brief)[-2:] == ["--max-turns", "7"]
    assert CANARY not in json.dumps([config, Goose().start(brief)])
    told = [name for name, value in Goose().environment(brief).items() if CANARY in value]
    assert told == ["OPENAI_API_KEY"]


# The reader.


def said(*content: dict[str, object], id: str | None = "a", role: str = "assistant") -> str:
    message = {"id": id, "role": role, "created": 1795312215, "content": [*content]}
    return json.dumps({"type": "message", "message": message})


def test_pieces_make_a_message(tmp_path: Path) -> None:
    value = {"name": "shell", "arguments": {"command": "ls"}}
    request = {"type": "toolRequest", "id": "1", "toolCall": {"status": "success", "value": value}}
    result = {"status": "error", "error": "no such tool"}
    lines = [
        "  goose is ready",
        said({"type": "thinking", "thinking": "Hm. "}),
        said({"type": "thinking", "thinking": "Well."}),
        said({"type": "text", "text": "One "}),
        said({"type": "text", "text": "two."}),
        said(request),
        said({"type": "toolResponse", "id": "1", "toolResult": result}, id="b", role="user"),
        said({"type": "text", "text": "Done."}, id="c"),
        '{"type":"complete","total_tokens":3420,"input_tokens":3300,"output_tokens":120}',
    ]
    trajectory, closing = read(GooseLog, tmp_path, (("stdout", line) for line in lines))
    one, two = of_agent(trajectory)
    assert (one.message, one.reasoning_content, two.message) == ("One two.", "Hm. Well.", "Done.")
    assert pairs([one]) == [("shell", {"command": "ls"})]
    assert one.observation and one.observation.results[0].content == "no such tool"
    assert closing == Closing(usage=Tokens(prompt=3300, output=120))


def test_an_error_is_one_only_where_it_says_so_itself(tmp_path: Path) -> None:
    failed = {"type": "text", "text": "Ran into this error: Server error."}
    _, closing = read(GooseLog, tmp_path, [("stdout", said(failed, id=None))])
    assert closing.failed == "Server error."
    _, closing = read(GooseLog, tmp_path, [("stdout", said(failed))])
    assert closing == Closing()


ODD = [
    "",
    "[]",
    '{"type": "message"}',
    '{"type": "message", "message": {"role": "assistant", "content": [1, {"type": []}]}}',
    said({"type": "text", "text": 7}, {"type": "toolRequest", "id": 7}),
    said({"type": "toolRequest", "id": "1", "toolCall": []}, id=None),
    said({"type": "toolResponse", "id": "2", "toolResult": {"value": {"content": [1, {}]}}}),
    said({"type": "toolResponse", "id": "3", "toolResult": {"value": {"isError": 1}}}),
    '{"type": "complete", "input_tokens": -5}',
    '{"a": ' * 5000,
]


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    _, closing = read(GooseLog, tmp_path, [("stdout", line) for line in ODD])
    assert closing == Closing()
