"""The container that `gpuhop-tui hop NODE/CONTAINER` names, asked of the node's engine."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gpuhop_tui.cli.failure import CommandError
from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.fleet.container_hops import door_of, find_container, place_in
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.container_door import ContainerDoor
from gpuhop_tui.sessions.container_problems import not_running
from gpuhop_tui.sessions.hop_target import EXIT_NO_LINK
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.ssh.link import Link

if TYPE_CHECKING:
    from gpuhop_tui.cli.hop import Wanted

PROGRESS_SECONDS = 0.5


async def place_of(link: Link, docker_socket: str, wanted: Wanted) -> InContainer | ContainerDoor:
    """Where the container is. Raises CommandError where there is none that runs."""
    async with progress(link, "connecting"):
        await link.wait_until(lambda link: link.is_up or link.status.problem is not None)
    engine = Engine(link, docker_socket)
    try:
        async with progress(link, f"looking for the container {wanted.container}"):
            container = await find_container(engine, wanted.container)
            user, directory = wanted.user or "", wanted.directory or ""
            place = await place_in(engine, container, user=user, directory=directory)
            door = await door_of(engine, container, user=user) if wanted.by_ssh else None
    except ContainerError as error:
        raise CommandError([error.message, error.advice]) from None
    except ProblemError as error:
        raise CommandError([str(error), error.problem.advice], EXIT_NO_LINK) from None
    finally:
        await engine.close()
    if container.state != "running":
        problem = not_running(link.name, place, container.state)
        raise CommandError([str(problem), problem.advice], EXIT_NO_LINK)
    return door or place


@asynccontextmanager
async def progress(link: Link, what: str) -> AsyncIterator[None]:
    """A line on a terminal that says what is waited for, where that takes long enough to read."""

    async def show() -> None:
        await asyncio.sleep(PROGRESS_SECONDS)
        sys.stderr.write(f"\r\x1b[K{link.name}: {what} … (ctrl+c gives up)")
        sys.stderr.flush()

    shower = asyncio.create_task(show()) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if shower is not None:
            if shower.done():
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
            shower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shower
