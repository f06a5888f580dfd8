"""Desktop actions on their way from task code to a screen, into the trajectory and back from it.

The screen is a stand-in that notes what reaches it: real ones are test_desktop.py's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_ale.harnesses.replay import PAUSE, _in_order, _outcome, _pause

from pytest_ale import kept
from pytest_ale.desktop_calls import KINDS, METHODS, PREFIX, DesktopCalls, checked
from pytest_ale.recorder import Recorder
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import DesktopError, Fault, RecordFault, Sandbox, Window
from pytest_ale.trajectory import ContentPart, Step, Trajectory, check, load

from .conftest import Project

PNG = kept.PICTURE_KINDS["image/png"][0]

CONFTEST = """
def pytest_ale_providers(register):
    register("stage", "stage:StageProvider")
"""

# Windows have other ids in each sandbox, as on real screens; Ctrl+S saves what was typed.
STAGE = """
import json, os, struct, time, zlib
from pathlib import Path

from pytest_ale.desktop_calls import DesktopCalls
from pytest_ale.providers.local import LocalProvider, LocalSandbox
from pytest_ale.sandbox import DesktopError, SandboxBroken, Window

FOLDER = Path(__file__).parent


def png(shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))
    head, pixel = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(bytes([0, shade]))
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", pixel), chunk(b"IEND", b"")
    return b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(chunks)


class MissingKey(DesktopError): ...


class Stage(DesktopCalls):
    def __init__(self, sandbox, lease):
        self.sandbox, self.log = sandbox, FOLDER / f"{lease}.log"
        self.typed, self.pasted, self.first = "", "", int.from_bytes(os.urandom(3)) * 10

    def _call(self, method, **given):
        with self.log.open("a") as log:
            log.write(json.dumps([time.time(), method, given]) + "\\n")
        if method == "keys" and given["chord"] == "boom":
            raise MissingKey("no key 'boom'; near: Home")
        if given.get("text") == "kill -9 -1":
            raise SandboxBroken("the sandbox ended")
        if method == "type":
            self.typed += given["text"]
        if method == "set_clipboard":
            self.pasted = given["text"]
        if method == "keys" and given["chord"] == "ctrl+s":
            self.sandbox.write(self.sandbox.output + "/typed.txt", self.typed)
        if method in ("size", "cursor"):
            return (640, 480) if method == "size" else (3, 4)
        if method == "screenshot":
            return png(len(self.typed) % 251)
        if method == "clipboard":
            return self.pasted
        if method == "windows":
            return [Window(self.first + n, t, "XTerm", n, 0, 80, 60, not n)
                    for n, t in enumerate(("one", "two"))]
        return None


class StageSandbox(LocalSandbox):
    @property
    def desktop(self):
        return self.stage


class StageProvider(LocalProvider):
    name = "stage"

    @classmethod
    def from_settings(cls, settings):
        return cls(unsafe=settings.unsafe_local)

    def refuses(self, spec, *, trusted):
        return None

    def create(self, lease, spec):
        sandbox = super().create(lease, spec)
        sandbox.__class__ = StageSandbox
        sandbox.stage = Stage(sandbox, lease)
        return sandbox
"""

SOLVE = """
import time
from pytest_ale.sandbox import DesktopError, Window


def setup(sandbox):
    sandbox.desktop.move(99, 99)


def solve(sandbox):
    desktop = sandbox.desktop
    assert desktop.size() == (640, 480)
    first = desktop.screenshot()
    assert first.startswith(b"\\x89PNG") and desktop.screenshot() == first
    assert desktop.cursor() == (3, 4)
    desktop.move(1, 2)
    desktop.click()
    desktop.click(3, 4, button="right", times=2)
    desktop.press()
    desktop.release("middle")
    desktop.drag([(0, 0), (5, 6)], seconds=0.5)
    desktop.drag(((1, 1), (2, 2)), button="middle")
    desktop.scroll(7, 8, down=-2)
    desktop.scroll(7, 8, right=3)
    desktop.type("grün \\U0001f989\\n")
    assert desktop.screenshot() != first
    desktop.type("x" * 60_000)
    time.sleep(0.6)
    desktop.keys_down("shift")
    desktop.keys_up("shift")
    desktop.set_clipboard("pasted")
    assert desktop.clipboard() == "pasted"
    one, two = desktop.windows()
    assert isinstance(two, Window) and (two.title, two.active, two.x) == ("two", False, 1)
    desktop.activate(two.id)
    try:
        desktop.keys("boom")
        raise AssertionError("nothing was raised")
    except DesktopError as error:
        assert str(error) == "no key 'boom'; near: Home"
    desktop.keys("ctrl+s", seconds=0.25)


def evaluate(output, check, verifier):
    verifier.desktop.type("by the verifier")
    assert verifier.desktop.screenshot().startswith(b"\\x89PNG")
    with check("typed"):
        assert (output / "typed.txt").read_text() == "grün \\U0001f989\\n" + "x" * 60_000
"""

GUI: dict[str, Any] = {"checks": {"typed": {}}, "environment": {"desktop": True}}
ON_STAGE = ["tasks", "--ale-provider=stage", "--ale-unsafe-local"]

# What reaches the screen, defaults filled in, in the order of solve() above.
REACHED: list[tuple[str, dict[str, object]]] = [
    ("size", {}),
    ("screenshot", {}),
    ("screenshot", {}),
    ("cursor", {}),
    ("move", {"x": 1, "y": 2}),
    ("click", {"x": None, "y": None, "button": "left", "times": 1}),
    ("click", {"x": 3, "y": 4, "button": "right", "times": 2}),
    ("press", {"button": "left"}),
    ("release", {"button": "middle"}),
    ("drag", {"path": [[0, 0], [5, 6]], "button": "left", "seconds": 0.5}),
    ("drag", {"path": [[1, 1], [2, 2]], "button": "middle", "seconds": 0.3}),
    ("scroll", {"x": 7, "y": 8, "down": -2, "right": 0}),
    ("scroll", {"x": 7, "y": 8, "down": 0, "right": 3}),
    ("type", {"text": "grün \U0001f989\n"}),
    ("screenshot", {}),
    ("type", {"text": "x" * 60_000}),
    ("keys_down", {"chord": "shift"}),
    ("keys_up", {"chord": "shift"}),
    ("set_clipboard", {"text": "pasted"}),
    ("clipboard", {}),
    ("windows", {}),
    ("activate", {"window": "two"}),  # by its title: the id is another in each sandbox
    ("keys", {"chord": "boom", "seconds": 0}),
    ("keys", {"chord": "ctrl+s", "seconds": 0.25}),
]


@pytest.fixture
def stage(project: Project) -> Project:
    """A project whose provider has a screen."""
    (project.path / "conftest.py").write_text(CONFTEST)
    (project.path / "stage.py").write_text(STAGE)
    return project


def log_of(stage: Project, lease: str) -> list[tuple[float, str, dict[str, Any]]]:
    lines = (stage.path / f"{lease}.log").read_text().splitlines()
    return [(moment, method, given) for moment, method, given in map(json.loads, lines)]


def reached(stage: Project) -> list[tuple[str, dict[str, Any]]]:
    """What the agent's screen of the last attempt was asked; setup's call comes first."""
    (record,) = stage.results
    (_, first, given), *rest = log_of(stage, str(record["lease"]))
    assert (first, given) == ("move", {"x": 99, "y": 99})
    ids = {given["window"] for _, method, given in rest if method == "activate"}
    assert len(ids) == 1 and all(id % 10 == 1 for id in ids)  # that of the second window
    return [(m, {"window": "two"} if m == "activate" else given) for _, m, given in rest]


def on_screen(attempt: Path) -> list[Step]:
    return [step for step in load(attempt / "trajectory.json").steps if step.tool_calls]


def told(step: Step) -> str | tuple[ContentPart, ...] | None:
    assert step.observation is not None
    return step.observation.results[0].content


def test_every_call_of_a_solution_reaches_the_screen_and_the_record(stage: Project) -> None:
    stage.task(main=SOLVE, **GUI)
    stage.run(*ON_STAGE).assert_outcomes(passed=1)
    assert reached(stage) == REACHED
    assert {method for method, _ in REACHED} == set(METHODS)
    attempt = stage.attempt()
    assert check(attempt / "trajectory.json") == []
    steps = on_screen(attempt)
    calls = [(step.tool_calls or ())[0] for step in steps]
    assert [c.function_name for c in calls] == [f"desktop.{method}" for method, _ in REACHED]
    arguments = {call.function_name: call.arguments for call in calls}  # the last of each
    assert arguments["desktop.scroll"] == {"x": 7, "y": 8, "right": 3}  # no defaults
    assert arguments["desktop.drag"]["path"] == [[1, 1], [2, 2]]
    assert arguments["desktop.activate"].items() >= {"title": "two", "program": "XTerm"}.items()
    (long,) = (attempt / "written").iterdir()
    assert arguments["desktop.type"] == {"text": {"file": f"written/{long.name}"}}
    assert long.read_text() == "x" * 60_000
    answers = [told(step) for step in steps]
    assert (answers[0], answers[3], answers[4]) == ("[640, 480]", "[3, 4]", "done")
    assert answers[19] == "pasted"
    assert json.loads(str(answers[20]))[1]["title"] == "two"


def test_screenshots_lie_beside_the_trajectory_and_errors_in_it(stage: Project) -> None:
    stage.task(main=SOLVE, **GUI)
    stage.run(*ON_STAGE).assert_outcomes(passed=1)
    attempt = stage.attempt()
    steps = on_screen(attempt)
    pictures = [
        told(step) for step, (m, _) in zip(steps, REACHED, strict=True) if m == "screenshot"
    ]
    parts = [part for content in pictures for part in content or () if not isinstance(part, str)]
    paths = [part.source.path for part in parts if part.source]
    assert paths == [f"screenshots/{name}.png" for name in ("0001", "0001", "0002")]
    assert sorted(path.name for path in (attempt / "screenshots").iterdir()) == [
        "0001.png",
        "0002.png",
    ]
    assert all((attempt / path).read_bytes().startswith(PNG) for path in paths)
    assert steps[-2].observation is not None
    (result,) = steps[-2].observation.results
    assert result.content == "no key 'boom'; near: Home"
    assert result.extra is not None and result.extra["error"] == "MissingKey"
    assert "by the verifier" not in (attempt / "trajectory.json").read_text()
    (record,) = stage.results
    logs = [path.stem for path in stage.path.glob("*.log") if path.stem != record["lease"]]
    assert [m for _, m, _ in log_of(stage, logs[0])] == ["type", "screenshot"]


def test_a_recording_is_replayed_to_the_same_calls_with_its_pauses(stage: Project) -> None:
    stage.task(main=SOLVE, **GUI)
    stage.run(*ON_STAGE).assert_outcomes(passed=1)
    first, run = stage.results[0], stage.runs[-1]
    activated = next(g for _, m, g in log_of(stage, str(first["lease"])) if m == "activate")
    stage.run(*ON_STAGE, "--ale-agent=replay", f"--ale-knob=path={run}").assert_outcomes(passed=1)
    (record,) = stage.results
    # To find the window again, replay looks for it by its name; that look is not the recording's.
    calls = reached(stage)
    assert calls.pop(21) == ("windows", {})
    assert calls == REACHED
    assert (record["score"], record["output"]) == (1.0, first["output"])
    log = log_of(stage, str(record["lease"]))
    assert next(g for _, m, g in log if m == "activate") != activated
    held = next(n for n, (_, method, _) in enumerate(log) if method == "keys_down")
    assert log[held][0] - log[held - 1][0] >= 0.55
    attempt = stage.attempt()
    assert check(attempt / "trajectory.json") == []
    assert len(on_screen(attempt)) == len(REACHED)
    assert len(list((attempt / "screenshots").iterdir())) == 2


WRONG = """
import json
import pytest
from pytest_ale.sandbox import SandboxBroken


class Seven:
    def __index__(self):
        return 7


def solve(sandbox):
    desktop = sandbox.desktop
    for call, said in [
        (lambda: desktop.click("1", 2),
         "desktop.click(): x is '1'; allowed: a whole number, or None"),
        (lambda: desktop.move(1.5, 2), "desktop.move(): x is 1.5; allowed: a whole number"),
        (lambda: desktop.move(None, 2), "desktop.move(): x is None; allowed: a whole number"),
        (lambda: desktop.move(1, True), "desktop.move(): y is True; allowed: a whole number"),
        (lambda: desktop.press("centre"),
         "button is 'centre'; allowed: 'left' or 'middle' or 'right'"),
        (lambda: desktop.press(["left"]), "button is ['left']; allowed: "),
        (lambda: desktop.drag([1, 2]), "path is [1, 2]; allowed: places, each two whole numbers"),
        (lambda: desktop.drag(7), "path is 7; allowed: places"),
        (lambda: desktop.keys("a", seconds=-1), "seconds is -1; allowed: seconds, 0 or more"),
        (lambda: desktop.keys("a", seconds=float("nan")), "seconds is nan; allowed: seconds"),
        (lambda: desktop.keys("a", seconds=float("inf")), "seconds is inf; allowed: seconds"),
        (lambda: desktop.type(b"bytes"), "text is b'bytes'; allowed: Unicode text"),
        (lambda: desktop.type("\\udc80"), "text is '\\\\udc80'; allowed: Unicode text"),
        (lambda: desktop.type(), "missing 1 required positional argument: 'text'"),
        (lambda: desktop.fly(), "has no attribute 'fly'"),
    ]:
        with pytest.raises((TypeError, AttributeError)) as error:
            call()
        assert said in str(error.value), error.value
    for method, given, said in [  # as a child might ask that was tampered with
        ("desktop._call", {}, "TypeError: a desktop has no _call(); known: size,"),
        ("desktop.__init__", {}, "TypeError: a desktop has no __init__(); "),
        ("desktop.sandbox.stop", {}, "TypeError: a desktop has no sandbox.stop(); "),
        ("desktop.", {}, "TypeError: a desktop has no (); "),
        ("desktop", {}, "a sandbox has no desktop() for task code"),
        ("desktop.click", {"x": "1"}, "TypeError: desktop.click(): x is '1'; "),
        ("desktop.move", {"x": 1, "y": 1, "z": 1}, "TypeError: desktop.move(): got an unexpected"),
        ("desktop.move", {"self": 1, "x": 1, "y": 1}, "multiple values for argument 'self'"),
        ("desktop.move", 7, "TypeError: 'int' object is not iterable"),
        ("desktop.keys", {"chord": "a", "seconds": "1"}, "TypeError: desktop.keys(): seconds is"),
    ]:
        message = {"call": method, "on": "sandbox", "arguments": given}
        sandbox._pipe.send_bytes(json.dumps(message).encode())
        answer = json.loads(sandbox._pipe.recv_bytes())
        assert answer["error"] == "SandboxError" and said in answer["message"], answer
    desktop.move(Seven(), 2)
    desktop.keys("a", seconds=10**6)
    with pytest.raises(SandboxBroken, match="the sandbox ended"):
        desktop.type("kill -9 -1")


def evaluate(check):
    with check("typed"):
        pass
"""


def test_wrong_arguments_and_unknown_calls_never_reach_the_screen(stage: Project) -> None:
    stage.task(main=WRONG, **GUI)
    stage.run(*ON_STAGE).assert_outcomes(passed=1)
    (record,) = stage.results
    assert record["outcome"] == "scored", record["message"]
    (_, move, seven), (_, keys, hold), (_, last, _) = log_of(stage, str(record["lease"]))
    assert (move, seven) == ("move", {"x": 7, "y": 2})
    assert keys == "keys" and 30 < hold["seconds"] < 60  # no longer than solve() may take
    assert last == "type"


def test_a_sandbox_without_a_desktop_says_so(project: Project) -> None:
    main = """
    import pytest
    from pytest_ale.sandbox import DesktopError

    def solve(sandbox):
        with pytest.raises(DesktopError, match="^the local provider has no desktop$"):
            sandbox.desktop.click(1, 2)

    def evaluate(check, verifier):
        with check("typed"):
            verifier.desktop.screenshot()
    """
    project.task(main=main, checks={"typed": {}})
    project.run("tasks").assert_outcomes(failed=1)
    (record,) = project.results
    assert record["outcome"] == "scored"
    said = "DesktopError: the local provider has no desktop"
    assert said in json.dumps(record["checks"])


def step(number: int, name: str, at: str | None, seconds: float | None = None) -> Step:
    """A recorded step of one call, begun at a time of day and known to have taken so long."""
    known = None if seconds is None else {"seconds": seconds}
    return Step.model_validate(
        {
            "step_id": number,
            "source": "agent",
            "message": "",
            "timestamp": at and f"2026-01-01T{at}Z",
            "tool_calls": [{"tool_call_id": "c", "function_name": name, "arguments": {}}],
            "observation": {"results": [{"source_call_id": "c", "extra": known}]},
        }
    )


@pytest.mark.parametrize(
    ("last", "now", "pause"),
    [
        (("desktop.click", "10:00:00", 0.5), ("desktop.keys", "10:00:02", 1.0), 1.5),
        (("exec", "10:00:00", 0.5), ("desktop.click", "10:00:02.250", 0.0), 1.75),
        (("desktop.click", "10:00:00", 0.0), ("exec", "10:00:01", 0.0), 1.0),
        (("exec", "10:00:00", 0.0), ("write", "10:00:04", 0.0), 0.0),  # no screen: no wait
        (("desktop.click", "10:00:00", 0.0), ("desktop.click", "10:10:00", 0.0), PAUSE),
        (("desktop.click", "10:00:00", 9.0), ("desktop.click", "10:00:02", 0.0), 0.0),
        (("desktop.click", "10:00:00", None), ("desktop.click", "10:00:01", None), 1.0),
        (("desktop.click", None, None), ("desktop.click", "10:00:02", None), 0.0),
    ],
)
def test_how_long_a_replay_waits(
    last: tuple[str, str | None, float | None],
    now: tuple[str, str | None, float | None],
    pause: float,
) -> None:
    assert _pause(step(2, *last), step(3, *now), PREFIX) == pytest.approx(pause)
    assert _pause(None, step(2, *now), PREFIX) == 0


def test_what_sub_agents_did_is_done_again_in_its_place() -> None:
    agent = {"name": "gemini_cli", "version": "1"}

    def recorded(id: str, *times: str, **more: object) -> dict[str, object]:
        steps = [step(n, f"{id}{n}", at).model_dump() for n, at in enumerate(times, 1)]
        return {"agent": agent, "trajectory_id": id, "steps": steps, **more}

    deep = recorded("c", "10:00:03.500")
    below = [recorded("b", "10:00:02", "10:00:04", subagent_trajectories=[deep])]
    whole = recorded("a", "10:00:01", "10:00:02", "10:00:05", subagent_trajectories=below)
    done = [each.tool_calls for each in _in_order(Trajectory.model_validate(whole))]
    names = [call.function_name for calls in done for call in calls or ()]
    assert names == ["a1", "a2", "b1", "c1", "b2", "a3"]


def test_a_replay_knows_what_came_of_a_call() -> None:
    image = {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}
    results = [
        {"source_call_id": "c", "content": [{"type": "text", "text": "one"}, image]},
        {"source_call_id": "c", "content": "two", "extra": {"is_error": True}},
        {"content": "another's", "extra": {"seconds": 1}},
    ]
    told = step(1, "x", None).model_dump() | {"observation": {"results": results}}
    found = Step.model_validate(told)
    assert found.tool_calls is not None
    known = {"said": "one\n\ntwo", "result": {"is_error": True}}
    assert _outcome(found, found.tool_calls[0]) == known


# The record, without a run around it.


def picture(n: int, size: int = 40) -> bytes:
    return PNG + n.to_bytes(size - len(PNG))


class Shown(DesktopCalls):
    """Answers each call with what it was given to show, in turn; raises what is an error."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, object]]] = []

    def _call(self, method: str, **given: object) -> object:
        self.calls.append((method, given))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Box:
    """As much of a sandbox as a desktop's record needs."""

    inputs = output = home = "/home/agent"

    def __init__(self, desktop: DesktopCalls) -> None:
        self.desktop = desktop


def recording(folder: Path, desktop: DesktopCalls) -> tuple[RecordingSandbox, Recorder]:
    box: Sandbox = Box(desktop)  # type: ignore[assignment]
    recorder = Recorder("oracle", "1")
    return RecordingSandbox(box, recorder, kept.Kept(folder / "written")), recorder


def shown(tmp_path: Path, *pictures: bytes) -> list[str]:
    """What the record has in the place of each screenshot."""
    sandbox, recorder = recording(tmp_path, Shown(*pictures))
    for expected in pictures:
        assert sandbox.desktop.screenshot() == expected
    found = [told(step) or "" for step in recorder.finish().steps]
    return [
        content if isinstance(content, str) else str(content[0].source and content[0].source.path)
        for content in found
    ]


def test_screenshots_are_kept_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (kept.PICTURES, kept.PICTURE_BYTES) == (500, 200 << 20)
    monkeypatch.setattr(kept, "PICTURES", 3)
    told = shown(tmp_path, *(picture(n) for n in (1, 1, 2, 1, 1, 4, 5)), picture(6, 41))
    one, two, three = (f"screenshots/{n:04}.png" for n in (1, 2, 3))
    assert told[:5] == [one, one, two, three, three]
    assert told[5:7] == ["a screenshot of 40 bytes that was not kept"] * 2
    assert told[7] == "a screenshot of 41 bytes that was not kept"
    assert [p.read_bytes() for p in sorted((tmp_path / "screenshots").iterdir())] == [
        picture(1),
        picture(2),
        picture(1),
    ]


def test_screenshots_are_kept_up_to_a_size_and_only_as_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PICTURE_BYTES", 100)
    told = shown(tmp_path, b"#!/bin/sh", picture(1), picture(2, 61), picture(3, 60), picture(4))
    assert told == [
        "a screenshot of 9 bytes that was not kept",
        "screenshots/0001.png",
        "a screenshot of 61 bytes that was not kept",
        "screenshots/0002.png",
        "a screenshot of 40 bytes that was not kept",
    ]


def test_a_screenshot_that_cannot_be_stored_is_the_machine_s_fault(tmp_path: Path) -> None:
    (tmp_path / "screenshots").write_text("in the way")
    sandbox, recorder = recording(tmp_path, Shown(picture(1)))
    with pytest.raises(RecordFault, match=r"screenshots/0001.png cannot be written: File exists"):
        sandbox.desktop.screenshot()
    (step,) = recorder.finish().steps
    assert "cannot be written" in str(told(step))


def window(id: int, title: str, program: str = "XTerm") -> Window:
    return Window(id, title, program, 0, 0, 80, 60, False)


@pytest.mark.parametrize(
    ("arguments", "activated"),
    [
        ({"window": 2, "title": "two", "program": "XTerm"}, 30),  # both
        ({"window": 2, "title": "gone", "program": "Gedit"}, 40),  # the program alone
        ({"window": 2, "title": "two", "program": "Mousepad"}, 30),  # the title alone
        ({"window": 30, "title": "one", "program": "XTerm"}, 20),  # the id is another window's
        ({"window": 21, "title": "one", "program": "XTerm"}, 21),  # of two alike that of the id
        ({"window": 2, "title": "gone", "program": "gone"}, 2),
        ({"window": 2}, 2),  # nothing is known of it
    ],
)
def test_a_window_is_found_again_by_what_it_shows(
    tmp_path: Path, arguments: dict[str, object], activated: int
) -> None:
    there = [window(20, "one"), window(21, "one"), window(30, "two"), window(40, "*", "Gedit")]
    desktop = Shown(*([there] if "title" in arguments else []))
    sandbox, _ = recording(tmp_path, desktop)
    assert sandbox.redo("desktop.activate", arguments, tmp_path)
    assert desktop.calls[-1] == ("activate", {"window": activated})


def test_what_failed_may_fail_again_and_the_rest_is_done(tmp_path: Path) -> None:
    desktop = Shown(DesktopError("no such window"), DesktopError("off the screen"))
    sandbox, recorder = recording(tmp_path, desktop)
    named = {"window": 2, "title": "two", "program": "XTerm"}
    sandbox.redo("desktop.activate", named, tmp_path)
    sandbox.redo("desktop.move", {"x": 9999, "y": 1}, tmp_path)
    sandbox.redo("desktop.move", {"x": 1, "y": 1}, tmp_path)
    assert [method for method, _ in desktop.calls] == ["windows", "move", "move"]
    assert [told(step) for step in recorder.finish().steps] == ["off the screen", "done"]


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("desktop.fly", {}, "recorded call desktop.fly cannot be done again: a desktop has no fly"),
        ("desktop.click", {"x": "1"}, "cannot be done again: desktop.click(): x is '1'; allowed: "),
        ("desktop.move", {"x": 1}, "desktop.move(): missing a required argument: 'y'"),
        ("desktop.move", {"x": 1, "y": 1, "title": "a"}, "unexpected keyword argument 'title'"),
        ("desktop.type", {"text": {"file": "written/0"}}, "lies without its file "),
        ("desktop.type", {"text": 7}, "content cannot be restored: 7"),
    ],
)
def test_a_recorded_call_that_no_desktop_has_is_a_fault(
    tmp_path: Path, function: str, arguments: dict[str, object], said: str
) -> None:
    desktop = Shown()
    sandbox, _ = recording(tmp_path, desktop)
    with pytest.raises(Fault) as error:
        sandbox.redo(function, arguments, tmp_path)
    assert said in str(error.value)
    assert desktop.calls == []


def test_every_argument_of_the_protocol_can_be_checked() -> None:
    annotations = {
        parameter.annotation
        for signature in METHODS.values()
        for name, parameter in signature.parameters.items()
        if name != "self"
    }
    assert annotations == set(KINDS)
    assert checked("drag", {"path": iter([(1, 2)]), "button": "left", "seconds": 0.3}) == {
        "path": [(1, 2)]
    }
