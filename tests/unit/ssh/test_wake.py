"""Lost time is noticed by either clock, and a changed address by comparing."""

import asyncio

import pytest

from gpuhop_tui.ssh.wake import JUMP_SECONDS, Addresses, ClockWatch, local_address, watch


class Clocks:
    def __init__(self):
        self.wall = 1_000_000.0
        self.monotonic = 50.0


def watched(clocks):
    return ClockWatch(wall=lambda: clocks.wall, monotonic=lambda: clocks.monotonic)


@pytest.mark.parametrize(
    ("wall", "monotonic", "woke"),
    [
        (1.0, 1.0, False),
        (2.5, 2.5, False),  # a busy moment
        (3600.0, 1.0, True),  # suspended: the monotonic clock stood still
        (30.0, 30.0, True),  # stopped and continued
        (-3600.0, 1.0, False),  # the wall clock was set back
    ],
)
def test_a_jump_of_either_clock_is_a_wake(wall, monotonic, woke):
    clocks = Clocks()
    watch_ = watched(clocks)
    clocks.wall += wall
    clocks.monotonic += monotonic
    assert (watch_.lost_seconds() > JUMP_SECONDS) is woke


async def run_ticks(steps):
    """Runs `watch` over scripted ticks: (seconds that pass, address seen after them)."""
    clocks, events, script = Clocks(), [], iter(steps)
    address = ["10.0.0.1"]

    async def tick(_seconds):
        try:
            passed, address[0] = next(script)
        except StopIteration:
            raise asyncio.CancelledError from None
        clocks.wall += passed
        clocks.monotonic += 1.0

    with pytest.raises(asyncio.CancelledError):
        await watch(
            lambda lost: events.append(("woke", round(lost))),
            lambda: {"bastion": Addresses("10.0.0.1", address[0])},
            lambda: events.append(("route",)),
            watched(clocks),
            tick,
        )
    return events


async def test_a_sleep_is_told_once_with_its_length():
    assert await run_ticks([(1, "10.0.0.1"), (601, "10.0.0.1"), (1, "10.0.0.1")]) == [("woke", 600)]


async def test_a_changed_address_is_told_but_not_beside_a_wake():
    steps = [(1, "10.0.0.1"), (1, "192.168.1.5"), (1, "192.168.1.5"), (100, None)]
    assert await run_ticks(steps) == [("route",), ("woke", 99)]


@pytest.mark.parametrize(("now", "told"), [("10.0.0.1", []), ("10.0.0.2", ["route"])])
async def test_a_new_peer_is_compared_with_what_its_connection_used(now, told):
    seen = iter([{}, {"bastion": Addresses("10.0.0.1", now)}])
    ticks, changes = [], []

    async def tick(_seconds):
        ticks.append("tick")
        if len(ticks) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await watch(
            lambda lost: changes.append("woke"),
            lambda: next(seen),
            lambda: changes.append("route"),
            watched(Clocks()),
            tick,
        )
    assert changes == told


def test_the_local_address_of_loopback_is_loopback_and_a_name_is_not_looked_up():
    assert local_address("127.0.0.1", 22) == "127.0.0.1"
    assert local_address("some.host.name", 22) is None
