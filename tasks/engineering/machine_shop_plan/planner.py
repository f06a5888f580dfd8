"""Plan a shop: dispatch rules and a local search over one way of booking operations."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

DAY = 1440


class Clock:
    """Working time of one machine or setter, as tables by minute."""

    def __init__(self, windows: list[list[int]], horizon: int) -> None:
        self.left = [0] * (horizon + 1)  # minutes until the window closes; 0 when closed
        for start, end in windows:
            self.left[start:end] = range(end - start, 0, -1)
        self.worked, self.minute = [0] * (horizon + 2), []
        for t, left in enumerate(self.left):
            self.worked[t + 1] = self.worked[t] + (left > 0)
            if left:
                self.minute.append(t)
        self.opens = [horizon] * (horizon + 2)
        for t in range(horizon, -1, -1):
            self.opens[t] = t if self.left[t] else self.opens[t + 1]

    def finish(self, start: int, run: int) -> int:
        """The end of the minute in which `run` working minutes after `start` are used up."""
        return self.minute[self.worked[start] + run - 1] + 1


class Board:
    """What is booked so far, and the earliest place for one operation more."""

    def __init__(self, desk: Desk) -> None:
        self.desk, shop = desk, desk.shop
        self.free = {name: m["free"] for name, m in shop["machines"].items()}
        self.family = {name: m["family"] for name, m in shop["machines"].items()}
        self.setters: dict = {name: [] for name in shop["setters"]}
        self.fixtures: dict = {name: [] for name in shop["fixtures"]}
        self.step = dict.fromkeys(shop["orders"], 0)
        self.end = {name: o["ready"] for name, o in shop["orders"].items()}
        self.at = {name: o["at"] for name, o in shop["orders"].items()}
        self.rows: list[tuple] = []

    def offer(self, order: str) -> tuple:
        """The best (end, machine, start, run_start, setter) for the order's next operation."""
        op = self.desk.shop["orders"][order]["ops"][self.step[order]]
        if op["centre"] == "VAN":
            leave, back = self.desk.van(self.end[order])
            return back, "VAN", leave, leave, ""
        return min(self._place(order, op, name) for name in self.desk.centre[op["centre"]])

    def _place(self, order: str, op: dict, machine: str) -> tuple:
        desk, clock = self.desk, self.desk.clocks[machine]
        run = desk.run[order, op["op"], machine]
        t = max(self.free[machine], self.end[order] + desk.transport(self.at[order], machine))
        while True:
            t = clock.opens[t]
            setup = self._setup(machine, op, t)
            later, setter = self._setter(op["centre"], t, setup) if setup else (t, "")
            if setup > clock.left[t]:
                later = t + clock.left[t]
            elif later == t:
                end = clock.finish(t + setup, run)
                later = self._blocked(machine, op["fixture"], t, end)
                if later == t:
                    return end, machine, t, t + setup, setter
            # maintenance strips the machine: behind it another, shorter setup may fit sooner
            t = min([later, *self._services_after(machine, t)])

    def _services_after(self, machine: str, t: int) -> list[int]:
        return [b for _, b in self.desk.shop["machines"][machine]["maintenance"] if b > t]

    def _setup(self, machine: str, op: dict, t: int) -> int:
        old = self.family[machine]
        for start, end in self.desk.shop["machines"][machine]["maintenance"]:
            if self.free[machine] <= start and end <= t:
                old = "BARE"
        return self.desk.shop["matrix"][op["centre"]][old][op["family"]]

    def _setter(self, centre: str, t: int, setup: int) -> tuple[int, str]:
        return min((self._setter_free(who, t, setup), who) for who in self.desk.skilled[centre])

    def _setter_free(self, who: str, t: int, setup: int) -> int:
        clock = self.desk.clocks[who]
        while True:
            t = clock.opens[t]
            if clock.left[t] < setup:
                t += clock.left[t]
                continue
            busy = [end for start, end in self.setters[who] if start < t + setup and end > t]
            if not busy:
                return t
            t = max(busy)

    def _blocked(self, machine: str, fixture: str, start: int, end: int) -> int:
        """`start`, or the next minute worth a try where maintenance or a fixture is in the way."""
        for a, b in self.desk.shop["machines"][machine]["maintenance"]:
            if a < end and b > start:
                return b
        if not fixture:
            return start
        held = [(a, b) for a, b in self.fixtures[fixture] if a < end and b > start]
        points = [max(a, start) for a, _ in held]
        peak = max((sum(a <= p < b for a, b in held) for p in points), default=0)
        copies = self.desk.shop["fixtures"][fixture]
        return start if peak < copies else min(b for _, b in held)

    def book(self, order: str, offer: tuple) -> None:
        end, machine, start, run_start, setter = offer
        op = self.desk.shop["orders"][order]["ops"][self.step[order]]
        if machine != "VAN":
            self.free[machine], self.family[machine] = end, op["family"]
        if setter:
            self.setters[setter].append((start, run_start))
        if op["fixture"]:
            self.fixtures[op["fixture"]].append((start, end))
        self.rows.append((order, op["op"], machine, setter, start, run_start, end))
        self.step[order] += 1
        self.end[order], self.at[order] = end, machine


class Desk:
    """A shop with its tables, and the ways to fill a board."""

    def __init__(self, shop: dict, horizon: int) -> None:
        self.shop, self.horizon = shop, horizon
        windows = {n: m["open"] for n, m in shop["machines"].items()}
        windows |= {n: s["on"] for n, s in shop["setters"].items()}
        self.clocks = {name: Clock(spans, horizon) for name, spans in windows.items()}
        self.centre: dict = {}
        for name, machine in shop["machines"].items():
            self.centre.setdefault(machine["centre"], []).append(name)
        self.skilled = {
            c: [n for n, s in shop["setters"].items() if c in s["skills"]] for c in self.centre
        }
        self.run = {
            (name, op["op"], m): _run(order["qty"], op["tenths"], shop["machines"][m])
            for name, order in shop["orders"].items()
            for op in order["ops"]
            for m in self.centre.get(op["centre"], [])
        }
        self.workdays = set(shop["workdays"])

    def transport(self, old: str, new: str) -> int:
        if old == "VAN":
            return self.shop["rules"]["goods_in"]
        return self.shop["rules"]["move"] if old and old != new else 0

    def van(self, ready: int) -> tuple[int, int]:
        rules = self.shop["rules"]
        days = sorted(d for d in self.workdays if d * DAY + rules["van"] >= ready)
        return days[0] * DAY + rules["van"], days[rules["van_days"]] * DAY + rules["van_back"]

    def ship_day(self, end: int) -> int:
        rules = self.shop["rules"]
        ready = end + rules["pack"]
        return next(d for d in self.shop["workdays"] if d * DAY + rules["truck"] >= ready)

    def penalty(self, order: dict, end: int) -> int:
        rules, ship = self.shop["rules"], self.ship_day(end)
        if ship <= order["due"]:
            return 0
        late = ship - order["due"]
        if rules["late_days"] == "working":
            late = sum(order["due"] < d <= ship for d in self.workdays)
        return rules["flat"].get(order["class"], 0) + late * rules["rates"][order["class"]]

    def cost(self, board: Board) -> float:
        """Total cost in EUR; money in whole cents over 100."""
        orders = self.shop["orders"]
        late = sum(self.penalty(o, board.end[name]) for name, o in orders.items())
        setup = sum(row[5] - row[4] for row in board.rows)
        return late + setup * self.shop["rules"]["setup_cents"] / 100

    def dispatch(self, rank: Callable[[Board, str], tuple]) -> Board:
        """Always serve the machine that can finish next; `rank` picks among those who wait."""
        board = Board(self)
        while open_orders := self._open(board):
            offers = {name: board.offer(name) for name in open_orders}
            first = min(open_orders, key=lambda n: (offers[n][0], n))
            end, machine = offers[first][:2]
            rivals = [n for n in open_orders if offers[n][1] == machine and offers[n][2] < end]
            chosen = min(rivals, key=lambda n: (*rank(board, n), n))
            board.book(chosen, offers[chosen])
        return board

    def _open(self, board: Board) -> list[str]:
        orders = self.shop["orders"]
        return [n for n, o in orders.items() if board.step[n] < len(o["ops"])]

    def by_list(self, sequence: list[str]) -> Board:
        board = Board(self)
        for order in sequence:
            board.book(order, board.offer(order))
        return board

    def work_left(self, board: Board, order: str) -> int:
        ops = self.shop["orders"][order]["ops"][board.step[order] :]
        best = [min(self.run.get((order, op["op"], m), 2 * DAY) for m in
                    self.centre.get(op["centre"], ["VAN"])) for op in ops]  # fmt: skip
        return sum(best)


def _run(qty: int, tenths: int, machine: dict) -> int:
    return -(-qty * tenths * 10 // machine["efficiency"])


def due_rank(board: Board, order: str) -> tuple:
    return (board.desk.shop["orders"][order]["due"],)


def rules_of_thumb(desk: Desk) -> list[Callable[[Board, str], tuple]]:
    """Dispatch rules in use in shops: what a plan has to beat to be worth a planner's time."""
    orders = desk.shop["orders"]
    weight = desk.shop["rules"]["rates"]

    def slack(board: Board, name: str) -> float:
        return (orders[name]["due"] + 1) * DAY - board.end[name] - desk.work_left(board, name)

    def next_run(board: Board, name: str) -> int:
        op = orders[name]["ops"][board.step[name]]
        machine = board.offer(name)[1]
        return desk.run.get((name, op["op"], machine), 1)

    def setup(board: Board, name: str) -> int:
        offer = board.offer(name)
        return offer[3] - offer[2]

    def weighted(board: Board, name: str) -> float:
        urgency = math.exp(-max(0.0, slack(board, name)) / (2 * DAY))
        return weight[orders[name]["class"]] / next_run(board, name) * urgency

    return [
        due_rank,
        lambda b, n: (b.end[n],),
        lambda b, n: (next_run(b, n),),
        lambda b, n: (slack(b, n),),
        lambda b, n: (setup(b, n), orders[n]["due"]),
        lambda b, n: (-weighted(b, n),),
        lambda b, n: (orders[n]["class"], orders[n]["due"]),
    ]


def shaken(desk: Desk, runs: int, rng: random.Random) -> Board:
    """The best of many runs of the shop's best rule of thumb with its due dates blurred."""
    orders = desk.shop["orders"]

    def rank(board: Board, name: str) -> tuple:
        offer = board.offer(name)
        return offer[3] - offer[2], orders[name]["due"] + rng.uniform(-2, 2)

    return min((desk.dispatch(rank) for _ in range(runs)), key=desk.cost)


def improve(desk: Desk, start: Board, goal: float, tries: int, rng: random.Random) -> Board:
    """Anneal the booking order, one order number moved at a time, until `goal` is reached."""
    sequence = [row[0] for row in start.rows]
    now = best_cost = desk.cost(start)
    best = start
    for turn in range(tries):
        if best_cost <= goal:
            break
        trial = _moved(sequence, rng)
        board = desk.by_list(trial)
        cost = desk.cost(board)
        heat = 50 * (1 - turn / tries) ** 2 + 1
        if cost <= now or rng.random() < math.exp((now - cost) / heat):
            sequence, now = trial, cost
        if cost < best_cost:
            best, best_cost = board, cost
    return best


def _moved(sequence: list[str], rng: random.Random) -> list[str]:
    trial = list(sequence)
    place = rng.randrange(len(trial))
    item = trial.pop(place)
    near = max(0, min(len(trial), place + rng.randint(-25, 25)))
    trial.insert(near if rng.random() < 0.5 else rng.randrange(len(trial) + 1), item)
    return trial
