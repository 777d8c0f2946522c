"""A time limit for machines that stands still while a person is being waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

# What the machine gets at least after a person has answered.
REST_SECONDS = 1.0


class Patience:
    """Limits a block to `seconds`, not counting the time spent inside `waiting_for_person()`.

    Raises TimeoutError from the `limit()` block once the machine's time is used up.
    """

    def __init__(self, seconds: float, tell: Callable[[str], None] = lambda _what: None) -> None:
        """`tell`: told which of a person's answers is waited for; empty: none any more."""
        self.seconds = seconds
        self._tell = tell
        self._timeout: asyncio.Timeout | None = None
        self._people = 0
        self._left = seconds
        self._paused_at = 0.0
        self._paused_seconds = 0.0
        self._started_at = 0.0

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        self._paused_seconds = 0.0
        async with asyncio.timeout(self.seconds) as self._timeout:
            yield

    @property
    def machine_seconds(self) -> float:
        """Seconds since `limit()` was entered, without the time that people took."""
        now = asyncio.get_running_loop().time()
        paused = self._paused_seconds + (now - self._paused_at if self._people else 0.0)
        return now - self._started_at - paused

    @contextmanager
    def waiting_for_person(self, what: str = "") -> Iterator[None]:
        """`what` is waited for, where that is news to who watches."""
        loop = asyncio.get_running_loop()
        timeout = self._timeout
        if not self._people and timeout is not None and not timeout.expired():
            self._paused_at = loop.time()
            self._left = (timeout.when() or loop.time()) - loop.time()
            timeout.reschedule(None)
        self._people += 1
        if what:
            self._tell(what)
        try:
            yield
        finally:
            self._people -= 1
            if what:
                self._tell("")
            if not self._people and timeout is not None and timeout.when() is None:
                self._paused_seconds += loop.time() - self._paused_at
                timeout.reschedule(loop.time() + max(self._left, REST_SECONDS))
