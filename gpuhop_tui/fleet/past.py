"""The past of the fleet: the recent one in memory, the rest in a store, where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gpuhop_tui.fleet.history import POINTS, History
from gpuhop_tui.fleet.jobs.model import Job, JobKey, JobState
from gpuhop_tui.fleet.past_jobs import KIND, PastJob
from gpuhop_tui.fleet.state import HistoryPoint
from gpuhop_tui.fleet.store.database import KEPT_SECONDS, LIMIT_BYTES
from gpuhop_tui.fleet.store.points import StoredPoint, joined, points_of
from gpuhop_tui.fleet.store.store import Store
from gpuhop_tui.probe.sample import Sample

CLOSE_SECONDS = 2.5  # what is not written by then is left
SEED_SECONDS = 1800.0  # of the past that the first graphs begin with
_SEEDED_POINTS = POINTS // 2

_log = logging.getLogger(__name__)


class Past:
    """Takes samples and jobs in, and gives them back. Used on the event loop."""

    def __init__(
        self,
        path: Path | None,
        limit_bytes: int = LIMIT_BYTES,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`path` is the store's file; None: the past begins with this run. `changed` is called
        when `problem` or `notice` are others."""
        self._recent = History()
        self._store = Store(path, limit_bytes, changed) if path is not None else None
        self._seeding: dict[str, asyncio.Task[None]] = {}
        self._noted: dict[JobKey, tuple[JobState, float | None]] = {}

    @property
    def problem(self) -> str:
        """Why nothing is kept, while that is so; "" else."""
        return (self._store.problem if self._store is not None else None) or ""

    @property
    def store(self) -> Store | None:
        """The store, for what else is to be kept; None: there is none."""
        return self._store

    @property
    def notice(self) -> str:
        """What became of a file that was broken; "" else."""
        return (self._store.notice if self._store is not None else None) or ""

    async def start(self) -> None:
        """Opens the store, in the background."""
        if self._store is not None:
            await self._store.start()

    async def close(self) -> None:
        """Writes what is left to be kept, in bounded time."""
        for task in self._seeding.values():
            task.cancel()
        await asyncio.gather(*self._seeding.values(), return_exceptions=True)
        if self._store is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._store.close()
        except TimeoutError:
            _log.warning("the newest figures are not kept: their file does not answer")

    # Taking in

    def record(self, node: str, sample: Sample) -> None:
        """Takes a live sample of a node in."""
        self._recent.record(node, sample)
        if self._store is None:
            return
        if node not in self._seeding:
            seeding = self._seed(self._store, node, [gpu.index for gpu in sample.gpus])
            self._seeding[node] = asyncio.create_task(seeding, name=f"past of {node}")
        self._store.record(node, sample)

    def gap(self, node: str) -> None:
        """Nothing is known of a node from now on."""
        self._recent.gap(node, time.time())

    def saw_jobs(self, jobs: Iterable[Job]) -> None:
        """Notes those that are over, so that they are listed after a restart too."""
        if self._store is None:
            return
        for job in jobs:
            if job.is_over and self._noted.get(job.key) != (job.state, job.ended_at):
                self._noted[job.key] = (job.state, job.ended_at)
                past = PastJob.of(job)
                self._store.note(KIND, past.key, past.ended_at, past.to_json())

    async def _seed(self, store: Store, node: str, gpus: Sequence[int]) -> None:
        """Lets the graphs of a node begin with what was kept of the time before this run."""
        now = time.time()
        tier, rows = await store.rows(node, now - SEED_SECONDS, now)
        for index in gpus:
            kept = points_of(tier, rows, index)
            self._recent.seed(node, index, kept[-_SEEDED_POINTS:])

    # Giving back

    def recent(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        """Utilization and memory of late, from memory."""
        return self._recent.points(node, gpu_index)

    async def points(
        self, node: str, gpu_index: int, since: float, until: float
    ) -> list[StoredPoint]:
        """All figures of one GPU, oldest first; gaps as such. Times in seconds since the epoch."""
        with contextlib.suppress(KeyError):
            await asyncio.wait([self._seeding[node]])
        kept: list[StoredPoint] = []
        if self._store is not None:
            kept = await self._store.points(node, gpu_index, since, until)
        return joined(kept, self._recent.past(node, gpu_index), since, until)

    async def gpus(self, node: str) -> list[int]:
        """The indexes of the GPUs of which a past was kept, in order."""
        if self._store is None:
            return []
        now = time.time()
        _, rows = await self._store.rows(node, now - KEPT_SECONDS, now)
        return sorted({index for _, row in rows for index in row})

    async def jobs(self) -> list[PastJob]:
        """The jobs that ended in the last days, the newest first."""
        if self._store is None:
            return []
        facts = await self._store.notes(KIND, time.time() - KEPT_SECONDS)
        found = [past for each in facts if (past := PastJob.from_json(each)) is not None]
        return found[::-1]
