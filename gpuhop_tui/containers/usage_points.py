"""A container's use of its node, second by second, and kept for as long as somebody looks."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpuhop_tui.containers.engine import Engine
from gpuhop_tui.containers.following import Following, FollowState, FollowView
from gpuhop_tui.containers.listing import read_time
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.usage import Usage, cpu_percent, read_usage

POINTS = 1800  # half an hour at one a second


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """Use at one moment. Rates are bytes a second since the point before. A figure that is None has
    its reason in `missing`."""

    at: float | None  # by the node's clock
    cpu_percent: float | None  # 100 is one core
    memory_bytes: int | None
    memory_limit_bytes: int | None
    network_rate: tuple[float, float] | None = None  # received, sent
    disk_rate: tuple[float, float] | None = None  # read, written
    pids: int | None = None
    cpus: int = 1  # that the node has
    missing: dict[str, str] = field(default_factory=dict)


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
    figures = {
        "cpu_percent": cpu_percent(before, now) if before else None,
        "memory_bytes": now.memory_bytes,
        "memory_limit_bytes": now.memory_limit_bytes,
        "network_rate": _rates(
            before.network_bytes if before else None, now.network_bytes, seconds
        ),
        "disk_rate": _rates(before.disk_bytes if before else None, now.disk_bytes, seconds),
        "pids": now.pids,
    }
    told = {
        "network_rate": now.network_bytes is not None,
        "disk_rate": now.disk_bytes is not None,
        "cpu_percent": now.cpu_ns is not None and now.system_ns is not None,
    }
    missing = {
        name: _TWO_LOOKS if told.get(name) else _UNTOLD[name]
        for name, figure in figures.items()
        if figure is None
    }
    return UsagePoint(at, cpus=now.cpus, missing=missing, **figures)  # type: ignore[arg-type]


_TWO_LOOKS = "a rate needs two looks"
_UNTOLD = {
    "cpu_percent": "the engine does not tell the CPU time",
    "memory_bytes": "the engine does not tell: no memory cgroup",
    "memory_limit_bytes": "the engine tells no limit",
    "network_rate": "the container has no network of its own",
    "disk_rate": "the engine has counted no disk access",
    "pids": "the engine does not count them",
}


def _rates(
    before: tuple[int, int] | None, now: tuple[int, int] | None, seconds: float
) -> tuple[float, float] | None:
    if before is None or now is None or seconds <= 0:
        return None
    return (max(0, now[0] - before[0]) / seconds, max(0, now[1] - before[1]) / seconds)


class ContainerUsage(Following):
    """Keeps the recent points from `start` to `close`."""

    def __init__(
        self, engine: Engine, container: Container, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(engine, container, clock)
        self.view = FollowView()
        self._points: deque[tuple[float, UsagePoint | None]] = deque(maxlen=POINTS)

    @property
    def points(self) -> Sequence[tuple[float, UsagePoint | None]]:
        """When each arrived (seconds since the epoch, this machine's clock); None is a gap."""
        return self._points

    async def _follow(self) -> None:
        if not self.container.running:
            return  # its figures would be waited for
        async with contextlib.aclosing(usage(self._engine, self.container)) as points:
            async for each in points:
                self._points.append((self._clock(), each))
                if self.view.state is not FollowState.LIVE:
                    self._set(state=FollowState.LIVE, problem=None, away_since=None)
                self._tell()

    def _set(self, **fields: object) -> None:
        self.view = replace(self.view, **fields)  # type: ignore[arg-type]
        if self.view.state is not FollowState.LIVE and self._points and self._points[-1][1]:
            self._points.append((self._clock(), None))
        self._tell()

    def _progress(self) -> object:
        return self._points[-1] if self._points else None

    def _view(self) -> FollowView:
        return self.view
