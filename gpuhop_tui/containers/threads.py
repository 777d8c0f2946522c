"""Where the SDK may block: threads for its calls, and for the streams that it iterates."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_AHEAD = 256  # items of a stream that wait for their reader
_ENDING_SECONDS = 5.0


class Calls:
    """A bounded number of calls at once; the others wait for their turn."""

    def __init__(self, number: int, name: str) -> None:
        self._turns = asyncio.Semaphore(number)
        self._threads = ThreadPoolExecutor(number, thread_name_prefix=name)

    async def run(self, work: Callable[[], Answer], timeout: float) -> Answer:
        """What `work` returns. Raises TimeoutError where it takes longer than `timeout` seconds,
        the wait for its turn not counted, and as it does."""
        async with self._turns, asyncio.timeout(timeout):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Begins no other; whoever closes ends what goes on, under its socket."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Reader:
    """Runs an iteration in a thread and hands its items to the loop, a bounded number ahead."""

    def __init__(self, begin: Callable[[], Iterable[Any]], pool: ThreadPoolExecutor) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[tuple[Any] | None, BaseException | None]] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = False
        self._done = self._loop.run_in_executor(pool, self._run, begin)

    async def next(self) -> tuple[tuple[Any] | None, BaseException | None]:
        """(item,) or None at the end; or what was raised."""
        got = await self._queue.get()
        self._room.release()
        return got

    def stop(self) -> None:
        """Hand over nothing more."""
        self._stopped = True
        self._room.release()

    async def ended(self) -> None:
        """Returns when its thread has ended, or after a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                await asyncio.shield(self._done)

    def _run(self, begin: Callable[[], Iterable[Any]]) -> None:
        try:
            for item in begin():
                self._room.acquire()
                if self._stopped:
                    return
                self._post((item,), None)
            self._post(None, None)
        except Exception as exc:
            if not self._stopped:
                self._post(None, exc)

    def _post(self, item: tuple[Any] | None, failure: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (item, failure))
