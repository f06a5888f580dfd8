"""The oracle: levels, marks and measures the scan in Gwyddion, on the desktop alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from pytest_ale.hands import Hands
from pytest_ale.pixels import Pixels

# Each is a way through the toolbox's menus, by underlined letters.
INVERT, PLANE, BASE, STREAKS = "b Return i", "l l", "l b", "c s"
ALIGN, ZERO, MARK = "c a Return", "l m m Return", "g m m m Return"
VALUES, EDGES = "g d", "g r r Return"
NANO = 1e9
SIDE, PIXELS = 1000, 224  # of the scan; its window shows a pixel as a pixel
# The longest over the shortest width of a mark: up to 1.3 for one feature, 1.4 and more for two.
JOINED = 1.35


@dataclass(frozen=True)
class Feature:
    x: float
    y: float
    size: float
    slenderness: float


def size_up(desktop: Any, inputs: str, output: str, params: dict[str, Any]) -> None:
    hands = Hands(desktop)
    note = hands.text(f"{inputs}/notebook.txt")
    factor = float(re.findall(r"factor (?:is|of) (\d\.\d+)", note)[0])
    rules = Rules(params["surface"] == "gold", factor)
    program = Program(hands, f"{inputs}/scan.001", rules.up)
    program.level()
    program.mark(rules.threshold)
    everything = program.features("all")
    program.menu(EDGES)
    inner = program.features("inner")
    kept = [feature for feature in inner if rules.keeps(feature)]
    program.take_tool()
    for feature in inner:
        if feature not in kept:
            program.take_off(feature)
    assert sorted(f.x for f in program.features("kept")) == sorted(f.x for f in kept)
    program.save(f"{output}/scan.gwy")
    put(hands, f"{output}/features.csv", table(kept, factor))
    result = rules.summary(kept, inner, len(everything) - len(inner))
    put(hands, f"{output}/summary.json", json.dumps(result, indent=1) + "\n")


def put(hands: Hands, path: str, text: str) -> None:
    hands.desktop.set_clipboard(text)
    hands.run(f"xclip -o -selection clipboard > {path}; echo done | xclip -selection clipboard")
    hands.until(f"{path} to be written", lambda: hands.desktop.clipboard().strip() == "done", 20)


def table(features: list[Feature], factor: float) -> str:
    lines = [f"{f.x:.1f},{f.y:.1f},{f.size * factor:.2f}\n" for f in features]
    return "".join(["x_nm,y_nm,size_nm\n", *lines])


@dataclass(frozen=True)
class Rules:
    """The method of the laboratory, as far as it is about features."""

    up: bool
    factor: float

    @property
    def threshold(self) -> float:
        return 5.0 if self.up else 4.0

    def keeps(self, feature: Feature) -> bool:
        return not (self.low(feature) or (self.up and self.joined(feature)))

    def low(self, feature: Feature) -> bool:
        return feature.size * self.factor < (15.0 if self.up else 10.0)

    def joined(self, feature: Feature) -> bool:
        return feature.slenderness > JOINED

    def summary(self, kept: list[Feature], inner: list[Feature], edge: int) -> dict[str, float]:
        sizes = [feature.size * self.factor for feature in kept]
        result = {"accepted": len(kept), "mean_nm": round(mean(sizes), 2), "edge": edge}
        low = sum(map(self.low, inner))
        if self.up:
            joined = len(inner) - low - len(kept)
            spread = {"sd_nm": round(stdev(sizes), 2)}
            return result | spread | {"touching": joined, "residue": low}
        return result | {"deepest_nm": round(max(sizes), 2), "shallow": low}


class Program:
    """Gwyddion with the scan open, and a duplicate of its height channel to work on."""

    def __init__(self, hands: Hands, scan: str, up: bool) -> None:
        self.hands, self.desktop, self.up = hands, hands.desktop, up
        hands.run(f"gwyddion --disable-gl {scan} &")
        hands.window("[Height]")
        self.toolbox = self.named("Gwyddion")
        original = hands.window("[Height]").id
        self.desktop.keys("ctrl+d")
        self.image = hands.until("the duplicate's window", lambda: self.other(original))
        self.closed = self.under_menu()

    def named(self, title: str) -> Any:
        """The window with exactly this title."""
        found = lambda: [w for w in self.desktop.windows() if w.title == title]  # noqa: E731
        return self.hands.until(f"the window {title}", found)[0]

    def other(self, original: int) -> Any:
        windows = self.desktop.windows()
        return next((w for w in windows if "[Height]" in w.title and w.id != original), None)

    def menu(self, way: str, dialog: str = "") -> Any:
        """Go through the menus to what is at the end of the way; wait until the program heard."""
        self.hands.until(f"the menus to do {way}", lambda: self.goes(way, dialog), 60)
        return self.hands.window(dialog) if dialog else None

    def goes(self, way: str, dialog: str) -> bool:
        """Try once; a key that a busy program misses leaves a menu open, and nothing done."""
        self.hands.until("the toolbox to have the keyboard", self.toolbox_active)
        self.desktop.keys("alt+d")
        if not self.within(3, self.menu_open):
            return False
        time.sleep(0.3)
        for key in way.split():
            self.desktop.keys(key)
            time.sleep(0.2)
        if self.within(15, lambda: self.shown(dialog) if dialog else not self.menu_open()):
            return True
        for _ in range(3):
            self.desktop.keys("Escape")
        return False

    def within(self, seconds: float, probe: Callable[[], bool]) -> bool:
        end = time.monotonic() + seconds
        while not (found := probe()) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def shown(self, dialog: str) -> bool:
        return any(window.title == dialog for window in self.desktop.windows())

    def toolbox_active(self) -> bool:
        self.desktop.activate(self.toolbox.id)
        return any(w.id == self.toolbox.id and w.active for w in self.desktop.windows())

    def menu_open(self) -> bool:
        return self.under_menu() != self.closed

    def under_menu(self) -> tuple[int, int, int]:
        """A place of the toolbox that the menu covers: plainly grey while there is none."""
        x, y = self.toolbox.x + 150, self.toolbox.y + 90
        return Pixels(self.desktop.screenshot()).at(x, y)

    def level(self) -> None:
        """The rows first, then the base, which is found between features that point up."""
        turn = [] if self.up else [INVERT]
        for way in (*turn, PLANE):
            self.menu(way)
        dialog = self.menu(ALIGN, "Align Rows")
        self.confirm(dialog)
        for way in (BASE, STREAKS):
            self.menu(way)

    def confirm(self, dialog: Any) -> None:
        time.sleep(0.5)
        self.desktop.keys("Return")
        self.hands.closed(dialog)

    def mark(self, threshold: float) -> None:
        dialog = self.menu(MARK, "Mark Grains by Threshold")
        time.sleep(0.5)
        self.desktop.click(dialog.x + 771, dialog.y + 42, times=2)
        self.desktop.keys("ctrl+a")
        self.desktop.type(f"{threshold}\t")
        self.confirm(dialog)
        if not self.up:
            self.turn_back()

    def turn_back(self) -> None:
        """Pits down again; the program mirrors about the mean, so the base is put to zero."""
        self.menu(INVERT)
        self.confirm(self.menu(ZERO, "Zero Mean Value"))

    def features(self, name: str) -> list[Feature]:
        """What is marked, as the program measures it."""
        path = f"/tmp/{name}.txt"
        dialog = self.menu(VALUES, "Grain Distributions")
        time.sleep(0.5)
        if name == "all":  # the program remembers what was chosen
            for x, y in ((619, 17), (619, 40), (619, 63), (619, 270), (391, 341), (391, 365)):
                self.desktop.click(dialog.x + x, dialog.y + y)
                time.sleep(0.2)
        self.desktop.click(dialog.x + 597, dialog.y + 482)
        chooser = self.hands.window("Export Raw Grain Values")
        time.sleep(0.5)
        self.desktop.type(path + "\n")
        self.hands.closed(chooser)
        return [self.feature(values) for values in rows(self.hands.text(path))]

    def feature(self, values: dict[str, float]) -> Feature:
        x, y = values["x_c"] * NANO, values["y_c"] * NANO
        size = values["z_max"] if self.up else -values["z_min"]
        return Feature(x, y, size * NANO, values["D_max"] / values["D_min"])

    def take_off(self, feature: Feature) -> None:
        """Click on a mark with the tool that removes grains."""
        x, y = (round(24 + place / SIDE * PIXELS) for place in (feature.x, feature.y))
        window = next(w for w in self.desktop.windows() if w.id == self.image.id)
        self.desktop.activate(window.id)
        time.sleep(0.3)
        self.desktop.click(window.x + x, window.y + y)

    def take_tool(self) -> None:
        self.desktop.activate(self.toolbox.id)
        time.sleep(0.3)
        self.desktop.click(self.toolbox.x + 54, self.toolbox.y + 587)
        options = self.hands.window("Grain Remove")
        time.sleep(0.5)
        self.desktop.click(options.x + 15, options.y + 35)  # off the mask, not out of the data
        time.sleep(0.3)

    def save(self, path: str) -> None:
        self.hands.until("the toolbox to have the keyboard", self.toolbox_active)
        self.desktop.keys("ctrl+shift+s")
        chooser = self.hands.window("Save File")
        time.sleep(0.5)
        self.desktop.keys("ctrl+a")
        self.desktop.type(path + "\n")
        self.hands.closed(chooser)
        self.hands.window("scan.gwy")


def rows(text: str) -> list[dict[str, float]]:
    names, *lines = (line.split() for line in text.splitlines() if line.strip())
    return [dict(zip(names[1:], map(float, line), strict=True)) for line in lines]
