"""Spending: what an attempt used of its model, in one meaning, and who says so.

Knows no API and no program. The gateway's count comes first: a program that was killed says nothing
(peers.md 18), and programs mean different things by the same word (ale.md 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ale.gateway import Tally, Usage
from pytest_ale.trajectory import FinalMetrics

if TYPE_CHECKING:
    from pytest_ale.program import Closing

__all__ = ["Spending", "metrics", "spending"]


@dataclass(frozen=True)
class Spending:
    """Tokens and dollars; None where nobody knows. `source` is whose word the dollars are."""

    usage: Usage | None = None
    usd: float | None = None
    source: str = ""
    reported_usd: float | None = None  # by the program, where it says so


def spending(tally: Tally | None, closing: Closing | None) -> Spending:
    reported = closing.cost_usd if closing else None
    if tally is not None and tally.usage.requests:
        if tally.usd is not None:
            return Spending(tally.usage, tally.usd, tally.prices, reported)
        return Spending(tally.usage, reported, "the program" if reported else "", reported)
    if closing is None:
        return Spending()
    return Spending(closing.usage, reported, "the program" if reported else "", reported)


def metrics(spent: Spending) -> FinalMetrics | None:
    """The same as ATIF has it; what it has no place for is `extra`."""
    if (usage := spent.usage) is None:
        return None
    more = {"cache_write_tokens": usage.cache_write, "reasoning_tokens": usage.reasoning}
    told: dict[str, object] = {**more, "cost_source": spent.source}
    told |= {"reported_cost_usd": spent.reported_usd} if spent.reported_usd is not None else {}
    return FinalMetrics.model_validate(
        {
            "total_prompt_tokens": usage.prompt,
            "total_completion_tokens": usage.output,
            "total_cached_tokens": usage.cached,
            "total_cost_usd": spent.usd,
            "extra": told,
        }
    )
