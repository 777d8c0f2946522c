"""Ending by a signal in good order: what was opened is closed first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine


async def until_signal(work: Coroutine[None, None, int]) -> int | signal.Signals:
    """The result of `work`, or the signal (SIGINT, SIGTERM) that ended it.

    A second signal ends the program at once, should the first not suffice.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        caught.append(number)
        for other in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(other)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            return caught[0]
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
