"""Incident timeline: build a break-in, run the oracle, grade timeline, indicators and report."""

from __future__ import annotations

import csv
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import logs
from pytest import approx
from world import Story

from pytest_ale import cheat, near_miss
from pytest_ale.files import read_csv, read_json

HERE = Path(__file__).parent
COLUMNS = ("utc", "log_host", "event", "source", "account")
WEB_EVENTS = {"SCAN", "EXPLOIT", "WEBSHELL"}
LOGIN_EVENTS = {"BRUTE_FORCE", "LOGIN", "SUDO"}
NET_EVENTS = {"DOWNLOAD", "BEACON", "EXFIL"}
KEYS = {
    "initial_access_utc", "dwell_minutes", "attacker_addresses", "compromised_hosts",
    "compromised_accounts", "inside_client", "failed_passwords", "beacon_interval_s",
    "exfil_bytes", "exfil_records",
}  # fmt: skip


def build(inputs: Path, reference: Path, params: dict[str, Any], rng: random.Random) -> None:
    story = Story(params, rng)
    world = story.tell()
    clockwork = logs.write(inputs, story, params)
    facts = world.facts
    timeline = [(clockwork.iso(t), *rest) for t, *rest in sorted(world.timeline)]
    report = {
        "initial_access_utc": clockwork.iso(facts["initial_access"]),
        "dwell_minutes": facts["dwell_minutes"],
        "attacker_addresses": facts["addresses"],
        "compromised_hosts": facts["hosts"],
        "compromised_accounts": facts["accounts"],
        "inside_client": facts["inside"],
        "failed_passwords": facts["failures"],
        "beacon_interval_s": facts["beacon"],
        "exfil_bytes": facts["exfil_bytes"],
        "exfil_records": facts["exfil_records"],
    }
    key = {"timeline": timeline, "indicators": facts["indicators"], "report": report}
    (reference / "key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")


def solve(sandbox: Any, params: dict[str, Any]) -> None:
    script = f"{sandbox.home}/oracle.py"
    sandbox.write(script, (HERE / "oracle.py").read_text(encoding="utf-8"))
    sandbox.exec(["python3", script, sandbox.inputs, sandbox.output], check=True)


def evaluate(output: Path, reference: Path, check: Any) -> None:
    key = json.loads((reference / "key.json").read_text(encoding="utf-8"))
    wanted = key["report"]

    with check("timeline, indicators and report can be read"):
        assert timeline(output), "the timeline is empty"
        assert indicators(output), "there are no indicators"
        assert set(report(output)) == KEYS
    for name, events in (
        ("web events are complete and exact", WEB_EVENTS),
        ("logins and privileged commands are complete and exact", LOGIN_EVENTS),
        ("proxy and name server events are complete and exact", NET_EVENTS),
    ):
        with check(name):
            assert of_kind(timeline(output), events) == of_kind(key["timeline"], events)
    with check("nothing else is in the timeline and it is in order"):
        rows = timeline(output)
        assert len(rows) == len(key["timeline"])
        assert {row[2] for row in rows} == WEB_EVENTS | LOGIN_EVENTS | NET_EVENTS
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    with check("indicators are the right set"):
        assert indicators(output) == sorted(map(tuple, key["indicators"]))
    with check("access and dwell time"):
        same(report(output), wanted, "initial_access_utc", "dwell_minutes")
    with check("hosts, accounts and addresses"):
        for name in ("compromised_hosts", "compromised_accounts", "attacker_addresses"):
            assert sorted(report(output)[name]) == sorted(wanted[name])
    with check("the desk behind the NAT is named"):
        same(report(output), wanted, "inside_client")
    with check("passwords and beacons are counted"):
        same(report(output), wanted, "failed_passwords")
        # a tenth of a second: enough for any rounding of a median of milliseconds
        assert number(report(output)["beacon_interval_s"]) == approx(
            wanted["beacon_interval_s"], abs=0.1
        )
    with check("the stolen data is measured"):
        same(report(output), wanted, "exfil_bytes", "exfil_records")


def timeline(output: Path) -> list[tuple[str, ...]]:
    rows = read_csv(output / "timeline.csv", limit=500_000, columns=COLUMNS)
    return [tuple(row[name].strip() for name in COLUMNS) for row in rows]


def indicators(output: Path) -> list[tuple[str, str]]:
    rows = read_csv(output / "indicators.csv", limit=500_000, columns=("type", "value"))
    return sorted((row["type"].strip(), row["value"].strip()) for row in rows)


def report(output: Path) -> dict[str, Any]:
    found = read_json(output / "report.json", limit=200_000)
    assert isinstance(found, dict), "the report is not an object"
    return found


def of_kind(rows: list, events: set[str]) -> list[tuple[str, ...]]:
    return sorted(tuple(row) for row in rows if row[2] in events)


def same(found: dict[str, Any], wanted: dict[str, Any], *names: str) -> None:
    assert not any(isinstance(found[name], bool) for name in names)
    assert {name: found[name] for name in names} == {name: wanted[name] for name in names}


def number(value: object) -> float:
    assert isinstance(value, (int, float)) and not isinstance(value, bool)
    return value


# controls


def load(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def edit_report(output: Path, **changes: object) -> None:
    path = output / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shifted(stamp: str, **delta: int) -> str:
    form = "%Y-%m-%dT%H:%M:%SZ"
    return (datetime.strptime(stamp, form) + timedelta(**delta)).strftime(form)


@near_miss("db01's logins an hour late: the repeated hour, or the zone, taken the other way")
def other_hour(output: Path) -> None:
    rows = load(output / "timeline.csv")
    for row in rows:
        if row["log_host"] == "db01":
            row["utc"] = shifted(row["utc"], hours=1)
    save(output / "timeline.csv", sorted(rows, key=lambda row: row["utc"]))


@near_miss("the desk's calls to the web shell are left at the address of the NAT")
def nat_not_resolved(output: Path) -> None:
    rows = load(output / "timeline.csv")
    for row in rows:
        if row["event"] == "WEBSHELL" and row["source"].startswith("10."):
            row["source"] = "198.51.100.9"
    save(output / "timeline.csv", rows)


@near_miss("data asked for twice in the tunnel is counted twice")
def repeats_counted(output: Path) -> None:
    size = json.loads((output / "report.json").read_text())["exfil_bytes"]
    edit_report(output, exfil_bytes=size + 30)


@near_miss("the addresses behind the hostile domains are forgotten among the indicators")
def no_resolved_addresses(output: Path) -> None:
    rows = load(output / "indicators.csv")
    sources = set(json.loads((output / "report.json").read_text())["attacker_addresses"])
    save(output / "indicators.csv", [r for r in rows if r["type"] != "ip" or r["value"] in sources])


@near_miss("repeated log lines are counted as one failed password")
def repeats_ignored(output: Path) -> None:
    count = json.loads((output / "report.json").read_text())["failed_passwords"]
    edit_report(output, failed_passwords=count - 3)


@cheat("tables with one empty row each and a report of nothing")
def hollow(output: Path) -> None:
    save(output / "timeline.csv", [dict.fromkeys(COLUMNS, "")])
    save(output / "indicators.csv", [{"type": "", "value": ""}])
    (output / "report.json").write_text(json.dumps(dict.fromkeys(sorted(KEYS), 0)))


@cheat("every address in the book is an indicator, every second an event")
def everything(output: Path) -> None:
    ips = [{"type": "ip", "value": f"203.0.113.{i}"} for i in range(256)]
    save(output / "indicators.csv", load(output / "indicators.csv") + ips)
    rows = load(output / "timeline.csv")
    late = [{**row, "utc": shifted(row["utc"], seconds=i)} for row in rows for i in range(-5, 6)]
    save(output / "timeline.csv", late)
    edit_report(output, compromised_hosts=["web01", "jump01", "db01", "mail01", "backup01"],
                inside_client={}, exfil_bytes=10**6, exfil_records=10**4)  # fmt: skip
