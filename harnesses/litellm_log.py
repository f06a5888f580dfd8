"""What programs tell that ask their model through litellm, read as a story.

The lines are those of litellm_inside.py, which starts such a program. They are foreign all the
same: an agent may write into its own process's output. What is not as expected is passed over.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.story import Story, joined
from pytest_ale.told import Json, count, objects, parsed, sub, word
from pytest_ale.trajectory import ContentPart, Metrics

__all__ = ["LitellmLog"]


class LitellmLog:
    """The reader of one run."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._usage = Usage()
        self._failed = ""
        self._refused = self._ended = False

    def line(self, source: str, text: str) -> None:
        if source != "stdout":
            return
        told = parsed(text)
        kinds = {
            "turn": self._turn,
            "failed": self._model_failed,
            "call": self._call,
            "result": self._result,
            "system": self._system,
            "end": self._end,
        }
        if known := kinds.get(word(told, "event")):
            known(told)

    def close(self, status: int | None) -> Closing:
        return Closing(self._failed, refused=self._refused, usage=self._usage)

    def _turn(self, told: Json) -> None:
        id, used = word(told, "id"), sub(told, "usage")
        self._failed = ""  # it was asked again, and answered
        self._refused = told.get("refused") is True
        if self._refused:
            self._failed = "the model would not do it: its answer was held back"
        self._count(used)
        self._story.turn(
            id,
            when=_at(told, "ended"),
            text=word(told, "text"),
            reasoning=word(told, "reasoning") or None,
            model=word(told, "model") or None,
            metrics=_metrics(used),
        )
        for call in objects(told.get("calls")):
            arguments = call.get("arguments")
            read = arguments if isinstance(arguments, dict) else parsed(str(arguments))
            self._story.call(
                word(call, "id"),
                word(call, "name"),
                read or ({"unread": arguments} if arguments not in ("", "{}") else {}),
                turn=id,
            )

    def _count(self, used: Json) -> None:
        before = self._usage
        self._usage = Usage(
            prompt=before.prompt + count(used, "prompt"),
            cached=before.cached + count(used, "cached"),
            output=before.output + count(used, "output"),
            reasoning=before.reasoning + count(used, "reasoning"),
        )

    def _model_failed(self, told: Json) -> None:
        self._failed = word(told, "said") or "its model's server failed"
        self._story.system(self._failed, when=_at(told))

    def _call(self, told: Json) -> None:
        if id := word(told, "id"):
            arguments = sub(told, "arguments")
            self._story.call(id, word(told, "name"), arguments, when=_at(told))

    def _result(self, told: Json) -> None:
        if not (id := word(told, "id")):
            return
        parts = [ContentPart(type="text", text=word(told, "text"))] if word(told, "text") else []
        for each in objects(told.get("pictures")):
            parts.append(self._story.picture(word(each, "data"), word(each, "type") or "image/png"))
        self._story.result(id, joined(parts), when=_at(told), extra=sub(told, "extra"))

    def _system(self, told: Json) -> None:
        if said := word(told, "text"):
            self._story.system(said, when=_at(told))

    def _end(self, told: Json) -> None:
        """What it complains of; that its model's server failed is known better by the server's."""
        self._failed = self._failed or word(told, "failed")


def _at(told: Json, name: str = "at") -> str | None:
    """A time, in the form that stories note."""
    value = told.get(name)
    try:
        return datetime.fromtimestamp(float(value), UTC).isoformat() if _is_number(value) else None  # type: ignore[arg-type]  # it is one
    except (ValueError, OverflowError, OSError):
        return None


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _metrics(used: Json) -> Metrics | None:
    if not used:
        return None
    return Metrics(
        prompt_tokens=count(used, "prompt"),
        completion_tokens=count(used, "output"),
        cached_tokens=count(used, "cached"),
        extra={"reasoning_tokens": count(used, "reasoning")},
    )
