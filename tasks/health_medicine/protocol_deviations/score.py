"""Compare the three deliverables with the key; reads files only inside checks."""

import math
from pathlib import Path

from pytest_ale.files import read_csv, read_json

COLUMNS = ["subject_id", "code", "item", "event_date", "value", "class", "certainty"]
LIMIT = 2_000_000


def grade(output: Path, key: dict, check) -> None:
    rows, path = key["rows"], output / "deviations.csv"
    with check("listing is usable"):
        usable(path, rows)
    for name, wanted in DOMAINS.items():
        with check(name):
            assert facts(lines(path), wanted) == facts(rows, wanted)
    with check("class and certainty"):
        assert classes(lines(path)) == classes(rows)
    with check("per-protocol population"):
        people = read_csv(output / "per_protocol.csv", limit=LIMIT)
        assert statuses(people) == statuses(key["people"])
    with check("summary for the meeting"):
        same_summary(read_json(output / "summary.json", limit=LIMIT), key["summary"])


DOMAINS = {
    "eligibility values": lambda r: r["code"] == "ELIG" and not r["item"].startswith("E03"),
    "washout": lambda r: r["code"] == "ELIG" and r["item"].startswith("E03"),
    "visits": lambda r: r["code"].startswith("VISIT"),
    "dosing": lambda r: r["code"] in ("DOSE_WRONG", "DOSE_GAP", "COMPLIANCE"),
    "prohibited medication": lambda r: r["code"] == "PROHIBITED_MED",
    "consent": lambda r: r["code"] in ("RECONSENT", "CONSENT_LATE"),
}


def lines(path: Path) -> list[dict[str, str]]:
    rows = read_csv(path, limit=LIMIT, columns=COLUMNS)
    return [{name: row[name].strip() for name in COLUMNS} for row in rows]


def usable(path: Path, wanted: list[dict[str, str]]) -> None:
    rows = lines(path)
    assert rows, "the listing has no line"
    assert {r["code"] for r in rows} <= {r["code"] for r in wanted}, "unknown codes"
    assert {r["class"] for r in rows} <= {"MAJOR", "MINOR"}
    assert {r["certainty"] for r in rows} <= {"CONFIRMED", "POSSIBLE"}
    same = [(r["subject_id"], r["code"], r["item"], r["event_date"]) for r in rows]
    assert len(same) == len(set(same)), "lines are duplicated"


def number(text: str) -> float | None:
    """A value as a number, so that 85 and 85.0 are the same; None where there is none."""
    if not text:
        return None
    value = float(text)
    assert math.isfinite(value), text
    return round(value, 6)


def facts(rows: list[dict[str, str]], wanted) -> list[str]:
    """The lines of one domain without their class, sorted."""
    mine = [r for r in rows if wanted(r)]
    names = ("subject_id", "code", "item", "event_date")
    return sorted(" ".join([*(r[n] for n in names), str(number(r["value"]))]) for r in mine)


def classes(rows: list[dict[str, str]]) -> list[str]:
    names = ("subject_id", "code", "item", "class", "certainty")
    return sorted(" ".join(r[n] for n in names) for r in rows)


def statuses(rows: list[dict[str, str]]) -> list[str]:
    names = ("subject_id", "arm", "status", "reasons")
    return sorted(" ".join(r[n].strip() for n in names) for r in rows)


def same_summary(given: object, wanted: dict) -> None:
    assert isinstance(given, dict), "summary.json is not an object"
    for name, value in wanted.items():
        assert given.get(name) == value, f"{name}: {given.get(name)!r}, expected {value!r}"
