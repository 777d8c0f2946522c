"""A container's log that is followed for as long as somebody looks: through lost links, restarts of
the engine and of the container, without losing or doubling a line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.following import Following, FollowState, FollowView
from gpuhop_tui.containers.log_lines import Edge, LogLine
from gpuhop_tui.containers.logs import TAIL, last_words, log_batches
from gpuhop_tui.containers.model import Container

LINES, CHARACTERS = 20_000, 16 << 20  # that are kept while it is followed
MOST_LINES = 100_000  # with what of the past was asked for
EARLIER = 2000  # lines that are asked for at a time
BEHIND_SECONDS = 5.0  # what is so far behind is left out
_OVERLAP_NS = 1_000_000  # an engine may take `since` for "after"


@dataclass(frozen=True, slots=True)
class LogMark:
    """Stands between lines: what happened there to the container or to our following it."""

    text: str
    bad: bool = False  # lines are missing, or the container failed


Entry = LogLine | LogMark


@dataclass(frozen=True, slots=True)
class LogView(FollowView):
    """How it goes, beside the entries."""

    dropped: int = 0  # entries that were let go for room, the oldest ones
    whole: bool = False  # the first entry is the first of the log


class ContainerLog(Following):
    """Follows one log from `start` to `close`. All methods are for the event loop's thread."""

    def __init__(
        self, engine: Engine, container: Container, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(engine, container, clock)
        self.view = LogView()
        self._entries: deque[Entry] = deque()
        self._characters = 0
        self._limit = LINES
        self._edge = Edge()
        self._lag: float | None = None  # the least between a line's time and its arrival

    # For whoever shows it

    @property
    def entries(self) -> Sequence[Entry]:
        """Oldest first."""
        return self._entries

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
            found = [
                line
                async for lines in batches
                for line in lines
                if line.at_ns is not None and line.at_ns <= first.at_ns
            ]
        known = sum(1 for each in self._entries if _time(each) == first.at_ns)
        while known and found and found[-1].at_ns == first.at_ns:
            found.pop()
            known -= 1
        return found

    # Its life

    async def _follow(self) -> None:
        """Returns when the container has ended and its last line was read."""
        while True:
            try:
                await self._read()
                break
            except _TooFarBehindError:
                self._set(state=FollowState.FLOOD)
        for line in await last_words(self._engine, self.container, self._edge):
            self._add([line])

    async def _read(self) -> None:
        edge = self._edge.at_ns
        is_flood = self.view.state is FollowState.FLOOD
        since = None if edge is None or is_flood else edge - _OVERLAP_NS
        self._edge.read_again()
        is_first = True
        reading = log_batches(self._engine, self.container, follow=True, tail=TAIL, since_ns=since)
        async with contextlib.aclosing(reading) as batches:
            async for lines in batches:
                fresh = self._edge.new(lines)
                if not is_flood and self.view.state is not FollowState.LIVE:
                    self._set(state=FollowState.LIVE)
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
        if self.view.state is FollowState.FLOOD and len(lines) < _MANY:
            self._set(state=FollowState.LIVE)

    def _set(self, **fields: object) -> None:
        self.view = replace(self.view, **fields)  # type: ignore[arg-type]
        self._tell()

    def _progress(self) -> object:
        return self._edge.at_ns

    def _view(self) -> FollowView:
        return self.view


_MANY = 200  # lines in one batch that say that more are waiting


class _TooFarBehindError(Exception):
    """What is read is old, and the newest is to be gone to."""


def _length(entry: Entry) -> int:
    return len(entry.text)


def _time(entry: Entry) -> int | None:
    return entry.at_ns if isinstance(entry, LogLine) else None
