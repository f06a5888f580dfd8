"""claw's mind: one model, asked through the gateway over whichever API it speaks, by pydantic-ai.

Knows nothing of tools or tasks. What may pass is tried again; what will not is told in one of the
three ways below, and the end of an attempt's time as TimeoutError.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import httpx2
import pydantic_ai.exceptions as failures
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from pytest_ale.harness import Work
from pytest_ale.outside import Tool
from pytest_ale.text import clean

__all__ = ["Lost", "Mind", "Refused", "Unfit"]

ANSWER_SECONDS = 900.0  # of one request; an answer that takes longer never comes
ANSWER_TOKENS = 16_000  # Anthropic must be told; of more than 21,000 it only streams
DELAY, MOST_DELAY = 1.0, 60.0  # before the second try, doubled each time; if nobody says how long
ASKED_DELAY = 600.0  # that a server may ask for
LIMITED = 4  # times as many tries where only the rate is too high
HOPELESS = (401, 402, 403, 404)
UNFIT = (400, 413, 422)
SPEAKS = {"chat": "openai-chat", "responses": "openai-responses", "anthropic": "anthropic"}
SPEAKS |= {"gemini": "google"}


class Lost(Exception):
    """The model cannot be had any more; the message is its server's."""


class Refused(Exception):
    """The model, or a filter at its server, will not do it."""


class Unfit(Exception):
    """The server does not take this request: too long, or with something in it that it cannot."""


class Mind:
    """A model of that name, by one API; `close` after use."""

    def __init__(self, work: Work, name: str, api: str) -> None:
        self._work, self.name = work, name
        self._tries = int(work.agent.knobs["tries"])
        self._loop = asyncio.new_event_loop()
        # The gateway is on this machine: no proxy of the environment leads there.
        self._http = httpx2.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS)
        self._model = _model(api, name, work, self._http)
        self._settings = _settings(api, work.agent.knobs["effort"])

    def ask(self, messages: Sequence[ModelMessage], tools: Sequence[Tool] = ()) -> ModelResponse:
        """One answer, however often it takes to get it."""
        failed = 0
        while True:
            try:
                answer = self._loop.run_until_complete(self._asked(messages, tools))
            except (failures.AgentRunError, TimeoutError) as error:
                self._judge(error)
                failed += 1
                limited = isinstance(error, failures.ModelRateLimitError)
                if failed >= self._tries * (LIMITED if limited else 1):
                    raise Lost(clean(error, 1000)) from error
                self._wait(getattr(error, "retry_after", None), failed)
                continue
            if answer.finish_reason == "content_filter":
                refusal = (answer.provider_details or {}).get("refusal")
                raise Refused(answer.text or str(refusal or "its server filtered the answer"))
            return answer

    async def _asked(self, said: Sequence[ModelMessage], tools: Sequence[Tool]) -> ModelResponse:
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
        if isinstance(error, failures.ContentFilterError):
            raise Refused(clean(error, 1000)) from error
        status = getattr(error, "status_code", None)
        if status in HOPELESS or isinstance(error, failures.ModelQuotaExceededError):
            raise Lost(clean(error, 1000)) from error
        if status in UNFIT:
            raise Unfit(clean(error, 1000)) from error

    def _wait(self, asked: float | None, failed: int) -> None:
        delay = min(DELAY * 2 ** (failed - 1), MOST_DELAY) if asked is None else asked
        until = time.monotonic() + min(delay, ASKED_DELAY)
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= self._work.deadline:  # which moves, while the rate is too high
                raise TimeoutError
            time.sleep(min(left, 1.0))

    def close(self) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()


def _settings(api: str, effort: str) -> ModelSettings:
    told: dict[str, object] = {"max_retries": 0} | ({"thinking": effort} if effort else {})
    if api == "anthropic":
        told |= {"anthropic_cache_instructions": True, "anthropic_cache_messages": True}
        told |= {"max_tokens": ANSWER_TOKENS}
    return cast("ModelSettings", told)


def _model(api: str, name: str, work: Work, http: httpx2.AsyncClient) -> Model[Any]:
    """Only what speaks the API that is used is imported: each takes half a second."""
    url = f"{work.model_url}/v1" if api in ("chat", "responses") else work.model_url

    def provider(kind: str) -> Any:  # each kind's own class takes these
        found: Any = infer_provider_class(kind)
        return found(base_url=url, api_key=work.model_key, http_client=http)

    return infer_model(f"{SPEAKS[api]}:{name}", provider)
