"""What is done to one container or image, and what it is called while it is done and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from gpuhop_tui.containers.model import Container, Image

if TYPE_CHECKING:
    from gpuhop_tui.containers.engine import Engine

Deed = Callable[[], Awaitable[object]]

# What is shown while it is done, and once it is
WORDS: Mapping[str, tuple[str, str]] = {
    "start": ("starting", "started"),
    "resume": ("resuming", "resumed"),
    "stop": ("stopping", "stopped"),
    "kill": ("killing", "killed"),
    "restart": ("restarting", "restarted"),
    "remove": ("removing", "removed"),
}


def deed(name: str, engine: Engine, container: Container) -> Deed:
    """What does the one of WORDS that is named; a removal ends what runs as it was listed."""
    from gpuhop_tui.containers import actions

    match name:
        case "start":
            return partial(actions.start, engine, container)
        case "stop":
            return partial(actions.stop, engine, container)
        case "kill":
            return partial(actions.kill, engine, container)
        case "resume":
            return partial(actions.resume, engine, container)
        case "restart":
            return partial(actions.restart, engine, container)
        case _:
            return partial(actions.remove, engine, container, force=container.running)


async def remove_image(engine: Engine, image: Image) -> None:
    """All its tags: the last one that goes takes it away."""
    from gpuhop_tui.containers import actions

    for name in image.tags or (image.id,):
        await actions.remove_image(engine, name)
