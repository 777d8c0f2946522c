"""An `Engine` whose other end is the demo's, without a link between: what it answers can be changed
and held up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gpuhop_tui.containers import engine as engine_module
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.demo.engine.api import Api
from gpuhop_tui.demo.engine.http import Answer, Request, Stream
from gpuhop_tui.ssh.link import Link
from tests.unit.demo.nodes import machine

Held = Callable[[Request], Any]


class FakeLink:
    """Up, and leading nowhere."""

    name = "gpu-01"
    is_up = True

    def __init__(self) -> None:
        self._connection = self

    async def connection(self) -> FakeLink:
        return self._connection

    def is_closed(self) -> bool:
        return False


class Simulated:
    """`engine`, and the `node` that it is of. `before` is awaited with each request and may answer
    itself; `forwards` are the sockets that are open."""

    def __init__(self, home: Path) -> None:
        self.node = machine("gpu-01", home)
        self.before: Held | None = None
        self.refuses_sockets = False
        self.forwards: list[Path] = []
        assert self.node.api is not None
        self._api: Api = self.node.api
        self._handle = self._api._handle
        self._api._handle = self._answer  # type: ignore[method-assign]
        self.engine = Engine(cast(Link, FakeLink()))

    async def _answer(self, request: Request) -> Answer | Stream:
        answer = await self.before(request) if self.before is not None else None
        return answer if answer is not None else await self._handle(request)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._api.serve(reader, writer)


@asynccontextmanager
async def simulated(monkeypatch: pytest.MonkeyPatch, home: Path) -> AsyncIterator[Simulated]:
    world = Simulated(home)

    class Direct:
        refused = False

        def __init__(self, _link: object, _remote: str, path: Path) -> None:
            self.path = path

        async def start(self) -> None:
            if world.refuses_sockets:
                raise OSError("no room")
            self._server = await asyncio.start_unix_server(world.serve, self.path)
            world.forwards.append(self.path)

        async def close(self) -> None:
            if self.path in world.forwards:
                world.forwards.remove(self.path)
                self._server.close()

    monkeypatch.setattr(engine_module, "SocketForward", Direct)
    try:
        yield world
    finally:
        await world.engine.close()
