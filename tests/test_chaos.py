"""A few rounds of chaos; `scripts/chaos` plays as many as one likes."""

from __future__ import annotations

import pytest

from . import chaos

ROUNDS = {
    "a worker": ("workers", "local", 4),
    "anything, of an agent with a model": ("workers", "local", 12),
    "the controller, while workers grade": ("workers", "local", 31),
    "Ctrl-C, of an agent with a model": ("ahead", "local", 12),
    "everything, once grades are written": ("ahead", "sim", 31),
}


@pytest.mark.parametrize("killed", ROUNDS)
def test_after_kill_9_of_anything_nothing_is_left_lost_or_doubled(killed: str) -> None:
    way, provider, seed = ROUNDS[killed]
    chaos.play(seed, way, provider)
