"""Check a shop plan rule by rule, minute by minute; shares no code with what made the plan."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_ale.files import read_csv

DAY = 1440
COLUMNS = ("order", "op", "machine", "setter", "start", "run_start", "end")
PROMISES = ("order", "finished", "ships_on", "days_late", "penalty_eur")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")


@dataclass(frozen=True)
class Row:
    """One booked operation; times are minutes since Monday 00:00 of the first week."""

    order: str
    op: int
    machine: str
    setter: str
    start: int
    run_start: int
    end: int

    def __str__(self) -> str:
        return f"{self.order}/{self.op} on {self.machine} at {self.start}"


def stamp(shop: dict, minute: int) -> str:
    when = dt.datetime.fromisoformat(shop["monday"]) + dt.timedelta(minutes=minute)
    return when.strftime("%Y-%m-%dT%H:%M")


def day_text(shop: dict, day: int) -> str:
    return (dt.date.fromisoformat(shop["monday"]) + dt.timedelta(days=day)).isoformat()


def _minute(shop: dict, text: str) -> int:
    if not _STAMP.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a time like 2026-05-04T06:00")
    delta = dt.datetime.fromisoformat(text) - dt.datetime.fromisoformat(shop["monday"])
    return int(delta.total_seconds()) // 60


def whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)


def read_plan(path: Path, shop: dict) -> list[Row]:
    """The rows of a plan file, each cell in the form the prompt asks for."""
    rows = []
    for line in read_csv(path, limit=1_000_000, columns=COLUMNS):
        times = [_minute(shop, line[name]) for name in COLUMNS[4:]]
        rows.append(Row(line["order"], whole(line["op"]), line["machine"], line["setter"], *times))
    assert rows, "the plan has no rows"
    return rows


class Plan:
    """A submitted plan beside the shop it is for; every check starts from a complete plan."""

    def __init__(self, rows: list[Row], shop: dict) -> None:
        self.rows, self.shop = rows, shop
        self.ops = {(name, op["op"]): op for name, o in shop["orders"].items() for op in o["ops"]}

    def complete(self) -> None:
        found = sorted((row.order, row.op) for row in self.rows)
        assert found == sorted(self.ops), "operations planned are not the open ones, each once"
        wrong = [str(r) for r in self.rows if not r.start <= r.run_start <= r.end]
        assert not wrong, f"time runs backwards: {wrong[:5]}"
        late = [
            str(r) for r in self.rows if r.start < 360 or r.end > max(self.shop["workdays"]) * DAY
        ]
        assert not late, f"outside the planning horizon: {late[:5]}"

    def routing(self) -> None:
        """Right work centre, right order of steps, transport, material, van timetable."""
        self.complete()
        centre = {name: m["centre"] for name, m in self.shop["machines"].items()} | {"VAN": "VAN"}
        wrong = [r for r in self.rows if centre.get(r.machine) != self.op(r)["centre"]]
        assert not wrong, f"on a machine of another work centre: {_few(wrong)}"
        early = [r for steps in self.by_order().values() for r in self._too_early(steps)]
        assert not early, f"before material, the step before, or transport: {_few(early)}"
        vans = [r for r in self.rows if r.machine == "VAN" and not self._van_runs(r)]
        assert not vans, f"not as the van runs: {_few(vans)}"

    def op(self, row: Row) -> dict:
        return self.ops[row.order, row.op]

    def by_order(self) -> dict[str, list[Row]]:
        steps: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda r: (r.order, r.op)):
            steps.setdefault(row.order, []).append(row)
        return steps

    def _too_early(self, steps: list[Row]) -> list[Row]:
        order = self.shop["orders"][steps[0].order]
        at, ready, early = order["at"], order["ready"], []
        for row in steps:
            if row.start < ready + self._transport(at, row.machine):
                early.append(row)
            at, ready = row.machine, row.end
        return early

    def _transport(self, old: str, new: str) -> int:
        rules = self.shop["rules"]
        if new == "VAN" or not old or old == new:
            return 0
        return rules["goods_in"] if old == "VAN" else rules["move"]

    def _van_runs(self, row: Row) -> bool:
        rules, days = self.shop["rules"], self.shop["workdays"]
        day, clock = divmod(row.start, DAY)
        if clock != rules["van"] or day not in days or row.setter or row.run_start != row.start:
            return False
        back = days[days.index(day) + rules["van_days"]]
        return row.end == back * DAY + rules["van_back"]

    def calendars(self) -> None:
        """Setups inside one open stretch, runs exactly as long as they take, no maintenance."""
        self.complete()
        wrong = [r for r in self.on_machines() if not self._in_time(r)]
        assert not wrong, f"against calendar, maintenance or run time: {_few(wrong)}"

    def on_machines(self) -> list[Row]:
        known = [r for r in self.rows if r.machine != "VAN"]
        strange = [r for r in known if r.machine not in self.shop["machines"]]
        assert not strange, f"no such machine: {_few(strange)}"
        return known

    def _in_time(self, row: Row) -> bool:
        machine = self.shop["machines"][row.machine]
        if any(a < row.end and row.start < b for a, b in machine["maintenance"]):
            return False
        held = [(a, b) for a, b in machine["open"] if a <= row.start < b]
        if not held or row.run_start > held[0][1]:
            return False
        worked = sum(max(0, min(b, row.end) - max(a, row.run_start)) for a, b in machine["open"])
        ends_at_work = any(a < row.end <= b for a, b in machine["open"])
        return worked == self._run(row, machine) and ends_at_work

    def _run(self, row: Row, machine: dict) -> int:
        qty = self.shop["orders"][row.order]["qty"]
        return -(-qty * self.op(row)["tenths"] * 10 // machine["efficiency"])

    def setups(self) -> None:
        """One operation at a time on a machine, after the setup the matrix asks for."""
        self.complete()
        for name, machine in self.shop["machines"].items():
            mine = sorted((r for r in self.on_machines() if r.machine == name), key=_by_start)
            free, family = machine["free"], machine["family"]
            for row in mine:
                assert row.start >= free, f"machine is busy: {row}"
                bare = any(free <= a and b <= row.start for a, b in machine["maintenance"])
                want = self._minutes(row, "BARE" if bare else family)
                assert row.run_start - row.start == want, f"setup should take {want}: {row}"
                free, family = row.end, self.op(row)["family"]

    def _minutes(self, row: Row, old: str) -> int:
        op = self.op(row)
        minutes = self.shop["matrix"][op["centre"]].get(old, {}).get(op["family"])
        assert minutes is not None, f"a machine of another work centre: {row}"
        return minutes

    def setters(self) -> None:
        """Every setup has a qualified setter who is on shift for all of it and nowhere else."""
        self.complete()
        wrong = [r for r in self.rows if not self._setter_fits(r)]
        assert not wrong, f"setter missing, not qualified or not on shift: {_few(wrong)}"
        for name in self.shop["setters"]:
            mine = sorted((r for r in self.rows if r.setter == name), key=_by_start)
            twice = [b for a, b in itertools.pairwise(mine) if b.start < a.run_start]
            assert not twice, f"{name} is needed twice at once: {_few(twice)}"

    def _setter_fits(self, row: Row) -> bool:
        if row.run_start == row.start:
            return not row.setter
        setter = self.shop["setters"].get(row.setter)
        if setter is None or self.op(row)["centre"] not in setter["skills"]:
            return False
        return any(a <= row.start and row.run_start <= b for a, b in setter["on"])

    def fixtures(self) -> None:
        self.complete()
        for name, copies in self.shop["fixtures"].items():
            mine = [r for r in self.rows if self.op(r)["fixture"] == name]
            for row in mine:
                held = sum(r.start <= row.start < r.end for r in mine)
                assert held <= copies, f"{held} operations hold {name}, {copies} exist: {row}"

    def feasible(self) -> None:
        for rule in (self.routing, self.calendars, self.setups, self.setters, self.fixtures):
            rule()

    def promises(self) -> dict[str, tuple[str, str, int, int]]:
        """What each order's last operation means for its customer."""
        self.complete()
        return {name: self._promise(name, steps[-1].end) for name, steps in self.by_order().items()}

    def _promise(self, name: str, end: int) -> tuple[str, str, int, int]:
        rules, order = self.shop["rules"], self.shop["orders"][name]
        days = self.shop["workdays"]
        ship = next(d for d in days if end + rules["pack"] <= d * DAY + rules["truck"])
        late = range(order["due"] + 1, ship + 1)
        count = len([d for d in late if rules["late_days"] == "calendar" or d in days])
        flat = rules["flat"].get(order["class"], 0) if late else 0
        penalty = flat + count * rules["rates"][order["class"]]
        return stamp(self.shop, end), day_text(self.shop, ship), count, penalty

    def costs(self) -> dict[str, float]:
        penalty = sum(promise[3] for promise in self.promises().values())
        setup = sum(r.run_start - r.start for r in self.rows)
        cents = setup * self.shop["rules"]["setup_cents"]
        total = (penalty * 100 + cents) / 100
        return {"penalty_eur": penalty, "setup_minutes": setup, "setup_eur": cents / 100,
                "total_eur": total}  # fmt: skip


def _by_start(row: Row) -> tuple[int, int]:
    return row.start, row.end


def _few(rows: list[Row]) -> list[str]:
    return [str(row) for row in rows[:5]]
