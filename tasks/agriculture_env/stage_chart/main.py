"""Stage chart: draw a recorder's paper, digitise it on the desktop, grade record and document."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from clock import FORMAT, moment
from document import Document, rewrite
from oracle import work_up
from river import Recorder
from scan import HEIGHT, WIDTH, draw, lay, note
from truth import Truth, across, beside, distance, inside, key

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_csv, read_json, read_number

HERE = Path(__file__).parent


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    recorder, earlier = (Recorder(params["kind"], rng) for _ in range(2))
    place = lay(rng)
    draw(recorder, earlier, place, rng).save(inputs / "chart.png")
    shutil.copyfile(HERE / "documents" / "instructions.md", inputs / "instructions.md")
    (inputs / "note.txt").write_text(note(recorder, params), encoding="utf-8")
    (reference / "key.json").write_text(json.dumps(key(recorder, place, params)))


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    work_up(sandbox.desktop, sandbox.inputs, sandbox.output, params)


# grading


class Record:
    """The record that was left, read when it is first asked for."""

    def __init__(self, output: Path) -> None:
        self.path = output / "stage.csv"

    @cache  # noqa: B019 - lives as long as the grading
    def rows(self) -> list[tuple[str, float | None]]:
        rows = read_csv(self.path, columns=["time", "stage"])
        return [(r["time"], read_number(r["stage"]) if r["stage"].strip() else None) for r in rows]

    def stages(self) -> dict[str, float | None]:
        return dict(self.rows())


def evaluate(
    output: Path, reference: Path, params: dict[str, Any], check: Callable[[str], Any]
) -> None:
    truth = Truth(json.loads((reference / "key.json").read_text()), params)
    record = Record(output)
    with check("the stage record can be read"):
        found = [stage for _, stage in record.rows() if stage is not None]
        assert len(found) >= 0.7 * len(truth.times), f"only {len(found)} stages"
    with check("times of the record"):
        assert [time for time, _ in record.rows()] == truth.names()
    for name, chosen, share in (
        ("stage where the pen ran plainly", truth.plain, 0.98),
        ("stage where the pen was reversed", truth.turned, 1.0),
    ):
        with check(name):
            assert share_right(truth, record, chosen) >= share
    with check("where there is no trace"):
        check_gap(truth, record)
    with check("extreme"):
        check_extreme(truth, summary(output), params)
    with check("time beyond the threshold"):
        hours = number(summary(output)[f"hours_{params['side']}"])
        least, most = (truth.hours_beyond(lift * params["tolerance"]) for lift in (-1, 1))
        slack = params["slack_minutes"] / 60
        assert least - slack <= hours <= most + slack
    check_document(output, truth, check)


def share_right(truth: Truth, record: Record, chosen: Callable[[int], bool]) -> float:
    """How many of the chosen times with ink have a stage within the tolerance."""
    stages, right, all_of_them = record.stages(), 0, 0
    for minute, name in zip(truth.times, truth.names(), strict=True):
        if chosen(minute) and truth.inked(minute):
            stage = stages.get(name)
            all_of_them += 1
            right += stage is not None and truth.off(minute, stage) <= truth.params["tolerance"]
    return right / all_of_them


def check_gap(truth: Truth, record: Record) -> None:
    stages = record.stages()
    names = dict(zip(truth.times, truth.names(), strict=True))
    clear = [minute for minute in truth.times if truth.inked(minute) is not None]
    empty = [names[minute] for minute in clear if stages[names[minute]] is None]
    assert empty == [names[minute] for minute in clear if not truth.inked(minute)]


def summary(output: Path) -> dict[str, Any]:
    found = read_json(output / "summary.json")
    assert isinstance(found, dict), "summary.json holds no object"
    return found


def number(value: object) -> float:
    assert isinstance(value, (int, float)) and not isinstance(value, bool), f"no number: {value!r}"
    return float(value)


def check_extreme(truth: Truth, found: dict[str, Any], params: dict[str, Any]) -> None:
    stage, minute = truth.extreme()
    assert abs(number(found[f"{params['key']}_stage"]) - stage) <= params["tolerance"]
    time = datetime.strptime(found[f"{params['key']}_time"], FORMAT)
    off = time - moment(minute / 60, params)
    assert abs(off) <= timedelta(minutes=params["moment_minutes"])


def check_document(output: Path, truth: Truth, check: Callable[[str], Any]) -> None:
    hours, metres = truth.key["span"]
    with check("axes of the digitised document"):
        document = Document(output / "chart.dig")
        assert document.size() == (WIDTH, HEIGHT), f"its image has {document.size()} pixels"
        assert document.linear(), "its scales are not linear"
        graph = document.graph()
        for x, y, t, level in truth.key["corners"]:
            at = graph(x, y)
            assert abs(at[0] - t) <= 0.005 * hours, f"{t:g} h is taken for {at[0]:.2f} h"
            assert abs(at[1] - level) <= 0.01 * metres, f"{level:g} m is taken for {at[1]:.3f} m"
    with check("trace of the digitised document"):
        points = Document(output / "chart.dig").trace()
        trace = [(x, y) for x, y in truth.key["trace"] if not inside(x, truth.key["gap"], 0)]
        far = [point for point in points if distance(point, trace) > 4]
        assert len(far) <= 0.02 * len(points), f"{len(far)} points are off the trace: {far[:3]}"
        ends = list(pairwise(points))
        joined = [pair for pair in ends if not across(pair, truth.key["gap"])]
        missed = [point for point in trace[::5] if all(beside(point, pair) > 6 for pair in joined)]
        assert len(missed) <= 0.02 * len(trace[::5]), f"the trace is missed at {missed[:3]}"


# controls


def respell(output: Path, change: Callable[[float, float], float | None]) -> None:
    """Rewrite the stages: `change` takes a part of the way and the stage."""
    rows = list(csv.DictReader((output / "stage.csv").read_text().splitlines()))
    lines = ["time,stage"]
    for i, row in enumerate(rows):
        stage = change(i / len(rows), float(row["stage"])) if row["stage"] else None
        lines.append(f"{row['time']}," + ("" if stage is None else f"{stage:.3f}"))
    (output / "stage.csv").write_text("\n".join(lines) + "\n")


@near_miss("the mirrored part left as the pen drew it")
def still_mirrored(output: Path, params: dict[str, Any]) -> None:
    if params["kind"] == "weir":
        respell(output, lambda _, stage: min(stage, 5.1 - stage))
    else:
        respell(output, lambda _, stage: abs(stage))


@near_miss("the datum correction of putting on used throughout")
def one_correction(output: Path, params: dict[str, Any]) -> None:
    drift = 0.1 if params["kind"] == "weir" else 0.2
    respell(output, lambda part, stage: stage + drift * part)


@near_miss("the clock's error left in")
def clock_error(output: Path, params: dict[str, Any]) -> None:
    rows = list(csv.DictReader((output / "stage.csv").read_text().splitlines()))
    slip = (1.6 if params["kind"] == "weir" else -0.4) * 60 / params["step_minutes"]
    stages = [float(row["stage"]) if row["stage"] else None for row in rows]

    def shifted(part: float, stage: float) -> float:
        at = min(max(part * len(rows) + slip * part, 0), len(rows) - 1.001)
        before, after = stages[int(at)], stages[int(at) + 1]
        if before is None or after is None:
            return stage
        return before + (after - before) * (at % 1)

    respell(output, shifted)


@near_miss("the scan taken to be upright: one axis point at its neighbour's height")
def upright(output: Path) -> None:
    rewrite(output / "chart.dig", "Axes", lambda at, points: (at[0], points[0][1]))


@near_miss("the first turn of the pen taken for the time of the extreme")
def turn_taken(output: Path, params: dict[str, Any]) -> None:
    summary = json.loads((output / "summary.json").read_text())
    name = f"{params['key']}_time"
    time = datetime.strptime(summary[name], FORMAT) - timedelta(
        minutes=1.5 * params["moment_minutes"]
    )
    (output / "summary.json").write_text(json.dumps(summary | {name: time.strftime(FORMAT)}))


@near_miss("the end of the trace not digitised")
def part_missing(output: Path) -> None:
    rewrite(output / "chart.dig", "Curve1", lambda at, _: None if at[0] > 900 else at)


@near_miss("the record begins with the first full step after the first")
def late_start(output: Path) -> None:
    lines = (output / "stage.csv").read_text().splitlines()
    (output / "stage.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")


@cheat("one stage all the time, told as the extreme, and a document with a bare line")
def constant(output: Path, params: dict[str, Any]) -> None:
    respell(output, lambda *_: 0.8)
    rows = list(csv.DictReader((output / "stage.csv").read_text().splitlines()))
    told = {f"{params['key']}_stage": 0.8, f"{params['key']}_time": rows[0]["time"]}
    (output / "summary.json").write_text(json.dumps(told | {f"hours_{params['side']}": 0}))
    straight(output)


@cheat("a right record with a document that has a straight line for a trace")
def straight(output: Path) -> None:
    rewrite(output / "chart.dig", "Curve1", lambda at, points: (at[0], points[0][1]))


@cheat("a document without a trace, and no summary")
def no_trace(output: Path) -> None:
    rewrite(output / "chart.dig", "Curve1", lambda *_: None)
    (output / "summary.json").unlink()


@cheat("every stage empty")
def empty(output: Path) -> None:
    respell(output, lambda *_: None)
