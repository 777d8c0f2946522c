"""The pane below the tabs: scrollable lines."""

from __future__ import annotations

from gpuhop_tui.tui.widgets.lines import Lines


class Pane(Lines, can_focus=True):
    """Shows what the active tab names."""

    def __init__(self) -> None:
        super().__init__(id="pane")
