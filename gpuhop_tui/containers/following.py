"""Something of a container that is followed for as long as somebody looks, through lost links and
restarts of the engine and of the container."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.look import exit_code_between, look, until_started_again
from gpuhop_tui.containers.model import Container
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

CHANGE_SECONDS = 0.05  # changes within this time are told as one: 20 a second at most
AGAIN_SECONDS = (0.5, 10.0)  # after a failure that was not the link's: the first wait, the longest

_log = logging.getLogger(__name__)


class FollowState(StrEnum):
    """Where a following is in its life."""

    STARTING = "starting"
    LIVE = "live"
    FLOOD = "flood"  # more comes than can be read: some is left out
    AWAY = "away"  # link or engine do not answer: it goes on by itself
    ENDED = "ended"  # the container does not run; goes on when it is started
    REMOVED = "removed"  # the container is no more: what was seen last


@dataclass(frozen=True, slots=True)
class FollowView:
    """How it goes."""

    state: FollowState = FollowState.STARTING
    problem: Problem | None = None  # while away: why
    away_since: float | None = None  # seconds since the epoch, this machine's clock
    exit_code: int | None = None  # while ended


class Following:
    """Runs `_follow` from `start` to `close`, again and again. All methods are for the event loop's
    thread. Subclasses keep what they read, and a view of how it goes."""

    def __init__(self, engine: Engine, container: Container, clock: Callable[[], float]) -> None:
        self.container = container
        self._engine = engine
        self._clock = clock
        self._subscribers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._rng = random.Random()

    # For whoever shows it

    def start(self) -> None:
        """Begins to follow. Does nothing when already begun."""
        if self._task is None:
            name = f"{type(self).__name__} of {self.container.name}"
            self._task = asyncio.create_task(self._run(), name=name)

    async def close(self) -> None:
        """Ends it; nothing of it is left on the node."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def changes(self) -> AsyncIterator[None]:
        """Yields at once, and after each change, at most 20 times a second."""
        changed = asyncio.Event()
        changed.set()
        self._subscribers.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield
                await asyncio.sleep(CHANGE_SECONDS)
        finally:
            self._subscribers.discard(changed)

    # For subclasses

    async def _follow(self) -> None:
        """Reads until the container has ended. Raises as `Engine.stream` does."""
        raise NotImplementedError

    def _mark(self, text: str, bad: bool = False) -> None:
        """Something happened to the container."""

    def _set(self, **fields: object) -> None:
        """Have the view say this."""
        raise NotImplementedError

    def _progress(self) -> object:
        """Is another after something was read."""
        raise NotImplementedError

    def _view(self) -> FollowView:
        raise NotImplementedError

    def _tell(self) -> None:
        for changed in self._subscribers:
            changed.set()

    def _problem(self, message: str, advice: str) -> Problem:
        return Problem(self._engine.node, ErrorKind.LOST, message, advice)

    # Its life

    async def _run(self) -> None:
        pause = AGAIN_SECONDS[0]
        ending: object = None  # the last that was told
        while True:
            await self._engine.link.connection()
            before = self._progress()
            try:
                self.container = await look(self._engine, self.container)
                await self._follow()
                ending = await self._end(ending)
                pause = AGAIN_SECONDS[0]
                continue
            except ProblemError as error:
                problem = error.problem
            except ContainerError as error:
                if error.is_gone:
                    self._mark("the container was removed")
                    self._set(state=FollowState.REMOVED, problem=None, away_since=None)
                    return
                problem = self._problem(error.message, error.advice)
            except Exception as error:
                _log.exception("unexpected failure of %s on %s", type(self), self._engine.node)
                problem = self._problem(
                    f"it failed unexpectedly: {error or type(error).__name__}",
                    "It is tried again by itself; the log file (--log-file) has the details.",
                )
            since = self._view().away_since or self._clock()
            self._set(state=FollowState.AWAY, problem=problem, away_since=since)
            if self._engine.link.is_up:
                pause = AGAIN_SECONDS[0] if self._progress() != before else 2 * pause
                await asyncio.sleep(min(pause, AGAIN_SECONDS[1]) * self._rng.uniform(0.8, 1.2))

    async def _end(self, told: object) -> object:
        """Says how the container ended, where that is not the ending that was told; returns when it
        was started again."""
        before, now = self.container, await look(self._engine, self.container)
        self.container = now
        ending = told
        if not now.running:
            ending = now.state, now.started_at, now.finished_at
            if ending != told:
                self._mark(*ending_words(now))
            self._set(
                state=FollowState.ENDED, problem=None, away_since=None, exit_code=now.exit_code
            )
            if await until_started_again(self._engine, now) is None:
                raise ProblemError(
                    self._problem("the engine stopped telling", "It is asked again by itself.")
                )
        elif now.started_at == before.started_at:
            raise ProblemError(
                self._problem("the engine broke off", "It is asked again by itself.")
            )
        else:  # it was started again before we looked
            since, until = before.started_at or 0.0, now.started_at or 0.0
            code = await exit_code_between(self._engine, now, since, until)
            self._mark(*ending_words(replace(now, exit_code=code)))
        self._mark("the container was started again")
        self._set(state=FollowState.LIVE, problem=None, away_since=None, exit_code=None)
        return ending


def ending_words(container: Container) -> tuple[str, bool]:
    """How a container ended, and whether that was bad."""
    code = container.exit_code
    if container.state == "created":
        return (container.error or "the container was not started yet"), bool(container.error)
    if container.oom_killed:
        return f"the container ran out of memory and ended with exit code {code}", True
    if code is None:
        return "the container ended; the engine does not say how", True
    return f"the container ended with exit code {code}", code != 0
