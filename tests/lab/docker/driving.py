"""Driving the core against an engine of the lab."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container, Listing
from gpuhop_tui.containers.watch import ContainerWatch
from tests.lab.docker.dockerd import BASE, Dockerd
from tests.lab.driving import network_of, route_to, up
from tests.lab.waiting import await_until
from tests.lab.world import World

GPUS = tuple(NodeGpu(index, f"GPU-{index:08d}-0000", name="A100") for index in range(4))


def start_box(dockerd: Dockerd, name: str, *options: str) -> str:
    """A container that stays, whose host name is in-NAME; returns its id."""
    words = ("--init", "--hostname", f"in-{name}", "--name", name, *options)
    return dockerd.docker("run", "-d", *words, BASE, "sleep", "1000")


@asynccontextmanager
async def engine_of(world: World, name: str = "gpu-01", **options: str) -> AsyncIterator[Engine]:
    """A node's engine, as the fleet has it."""
    async with network_of(world.laptop) as network:
        engine = Engine(await up(network.link(await route_to(world.laptop, name))), **options)
        try:
            yield engine
        finally:
            await engine.close()


async def container(engine: Engine, name: str) -> Container:
    """The container of that name, as it is now."""
    facts = await engine.call("looking", lambda client: client.inspect_container(name))
    return read_container(engine.node, facts)


class Watched:
    """A watch that runs, and the last that it told."""

    def __init__(self, engine: Engine) -> None:
        self.listing: Listing | None = None
        self.told = 0
        self.watch = ContainerWatch(engine, self._tell)
        self.task = asyncio.ensure_future(self.watch.run())

    def _tell(self, listing: Listing) -> None:
        self.listing = listing
        self.told += 1

    async def until(
        self, condition: Callable[[Listing], object], what: str, seconds: float = 15.0
    ) -> Listing:
        """Waits until the listing is so. What ends the watch is raised."""

        def holds() -> bool:
            if self.task.done():
                self.task.result()
            return self.listing is not None and bool(condition(self.listing))

        await await_until(holds, what, seconds)
        assert self.listing is not None
        return self.listing


@asynccontextmanager
async def watched(engine: Engine) -> AsyncIterator[Watched]:
    watch = Watched(engine)
    try:
        yield watch
    finally:
        watch.task.cancel()
        await asyncio.gather(watch.task, return_exceptions=True)


def named(listing: Listing, name: str) -> Container | None:
    return next((each for each in listing.containers if each.name == name), None)
