"""From a pen's trace to a stage record, by the station's instructions.

Knows nothing of the screen.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Series = list[tuple[float, float]]  # hours since the paper's beginning, metres
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
EDGE = 0.985  # of the paper's height: nearer to a printed end, the pen has turned


class Note:
    """The two visits: paper time, watch time and staff gauge, in hours and metres."""

    def __init__(self, text: str, monday: datetime) -> None:
        days = re.findall(r"^Paper .* (\d+ \w+ \d{4})$", text, re.M)
        watch = re.findall(r"watch (\d\d):(\d\d)", text)
        paper = re.findall(r"stood at (\d\d):(\d\d) of (\w+)", text)
        self.gauge = [float(level) for level in re.findall(r"gauge ([\d.]+) m", text)]
        starts = [(datetime.strptime(day, "%d %b %Y") - monday).days * 24 for day in days]
        self.watch = [day + int(h) + int(m) / 60 for day, (h, m) in zip(starts, watch, strict=True)]
        self.paper = [24 * DAYS.index(day) + int(h) + int(m) / 60 for h, m, day in paper]


def between(ends: list[float], values: list[float], at: float) -> float:
    return values[0] + (at - ends[0]) * (values[1] - values[0]) / (ends[1] - ends[0])


def unmirrored(trace: Series, top: float) -> Series:
    """The trace with the parts between two turns of the pen turned back."""
    made: Series = []
    edge: float | None = None
    for time, level in trace:
        turn = top if level > EDGE * top else 0.0 if level < (1 - EDGE) * top else None
        if turn is not None:
            edge = turn if edge is None else None
            made.append((time, turn))
        else:
            made.append((time, level if edge is None else 2 * edge - level))
    return made


def corrected(series: Series, note: Note) -> Series:
    """The series in true time and true stage."""
    pen = [at(series, note.paper[0]), at(series, note.paper[1])]
    shift = [gauge - level for gauge, level in zip(note.gauge, pen, strict=True)]
    made = []
    for paper, level in series:
        time = between(note.paper, note.watch, paper)
        made.append((time, level + between(note.watch, shift, time)))
    return made


def at(series: Series, time: float) -> float:
    """The level at a time, by straight lines."""
    i = min(max(bisect_right(series, (time, float("inf"))), 1), len(series) - 1)
    (t0, v0), (t1, v1) = series[i - 1], series[i]
    return v0 + (time - t0) * (v1 - v0) / (t1 - t0)


class Record:
    """The finished record and what is told of it."""

    def __init__(self, series: Series, note: Note, gap: float, params: dict[str, Any]) -> None:
        self.series, self.note, self.params = series, note, params
        self.holes = [(a[0], b[0]) for a, b in pairwise(series) if b[0] - a[0] > gap]
        first, last = (round(hours * 60) for hours in note.watch)
        self.minutes = range(first, last + 1)

    def stage(self, minute: int) -> float | None:
        time = minute / 60
        return None if any(a < time < b for a, b in self.holes) else at(self.series, time)

    def name(self, hours: float) -> str:
        monday = datetime.fromisoformat(self.params["monday"])
        return (monday + timedelta(minutes=round(hours * 60))).strftime("%Y-%m-%dT%H:%M")

    def table(self) -> str:
        lines = ["time,stage"]
        for minute in (m for m in self.minutes if m % self.params["step_minutes"] == 0):
            stage = self.stage(minute)
            lines.append(f"{self.name(minute / 60)}," + ("" if stage is None else f"{stage:.3f}"))
        return "\n".join(lines) + "\n"

    def extreme(self) -> tuple[float, float]:
        """The top of a parabola through the points next to the outermost one."""
        sign = 1 if self.params["side"] == "above" else -1
        best = max(range(len(self.series)), key=lambda i: sign * self.series[i][1])
        time = self.series[best][0]
        near = [(t - time, v) for t, v in self.series[max(0, best - 3) : best + 4]]
        a, b, c = parabola(near)
        return time - b / (2 * c), a - b * b / (4 * c)

    def summary(self) -> str:
        sign, limit = (1 if self.params["side"] == "above" else -1), self.params["threshold"]
        stages = [stage for m in self.minutes if (stage := self.stage(m)) is not None]
        time, stage = self.extreme()
        return json.dumps(
            {
                f"{self.params['key']}_stage": round(stage, 3),
                f"{self.params['key']}_time": self.name(time),
                f"hours_{self.params['side']}": sum(sign * (s - limit) > 0 for s in stages) / 60,
            }
        )


def parabola(points: Series) -> tuple[float, float, float]:
    """a + bt + ct² by least squares."""
    rows = [[1.0, t, t * t, v] for t, v in points]
    m = [[sum(r[i] * r[j] for r in rows) for j in range(4)] for i in range(3)]
    for i in range(3):
        m[i] = [x / m[i][i] for x in m[i]]
        for j in (j for j in range(3) if j != i):
            m[j] = [x - m[j][i] * y for x, y in zip(m[j], m[i], strict=True)]
    return m[0][3], m[1][3], m[2][3]
