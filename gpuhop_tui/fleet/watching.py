"""Something of a node that is looked at for as long as somebody wants to see it, through lost links
and whatever fails there."""

from __future__ import annotations

import asyncio
import logging
import random

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.backoff import delay_seconds
from gpuhop_tui.ssh.link import Link

_log = logging.getLogger(__name__)


class NodeWatching:
    """Runs `_look` while `watch(True)`, again after each failure, with growing pauses."""

    WHAT = ""  # is looked at: "sessions"
    UNEXPECTED = ErrorKind.NO_PROBE  # what a failure of ours is listed as
    LEAST_PAUSE_SECONDS = 0.5

    def __init__(self, link: Link) -> None:
        self._link = link
        self._task: asyncio.Task[None] | None = None
        self._rng = random.Random()
        self._failures = 0  # one after the other

    def watch(self, wanted: bool) -> None:
        """Begins or ends to look; what was seen last stays."""
        if wanted and self._task is None:
            self._begin()
            name = f"{self.WHAT} of {self._link.name}"
            self._task = asyncio.create_task(self._run(), name=name)
        elif not wanted and self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Ends it for good."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # For subclasses

    def _begin(self) -> None:
        """Somebody begins to look."""

    async def _look(self) -> None:
        """Looks until something fails, and calls `_went_well` as long as nothing does."""
        raise NotImplementedError

    def _failed(self, problem: Problem) -> None:
        """Why nothing is seen, though the link is up."""
        raise NotImplementedError

    def _went_well(self) -> None:
        self._failures = 0

    def _problem_of(self, error: Exception) -> Problem:
        if isinstance(error, ProblemError):
            return error.problem
        _log.error("unexpected failure while listing %s", self.WHAT, exc_info=error)
        return Problem(
            self._link.name,
            self.UNEXPECTED,
            f"listing the {self.WHAT} failed: {error or type(error).__name__}",
            "It is tried again by itself; the log file (--log-file) has the details.",
        )

    # Its life

    async def _run(self) -> None:
        self._failures = 0
        while True:
            await self._link.connection()
            try:
                await self._look()
                continue
            except Exception as error:
                problem = self._problem_of(error)
            if self._link.is_up:  # otherwise the link says what is wrong, and comes back
                self._failed(problem)
            self._failures += 1
            pause = delay_seconds(self._failures, self._rng)
            await asyncio.sleep(max(self.LEAST_PAUSE_SECONDS, pause))
