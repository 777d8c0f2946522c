"""The bad line: slow, stalled, broken, on demand."""

from __future__ import annotations

import asyncio
import time

import asyncssh
import pytest

from tests.lab.waiting import await_until
from tests.lab.world import World


async def test_relay_delays_stalls_and_severs(world: World) -> None:
    relay = world.relay(world.bastion)
    with world.laptop.entered():
        async with asyncssh.connect(
            relay.host, relay.port, username="researcher", known_hosts=None, config=None
        ) as connection:
            quick = await _timed(connection)
            await asyncio.to_thread(relay.delay, 0.1)
            assert await _timed(connection) >= quick + 0.35  # two round trips
            await asyncio.to_thread(relay.pause)
            stalled = asyncio.create_task(_timed(connection))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(stalled), 0.5)
            await asyncio.to_thread(relay.resume)
            await stalled
            await asyncio.to_thread(relay.sever)
            await await_until(connection.is_closed, "the connection to be lost")


async def _timed(connection: asyncssh.SSHClientConnection) -> float:
    start = time.monotonic()
    await connection.run("true", check=True)
    return time.monotonic() - start


async def test_relay_drops_by_chance(world: World) -> None:
    relay = world.relay(world.bastion, seed=1)
    relay.drop(1.0)
    with world.laptop.entered(), pytest.raises((OSError, asyncssh.Error)):
        await asyncssh.connect(
            relay.host, relay.port, username="researcher", known_hosts=None, config=None
        )
