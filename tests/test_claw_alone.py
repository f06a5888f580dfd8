"""claw by itself: the real bridge on this machine, and a scripted model that misbehaves."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pytest_ale.harnesses.claw import Claw, endpoint

from pytest_ale.harness import Agent, BadAgent, Ending, Work, parse_agents
from pytest_ale.testing import (
    Call,
    Cut,
    Expect,
    Refuse,
    Say,
    ScriptedModel,
    Turn,
    Usage,
    WrongJson,
)
from pytest_ale.testing.script import Step
from pytest_ale.trajectory import Trajectory, check, dump

from .clawing import Machine, Players, model_of, work_on
from .reading import calls, of_agent, results, told

pytest.importorskip("pydantic_ai", reason="claw's library is not installed")

# What takes 2 s to import, which is not an agent's time (Claw.deploy).
importlib.import_module("pytest_ale.harnesses.claw_work")
APIS = ("chat", "responses", "anthropic", "gemini")
WRITE = Call("shell", {"command": "echo word > output/word.txt"})
FULL = "This model's maximum context length is 128000 tokens. However, you requested 130000 tokens."


class Alone:
    """claw on this machine, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.work: Work = work_on(self.machine)
        self.trajectory: Trajectory

    def run(self, url: str, *, limit: float = 60, **knobs: str) -> Ending:
        self.work = work_on(self.machine, url, limit=limit, **knobs)
        ending = Claw().run(self.work)
        self.trajectory = self.work.story._recorder.finish()
        assert check(dump(self.trajectory)) == []
        return ending

    def play(self, script: Sequence[Step | Turn], **knobs: str) -> Ending:
        with ScriptedModel(script) as model:
            ending = self.run(model.url, **knobs)
            model.check()
        self.requests = model.requests
        return ending

    @property
    def told(self) -> list[str]:
        """What it was told on the way, and what was said of it."""
        return [str(step.message) for step in self.trajectory.steps if step.source != "agent"]


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


# A model that answers nonsense.


@pytest.mark.parametrize("api", APIS)
def test_nonsense_is_told_and_it_goes_on(alone: Alone, api: str) -> None:
    script = [
        Turn(Call("no_such_tool", {"a": 1}), Call("plan", {"steps": 5})),
        Expect(tool_result_contains="There is no tool 'no_such_tool'"),
        Turn(Call("shell", {"cmd": "true"})),
        WrongJson("arguments"),
        Turn(Call("note", {"text": "kept"})),
        WRITE,
        Say("Done."),
    ]
    with ScriptedModel(script) as model:
        assert alone.run(model.url, api=api) == Ending()
        assert [why for why in model.failures if "no_such_tool" not in why] == []
    first, wrong = (told(step) for step in of_agent(alone.trajectory)[:2])
    assert "There is no tool 'no_such_tool'" in first and "'text' is missing" in first
    assert "there is no 'cmd'" in wrong
    made = calls(of_agent(alone.trajectory))
    assert [call.function_name for call in made][2:] == ["run_command", "note", "run_command"]


@pytest.mark.parametrize("said", ["", " \n"])
def test_a_model_that_says_nothing_is_given_up(alone: Alone, said: str) -> None:
    ending = alone.play([Say(said)])
    assert ending == Ending("crashed", "scripted gave no answer of use 4 times in a row")
    assert len(alone.requests) == 4 and sum("was empty" in text for text in alone.told) == 4


def test_a_model_that_only_calls_what_there_is_not_is_given_up(alone: Alone) -> None:
    with ScriptedModel([Call(f"none_{n}") for n in range(9)]) as model:
        ending = alone.run(model.url)
        assert len(model.requests) == 4
    assert ending.outcome == "crashed" and "no answer of use" in ending.message


# A model's server that fails.


@pytest.mark.parametrize("api", APIS)
def test_what_passes_is_tried_again(
    alone: Alone, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ale.harnesses.claw_mind.DELAY", 0.05)
    faults = [Refuse(429, retry_after=0.1), Refuse(503), Cut(after_bytes=20), WrongJson()]
    assert alone.play([*faults, WRITE, Refuse(500, times=2), Say("Done.")], api=api) == Ending()
    assert len(alone.requests) == 9  # two of the turns, six tries in vain, one look at the work


@pytest.mark.parametrize(
    ("fault", "tries"),
    [(Refuse(401, times=None), 1), (Refuse(404, times=None), 1), (Refuse(500, times=None), 2)],
)
def test_what_does_not_pass_ends_it(
    alone: Alone, fault: Refuse, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ale.harnesses.claw_mind.DELAY", 0.05)
    ending = alone.play([fault, Say("Never.")], tries="2")
    assert ending.outcome == "crashed" and str(fault.status) in ending.message
    assert len(alone.requests) == tries


def test_a_server_that_is_not_there_ends_it(alone: Alone) -> None:
    with ScriptedModel([Say("Never.")]) as model:
        url = model.url
    ending = alone.run(url, tries="1")
    assert ending.outcome == "crashed" and "onnection" in ending.message


def test_its_time_is_over_in_a_wait(alone: Alone) -> None:
    ending = alone.play([Refuse(429, retry_after=60, times=None), Say("Never.")], limit=4)
    assert ending == Ending("timeout", "claw was still at work after 4 s")


# A context that is full.

READS = [Call("shell", {"command": f"seq {n}000 {n}999"}) for n in range(1, 9)]


@pytest.mark.parametrize("api", ["chat", "anthropic"])
def test_a_context_that_is_full_is_summed_up(alone: Alone, api: str) -> None:
    script = [
        Turn(Call("plan", {"text": "Read, then write."}), Call("note", {"text": "It is 1234."})),
        *READS,
        Refuse(400, FULL),
        WRITE,
        Say("Done."),
    ]
    assert alone.play(script, api=api) == Ending()
    sizes = [len(json.dumps(request.body)) for request in alone.requests]
    full, _, after = sizes[9:12]
    assert after < full * 0.7
    text = json.dumps(alone.requests[11].body)
    assert "Your plan:" in text and "- It is 1234." in text
    assert "[cut: see the summary and your notes]" in text
    assert "8301" in text and "1201" not in text  # of the last turns all, of the first the call
    assert "1201" in json.dumps(alone.requests[10].body)  # it was seen when it was summed up
    asides = [step.extra for step in of_agent(alone.trajectory) if step.extra]
    assert asides == [{"aside": "summary"}, {"aside": "check"}]
    assert "the context was compacted" in alone.told


def test_a_context_is_summed_up_before_it_is_full(alone: Alone) -> None:
    script = [*READS[:3], Usage(input=170_000), READS[3], WRITE, Say("Done.")]
    assert alone.play(script) == Ending()
    assert alone.told.count("the context was compacted") == 1
    assert len(alone.requests) == 8


def test_a_server_that_takes_nothing_ends_it(alone: Alone) -> None:
    ending = alone.play([Refuse(413, "too large", times=None), Say("Never.")])
    assert len(alone.requests) == 4
    assert ending.outcome == "crashed" and "too large" in ending.message
    assert alone.told.count("the context was compacted") == 3


# Looking, and being looked at.


def test_only_the_last_pictures_stay(alone: Alone) -> None:
    (Path(alone.machine.home) / "task/a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    look = [Expect(picture=True), Turn(Call("look", {"path": "a.png"}))]
    script = [Call("look", {"path": "a.png"}), *look * 3, WRITE, Say("Done.")]
    assert alone.play(script, images="2") == Ending()
    shown = [json.dumps(r.body).count("data:image/png") for r in alone.requests]
    assert shown[:6] == [0, 1, 2, 2, 2, 2]
    assert "a picture that is not shown any more" in json.dumps(alone.requests[4].body)
    kept = [part for step in of_agent(alone.trajectory) for part in results(step)]
    assert sum("image" in str(part.content) for part in kept) == 4


@pytest.mark.parametrize(
    ("path", "why"), [("none.png", "No such file"), ("word.txt", "is no PNG, JPEG or GIF")]
)
def test_what_cannot_be_looked_at_is_told(alone: Alone, path: str, why: str) -> None:
    (Path(alone.machine.home) / "task/word.txt").write_text("word")
    script = [Call("look", {"path": path}), Expect(tool_result_contains=why), WRITE, Say("Done.")]
    assert alone.play(script) == Ending()


def test_it_is_sent_back_while_something_is_missing(alone: Alone) -> None:
    main = [WRITE, Say("Done."), Call("shell", {"command": "echo 2 > output/b.txt"}), Say("Now.")]
    missing, fine = [Say("I see.\nMISSING: b.txt")], [Say("OK")]
    players = Players(main, **{"bytes  b.txt": fine, "check work": missing})
    with model_of(players) as model:
        assert alone.run(model.url) == Ending()
        seen = [r.body for r in model.requests if "tools" not in r.body]
    assert any("finds:\nMISSING: b.txt\nSee for yourself" in text for text in alone.told)
    assert "b.txt" in (listing := json.dumps(seen[1])) and "--- ./word.txt" in listing
    assert players.failures == []


def test_an_empty_folder_is_told_once(alone: Alone) -> None:
    assert alone.play([Say("Done."), Say("Indeed.")]) == Ending()
    (why,) = (text for text in alone.told if "is empty" in text)
    assert why.startswith("You are about to stop, but")


def test_when_little_time_is_left_it_is_told(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ale.harnesses.claw_agent.LATE", 1.0)
    assert alone.play([WRITE, Say("Done.")]) == Ending()
    (text,) = (text for text in alone.told if "Your time is nearly over" in text)
    assert text in json.dumps(alone.requests[0].body)


# What a user may choose.


@pytest.mark.parametrize(
    ("api", "model", "asked"),
    [
        ("", "claude-sonnet-4-5", "anthropic"),
        ("", "vertex/gemini-3-pro", "gemini"),
        ("", "gpt-5.1", "responses"),
        ("", "qwen3-coder", "chat"),
        ("chat", "gpt-5.1", "chat"),
    ],
)
def test_the_api_goes_by_the_model(api: str, model: str, asked: str) -> None:
    assert endpoint(api, model) == asked
    whose = {"chat": "openai", "responses": "openai"}.get(asked, asked)
    assert Claw().model_api(Agent("claw", model=model, knobs={"api": api})) == whose


@pytest.mark.parametrize(
    ("name", "knobs", "why"),
    [
        ("claw", {}, "claw needs a model"),
        ("claw:m", {"images": "0"}, "must be a number from 1 to 100"),
        ("claw:m", {"context": "²"}, "must be a number"),
        ("claw:m", {"api": "soap"}, "allowed: chat, responses"),
        ("claw:m", {"effort": "most"}, "allowed: minimal"),
    ],
)
def test_what_cannot_be_is_told_before_the_run(
    name: str, knobs: Mapping[str, str], why: str
) -> None:
    given = tuple(f"{key}={value}" for key, value in knobs.items())
    with pytest.raises(BadAgent, match=why):
        parse_agents((name,), given, lambda _: Claw())


def test_without_its_library_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ale.harnesses.claw.LIBRARY", "no_such_library")
    with pytest.raises(BadAgent, match=r"pip install 'pytest-ale\[claw\]'"):
        parse_agents(("claw:m",), (), lambda _: Claw())
    assert "it is not: pip install" in Claw().parts(Agent("claw"))[1]
