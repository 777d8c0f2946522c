"""How a container is now, and waiting until that changes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.listing import read_container
from gpuhop_tui.containers.model import Container


async def look(engine: Engine, container: Container) -> Container:
    """The container as it is now. Raises as `Engine.call` does; `is_gone` where it was removed."""
    facts = await engine.call(
        f"looking at {container.name}", lambda client: client.inspect_container(container.id)
    )
    return read_container(engine.node, facts)


async def looks(engine: Engine, container: Container) -> AsyncGenerator[Container, None]:
    """The container as it is, and again after each of its events: nothing is polled.

    To be closed by `contextlib.aclosing`. Raises as `look` and `Engine.stream` do.
    """

    def begin(client: Any) -> Iterator[None]:
        wanted = {"type": "container", "container": container.id}
        events = client.events(decode=True, filters=wanted)
        yield None  # from here on none is missed
        for _ in events:
            yield None

    watching = engine.stream(f"watching {container.name}", begin)
    async with contextlib.aclosing(watching) as events:
        async for _ in events:
            yield await look(engine, container)


async def until_started_again(engine: Engine, container: Container) -> Container | None:
    """The container once it runs; None where the engine stopped telling. Raises as `look` does."""
    async with contextlib.aclosing(looks(engine, container)) as each:
        async for now in each:
            if now.running:
                return now
    return None


async def exit_code_between(
    engine: Engine, container: Container, since: float, until: float
) -> int | None:
    """With what the container ended last between two moments (seconds since the epoch, by the
    node's clock), by the events that the engine remembers; None: it does not. Raises as
    `Engine.call` does."""
    wanted = {"type": "container", "container": container.id, "event": "die"}

    def ask(client: Any) -> list[Any]:
        past = client.events(
            decode=True, filters=wanted, since=math.floor(since), until=math.ceil(until)
        )
        return list(past)

    ends = await engine.call(f"asking how {container.name} ended", ask)
    codes = [each.get("Actor", {}).get("Attributes", {}).get("exitCode") for each in ends]
    known = [int(code) for code in codes if str(code).lstrip("-").isdigit()]
    return known[-1] if known else None
