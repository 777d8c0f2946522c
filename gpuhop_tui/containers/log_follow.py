"""A container's log that is followed for as long as somebody looks: through lost links, restarts of
the engine and of the container, without losing or doubling a line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.log_lines import Edge, LogLine
from gpuhop_tui.containers.logs import TAIL, last_words, log_batches
from gpuhop_tui.containers.look import look, until_started_again
from gpuhop_tui.containers.model import Container
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

LINES, CHARACTERS = 20_000, 16 << 20  # that are kept while it is followed
MOST_LINES = 100_000  # with what of the past was asked for
EARLIER = 2000  # lines that are asked for at a time
CHANGE_SECONDS = 0.05  # changes within this time are told as one: 20 a second at most
AGAIN_SECONDS = (0.5, 10.0)  # after a failure that was not the link's: the first wait, the longest
BEHIND_SECONDS = 5.0  # what is so far behind is left out
_OVERLAP_NS = 1_000_000  # an engine may take `since` for "after"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogMark:
    """Stands between lines: what happened there to the container or to our following it."""

    text: str
    bad: bool = False  # lines are missing, or the container failed


Entry = LogLine | LogMark


class LogState(StrEnum):
    """Where the following of a log is in its life."""

    STARTING = "starting"
    LIVE = "live"
    FLOOD = "flood"  # lines come faster than they can be read: some are left out
    AWAY = "away"  # link or engine do not answer: it goes on by itself
    ENDED = "ended"  # the container does not run; goes on when it is started
    REMOVED = "removed"  # the container is no more: its last lines


@dataclass(frozen=True, slots=True)
class LogView:
    """How it goes, beside the entries."""

    state: LogState = LogState.STARTING
    problem: Problem | None = None  # while away or starting: why
    away_since: float | None = None  # seconds since the epoch, this machine's clock
    exit_code: int | None = None  # while ended
    dropped: int = 0  # entries that were let go for room, the oldest ones
    whole: bool = False  # the first entry is the first of the log


class ContainerLog:
    """Follows one log from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(
        self, engine: Engine, container: Container, clock: Callable[[], float] = time.time
    ) -> None:
        self.container = container
        self.view = LogView()
        self._engine = engine
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._characters = 0
        self._limit = LINES
        self._edge = Edge()
        self._ending: object = None  # the last that was told
        self._lag: float | None = None  # the least between a line's time and its arrival
        self._subscribers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._rng = random.Random()

    # For whoever shows it

    @property
    def entries(self) -> Sequence[Entry]:
        """Oldest first."""
        return self._entries

    def start(self) -> None:
        """Begins to follow. Does nothing when already begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"log of {self.container.name}")

    async def close(self) -> None:
        """Ends it; nothing of it is left on the node."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def changes(self) -> AsyncIterator[LogView]:
        """Yields the view now, and the newest after each change, at most 20 a second."""
        changed = asyncio.Event()
        changed.set()
        self._subscribers.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield self.view
                await asyncio.sleep(CHANGE_SECONDS)
        finally:
            self._subscribers.discard(changed)

    @property
    def is_full(self) -> bool:
        """Whether no more of the past is taken."""
        return len(self._entries) >= MOST_LINES or self._characters >= 2 * CHARACTERS

    async def earlier(self, count: int = EARLIER) -> list[Entry]:
        """Takes `count` lines before the first, or as many as there are; `view.whole` is true
        where that was all. Raises as `Engine.stream` does."""
        first = next((each for each in self._entries if isinstance(each, LogLine)), None)
        if first is None or first.at_ns is None or self.view.whole or self.is_full:
            return []
        tail = len(self._entries) + count
        found: list[LogLine] = []
        while True:  # the engine counts from the end, and more than we know of may be there
            before, found = found, await self._before(first, tail)
            if len(found) >= count or (tail > len(self._entries) + count and found == before):
                break
            tail *= 4
        if not any(each is first for each in self._entries):
            return []  # let go meanwhile
        kept: list[Entry] = list(found[-count:])
        self._limit = min(MOST_LINES, max(self._limit, len(self._entries) + len(kept) + TAIL))
        self._entries.extendleft(reversed(kept))
        self._characters += sum(map(_length, kept))
        self._set(whole=len(found) < count)
        return kept

    async def _before(self, first: LogLine, tail: int) -> list[LogLine]:
        assert first.at_ns is not None
        reading = log_batches(
            self._engine, self.container, follow=False, tail=tail, until_ns=first.at_ns
        )
        async with contextlib.aclosing(reading) as batches:
            found = [line async for lines in batches for line in lines]
        known = sum(1 for each in self._entries if _time(each) == first.at_ns)
        while known and found and found[-1].at_ns == first.at_ns:
            found.pop()
            known -= 1
        return found

    # Its life

    async def _run(self) -> None:
        pause = AGAIN_SECONDS[0]
        while True:
            await self._engine.link.connection()
            edge = self._edge.at_ns
            try:
                await self._follow()
                await self._end()
                pause = AGAIN_SECONDS[0]
                continue
            except ProblemError as error:
                problem = error.problem
            except ContainerError as error:
                if error.is_gone:
                    self._mark("the container was removed")
                    self._set(state=LogState.REMOVED, problem=None)
                    return
                problem = self._problem(error.message, error.advice)
            except Exception as error:
                _log.exception("unexpected failure of following a log on %s", self._engine.node)
                problem = self._problem(
                    f"following the log failed: {error or type(error).__name__}",
                    "It is tried again by itself; the log file (--log-file) has the details.",
                )
            since = self.view.away_since or self._clock()
            self._set(state=LogState.AWAY, problem=problem, away_since=since)
            if self._engine.link.is_up:
                pause = AGAIN_SECONDS[0] if self._edge.at_ns != edge else 2 * pause
                await asyncio.sleep(min(pause, AGAIN_SECONDS[1]) * self._rng.uniform(0.8, 1.2))

    async def _follow(self) -> None:
        """Returns when the container has ended and its last line was read."""
        self.container = await look(self._engine, self.container)
        while True:
            try:
                await self._read()
                break
            except _TooFarBehindError:
                self._set(state=LogState.FLOOD)
        for line in await last_words(self._engine, self.container, self._edge):
            self._add([line])

    async def _read(self) -> None:
        edge = self._edge.at_ns
        is_flood = self.view.state is LogState.FLOOD
        since = None if edge is None or is_flood else edge - _OVERLAP_NS
        self._edge.read_again()
        is_first = True
        reading = log_batches(self._engine, self.container, follow=True, tail=TAIL, since_ns=since)
        async with contextlib.aclosing(reading) as batches:
            async for lines in batches:
                fresh = self._edge.new(lines)
                if not is_flood and self.view.state is not LogState.LIVE:
                    self._set(state=LogState.LIVE)
                if lines and is_first:
                    is_first = False
                    self._back(edge, lines, is_flood)
                self._add(fresh)
                self._judge_pace(fresh)
                await asyncio.sleep(0)

    def _back(self, edge: int | None, lines: Sequence[LogLine], is_flood: bool) -> None:
        """The first lines of another reading are there: say what was between."""
        away_since = self.view.away_since
        if edge is not None and not self._edge.overlapped:
            if is_flood and lines[0].at_ns is not None:
                seconds = max(0.0, (lines[0].at_ns - edge) / 1e9)
                self._mark(
                    f"{seconds:.1f} s of lines left out: they come faster than they can be read",
                    bad=True,
                )
            else:
                self._mark(
                    "lines may be missing: the engine no longer has the last one that was read",
                    bad=True,
                )
        elif away_since is not None and edge is not None:
            why = self.view.problem.message if self.view.problem else "the link was lost"
            self._mark(f"away for {self._clock() - away_since:.0f} s: {why}; no line is missing")
        self._set(problem=None, away_since=None)

    async def _end(self) -> None:
        """Says how the container ended; returns when it was started again."""
        before, now = self.container, await look(self._engine, self.container)
        self.container = now
        if not now.running:
            ending = now.state, now.started_at, now.finished_at
            if ending != self._ending:  # not told already, before a lost link
                self._ending = ending
                self._mark(*_ending(now))
            self._set(state=LogState.ENDED, problem=None, away_since=None, exit_code=now.exit_code)
            again = await until_started_again(self._engine, now)
            if again is None:
                raise ProblemError(
                    self._problem("the engine stopped telling", "It is asked again by itself.")
                )
            self.container = again
        elif now.started_at == before.started_at:
            raise ProblemError(
                self._problem("the engine ended the log", "It is asked again by itself.")
            )
        self._mark("the container was started again")
        self._set(state=LogState.LIVE, problem=None, exit_code=None)

    # Entries

    def _add(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._entries.extend(entries)
        self._characters += sum(map(_length, entries))
        dropped = 0
        while len(self._entries) > self._limit or (
            self._characters > 2 * CHARACTERS and len(self._entries) > 1
        ):
            self._characters -= _length(self._entries.popleft())
            dropped += 1
        if dropped:
            self._set(dropped=self.view.dropped + dropped, whole=False)
        else:
            self._tell()

    def _mark(self, text: str, bad: bool = False) -> None:
        self._add([LogMark(text, bad)])

    def _judge_pace(self, lines: Sequence[LogLine]) -> None:
        """Raises where what comes is too old, and more of it is on its way."""
        at = lines[-1].at if lines else None
        if at is None:
            return
        lag = self._clock() - at
        self._lag = lag if self._lag is None else min(lag, self._lag)
        if lag - self._lag > BEHIND_SECONDS and len(lines) >= _MANY:
            raise _TooFarBehindError
        if self.view.state is LogState.FLOOD and len(lines) < _MANY:
            self._set(state=LogState.LIVE)

    def _set(self, **fields: object) -> None:
        self.view = replace(self.view, **fields)  # type: ignore[arg-type]
        self._tell()

    def _tell(self) -> None:
        for changed in self._subscribers:
            changed.set()

    def _problem(self, message: str, advice: str) -> Problem:
        return Problem(self._engine.node, ErrorKind.LOST, message, advice)


_MANY = 200  # lines in one batch that say that more are waiting


class _TooFarBehindError(Exception):
    """What is read is old, and the newest is to be gone to."""


def _ending(container: Container) -> tuple[str, bool]:
    """How a container ended, and whether that was bad."""
    if container.state == "created":
        return (container.error or "the container was not started yet"), bool(container.error)
    if container.oom_killed:
        return (
            f"the container ran out of memory and ended with exit code {container.exit_code}",
            True,
        )
    if container.exit_code is None:
        return "the container ended; the engine does not say how", True
    return f"the container ended with exit code {container.exit_code}", container.exit_code != 0


def _length(entry: Entry) -> int:
    return len(entry.text)


def _time(entry: Entry) -> int | None:
    return entry.at_ns if isinstance(entry, LogLine) else None
