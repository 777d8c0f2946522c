"""A container's log, line by line, and its use of the node, second by second."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.listing import read_time
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.usage import Usage, cpu_percent, read_usage

TAIL = 1000
_LONGEST = 65536  # characters of a line; a longer one is cut into several
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)) ?")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `text` is as it was written, escape sequences and all."""

    at: float | None  # seconds since the epoch by the node's clock
    text: str


async def logs(
    engine: Engine,
    container: Container,
    *,
    follow: bool = True,
    tail: int = TAIL,
    since: float | None = None,
) -> AsyncGenerator[LogLine, None]:
    """The last `tail` lines, or those from `since` on; with `follow` those to come, until it ends.

    To be closed by `contextlib.aclosing`. After a lost link (ProblemError) `since` the last line's
    time goes on where it broke off. Raises as `Engine.stream` does.
    """
    last: LogLine | None = None
    async with contextlib.aclosing(_read(engine, container, follow, tail, since)) as lines:
        async for last in lines:
            yield last
    if follow:
        # An engine may end a followed log before the very last words of a container.
        from_here = last.at if last is not None else since
        rest = [line async for line in _read(engine, container, False, tail, from_here)]
        for line in rest[rest.index(last) + 1 :] if last in rest else rest:
            yield line


async def _read(
    engine: Engine, container: Container, follow: bool, tail: int, since: float | None
) -> AsyncGenerator[LogLine, None]:
    def begin(client: Any) -> Any:
        return client.logs(
            container.id,
            stream=True,
            follow=follow,
            timestamps=True,
            tail="all" if since is not None else tail,
            since=since,
        )

    splitter = LineSplitter()
    async with contextlib.aclosing(engine.stream(f"reading {container.name}'s log", begin)) as each:
        async for chunk in each:
            for line in splitter.feed(chunk):
                yield line
    for line in splitter.rest():
        yield line


class LineSplitter:
    """Chunks of bytes in, whole lines with their times out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[LogLine]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole.append(self._rest)
            self._rest = b""
        return [read_line(line) for line in whole]

    def rest(self) -> list[LogLine]:
        rest, self._rest = self._rest, b""
        return [read_line(rest)] if rest else []


def read_line(raw: bytes) -> LogLine:
    """A line that begins with the engine's time stamp."""
    found = _STAMP.match(raw)
    at = read_time(found[1].decode()) if found else None
    text = raw[found.end() :] if found and at is not None else raw
    return LogLine(at, text.rstrip(b"\r").decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """Use at one moment. Rates are bytes a second since the point before; None at the first."""

    at: float | None  # by the node's clock
    cpu_percent: float | None  # 100 is one core
    memory_bytes: int | None
    memory_limit_bytes: int | None
    network_rate: tuple[float, float] | None = None  # received, sent
    disk_rate: tuple[float, float] | None = None  # read, written
    pids: int | None = None


async def usage(engine: Engine, container: Container) -> AsyncGenerator[UsagePoint, None]:
    """A point about every second, until the container ends. To be closed by
    `contextlib.aclosing`. Raises as `Engine.stream` does."""

    def begin(client: Any) -> Any:
        return client.stats(container.id, stream=True, decode=True)

    before: Usage | None = None
    stream = engine.stream(f"measuring {container.name}", begin)
    async with contextlib.aclosing(stream) as each:
        async for facts in each:
            now = read_usage(facts)
            if now.cpu_ns is None or (read_time(now.read_at) is None and before is not None):
                return  # an ended container has empty figures
            yield point(before, now)
            before = now


def point(before: Usage | None, now: Usage) -> UsagePoint:
    """What two looks say."""
    at = read_time(now.read_at)
    began = read_time(before.read_at) if before else None
    seconds = at - began if at is not None and began is not None else 0.0
    return UsagePoint(
        at,
        cpu_percent(before, now) if before else None,
        now.memory_bytes,
        now.memory_limit_bytes,
        _rates(before.network_bytes, now.network_bytes, seconds) if before else None,
        _rates(before.disk_bytes, now.disk_bytes, seconds) if before else None,
        now.pids,
    )


def _rates(
    before: tuple[int, int], now: tuple[int, int], seconds: float
) -> tuple[float, float] | None:
    if seconds <= 0:
        return None
    return (max(0, now[0] - before[0]) / seconds, max(0, now[1] - before[1]) / seconds)
