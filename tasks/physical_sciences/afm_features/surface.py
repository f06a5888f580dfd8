"""A made-up surface and its scan: features on a plane, and what the microscope adds to them.

Knows nothing of files. Lengths are nanometres; rows run downwards, as the scan is shown.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

PIXELS, SIDE = 224, 1000.0
PIXEL = SIDE / PIXELS
TIP = 14.0  # radius
CLEAR = 85.0  # between features that are not meant to touch; none is wider than 70
Rows = list[list[float]]
Sizes = tuple[float, float, int]  # least, greatest, how many


@dataclass(frozen=True)
class Kind:
    """What is on the surface: sizes are as the uncalibrated microscope would show them."""

    up: bool
    threshold: float
    factor: float
    bow: float
    noise: float
    plain: Sizes
    between: Sizes  # on the other side of the method's limit once calibrated
    low: Sizes
    touching: int
    edge: int = 3


GOLD = Kind(
    up=True,
    threshold=5.0,
    factor=1.12,
    bow=14,
    noise=0.15,
    plain=(15.4, 21.0, 17),
    between=(14.2, 14.5, 2),
    low=(7.5, 11.0, 3),
    touching=4,
)
FILM = Kind(
    up=False,
    threshold=4.0,
    factor=0.88,
    bow=-9,
    noise=0.2,
    plain=(12.6, 18.0, 13),
    between=(10.4, 10.6, 3),
    low=(6.0, 8.5, 4),
    touching=3,
)
KINDS = {"gold": GOLD, "film": FILM}


@dataclass(frozen=True)
class Spot:
    x: float
    y: float
    size: float

    def profile(self, distance: float, kind: Kind) -> float:
        """How far the surface is seen to stand off at a distance from the middle."""
        if not kind.up:  # a bowl, wider where it is deeper
            return self.size * max(0.0, 1 - (distance / (14 + self.size)) ** 2)
        radius = self.size / 2  # a ball, broadened by the ball that the tip is
        if distance * distance >= 4 * TIP * radius:
            return 0.0
        return math.sqrt((TIP + radius) ** 2 - distance * distance) - TIP + radius


@dataclass
class Surface:
    """The features, each a group of spots (touching ones are one group), and their heights."""

    kind: Kind
    rng: random.Random
    kept: list[list[Spot]] = field(default_factory=list)
    dropped: dict[str, list[list[Spot]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = self.kind
        self.dropped = {"edge": [], "touching": [], "low": []}
        for _ in range(kind.touching):
            group = self.pair()
            (self.dropped["touching"] if kind.up else self.kept).append(group)
        for number in range(kind.edge):
            self.dropped["edge"].append([self.at_edge(number)])
        between = self.kept if kind.up else self.dropped["low"]
        for sizes, groups in (
            (kind.plain, self.kept),
            (kind.between, between),
            (kind.low, self.dropped["low"]),
        ):
            groups.extend([self.alone(*sizes[:2])] for _ in range(sizes[2]))

    def groups(self) -> list[list[Spot]]:
        return self.kept + [group for groups in self.dropped.values() for group in groups]

    def free(self, x: float, y: float, distance: float = CLEAR) -> bool:
        spots = (spot for group in self.groups() for spot in group)
        return all(math.hypot(spot.x - x, spot.y - y) > distance for spot in spots)

    def alone(self, least: float, greatest: float) -> Spot:
        while True:
            x, y = self.rng.uniform(50, SIDE - 50), self.rng.uniform(50, SIDE - 50)
            if self.free(x, y):
                return Spot(x, y, self.rng.uniform(least, greatest))

    def pair(self) -> list[Spot]:
        least, greatest, _ = self.kind.plain
        while True:
            first, angle = self.alone(least, greatest), self.rng.uniform(0, math.tau)
            apart = self.rng.uniform(24, 30)
            x, y = first.x + apart * math.cos(angle), first.y + apart * math.sin(angle)
            if min(x, y) > 60 and max(x, y) < SIDE - 60 and self.free(x, y):
                return [first, Spot(x, y, self.rng.uniform(least, greatest))]

    def at_edge(self, number: int) -> Spot:
        """On the left edge, the lower edge and the right edge, in turn."""
        while True:
            along, in_ = self.rng.uniform(60, SIDE - 60), self.rng.uniform(2, 8)
            x, y = ((in_, along), (along, SIDE - in_), (SIDE - in_, along))[number % 3]
            if self.free(x, y):
                return Spot(x, y, self.rng.uniform(*self.kind.plain[:2]))

    def heights(self, groups: list[list[Spot]]) -> Rows:
        """How far these groups stand off the surface, everywhere: downwards is positive too."""
        rows = [[0.0] * PIXELS for _ in range(PIXELS)]
        for spot in (spot for group in groups for spot in group):
            near_x, near_y = near(spot.x), near(spot.y)
            for j in near_y:
                for i in near_x:
                    distance = math.hypot((i + 0.5) * PIXEL - spot.x, (j + 0.5) * PIXEL - spot.y)
                    rows[j][i] = max(rows[j][i], spot.profile(distance, self.kind))
        return rows


def near(place: float) -> range:
    middle = int(place / PIXEL)
    return range(max(0, middle - 9), min(PIXELS, middle + 10))


def scanned(surface: Surface, true: Rows) -> Rows:
    """What the microscope records: tilt, bow, lines that jump, streaks and noise on top."""
    rng, kind = surface.rng, surface.kind
    tilt_x, tilt_y = rng.uniform(12, 20), rng.uniform(-14, -8)
    rows, jumps = [], set(rng.sample(range(20, PIXELS - 20), 2))
    drift, sign = 0.0, 1 if kind.up else -1
    for j in range(PIXELS):
        v, offset = j / PIXELS - 0.5, rng.gauss(0, 0.7)
        drift += rng.choice((-5.0, 5.0)) if j in jumps else 0.0
        curve = tilt_y * v - 0.6 * kind.bow * v * v + offset + drift
        row = [curve + tilt_x * u + kind.bow * u * (u + 0.5 * v) for u in across()]
        sign = 1 if kind.up else -1
        rows.append(
            [a + sign * b + rng.gauss(0, kind.noise) for a, b in zip(row, true[j], strict=True)]
        )
    for j, start, end in streaks(rng, true):
        jump = sign * rng.uniform(6.5, 8)
        for i in range(start, end):
            rows[j][i] += jump + rng.gauss(0, 0.3)
    return rows


def across() -> list[float]:
    return [i / PIXELS - 0.5 for i in range(PIXELS)]


def streaks(rng: random.Random, true: Rows) -> list[tuple[int, int, int]]:
    """Row, beginning and end of seven streaks; none is near a feature or another streak."""
    found: list[tuple[int, int, int]] = []
    while len(found) < 7:
        j, start = rng.randrange(6, PIXELS - 6), rng.randrange(8, 170)
        length = rng.randrange(22, 45)
        near_rows = (true[k][start - 4 : start + length + 4] for k in range(j - 3, j + 4))
        if not any(map(any, near_rows)) and all(abs(j - other[0]) > 6 for other in found):
            found.append((j, start, start + length))
    return found


def labels(surface: Surface) -> list[list[int]]:
    """Which pixels a right mask has: the number of the kept group, from 1, or 0."""
    rows = [[0] * PIXELS for _ in range(PIXELS)]
    for number, group in enumerate(surface.kept, 1):
        for j, row in enumerate(surface.heights([group])):
            for i, height in enumerate(row):
                rows[j][i] = number if height >= surface.kind.threshold else rows[j][i]
    return rows


def described(surface: Surface) -> list[dict[str, float]]:
    """Middle of the mark and calibrated height or depth of every kept group."""
    found, marked = [], labels(surface)
    true = surface.heights(surface.kept)
    for number in range(1, len(surface.kept) + 1):
        pixels = [(j, i) for j in range(PIXELS) for i in range(PIXELS) if marked[j][i] == number]
        top = max(true[j][i] for j, i in pixels)
        x, y = (sum(place[axis] for place in pixels) / len(pixels) for axis in (1, 0))
        size = top * surface.kind.factor
        found.append({"x": (x + 0.5) * PIXEL, "y": (y + 0.5) * PIXEL, "size": size})
    return found
