"""The past of the fleet, kept across restarts: taken in without waiting, written in a thread.

Where the file cannot be used (no room, no permission, a newer version's), `problem` says so, and
everything else goes on: the graphs then begin with this run.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gpuhop_tui.fleet.store.bins import Figures, OpenBins, Row, Tier, row_of, tier_for
from gpuhop_tui.fleet.store.database import LIMIT_BYTES, Database, NewerStoreError
from gpuhop_tui.probe.sample import Sample

WRITE_SECONDS = 10.0
PRUNE_SECONDS = 600.0
MOST_WAITING = 20_000  # bins that wait for a file that is busy; the oldest are dropped first

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """One GPU over `seconds` from `at` (seconds since the epoch) on; None of `figures`: a gap."""

    at: float
    seconds: float
    figures: Figures | None


class Store:
    """`start()` opens it, `close()` writes the rest. Used on the event loop."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit = limit_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._db: Database | None = None
        self._bins: dict[str, OpenBins] = {}
        self._waiting: list[tuple[str, Tier, int, Row]] = []
        self._opening: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None  # why nothing is kept, while that is so
        self.notice: str | None = None  # what became of a broken file

    async def start(self) -> None:
        """Opens the file, in the background: what is recorded meanwhile waits."""
        self._opening = asyncio.create_task(self._open(), name="open the store")
        self._task = asyncio.create_task(self._run(), name="store")

    async def close(self) -> None:
        """Writes what is there and closes the file."""
        if self._task is None:
            return
        await self._ready()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for node, bins in self._bins.items():
            self._waiting += [(node, *each) for each in bins.end()]
        await self._write()
        if self._db is not None:
            await self._try(self._db.close, "close")
        self._db = None
        self._thread.shutdown(wait=False)

    def record(self, node: str, sample: Sample) -> None:
        """Takes a live sample of a node in."""
        bins = self._bins.setdefault(node, OpenBins())
        self._waiting += [(node, *each) for each in bins.add(sample.sampled_at, row_of(sample))]
        del self._waiting[:-MOST_WAITING]

    async def points(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> list[StoredPoint]:
        """The past of one GPU, oldest first: bins side by side, those without figures as gaps.
        Empty where the store cannot be used."""
        tier = tier_for(since, until, time.time())
        if (db := await self._ready()) is None:
            return []
        await self._write()
        rows = await self._try(lambda: db.rows(node, tier, since, until), "read") or []
        found = {at: row[gpu_index].figures for at, row in rows if gpu_index in row}
        if not found:
            return []
        steps = range(min(found), max(found) + 1, tier.step)
        return [StoredPoint(at, tier.step, found.get(at)) for at in steps]

    async def note(self, kind: str, key: str, at: float, facts: dict[str, Any]) -> None:
        """Keeps facts about something, such as a job, in place of those there were."""
        if (db := await self._ready()) is not None:
            await self._try(lambda: db.note(kind, key, at, facts), "write")

    async def notes(self, kind: str, since: float) -> list[dict[str, Any]]:
        """What was noted of a kind since then, oldest first."""
        if (db := await self._ready()) is None:
            return []
        return await self._try(lambda: db.notes(kind, since), "read") or []

    async def _ready(self) -> Database | None:
        """The database, once it is open; None where it cannot be used."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        return self._db

    async def _run(self) -> None:
        await self._ready()
        pruned = -PRUNE_SECONDS
        while True:
            await self._write()
            if (db := self._db) is not None and time.monotonic() - pruned > PRUNE_SECONDS:
                pruned = time.monotonic()
                await self._try(db.prune, "tidy up")
            await asyncio.sleep(WRITE_SECONDS)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._db = await loop.run_in_executor(self._thread, Database, self._path, self._limit)
        except NewerStoreError:
            self.problem = f"{self._path} was written by a newer gpuhop-tui: nothing is kept in it"
        except (sqlite3.Error, OSError) as error:
            self._failed("open", error)
        else:
            if self._db.set_aside is not None:
                self.notice = f"{self._path} was broken: it is kept as {self._db.set_aside.name}"
                _log.warning("%s", self.notice)

    async def _write(self) -> None:
        if (db := self._db) is None or not self._waiting:
            return
        rows, self._waiting = self._waiting, []

        def add() -> bool:
            db.add(rows)
            return True

        if not await self._try(add, "write"):
            self._waiting = (rows + self._waiting)[-MOST_WAITING:]

    async def _try(self, work: Callable[[], T], what: str) -> T | None:
        """What `work` gives in the thread; None, and a `problem`, where the file fails."""
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            self._failed(what, error)
            return None
        if what == "write":
            self.problem = None
        return result

    def _failed(self, what: str, error: Exception) -> None:
        problem = f"the past is not kept: cannot {what} {self._path}: {error}"
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem
