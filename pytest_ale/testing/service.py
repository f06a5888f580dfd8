"""One request answered: read, played, written down; keys are seen here and nowhere else.

Knows nothing of sockets and threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlencode

from aiohttp import web

from pytest_ale.testing.conversation import Asked, BadRequest, Json
from pytest_ale.testing.delivery import Delivery, streamed, whole
from pytest_ale.testing.paths import APIS, Wanted, listed, wanted
from pytest_ale.testing.player import Played, Player
from pytest_ale.testing.script import Fault, Refuse, Usage, WrongJson

__all__ = ["Request", "Service"]

KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")


@dataclass(frozen=True)
class Request:
    """What was sent; keys in it are replaced by `<key-1>`, `<key-2>`, in the order they came.

    `turn` is the index of the script's turn, None for a call on the side; `fault` is what was
    done to its answer; `calls` are the calls in it, by the names that were offered, and `usage`
    what it told.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Json = field(default_factory=dict, repr=False)
    api: str = ""
    key: str = ""
    model: str = ""
    tools: tuple[str, ...] = ()
    turn: int | None = None
    fault: Fault | None = None
    calls: tuple[tuple[str, Json], ...] = ()
    usage: Usage | None = None


class Refused(Exception):
    """A request that is answered by an error, and why."""

    def __init__(self, refuse: Refuse) -> None:
        super().__init__(refuse.message)
        self.refuse = refuse


class Service:
    """Answers requests by a player, and keeps what was sent."""

    def __init__(self, player: Player, keys: Collection[str], models: Sequence[str]) -> None:
        self.player = player
        self.requests: list[Request] = []
        self._keys = frozenset(keys)
        self._models = models
        self._names: dict[str, str] = {}  # of the keys that came

    async def handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        want = wanted(request.method, request.path, request.query, request.headers)
        headers = dict(request.headers)
        query = dict(request.query)
        keys = _taken(headers, KEY_HEADERS, self._named) + _taken(query, ["key"], self._named)
        path = f"{request.path}?{urlencode(query, safe='<>')}" if query else request.path
        key = self._named(keys[0]) if keys else ""
        record = Request(request.method, path, headers, api=want.api, key=key)
        try:
            return await self._answer(request, data, keys, record, want)
        except Refused as error:
            return _refused(want, error.refuse)

    def _named(self, key: str) -> str:
        return self._names.setdefault(key, f"<key-{len(self._names) + 1}>")

    async def _answer(
        self, request: web.Request, data: bytes, keys: Sequence[str], record: Request, want: Wanted
    ) -> web.StreamResponse:
        try:
            record = replace(record, body=_parsed(data))
            if self._keys and not self._keys & set(keys):
                raise Refused(Refuse(401, "The API key is not known here."))
            if want.what != "answer":
                return web.json_response(self._plain(want))
            asked = _asked(record.body, want)
            played = self.player.play(asked, APIS[want.api], record.key)
            record = _told(record, asked, played)
        except BadRequest as error:
            self.player.fail(f"{record.method} {record.path}: {error}")
            raise Refused(Refuse(400, str(error))) from error
        finally:
            self.requests.append(record)
        return await self._send(request, asked, want, played)

    def _plain(self, want: Wanted) -> Json:
        """What has nothing to do with the script."""
        if want.what == "count":
            return APIS[want.api].counted(Usage())
        found = listed(want, self._models) if want.what == "models" else None
        if found is None:
            raise Refused(Refuse(404, "There is no such thing here."))
        return found

    async def _send(
        self, request: web.Request, asked: Asked, want: Wanted, played: Played
    ) -> web.StreamResponse:
        if isinstance(played.fault, Refuse):
            raise Refused(played.fault)
        fault = played.fault
        lost = isinstance(fault, WrongJson) and fault.where == "body"
        delivery = _delivery(asked, want, played).with_fault(fault)
        done = partial(self.player.done, None if lost else played.turn)
        return await delivery.send(request, fault, played.slow, done)


def _taken(fields: dict[str, str], where: Iterable[str], named: Callable[[str], str]) -> list[str]:
    """The keys among fields, where each gives way to its name.

    A key that is anywhere else stays there: it is a leak, and a test's to find.
    """
    found = []
    for name in [name for name in fields if name.lower() in where and fields[name]]:
        scheme, _, key = fields[name].rpartition(" ")  # "Bearer KEY", or the key alone
        found.append(key)
        fields[name] = f"{scheme} {named(key)}".lstrip()
    return found


def _parsed(data: bytes) -> Json:
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise BadRequest(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is no JSON object")
    return body


def _asked(body: Json, want: Wanted) -> Asked:
    asked = APIS[want.api].read(body)
    if want.stream is None:
        return asked
    return replace(asked, model=want.model, stream=want.stream)


def _told(record: Request, asked: Asked, played: Played) -> Request:
    tools = tuple(str(tool) for tool in asked.tools)
    calls = tuple((str(call.tool), call.parsed or {}) for call in played.answer.calls)
    told = replace(record, model=asked.model, tools=tools, calls=calls, usage=played.answer.usage)
    return replace(told, turn=played.turn, fault=played.fault)


def _delivery(asked: Asked, want: Wanted, played: Played) -> Delivery:
    api = APIS[want.api]
    events = list(api.events(played.answer))
    if asked.stream:
        return streamed(events, as_list=want.as_list)
    return whole(api.whole(played.answer), sum(event.token for event in events))


def _refused(want: Wanted, refuse: Refuse) -> web.Response:
    body = APIS[want.api].refusal(refuse.status, refuse.message, refuse.retry_after)
    after = {} if refuse.retry_after is None else {"Retry-After": f"{refuse.retry_after:g}"}
    return web.json_response(body, status=refuse.status, headers=after)
