"""Watching one node: whenever its link is up, a probe runs there and its samples arrive here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.backoff import delay_seconds
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.status import LinkEvent, LinkState

START_SECONDS = 45.0  # a node's first NVML start can take long
SILENT_SECONDS = 20.0  # a probe whose sample is late by so long is started anew
STALE_INTERVALS = 3
STALE_AT_LEAST_SECONDS = 3.0

_log = logging.getLogger(__name__)


class NodeMonitor:
    """Keeps `state` of one node true. Calls `changed()` after every change."""

    def __init__(
        self,
        first: NodeState,
        link: Link,
        interval: float,
        changed: Callable[[], None],
        sampled: Callable[[Sample], None],
        gap: Callable[[], None],
    ) -> None:
        self._first = first
        self._link = link
        self._interval = interval
        self._changed = changed
        self._sampled = sampled
        self._gap = gap
        self._sample: Sample | None = None
        self._stale = False
        self._problem: Problem | None = None
        self._arrived = 0.0  # monotonic seconds
        self._patience = START_SECONDS  # how long the next sample is waited for
        self._failures = 0
        self._events: tuple[LinkEvent, ...] = ()
        self._kick = asyncio.Event()
        self._rng = random.Random()
        link.listen(self._link_changed)

    @property
    def link(self) -> Link:
        return self._link

    @property
    def state(self) -> NodeState:
        first = self._first
        return NodeState(
            name=first.name,
            address=first.address,
            via=first.via,
            tags=first.tags,
            link=self._link.status,
            sample=self._sample,
            stale=self._stale,
            probe_problem=self._problem,
            events=self._events,
        )

    def retry_now(self) -> None:
        """Starts a probe that failed without waiting any longer."""
        self._kick.set()

    def mark_if_stale(self) -> None:
        """To be called about every second: an old sample is never shown as a live one."""
        if self._sample is None or self._stale:
            return
        limit = max(STALE_INTERVALS * self._interval, STALE_AT_LEAST_SECONDS)
        if time.monotonic() - self._arrived > limit:
            self._set_stale()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._link.connection()
            try:
                await self._stream()
                problem = self._ended("the probe ended by itself")
            except ProblemError as exc:
                problem = exc.problem
            except TimeoutError:
                problem = self._ended(f"the probe said nothing for {self._patience:.0f} s")
            except Exception as exc:
                _log.exception("unexpected failure of the probe on %s", self._first.name)
                problem = self._ended(f"the probe's stream broke: {exc or type(exc).__name__}")
            await self._after(problem)

    async def _stream(self) -> None:
        self._patience = START_SECONDS
        async with (
            asyncio.timeout(self._patience) as limit,
            self._link.process(probe_command(self._interval)) as process,
            contextlib.aclosing(
                stream_samples(process, self._first.name, self._interval)
            ) as samples,
        ):
            async for sample in samples:
                self._patience = self._interval + SILENT_SECONDS
                limit.reschedule(asyncio.get_running_loop().time() + self._patience)
                self._take(sample)

    def _take(self, sample: Sample) -> None:
        if self._sample is None or self._stale:
            self._link.note(f"figures from {sample.source}")
        self._sample, self._stale, self._problem = sample, False, None
        self._arrived = time.monotonic()
        self._failures = 0
        self._sampled(sample)
        self._note_events()
        self._changed()

    async def _after(self, problem: Problem) -> None:
        """The stream ended: because the link did, or by a fault of its own."""
        self._set_stale()
        if not self._link.is_up:
            return
        self._problem = problem
        self._link.note(problem.message, problem)
        self._note_events()
        self._changed()
        self._failures += 1
        self._kick.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_seconds(self._failures, self._rng)):
                await self._kick.wait()

    def _set_stale(self) -> None:
        if self._sample is not None and not self._stale:
            self._stale = True
            self._gap()
            self._changed()

    def _link_changed(self) -> None:
        if self._link.status.state is not LinkState.UP and self._sample is not None:
            self._set_stale()
        self._note_events()
        self._changed()

    def _note_events(self) -> None:
        events = self._link.events
        if events and (not self._events or events[-1] is not self._events[-1]):
            self._events = tuple(events)

    def _ended(self, message: str) -> Problem:
        return Problem(
            self._first.name,
            ErrorKind.NO_PROBE,
            message,
            "it is started again by itself; the log file (--log-file) has its last words",
        )
