"""Invent an intrusion and the innocent traffic around it, in true UTC seconds from day 0."""

from __future__ import annotations

import base64
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

HOUR = 3600
WEB, JUMP, DB, MAIL = "10.20.0.11", "10.20.0.15", "10.30.0.21", "10.20.0.40"
BACKUP = "10.20.0.30"
NAT = "198.51.100.9"
UPLOADS = "/portal/files/incoming"
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1",
    "curl/8.5.0",
)
PAGES = ("/", "/portal/login", "/portal/list?page=2", "/assets/site.css", "/assets/logo.svg",
         "/portal/attach", "/contact", "/prices?cur=EUR")  # fmt: skip
APPROVED = ("agent.watchwell.example", "deb.mirror.example", "updates.officesuite.example")
PEOPLE = (("ws-117", "m.okafor"), ("ws-121", "j.lindqvist"), ("ws-134", "r.castellan"),
          ("ws-140", "t.ibarra"), ("ws-152", "p.novotny"))  # fmt: skip

COMMANDS = (
    "/usr/bin/cat /etc/shadow",
    "/usr/bin/ls -la /home/deploy/.ssh",
    "/usr/bin/cp /home/deploy/.ssh/id_ed25519 /tmp/.k",
    "/usr/sbin/tcpdump -i any -c 200",
    "/usr/bin/find / -perm -4000",
)


@dataclass
class World:
    """True events by log, and the facts an investigation should find."""

    web: list[dict[str, Any]] = field(default_factory=list)
    auth: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    dns: list[dict[str, Any]] = field(default_factory=list)
    proxy: list[dict[str, Any]] = field(default_factory=list)
    nat: list[dict[str, Any]] = field(default_factory=list)
    leases: list[tuple] = field(default_factory=list)
    timeline: list[tuple[float, str, str, str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)


class Story:
    """Tells one intrusion; every chapter adds lines to logs and rows to the true timeline."""

    def __init__(self, params: dict, rng: random.Random) -> None:
        self.params, self.rng, self.world = params, rng, World()
        self.zero = params["shift_h"] * HOUR
        hosts = iter(rng.sample(range(10, 200), 40))
        self.scanner, self.intruder, self.noisy, self.tester = (
            f"203.0.113.{next(hosts)}" for _ in range(4)
        )
        self.visitors = [f"192.0.2.{next(hosts)}" for _ in range(30)]
        words = rng.sample(("cachet", "edgelet", "pixroute", "statnode", "logrelay", "syncpoint",
                            "fontbase", "metricor"), 3)  # fmt: skip
        self.depot, self.command, self.tunnel = (
            f"{w}-{rng.randint(11, 98)}.example" for w in words
        )
        self.shell = (
            f"/assets/{rng.choice(('img', 'fonts', 'cache'))}/thumb_{rng.getrandbits(24):06x}.php"
        )
        self.skew = {"web01": rng.randint(190, 290), "jump01": -rng.randint(70, 160),
                     "db01": -rng.randint(225, 250), "proxy01": rng.randint(25, 50)}  # fmt: skip
        self.step = self.at(9, 20)
        self.answers = {d: f"198.51.100.{next(hosts)}" for d in (self.depot, self.command)}
        self.automation = self._fingerprint()
        self.account = rng.choice(("svc_backup", "svc_report"))

    def at(self, hour: float, minute: float = 0) -> float:
        """Seconds from day 0; the story's own clock starts when the first probe comes."""
        return self.zero + hour * HOUR + minute * 60

    def tell(self) -> World:
        for chapter in (self.leases, self.visits, self.probes, self.break_in, self.brute_force,
                        self.sideways, self.tools, self.beacons, self.exfiltration, self.inside,
                        self.routine_logins, self.routine_proxy, self.routine_dns):  # fmt: skip
            chapter()
        self.world.facts.update(self._facts())
        return self.world

    def mark(self, t: float, host: str, event: str, source: str, account: str = "") -> None:
        self.world.timeline.append((t, host, event, source, account))

    def _fingerprint(self) -> str:
        raw = self.rng.getrandbits(256).to_bytes(32, "big")
        return "SHA256:" + base64.b64encode(raw).decode().rstrip("=")

    # web server

    def hit(self, t: float, ip: str, line: str, status: int, size: int = 0, **more: Any) -> None:
        rng = self.rng
        row = {"t": t, "ip": ip, "line": line, "status": status}
        row["port"] = more.get("port") or rng.randint(20000, 61000)
        row["size"] = size or rng.randint(180, 9000)
        row["agent"] = more.get("agent") or rng.choice(AGENTS[:3])
        row["rid"] = f"{rng.getrandbits(48):012x}"
        self.world.web.append(row)

    def visits(self) -> None:
        for _ in range(self.params["visits"]):
            page = self.rng.choice(PAGES)
            self.hit(self.at(self.rng.uniform(-1, 14)), self.rng.choice(self.visitors),
                     f"GET {page}", self.rng.choice((200, 200, 200, 304)))  # fmt: skip

        # two of the checks frame the clock's step, so that the log shows the jump back
        checks = [self.at(-1, 3 * k) + 7 for k in range(300)] + [self.step - 4, self.step + 4]
        for t in checks:
            self.hit(t, "10.20.0.50", "GET /health", 200, 17, agent=AGENTS[3])

    def probes(self) -> None:
        """A hostile scan, an agreed one at the end of its window, and one too slow to count."""
        rng = self.rng
        start = self.at(0, rng.randint(2, 12)) + rng.randint(0, 50)
        self._burst(start, self.scanner, rng.randint(34, 48), 1.4)
        self.mark(start, "web01", "SCAN", self.scanner)
        # ends the agreed window: inside it in truth, outside it by the fast clock of web01
        self.window = (self.at(-1), self.at(2, 30))
        self._burst(self.window[1] - rng.randint(100, 150), self.tester, 40, 1.3)
        self._burst(self.at(3), self.visitors[0], 26, 9.0)
        self._burst(self.at(5, 10), self.visitors[1], 19, 1.0)

    def _burst(self, start: float, ip: str, count: int, gap: float) -> None:
        names = ("admin", "old", "backup.zip", ".env", "wp-login.php", "phpinfo.php", ".git/config")
        for i in range(count):
            path = f"/{self.rng.choice(names)}?n={i}" if i % 3 else f"/{self.rng.choice(names)}"
            self.hit(start + int(i * gap), ip, f"GET {path}", 404, 153, agent=AGENTS[3])

    def break_in(self) -> None:
        """Refused uploads, one that succeeds, then commands through what it dropped."""
        rng = self.rng
        t = self.at(1, rng.randint(25, 40)) + rng.randint(0, 59)
        self.hit(t - 300, self.intruder, f"GET {self.shell}", 404)
        self.hit(t - 200, self.intruder, "POST /portal/attach?name=..%2Fcheck.txt", 403)
        self.hit(t - 120, self.intruder, "POST /portal/attach?name=invoice.pdf", 201)
        name = "%2E%2E%2F..%2F..%2F" + self.shell[1:].replace("/", "%2F")
        self.hit(t, self.intruder, f"POST /portal/attach?name={name}", 201)
        self.mark(t, "web01", "EXPLOIT", self.intruder)
        self.first = t
        for _ in range(rng.randint(6, 9)):
            t += rng.randint(40, 600)
            self._shell_call(t, self.intruder, 200)
            self.mark(t, "web01", "WEBSHELL", self.intruder)
        self._shell_call(t + 20, self.intruder, 500)

    def _shell_call(self, t: float, ip: str, status: int, port: int = 0) -> None:
        command = base64.b64encode(self.rng.getrandbits(72).to_bytes(9, "big")).decode()
        query = command.replace("+", "-").replace("/", "_")
        self.hit(t, ip, f"GET {self.shell}?k={query}", status, port=port, agent=AGENTS[3])

    def inside(self) -> None:
        """Three calls come through our own NAT: an infected desk, a responder, a port used again.

        web01's clock is put right in between, so that its log runs back over the same minutes.
        """
        rng, port = self.rng, self.rng.randint(40000, 60000)
        infected = "10.40.3.117"
        second = infected, int(self.step) + rng.randint(30, 100), port
        first = infected, int(self.step) - rng.randint(30, 100), rng.randint(30000, 39999)
        for ip, t, p in (first, second):
            self._nat(t - 4, 40, ip, p)
            self._shell_call(t, NAT, 200, port=p)
            self.mark(t, "web01", "WEBSHELL", ip)
        responder = self.at(12, rng.randint(5, 40))
        self._nat(responder - 3, 60, "10.40.3.134", port)
        self._shell_call(responder, NAT, 200, port=port)
        self._nat(self.at(1, 3), 90, "10.40.3.121", port)
        for _ in range(50):
            desk = rng.choice(("10.40.3.121", "10.40.3.140", "10.40.3.152"))
            t, p = int(self.at(rng.uniform(-1, 14))), rng.randint(20000, 29999)
            self._nat(t - 2, 30, desk, p)
            self.hit(t, NAT, f"GET {rng.choice(PAGES)}", 200, port=p)
        # the same public ports at the times that a wrong correction of the clock leads to
        self._nat(second[1] - self.skew["web01"] - 10, 25, "10.40.3.140", port)
        self._nat(first[1] + self.skew["web01"] - 10, 25, "10.40.3.140", first[2])

    def _nat(self, t: float, seconds: int, ip: str, port: int) -> None:
        inner = self.rng.randint(49152, 65000)
        self.world.nat.append({"t": int(t), "dur": seconds, "in": f"{ip}:{inner}", "port": port})

    def leases(self) -> None:
        """10.40.3.117 belongs to another desk until the morning of the intrusion."""
        rng = self.rng
        who = rng.sample(PEOPLE[:2], 2)
        change = self.at(3, rng.randint(0, 50))
        rows = [("10.40.3.117", who[0], -40 * HOUR, change), ("10.40.3.117", who[1], change,
                self.at(40))]  # fmt: skip
        rows += [(f"10.40.3.{name[3:]}", (name, user), -30 * HOUR, self.at(40))
                 for name, user in PEOPLE[2:]]  # fmt: skip
        rows.append(("10.40.3.121", ("ws-108", "a.brenner"), -30 * HOUR, self.at(40)))
        self.world.leases = rows
        self.infected = who[1]

    # logins

    def say(self, host: str, t: float, program: str, text: str, pid: int = 0) -> int:
        pids = self.world.pids
        pids[host] = pids.get(host, 1200) + self.rng.randint(1, 9)
        number = pid or pids[host]
        self.world.auth.setdefault(host, []).append((t, f"{program}[{number}]: {text}"))
        return number

    def login(self, host: str, t: float, user: str, ip: str, stay: float, how: str) -> None:
        port = self.rng.randint(30000, 60000)
        text = f"Accepted {how.split()[0]} for {user} from {ip} port {port} ssh2"
        key = how.partition(" ")[2]
        pid = self.say(host, t, "sshd", text + (f": ED25519 {key}" if key else ""))
        self.say(host, t, "sshd", f"pam_unix(sshd:session): session opened for user {user}", pid)
        closed = f"pam_unix(sshd:session): session closed for user {user}"
        self.say(host, t + stay, "sshd", closed, pid)

    def fail(self, host: str, t: float, user: str, ip: str, times: int = 1) -> None:
        line = f"Failed password for {user} from {ip} port {self.rng.randint(30000, 60000)} ssh2"
        pid = self.say(host, t, "sshd", line)
        if times > 1:
            text = f"message repeated {times - 1} times: [ {line}]"
            self.say(host, t + 2, "sshd", text, pid)

    def brute_force(self) -> None:
        """From web01 with success, from outside without; the session then uses sudo."""
        rng = self.rng
        t = self.at(3, rng.randint(32, 40))
        self.mark(t, "jump01", "BRUTE_FORCE", WEB)
        self.failures = 0
        users = ["root", "admin", "invalid user oracle", self.account]
        for i in range(rng.randint(9, 12)):
            times = rng.randint(2, 4) if i % 4 == 0 else 1
            self.fail("jump01", t, rng.choice(users) if i < 8 else self.account, WEB, times)
            self.failures += times
            t += rng.randint(6, 25)
        stay = self.at(6, rng.randint(20, 40)) - t
        self.session = (t, t + stay)
        self.login("jump01", t, self.account, WEB, stay, "password")
        self.mark(t, "jump01", "LOGIN", WEB, self.account)
        self._outside_brute_force()
        for command in rng.sample(COMMANDS, rng.randint(3, 5)):
            t += rng.randint(240, 900)
            self._sudo("jump01", t, self.account, command)
            self.mark(t, "jump01", "SUDO", WEB, self.account)

    def _outside_brute_force(self) -> None:
        t = self.at(2, self.rng.randint(5, 20))
        self.mark(t, "jump01", "BRUTE_FORCE", self.noisy)
        for _ in range(self.rng.randint(6, 8)):
            self.fail("jump01", t, "root", self.noisy, 2)
            t += self.rng.randint(20, 60)

    def _sudo(self, host: str, t: float, user: str, command: str) -> None:
        text = f"{user} : TTY=pts/1 ; PWD=/home/{user} ; USER=root ; COMMAND={command}"
        self.say(host, t, "sudo", text)

    def sideways(self) -> None:
        """With the stolen automation key to db01, when db01's slow clock says five past."""
        t = self.at(5, 5) - self.skew["db01"] + self.rng.randint(2, 20)
        self.db_session = (t, self.at(8, 50))
        self.login("db01", t, "deploy", JUMP, self.at(8, 50) - t, f"publickey {self.automation}")
        self.mark(t, "db01", "LOGIN", JUMP, "deploy")
        for command in ("/usr/bin/pg_dump -t customers shop", "/usr/bin/tar xzf /tmp/.u/u.tgz"):
            t += self.rng.randint(200, 700)
            self._sudo("db01", t, "deploy", command)
            self.mark(t, "db01", "SUDO", JUMP, "deploy")

    def routine_logins(self) -> None:
        """Cron, the hourly deployment, backups with sudo, and an administrator who mistypes."""
        rng = self.rng
        for host in ("jump01", "db01"):
            for k in range(-6, 84):
                text = "pam_unix(cron:session): session opened for user root(uid=0)"
                self.say(host, self.at(0, 10 * k) + rng.randint(1, 3), "CRON", text)
        for hour in range(-1, 14):
            t = self.at(hour, 5) + rng.randint(0, 20)
            self.login(
                "db01", t, "deploy", JUMP, rng.randint(20, 50), f"publickey {self.automation}"
            )
        for hour in (-0.5, 7.25, 12.5):
            t = self.at(hour)
            self.login("jump01", t, self.account, BACKUP, 400, f"publickey {self._fingerprint()}")
            self._sudo("jump01", t + 60, self.account, "/usr/local/sbin/backup --verify")
        for hour in (-0.2, 4.1, 10.3):
            t = self.at(hour)
            for k in range(3):
                self.fail("jump01", t + 8 * k, "h.vogt", "10.40.3.140")
            self.login("jump01", t + 40, "h.vogt", "10.40.3.140", 600, "password")
            self._sudo("jump01", t + 90, "h.vogt", "/usr/bin/apt-get update")

    # proxy and name server

    def fetch(self, t: float, ip: str, what: str, status: str, size: int = 0) -> None:
        size = size or self.rng.randint(500, 90000)
        self.world.proxy.append({"t": t, "ip": ip, "what": what, "status": status, "size": size})

    def tools(self) -> None:
        rng = self.rng
        t = self.db_session[0] + rng_minutes(self.rng, 20, 28)
        self.ask(t - 1.3, DB, "A", self.depot, self.answers[self.depot])
        self.fetch(t, DB, f"GET http://{self.depot}/r/u.tgz", "TCP_DENIED/403", 3900)
        for name in ("u.tgz", "run.sh"):
            t += rng.randint(20, 90) + rng.randint(0, 999) / 1000
            self.fetch(t, DB, f"GET http://{self.depot}/pkg/{name}", "TCP_MISS/200")
            self.mark(t, "proxy01", "DOWNLOAD", DB)

    def beacons(self) -> None:
        rng = self.rng
        t = self.at(6, rng.randint(0, 9)) + 0.25
        self.ask(t - 2, DB, "A", self.command, self.answers[self.command])
        self.mark(t, "proxy01", "BEACON", DB)
        for _ in range(rng.randint(24, 30)):
            self.fetch(t, DB, f"CONNECT {self.command}:443", "TCP_TUNNEL/200")
            t += rng.randint(285000, 315000) / 1000

    def ask(self, t: float, ip: str, kind: str, name: str, answer: str) -> None:
        self.world.dns.append({"t": t, "ip": ip, "kind": kind, "name": name, "answer": answer})

    def exfiltration(self) -> None:
        """A customer table leaves in TXT questions: out of order, some asked twice."""
        rng = self.rng
        count = rng.randint(60, 90)
        data = "customer_id,name,iban\n" + "".join(self._customer(i) for i in range(count))
        raw = data.encode()
        chunks = [raw[i : i + 30] for i in range(0, len(raw), 30)]
        order = list(range(len(chunks)))
        for i in range(0, len(order) - 1, 5):
            order[i], order[i + 1] = order[i + 1], order[i]
        t, session = self.at(7, rng.randint(2, 9)) + 0.4, f"{rng.getrandbits(16):04x}"
        self.mark(t, "ns01", "EXFIL", DB)
        for n in order:
            name = f"{n:04x}.{self._encoded(chunks[n])}.{session}.t.{self.tunnel}"
            for k in range(2 if rng.random() < 0.15 else 1):
                self.ask(t + 2 * k, DB, "TXT", name, '"ok"')
                self.last = t + 2 * k
            t += rng.randint(3000, 9000) / 1000
        self.world.facts |= {"exfil_bytes": len(raw), "exfil_records": count}

    def _customer(self, i: int) -> str:
        rng = self.rng
        name = rng.choice(
            ["Ada", "Ben", "Cleo", "Dara", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jun"]
        )
        family = rng.choice(
            ["Abbott", "Bauer", "Castro", "Dietz", "Eriks", "Farkas", "Greco", "Horvat"]
        )
        return f"{10400 + 7 * i},{name} {family},DE{rng.randrange(10**20):020d}\n"

    def _encoded(self, chunk: bytes) -> str:
        if self.params["encoding"] == "hex":
            return chunk.hex()
        return base64.b32encode(chunk).decode().rstrip("=").lower()

    def routine_proxy(self) -> None:
        rng = self.rng
        for k in range(160):
            self.fetch(self.at(-1, 5.5 * k) + rng.random(), DB, f"CONNECT {APPROVED[0]}:443",
                       "TCP_TUNNEL/200")  # fmt: skip
        for name in ("p/postgresql-16.tar.gz", "d/openssl.deb"):
            self.fetch(self.at(5.7), DB, f"GET http://{APPROVED[1]}/{name}", "TCP_MISS/200")
        for _ in range(200):
            desk = f"10.40.3.{rng.choice((117, 121, 134, 140, 152))}"
            site = rng.choice(("news.example", "weather.example", "maps.example", APPROVED[2]))
            self.fetch(self.at(rng.uniform(-1, 14)) , desk, f"CONNECT {site}:443",
                       "TCP_TUNNEL/200")  # fmt: skip
        self.fetch(
            self.at(5.5), "10.40.3.152", "GET http://tools.example/vpn-setup.sh", "TCP_MISS/200"
        )

    def routine_dns(self) -> None:
        rng = self.rng
        for k in range(90):
            self.ask(self.at(rng.uniform(-1, 14)), MAIL, "TXT", f"_dmarc.client{k:02d}.example",
                     '"v=DMARC1; p=none"')  # fmt: skip
        for _ in range(150):
            site = rng.choice(("news.example", "weather.example", "maps.example", *APPROVED))
            desk = f"10.40.3.{rng.choice((117, 121, 134, 140, 152))}"
            self.ask(self.at(rng.uniform(-1, 14)), desk, "A", site, f"192.0.2.{len(site) + 220}")

    def _facts(self) -> dict[str, Any]:
        connects = sorted(p["t"] for p in self.world.proxy if self.command in p["what"])
        gaps = sorted(b - a for a, b in itertools.pairwise(connects))
        half = len(gaps) // 2
        median = gaps[half] if len(gaps) % 2 else (gaps[half - 1] + gaps[half]) / 2
        return {
            "initial_access": int(self.first),
            "dwell_minutes": (int(self.last) - int(self.first)) // 60,
            "webshell": self.shell,
            "hosts": sorted(["web01", "jump01", "db01", self.infected[0]]),
            "accounts": sorted([self.account, "deploy"]),
            "addresses": sorted([self.scanner, self.intruder, self.noisy]),
            "inside": {"address": "10.40.3.117", "hostname": self.infected[0],
                       "user": self.infected[1]},
            "failures": self.failures,
            "beacon": median,
            "indicators": sorted([*(("ip", ip) for ip in (self.scanner, self.intruder, self.noisy,
                                                          *self.answers.values())),
                                  *(("domain", d) for d in (self.depot, self.command, self.tunnel)),
                                  ("path", self.shell)]),
        }  # fmt: skip


def rng_minutes(rng: random.Random, low: int, high: int) -> float:
    return 60 * rng.randint(low, high) + rng.randint(0, 59)
