"""The top line."""

from __future__ import annotations

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.tui.render.header import header_line
from gpuhop_tui.tui.render.line import Line
from gpuhop_tui.tui.widgets.lines import Lines


class FleetHeader(Lines):
    """The fleet's totals, the agent and the time, on one line."""

    def __init__(self, now: float) -> None:
        super().__init__(id="header")
        self._state: FleetState | None = None
        self._now = now
        self._drawn: Line = ()

    def show(self, state: FleetState | None, now: float) -> None:
        """Show the totals of a state; None: the fleet is not open yet."""
        self._state, self._now = state, now
        if header_line(state, self.room, now) != self._drawn:
            self.redraw([0])

    @property
    def line_count(self) -> int:
        return 1

    def line_at(self, y: int) -> Line:
        self._drawn = header_line(self._state, self.room, self._now)
        return self._drawn
