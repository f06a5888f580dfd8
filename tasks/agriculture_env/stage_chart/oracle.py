"""The oracle: digitises the chart in Engauge, with mouse and keyboard alone, and works it up."""

from __future__ import annotations

import time
from datetime import datetime
from statistics import mean
from typing import Any

from workup import EDGE, Note, Record, Series, corrected, unmirrored

from pytest_ale.hands import Hands
from pytest_ale.pixels import Pixels

PAPER = {"weir": (168.0, 2.5), "creek": (48.0, 5.0)}  # what is printed at its ends
BACKGROUND, CURVE_TOOL = (70, 41), (281, 41)  # in the tool bar, from the window's corner
SPACING = 8  # pixels between two points
TIP = 2  # pixels by which a pen's mark goes beyond the pen's middle
Place = tuple[int, int]
Pair = tuple[float, float]


def work_up(desktop: Any, inputs: str, output: str, params: dict[str, Any]) -> None:
    hands = Hands(desktop)
    note = Note(hands.text(f"{inputs}/note.txt"), datetime.fromisoformat(params["monday"]))
    scan = Digitizer(hands, f"{inputs}/chart.png")
    hours, metres = PAPER[params["kind"]]
    trace = scan.digitise(hours, metres)
    scan.save("ctrl+s", "Save As", f"{output}/chart.dig")
    hands.run(f"until tail -n 3 {output}/chart.dig | grep -q '</Document>'; do sleep 0.1; done")
    series = corrected(unmirrored(trace, metres), note)
    record = Record(series, note, 2.5 * SPACING * hours / 900, params)
    put(hands, f"{output}/stage.csv", record.table())
    put(hands, f"{output}/summary.json", record.summary())
    hands.run("exit")


def put(hands: Hands, path: str, text: str) -> None:
    """Have a file hold a text, by way of the clipboard, and see that it does."""
    hands.desktop.set_clipboard(text)
    hands.run(f"xclip -selection clipboard -o > {path}; echo kept | xclip -selection clipboard")
    hands.until(f"{path} to be written", lambda: hands.desktop.clipboard() == "kept\n")
    assert hands.text(path).strip() == text.strip(), f"{path} does not hold what was pasted"


class Sight:
    """What can be seen of the chart: its corners and the blue trace, as places on the screen."""

    def __init__(self, pixels: Pixels, top: int, bottom: int) -> None:
        self.pixels, self.rows = pixels, range(top, bottom)
        frame = [place for place in self.places() if self.framed(*place)]
        self.left = max(frame, key=lambda p: p[1] - p[0], default=(0, 0))
        self.right = max(frame, key=lambda p: p[1] + p[0], default=(0, 0))
        self.high = min(frame, key=lambda p: p[1] + p[0], default=(0, 0))

    def whole(self) -> bool:
        return self.right[0] - self.left[0] > 890 and self.left[1] - self.high[1] > 410

    def places(self) -> list[Place]:
        return [(x, y) for y in self.rows for x in range(self.pixels.width)]

    def framed(self, x: int, y: int) -> bool:
        red, green, blue = self.pixels.at(x, y)
        return abs(red - 150) + abs(green - 62) + abs(blue - 44) < 12

    def inked(self, x: int, y: int) -> bool:
        red, _, blue = self.pixels.at(x, y)
        return blue - red > 45

    def on_chart(self, x: float, y: float) -> Pair:
        """How far along and how far up the chart a place is, from 0 to 1."""
        along = (self.right[0] - self.left[0], self.right[1] - self.left[1])
        up = (self.high[0] - self.left[0], self.high[1] - self.left[1])
        dx, dy = x - self.left[0], y - self.left[1]
        whole = along[0] * up[1] - along[1] * up[0]
        return (dx * up[1] - dy * up[0]) / whole, (along[0] * dy - along[1] * dx) / whole

    def columns(self) -> dict[int, int]:
        """The middle of the trace in every column that has ink; at a turn, its tip."""
        found = {}
        for x in range(self.left[0], self.right[0] + 1):
            ys = [y for y in self.rows if self.inked(x, y)]
            if ys:
                tips = [y for y in (min(ys), max(ys)) if self.turned(x, y)]
                found[x] = tips[0] if tips else round(mean(ys))
        return found

    def turned(self, x: int, y: int) -> bool:
        return not 1 - EDGE < self.on_chart(x, y)[1] < EDGE

    def points(self) -> dict[Place, Pair]:
        """Where to click, and where on the chart that is: ends, turns, every few columns."""
        columns = self.columns()
        runs = grouped(sorted(columns), SPACING)
        turns = grouped([x for x in columns if self.turned(x, columns[x])], SPACING)
        tips = [run[len(run) // 2] for run in turns]
        runs = [run[TIP:-TIP] for run in runs]
        chosen = {x for run in runs for x in (*run[::SPACING], run[-1])}
        clear = {x for x in chosen if all(abs(x - tip) > 5 for tip in tips)}
        places = [(x, columns[x]) for x in sorted(clear | set(tips))]
        return {place: self.on_chart(*place) for place in places}


def grouped(xs: list[int], reach: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for x in xs:
        if groups and x - groups[-1][-1] <= reach:
            groups[-1].append(x)
        else:
            groups.append([x])
    return groups


class Digitizer:
    """Engauge with a scan in a window as large as the screen, shown as it was scanned."""

    def __init__(self, hands: Hands, scan: str) -> None:
        self.hands, self.desktop = hands, hands.desktop
        hands.run(f"engauge {scan} > /dev/null 2>&1 &")
        wizard = hands.window("Checklist Guide Wizard")
        self.desktop.keys("Escape")
        hands.closed(wizard)
        self.maximise()

    def maximise(self) -> None:
        window = self.hands.window("Engauge")
        self.desktop.click(window.x + window.width // 3, window.y - 10, times=2)
        width = self.desktop.size()[0]
        self.hands.until("a large window", lambda: self.hands.window("Engauge").width == width)
        self.window = self.hands.window("Engauge")
        time.sleep(1)

    def tool(self, place: Place) -> None:
        self.desktop.click(self.window.x + place[0], self.window.y + place[1])
        time.sleep(0.5)

    def digitise(self, hours: float, metres: float) -> Series:
        """Set the axes and the points; give the trace as the program exports it."""
        sight = self.hands.until("the scan in its own colours", self.seen, 60)
        self.axis(sight.left, "0", "0")
        self.axis(sight.right, f"{hours:g}", "0")
        self.axis(sight.high, "0", f"{metres:g}")
        time.sleep(4)  # the program shows the axes it has understood
        points = {(u * hours, v * metres): place for place, (u, v) in sight.points().items()}
        pixel = (hours / 900, metres / 420)
        return self.marked(points, pixel)

    def seen(self) -> Sight | None:
        """Show the scan as it is, and look for the chart in it."""
        top, bottom = self.window.y + 70, self.window.y + self.window.height - 40
        self.tool(BACKGROUND)
        for key in ("Home", "Down", "Return"):
            self.desktop.keys(key)
        self.desktop.move(self.window.width // 2, bottom + 10)
        time.sleep(1)
        sight = Sight(Pixels(self.desktop.screenshot()), top, bottom)
        return sight if sight.whole() else None

    def marked(self, points: dict[Pair, Place], pixel: Pair) -> Series:
        """Click on all the points; again where a busy program has missed some."""
        missing = points
        for turn in range(5):
            self.tool(CURVE_TOOL)
            for place in missing.values():
                self.desktop.click(*place)
                time.sleep(0.04)
            trace = self.exported(f"/tmp/trace-{turn}.csv")
            missing = {p: place for p, place in points.items() if not near(p, trace, pixel)}
            if not missing and len(trace) == len(points):
                return trace
        raise TimeoutError(
            f"{len(points)} points were clicked on; {len(trace)} are there, without {missing}"
        )

    def exported(self, path: str) -> Series:
        self.save("ctrl+e", "Export", path)
        rows = self.hands.text(path).split()[1:]
        self.hands.window("Engauge")
        return [(float(x), float(y)) for x, y in (row.split(",") for row in rows)]

    def axis(self, place: Place, x: str, y: str) -> None:
        self.desktop.click(*place)
        dialog = self.hands.window("Edit Axis Point")
        self.desktop.type(f"{x}\t{y}\n")
        self.hands.closed(dialog)

    def save(self, chord: str, title: str, path: str) -> None:
        self.desktop.keys(chord)
        dialog = self.hands.window(title)
        self.desktop.keys("ctrl+a")
        self.desktop.type(path + "\n")
        self.hands.closed(dialog)
        self.hands.run(f"while [ ! -s {path} ]; do sleep 0.1; done")


def near(point: Pair, trace: Series, pixel: Pair) -> bool:
    """Whether the trace has a point there, to half a pixel along and two up."""
    x, y = point
    return any(abs(x - t) < pixel[0] / 2 and abs(y - v) < 2 * pixel[1] for t, v in trace)
