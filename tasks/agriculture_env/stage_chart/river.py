"""What the water did, and what a float recorder with its faults made of it.

Knows nothing of paper or pixels. Times are hours since the paper's beginning.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Visit:
    """Putting on or taking off: the paper's time and the watch's."""

    paper: float
    watch: float


@dataclass(frozen=True)
class Chart:
    """A kind of chart paper: hours along it, metres up it."""

    hours: float
    metres: float


TIDE = 12.42  # hours from one high water to the next
CHARTS = {"weir": Chart(168, 2.5), "creek": Chart(48, 5.0)}


def minutes(hours: float) -> float:
    """Whole minutes, in hours: what an observer can write down."""
    return round(hours * 60) / 60


class Recorder:
    """A week at a station; each kind has its own water and its own faults."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        self.kind, self.rng, self.chart = kind, rng, CHARTS[kind]
        self.low = rng.uniform(15, 17)  # when the creek's second low water is
        self.on, self.off = self.weekly() if kind == "weir" else self.slack()
        sign, part = rng.choice((-1, 1)), self.chart.metres * rng.uniform(0.9, 1.1)
        self.corrections = (sign * 0.015 * part, sign * 0.055 * part)
        self.stage = self.river() if kind == "weir" else self.tide()
        self.gap = self.no_ink() if kind == "creek" else (0.0, 0.0)

    # The visits.

    def weekly(self) -> tuple[Visit, Visit]:
        on = minutes(self.rng.uniform(7.5, 10))
        off = minutes(self.chart.hours - self.rng.uniform(3, 6))
        return Visit(on, on), Visit(off, off + minutes(self.rng.uniform(1.6, 2.4)))

    def slack(self) -> tuple[Visit, Visit]:
        """Shortly before low water and before high water, when a boat lies quietly."""
        on = minutes(self.low - TIDE - self.rng.uniform(0.2, 0.9))
        off = minutes(self.low + 2.5 * TIDE - self.rng.uniform(0.3, 0.9))
        return Visit(on, on), Visit(off, off - minutes(self.rng.uniform(0.3, 0.5)))

    # The water.

    def river(self) -> Callable[[float], float]:
        """A flood that goes beyond the paper, and a lesser one after it."""
        rng = self.rng
        base, first = rng.uniform(0.45, 0.6), rng.uniform(34, 46)
        crest, second = rng.uniform(2.82, 2.98) - base, first + rng.uniform(62, 72)
        lesser, daily = rng.uniform(0.75, 0.95), rng.uniform(0.02, 0.03)

        def wave(t: float, start: float, rise: float) -> float:
            x = max(0.0, (t - start) / rise)
            return (x * math.exp(1 - x)) ** 2

        def stage(t: float) -> float:
            floods = crest * wave(t, first, 17) + lesser * wave(t, second, 12)
            return base + floods + daily * math.sin(2 * math.pi * (t - 9) / 24)

        return stage

    def tide(self) -> Callable[[float], float]:
        """Four low waters, of which the third goes below the paper."""
        rng = self.rng
        low, mean, swing = self.low, rng.uniform(2.15, 2.3), rng.uniform(1.55, 1.65)
        below = rng.uniform(0.35, 0.5) - self.correction(low + TIDE)  # by so much the pen turns
        deeper = mean - swing + below

        def stage(t: float) -> float:
            tide = -swing * math.cos(2 * math.pi * (t - low) / TIDE)
            return mean + tide - deeper * math.exp(-(((t - low - TIDE) / 7) ** 2))

        return stage

    # The recorder.

    def correction(self, watch: float) -> float:
        """What has to be added to the pen."""
        part = (watch - self.on.watch) / (self.off.watch - self.on.watch)
        return self.corrections[0] + part * (self.corrections[1] - self.corrections[0])

    def watch(self, paper: float) -> float:
        part = (paper - self.on.paper) / (self.off.paper - self.on.paper)
        return self.on.watch + part * (self.off.watch - self.on.watch)

    def unfolded(self, paper: float) -> float:
        watch = self.watch(paper)
        return self.stage(watch) - self.correction(watch)

    def reversed(self, paper: float) -> bool:
        return not 0 <= self.unfolded(paper) <= self.chart.metres

    def pen(self, paper: float) -> float:
        """Where the pen stands, in metres of the paper."""
        level, top = abs(self.unfolded(paper)), self.chart.metres
        return min(level, 2 * top - level)

    def no_ink(self) -> tuple[float, float]:
        """A time on the paper without ink, on a rising or falling limb, away from the turns."""
        while True:
            start = self.rng.uniform(self.on.paper + 4, self.off.paper - 8)
            end = start + self.rng.uniform(1.8, 2.6)
            levels = [self.pen(start + i * (end - start) / 20) for i in range(-10, 31)]
            if min(levels) > 0.7 and max(levels) < 0.9 * self.chart.metres:
                return start, end

    def inked(self, paper: float) -> bool:
        return not self.gap[0] < paper < self.gap[1]
