"""Delays are jittered, capped, and never a busy loop."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.ssh.backoff import CAP_SECONDS, FLOOR_SECONDS, delay_seconds


@given(st.integers(0, 10_000), st.integers())
def test_delay_stays_between_floor_and_cap(attempt, seed):
    assert FLOOR_SECONDS <= delay_seconds(attempt, random.Random(seed)) <= CAP_SECONDS


def test_first_delays_are_short_and_later_ones_spread_up_to_the_cap():
    rng = random.Random(1)
    assert max(delay_seconds(0, rng) for _ in range(500)) <= 1.25
    late = [delay_seconds(9, rng) for _ in range(2000)]
    assert min(late) < 2 < 28 < max(late)
