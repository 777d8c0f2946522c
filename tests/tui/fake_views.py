"""Logs and figures of containers that are set by hand."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace

from gpuhop_tui.containers.following import FollowState, FollowView
from gpuhop_tui.containers.log_follow import Entry, LogMark, LogView
from gpuhop_tui.containers.log_lines import LogLine, Stream
from gpuhop_tui.containers.model import Container
from gpuhop_tui.containers.usage_points import UsagePoint
from tests.tui.fake_containers import container
from tests.tui.fakes import GIB, NOW


class _Followed:
    """What both have in common: they are started, followed by their changes, and closed."""

    def __init__(self, of: Container | None, view: FollowView) -> None:
        self.container = of or container("train-llm", NOW)
        self.view = view
        self.started = self.closed = False
        self._changed = asyncio.Event()
        self._changed.set()

    def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield

    def set(self, **fields: object) -> None:
        self.view = replace(self.view, **fields)  # type: ignore[arg-type]
        self._changed.set()


class FakeLog(_Followed):
    """A log whose lines are written by hand, one a second up to NOW."""

    def __init__(self, of: Container | None = None) -> None:
        super().__init__(of, LogView())
        self.entries: deque[Entry] = deque()
        self.is_full = False
        self.past: list[Entry] = []  # what `earlier` gives, 50 at a time, from the end
        self.gate = asyncio.Event()  # while it is cleared, `earlier` waits
        self.gate.set()
        self.refusal: Exception | None = None

    async def earlier(self) -> list[Entry]:
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        found, self.past = self.past[-50:], self.past[:-50]
        self.entries.extendleft(reversed(found))
        self.view = replace(self.view, whole=not self.past)
        return found

    # By hand

    def write(self, *texts: str, stream: Stream = "stdout", at: float = NOW) -> None:
        self.entries.extend(LogLine(int(at * 1e9), text, stream) for text in texts)
        self.set(state=FollowState.LIVE)

    def mark(self, text: str, bad: bool = False) -> None:
        self.entries.append(LogMark(text, bad))
        self._changed.set()


class FakeUsage(_Followed):
    """Figures of a container that are set by hand."""

    def __init__(self, of: Container | None = None) -> None:
        super().__init__(of, FollowView(FollowState.LIVE))
        self.points: deque[tuple[float, UsagePoint | None]] = deque()

    def add(self, point: UsagePoint | None, at: float = NOW) -> None:
        self.points.append((at, point))
        self._changed.set()


def a_point(at: float, cpu: float = 250, memory: float = 12, **fields: object) -> UsagePoint:
    usual: dict[str, object] = {
        "memory_bytes": int(memory * GIB), "memory_limit_bytes": 64 * GIB,
        "network_rate": (2.4e6, 0.3e6), "disk_rate": (0.0, 45e6), "pids": 41, "cpus": 16,
    }  # fmt: skip
    return UsagePoint(at, cpu, **(usual | fields))  # type: ignore[arg-type]


def busy_half_hour(usage: FakeUsage) -> None:
    """A wave of five minutes, with half a minute when nothing was known."""
    for second in range(300):
        at = NOW - 299 + second
        if 120 <= second < 150:
            usage.add(None, at)
            continue
        wave = math.sin(second / 20)
        usage.add(
            a_point(
                at, 600 + 400 * wave, 10 + second / 60,
                network_rate=(2e6 + 1.9e6 * wave, 4e5),
                disk_rate=(0.0, 9e7 if second % 60 < 8 else 0.0), pids=41 + second % 3,
            ),
            at,
        )  # fmt: skip


def training(log: FakeLog, steps: int = 300) -> None:
    """A training's log, with colours, warnings on stderr, a progress bar, and a lost link."""
    for step in range(steps):
        at = NOW - steps + step
        text = f"\x1b[32mINFO\x1b[0m step {step:5}  loss {2 - step / 200:.4f}  lr 3.0e-04"
        log.write(text, at=at)
        if step % 40 == 39:
            log.write(f"warning: gradient norm {step / 7:.1f} was clipped, which is said at such "
                      "length that it takes more than one row of a small terminal",
                      stream="stderr", at=at)  # fmt: skip
        if step == steps - 6:
            log.mark("away for 12 s: no answer to keepalives for 6 s; no line is missing")
    log.write("\repoch 3:  10%|█  \repoch 3:  71%|███████   | 7100/10000", stream="stderr")
