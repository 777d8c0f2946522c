"""A fleet whose states are scripted, for commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from gpuhop_tui.fleet.state import FleetState, HistoryPoint


class ScriptedFleet:
    """Goes through `states`; after the last it stays silent, or ends where `ends` is set."""

    def __init__(self, *states: FleetState, ends: bool = False) -> None:
        self._states = states
        self._ends = ends
        self.state = states[0]
        self.started = self.stopped = False
        self.last_reached = asyncio.Event()

    async def changes(self) -> AsyncIterator[FleetState]:
        for state in self._states[1:]:
            await asyncio.sleep(0)
            self.state = state
            yield state
        self.last_reached.set()
        if not self._ends:
            await asyncio.Event().wait()

    def history(self, node: str, gpu_index: int) -> Sequence[HistoryPoint]:
        return ()

    def retry(self, name: str | None = None) -> None:
        raise AssertionError("a command never retries")

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.stopped = True
