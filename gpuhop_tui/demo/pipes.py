"""Bytes on their way, as late as a real network would bring them."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import asyncssh

_CHUNK = 64 * 1024
_CHUNKS_UNDER_WAY = 64


class Reader(Protocol):
    """asyncio's and asyncssh's stream readers."""

    async def read(self, n: int = -1, /) -> bytes: ...


class Writer(Protocol):
    """asyncio's and asyncssh's stream writers."""

    def write(self, data: bytes, /) -> Any: ...

    async def drain(self) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...


async def join(near: tuple[Reader, Writer], far: tuple[Reader, Writer], delay: float) -> None:
    """Carry bytes both ways, `delay` seconds late, until both sides have ended; then close both."""
    try:
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_carry(near[0], far[1], delay))
            ways.create_task(_carry(far[0], near[1], delay))
    finally:
        near[1].close()
        far[1].close()


async def _carry(reader: Reader, writer: Writer, delay: float) -> None:
    """One way. A side that breaks off counts as one that ends."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)

    async def depart() -> None:
        try:
            while data := await reader.read(_CHUNK):
                await under_way.put((clock() + delay, data))
        except (OSError, EOFError, asyncssh.Error):
            pass
        await under_way.put((clock() + delay, b""))

    departing = asyncio.ensure_future(depart())
    try:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
    except (OSError, EOFError, asyncssh.Error):
        pass
    finally:
        departing.cancel()
