"""The answer key: what the water did, minute by minute, and where the trace lies in the scan.

Knows nothing of deliverables.
"""

from __future__ import annotations

import math
from typing import Any

from clock import FORMAT, moment
from paper import Place
from river import Recorder
from scan import line

Point = tuple[float, float]
CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


def key(recorder: Recorder, place: Place, params: dict[str, Any]) -> dict[str, Any]:
    """The record minute by minute, and where the trace lies in the scan."""
    first, last = (round(visit.watch * 60) for visit in (recorder.on, recorder.off))
    stages = [recorder.stage(minute / 60) for minute in range(first, last + 1)]
    papers = [paper_time(recorder, minute / 60) for minute in range(first, last + 1)]
    chart = recorder.chart
    return {
        "first": first,
        "stages": stages,
        "reversed": [recorder.reversed(paper) for paper in papers],
        "inked": [recorder.inked(paper) for paper in papers],
        "trace": [place.pixel(u, v) for u, v in line(recorder)[::4]],
        "gap": [
            place.pixel(hours / chart.hours, recorder.pen(hours) / chart.metres)[0]
            for hours in recorder.gap
        ],
        "corners": [[*place.pixel(u, v), u * chart.hours, v * chart.metres] for u, v in CORNERS],
        "span": [chart.hours, chart.metres],
    }


def paper_time(recorder: Recorder, watch: float) -> float:
    on, off = recorder.on, recorder.off
    return on.paper + (watch - on.watch) * (off.paper - on.paper) / (off.watch - on.watch)


class Truth:
    """The answer key, asked by minutes since the paper's beginning."""

    def __init__(self, key: dict[str, Any], params: dict[str, Any]) -> None:
        self.key, self.params = key, params
        self.first, self.last = key["first"], key["first"] + len(key["stages"]) - 1
        step = params["step_minutes"]
        self.times = [m for m in range(self.first, self.last + 1) if m % step == 0]

    def names(self) -> list[str]:
        return [moment(minute / 60, self.params).strftime(FORMAT) for minute in self.times]

    def around(self, what: str, minute: int, slack: int) -> list[Any]:
        at = minute - self.first
        found: list[Any] = self.key[what][max(0, at - slack) : at + slack + 1]
        return found

    def off(self, minute: int, stage: float) -> float:
        """By how much a stage is wrong, however the slack in time is used."""
        near = self.around("stages", minute, self.params["slack_minutes"])
        return max(min(near) - stage, stage - max(near), 0)

    def plain(self, minute: int) -> bool:
        """Whether the pen ran the right way round, clear of its turns; the rest is reversed."""
        return not any(self.around("reversed", minute, 20))

    def turned(self, minute: int) -> bool:
        return all(self.around("reversed", minute, 10))

    def inked(self, minute: int) -> bool | None:
        """Whether there is a trace; None near the end of one, where both will do."""
        near = set(self.around("inked", minute, 12))
        return near.pop() if len(near) == 1 else None

    def extreme(self) -> tuple[float, int]:
        best = max if self.params["side"] == "above" else min
        stage = best(self.key["stages"])
        return stage, self.first + self.key["stages"].index(stage)

    def hours_beyond(self, lift: float = 0) -> float:
        """The time beyond the threshold, were all stages further beyond it by `lift`."""
        limit, sign = self.params["threshold"], 1 if self.params["side"] == "above" else -1
        pairs = zip(self.key["stages"], self.key["inked"], strict=True)
        return sum(ink and sign * (stage - limit) + lift > 0 for stage, ink in pairs) / 60


def inside(x: float, ends: list[float], margin: float) -> bool:
    return ends[0] - margin < x < ends[1] + margin


def distance(point: tuple[float, float], line: list[tuple[float, float]]) -> float:
    return min(math.dist(point, other) for other in line)


def across(pair: tuple[tuple[float, float], tuple[float, float]], gap: list[float]) -> bool:
    """Whether two points are the last before the gap and the first after it."""
    middle = (pair[0][0] + pair[1][0]) / 2
    return inside(middle, gap, 0)


def beside(
    point: tuple[float, float], pair: tuple[tuple[float, float], tuple[float, float]]
) -> float:
    """How far a point is from the straight line between two others."""
    (x0, y0), (x1, y1) = pair
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2 or 1
    part = ((point[0] - x0) * (x1 - x0) + (point[1] - y0) * (y1 - y0)) / length
    part = min(1, max(0, part))
    return math.dist(point, (x0 + part * (x1 - x0), y0 + part * (y1 - y0)))
