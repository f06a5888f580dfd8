"""Programs that write plain text: of what they did, no more is known than what they say.

Knows no program.
"""

from __future__ import annotations

from pytest_ale.harness import Ending, Work
from pytest_ale.program import Closing, Reader
from pytest_ale.story import Story

from .simple import Simple

__all__ = ["TEXT", "Plain", "TextLog", "doubted"]

TEXT = "text"
MOST_TEXT = 100_000  # characters that are told


class Plain(Simple):
    """A program whose log is text."""

    def reader(self, story: Story) -> Reader:
        return TextLog(story)

    def run(self, work: Work) -> Ending:
        return doubted(work, super().run(work))


class TextLog:
    """Plain text: all that it wrote, as one turn."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._text, self._told = "", 0

    def line(self, source: str, text: str) -> None:
        if source == "stdout" and len(self._text) < MOST_TEXT:
            self._text += f"{text}\n"
            if len(self._text) >= 2 * self._told:
                self._tell()

    def _tell(self) -> None:
        self._told = len(self._text)
        self._story.turn(TEXT, text=self._text.rstrip("\n")[:MOST_TEXT])

    def close(self, status: int | None) -> Closing:
        if self._text:
            self._tell()
        return Closing()


def doubted(work: Work, ending: Ending) -> Ending:
    """Of a log that does not say it: one that gave up on its model's server may end as if well."""
    failing = work.tally().failing if work.tally else ""
    if ending.outcome == "done" and failing:
        return Ending("crashed", f"it ended as if all were done after a request failed: {failing}")
    return ending
