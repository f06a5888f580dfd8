"""claw's mind: one model, asked through the gateway over whichever API it speaks, by pydantic-ai.

Knows nothing of tools or tasks. What may pass is tried again; what will not is told in one of the
three ways below, and the end of an attempt's time as TimeoutError.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import httpx2
import pydantic_ai.exceptions as failures
import pydantic_ai.messages as talk
from pydantic_ai.direct import model_request
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from pytest_ale.harness import Work
from pytest_ale.outside import Tool
from pytest_ale.text import clean
from pytest_ale.told import sound

from .claw import endpoint

__all__ = ["Lost", "Messages", "Mind", "Refused", "Unfit", "Unread", "usable"]

ANSWER_SECONDS = 900.0  # of one request; an answer that takes longer never comes
ANSWER_TOKENS = 16_000  # Anthropic must be told, and its thoughts (16,384 and 32,768) are in it
THOUGHTFUL_TOKENS = {"high": 32_000, "xhigh": 48_000}
DELAY, MOST_DELAY = 1.0, 60.0  # before the second try, doubled each time; if nobody says how long
ASKED_DELAY = 600.0  # that a server may ask for
LIMITED = 4  # times as many tries where only the rate is too high
HOPELESS = (401, 402, 403, 404)
UNFIT = (400, 413, 422)
TOO_LARGE = "request too large"  # said with a 429, by who would have to wait for ever
SPEAKS = {"chat": "openai-chat", "responses": "openai-responses", "gemini": "google"}

Messages = Sequence[talk.ModelMessage]
_Part = talk.TextPart | talk.ThinkingPart | talk.ToolCallPart


class Lost(Exception):
    """The model cannot be had any more, or is of no use."""


class Refused(Exception):
    """The model, or a filter at its server, will not do it."""


class Unfit(Lost):
    """The server does not take this request: too long, or with something in it that it cannot."""


class Unread(Lost):
    """Whatever its server answers, it is no answer of its API."""


class Mind:
    """A model of that name, or the agent's, by one API; `close` after use."""

    def __init__(self, work: Work, name: str = "") -> None:
        self._work, self.name = work, (name := name or work.agent.model or "")
        api = endpoint(work.agent.knobs["api"], name)
        self._loop = asyncio.new_event_loop()
        # The gateway is on this machine: no proxy of the environment leads there.
        self._http = httpx2.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS)
        self._model = _model(api, name, work, self._http)
        self._settings = _settings(api, work.agent.knobs["effort"])

    def ask(self, messages: Messages, tools: Sequence[Tool] = ()) -> talk.ModelResponse:
        """One answer, however often it takes to get it."""
        failed = 0
        while True:
            try:
                answer = self._loop.run_until_complete(self._asked(messages, tools))
                parts = [_sound(part) for part in answer.parts if isinstance(part, _Part)]
                return replace(answer, parts=parts)
            except Exception as error:  # of any kind: a server may have answered any JSON
                self._judge(error)
                failed += 1
                limited = isinstance(error, failures.ModelRateLimitError)
                if failed >= int(self._work.agent.knobs["tries"]) * (LIMITED if limited else 1):
                    known = isinstance(error, failures.ModelAPIError | TimeoutError)
                    why = clean(f"{type(error).__name__}: {error}", 1000)
                    raise (Lost if known else Unread)(why) from error
                self._wait(getattr(error, "retry_after", None), failed)

    async def _asked(self, said: Messages, tools: Sequence[Tool]) -> talk.ModelResponse:
        known = [
            ToolDefinition(name=t.name, description=t.about, parameters_json_schema=t.schema)
            for t in tools
        ]
        offered = ModelRequestParameters(function_tools=known)
        ask = partial(model_request, model_settings=self._settings)
        async with asyncio.timeout(min(self._work.deadline - time.monotonic(), ANSWER_SECONDS)):
            return await ask(self._model, list(said), model_request_parameters=offered)

    def _judge(self, error: Exception) -> None:
        """Raise what another try would not change."""
        if time.monotonic() >= self._work.deadline:
            raise TimeoutError from error
        if self._work.tally and self._work.tally().stopped:
            raise Lost("the gateway answers no more") from error
        status = getattr(error, "status_code", None)
        if status in HOPELESS or isinstance(error, failures.ModelQuotaExceededError):
            raise Lost(clean(error, 1000)) from error
        full = isinstance(error, failures.ModelContextWindowExceededError)
        if status in UNFIT or full or (status == 429 and TOO_LARGE in str(error).lower()):
            raise Unfit(clean(error, 1000)) from error

    def _wait(self, asked: float | None, failed: int) -> None:
        own = min(DELAY * 2 ** (failed - 1), MOST_DELAY)
        until = time.monotonic() + min(asked or own, ASKED_DELAY)  # 0 s would be all tries at once
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= self._work.deadline:  # which moves, while the rate is too high
                raise TimeoutError
            time.sleep(min(left, 1.0))

    def close(self) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()


def usable(answer: talk.ModelResponse) -> None:
    """Raise what an answer says that is none."""
    details = answer.provider_details or {}
    if answer.finish_reason == "content_filter":
        raise Refused(answer.text or str(details.get("refusal") or "its server filtered it"))
    if "context_window" in str(details.get("finish_reason")):
        raise Unfit("there was no room for the answer")


def _sound(part: _Part) -> _Part:
    """What was said, thought or called, in a shape that can be sent back."""
    if isinstance(part, talk.ToolCallPart):
        names = (part.tool_name, part.tool_call_id)
        part.tool_name, part.tool_call_id = (str(sound(str(name or ""))) for name in names)
        part.args = _given(part.args)
    else:
        part.content = str(sound(part.content or ""))
    return part


def _given(args: object) -> Any:  # an object, as they must be; or a text, of which it is told
    with suppress(ValueError, RecursionError):
        args = json.loads(args or "{}") if isinstance(args, str) else args or {}
    return sound(args if isinstance(args, dict | str) else json.dumps(args))


def _settings(api: str, effort: str) -> ModelSettings:
    told: dict[str, object] = {"max_retries": 0} | ({"thinking": effort} if effort else {})
    if api == "anthropic":
        told |= {"anthropic_cache_instructions": True, "anthropic_cache_messages": True}
        told |= {"max_tokens": THOUGHTFUL_TOKENS.get(effort, ANSWER_TOKENS)}
    return cast("ModelSettings", told)


def _model(api: str, name: str, work: Work, http: httpx2.AsyncClient) -> Model[Any]:
    """Only what speaks the API that is used is imported: each takes half a second."""
    url = f"{work.model_url}/v1" if api in ("chat", "responses") else work.model_url
    own = {"base_url": url, "api_key": work.model_key, "http_client": http}
    maker = cast("Any", infer_provider_class)  # each kind's own class takes these
    return infer_model(f"{SPEAKS.get(api, api)}:{name}", lambda kind: maker(kind)(**own))
