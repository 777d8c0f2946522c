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

from gpuhop_tui.fleet.store.bins import OpenBins, Row, Tier, joined, row_of, tier_for
from gpuhop_tui.fleet.store.database import (
    LIMIT_BYTES,
    Database,
    NewerStoreError,
    is_broken,
    is_busy,
)
from gpuhop_tui.fleet.store.points import StoredPoint, points_of
from gpuhop_tui.probe.sample import Sample

WRITE_SECONDS = 10.0
PRUNE_SECONDS = 600.0
MOST_WAITING = 20_000  # bins that wait for a file that is busy; the oldest are dropped first
MOST_NOTES_WAITING = 200
BUSY_TIMES = 3  # in a row, until a file that is busy is called a problem

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Note:
    """Facts (JSON) about something of a time, such as a job; one a kind and key."""

    kind: str
    key: str
    at: float
    facts: dict[str, Any]


class Store:
    """`start()` opens it, `close()` writes the rest. Used on the event loop."""

    def __init__(
        self,
        path: Path,
        limit_bytes: int = LIMIT_BYTES,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called when `problem` or `notice` are others."""
        self._path = path
        self._limit = limit_bytes
        self._changed = changed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._db: Database | None = None
        self._bins: dict[str, OpenBins] = {}
        self._waiting: list[tuple[str, Tier, int, Row]] = []
        self._notes: dict[tuple[str, str], Note] = {}  # that wait
        self._opening: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_newer = False
        self._busy = 0  # times in a row
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
        try:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._ready()
            for node, bins in self._bins.items():
                self._waiting += [(node, *each) for each in bins.end()]
            await self._write()
            if self._db is not None:
                await self._try(self._db.close, "close")
        finally:
            self._db, self._task = None, None
            self._thread.shutdown(wait=False)

    # Taking in

    def record(self, node: str, sample: Sample) -> None:
        """Takes a live sample of a node in."""
        bins = self._bins.setdefault(node, OpenBins())
        self._waiting += [(node, *each) for each in bins.add(sample.sampled_at, row_of(sample))]
        del self._waiting[:-MOST_WAITING]

    def note(self, kind: str, key: str, at: float, facts: dict[str, Any]) -> None:
        """Keeps facts about something, such as a job, in place of those there were."""
        self._notes.pop((kind, key), None)
        self._notes[kind, key] = Note(kind, key, at, facts)
        while len(self._notes) > MOST_NOTES_WAITING:
            del self._notes[next(iter(self._notes))]

    # Reading

    async def points(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> list[StoredPoint]:
        """The past of one GPU, oldest first: bins side by side, those without figures as gaps.
        Empty where the store cannot be used."""
        return points_of(*await self.rows(node, since, until, gpu_index), gpu_index)

    async def rows(
        self, node: str, since: float, until: float, only: int | None = None
    ) -> tuple[Tier, list[tuple[int, Row]]]:
        """(start of the bin, row) of a node, oldest first, what is not written yet included."""
        tier = tier_for(since, until, time.time())
        if (db := await self._ready()) is None:
            return tier, []
        found = self._unwritten(node, tier, since, until)
        rows = await self._try(lambda: db.rows(node, tier, since, until, only), "read") or []
        for at, row in rows:
            found[at] = joined((row, found[at])) if at in found else row
        return tier, sorted(found.items())

    def _unwritten(self, node: str, tier: Tier, since: float, until: float) -> dict[int, Row]:
        """Bins that wait, and the open one. What is being written is read once it is."""
        found: dict[int, Row] = {}
        ended = [(at, row) for name, each, at, row in self._waiting if (name, each) == (node, tier)]
        bins = self._bins.get(node)
        newest = bins.of(tier) if bins is not None else None
        for at, row in (*ended, *((newest,) if newest is not None else ())):
            if since - tier.step < at <= until:
                found[at] = joined((found[at], row)) if at in found else row
        return found

    async def notes(self, kind: str, since: float) -> list[dict[str, Any]]:
        """What was noted of a kind since then, oldest first."""
        db = await self._ready()
        waiting = [each for each in self._notes.values() if each.kind == kind and each.at >= since]
        kept: list[tuple[str, float, dict[str, Any]]] = []
        if db is not None:
            kept = await self._try(lambda: db.notes(kind, since), "read") or []
        found = {key: (at, facts) for key, at, facts in kept}
        found |= {each.key: (each.at, each.facts) for each in waiting}
        return [facts for _, facts in sorted(found.values(), key=lambda pair: pair[0])]

    # The file

    async def _ready(self) -> Database | None:
        """The database, once it is open; None where it cannot be used."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        return self._db

    async def _run(self) -> None:
        await self._ready()
        pruned = -PRUNE_SECONDS
        while True:
            if self._db is None and not self._is_newer:
                await self._open()
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
            self._is_newer = True
            words = f"{self._path} was written by a newer gpuhop-tui: nothing is kept in it"
            self._tell(words, self.notice)
        except (sqlite3.Error, OSError) as error:
            self._failed("open", error)
        else:
            aside = self._db.set_aside
            if aside is not None:
                _log.warning("%s was broken: it is kept as %s", self._path, aside.name)
                notice = f"{self._path} was broken: it is kept as {aside.name}"
                self._tell(None, notice)
            else:
                self._tell(None, self.notice)

    async def _write(self) -> None:
        if (db := self._db) is None or not (self._waiting or self._notes):
            return
        rows, self._waiting = self._waiting, []
        notes, self._notes = self._notes, {}

        def write() -> bool:
            if not db.is_in_place:
                raise FileNotFoundError(f"{self._path} was taken away")
            db.add(rows, [(each.kind, each.key, each.at, each.facts) for each in notes.values()])
            return True

        if not await self._try(write, "write"):
            self._waiting = (rows + self._waiting)[-MOST_WAITING:]
            self._notes = notes | self._notes

    async def _try(self, work: Callable[[], T], what: str) -> T | None:
        """What `work` gives in the thread; None, and a `problem`, where the file fails. One that is
        broken, or gone, is opened anew: what waits is written then."""
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            if is_broken(error) or isinstance(error, FileNotFoundError):
                await self._reopen(error)
            else:
                self._failed(what, error)
            return None
        if what == "write":
            self._busy = 0
            self._tell(None, self.notice)
        return result

    async def _reopen(self, error: Exception) -> None:
        _log.warning("%s is opened anew: %s", self._path, error)
        if (db := self._db) is not None:
            self._db = None
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._thread, db.close)
            except sqlite3.Error as failure:
                _log.warning("%s: %s", self._path, failure)
        await self._open()

    def _failed(self, what: str, error: Exception) -> None:
        if is_busy(error):
            self._busy += 1
            if self._busy < BUSY_TIMES:
                return
        problem = f"the past is not kept: cannot {what} {self._path}: {error}"
        if problem != self.problem:
            _log.warning("%s", problem)
        self._tell(problem, self.notice)

    def _tell(self, problem: str | None, notice: str | None) -> None:
        if (problem, notice) != (self.problem, self.notice):
            self.problem, self.notice = problem, notice
            self._changed()
