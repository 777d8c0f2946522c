"""How long to wait before the next attempt."""

from __future__ import annotations

import random

CAP_SECONDS = 30.0
FLOOR_SECONDS = 0.25


def delay_seconds(attempt: int, rng: random.Random) -> float:
    """Full jitter: anywhere up to 2 ** `attempt` seconds, at most 30 s, never a busy loop.

    `attempt` counts the failures since the link was last up, from 0.
    """
    return FLOOR_SECONDS + rng.uniform(0, min(CAP_SECONDS - FLOOR_SECONDS, 2.0 ** min(attempt, 10)))
