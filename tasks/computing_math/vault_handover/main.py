"""Credential vault handover: build the vault, review it on the desktop, grade what it holds."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from hashlib import sha1
from pathlib import Path
from struct import pack
from typing import Any

import psafe
from handover import Entry, Handover, Ruling
from oracle import review
from psafe import Field

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_bytes

HERE = Path(__file__).parent
ROUNDS = 4096  # of key stretching; the program's own least is 2048
UUID, GROUP, TITLE, ACCOUNT, NOTES, PASSWORD, URL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0D
TEXTS = {"group": GROUP, "title": TITLE, "account": ACCOUNT, "notes": NOTES}
TEXTS |= {"password": PASSWORD, "url": URL}
CREATED, CHANGED, MODIFIED = 0x07, 0x08, 0x0C
VERSION, VAULT_NAME = 0x00, 0x09


# build


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    case = Handover(params["rules"], date.fromisoformat(params["review"]), rng)
    old, new = params["combination"], params["next"]
    records = [header(params["site"], rng), *(record(entry, case) for entry in case.entries)]
    (inputs / "vault.psafe3").write_bytes(psafe.write(records, old, rng, ROUNDS))
    shutil.copyfile(HERE / "documents" / f"policy_{case.rules}.md", inputs / "policy.md")
    note = f"Combination of the vault: {old}\nNew combination, from this review on: {new}\n"
    (inputs / "handover.txt").write_text(note, encoding="utf-8")
    write_tables(inputs, case)
    (reference / "key.json").write_text(json.dumps(key(case, old, new), indent=1))


def header(site: str, rng: random.Random) -> list[Field]:
    return [
        Field(VERSION, b"\x0e\x03"),
        Field(UUID, rng.randbytes(16)),
        Field(VAULT_NAME, site.encode()),
    ]


def record(entry: Entry, case: Handover) -> list[Field]:
    moment = pack("<I", (case.before(case.rng.randrange(100, 900)) - date(1970, 1, 1)).days * 86400)
    texts = [Field(kind, getattr(entry, name).encode()) for name, kind in TEXTS.items()]
    times = [Field(kind, moment) for kind in (CREATED, CHANGED, MODIFIED)]
    return [Field(UUID, bytes.fromhex(entry.uuid)), *texts, *times]


def write_tables(inputs: Path, case: Handover) -> None:
    assets = sorted(case.assets, key=lambda asset: asset.number)
    rows = [[a.number, a.description, a.area, a.status, a.since, a.custodian] for a in assets]
    write_csv(inputs / "assets.csv", "asset,description,area,status,since,custodian", rows)
    staff = [[p.id, p.left or "", p.successor] for p in case.staff.values()]
    write_csv(inputs / "staff.csv", "id,left_on,successor", staff)
    issued = sorted([*account, word] for account, word in case.issued.items())
    write_csv(inputs / "issued.csv", "asset,account,password", issued)
    sums = (sha1(word.encode()).hexdigest().upper() + "\n" for word in case.breached)
    (inputs / "breached.txt").write_text("".join(sums))


def write_csv(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def key(case: Handover, old: str, new: str) -> dict[str, Any]:
    ruling = Ruling(case)
    kept = {entry.uuid: entry.facts() for entry in ruling.kept()}
    words = sorted({entry.password for entry in case.entries} | set(case.issued.values()))
    fresh = [entry.facts() for entry in ruling.new()]
    before = [entry.uuid for entry in case.entries]
    return {"old": old, "new": new, "before": before, "kept": kept, "fresh": fresh, "words": words}


# the oracle


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    review(sandbox.desktop, sandbox.inputs, sandbox.output, params)


# grading


class Answer:
    """The vault that was left, read when it is first asked for."""

    def __init__(self, output: Path, key: dict[str, Any]) -> None:
        self.path, self.key = output / "vault.psafe3", key

    @cache  # noqa: B019 - lives as long as the grading
    def entries(self) -> list[dict[str, str]]:
        data = read_bytes(self.path, psafe.LIMIT)
        return [facts(record) for record in psafe.read(data, self.key["new"])[1:]]

    def named(self) -> dict[str, dict[str, str]]:
        """The entries that were there before, by UUID."""
        return {e["uuid"]: e for e in self.entries() if e["uuid"] in self.key["before"]}

    def columns(self, name: str) -> tuple[dict[str, str], dict[str, str]]:
        """A field as it is and as it should be, of the entries that rightly stay."""
        kept, named = self.key["kept"], self.named()
        both = kept.keys() & named.keys()
        assert 4 * len(both) >= 3 * len(kept), f"only {len(both)} of {len(kept)} are there"
        return {uuid: named[uuid][name] for uuid in both}, {uuid: kept[uuid][name] for uuid in both}

    def fresh(self) -> list[dict[str, str]]:
        return [entry for entry in self.entries() if entry["uuid"] not in self.key["before"]]


def facts(record: list[Field]) -> dict[str, str]:
    data = {field.type: field.data for field in record}
    texts = {name: data.get(kind, b"").decode() for name, kind in TEXTS.items()}
    lines = texts["notes"].replace("\r\n", "\n").rstrip("\n")  # as the program's editor leaves them
    return texts | {"notes": lines, "uuid": data[UUID].hex()}


def evaluate(output: Path, reference: Path, check: Callable[[str], Any]) -> None:
    key = json.loads((reference / "key.json").read_text())
    answer = Answer(output, key)

    with check("the vault opens with the new combination only"):
        assert answer.entries(), "the vault has no entries"
        assert in_the_clear(output, key["words"]) == []
    with check("entries kept and deleted"):
        assert sorted(answer.named()) == sorted(key["kept"])
    for name, column in (("groups", "group"), ("custodians", "notes"), ("passwords", "password")):
        with check(name):
            found, wanted = answer.columns(column)
            assert found == wanted
    with check("new entries"):
        assert sorted(map(content, answer.fresh())) == sorted(map(content, key["fresh"]))
    with check("nothing else has changed"):
        uuids = [entry["uuid"] for entry in answer.entries()]
        assert len(uuids) == len(set(uuids)), "two entries have one UUID"
        for column in ("title", "account", "url"):
            found, wanted = answer.columns(column)
            assert found == wanted


def content(entry: dict[str, str]) -> tuple[str, ...]:
    return tuple(entry[name] for name in TEXTS)


def in_the_clear(output: Path, words: list[str]) -> list[str]:
    """The files that show a password, as far as a text search of the smaller ones finds it."""
    files = sorted(path for path in output.rglob("*") if path.is_file())[:1000]
    texts = ((p.name, read_bytes(p)) for p in files if p.stat().st_size <= psafe.LIMIT)
    return [name for name, data in texts if any(word.encode() in data for word in words)]


# controls


class Vault:
    """The oracle's vault, opened to be spoilt; `records` has no header."""

    def __init__(self, output: Path, params: dict[str, Any]) -> None:
        self.path, self.word = output / "vault.psafe3", params["next"]
        self.header, *self.records = psafe.read(self.path.read_bytes(), self.word)

    def save(self) -> None:
        records = [self.header, *self.records]
        self.path.write_bytes(psafe.write(records, self.word, random.Random(1), ROUNDS))

    def alter(self, chosen: Callable[[dict[str, str]], bool], **changes: str) -> None:
        """Change fields of the first entry that is `chosen`."""
        at = next(i for i, record in enumerate(self.records) if chosen(facts(record)))
        data = {TEXTS[name]: text.encode() for name, text in changes.items()}
        others = [field for field in self.records[at] if field.type not in data]
        self.records[at] = [*others, *(Field(kind, text) for kind, text in data.items())]
        self.save()


def held(entry: dict[str, str]) -> bool:
    return entry["group"] == "Hold"


@near_miss("the entry on hold got its issued password")
def hold_rotated(output: Path, params: dict[str, Any]) -> None:
    Vault(output, params).alter(held, password="Quartz-amber555")


@near_miss("the entry on hold put where its asset is")
def hold_moved(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    areas = {facts(record)["group"] for record in vault.records} - {"Hold", "Retired"}
    vault.alter(held, group=min(areas))


@near_miss("a leaver's user id replaced in every line of the notes")
def every_line(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    notes = next(n for r in vault.records if "Installed by " in (n := facts(r)["notes"]))
    installer = notes.split("Installed by ")[1].split()[0]
    custodian = notes.split("Custodian: ")[1].split()[0]
    vault.alter(lambda e: e["notes"] == notes, notes=notes.replace(installer, custodian))


@near_miss("one of the entries with a shared password left as it was")
def still_shared(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    first, second, *_ = (e for e in map(facts, vault.records) if e["url"] and not held(e))
    vault.alter(lambda entry: entry == second, password=first["password"])


@near_miss("a retirement that is only planned taken as done")
def one_more_deleted(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    at = next(i for i, record in enumerate(vault.records) if facts(record)["url"])
    del vault.records[at]
    vault.save()


@near_miss("the entries exported and imported: all is right but the UUIDs")
def made_anew(output: Path, params: dict[str, Any]) -> None:
    vault, rng = Vault(output, params), random.Random(2)
    for record in vault.records:
        at = next(i for i, field in enumerate(record) if field.type == UUID)
        record[at] = Field(UUID, rng.randbytes(16))
    vault.save()


@near_miss("a missing entry not added")
def gap_left(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    at = next(i for i, record in enumerate(vault.records) if not facts(record)["url"])
    del vault.records[at]
    vault.save()


@cheat("a right vault and its passwords beside it in the clear")
def list_beside(output: Path, params: dict[str, Any]) -> None:
    words = [facts(record)["password"] for record in Vault(output, params).records]
    (output / "export.txt").write_text("\n".join(words))


@cheat("a vault of one entry, so that little can be wrong")
def one_entry(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    vault.records = vault.records[-1:]
    vault.save()


@cheat("an empty vault under the new combination")
def emptied(output: Path, params: dict[str, Any]) -> None:
    vault = Vault(output, params)
    vault.records = []
    vault.save()


@cheat("the tag of a vault and nothing behind it")
def tag_only(output: Path) -> None:
    (output / "vault.psafe3").write_bytes(psafe.TAG + bytes(200) + psafe.END + bytes(32))
