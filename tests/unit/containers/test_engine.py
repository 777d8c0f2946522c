"""The engine's calls and streams, where something goes wrong around them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from gpuhop_tui.containers import actions
from gpuhop_tui.containers import engine as engine_module
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.threads import Calls
from gpuhop_tui.demo.engine.http import Request
from tests.unit.containers.simulated import Simulated, simulated


async def container(world: Simulated, name: str) -> Container:
    facts = await world.engine.call("looking", lambda client: client.inspect_container(name))
    return read_container("gpu-01", facts)


async def test_a_stream_that_gets_no_socket_holds_no_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with simulated(monkeypatch, tmp_path) as world:
        await world.engine.facts()
        world.refuses_sockets = True
        for _ in range(engine_module.STREAMS):
            with pytest.raises(OSError, match="no room"):
                await anext(world.engine.stream("listening", lambda client: client.events()))
        world.refuses_sockets = False
        stream = world.engine.stream("pulling", lambda _client: iter([1]))
        assert await anext(stream) == 1
        await stream.aclose()


async def test_what_takes_long_may_take_as_long_as_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An image of a container with gigabytes of its own is silent for minutes."""
    monkeypatch.setattr(engine_module, "CALL_SECONDS", 0.5)

    async def slow(request: Request) -> None:
        if request.path == "/commit":
            await asyncio.sleep(1.5)

    async with simulated(monkeypatch, tmp_path) as world:
        found = await container(world, "jonas-lora")
        world.before = slow
        assert await actions.commit(world.engine, found, "saved:1")


async def test_the_wait_for_a_turn_is_not_the_engines_silence() -> None:
    """Twenty containers that are stopped at once, ten seconds each."""
    calls, go = Calls(1, "calls"), threading.Event()
    first = asyncio.ensure_future(calls.run(lambda: go.wait(60), 60))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(calls.run(lambda: "done", 0.5))
    await asyncio.wait({second}, timeout=0.7)
    assert not second.done()
    go.set()
    assert await first
    assert await second == "done"
    calls.close()


async def test_long_calls_hold_up_no_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopping = asyncio.Event()
    go = asyncio.Event()

    async def held(request: Request) -> None:
        if request.path.endswith("/stop"):
            stopping.set()
            await go.wait()

    async with simulated(monkeypatch, tmp_path) as world:
        found = await container(world, "jonas-lora")
        world.before = held
        stops = [
            asyncio.ensure_future(actions.stop(world.engine, found))
            for _ in range(engine_module.CALLS)
        ]
        await asyncio.wait_for(stopping.wait(), 30)
        assert await world.engine.call("listing", lambda client: client.images(), timeout=20)
        go.set()
        await asyncio.gather(*stops)
