"""Compare both tables with the key, field by field; reads files only inside checks."""

from collections import Counter
from pathlib import Path

from pytest_ale.files import read_csv

EVENT = ("chrom", "pos", "ref", "alt")
HEAD = (*EVENT, "calls", "zygosity")
LIMIT = 2_000_000
ANNOTATED = [*HEAD, "gene", "transcript", "consequence", "hgvs", "protein"]
RECLASSIFIED = [*HEAD, "gene", "transcript", "hgvs", "protein", "previous", "new", "rule", "route"]


def grade(output: Path, key: dict, check) -> None:
    first, second = output / "annotated.tsv", output / "reclassified.tsv"
    wanted, moved = key["annotated"], key["reclassified"]
    with check("annotation is usable"):
        usable(table(first, ANNOTATED))
    with check("events and zygosity"):
        assert events(table(first, ANNOTATED)) == events(wanted)
    for name, (column, kept) in FIELDS.items():
        with check(name):
            same(list(filter(kept, table(first, ANNOTATED))), list(filter(kept, wanted)), column)
    with check("reclassified events and classes"):
        for column in ("previous", "new"):
            same(table(second, RECLASSIFIED), moved, column)
    with check("rules and routes"):
        for column in ("rule", "route", "gene", "hgvs", "protein"):
            same(table(second, RECLASSIFIED), moved, column)


def changes_length(row: dict[str, str]) -> bool:
    return len(row["ref"]) != len(row["alt"])


# check -> the column compared, and the lines it is compared on
FIELDS = {
    "consequences": ("consequence", lambda row: True),
    "names of substitutions": ("hgvs", lambda row: not changes_length(row)),
    "names of insertions and deletions": ("hgvs", changes_length),
    "protein names": ("protein", lambda row: True),
}


def table(path: Path, columns: list[str]) -> list[dict[str, str]]:
    rows = read_csv(path, limit=LIMIT, columns=columns, delimiter="\t")
    return [{name: value.strip() for name, value in row.items()} for row in rows]


def usable(rows: list[dict[str, str]]) -> None:
    assert rows, "no line"
    assert all(row["pos"].isdecimal() for row in rows), "pos is not a number"
    lines = Counter((*(row[n] for n in EVENT), row["transcript"]) for row in rows)
    assert max(lines.values()) == 1, f"twice: {lines.most_common(1)}"


def events(rows: list[dict[str, str]]) -> list[str]:
    return sorted({" ".join(row[n] for n in HEAD) for row in rows})


def same(rows: list[dict[str, str]], wanted: list[dict[str, str]], column: str) -> None:
    """The same lines with the same value in a column: nothing missing, nothing more."""
    names = (*EVENT, "transcript", column)
    assert sorted(" ".join(r[n] for n in names) for r in rows) == sorted(
        " ".join(r[n] for n in names) for r in wanted
    )
