"""Noticing that time was lost: the laptop slept, or this program was stopped and continued.

A loop that ticks every second sees it twice over: the wall clock jumps against the monotonic one
(which stands still in a sleep on Linux), or the tick itself comes seconds late.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

TICK_SECONDS = 1.0
JUMP_SECONDS = 4.0


@dataclass(slots=True)
class ClockWatch:
    """Compares clocks tick by tick. The clocks are arguments, so that tests can bend them."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _last_wall: float = 0.0
    _last_monotonic: float = 0.0

    def __post_init__(self) -> None:
        self._last_wall, self._last_monotonic = self.wall(), self.monotonic()

    def lost_seconds(self) -> float:
        """Seconds beyond one tick that passed since the last call, by the slower-witted clock.

        A wall clock that was set back or forth by hand looks like a sleep: a needless check does
        no harm.
        """
        wall, monotonic = self.wall(), self.monotonic()
        by_wall = wall - self._last_wall
        by_monotonic = monotonic - self._last_monotonic
        self._last_wall, self._last_monotonic = wall, monotonic
        return max(by_wall, by_monotonic) - TICK_SECONDS


class Addresses(NamedTuple):
    """Our own addresses towards one peer: of the last connection, and as the route is now."""

    used: str | None
    now: str | None


def local_address(host: str, port: int) -> str | None:
    """The address this machine would use towards `host`, or None where there is no route.

    Connecting a UDP socket sends nothing. Only literal addresses: a name could block on DNS.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                socket.inet_pton(family, host)
                probe.connect((host, port))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return None


async def watch(
    woke: Callable[[float], None],
    addresses: Callable[[], Mapping[Any, Addresses]],
    route_changed: Callable[[], None],
    clocks: ClockWatch | None = None,
    tick: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Calls `woke(lost seconds)` after a jump, and `route_changed()` when our own address towards
    a peer differs from a tick ago, or from that of its last connection where there was no tick."""
    clocks = clocks or ClockWatch()
    seen = {peer: ours.now for peer, ours in addresses().items()}
    while True:
        await tick(TICK_SECONDS)
        lost = clocks.lost_seconds()
        found = addresses()
        if lost > JUMP_SECONDS:
            woke(lost)
        elif any(ours.now != seen.get(peer, ours.used) for peer, ours in found.items()):
            route_changed()
        seen = {peer: ours.now for peer, ours in found.items()}
