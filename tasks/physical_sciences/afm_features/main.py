"""AFM features: make a scan with its flaws, work it up in Gwyddion, grade what the file holds."""

from __future__ import annotations

import csv
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import gwy
import nanoscope
from answer import Answer, grains
from gwy import Thing
from nanoscope import Channel
from oracle import size_up
from pytest import approx
from surface import KINDS, PIXELS, SIDE, Surface, described, labels, scanned

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_csv, read_json, read_number

HERE = Path(__file__).parent
HEIGHT_SCALE, AMPLITUDE_SCALE = 26.27, 2.0  # volts
PLACE, SIZE, MEAN = 8.0, 0.9, 0.4  # nm, as the prompt says
Row = tuple[float, float, float]
COLUMNS = ["x_nm", "y_nm", "size_nm"]
# What tells each part of the work in a log, whichever of the program's functions was used.
WAY = {
    "import": ("file::nanoscope",),
    "levelling": ("level", "align_rows", "flatten", "line", "background", "poly", "arc", "sphere"),
    "marking": ("grain", "mask", "otsu", "threshold", "watershed", "segment"),
}


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    surface = Surface(KINDS[params["surface"]], rng)
    true = surface.heights(surface.groups())
    step = nanoscope.height_step(HEIGHT_SCALE)
    recorded = [[round(value / step) for value in row] for row in scanned(surface, true)]
    channels = [
        Channel("Height", HEIGHT_SCALE, "Sens. Zsens", recorded),
        Channel("Amplitude Error", AMPLITUDE_SCALE, "Sens. Amplitude", slopes(recorded)),
    ]
    date = "09:41:17 AM " + params["date"]
    (inputs / "scan.001").write_bytes(nanoscope.encoded(channels, SIDE, date))
    shutil.copyfile(HERE / "documents" / f"method_{params['surface']}.md", inputs / "method.md")
    (inputs / "notebook.txt").write_text(notebook(params, surface.kind.factor), encoding="utf-8")
    sign = 1 if surface.kind.up else -1
    key = {
        "raw": [value * step for row in recorded for value in row],
        "true": [round(sign * value, 4) for row in true for value in row],
        "labels": [label for row in labels(surface) for label in row],
        "features": described(surface),
        "summary": summary(surface),
    }
    (reference / "key.json").write_text(json.dumps(key))


def slopes(rows: list[list[int]]) -> list[list[int]]:
    """What the feedback did not follow: steep places, in the other channel."""
    pairs = (zip(row, row[:1] + row[:-1], strict=True) for row in rows)
    return [[max(-32000, min(32000, 9 * (a - b))) for a, b in pair] for pair in pairs]


def notebook(params: dict[str, Any], factor: float) -> str:
    return (
        (HERE / "documents" / f"notebook_{params['surface']}.txt")
        .read_text()
        .format(factor=f"{factor:.3f}", **params)
    )


def summary(surface: Surface) -> dict[str, float]:
    sizes = [feature["size"] for feature in described(surface)]
    counts = {name: len(groups) for name, groups in surface.dropped.items()}
    result = {"accepted": len(sizes), "edge": counts["edge"], "mean_nm": mean(sizes)}
    if surface.kind.up:
        own = {"touching": counts["touching"], "residue": counts["low"], "sd_nm": stdev(sizes)}
    else:
        own = {"shallow": counts["low"], "deepest_nm": max(sizes)}
    return result | own


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    size_up(sandbox.desktop, sandbox.inputs, sandbox.output, params)


# grading


def evaluate(output: Path, reference: Path, check: Callable[[str], Any]) -> None:
    key = json.loads((reference / "key.json").read_text())
    answer = Answer(output / "scan.gwy")
    true, marked = key["true"], key["labels"]
    bare = [i for i, height in enumerate(true) if height == 0]
    tall = [i for i, height in enumerate(true) if abs(height) > 2]

    with check("the processed file can be read"):
        assert len(answer.heights()) == len(answer.mask()) == PIXELS * PIXELS
    with check("the raw channel is as recorded"):
        assert any(same(data, key["raw"]) for data in answer.others()), "no channel is as imported"
    with check("level surface"):
        off = answer.errors(true, bare)
        assert abs(median(off)) < 0.4
        assert rms(sorted(off, key=abs)[: len(off) * 199 // 200]) < 0.5
    with check("no streaks"):
        assert sum(abs(error) > 2.5 for error in answer.errors(true, bare)) <= 40
    with check("features keep their shape"):
        off = answer.errors(true, tall)
        assert abs(mean(off)) < 0.5 and rms(off) < 0.9
    with check("marks"):
        assert misplaced(answer.mask(), marked) == []
    with check("log of the work"):
        assert missing_from(answer.log()) == []
    with check("table of features"):
        rows = [measured(row) for row in read_csv(output / "features.csv", columns=COLUMNS)]
        assert unmatched(rows, key["features"]) == []
    with check("counts"):
        assert_summary(output, key, [n for n in key["summary"] if not n.endswith("_nm")], 0)
    with check("statistics"):
        for name, tolerance in {"mean_nm": MEAN, "sd_nm": MEAN, "deepest_nm": SIZE}.items():
            assert_summary(output, key, [n for n in key["summary"] if n == name], tolerance)


def same(data: list[float], raw: list[float]) -> bool:
    """Equal but for rounding on the way."""
    pairs = zip(data, raw, strict=False)
    return len(data) == len(raw) and all(abs(a - b) < 0.01 for a, b in pairs)


def rms(values: list[float]) -> float:
    return math.sqrt(mean(value * value for value in values))


def misplaced(mask: list[bool], marked: list[int]) -> list[str]:
    """What is wrong with the marks: each accepted feature should have one, of about its shape."""
    found = grains(mask)
    faults = []
    for number in range(1, max(marked) + 1):
        wanted = {i for i, label in enumerate(marked) if label == number}
        hits = [grain for grain in found if grain & wanted]
        if len(hits) != 1 or len(hits[0] & wanted) < 0.8 * len(hits[0] | wanted):
            faults.append(f"feature {number}: {len(hits)} marks, or one of another shape")
    strange = [grain for grain in found if not any(marked[i] for i in grain)]
    return faults + [f"a mark of {len(grain)} pixels on nothing accepted" for grain in strange]


def missing_from(log: list[str]) -> list[str]:
    """Which parts of the way from scan to mask a log does not tell, in this order."""
    start, missing = 0, []
    for part, words in WAY.items():
        at = [i for i, entry in enumerate(log) if any(word in entry.lower() for word in words)]
        late = [i for i in at if i >= start]
        missing += [] if late else [part]
        start = late[0] + 1 if late else start
    return missing


def measured(row: dict[str, str]) -> Row:
    x, y, size = (read_number(row[name]) for name in COLUMNS)
    return x, y, size


def unmatched(rows: list[Row], features: list[dict[str, float]]) -> list[str]:
    """Features without a row of their own, and rows without a feature."""
    left, faults = list(rows), []
    for feature in features:
        near = [row for row in left if math.dist(row[:2], (feature["x"], feature["y"])) <= PLACE]
        if len(near) != 1 or abs(near[0][2] - feature["size"]) > SIZE:
            faults.append(f"feature {feature}: rows {near}")
        left = [row for row in left if row not in near]
    return faults + [f"row {row} is of no accepted feature" for row in left]


def assert_summary(output: Path, key: dict[str, Any], names: list[str], tolerance: float) -> None:
    found = read_json(output / "summary.json")
    for name in names:
        assert found[name] == approx(key["summary"][name], abs=tolerance), name


# controls


class File:
    """The oracle's file, opened to be spoilt."""

    def __init__(self, output: Path) -> None:
        self.path = output / "scan.gwy"
        self.thing: Thing = gwy.read(self.path.read_bytes())
        self.number = Answer(self.path).number

    def numbers(self, part: str) -> Any:
        return self.thing.get(f"/{self.number}/{part}").get("data")

    def save(self) -> None:
        self.path.write_bytes(gwy.write(self.thing))


def table(output: Path, change: Callable[[dict[str, float]], dict[str, float] | None]) -> None:
    """Change the rows of the table, or leave some out."""
    with (output / "features.csv").open() as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    kept = [new for row in rows if (new := change(row))]
    lines = [",".join(f"{row[name]:.2f}" for name in COLUMNS) + "\n" for row in kept]
    (output / "features.csv").write_text("".join([",".join(COLUMNS) + "\n", *lines]))


@near_miss("sizes without the calibration factor")
def uncalibrated(output: Path, params: dict[str, Any]) -> None:
    factor = KINDS[params["surface"]].factor
    table(output, lambda row: row | {"size_nm": row["size_nm"] / factor})


@near_miss("places counted from the lower left corner")
def upside_down(output: Path) -> None:
    table(output, lambda row: row | {"y_nm": SIDE - row["y_nm"]})


@near_miss("the smallest feature taken for one below the limit")
def one_lost(output: Path) -> None:
    with (output / "features.csv").open() as file:
        smallest = min(float(row["size_nm"]) for row in csv.DictReader(file))
    table(output, lambda row: None if row["size_nm"] == smallest else row)


@near_miss("one more mark left on the mask")
def one_more_mark(output: Path) -> None:
    file = File(output)
    mask = file.numbers("mask")
    for j in range(5):
        mask[j * PIXELS : j * PIXELS + 5] = type(mask)("d", [1.0] * 5)
    file.save()


@near_miss("marks too wide: of all that stands off the surface at all")
def wide_marks(output: Path) -> None:
    file = File(output)
    mask = file.numbers("mask")
    inner = [i for i, value in enumerate(mask) if value]
    for shift in (-2 * PIXELS, 2 * PIXELS, -2, 2, -PIXELS, PIXELS, -1, 1):
        for i in inner:
            mask[i + shift] = 1.0
    file.save()


@near_miss("a rest of the tilt left in the levelled channel")
def tilted(output: Path) -> None:
    spoil(output, lambda i, value: value + 3e-9 * (i % PIXELS / PIXELS - 0.5))


@near_miss("the base not at zero but a nanometre above it")
def offset(output: Path) -> None:
    spoil(output, lambda _, value: value + 1.0e-9)


@near_miss("tops eaten by smoothing")
def smoothed(output: Path) -> None:
    spoil(output, lambda _, value: value * 0.9)


def spoil(output: Path, change: Callable[[int, float], float]) -> None:
    file = File(output)
    data = file.numbers("data")
    for i, value in enumerate(data):
        data[i] = change(i, value)
    file.save()


@near_miss("the rejected features removed from the data and not only from the mask")
def removed(output: Path) -> None:
    file = File(output)
    data, mask = file.numbers("data"), file.numbers("mask")
    kept = {i for grain in grains([value > 0 for value in mask]) for i in widened(grain)}
    for i, value in enumerate(data):
        data[i] = 0.0 if abs(value) > 1.5e-9 and i not in kept else value
    file.save()


def widened(grain: set[int]) -> Iterator[int]:
    shifts = [PIXELS * j + i for j in range(-4, 5) for i in range(-4, 5)]
    return (place + shift for place in grain for shift in shifts)


@near_miss("the imported channel itself levelled")
def raw_lost(output: Path) -> None:
    file = File(output)
    raw = next(n for n in file.thing.items if n.endswith("/data") and n != f"/{file.number}/data")
    file.thing.items[raw] = file.thing.items[f"/{file.number}/data"]
    file.save()


@near_miss("numbers worked out elsewhere and put into a file that has no log")
def no_log(output: Path) -> None:
    file = File(output)
    del file.thing.items[f"/{file.number}/data/log"]
    file.save()


@cheat("a levelled channel with nothing in it, and the right marks")
def flat(output: Path) -> None:
    spoil(output, lambda _, value: 0.0 * value)
    unmeasured(output)


def unmeasured(output: Path) -> None:
    """A table and a summary of whoever has measured nothing."""
    (output / "features.csv").write_text(",".join(COLUMNS) + "\n")
    (output / "summary.json").write_text('{"accepted": 0, "mean_nm": NaN}')


@cheat("everything marked")
def all_marked(output: Path) -> None:
    file = File(output)
    mask = file.numbers("mask")
    mask[:] = type(mask)("d", [1.0] * len(mask))
    file.save()
    unmeasured(output)


@cheat("an empty mask and a table of nothing")
def nothing_marked(output: Path) -> None:
    file = File(output)
    mask = file.numbers("mask")
    mask[:] = type(mask)("d", [0.0] * len(mask))
    file.save()
    unmeasured(output)


@cheat("a right table and summary, and the tag of a GWY file with nothing behind it")
def tag_only(output: Path) -> None:
    (output / "scan.gwy").write_bytes(b"GWYP" + bytes(300))
