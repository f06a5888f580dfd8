"""claw by itself, and a server that answers what no scripted model does: odd shapes, odd ends."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pytest_ale.harnesses.claw import Claw

from pytest_ale.gateway.control import ModelLost
from pytest_ale.harness import Ending
from pytest_ale.trajectory import Trajectory, check, dump

from .clawing import Machine, work_on
from .reading import calls, of_agent, results

pytest.importorskip("pydantic_ai", reason="claw's library is not installed")
importlib.import_module("pytest_ale.harnesses.claw_work")  # which takes 2 s

Json = Mapping[str, object]
Answer = bytes | Json
Guard = Callable[[Json], object]  # what is answered instead, alone or with a status; or None


class Server(HTTPServer):
    """Gives the answers one after the other, to those who may call tools; to others OK."""

    def __init__(
        self, api: str, answers: Sequence[Answer], guard: Callable[[Json], object]
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.api, self.answers, self.guard = api, list(answers), guard
        self.asked: list[Json] = []

    def answer(self, body: Json) -> tuple[int, object]:
        self.asked.append(body)
        if (said := self.guard(body)) is not None:
            return said if isinstance(said, tuple) else (200, said)
        return 200, said_by(self.api, "OK") if "tools" not in body else self.answers.pop(0)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, said = self.server.answer(body)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Odd:
    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.asked: list[Json] = []
        self.trajectory: Trajectory

    def play(
        self,
        api: str,
        answers: Sequence[Answer],
        guard: Guard = lambda body: None,
        **knobs: str,
    ) -> Ending:
        with Server(api, answers, guard) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}"
            work = work_on(self.machine, url, api=api, tries="2", **knobs)
            ending: Ending = Claw().run(work)
            server.shutdown()
        self.asked, self.trajectory = server.asked, work.story._recorder.finish()
        assert check(dump(self.trajectory)) == []
        return ending

    @property
    def told(self) -> list[str]:
        return [str(part.content) for s in of_agent(self.trajectory) for part in results(s)]


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Odd:
    monkeypatch.setattr("pytest_ale.harnesses.claw_mind.DELAY", 0.01)
    return Odd(tmp_path)


def chat(text: str | None, *made: tuple[object, ...], finish: str = "stop") -> Json:
    tools: list[Json] = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in made
    ]
    message: Json = {
        "role": "assistant",
        "content": text,
        **({"tool_calls": tools} if tools else {}),
    }
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def anthropic(*blocks: object, stop: str = "end_turn", **more: object) -> Json:
    said: Json = {"id": "1", "type": "message", "role": "assistant", "model": "m"}
    used = {"input_tokens": 10, "output_tokens": 5}
    return {**said, "content": list(blocks), "stop_reason": stop, "usage": used, **more}


def responses(*output: object, **more: object) -> Json:
    said: Json = {"id": "1", "object": "response", "created_at": 1, "model": "m", "tools": []}
    rest: Json = {"status": "completed", "parallel_tool_calls": True, "tool_choice": "auto"}
    return {**said, **rest, "output": list(output), **more}


def gemini(*parts: object, **more: object) -> Json:
    one: Json = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
    used = {"promptTokenCount": 10, "totalTokenCount": 15}
    return {"candidates": [{**one, "index": 0}], "usageMetadata": used, **more}


def used(*given: object) -> Json:
    id, name, arguments = given
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def said_by(api: str, text: str, command: str = "", note: str = "") -> Json:
    """Words, a command or a note, as that API has them."""
    name, given = ("run_command", {"command": command}) if command else ("note", {"text": note})
    if not (command or note):
        return words_by(api, text)
    if api == "chat":
        return chat(text, ("c", name, json.dumps(given)))
    if api == "anthropic":
        return anthropic(used("c", name, given))
    if api == "gemini":
        return gemini({"functionCall": {"name": name, "args": given}})
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": name}
    return responses({**call, "arguments": json.dumps(given)})


def words_by(api: str, text: str) -> Json:
    if api == "chat":
        return chat(text)
    if api == "anthropic":
        return anthropic({"type": "text", "text": text})
    if api == "gemini":
        return gemini({"text": text})
    part = {"type": "output_text", "text": text, "annotations": []}
    words: Json = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    return responses({**words, "content": [part]})


HALF = "a\ud800b"  # which json.dumps writes as \ud800, and no UTF-8 can hold
DEEP = b"[" * 900 + b"]" * 900
NOTHING: list[bytes] = [b"", b"null", b"5", b"[1]", b'"hi"', b"<html>", b'{"id": "\xff"}', b"{}"]
ERROR = {"error": {"message": "upstream"}}


def spoiled(answer: Json, text: bytes) -> bytes:
    return json.dumps(answer).encode().replace(b'"SPOILED"', text)


SHAPES: dict[str, list[Answer]] = {
    "chat": [
        *({**chat("x"), "choices": each} for each in ([], None, [{"index": 0, "message": None}])),
        chat(None, ("a", "list_dir", {"path": "."}), ("a", "list_dir", None), (None, "", "[1]")),
        chat(None, ("a", "x y\n", "{}"), ("", "list_dir", '{"path": NaN}'), ("b", "look", "5")),
        chat(HALF, (HALF, HALF, '{"path": "\\ud800"}'), ("d", "list_dir", DEEP.decode())),
        chat(None, ("n", "run_command", '{"command": "true", "timeout": 1e999}')),
        chat("", finish="length"),
        chat("I will now wri", finish="length"),
    ],
    "responses": [
        responses(None, {"type": "hologram", "id": "h"}, {"type": "message", "content": None}),
        {**responses(), "output": None},
        responses(status="failed", error={"code": "server_error", "message": "oops"}),
        responses({"type": "reasoning", "id": "r", "summary": []}),
        responses({"type": "function_call", "id": "f", "call_id": None, "name": HALF}),
    ],
    "anthropic": [
        anthropic({"type": "hologram"}, {"type": "text", "text": None}, used("a", "look", [1])),
        anthropic(used(7, None, {"path": HALF}), used("a", "list_dir", {HALF: "."})),
        anthropic({"type": "thinking", "thinking": "hm", "signature": "s"}),
        anthropic({"type": "text", "text": HALF}, used("h", "list_dir", {"path": HALF})),
        anthropic(content=None),
        anthropic(used("u", "list_dir", {"path": "."}), usage=None),
        *(
            spoiled(
                anthropic(used("s", "run_command", {"command": "true", "timeout": "SPOILED"})), x
            )
            for x in (b"NaN", b"9" * 400, b"9" * 5000, DEEP, b"[" * 9000 + b"]" * 9000)
        ),
    ],
    "gemini": [
        *(gemini(candidates=each) for each in ([], None, [{"finishReason": "MAX_TOKENS"}])),
        gemini(candidates=[{"finishReason": "MALFORMED_FUNCTION_CALL"}]),
        gemini(None),
        gemini({"text": "hm", "thought": True}),
        gemini({"functionCall": {"name": None, "args": {}}}),
        gemini({"functionCall": {"name": "list_dir", "args": "x"}}),
        gemini({"text": HALF}, {"functionCall": {"name": "list_dir", "args": {"path": HALF}}}),
        spoiled(gemini({"functionCall": {"name": "list_dir", "args": {"path": "SPOILED"}}}), DEEP),
    ],
}


@pytest.mark.parametrize("api", SHAPES)
def test_it_outlives_any_shape_of_answer(odd: Odd, api: str) -> None:
    going_on = said_by(api, "", note="Go on.")
    play = [each for shape in (*NOTHING, ERROR, *SHAPES[api]) for each in (shape, going_on)]
    end = [said_by(api, "", "echo word > output/word.txt"), said_by(api, "Done.")]
    assert odd.play(api, [*play, *end]) == Ending()
    assert len(odd.asked) == len(play) + 3  # each was asked again, or answered; and it was checked
    assert [part for part in odd.told if "not answered" in part] == []  # by a bridge
    assert (Path(odd.machine.output) / "word.txt").read_text() == "word\n"
    made = [call.arguments for call in calls(of_agent(odd.trajectory))]
    assert sum(each == {"text": "Go on."} for each in made) == len(play) // 2


def test_nonsense_for_ever_is_a_fault_and_no_score(odd: Odd) -> None:
    with pytest.raises(ModelLost, match="answers what cannot be read: TypeError"):
        odd.play("anthropic", [b"{}"] * 2)


REFUSALS = {
    "chat": chat("I cannot help with that.", finish="content_filter"),
    "anthropic": anthropic({"type": "text", "text": "I cannot help with that."}, stop="refusal"),
}


@pytest.mark.parametrize("api", REFUSALS)
def test_an_answer_that_is_filtered_is_a_refusal_and_is_told(odd: Odd, api: str) -> None:
    assert odd.play(api, [REFUSALS[api]]) == Ending("refused", "I cannot help with that.")
    (step,) = of_agent(odd.trajectory)
    assert step.message == "I cannot help with that."


# Work that is done stays done, whatever becomes of the look at it.

WRITE = said_by("chat", "", "echo word > output/word.txt")
DONE = chat("Done.")


@pytest.mark.parametrize("said", [(500, ERROR), (401, ERROR), REFUSALS["chat"], b"<html>"])
def test_who_cannot_be_checked_is_done(odd: Odd, said: object) -> None:
    def guard(body: Json) -> object:
        return None if "tools" in body else said

    assert odd.play("chat", [WRITE, DONE], guard) == Ending()


# What a server does not take.


def test_pictures_that_are_not_taken_are_left_out(odd: Odd) -> None:
    (Path(odd.machine.home) / "task/a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))

    def blind(body: Json) -> object:
        seen = "data:image/png" in json.dumps(body)
        return (400, {"error": {"message": "This model takes no image input."}}) if seen else None

    look = [chat(None, (f"l{n}", "look", '{"path": "a.png"}')) for n in range(3)]
    assert odd.play("chat", [WRITE, *look, DONE], blind) == Ending()
    assert len(odd.asked) == 8  # five turns, a check, and two that were not taken
    told = [str(step.message) for step in odd.trajectory.steps if step.source == "system"]
    assert len(told) == 2 and all("no image input" in each for each in told)  # nothing summed up


def anthropic_full(body: Json) -> object:
    long = len(json.dumps(body)) > 60_000 and "tools" in body
    return anthropic(stop="model_context_window_exceeded") if long else None


def chat_full(body: Json) -> object:
    long = len(json.dumps(body)) > 200_000
    return (400, {"error": {"message": "prompt is too long"}}) if long else None


def chat_limited(body: Json) -> object:
    error = {"message": "Request too large on tokens per min (TPM)", "code": "rate_limit_exceeded"}
    return (429, {"error": error}) if chat_full(body) else None


@pytest.mark.parametrize("api, guard", [("anthropic", anthropic_full), ("chat", chat_limited)])
def test_a_context_may_be_full_in_other_words(
    odd: Odd, api: str, guard: Callable[[Json], object]
) -> None:
    reads = [said_by(api, "", f"seq {n}000000 {n}003500") for n in range(1, 10)]
    write = said_by(api, "", "echo word > output/word.txt")
    assert odd.play(api, [write, *reads, said_by(api, "Done.")], guard) == Ending()
    assert "the context was compacted" in [step.message for step in odd.trajectory.steps]


def test_one_turn_may_be_more_than_the_context(odd: Odd) -> None:
    many = [(f"m{n}", "run_command", '{"command": "seq 1000000 1003500"}') for n in range(20)]
    huge = [(f"{n}1", n, json.dumps({"text": n * 60_000})) for n in ("plan", "note")]
    play = [WRITE, chat("x" * 300_000, *huge), chat(None, *many), DONE]
    assert odd.play("chat", play, chat_full, context="100000") == Ending()
    assert len(calls(of_agent(odd.trajectory))) == 23


@pytest.mark.parametrize("effort", ["", "low", "high", "xhigh"])
def test_thoughts_leave_room_for_an_answer(odd: Odd, effort: str) -> None:
    play = [said_by("anthropic", "", "echo word > output/word.txt"), said_by("anthropic", "Done.")]
    assert odd.play("anthropic", play, effort=effort) == Ending()
    asked = odd.asked[0]
    thinking = asked.get("thinking")
    most = asked["max_tokens"]
    assert isinstance(most, int)
    assert most > (thinking["budget_tokens"] if isinstance(thinking, dict) else 0) + 10_000


# A bridge that dies often is started anew as often as it answered between.


def test_a_bridge_may_die_more_often_than_it_may_in_a_row(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ale.outside.RESTARTS", 1)
    kill, live = said_by("chat", "", "kill -9 $PPID; sleep 5"), said_by("chat", "", "echo alive")
    assert odd.play("chat", [WRITE, kill, live, kill, live, DONE]) == Ending()
    assert sum("alive" in each for each in odd.told) == 2
