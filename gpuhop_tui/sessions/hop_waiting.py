"""Waiting for a hop's link: the first time as ssh(1) does, later for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.ssh.terminal import Terminal

PROGRESS_SECONDS = 0.25
KICK_SECONDS = (1.0, 5.0)  # between two tries while a person waits: at first, and after minutes


async def first_connection(
    network: Network,
    link: Link,
    terminal: Terminal,
    is_asking: Callable[[], bool],
    leaving: asyncio.Future[Any],
) -> Problem | None:
    """Returns None once the link is up (or `leaving` is done), else why it is not: the first
    failure is final. The terminal stays as it was found, so that questions can be asked on it."""
    tried = False

    def failed(link: Link) -> bool:
        nonlocal tried
        state = link.status.state
        tried = tried or state is LinkState.CONNECTING
        return tried and state not in (LinkState.CONNECTING, LinkState.UP)

    def note() -> None:
        failed(link)

    stop_listening = link.listen(note)
    progress = asyncio.create_task(_show_progress(link, terminal, is_asking))
    try:
        if not link.is_up:
            network.retry_now(link)
        await either(link.wait_until(lambda link: link.is_up or failed(link)), leaving)
    finally:
        stop_listening()
        progress.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await progress
    return None if leaving.done() or link.is_up else link.status.problem


async def _show_progress(link: Link, terminal: Terminal, is_asking: Callable[[], bool]) -> None:
    """One line that says what is waited for, where that takes long enough to be read."""
    shown = False
    try:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if not is_asking():
                text = f"{link.name}: {link.status.step or 'connecting'} … (ctrl+c gives up)"
                terminal.write(f"\r\x1b[K{text[: terminal.size[0] - 1]}".encode())
                shown = True
    finally:
        if shown:
            terminal.write(b"\r\x1b[K")


async def back_up(link: Link) -> None:
    """Returns when the link is up. A person waits for it, so a wait is cut short every second at
    first; where the server is overloaded, or only a person can help, it is not."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not link.is_up:
        problem = link.status.problem
        if problem is None or problem.kind is not ErrorKind.OVERLOADED:
            step: Link | None = link
            while step is not None:
                step.check_now()
                step = step.parent
        first, most = KICK_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(most, first + (loop.time() - began) / 60)):
                await link.wait_until(lambda link: link.is_up)


async def either(work: Awaitable[None], or_this: asyncio.Future[Any]) -> None:
    """Waits for `work`, or gives it up when the future is done."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, or_this}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProblemError):
                await task
