"""Work in the background: pulls, builds, copies and starts, how far they are, what became of them.

Whoever has something long to do hands it over and goes on:

    async def run(job: Job) -> str:
        async with contextlib.aclosing(pull(containers.engine, image)) as steps:
            async for step in steps:
                job.tell(step)  # a PullProgress, BuildProgress, CopyProgress, Transfer, or words
        return f"{image} is on {node}"  # said in a toast, and kept

    job = app.work.begin(f"Pull {image}", node, Kind.PULL, run)
    await job.wait()  # only where somebody waits for it; it never raises

The work may raise what the core raises: a message and an advice become the outcome. It is cancelled
by `asyncio.CancelledError` in `run`, so that `aclosing` ends what it began. Every job is listed on
the work screen, stays there with its outcome until it is dismissed, and a copy, pull or build that
runs has the app ask before it is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from textual.message import Message

from gpuhop_tui.problem import ProblemError

if TYPE_CHECKING:
    from gpuhop_tui.containers.build import BuildProgress
    from gpuhop_tui.containers.copy import CopyProgress
    from gpuhop_tui.containers.progress import PullProgress

_log = logging.getLogger(__name__)

MOST_ENDED = 50  # outcomes that are kept
_SPEED_SECONDS = 5.0  # the speed is that of the last so many seconds


class Kind(StrEnum):
    """What a job does."""

    PULL = "pull"
    BUILD = "build"
    COPY = "copy"
    START = "start"


class JobState(StrEnum):
    """Whether it goes on, or how it ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Transfer:
    """How far bytes on their way are."""

    name: str  # of what is on its way now
    done_bytes: int
    total_bytes: int | None = None  # None: not known
    waiting: str | None = None  # why it stands still


Step: TypeAlias = "PullProgress | BuildProgress | CopyProgress | Transfer | str"


class WorkChanged(Message):
    """A job began, is further, or ended. Screens look at the jobs themselves."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, WorkChanged)


class WorkEnded(Message):
    """A job has come to its end."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


class Job:
    """One piece of work. `words`, `advice` and `lines` are its outcome, once it has ended."""

    def __init__(
        self,
        id: int,
        title: str,
        node: str,
        kind: Kind,
        began_at: float,
        changed: Callable[[], None],
    ) -> None:
        self.id, self.title, self.node, self.kind = id, title, node, kind
        self.began_at = began_at  # seconds since the epoch, as `ended_at`
        self.ended_at: float | None = None
        self.state = JobState.RUNNING
        self.step: Step | None = None  # the last that it told
        self.words = self.advice = ""
        self.lines: tuple[str, ...] = ()  # the last that a failed one wrote
        self.error: Exception | None = None
        self.quiet = False  # no toast: a screen that is open tells how it ends
        self.reopen: Callable[[], object] | None = None  # the form that it came from, as it was
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._past: deque[tuple[float, int]] = deque()

    def tell(self, step: Step, kind: Kind | None = None) -> None:
        """How far it is; and what it does from here on, where that is something else."""
        self.step = step
        if kind is not None:
            self.kind = kind
        done = getattr(step, "done_bytes", None)
        if done is not None:
            self._past.append((time.monotonic(), done))
            while len(self._past) > 2 and self._past[-1][0] - self._past[0][0] > _SPEED_SECONDS:
                self._past.popleft()
        self._changed()

    @property
    def is_running(self) -> bool:
        return self.state is JobState.RUNNING

    @property
    def is_transfer(self) -> bool:
        """Whether leaving the app would break off what takes long to do again."""
        return self.is_running and self.kind is not Kind.START

    @property
    def bytes_per_second(self) -> float | None:
        """Of a copy, over its last seconds."""
        if len(self._past) < 2:
            return None
        (began, before), (now, done) = self._past[0], self._past[-1]
        return (done - before) / (now - began) if now > began else None

    async def wait(self) -> None:
        """Returns when it has ended, however. To be cancelled does not cancel the job."""
        if self._task is not None:
            await asyncio.wait({self._task})


class Work:
    """All jobs, the newest first."""

    def __init__(self, post: Callable[[Message], object], clock: Callable[[], float]) -> None:
        self._post, self._clock = post, clock
        self._ids = count(1)
        self._jobs: list[Job] = []

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(self._jobs)

    @property
    def running(self) -> tuple[Job, ...]:
        return tuple(job for job in self._jobs if job.is_running)

    @property
    def transfers(self) -> tuple[Job, ...]:
        """Those that are to be asked about before the app is left."""
        return tuple(job for job in self._jobs if job.is_transfer)

    def begin(self, title: str, node: str, kind: Kind, run: Callable[[Job], Awaitable[str]]) -> Job:
        """Begin a job. `run` tells the job how far it is and returns the words of its good end."""
        job = Job(next(self._ids), title, node, kind, self._clock(), self._changed)
        self._jobs.insert(0, job)
        self._forget_oldest()
        job._task = asyncio.create_task(self._run(job, run), name=f"work {job.id}: {title}")
        job._task.add_done_callback(lambda _task: self._ended(job))
        self._changed()
        return job

    def cancel(self, job: Job) -> None:
        """End it; what it has finished so far stays where the engine keeps it."""
        if job.is_running and job._task is not None:
            job._task.cancel()

    def dismiss(self, job: Job) -> None:
        """Forget the outcome of an ended one."""
        if not job.is_running and job in self._jobs:
            self._jobs.remove(job)
            self._changed()

    async def close(self) -> None:
        """Cancel what runs, and wait until it has let go."""
        tasks = [job._task for job in self.running if job._task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job, run: Callable[[Job], Awaitable[str]]) -> None:
        try:
            job.words = await run(job)
            job.state = JobState.DONE
        except Exception as error:
            job.state, job.error = JobState.FAILED, error
            job.words, job.advice = told(error)
            job.lines = tuple(getattr(error, "lines", ())) or tuple(getattr(job.step, "lines", ()))

    def _ended(self, job: Job) -> None:
        if job.is_running:
            job.state, job.words = JobState.CANCELLED, "cancelled"
        job.ended_at = self._clock()
        self._changed()
        self._post(WorkEnded(job))

    def _forget_oldest(self) -> None:
        ended = [job for job in self._jobs if not job.is_running]
        for job in ended[MOST_ENDED:]:
            self._jobs.remove(job)

    def _changed(self) -> None:
        self._post(WorkChanged())


def told(error: Exception) -> tuple[str, str]:
    """What went wrong, and what to do: the words of the core's errors, or of any other."""
    if isinstance(error, ProblemError):
        return str(error.problem), error.problem.advice
    message, advice = getattr(error, "message", None), getattr(error, "advice", None)
    if isinstance(message, str) and isinstance(advice, str):
        return message, advice
    _log.error("unexpected failure of work in the background", exc_info=error)
    return (
        f"it failed unexpectedly: {error or type(error).__name__}",
        "The log file (--log-file) has the details.",
    )
