"""Bytes under way: in order, all of them, late, and ended as they should be."""

from __future__ import annotations

import asyncio
import socket

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhop_tui.demo.pipes import join


async def joined(
    delay: float,
) -> tuple[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], asyncio.Task[None]]:
    """The two ends of a pair of connections that are joined in the middle."""
    pairs = [socket.socketpair(), socket.socketpair()]
    ends = [await asyncio.open_connection(sock=pair[0]) for pair in pairs]
    middle = [await asyncio.open_connection(sock=pair[1]) for pair in pairs]
    return ends, asyncio.create_task(join(middle[0], middle[1], delay))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=300_000), max_size=5), st.lists(st.binary(max_size=99)))
def test_all_bytes_arrive_both_ways(there: list[bytes], back: list[bytes]) -> None:
    async def talk() -> None:
        (near, far), joining = await joined(0.0)

        async def send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()

        _, _, at_far, at_near = await asyncio.gather(
            send(near[1], there), send(far[1], back), far[0].read(), near[0].read()
        )
        assert (at_far, at_near) == (b"".join(there), b"".join(back))
        await joining
        near[1].close()
        far[1].close()

    asyncio.run(talk())


async def test_a_round_trip_takes_twice_the_delay() -> None:
    (near, far), joining = await joined(0.05)
    clock = asyncio.get_running_loop().time
    start = clock()
    near[1].write(b"ping")
    assert await far[0].readexactly(4) == b"ping"
    far[1].write(b"pong")
    assert await near[0].readexactly(4) == b"pong"
    assert clock() - start >= 0.1
    near[1].close()
    far[1].close()
    await joining


async def test_a_side_that_breaks_off_ends_the_other() -> None:
    (near, far), joining = await joined(0.0)
    near[1].write(b"x" * 100_000)
    near[1].transport.abort()
    await asyncio.wait_for(far[0].read(), 10)
    far[1].close()
    await asyncio.wait_for(joining, 10)
