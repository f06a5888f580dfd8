"""Runs in a sandbox, in the Python of a program that asks its model through litellm: tells of it.

Imports nothing of ours: it is part of the program's kit. Events go to what was stdout, a line of
JSON each; what the program itself prints goes to stderr, and so does what its commands print.

    turn     id, at, ended, model, text, reasoning, calls, usage     an answer of the model
    failed   said                                                    there was none
    call     id, name, arguments, at      what it does by itself: its model called no tool
    result   id, text, at, and pictures and extra where there are any
    system   text, at
    end      failed                                                  its own word on how it ended
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any  # of litellm's answers nothing is known: read_ takes what is there

# It was for this process, whose libraries it names: a command of the agent's has its own.
os.environ.pop("LD_LIBRARY_PATH", None)
# Else it is asked of GitHub what each model costs, three times, 7 s in all.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

_told = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
os.dup2(2, 1)

MOST = 4_000_000  # characters of one text


def tell(event: str, **said: object) -> None:
    said = {"event": event, "at": time.time(), **said}
    _told.write(json.dumps(said, default=str) + "\n")
    _told.flush()


def module(name: str) -> Any:
    """One of the program's."""
    return importlib.import_module(name)


def watched() -> None:
    """Have litellm tell of each answer; to be asked for before anybody imports a name of its."""
    litellm = module("litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    responses = module("litellm.responses.main")
    for name, read in (("completion", _chat), ("responses", _response)):
        setattr(litellm, name, _told_of(getattr(litellm, name), read))
        setattr(litellm, f"a{name}", _told_of_later(getattr(litellm, f"a{name}"), read))
    # Where programs import it from, too.
    responses.responses, responses.aresponses = litellm.responses, litellm.aresponses


_number = 0
_asking: ContextVar[bool] = ContextVar("_asking", default=False)
Read = Callable[[Mapping[str, Any]], dict[str, object]]


def _told_of(ask: Callable[..., object], read: Read) -> Callable[..., object]:
    @functools.wraps(ask)
    def asked(*words: object, **more: object) -> object:
        if _asking.get():  # litellm asks by its other function
            return ask(*words, **more)
        began, mark = time.time(), _asking.set(True)
        try:
            answer = ask(*words, **more)
        except Exception as error:
            tell("failed", said=_why(error))
            raise
        finally:
            _asking.reset(mark)
        _answered(answer, began, read)
        return answer

    return asked


def _told_of_later(ask: Callable[..., Awaitable[object]], read: Read) -> Callable[..., object]:
    @functools.wraps(ask)
    async def asked(*words: object, **more: object) -> object:
        if _asking.get():
            return await ask(*words, **more)
        began, mark = time.time(), _asking.set(True)
        try:
            answer = await ask(*words, **more)
        except (Exception, asyncio.CancelledError) as error:
            tell("failed", said=_why(error))
            raise
        finally:
            _asking.reset(mark)
        _answered(answer, began, read)
        return answer

    return asked


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:4000]


def _answered(answer: object, began: float, read: Read) -> None:
    """What cannot be read must not end the program."""
    global _number
    _number += 1
    try:
        said = read(answer.model_dump())  # type: ignore[attr-defined]  # a pydantic model
    except Exception as error:
        said = {"unread": _why(error)}
    tell("turn", **{"id": f"turn-{_number}", "at": began, "ended": time.time(), **said})


def _chat(answer: Mapping[str, Any]) -> dict[str, object]:
    choice = answer["choices"][0]
    message, used = choice["message"], answer.get("usage") or {}
    calls = [
        {"id": call["id"], **_named(call["function"])} for call in message.get("tool_calls") or ()
    ]
    return {
        "model": answer.get("model"),
        "text": message.get("content"),
        "reasoning": message.get("reasoning_content"),
        "refused": choice.get("finish_reason") == "content_filter",
        "calls": calls,
        "usage": {
            "prompt": used.get("prompt_tokens"),
            "output": used.get("completion_tokens"),
            "cached": (used.get("prompt_tokens_details") or {}).get("cached_tokens"),
            "reasoning": (used.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        },
    }


def _response(answer: Mapping[str, Any]) -> dict[str, object]:
    out, used = answer.get("output") or [], answer.get("usage") or {}
    said = [part for each in out for part in each.get("content") or () if each["type"] == "message"]
    thought = [part for each in out for part in each.get("summary") or ()]
    return {
        "model": answer.get("model"),
        "text": "".join(part.get("text") or "" for part in said),
        "reasoning": "\n".join(part.get("text") or "" for part in thought) or None,
        "refused": any(part.get("type") == "refusal" for part in said),
        "calls": [
            {"id": each["call_id"], **_named(each)}
            for each in out
            if each["type"] == "function_call"
        ],
        "usage": {
            "prompt": used.get("input_tokens"),
            "output": used.get("output_tokens"),
            "cached": (used.get("input_tokens_details") or {}).get("cached_tokens"),
            "reasoning": (used.get("output_tokens_details") or {}).get("reasoning_tokens"),
        },
    }


def _named(function: Mapping[str, Any]) -> dict[str, object]:
    return {"name": function["name"], "arguments": function["arguments"]}


def cut(text: str) -> str:
    return text if len(text) <= MOST else text[:MOST] + "\n[more was left out]"


def _last(code: object) -> str:
    return code if isinstance(code, str) else f"it ended with exit status {code}"


def ended(work: Callable[[], object]) -> None:
    """Do the program's work to its end, and tell how that was; then leave, with threads or not."""
    failed = ""
    try:
        work()
    except SystemExit as error:
        failed = "" if not error.code else _last(error.code)
    except BaseException as error:
        traceback.print_exc()
        failed = _why(error)
    tell("end", failed=failed)
    sys.stderr.flush()
    os._exit(1 if failed else 0)
