"""Investigate the break-in from the logs alone, as the playbook says."""

from __future__ import annotations

import base64
import binascii
import csv
import itertools
import json
import posixpath
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import unquote

UTC = UTC
WEB_LINE = re.compile(
    r'(\S+) (\d+) - - \[([^\]]+)\] "(\S+) (\S+) \S+" (\d+) \d+ "-" "[^"]*" rid=(\w+)'
)
FAILED = r"Failed password for (?:invalid user )?\S+ from (\S+) port"
SPOILS = (".tgz", ".zip", ".sh", ".exe", ".bin")
Row = tuple[datetime, str, str, str, str]


class Case:
    """Corrected logs, and the rows of the timeline found in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scope, self.formats, clocks = (
            (folder / f"{name}.md").read_text(encoding="utf-8")
            for name in ("scope", "formats", "clocks")
        )
        self.clocks = {
            host: timedelta(seconds=int(n) * (1 if way == "fast" else -1))
            for host, n, way in re.findall(r"- (\w+): (\d+) s (fast|slow)", clocks)
        }
        self.restart = when(re.search(r"restarted at (\S+Z)", clocks)[1])
        self.address = dict(re.findall(r"(\w+01) ([\d.]+)", self.formats))
        self.nat = re.search(r"we all appear as ([\d.]+)", self.formats)[1]
        self.approved = re.search(r"for servers: (.*)\. Domains", self.scope)[1].split(", ")
        self.rows: list[Row] = []

    def add(self, t: datetime, host: str, event: str, source: str, account: str = "") -> None:
        self.rows.append((t, host, event, source, account))

    def lines(self, *names: str) -> Iterator[str]:
        for name in names:
            path = self.folder / name
            if path.exists():
                yield from path.read_text(encoding="utf-8").splitlines()

    # web01

    def read_web(self) -> list[dict]:
        hits, seen, last, stepped = [], set(), None, False
        for line in self.lines("web01/access.log.1", "web01/access.log"):
            ip, port, stamp, method, target, status, rid = WEB_LINE.match(line).groups()
            if rid in seen:
                continue
            seen.add(rid)
            t = datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z")
            # the one jump back is where the clock was put right
            stepped = stepped or (last is not None and last - t > timedelta(seconds=60))
            last = t
            t -= timedelta(0) if stepped else self.clocks["web01"]
            assert stepped == (t >= self.restart)
            hits.append({"t": t, "ip": self.inside(ip, port, t), "raw": ip, "method": method,
                         "target": target, "status": int(status)})  # fmt: skip
        return hits

    def inside(self, ip: str, port: str, t: datetime) -> str:
        if ip != self.nat:
            return ip
        for line in self.lines("fw01/nat.log"):
            m = re.match(r"(\S+) SNAT in=([\d.]+):\d+ out=[\d.]+:(\d+) \S+ dur=(\d+)", line)
            start = datetime.fromisoformat(m[1])
            if m[3] == port and start <= t <= start + timedelta(seconds=int(m[4])):
                return m[2]
        raise ValueError((ip, port, t))

    def outside(self, ip: str) -> bool:
        return not ip.startswith("10.") and ip != self.nat

    def web(self) -> None:
        hits = self.read_web()
        misses: dict[str, list[datetime]] = defaultdict(list)
        for hit in hits:
            if hit["status"] == 404 and self.outside(hit["raw"]):
                misses[hit["ip"]].append(hit["t"])
        for ip, times in misses.items():
            if dense(times, 25, 60) and not self.agreed(ip, times[0]):
                self.add(times[0], "web01", "SCAN", ip)
        self.dropped = [path for hit in hits for path in self.drop(hit)]
        self.visits(hits)

    def agreed(self, ip: str, t: datetime) -> bool:
        m = re.search(r"run from (\S+), from (\S+Z) to (\S+Z)\.", self.scope)
        return ip == m[1] and when(m[2]) <= t <= when(m[3])

    def drop(self, hit: dict) -> list[str]:
        path, _, query = hit["target"].partition("?name=")
        if (hit["method"], path, hit["status"]) != ("POST", "/portal/attach", 201):
            return []
        base = "/portal/files/incoming/"
        place = posixpath.normpath(base + unquote(query))
        if place.startswith(base):
            return []
        self.add(hit["t"], "web01", "EXPLOIT", hit["ip"])
        return [place]

    def visits(self, hits: list[dict]) -> None:
        responder = re.search(r"\(desk (\S+)\)", self.scope)[1]
        self.desks: set[tuple[str, str, str]] = set()
        for hit in hits:
            if hit["target"].partition("?")[0] not in self.dropped or hit["status"] != 200:
                continue
            desk = None if self.outside(hit["ip"]) else self.lease(hit["ip"], hit["t"])
            if desk and desk[1] == responder:
                continue
            self.add(hit["t"], "web01", "WEBSHELL", hit["ip"])
            if desk:
                self.desks.add(desk)

    def lease(self, ip: str, t: datetime) -> tuple[str, str, str]:
        with (self.folder / "dhcp_leases.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["address"] == ip and when(row["start_utc"]) <= t < when(row["end_utc"]):
                    return ip, row["hostname"], row["user"]
        raise ValueError((ip, t))

    # logins

    def local_to_host_utc(self) -> Callable[[str, datetime | None], datetime]:
        """How a syslog stamp becomes the host's idea of UTC, given the line before."""
        m = re.search(r"UTC([+-]\d+) until (\S+ \S+) UTC.*UTC([+-]\d+) since", self.formats)
        only = re.search(r"UTC([+-]\d+) all the time", self.formats)
        offsets = [int(m[1]), int(m[3])] if m else [int(only[1])]
        change = datetime.fromisoformat(m[2] + ":00+00:00") if m else None
        years = sorted({int(y) for y in re.findall(r"(20\d\d)-\d\d-\d\d", self.scope)})

        def convert(stamp: str, last: datetime | None) -> datetime:
            found = []
            for year in years:
                local = datetime.strptime(f"{year} {stamp}", "%Y %b %d %H:%M:%S")
                for i, hours in enumerate(offsets):
                    t = local.replace(tzinfo=UTC) - timedelta(hours=hours)
                    if change is None or (t >= change) == (i == 1):
                        found.append(t)
            limit = last or self.first_day()
            return min(t for t in found if t >= limit - timedelta(seconds=5))

        return convert

    def first_day(self) -> datetime:
        return when(re.search(r"Logs of (\S+) and", self.scope)[1] + "T00:00:00Z")

    def read_auth(self, host: str) -> Iterator[tuple[datetime, str]]:
        convert, last = self.local_to_host_utc(), None
        for line in self.lines(f"{host}/auth.log.1", f"{host}/auth.log"):
            last = convert(line[:15], last)
            yield last - self.clocks[host], line[16 + len(host) + 1 :]

    def logins(self) -> None:
        """jump01 first: whether a session is open there decides about logins on db01."""
        self.sessions: dict[str, list[list]] = defaultdict(list)
        for host in ("jump01", "db01"):
            entries = list(self.read_auth(host))
            brute = self.brute_force(host, entries)
            for t, text in entries:
                self.session_line(host, t, text, brute)
        for host, sessions in self.sessions.items():
            for t, text in self.read_auth(host):
                self.sudo(host, t, text, sessions)

    def brute_force(self, host: str, entries: list[tuple[datetime, str]]) -> dict[str, datetime]:
        fails: dict[str, list[datetime]] = defaultdict(list)
        for t, text in entries:
            if m := re.search(FAILED, text):
                again = re.search(r"message repeated (\d+) times", text)
                fails[m[1]] += [t] * int(again[1] if again else 1)
        brute = {ip: times[0] for ip, times in fails.items() if dense(times, 10, 600)}
        for ip, t in brute.items():
            self.add(t, host, "BRUTE_FORCE", ip)
        if host == "jump01":
            self.fails = fails
        return brute

    def session_line(self, host: str, t: datetime, text: str, brute: dict[str, datetime]) -> None:
        m = re.match(r"sshd\[(\d+)\]: Accepted \S+ for (\S+) from (\S+) port", text)
        if m and self.hostile(t, text, m[2], m[3], brute):
            self.add(t, host, "LOGIN", m[3], m[2])
            self.sessions[host].append([m[1], m[2], m[3], t, None])
        if m := re.match(r"sshd\[(\d+)\]: pam_unix\(sshd:session\): session closed", text):
            for session in self.sessions[host]:
                if session[0] == m[1] and session[4] is None:
                    session[4] = t

    def hostile(self, t: datetime, text: str, user: str, ip: str, brute: dict) -> bool:
        if ip in brute and t >= brute[ip]:
            return True
        key = re.search(r"automation key `(\S+)`", self.scope)[1]
        if text.endswith(key) and user == "deploy" and t.minute == 5:
            return False
        names = [name for name, address in self.address.items() if address == ip]
        return any(s[3] <= t and (s[4] is None or t <= s[4])
                   for name in names for s in self.sessions[name])  # fmt: skip

    def sudo(self, host: str, t: datetime, text: str, sessions: list[list]) -> None:
        m = re.match(r"sudo\[\d+\]: (\S+) : .*COMMAND=", text)
        for _, user, ip, start, end in sessions:
            if m and m[1] == user and start <= t and (end is None or t <= end):
                self.add(t, host, "SUDO", ip, user)

    # proxy and name server

    def network(self) -> None:
        hosts = {row[1] for row in self.rows if row[2] == "LOGIN"} | {"web01"}
        mine = {self.address[h] for h in hosts} | {ip for ip, _, _ in self.desks}
        self.domains: set[str] = set()
        connects: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for line in self.lines("proxy01/access.log"):
            stamp, _, ip, status, _, method, target, *_ = line.split()
            t = datetime.fromtimestamp(float(stamp), UTC) - self.clocks["proxy01"]
            name = re.sub(r"^http://", "", target).partition("/")[0].partition(":")[0]
            if ip not in mine or self.known(name):
                continue
            if method == "CONNECT":
                connects[ip, name].append(t)
            elif status.endswith("/200") and target.endswith(SPOILS):
                self.add(t, "proxy01", "DOWNLOAD", ip)
                self.domains.add(registered(name))
        self.beacons(connects)

    def known(self, name: str) -> bool:
        return any(name == good or name.endswith("." + good) for good in self.approved)

    def beacons(self, connects: dict[tuple[str, str], list[datetime]]) -> None:
        for (ip, name), times in connects.items():
            pairs = itertools.pairwise(times)
            gaps = [(b - a).total_seconds() for a, b in pairs]
            if len(times) >= 10 and all(240 <= gap <= 360 for gap in gaps):
                self.add(times[0], "proxy01", "BEACON", ip)
                self.domains.add(registered(name))
                self.interval = round(median(gaps), 4)

    def names(self) -> None:
        asked: dict[tuple[str, str], dict[str, datetime]] = defaultdict(dict)
        last: dict[tuple[str, str], datetime] = {}
        answers: dict[str, set[str]] = defaultdict(set)
        for line in self.lines("ns01/queries.log"):
            stamp, _, ip, _, kind, name, _, answer = line.split(maxsplit=7)
            if kind == "A":
                answers[registered(name)].add(answer)
            else:
                asked[ip, registered(name)].setdefault(name, when(stamp))
                last[ip, registered(name)] = when(stamp)
        for (ip, domain), names in asked.items():
            if len(names) >= 30:
                self.add(min(names.values()), "ns01", "EXFIL", ip)
                self.domains.add(domain)
                self.left, self.data = last[ip, domain], reassembled(names)
        self.resolved = {a for domain in self.domains for a in answers[domain]}

    # products

    def report(self) -> dict:
        access = min(row[0] for row in self.rows if row[2] == "EXPLOIT")
        entered = next(row for row in self.rows if row[2:4] == ("LOGIN", self.address["web01"]))
        fails = [t for t in self.fails[entered[3]] if t <= entered[0]]
        logins = [row for row in self.rows if row[2] == "LOGIN"]
        desk = next(iter(self.desks))
        return {
            "initial_access_utc": iso(access),
            "dwell_minutes": int((floor(self.left) - access).total_seconds() // 60),
            "attacker_addresses": sorted({r[3] for r in self.rows if self.outside(r[3])}),
            "compromised_hosts": sorted({"web01", desk[1], *(row[1] for row in logins)}),
            "compromised_accounts": sorted({row[4] for row in logins}),
            "inside_client": {"address": desk[0], "hostname": desk[1], "user": desk[2]},
            "failed_passwords": len(fails),
            "beacon_interval_s": self.interval,
            "exfil_bytes": len(self.data),
            "exfil_records": len(self.data.decode().splitlines()) - 1,
        }

    def indicators(self) -> list[tuple[str, str]]:
        ips = {row[3] for row in self.rows if self.outside(row[3])} | self.resolved
        return [*(("ip", ip) for ip in sorted(ips)),
                *(("domain", d) for d in sorted(self.domains)),
                *(("path", p) for p in self.dropped)]  # fmt: skip


def when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def floor(t: datetime) -> datetime:
    return t.replace(microsecond=0)


def iso(t: datetime) -> str:
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def dense(times: list[datetime], count: int, seconds: int) -> bool:
    span = timedelta(seconds=seconds)
    pairs = zip(times, times[count - 1 :], strict=False)
    return any(b - a <= span for a, b in pairs)


def registered(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def reassembled(names: dict[str, datetime]) -> bytes:
    """Join the numbered pieces; hex if all of them are hex digits, else base32."""
    pieces = {int(name.split(".")[0], 16): name.split(".")[1] for name in names}
    texts = [pieces[i] for i in sorted(pieces)]
    try:
        return b"".join(binascii.unhexlify(text) for text in texts)
    except binascii.Error:
        return b"".join(base64.b32decode(t.upper() + "=" * (-len(t) % 8)) for t in texts)


def write(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def main(inputs: Path, output: Path) -> None:
    case = Case(inputs)
    for step in (case.web, case.logins, case.network, case.names):
        step()
    rows = [(iso(t), *rest) for t, *rest in sorted(case.rows)]
    write(output / "timeline.csv", "utc,log_host,event,source,account", rows)
    write(output / "indicators.csv", "type,value", case.indicators())
    (output / "report.json").write_text(json.dumps(case.report(), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
