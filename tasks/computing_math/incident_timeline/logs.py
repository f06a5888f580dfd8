"""Write a story's logs the way each host would have, wrong clocks and local times included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

from world import APPROVED, BACKUP, DB, JUMP, MAIL, NAT, WEB, Story

HERE = Path(__file__).parent
# zone -> (offset before and after the change in hours, the change in UTC, words for the formats)
ZONES = {
    "berlin": (2, 1, "2026-10-25T01:00:00", "Europe/Berlin: UTC+2 until 2026-10-25 01:00 UTC, when"
               " clocks went back from 03:00 to 02:00, UTC+1 since"),
    "new_york": (-5, -5, "2026-01-01T00:00:00", "America/New_York: UTC-5 all the time"),
}  # fmt: skip


class Clockwork:
    """Turns true seconds of the story into what a host writes down."""

    def __init__(self, day: str, zone: str) -> None:
        self.zero = dt.datetime.fromisoformat(day)
        self.before, self.after, change, self.words = ZONES[zone]
        self.change = dt.datetime.fromisoformat(change)

    def utc(self, t: float) -> dt.datetime:
        return self.zero + dt.timedelta(milliseconds=round(t * 1000))

    def iso(self, t: float) -> str:
        return self.utc(t).strftime("%Y-%m-%dT%H:%M:%SZ")

    def local(self, t: float) -> tuple[dt.datetime, int]:
        when = self.utc(t)
        hours = self.before if when < self.change else self.after
        return when + dt.timedelta(hours=hours), hours


def write(inputs: Path, story: Story, params: dict) -> Clockwork:
    clockwork = Clockwork(params["day"], params["zone"])
    for name in ("web01", "jump01", "db01", "proxy01", "ns01", "fw01"):
        (inputs / name).mkdir()
    _web(inputs / "web01", story, clockwork)
    _auth(inputs, story, clockwork)
    _proxy(inputs / "proxy01", story, clockwork)
    _rest(inputs, story, clockwork)
    _texts(inputs, story, clockwork)
    return clockwork


def _save(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _web(folder: Path, story: Story, clockwork: Clockwork) -> None:
    rows = sorted(story.world.web, key=lambda row: row["t"])
    lines = [_access_line(row, story, clockwork) for row in rows]
    cut = sum(row["t"] < story.at(4, 40) for row in rows)
    _save(folder / "access.log.1", lines[:cut])
    _save(folder / "access.log", lines[cut - 7 :])


def _access_line(row: dict, story: Story, clockwork: Clockwork) -> str:
    skew = story.skew["web01"] if row["t"] < story.step else 0
    when = clockwork.utc(int(row["t"]) + skew).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return (
        f'{row["ip"]} {row["port"]} - - [{when}] "{row["line"]} HTTP/1.1" {row["status"]}'
        f' {row["size"]} "-" "{row["agent"]}" rid={row["rid"]}'
    )


def _auth(inputs: Path, story: Story, clockwork: Clockwork) -> None:
    for host, entries in story.world.auth.items():
        entries.sort(key=lambda entry: entry[0])
        lines = [_syslog(t, host, text, story, clockwork) for t, text in entries]
        cut = sum(t < story.at(4, 2) for t, _ in entries) if host == "jump01" else 0
        if cut:
            _save(inputs / host / "auth.log.1", lines[:cut])
        _save(inputs / host / "auth.log", lines[cut:])


def _syslog(t: float, host: str, text: str, story: Story, clockwork: Clockwork) -> str:
    when, _ = clockwork.local(int(t) + story.skew[host])
    return f"{when.strftime('%b')} {when.day:2d} {when.strftime('%H:%M:%S')} {host} {text}"


def _proxy(folder: Path, story: Story, clockwork: Clockwork) -> None:
    lines = []
    for row in sorted(story.world.proxy, key=lambda row: row["t"]):
        since = clockwork.utc(row["t"] + story.skew["proxy01"]) - dt.datetime(1970, 1, 1)
        millis = since // dt.timedelta(milliseconds=1)
        lines.append(
            f"{millis // 1000}.{millis % 1000:03d} {row['size'] % 900:6d} {row['ip']}"
            f" {row['status']} {row['size']} {row['what']} - HIER_DIRECT/-"
        )
    _save(folder / "access.log", lines)


def _rest(inputs: Path, story: Story, clockwork: Clockwork) -> None:
    dns = sorted(story.world.dns, key=lambda row: row["t"])
    _save(inputs / "ns01" / "queries.log", (_query(row, clockwork) for row in dns))
    nat = sorted(story.world.nat, key=lambda row: row["t"])
    _save(inputs / "fw01" / "nat.log", (_nat(row, clockwork) for row in nat))
    leases = [
        f"{ip},{host},{user},{clockwork.iso(a)},{clockwork.iso(b)}"
        for ip, (host, user), a, b in sorted(story.world.leases)
    ]
    _save(inputs / "dhcp_leases.csv", ["address,hostname,user,start_utc,end_utc", *leases])


def _query(row: dict, clockwork: Clockwork) -> str:
    when = clockwork.utc(row["t"]).isoformat(timespec="milliseconds")
    return f"{when}Z client {row['ip']} query {row['kind']} {row['name']} answer {row['answer']}"


def _nat(row: dict, clockwork: Clockwork) -> str:
    when, hours = clockwork.local(row["t"])
    stamp = f"{when.isoformat(timespec='seconds')}{hours:+03d}:00"
    return (
        f"{stamp} SNAT in={row['in']} out={NAT}:{row['port']} dst=192.0.2.250:443 dur={row['dur']}"
    )


def _texts(inputs: Path, story: Story, clockwork: Clockwork) -> None:
    words = {
        "zone_text": f"local time ({clockwork.words})",
        "fw_text": "local time with its UTC offset",
        "web": WEB, "jump": JUMP, "db": DB, "mail": MAIL, "backup": BACKUP, "nat": NAT,
        "first": clockwork.iso(story.at(-1))[:10], "last": clockwork.iso(story.at(14))[:10],
        "tester": story.tester, "window_start": clockwork.iso(story.window[0]),
        "window_end": clockwork.iso(story.window[1]), "responder": "r.castellan",
        "desk": "ws-134", "key": story.automation, "approved": ", ".join(APPROVED),
    }  # fmt: skip
    for name in ("playbook", "formats", "scope"):
        text = (HERE / "texts" / f"{name}.md").read_text(encoding="utf-8")
        filled = text if name == "playbook" else text.format(**words)
        (inputs / f"{name}.md").write_text(filled, encoding="utf-8")
    (inputs / "clocks.md").write_text(_clocks(story, clockwork), encoding="utf-8")


def _clocks(story: Story, clockwork: Clockwork) -> str:
    skew, step = story.skew, clockwork.iso(story.step)
    return (
        "# Clock offsets, measured against the firewall's GPS clock\n\n"
        f"- web01: {skew['web01']} s fast, until its time service was restarted at {step} (true"
        " time), which set the clock back; right since.\n"
        f"- jump01: {-skew['jump01']} s slow all the time.\n"
        f"- db01: {-skew['db01']} s slow all the time.\n"
        f"- proxy01: {skew['proxy01']} s fast all the time.\n"
        "- ns01, fw01 and the DHCP server: right.\n"
    )
