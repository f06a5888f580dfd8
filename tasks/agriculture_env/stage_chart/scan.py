"""The scan of a recorder's paper, and the observer's note that lies with it.

Knows nothing of grading.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

from clock import moment
from paper import Place, Sheet
from river import Recorder, Visit

WIDTH, HEIGHT = 1060, 580  # of the scan: it fits the program's window at full size
GRID, FRAME, BLUE, GREY, STAIN = (
    (206, 140, 116),
    (150, 62, 44),
    (38, 52, 148),
    (158, 158, 170),
    (150, 105, 60),
)
DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


def lay(rng: random.Random) -> Place:
    """How the paper lies askew on the glass."""
    tilt = math.radians(rng.uniform(0.8, 1.5)) * rng.choice((-1, 1))
    return Place(rng.uniform(84, 92), 496 + 900 * max(0, -tilt) / 2, 900, 420, tilt)


def draw(recorder: Recorder, earlier: Recorder, place: Place, rng: random.Random) -> Sheet:
    sheet, chart = Sheet(WIDTH, HEIGHT, place, rng), recorder.chart
    print_grid(sheet, chart.hours, chart.metres)
    sheet.stain(rng.randrange(500, 900), rng.randrange(140, 300), rng.randrange(50, 80), STAIN)
    sheet.trace(line(earlier), 0.9, GREY, 0.4)
    points = line(recorder)
    before = [point for point in points if point[0] * chart.hours <= recorder.gap[0]]
    after = [point for point in points if point[0] * chart.hours >= recorder.gap[1]]
    for part in (before, after):
        sheet.trace(part, 1.1, BLUE, 0.85)
    return sheet


def line(recorder: Recorder) -> list[tuple[float, float]]:
    """What the pen draws, from one visit to the other, as places on the chart."""
    chart, (on, off) = recorder.chart, (recorder.on.paper, recorder.off.paper)
    times = (on + (off - on) * i / 4000 for i in range(4001))
    return [(time / chart.hours, recorder.pen(time) / chart.metres) for time in times]


def print_grid(sheet: Sheet, hours: float, metres: float) -> None:
    days, place = round(hours / 24), sheet.place
    for i in range(1, 4 * days):
        sheet.line([(i / 4 / days, 0), (i / 4 / days, 1)], GRID, 0.7 if i % 4 == 0 else 0.3)
    for i in range(1, 25):
        sheet.line([(0, i / 25), (1, i / 25)], GRID, 0.7 if i % 5 == 0 else 0.3)
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]
    for start, end in pairwise(corners):
        sheet.line([start, end], FRAME, 1)
    for day in range(days):
        x, y = place.pixel((day + 0.5) / days, 0)
        sheet.text(x, y + 20, DAYS[day], GRID)
    for i in range(6):
        x, y = place.pixel(0, i / 5)
        sheet.text(x - 34, y, f"{metres * i / 5:.1f}", GRID)
    sheet.text(*place.pixel(0.02, 1.05), "m", GRID)


def note(recorder: Recorder, params: dict[str, Any]) -> str:
    def visit(what: str, visit: Visit) -> str:
        paper, watch = moment(visit.paper, params), moment(visit.watch, params)
        stage = recorder.stage(visit.watch)
        return (
            f"{what} {watch:%a %d %b %Y}\n"
            f"  watch {watch:%H:%M}, pen stood at {paper:%H:%M} of {paper:%A} on the paper\n"
            f"  staff gauge {stage:.2f} m\n"
        )

    wall = "above the top line" if params["side"] == "above" else "below the bottom line"
    seen = f"Marks on the wall say that the water was {wall} for some time. Pen free, float dry.\n"
    ends = visit("Paper put on", recorder.on), visit("Paper taken off", recorder.off)
    return f"{params['station']}\n\n{ends[0]}\n{ends[1]}\n{seen}"
