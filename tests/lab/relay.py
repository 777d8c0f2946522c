"""A TCP relay that can delay, stall and break what passes: a bad network on demand.

The child's side is a program that listens, prints its port, and takes one JSON object a line on
its input: `{"delay": 0.05, "paused": true, "drop": 0.01, "sever": true}`. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.namespace import Namespace

_CHUNK = 65536
_IN_FLIGHT = 256  # chunks on their way in one direction


class Relay:
    """The owner's side: a relay on 127.0.0.1 of `namespace` to host:port as seen from there."""

    def __init__(self, namespace: Namespace, host: str, port: int, *, seed: int = 0) -> None:
        self._process = namespace.popen(
            [sys.executable, "-m", "tests.lab.relay", host, str(port), str(seed)],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.host = "127.0.0.1"
        self.port = int(self._process.stdout.readline())

    def delay(self, seconds: float) -> None:
        """Hold what passes for so long, in each direction: a round trip takes twice as long."""
        self._tell(delay=seconds)

    def drop(self, probability: float) -> None:
        """Break the connection at each chunk with this probability, by the seed's chance."""
        self._tell(drop=probability)

    def pause(self) -> None:
        """Let nothing pass and close nothing, until `resume`."""
        self._tell(paused=True)

    def resume(self) -> None:
        self._tell(paused=False)

    def sever(self) -> None:
        """Reset every open connection; new ones are welcome."""
        self._tell(sever=True)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def _tell(self, **settings: Any) -> None:
        """Returns when the relay has taken the settings over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(settings), file=self._process.stdin, flush=True)
        if self._process.stdout.readline() != "ok\n":
            raise RuntimeError("the relay has ended")


@dataclass
class _Line:
    """The state of the bad line, shared by all connections through it."""

    host: str
    port: int
    chance: random.Random
    delay: float = 0.0
    drop: float = 0.0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self.writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        except* (OSError, ConnectionError):
            pass
        finally:
            self.writers -= pair
            for one in pair:
                one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass everything on in order, each chunk `delay` seconds after it came."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        clock = asyncio.get_running_loop().time

        async def take() -> None:
            while data := await source.read(_CHUNK):
                await queue.put((clock() + self.delay, data))
            await queue.put((clock() + self.delay, b""))

        async def give() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self.flowing.wait()
                if not data:
                    sink.write_eof()
                    return
                if self.chance.random() < self.drop:
                    raise ConnectionResetError("dropped by chance")
                sink.write(data)
                await sink.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            group.create_task(give())

    def set(self, settings: dict[str, Any]) -> None:
        self.delay = settings.get("delay", self.delay)
        self.drop = settings.get("drop", self.drop)
        match settings.get("paused"):
            case True:
                self.flowing.clear()
            case False:
                self.flowing.set()
        if settings.get("sever"):
            for writer in self.writers:
                writer.transport.abort()


async def _serve(host: str, port: int, seed: int) -> None:
    line = _Line(host, port, random.Random(seed))
    line.flowing.set()
    server = await asyncio.start_server(line.connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while order := await orders.readline():
        line.set(json.loads(order))
        print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
