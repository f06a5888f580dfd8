"""A whole task, done by an agent in docker, and all that is to hold for what is left of it.

Knows no agent: what its program cannot do stands in its `Subject`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_ale.again import whole
from pytest_ale.harness import parse_agents
from pytest_ale.rehearsal import Said
from pytest_ale.testing import Expect, ScriptedModel, Think, Usage
from pytest_ale.testing.examined import KEYS, Examined, add_task, examine
from pytest_ale.testing.subject import COPY, Subject
from pytest_ale.testing.witness import witnessed
from pytest_ale.trajectory import Step, ToolCall, Trajectory, check, load

__all__ = ["does_a_task"]

CANARY = "canary-sk-4hR7vQ-conformance-key"
NOTES = "/home/agent/task/output/notes.txt"
TEXT = "first\n" + "long " * 12_000 + "enough\nlast\n"  # too long to stand in a step
TYPED = "seen it\n"
XTERM = (
    "DISPLAY=:0 setsid xterm -geometry 80x24+100+100 -e sh -c 'head -n 1 > output/typed.txt' "
    "</dev/null >/dev/null 2>&1 & sleep 1; "
)
TOOLS = ("screenshot", "click", "type")
PLACE = [300, 300]
MAIN = """\
def build(inputs, reference, rng):
    word = str(rng.randrange(10**9))
    (inputs / "word.txt").write_text(word)
    (reference / "word.txt").write_text(word)


def evaluate(output, reference):
    left = {{path.name: path.read_text() for path in output.iterdir()}}
    expected = {expected!r} | {{"word.txt": (reference / "word.txt").read_text()}}
    return float(left == expected)
"""


def does_a_task(subject: Subject, folder: Path) -> None:
    """In docker, with shell, files and screen: scored, told whole, and nobody else was asked."""
    done = _done(subject, folder)
    record, attempt = done.record, done.folder(done.record)
    assert check(attempt / "trajectory.json") == [], check(attempt / "trajectory.json")
    trajectory = load(attempt / "trajectory.json")
    told = _Told(subject, record, trajectory, attempt)
    told.model_and_version()
    told.times()
    told.tokens()
    told.thoughts()
    told.calls(done.called)
    no_key_in(done.run)
    assert done.asked == [], f"it asked for {done.asked}"
    if subject.replayed:
        again = examine(
            folder, "replay", f"--ale-knob=path={done.run}", "--ale-provider=docker"
        ).record
        assert (again["outcome"], again.get("score")) == ("scored", 1.0), again


def _play(subject: Subject) -> Said:
    how, screen = subject.how, XTERM if subject.sees else ""
    copy = [Usage(input=1000, output=50, cached=400), Think("I look around.")]
    copy += [*how.runs(f"{screen}{COPY}; printf 'copied-%d\\n' 2; (exit 3)")]
    look = [*how.finds(*TOOLS), Usage(input=1200, output=30), how.uses("screenshot")]
    look += [Expect(picture=True), how.uses("click", coordinate=PLACE)]
    look += [how.uses("type", text=TYPED)]
    asked = Expect(prompt_contains="Copy /home/agent/task/inputs/word.txt")
    write = how.writes(NOTES, TEXT)
    return [*how.first, asked, *copy, *(look if subject.sees else ()), *write, *how.ends()]


@dataclass(frozen=True)
class _Done(Examined):
    """A run, and what others saw of it: the model's server, and the witness."""

    called: Sequence[tuple[str, Mapping[str, object]]] = ()
    asked: Sequence[str] = ()


def _done(subject: Subject, folder: Path) -> _Done:
    files = {"typed.txt": TYPED} if subject.sees else {}
    files |= {"notes.txt": TEXT} if subject.how.writes(NOTES, TEXT) else {}
    screen = {"desktop": subject.sees}
    add_task(folder, "copy", main=MAIN.format(expected=files), timeout_s=180, environment=screen)
    witness = witnessed(folder)
    env = dict.fromkeys(KEYS, CANARY) | {"ALE_WITNESS": str(witness)}
    words = ("--ale-provider=witness", *subject.words)
    with ScriptedModel(_play(subject), keys=[CANARY]) as model:
        agent, url = f"{subject.agent}:scripted", f"--ale-base-url={model.url}"
        done = examine(folder, agent, url, *words, env=env)
        assert done.record.get("score") == 1.0, (done.record, model.failures, done.said)
        lost = [str(turn) for turn in model.unused if turn.calls]
        assert not model.failures and not lost, (model.failures, lost)
    answered = [each for each in model.requests if each.usage and not each.fault]
    used = [(each.usage.input, each.usage.output) for each in answered if each.usage]
    record = done.record
    assert record["requests"] == len(answered), (record["requests"], len(answered))
    assert (record["tokens_in"], record["tokens_out"]) == tuple(map(sum, zip(*used, strict=True)))
    called = {each.turn: each.calls for each in answered if each.turn is not None}
    asked = witness.read_text().splitlines()
    return _Done(done.said, done.run, [call for calls in called.values() for call in calls], asked)


@dataclass(frozen=True)
class _Told:
    """What is looked at in a trajectory."""

    subject: Subject
    record: Mapping[str, object]
    trajectory: Trajectory
    folder: Path

    @property
    def steps(self) -> list[Step]:
        return [step for step in self.trajectory.steps if step.source == "agent"]

    def model_and_version(self) -> None:
        harness, record = self.subject.harness, self.record
        (agent,) = parse_agents(
            (f"{self.subject.agent}:scripted",), self.subject.knobs, lambda _: harness
        )
        told = self.trajectory.agent
        assert record["models"] == ["scripted"], record["models"]
        assert {step.model_name for step in self.steps} <= {"scripted", None}
        version = harness.version(agent)
        assert record["agent_version"] == told.version == version, (record, told, version)
        names = self.subject.agent, f"{self.subject.agent}:scripted"
        assert (told.name, record["agent"]) == names, (told.name, record["agent"])

    def times(self) -> None:
        """In order, and within the attempt."""
        times = [_moment(step.timestamp) for step in self.trajectory.steps]
        assert times == sorted(times), times
        began = _moment(str(self.record["started"]))
        ended = began + float(str(self.record["seconds"])) + 60
        assert began - 1 <= times[0] and times[-1] <= ended, (began, times, ended)

    def tokens(self) -> None:
        """Told by the program as the gateway counted them."""
        counted = [json.loads(line)["usage"] for line in self._requests()]
        names = {"tokens_in": "prompt", "tokens_out": "output", "tokens_cached": "cached"}
        for known, name in names.items():
            assert sum(each[name] for each in counted) == self.record[known], (known, counted)
        spent = [step.metrics for step in self.steps if step.metrics]
        told = [(each.prompt_tokens, each.completion_tokens) for each in spent]
        used = [(each["prompt"], each["output"]) for each in counted if each["output"]]
        assert sorted(told) == (sorted(used) if self.subject.tokens else []), (told, used)
        cached = sum(each.cached_tokens or 0 for each in spent)
        assert cached == (self.record["tokens_cached"] if self.subject.tokens else 0), spent
        total = self.trajectory.final_metrics
        assert total and total.total_prompt_tokens == self.record["tokens_in"], total

    def thoughts(self) -> None:
        thoughts = " ".join(str(step.reasoning_content) for step in self.steps)
        assert "I look around." in thoughts, thoughts

    def _requests(self) -> list[str]:
        return (self.folder / "model/requests.jsonl").read_text().splitlines()

    def calls(self, called: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Every call of the model, with its arguments and what came of it."""
        made = [whole(call, self.folder) for step in self.steps for call in step.tool_calls or ()]
        told = [(call.function_name, dict(call.arguments)) for call in made]
        how = self.subject.how
        if called and self.subject.names:
            expected = [how.told(name, given) for name, given in called]
            assert [_plain(name) for name, _ in told] == [_plain(name) for name, _ in expected]
            for (_, given), (_, wanted) in zip(told, expected, strict=True):
                assert wanted.items() <= given.items(), (given, wanted)
        results = self._results()
        missing = [call.tool_call_id for call in made if call.tool_call_id not in results]
        assert not missing, f"no result of {missing} in {results}"
        self._done(made, " ".join(results.values()))

    def _results(self) -> dict[str, str]:
        results = [r for step in self.steps if step.observation for r in step.observation.results]
        return {str(each.source_call_id): each.model_dump_json() for each in results}

    def _done(self, made: Sequence[ToolCall], came: str) -> None:
        """The same, by what was to be done, of whoever calls no tools or others."""
        given = json.dumps([dict(call.arguments) for call in made])
        if self.subject.replayed:
            assert COPY in given and "copied-2" in came, (given[:2000], came[:2000])
        if self.subject.how.writes(NOTES, TEXT):
            assert json.dumps(TEXT.rstrip())[1:-1] in given, given[:2000]
        if self.subject.sees:
            assert f"Clicked left at {PLACE}." in came, came[:2000]
            assert str(PLACE) in given and json.dumps(TYPED) in given, given[:2000]
            for name in TOOLS:
                assert any(call.function_name.endswith(name) for call in made), (name, made)


def no_key_in(run: Path | None) -> None:
    """The real key is in no file."""
    assert run
    kept = [path for path in run.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if CANARY.encode() in path.read_bytes()]


def _moment(text: str | None) -> float:
    assert text
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _plain(name: str) -> str:
    """mcp__desktop.click, mcp_desktop_click and desktop__click are one tool."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).removeprefix("mcp_")
