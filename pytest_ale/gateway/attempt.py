"""What the gateway knows of one attempt: what it used, where it waited, what it was offered.

Knows nothing of HTTP libraries. All of it happens on the gateway's one loop.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ale.gateway.evidence import Evidence
from pytest_ale.gateway.limits import Limits, Price, Spent, priced
from pytest_ale.gateway.usage import Usage
from pytest_ale.gateway.waiting import Waiting, seconds_asked

__all__ = ["Attempt", "Run", "Tally", "Terms", "new_token"]

REQUESTS = 32  # of one attempt, carried at once: more wait
TOOLS = 1000  # names that are kept
MODELS = 50
NOTES = 20
FAULTS = (401, 408, 429)  # of the key, or of the load
LIMITED = (429, 503, 529)  # come again later


@dataclass(frozen=True)
class Terms:
    """What a worker asks for an attempt. `tcp` has the gateway listen on a loopback port, too;
    `outside` passes on what has the model's server search or fetch; `waiting` are the seconds of
    waiting for rate limits that count at most."""

    folder: Path | None = None  # of the evidence
    limits: Limits = field(default_factory=Limits)
    evidence_mb: float = 64
    tcp: bool = False
    outside: bool = False
    waiting: float | None = None


@dataclass(frozen=True)
class Tally:
    """What one attempt has done so far.

    `stopped` names the limit for which a request was refused or cut: turns, tokens, usd, seconds,
    or run_usd, the run's; `over` the one that is used up now, whether or not more was asked for.
    `usd` is None where no price is known for something it used. `tools` are the names offered so
    far, each with the number of the request that first had it. `waited` are seconds in which the
    server's rate limits let nothing go on (waiting.py). `trouble` are failures upstream, not the
    agent's.
    `failing` is what upstream's last answer to a paid request was, where it was none; `refusing`
    is whether the last one says that the model would not do it.
    """

    usage: Usage = field(default_factory=Usage)
    models: dict[str, Usage] = field(default_factory=dict)
    usd: float | None = 0.0
    stopped: str = ""
    over: str = ""
    waited: float = 0.0
    tools: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    rejected: int = 0  # requests that were not sent on: no token, no such path, over a limit
    running: int = 0
    first_request: float | None = None  # seconds of the epoch
    trouble: list[str] = field(default_factory=list)
    failing: str = ""
    refusing: bool = False
    prices: str = ""  # whose they are


@dataclass
class Run:
    """What all attempts share."""

    price: Price
    usd: float | None = None  # a ceiling for the run
    spent: float = 0.0

    @property
    def over(self) -> bool:
        return self.usd is not None and self.spent >= self.usd


class Attempt:
    """One agent's account."""

    def __init__(
        self,
        run: Run,
        limits: Limits,
        evidence: Evidence,
        token: str,
        *,
        outside: bool = False,
        waiting: float | None = None,
    ) -> None:
        self.token = token
        self.outside = outside
        self.evidence = evidence
        self.slots = asyncio.Semaphore(REQUESTS)
        self.looking = asyncio.Lock()  # for one body at a time: that is work for a processor
        self.held = 0  # bytes of requests in memory
        self.number = 0
        self._run = run
        self._models: dict[str, Usage] = {}
        self._tools: dict[str, int] = {}
        self._statuses: dict[str, int] = {}
        self._trouble: list[str] = []
        self._failing = ""
        self._refusing = False
        self._usd = 0.0
        self._unpriced = False
        self._stopped = ""
        self._rejected = 0
        self._running = 0
        self._left = 0  # requests that the agent hung up on before they were answered: paid, too
        self._waiting = Waiting(math.inf if waiting is None else waiting)
        self._first: float | None = None
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Set limits; their seconds count from now. A stop stays a stop."""
        self.limits = limits
        self._since, self._waited_before = time.monotonic(), self._waited()

    def knows(self, tokens: Iterable[str]) -> bool:
        """Whether a request carries this attempt's token, and nothing else as a key."""
        sent = [text.encode(errors="replace") for text in tokens]
        mine = self.token.encode()
        return bool(sent) and all(hmac.compare_digest(text, mine) for text in sent)

    # Limits.

    @property
    def usage(self) -> Usage:
        return sum(self._models.values(), Usage())

    @property
    def deadline(self) -> float | None:
        """Of time.monotonic(), as far as is known now: waiting for rate limits moves it."""
        if self.limits.seconds is None:
            return None
        return self._since + self.limits.seconds + self._waited() - self._waited_before

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def stop(self) -> str:
        """The name of the limit for which a request must not go on, or ""; remembered."""
        self._stopped = self._stopped or self._over()
        return self._stopped

    def _over(self) -> str:
        usage = self.usage
        turns = usage.requests - usage.refused + self._running + self._left
        waited = self._waited() - self._waited_before
        spent = Spent(turns, usage.tokens, self._usd, time.monotonic() - self._since - waited)
        return self.limits.over(spent) or ("run_usd" if self._run.over else "")

    def why(self) -> str:
        name = self._stopped
        told = "the run's dollars" if name == "run_usd" else self.limits.told(name)
        return f"the budget of this attempt is used up ({told}); no more requests are answered"

    def unpriced(self, model: str) -> bool:
        """Whether a ceiling in dollars cannot be kept, since nobody knows what a model costs."""
        wanted = self.limits.usd is not None or self._run.usd is not None
        return wanted and priced(self._run.price, model, Usage()) is None

    # What happens.

    def reject(self) -> None:
        self._rejected += 1

    def begin(self, offered: Iterable[str], *, paid: bool) -> int:
        """A request is sent on; its number."""
        self.number += 1
        self._running += paid
        self._first = self._first or time.time()
        self._waiting.sent(self.number, time.monotonic())
        for name in offered:
            if len(self._tools) < TOOLS:
                self._tools.setdefault(name, self.number)
        return self.number

    def end(
        self,
        number: int,
        model: str,
        usage: Usage,
        status: int | None,
        *,
        whole: bool = False,
        said: str = "",
        refused: bool | None = None,
    ) -> None:
        """A request has ended; `status` is None where nobody answered."""
        self._waiting.over(number, time.monotonic())
        if usage.requests:
            self._failing = self._judged(status, said, whole=whole)
            self._refusing = self._refusing if refused is None else refused
        self._running -= usage.requests
        self._left += bool(usage.refused and usage.estimated)
        name = str(status or "none")
        self._statuses[name] = self._statuses.get(name, 0) + 1
        key = model if model in self._models or len(self._models) < MODELS else "others"
        self._models[key] = self._models.get(key, Usage()) + usage
        if usage.tokens:
            self._charge(model, usage)

    def _judged(self, status: int | None, said: str, *, whole: bool) -> str:
        """What failed upstream, not by the agent's doing, or "".

        Before the first answer any refusal is one: of the key, the account, the model's name.
        Later an agent may have asked for nonsense itself.
        """
        answered = self.usage.requests > self.usage.refused
        if (status or 0) >= 500 or status in FAULTS or (not answered and (status or 0) >= 400):
            return f"status {status}: {said}"
        if said in self._trouble:
            return said
        return "" if whole else self._failing  # one that the agent did not wait for says nothing

    def _charge(self, model: str, usage: Usage) -> None:
        usd = priced(self._run.price, model, usage)
        self._unpriced |= usd is None
        self._usd += usd or 0.0
        self._run.spent += usd or 0.0

    def answered(self, number: int, status: int, retry_after: str) -> None:
        """Clock where upstream says to come again later, and where it does not."""
        if status in LIMITED:
            self._waiting.refused(number, time.monotonic(), seconds_asked(retry_after))
        else:
            self._waiting.answered(number, time.monotonic())

    def trouble(self, said: str) -> None:
        if len(self._trouble) < NOTES and said not in self._trouble:
            self._trouble.append(said)

    def _waited(self) -> float:
        return self._waiting.seconds(time.monotonic())

    def tally(self) -> Tally:
        source = getattr(self._run.price, "source", lambda model: "")  # a plain function has none
        return Tally(
            usage=self.usage,
            models=dict(self._models),
            usd=None if self._unpriced else self._usd,
            stopped=self._stopped,
            over=self._over(),
            waited=self._waited(),
            tools=dict(self._tools),
            statuses=dict(self._statuses),
            rejected=self._rejected,
            running=self._running,
            first_request=self._first,
            trouble=[*self._trouble, *filter(None, [self.evidence.failed])],
            failing=self._failing,
            refusing=self._refusing,
            prices=", ".join(sorted({source(model) for model in self._models} - {""})),
        )


def new_token() -> str:
    return f"ale-{secrets.token_hex(24)}"
