"""Variant consequences and reclassification: build, oracle, grading and controls."""

import csv
import json
import re
import shutil
from pathlib import Path

import genome
from calls import NoRoom, write_vcf
from policy import RULES, annotation, make_tables, report, write_tables
from score import grade
from wishes import make_calls

from pytest_ale import cheat, near_miss

HERE = Path(__file__).parent


def build(inputs, reference, params, rng):
    lab = params["lab"]
    panel, case = _case(lab, rng)
    tables = make_tables(case, RULES[lab])
    genome.write_fasta(panel, inputs / "reference.fa", rng)
    genome.write_gff(panel, inputs / "genes.gff3")
    write_vcf(case, inputs / "calls.vcf", params["sample"])
    write_tables(case, RULES[lab], tables, inputs)
    shutil.copyfile(HERE / "documents" / "manual.md", inputs / "manual.md")
    for name in ("policy.md", "memo.txt"):
        shutil.copyfile(HERE / "documents" / lab / name, inputs / name)
    key = {"annotated": annotation(case), "reclassified": report(case, RULES[lab], tables)}
    (reference / "key.json").write_text(json.dumps(key, indent=1))


def _case(lab, rng):
    """A genome that has room for every kind of variant; now and then one has not."""
    while True:
        panel = genome.mito(rng) if lab == "mito" else genome.cardiac(rng)
        try:
            return panel, make_calls(panel, rng)
        except NoRoom:
            continue


def solve(sandbox, params):
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text())
    sandbox.exec(["python3", script, sandbox.inputs, sandbox.output], check=True)


def evaluate(output, reference, check):
    grade(output, json.loads((reference / "key.json").read_text()), check)


def _change(path, change):
    """Rewrite a table: `change` takes a row and returns one, or None to leave it out."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(r for r in map(change, rows) if r)


@near_miss("duplications called insertions")
def duplications_as_insertions(output):
    def change(row):
        return row | {"hgvs": re.sub(r"dup$", "ins", row["hgvs"])}

    _change(output / "annotated.tsv", change)


@near_miss("the new stop of a frameshift counted from the residue after the first altered one")
def frameshift_off_by_one(output):
    def one_less(match):
        return f"fsTer{int(match[1]) - 1}"

    def change(row):
        return row | {"protein": re.sub(r"fsTer(\d+)", one_less, row["protein"])}

    _change(output / "annotated.tsv", change)


@near_miss("homozygous calls that are joined on one copy not reported for the other copy")
def lone_copy_forgotten(output):
    path = output / "annotated.tsv"
    joined = {i for i in _column(path, "calls") if "+" in i}
    parts = {part for i in joined for part in i.split("+")}
    _change(path, lambda row: None if row["calls"] in parts else row)


@near_miss("two-base inversions called deletion-insertions")
def inversions_missed(output):
    def change(row):
        return row | {"hgvs": re.sub(r"inv$", "delinsAG", row["hgvs"])}

    _change(output / "annotated.tsv", change)


@near_miss("events without an earlier class left out of the report")
def new_ones_left_out(output):
    path = output / "reclassified.tsv"
    _change(path, lambda row: None if row["previous"] == "none" else row)


def _column(path, name):
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file, delimiter="\t")]


@cheat("every event a missense variant of uncertain significance")
def all_missense(output):
    same = {"consequence": "missense_variant", "hgvs": "c.1A>G", "protein": "p.?"}
    _change(output / "annotated.tsv", lambda row: row | same | {"zygosity": "het"})
    verdict = {"new": "VUS", "rule": "M3", "route": "desk"}
    _change(output / "reclassified.tsv", lambda row: row | verdict)


@cheat("headers with one line each")
def one_line(output):
    for name in ("annotated.tsv", "reclassified.tsv"):
        path = output / name
        path.write_text("\n".join(path.read_text().split("\n")[:2]) + "\n")
