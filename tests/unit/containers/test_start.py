"""What a start leaves behind that is given up, or loses its engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gpuhop_tui.containers import start as starting
from gpuhop_tui.containers.spec import ContainerSpec
from gpuhop_tui.containers.start import start_container
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.demo.contents import TORCH
from gpuhop_tui.demo.engine.http import Request
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from tests.unit.containers.simulated import Simulated, simulated

SPEC = ContainerSpec(TORCH, name="mine", command=("python", "train.py"))


@asynccontextmanager
async def node(monkeypatch: pytest.MonkeyPatch, home: Path) -> AsyncIterator[Simulated]:
    """One that nobody else starts on."""

    @asynccontextmanager
    async def alone(_link: object) -> AsyncIterator[None]:
        yield

    async with simulated(monkeypatch, home) as world:
        around = Surroundings(await world.engine.facts())

        async def look_around(*_words: Any) -> Surroundings:
            return around

        monkeypatch.setattr(starting, "one_start_at_a_time", alone)
        monkeypatch.setattr(starting, "look_around", look_around)
        yield world


def names(world: Simulated) -> list[str]:
    assert world.node.engine is not None
    return [each.name for each in world.node.engine.containers.values()]


async def test_one_that_is_cancelled_while_it_is_made_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> None:
        if request.path == "/containers/create":
            asked.set()
            await go.wait()

    async with node(monkeypatch, tmp_path) as world:
        world.before = slow
        start = asyncio.ensure_future(start_container(world.engine, SPEC))
        await asyncio.wait_for(asked.wait(), 30)
        start.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await start
        await world.engine.call("listing", lambda client: client.containers())
        assert "mine" not in names(world)


async def test_one_that_cannot_be_removed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with node(monkeypatch, tmp_path) as world:
        call = world.engine.call

        async def lost(what: str, *words: Any, **options: Any) -> Any:
            if what.startswith(("starting", "removing")):
                raise ProblemError(Problem("gpu-01", ErrorKind.LOST, "connection lost", "Wait."))
            return await call(what, *words, **options)

        monkeypatch.setattr(world.engine, "call", lost)
        with pytest.raises(ProblemError) as raised:
            await start_container(world.engine, SPEC)
        assert "The container mine may be left there" in raised.value.problem.advice
        assert "mine" in names(world)
