"""What programs tell that ask through litellm: on lines as they come, and as none should come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_ale.harnesses.litellm_log import LitellmLog

from pytest_ale.gateway.usage import Usage
from pytest_ale.kept import Kept
from pytest_ale.program import Closing
from pytest_ale.recorder import Recorder
from pytest_ale.story import Story
from pytest_ale.trajectory import Trajectory

from .reading import calls, of_agent, results

USED = {"prompt": 100, "output": 10, "cached": 40, "reasoning": 4}
CALL = {"id": "c1", "name": "bash", "arguments": '{"command": "ls"}'}


def turn(**said: object) -> dict[str, object]:
    known = {"event": "turn", "id": "turn-1", "at": 1.7e9, "ended": 1.7e9 + 2, "model": "m"}
    return {**known, "text": "So.", "reasoning": None, "calls": [], "usage": USED, **said}


class Reading:
    def __init__(self, folder: Path) -> None:
        self._recorder = Recorder("mini_swe_agent", "1")
        self._log = LitellmLog(Story(self._recorder, Kept(folder)))

    def read(self, *events: object, status: int | None = 0) -> tuple[Trajectory, Closing]:
        for event in events:
            self._log.line("stdout", event if isinstance(event, str) else json.dumps(event))
        closing = self._log.close(status)
        return self._recorder.finish(), closing


@pytest.fixture
def reader(tmp_path: Path) -> Reading:
    return Reading(tmp_path)


def test_an_answer_is_a_turn_with_its_calls_and_their_results(reader: Reading) -> None:
    done = {
        "event": "result",
        "id": "c1",
        "at": 1.7e9 + 3,
        "text": "a\n",
        "extra": {"exit_code": 0},
    }
    told, closing = reader.read(turn(calls=[CALL]), done, {"event": "end", "failed": ""})
    (step,) = of_agent(told)
    assert (step.message, step.model_name) == ("So.", "m")
    assert step.timestamp is not None and step.timestamp.startswith("2023-11-14T22:13:22")
    assert step.metrics is not None and step.metrics.prompt_tokens == 100
    assert [call.arguments for call in calls([step])] == [{"command": "ls"}]
    (result,) = results(step)
    assert result.content == "a\n" and result.extra is not None and result.extra["exit_code"] == 0
    assert closing == Closing(usage=Usage(prompt=100, output=10, cached=40, reasoning=4))


def test_what_is_not_asked_for_as_a_call_is_one_of_the_last_answer(reader: Reading) -> None:
    made = {"event": "call", "id": "shell-1", "name": "shell", "arguments": {"command": "ls"}}
    told, _ = reader.read(turn(), turn(id="turn-2"), made)
    first, second = of_agent(told)
    assert not first.tool_calls and calls([second])[0].function_name == "shell"


def test_a_failure_that_was_got_over_is_none(reader: Reading) -> None:
    told, closing = reader.read({"event": "failed", "said": "500"}, turn())
    assert closing.failed == "" and [step.source for step in told.steps] == ["system", "agent"]


def test_a_failure_that_was_not_is_one_whatever_the_program_says(reader: Reading) -> None:
    _, closing = reader.read(turn(), {"event": "failed", "said": "404"}, {"event": "end"})
    assert closing.failed == "404" and not closing.refused


def test_its_own_word_on_its_end_counts(reader: Reading) -> None:
    _, closing = reader.read(turn(), {"event": "end", "failed": "it gave up"}, status=1)
    assert closing.failed == "it gave up"


def test_an_answer_that_was_held_back_is_a_refusal(reader: Reading) -> None:
    _, closing = reader.read(turn(refused=True, text=""), {"event": "end", "failed": ""})
    assert closing.refused and "held back" in closing.failed


def test_a_picture_is_a_file(reader: Reading, tmp_path: Path) -> None:
    shown = [{"data": "iVBORw0KGgo=", "type": "image/png"}]
    told, _ = reader.read(turn(calls=[CALL]), {"event": "result", "id": "c1", "pictures": shown})
    (result,) = results(of_agent(told)[0])
    assert result.content is not None and not isinstance(result.content, str)
    assert result.content[0].type in ("image", "text")


ODD = [
    "",
    "{",
    "[]",
    "null",
    '{"event": 7}',
    {"event": "turn"},
    turn(usage=[], calls={"a": 1}, text=7, model=None, ended="soon", id=None),
    turn(usage={"prompt": -5, "output": 10**30, "cached": "x"}, ended=1e300),
    turn(ended=float("inf"), calls=[{"id": None}, 3, {"id": "x", "arguments": "["}]),
    {"event": "result", "id": {}, "text": 3},
    {"event": "result", "id": "nobody's", "text": "said", "at": -1e99, "extra": [1]},
    {"event": "result", "id": "c9", "pictures": [{"data": "%%%"}, {"data": 5}, "x"]},
    {"event": "call", "id": "k", "name": None, "arguments": "x"},
    {"event": "system", "text": None},
    {"event": "failed", "said": {"a": 1}},
    {"event": "end", "failed": ["x"]},
]


@pytest.mark.parametrize("odd", ODD, ids=map(str, range(len(ODD))))
def test_a_line_that_an_agent_made_up_does_no_harm(reader: Reading, odd: object) -> None:
    told, closing = reader.read(turn(), odd, turn(id="turn-9", text="After."))
    assert of_agent(told)[-1].message == "After."
    assert closing.usage is not None and closing.usage.prompt >= 200


def test_other_output_is_not_its_log(reader: Reading) -> None:
    reader._log.line("stderr", json.dumps(turn(id="turn-0")))
    told, closing = reader.read(turn())
    assert len(of_agent(told)) == 1 and closing.usage is not None and closing.usage.prompt == 100
