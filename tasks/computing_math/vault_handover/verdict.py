"""What the review asks for, worked out from the tables and from what the vault shows.

Knows nothing of windows.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Shown:
    """An entry as it can be read in the vault."""

    account: str
    password: str
    notes: str

    def line(self, name: str) -> str:
        lines = self.notes.splitlines()
        return next(line[len(name) + 2 :] for line in lines if line.startswith(f"{name}: "))

    @property
    def asset(self) -> str:
        return self.line("Asset")

    @property
    def held(self) -> bool:
        return "\nHold:" in self.notes


@dataclass(frozen=True)
class Wanted:
    """What is to be written into an entry; the empty fields stay, or are left empty."""

    group: str = ""
    title: str = ""
    account: str = ""
    password: str = ""
    notes: str = ""


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


class Verdict:
    """The review of one vault; None stands for an entry that is deleted."""

    def __init__(self, tables: dict[str, str], review: str, *, lab: bool) -> None:
        self.review, self.lab = review, lab
        self.assets = {row["asset"]: row for row in table(tables["assets.csv"])}
        self.staff = {row["id"]: row for row in table(tables["staff.csv"])}
        self.issued = table(tables["issued.csv"])
        self.sums = set(tables["breached.txt"].lower().split())

    def age(self, asset: str) -> int:
        """Days since the register's date, negative before it."""
        since = date.fromisoformat(self.assets[asset]["since"])
        return (date.fromisoformat(self.review) - since).days

    def retired(self, asset: str) -> bool:
        return self.assets[asset]["status"] == "retired" and self.age(asset) >= 0

    def stays(self, entry: Shown) -> bool:
        recent = self.lab and self.age(entry.asset) < 30
        return entry.held or recent or not self.retired(entry.asset)

    def present(self, id: str) -> str:
        while self.staff[id]["left_on"] and self.staff[id]["left_on"] <= self.review:
            id = self.staff[id]["successor"]
        return id

    def fresh(self, asset: str, account: str) -> str:
        rows = (r for r in self.issued if (r["asset"], r["account"]) == (asset, account))
        return next(rows)["password"]

    def of(self, entry: Shown, others: list[Shown]) -> Wanted | None:
        """What becomes of an entry, `others` being the whole vault."""
        if not self.stays(entry):
            return None
        if entry.held:
            return Wanted(group="Hold")
        if self.retired(entry.asset):
            return Wanted(group="Retired")
        group, custodian = self.assets[entry.asset]["area"], entry.line("Custodian")
        now = self.present(custodian)
        new = now != custodian or self.burnt(entry, others)
        password = self.fresh(entry.asset, entry.account) if new else ""
        notes = entry.notes.replace(f"Custodian: {custodian}", f"Custodian: {now}", 1)
        return Wanted(group, "", "", password, notes if now != custodian else "")

    def burnt(self, entry: Shown, others: list[Shown]) -> bool:
        if hashlib.sha1(entry.password.encode()).hexdigest() in self.sums:
            return True
        same = [o for o in others if o.password == entry.password and self.stays(o)]
        if self.lab:
            return any(other.asset < entry.asset for other in same)
        return len(same) > 1

    def missing(self, vault: list[Shown]) -> list[Wanted]:
        known = {entry.asset for entry in vault}
        rows = [row for row in self.issued if row["asset"] not in known]
        return [self.made(row) for row in rows if self.in_service(row["asset"])]

    def in_service(self, asset: str) -> bool:
        return self.assets[asset]["status"] == "in service" and self.age(asset) >= 0

    def made(self, row: dict[str, str]) -> Wanted:
        asset = self.assets[row["asset"]]
        notes = f"Asset: {row['asset']}\nCustodian: {self.present(asset['custodian'])}"
        return Wanted(asset["area"], asset["description"], row["account"], row["password"], notes)
