"""The top line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.tui.render.header import header_line
from gpuhop_tui.tui.render.line import Line
from gpuhop_tui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from gpuhop_tui.tui.work import Job

_WORK = 24  # cells that work in the background may take


class FleetHeader(Lines):
    """The fleet's totals, the agent and the time, on one line."""

    def __init__(self, now: float) -> None:
        super().__init__(id="header")
        self._state: FleetState | None = None
        self._now = now
        self._drawn: Line = ()
        self._work: Line = ()
        self._alerts: Line = ()

    def show(self, state: FleetState | None, now: float) -> None:
        """Show the totals of a state; None: the fleet is not open yet."""
        self._state, self._now = state, now
        if self._line() != self._drawn:
            self.redraw([0])

    def show_work(self, jobs: Sequence[Job]) -> None:
        """Say what runs in the background."""
        if jobs:
            from gpuhop_tui.tui.render.work import indicator  # not before the first paint

            self._work = indicator(jobs, _WORK)
        else:
            self._work = ()
        self.show(self._state, self._now)

    def show_alerts(self, line: Line) -> None:
        """Say what is unread, silent, or waited for."""
        self._alerts = line
        self.show(self._state, self._now)

    def _line(self) -> Line:
        return header_line(self._state, self.room, self._now, self._work, self._alerts)

    @property
    def line_count(self) -> int:
        return 1

    def line_at(self, y: int) -> Line:
        self._drawn = self._line()
        return self._drawn
