"""Engauge documents: the axis points and the trace that are written in them.

Knows nothing of the chart.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from struct import unpack
from xml.etree import ElementTree

from pytest_ale.files import read_bytes

Point = tuple[float, float]
# What the program writes into every document and asks for when it opens one.
SETTINGS = "General,Coords,DigitizeCurve,Export,AxesChecker,GridDisplay,GridRemoval,PointMatch"
SYSTEM = [*SETTINGS.split(","), "Segments", "Curve/ColorFilter", "Curve/CurveStyle/LineStyle"]
PARTS = ["Image", *(f"CoordSystem/{name}" for name in [*SYSTEM, "CurvesGraphs/Curve/CurveStyle"])]
LIMIT = 20_000_000  # bytes; the scan is part of the document


class Document:
    """A document as the program saves it; places are pixels of the scan."""

    def __init__(self, path: Path) -> None:
        self.root = parsed(read_bytes(path, LIMIT))
        lacking = {name for name in PARTS if self.root.find(name) is None}
        assert not lacking, f"the program could not open it: there is no {sorted(lacking)}"

    def size(self) -> tuple[int, int]:
        """Width and height of the image in it, a PNG behind four bytes."""
        image = b64decode(self.root.findtext("Image", ""))
        assert image[4:20] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "the image in it is no PNG"
        width, height = unpack(">II", image[20:28])
        return width, height

    def linear(self) -> bool:
        """Whether its coordinates are Cartesian with both scales linear."""
        coords = self.root.find("CoordSystem/Coords")
        names = ("Type", "ScaleXTheta", "ScaleYRadius")
        return coords is not None and all(coords.get(name) == "0" for name in names)

    def points(self, curve: str) -> list[ElementTree.Element]:
        """The points of the first curve of this name."""
        curves = [c for c in self.root.iter("Curve") if c.get("CurveName") == curve]
        assert curves, f"there is no curve {curve}"
        return list(curves[0].iter("Point"))

    def graph(self) -> Callable[[float, float], Point]:
        """What the axis points make of a pixel, by least squares if they are more than three."""
        points = self.points("Axes")
        assert 3 <= len(points) <= 100, f"{len(points)} axis points"
        screen = [pair(point, "PositionScreen") for point in points]
        values = [pair(point, "PositionGraph") for point in points]
        first, second = (fitted(screen, [value[i] for value in values]) for i in (0, 1))
        return lambda x, y: (first(x, y), second(x, y))

    def trace(self) -> list[Point]:
        """The points of the fullest curve, from left to right."""
        names = {c.get("CurveName", "") for c in self.root.iter("Curve")} - {"Axes"}
        fullest = max((self.points(name) for name in names), key=len)
        assert 30 <= len(fullest) <= 5000, f"the trace has {len(fullest)} points"
        return sorted(pair(point, "PositionScreen") for point in fullest)


def parsed(data: bytes) -> ElementTree.Element:
    """The document's tree; its one declaration, without entities, is dropped."""
    head, _, rest = data.partition(b"<!DOCTYPE engauge>")
    assert rest and b"<!" not in head and b"<!ENTITY" not in rest, "this is no Engauge document"
    return ElementTree.fromstring(head + rest)


def pair(point: ElementTree.Element, name: str) -> Point:
    place = point.find(name)
    assert place is not None, f"a point has no {name}"
    x, y = float(place.get("X", "nan")), float(place.get("Y", "nan"))
    assert isfinite(x) and isfinite(y), f"a point's {name} is {x}, {y}"
    return x, y


def fitted(places: list[Point], values: list[float]) -> Callable[[float, float], float]:
    """The plane a + bx + cy that lies nearest to the values."""
    rows = [(1.0, x, y) for x, y in places]
    normal = [[sum(r[i] * r[j] for r in rows) for j in range(3)] for i in range(3)]
    right = [sum(r[i] * v for r, v in zip(rows, values, strict=True)) for i in range(3)]
    whole = determinant(normal)
    assert abs(whole) > 1, "the axis points lie on one line"
    a, b, c = (
        determinant([[*row[:i], v, *row[i + 1 :]] for row, v in zip(normal, right, strict=True)])
        / whole
        for i in range(3)
    )
    return lambda x, y: a + b * x + c * y


def determinant(m: list[list[float]]) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )


def rewrite(path: Path, curve: str, change: Callable[[Point, list[Point]], Point | None]) -> None:
    """Move the points of a curve, or drop those of which nothing is made."""
    document = Document(path)
    places = [pair(point, "PositionScreen") for point in document.points(curve)]
    for holder in document.root.iter("CurvePoints"):
        for point in [p for p in holder if p in document.points(curve)]:
            moved = change(pair(point, "PositionScreen"), places)
            if moved is None:
                holder.remove(point)
            else:
                place = point.find("PositionScreen")
                assert place is not None
                place.set("X", f"{moved[0]:g}")
                place.set("Y", f"{moved[1]:g}")
    body = ElementTree.tostring(document.root, encoding="unicode")
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE engauge>\n{body}')
