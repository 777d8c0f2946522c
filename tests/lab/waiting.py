"""Waiting for conditions, never for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.01  # seconds between two looks


def wait_until(look: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """Call `look` until it returns something true, and return that.

    Raises TimeoutError, naming `what`, after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(_PAUSE)
    return found


async def await_until(look: Callable[[], T | Awaitable[T]], what: str, timeout: float = 30.0) -> T:
    """`wait_until` on an event loop; `look` may be a coroutine function."""
    end = time.monotonic() + timeout
    while True:
        result = look()
        found = await result if isinstance(result, Awaitable) else result
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        await asyncio.sleep(_PAUSE)
