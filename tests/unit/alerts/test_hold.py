"""What comes and goes is told once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.alerts.hold import LEAST_RELEASE_SECONDS, UNSEEN_SECONDS, Hold, Turn

LOOKS = st.lists(
    st.tuples(st.floats(0.05, 40.0), st.sampled_from([True, False, None])), max_size=200
)


@given(st.floats(0.0, 60.0), LOOKS)
def test_whatever_flaps_is_told_once_a_hold_at_most(
    seconds: float, looks: list[tuple[float, bool | None]]
) -> None:
    hold, now, told = Hold(seconds), 1000.0, []
    for step, holds in looks:
        now += step
        if hold.see(now, holds) is Turn.ON:
            told.append(now)
    least = max(seconds, LEAST_RELEASE_SECONDS)
    assert all(later - earlier >= least for earlier, later in itertools.pairwise(told))


@given(st.floats(1.0, 60.0), LOOKS)
def test_what_is_told_has_lasted(seconds: float, looks: list[tuple[float, bool | None]]) -> None:
    hold, now = Hold(seconds), 1000.0
    since: float | None = None
    for step, holds in looks:
        now += step
        if not holds or step > UNSEEN_SECONDS:
            since = None
        if holds and since is None:
            since = now
        if hold.see(now, holds) is Turn.ON:
            assert since is not None
            assert now - since >= seconds


def test_it_turns_on_and_off_and_on() -> None:
    hold = Hold(5.0)
    assert [hold.see(now, True) for now in (1.0, 3.0, 6.0, 7.0)] == [
        Turn.NONE, Turn.NONE, Turn.ON, Turn.NONE,
    ]  # fmt: skip
    assert [hold.see(now, False) for now in (8.0, 13.0, 18.0)] == [
        Turn.NONE, Turn.NONE, Turn.OFF,
    ]  # fmt: skip
    assert hold.is_idle


@pytest.mark.parametrize("gap", [UNSEEN_SECONDS + 1.0, -50.0])
def test_nothing_is_known_of_the_time_asleep(gap: float) -> None:
    hold = Hold(20.0)
    assert hold.see(1000.0, True) is Turn.NONE
    assert hold.see(1000.0 + gap, True) is Turn.NONE
