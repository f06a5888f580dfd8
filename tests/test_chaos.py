"""A few rounds of chaos; `scripts/chaos` plays as many as one likes."""

from __future__ import annotations

import pytest

from . import chaos

SEEDS = {
    4: "a worker",
    7: "everything, once grades are written",
    12: "anything, of an agent with a model",
    13: "the controller, and with it the gateway's",
    31: "the controller, while workers grade",
}


@pytest.mark.parametrize("seed", SEEDS)
def test_after_kill_9_of_anything_nothing_is_left_lost_or_doubled(seed: int) -> None:
    chaos.play(seed)
