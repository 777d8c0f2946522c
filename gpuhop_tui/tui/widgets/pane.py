"""The pane below the tabs, for what is no list: lines that only scroll."""

from __future__ import annotations

from gpuhop_tui.tui.widgets.rows import Rows


class Pane(Rows):
    """Shows what the active tab names, lists excepted."""

    def __init__(self) -> None:
        super().__init__(id="pane")
