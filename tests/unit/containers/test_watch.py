"""The listing, where single containers misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gpuhop_tui.containers import lost_gpus, run_in
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.containers.watch import ContainerWatch
from gpuhop_tui.demo.engine.api import _frame
from gpuhop_tui.demo.engine.http import Refused, Request, Stream
from gpuhop_tui.fleet.containers import NodeContainers
from gpuhop_tui.ssh.agent import Agent
from tests.unit.containers.simulated import simulated

SECONDS = 30


class Seen:
    """All that a watch told."""

    def __init__(self, engine: Engine) -> None:
        self.listings: list[Listing] = []
        self._told = asyncio.Event()
        self.watch = ContainerWatch(engine, self._tell)

    def _tell(self, listing: Listing) -> None:
        self.listings.append(listing)
        self._told.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.watch.run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, condition: Callable[[Container], object], name: str) -> Container:
        async with asyncio.timeout(SECONDS):
            while True:
                for each in self.listings[-1].containers if self.listings else ():
                    if each.name == name and condition(each):
                        return each
                self._told.clear()
                await self._told.wait()


async def test_a_gpu_query_that_hangs_is_told_at_its_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a GPU that fell off the bus does to nvidia-smi; the others are listed on."""
    monkeypatch.setattr(lost_gpus, "CHECK_SECONDS", 0.3)

    async def hangs(request: Request) -> None:
        if request.path.startswith("/exec/") and request.path.endswith("/start"):
            await asyncio.Event().wait()

    async with simulated(monkeypatch, tmp_path) as world:
        world.before = hangs
        seen = Seen(world.engine)
        async with seen.running():
            found = await seen.until(lambda each: each.lost_gpus, "jonas-lora")
            assert found.lost_gpus is not None
            assert found.lost_gpus.seen is None
            assert "came to no answer" in str(found.lost_gpus)
            await seen.until(lambda each: each.running, "eval-cache")


async def test_a_container_that_the_engine_cannot_read_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with simulated(monkeypatch, tmp_path) as world:
        identity = world.node.engine.find("ann-debug").id  # type: ignore[union-attr]

        async def broken(request: Request) -> None:
            if request.path == f"/containers/{identity}/json":
                raise Refused(500, "layer does not exist")

        world.before = broken
        seen = Seen(world.engine)
        async with seen.running():
            found = await seen.until(lambda each: each.error, identity[:12])
            assert "layer does not exist" in found.error
            await seen.until(lambda each: each.running, "jonas-lora")


async def test_nothing_is_blank_when_it_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A form covers the list for a while."""
    listings: list[Listing] = []
    told = asyncio.Event()

    def changed() -> None:
        if node.listing is not None:
            listings.append(node.listing)
            told.set()

    async def measured() -> None:
        async with asyncio.timeout(SECONDS):
            while not listings or not _is_measured(listings[-1]):
                told.clear()
                await told.wait()

    async with simulated(monkeypatch, tmp_path) as world:
        node = NodeContainers(world.engine.link, "", Agent(None), changed)
        try:
            node.watch(True)
            await measured()
            node.watch(False)
            del listings[:]
            world.node.engine.rename(world.node.engine.find("jonas-lora"), "other")  # type: ignore[union-attr]
            node.watch(True)
            await measured()
            assert all(map(_is_measured, listings))
        finally:
            await node.close()


def _is_measured(listing: Listing) -> bool:
    return all(each.cpu_percent is not None for each in listing.containers if each.running)


async def test_a_program_that_never_ends_to_speak_is_not_listened_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its memory would be ours: what runs in a container is its owner's choice."""
    monkeypatch.setattr(run_in, "MOST_BYTES", 1 << 16)
    written = 0

    async def flood() -> AsyncGenerator[bytes, None]:
        nonlocal written
        while True:
            written += 1
            yield _frame(b"GPU 0: NVIDIA A100\n" * 100)

    async def floods(request: Request) -> Stream | None:
        is_start = request.path.startswith("/exec/") and request.path.endswith("/start")
        return Stream(flood(), "application/vnd.docker.raw-stream") if is_start else None

    async with simulated(monkeypatch, tmp_path) as world:
        world.before = floods

        def ask(client: object) -> tuple[int | None, str]:
            return run_in.run_in(client, "jonas-lora", ["nvidia-smi", "-L"])

        async with asyncio.timeout(SECONDS):
            _status, said = await world.engine.call("asking", ask)
        assert 0 < len(said) <= 1 << 16
